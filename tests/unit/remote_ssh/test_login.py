"""Login methods in order, and why nobody was let in."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from app.errors import (
    CancelledByUserError,
    LinkError,
    LoginRefusedError,
    ProviderError,
    UnreachableError,
)
from app.model.site import IdentityMethod, IdentitySettings, SiteProfile, SshSettings
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.transport import SshTransport
from app.remote.ssh.unlocked_keys import UNLOCKED
from app.remote.ssh.user_names import UserNames
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.ports import free_port
from tests.peers.sshd import Sshd, public_line, write_private

Connect = Callable[..., SshTransport]


class FakeTokens:
    """A sign-in session that is already there."""

    def __init__(self, token: str = "token") -> None:
        self.token = token
        self.derived: dict[str, object] = {}

    def access_token(self, interaction: object = None) -> str:
        return self.token

    def id_token(self) -> str:
        return self.token


Round = tuple[str, str, list[tuple[str, bool]], list[str]]   # title, instructions, (prompt, echo), right answers


class FakeDialogServer(paramiko.ServerInterface):
    """Keyboard-interactive as facilities have it: one or two rounds, or an access token."""

    def __init__(self, rounds: list[Round], first: str = "", password: str = "") -> None:
        self._rounds = rounds
        self._at = 0
        self._first = first   # a method to be passed before the dialog
        self._password = password
        self.given: list[list[str]] = []

    def get_allowed_auths(self, username: str) -> str:
        return self._first or ("password" if self._password else "keyboard-interactive")

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self._first = ""
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL

    def check_auth_password(self, username: str, password: str) -> int:
        self.given.append([password])
        return paramiko.AUTH_SUCCESSFUL if password == self._password else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username: str, submethods: str) -> paramiko.InteractiveQuery | int:
        self._at = 0
        return self._query()

    def check_auth_interactive_response(self, responses: list[str]) -> paramiko.InteractiveQuery | int:
        self.given.append(list(responses))
        if list(responses) != self._rounds[self._at][3]:
            return paramiko.AUTH_FAILED
        self._at += 1
        return paramiko.AUTH_SUCCESSFUL if self._at == len(self._rounds) else self._query()

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def _query(self) -> paramiko.InteractiveQuery:
        title, instructions, prompts, _ = self._rounds[self._at]
        return paramiko.InteractiveQuery(title, instructions, *prompts)


@contextlib.contextmanager
def dialog_server(rounds: list[Round], **options: str) -> Iterator[tuple[FakeDialogServer, SiteProfile]]:
    """A server that asks questions."""
    listener = socket.create_server(("127.0.0.1", 0))
    host_key = Ed25519PrivateKey.generate()
    links: list[paramiko.Transport] = []
    server = FakeDialogServer(rounds, **options)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                link = paramiko.Transport(sock)
                link.set_log_channel("fake")
                link.add_server_key(paramiko.PKey.from_path(key_file))
                links.append(link)
                link.start_server(event=threading.Event(), server=server)

    key_file = write_private(host_key, Path(os.environ["HOME"]) / "fake_host_key")
    thread = threading.Thread(target=serve, name="fake-dialog-server")
    thread.start()
    try:
        yield server, SiteProfile("here", identity=IdentitySettings(IdentityMethod.OIDC, "https://issuer.example"),
                                  ssh=SshSettings(
            host="127.0.0.1", port=listener.getsockname()[1], user="ada", methods=("keyboard-interactive",),
            host_keys=(public_line(host_key),)))
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)
        for link in links:
            link.close()


PASSWORD_AND_OTP: list[Round] = [("Facility", "Welcome", [("Password: ", False)], ["secret"]),
                                 ("", "", [("OTP: ", True)], ["123456"]), ("", "", [], [])]


def test_that_password_and_one_time_password_are_asked_and_a_round_without_prompts_is_answered() -> None:
    person = FakePerson(answers=[["secret"], ["123456"]])
    with dialog_server(PASSWORD_AND_OTP) as (server, profile):
        transport = open_ssh(profile, person, None)
        assert transport.alive
        transport.close()
    assert len(person.conversations) == 1, "both in one dialog"
    assert all(100 < waits <= 120 for waits in person.within_s)
    assert person.prompts == [("Facility", "Welcome", (("Password: ", False),)), ("", "", (("OTP: ", True),))]
    assert server.given == [["secret"], ["123456"], []]


def test_that_a_mistyped_password_can_be_typed_again() -> None:
    person = FakePerson(answers=[["wrong"], ["secret"], ["123456"]])
    with dialog_server(PASSWORD_AND_OTP) as (_, profile):
        open_ssh(profile, person, None).close()
    assert len(person.prompts) == 3
    assert person.notes == ["", "That was not accepted. Try again.", ""]
    assert len(person.conversations) == 1


def test_that_a_wrong_password_can_be_typed_three_times() -> None:
    person = FakePerson(answers=[["wrong"]] * 5)
    with dialog_server(PASSWORD_AND_OTP) as (_, profile), \
            pytest.raises(LoginRefusedError, match="did not accept what was typed for the account ada"):
        open_ssh(profile, person, None)
    assert len(person.prompts) == 3


def test_that_giving_up_at_a_prompt_cancels() -> None:
    with dialog_server(PASSWORD_AND_OTP) as (_, profile), pytest.raises(CancelledByUserError):
        open_ssh(profile, FakePerson(), None)


def test_that_a_server_that_knows_only_passwords_is_given_one() -> None:
    person = FakePerson(answers=[["wrong"], ["secret"]])
    with dialog_server([], password="secret") as (server, profile):
        open_ssh(profile, person, None).close()
    assert server.given == [["wrong"], ["secret"]]


@pytest.mark.parametrize("methods", [("key", "keyboard-interactive"), ("keyboard-interactive", "agent", "key")])
def test_that_a_key_and_a_dialog_are_given_where_both_are_wanted(own_home: Path, methods: tuple[str, ...]) -> None:
    write_private(Ed25519PrivateKey.generate(), own_home / ".ssh" / "id_ed25519")
    person = FakePerson(answers=[["secret"], ["123456"]])
    with dialog_server(PASSWORD_AND_OTP, first="publickey") as (_, profile):
        ssh = dataclasses.replace(profile.ssh, methods=methods)
        open_ssh(dataclasses.replace(profile, ssh=ssh), person, None).close()
    assert len(person.prompts) == 2


def test_that_a_prompt_for_an_access_token_gets_it_without_asking() -> None:
    person = FakePerson()
    with dialog_server([("", "", [("Access Token: ", False)], ["token"])]) as (server, profile):
        open_ssh(profile, person, FakeTokens()).close()
    assert server.given == [["token"]]
    assert person.prompts == []


def test_that_a_token_is_never_given_to_a_prompt_that_shows_it() -> None:
    person = FakePerson(answers=[["typed"]])
    with dialog_server([("", "", [("Access Token: ", True)], ["typed"])]) as (server, profile):
        open_ssh(profile, person, FakeTokens()).close()
    assert server.given == [["typed"]]


def test_that_a_key_with_a_passphrase_is_unlocked(connect: Connect, user_key: Ed25519PrivateKey,
                                                  own_home: Path) -> None:
    file = own_home / ".ssh" / "id_ed25519"
    file.write_bytes(user_key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"open")))
    person = FakePerson(answers=[["wrong"], ["open"]])
    assert connect(person).alive
    assert [(title, prompts) for title, _, prompts in person.prompts] == \
        [("Unlock the key id_ed25519", (("Passphrase", False),))] * 2
    assert person.notes == ["", "That passphrase is not the key's."]
    assert connect(FakePerson()).alive, "the unlocked key is kept for reconnecting"
    UNLOCKED.forget()
    with pytest.raises(LoginRefusedError) as caught:
        connect(FakePerson())
    assert "locked with a passphrase" in caught.value.detail


@pytest.mark.parametrize(("kind", "form"), [("rsa", "RFC4716"), ("rsa", "PEM"), ("ecdsa", "RFC4716"), ("ecdsa", "PEM")])
def test_that_keys_of_other_kinds_let_in(connect: Connect, server: Sshd, own_home: Path, kind: str, form: str) -> None:
    tool = need_program("ssh-keygen", "openssh-client")
    file = own_home / ".ssh" / f"id_{kind}"
    (own_home / ".ssh" / "id_ed25519").unlink()
    subprocess.run([tool, "-q", "-t", kind, "-m", form, "-N", "", "-f", str(file)], check=True)
    server.allow(file.with_suffix(".pub").read_text())
    assert connect().alive


def test_that_a_file_that_is_no_key_is_named(connect: Connect, own_home: Path) -> None:
    (own_home / ".ssh" / "id_ed25519").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n")
    with pytest.raises(LoginRefusedError) as caught:
        connect()
    assert "key id_ed25519: cannot be read" in caught.value.detail


def test_that_a_key_in_the_agent_lets_in(connect: Connect, own_home: Path, tmp_path: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    agent, add = need_program("ssh-agent", "openssh-client"), need_program("ssh-add", "openssh-client")
    place = tmp_path / "agent"
    said = subprocess.run([agent, "-s", "-a", str(place)], capture_output=True, text=True, check=True).stdout
    pid = int(said.split("SSH_AGENT_PID=")[1].split(";")[0])
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(place))
        with pytest.raises(LoginRefusedError) as caught:
            connect(methods=("agent",))
        assert "holds no keys" in caught.value.detail
        subprocess.run([add, "-q", str(own_home / ".ssh" / "id_ed25519")], check=True, capture_output=True)
        assert connect(methods=("agent",)).run(["echo", "hi"]).stdout == b"hi\n"
    finally:
        os.kill(pid, signal.SIGTERM)


def test_that_a_refusal_lists_what_was_tried(connect: Connect, server: Sshd) -> None:
    (server.folder / "authorized_keys").write_text("")
    with pytest.raises(LoginRefusedError, match="did not let") as caught:
        connect(methods=("gssapi", "agent", "key", "keyboard-interactive"))
    lines = caught.value.detail.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["agent", "key id_ed25519", "gssapi", "keyboard-interactive"]
    assert "no agent" in lines[0]
    assert lines[1].endswith("refused")
    assert "does not accept" in lines[2]
    assert "does not accept" in lines[3]


def test_that_a_wrong_user_name_is_refused(connect: Connect) -> None:
    with pytest.raises(LoginRefusedError, match="did not let nobody-here in"):
        connect(user="nobody-here")


def test_that_the_user_name_is_asked_when_the_profile_has_none(connect: Connect, server: Sshd) -> None:
    person = FakePerson(answers=[[server.user]])
    assert connect(person, user="").user == server.user
    assert person.prompts[0][2] == (("User name", True),)
    with pytest.raises(CancelledByUserError):
        connect(FakePerson(), user="")


def test_that_a_typed_user_name_is_not_asked_for_again_when_the_connection_comes_back(
        server: Sshd, user_key: Ed25519PrivateKey) -> None:
    from tests.unit.remote_ssh.conftest import profile_for

    person, names = FakePerson(answers=[["nobody-here"], [server.user]]), UserNames()
    profile = profile_for(server, user="")
    with pytest.raises(LoginRefusedError):
        open_ssh(profile, person, None, names=names)
    for _ in range(2):
        open_ssh(profile, person, None, names=names).close()
    assert len(person.prompts) == 2, "one that was refused is asked for again, one that was let in is not"


def test_that_a_cancelled_login_ends(connect: Connect) -> None:
    person = FakePerson()
    person.cancelled.set()
    with pytest.raises(CancelledByUserError):
        connect(person)


def test_that_nobody_listening_is_said_so(connect: Connect) -> None:
    port = free_port()
    with pytest.raises(UnreachableError, match=f"127.0.0.1, port {port} cannot be reached: connection refused"):
        connect(port=port)


def test_that_an_unknown_name_is_said_so(connect: Connect) -> None:
    with pytest.raises(UnreachableError, match="is not known"):
        connect(host="no-such-host.invalid")


def test_that_a_server_of_another_kind_is_said_so(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200)
                sock.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LinkError, match="answers as a web page: a captive portal"):
            connect(port=listener.getsockname()[1])
        thread.join(10)


def test_that_a_silent_port_does_not_hold_us_for_ever(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.remote.ssh.handshake.HANDSHAKE_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start = time.monotonic()
        with pytest.raises(UnreachableError, match="does not answer as an SSH server"):
            connect(port=listener.getsockname()[1])
        assert time.monotonic() - start < 10


def test_that_a_site_with_certificates_only_needs_a_reachable_authority(connect: Connect, server: Sshd) -> None:
    from app.model.site import CertificateAuthority
    from tests.unit.remote_ssh.conftest import profile_for

    authority = CertificateAuthority("conch", "https://127.0.0.1:1")
    with pytest.raises(ProviderError, match="cannot be reached"):
        open_ssh(profile_for(server, methods=("certificate",), certificate_authority=authority), FakePerson(),
                 FakeTokens())
    person = FakePerson()
    transport = open_ssh(profile_for(server, methods=("certificate", "key"), certificate_authority=authority), person,
                         FakeTokens())
    assert transport.alive, "the key stands in"
    transport.close()
    assert any("Trying the other ways" in text for text in person.said)
