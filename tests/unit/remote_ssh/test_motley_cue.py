"""The account service beside an SSH server: every state and every odd answer, in one sentence each."""

from __future__ import annotations

import hashlib
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from app.errors import CancelledByUserError, LoginRefusedError, ProviderError, SignInError
from app.remote.ssh import motley_cue
from app.remote.ssh.motley_cue import LONG_TOKEN, MotleyCue
from app.remote.ssh.token_login import TokenLogin
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki
from tests.peers.ports import free_port
from tests.unit.remote_ssh.authorities import FakeTokens

ISSUER = "https://issuer.example"
INFO = {"login_info": {"description": "Test", "ssh_host": "127.0.0.1"}, "supported_OPs": [ISSUER + "/"], "ops_info": {}}
DEPLOYED = {"state": "deployed", "message": "ok", "credentials": {"ssh_user": "ada", "ssh_host": "127.0.0.1"}}


class Service:
    """Answers as told; remembers who brought a token."""

    def __init__(self, pki: Pki | None) -> None:
        self.answers: dict[str, tuple[int, Any, dict[str, str]]] = {"/info": (200, INFO, {})}
        self.asked: list[tuple[str, str]] = []
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                service.asked.append((path, self.headers.get("Authorization", "")))
                status, body, headers = service.answers.get(path, (404, {"detail": "Not Found"}, {}))
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Nothing on standard error."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if pki is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pki.certificate, pki.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="fake-motley-cue")
        self._thread.start()

    def say(self, path: str, answer: Any, status: int = 200, **headers: str) -> None:
        self.answers[path] = (status, answer, headers)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


@pytest.fixture
def service(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    running = Service(pki)
    monkeypatch.setattr(motley_cue, "PORTS", (running.port,))
    yield running
    running.close()


@pytest.fixture
def found(service: Service, pki: Pki) -> MotleyCue:
    cue = motley_cue.find("127.0.0.1", str(pki.ca))
    assert cue is not None
    return cue


def test_that_it_is_found_and_known_by_what_it_says(service: Service, found: MotleyCue) -> None:
    assert found.url == f"https://127.0.0.1:{service.port}"
    assert found.takes(ISSUER)
    assert not found.takes("")
    assert service.asked == [("/info", "")], "nothing secret is shown to find it"


@pytest.mark.parametrize("answer", [b"<html>hello</html>", [], {"login_info": {}}, {"supported_OPs": "all",
                                                                                   "login_info": {}}, {"a": 1}])
def test_that_something_else_is_not_taken_for_it(service: Service, pki: Pki, answer: Any) -> None:
    service.say("/info", answer)
    assert motley_cue.find("127.0.0.1", str(pki.ca)) is None


def test_that_one_that_is_not_trusted_is_not_used(service: Service) -> None:
    assert motley_cue.find("127.0.0.1") is None


def test_that_the_usual_ports_are_looked_at() -> None:
    assert motley_cue.PORTS == (443, 8443, 8080)
    assert LONG_TOKEN == 1024


def test_that_plain_http_elsewhere_gets_nothing() -> None:
    with pytest.raises(ProviderError, match="not reached over https"):
        MotleyCue("http://facility.example:8080", "").account("the-token")


def test_that_plain_http_is_taken_on_this_computer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Service(None)
    try:
        monkeypatch.setattr(motley_cue, "PORTS", (running.port,))
        cue = motley_cue.find("127.0.0.1")
        assert cue is not None
        assert cue.url.startswith("http://")
        monkeypatch.setattr(motley_cue, "_is_here", lambda _host: False)
        assert motley_cue.find("127.0.0.1") is None
    finally:
        running.close()


@pytest.mark.parametrize(("state", "sentence"), [
    ("pending", "waits for the facility's approval: because"), ("suspended", "is suspended: because"),
    ("rejected", "rejected the request for your account"), ("unknown", "does not know the state of your account"),
    ("not_deployed", "did not make an account for you"), ("limited", r"is not usable \(limited\)")])
def test_that_every_state_has_its_sentence(service: Service, found: MotleyCue, state: str, sentence: str) -> None:
    service.say("/user/get_status", {"state": state, "message": "because."})
    service.say("/user/deploy", {"state": state, "message": "because."})
    with pytest.raises(LoginRefusedError, match=sentence) as caught:
        found.ready_account("the-token")
    assert caught.value.remedy
    assert f"State: {state}. because" in caught.value.detail


def test_that_a_missing_account_is_made(service: Service, found: MotleyCue) -> None:
    service.say("/user/get_status", {"state": "not_deployed", "message": ""})
    service.say("/user/deploy", DEPLOYED)
    assert found.ready_account("the-token").user == "ada"
    assert service.asked[1:] == [("/user/get_status", "Bearer the-token"), ("/user/deploy", "Bearer the-token")]


@pytest.mark.parametrize(("status", "answer", "sentence"), [
    (401, {"error": "invalid_token", "error_description": "it is the-token, expired"}, "does not accept your sign-in"),
    (401, {"detail": "Not authorised"}, "does not accept your sign-in: Not authorised"),
    (403, {"detail": "Forbidden"}, "does not let you log in with this account: Forbidden"),
    (500, {"detail": "x"}, "is out of order"), (502, b"<html>", "is out of order"), (200, b"<html>", "not understand"),
    (200, ["x"], "not understand"), (404, {"detail": "Not Found"}, "not understand")])
def test_that_every_error_has_its_sentence(service: Service, found: MotleyCue, status: int, answer: Any,
                                           sentence: str) -> None:
    service.say("/user/get_status", answer, status)
    with pytest.raises(SignInError, match=sentence) as caught:
        found.ready_account("the-token")
    assert "the-token" not in f"{caught.value} {caught.value.detail}"


@pytest.mark.parametrize("status", [301, 302, 307])
def test_that_the_token_follows_no_redirect(service: Service, found: MotleyCue, status: int) -> None:
    service.say("/user/get_status", {}, status, Location=f"https://127.0.0.1:{service.port}/elsewhere")
    with pytest.raises(SignInError):
        found.account("the-token")
    assert [path for path, token in service.asked if token] == ["/user/get_status"]


def test_that_an_endless_answer_is_left(service: Service, found: MotleyCue) -> None:
    service.say("/user/get_status", b"x" * (2 << 20))
    with pytest.raises(SignInError):
        found.account("the-token")


def test_that_the_one_time_form_is_the_hash_of_the_token(service: Service, found: MotleyCue) -> None:
    service.say("/user/generate_otp", {"supported": True, "successful": True})
    assert found.one_time_password("the-token") == hashlib.sha512(b"the-token").hexdigest()
    service.say("/user/generate_otp", {"supported": True, "successful": False})
    with pytest.raises(LoginRefusedError, match="could not prepare"):
        found.one_time_password("the-token")
    service.say("/user/generate_otp", {"supported": False})
    with pytest.raises(LoginRefusedError, match="too long for the login"):
        found.one_time_password("the-token")


def token_of(pki: Pki, token: str, issuer: str = ISSUER, **more: Any) -> TokenLogin:
    return TokenLogin(FakeTokens(token), "127.0.0.1", issuer, str(pki.ca), **more)


@pytest.mark.parametrize(("length", "is_short"), [(LONG_TOKEN - 1, True), (LONG_TOKEN, False)])
def test_that_the_one_time_form_is_taken_from_1024_characters_on(service: Service, pki: Pki, length: int,
                                                                 is_short: bool) -> None:
    service.say("/user/get_status", DEPLOYED)
    service.say("/user/generate_otp", {"supported": True, "successful": True})
    token = "t" * length
    given = token_of(pki, token).answer("ada", FakePerson())
    assert given == (token if is_short else hashlib.sha512(token.encode()).hexdigest())


def test_that_a_service_for_other_issuers_is_not_shown_the_token(service: Service, pki: Pki) -> None:
    login = token_of(pki, "the-token", issuer="https://other.example")
    assert login.user(FakePerson()) == ""
    assert login.answer("ada", FakePerson()) == "the-token"   # to the server itself, which the profile names
    assert all(not token for _, token in service.asked)


def test_that_a_broken_service_does_not_keep_us_out(service: Service, pki: Pki) -> None:
    service.say("/user/get_status", b"", 503)
    person = FakePerson()
    assert token_of(pki, "the-token").answer("ada", person) == "the-token"
    assert any("out of order" in text for text in person.said)


def test_that_without_a_service_the_token_itself_is_the_answer(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> None:
    port = free_port()
    monkeypatch.setattr(motley_cue, "PORTS", (port,))
    assert token_of(pki, "the-token").answer("ada", FakePerson()) == "the-token"


def test_that_a_service_that_is_silent_can_be_given_up(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    person = FakePerson()
    timer = threading.Timer(0.2, person.cancelled.set)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(motley_cue, "PORTS", (silent.getsockname()[1],))
        timer.start()
        with pytest.raises(CancelledByUserError):
            token_of(pki, "the-token").answer("ada", person)
        for _ in ("the knock", "the question, which nobody answers"):
            silent.accept()[0].close()
    timer.join()


def test_that_the_sentence_says_it_is_final_only_where_it_is(service: Service, pki: Pki) -> None:
    service.say("/user/get_status", {"state": "suspended", "message": ""})
    login = token_of(pki, "the-token")
    with pytest.raises(LoginRefusedError):
        login.answer("ada", FakePerson())
    assert login.said_no

