"""A real OpenSSH server's prompts by PAM: passwords, codes, pushes, and what ends them."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import (
    CancelledByUserError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LoginRefusedError,
)
from app.model.site import CertificateAuthority, IdentityMethod, IdentitySettings, SiteProfile, SshSettings
from app.remote.conversation import Conversation
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson
from tests.peers.pam_sshd import PamSshd, Step, pam_sshd
from tests.peers.sshd import public_line, sshd, write_private
from tests.unit.remote_ssh.test_login import FakeTokens

PASSWORD: Step = {"prompt": "Password: ", "expect": ["secret"]}
OTP: Step = {"prompt": "One-time password: ", "echo": True, "expect": ["123456"]}
TOKEN = {"prompt": "Access Token: "}

Start = Callable[..., PamSshd]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as servers:
        def begin(*steps: Step, options: Sequence[str] = (), name: str = "pam") -> PamSshd:
            return servers.enter_context(pam_sshd(tmp_path / name, options=options, steps=steps))

        yield begin


def profile(server: PamSshd, **changes: Any) -> SiteProfile:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": server.sshd.port, "user": server.sshd.user,
                              "methods": ("keyboard-interactive",),
                              "host_keys": (server.sshd.host_key_line,), **changes}
    return SiteProfile("here", ssh=SshSettings(**values),
                       identity=IdentitySettings(IdentityMethod.OIDC, "https://issuer.example"))


class Watcher(FakePerson):
    """Does something when it is told to wait."""

    def __init__(self, answers: Sequence[Sequence[str]], at_wait: Callable[[Conversation], None]) -> None:
        super().__init__(answers=answers)
        self._at_wait = at_wait

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        answers = super().answer_prompts(host, title, instructions, prompts, within_s, conversation)
        if not prompts and conversation is not None:
            self._at_wait(conversation)
        return answers


class Sleeper(FakePerson):
    """Does not answer until the conversation is over."""

    reason = ""

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        super().answer_prompts(host, title, instructions, prompts, within_s, conversation)
        assert conversation is not None
        assert conversation.over.wait(90), "nobody told the dialog that the server is gone"
        self.reason = conversation.reason
        return None


def test_that_password_and_code_are_asked_in_one_dialog(start: Start) -> None:
    person = FakePerson(answers=[["secret"], ["123456"]])
    transport = open_ssh(profile(start(PASSWORD, OTP)), person, None)
    assert transport.run(["echo", "in"]).stdout == b"in\n"
    transport.close()
    assert [prompts for _, _, prompts in person.prompts] == [(("Password: ", False),), (("One-time password: ", True),)]
    assert len(person.conversations) == 1
    assert person.conversations[0].over.is_set()


def test_that_a_wrong_password_stays_in_the_dialog_three_times(start: Start) -> None:
    person = FakePerson(answers=[["wrong"]] * 4)
    server = start(PASSWORD)
    with pytest.raises(LoginRefusedError, match="did not accept what was typed for the account"):
        open_ssh(profile(server), person, None)
    assert person.notes == ["", "That was not accepted. Try again.", "That was not accepted. Try again."]
    assert len(person.conversations) == 1
    assert server.given == ["wrong"] * 3
    person = FakePerson(answers=[["wrong"], ["secret"]])
    open_ssh(profile(server), person, None).close()


def test_that_a_prompt_in_place_of_a_certificate_says_why_there_is_none(start: Start) -> None:
    person = FakePerson(answers=[["secret"]])
    nowhere = CertificateAuthority("conch", "https://127.0.0.1:1")
    open_ssh(profile(start(PASSWORD), methods=("certificate", "keyboard-interactive"), certificate_authority=nowhere),
             person, FakeTokens()).close()
    assert len(person.notes) == 1
    assert "cannot be reached" in person.notes[0]
    assert person.notes[0].endswith("You can log in with what 127.0.0.1 asks instead.")


def test_that_a_push_is_waited_for(start: Start, tmp_path: Path) -> None:
    verdict = tmp_path / "verdict"
    person = Watcher([["secret"]], lambda _conversation: verdict.write_text("yes") and None)
    info = {"prompt": "Password (then approve the notification on your phone): ", "expect": ["secret"]}
    server = start(info, {"wait": str(verdict)})
    open_ssh(profile(server), person, None).close()
    assert person.shown == ["Approve the request on your phone or other device now."]


def test_that_a_push_that_is_refused_is_told(start: Start, tmp_path: Path) -> None:
    verdict = tmp_path / "verdict"
    person = Watcher([["secret"]], lambda _conversation: verdict.write_text("no") and None)
    server = start(PASSWORD, {"wait": str(verdict)})
    with pytest.raises(CancelledByUserError):   # gives up when it is asked again
        open_ssh(profile(server), person, None)
    assert person.notes == ["", "That was not accepted. Try again."]


def test_that_waiting_for_a_push_can_be_given_up(start: Start, tmp_path: Path) -> None:
    person = Watcher([["secret"]], lambda conversation: conversation.gave_up.set())
    with pytest.raises(CancelledByUserError):
        open_ssh(profile(start(PASSWORD, {"wait": str(tmp_path / "never")})), person, None)


def test_that_words_of_the_server_come_with_the_next_prompt(start: Start) -> None:
    person = FakePerson(answers=[["secret"]])
    open_ssh(profile(start({"info": "Maintenance on Friday."}, {"error": "Second\x1b[31m line"}, PASSWORD)), person,
             None).close()
    _, instructions, prompts = person.prompts[0]
    assert "Maintenance on Friday." in instructions + prompts[0][0]
    assert "Second" in instructions + prompts[0][0]


def test_that_the_servers_banner_is_shown_with_the_first_prompt(start: Start, tmp_path: Path) -> None:
    (tmp_path / "banner").write_text("Use your facility password.\n")
    person = FakePerson(answers=[["secret"], ["123456"]])
    open_ssh(profile(start(PASSWORD, OTP, options=[f"Banner {tmp_path / 'banner'}"])), person, None).close()
    assert [instructions for _, instructions, _ in person.prompts] == ["Use your facility password.", ""]


def test_that_a_server_that_does_not_wait_ends_the_dialog(start: Start) -> None:
    person = Sleeper()
    with pytest.raises(LoginRefusedError, match=r"127\.0\.0\.1 did not wait for your answer\.") as caught:
        open_ssh(profile(start(PASSWORD, options=["LoginGraceTime 1"])), person, None)
    assert person.reason == "127.0.0.1 did not wait for your answer."
    assert "answer within two minutes" in caught.value.remedy


def test_that_a_key_and_a_code_are_given_where_both_are_wanted(start: Start, own_home: Path) -> None:
    server = start(OTP, options=["AuthenticationMethods publickey,keyboard-interactive"])
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    server.sshd.allow(public_line(key))
    person = FakePerson(answers=[["123456"]])
    transport = open_ssh(profile(server, methods=("keyboard-interactive", "agent", "key")), person, None)
    assert transport.alive
    transport.close()
    assert [prompts for _, _, prompts in person.prompts] == [(("One-time password: ", True),)]


def test_that_a_plain_password_is_asked_for(start: Start) -> None:
    server = start(PASSWORD, options=["PasswordAuthentication yes", "KbdInteractiveAuthentication no"])
    person = FakePerson(answers=[["wrong"], ["secret"]])
    open_ssh(profile(server), person, None).close()
    assert person.prompts[0][2] == ((f"Password of {server.sshd.user}", False),)
    assert person.notes == ["", "That was not accepted. Try again."]


def test_that_a_password_that_must_be_changed_is_told_as_such(start: Start) -> None:
    server = start(PASSWORD)
    server.ask(PASSWORD, expired=[{"prompt": "New password: "}, {"prompt": "Retype new password: "}])
    person = FakePerson(answers=[["secret"], ["better"], ["better"]])
    open_ssh(profile(server), person, None).close()
    assert server.given == ["secret", "better", "better"]
    assert ["choose a new password" in note for note in person.notes] == [False, True, True]


def test_that_a_server_that_hangs_up_after_wrong_passwords_is_told(start: Start) -> None:
    person = FakePerson(answers=[["wrong"]] * 4)
    with pytest.raises(LoginRefusedError, match="hung up because too many logins failed"):
        open_ssh(profile(start(PASSWORD, options=["MaxAuthTries 2"])), person, None)
    assert len(person.prompts) == 2


def test_that_too_many_keys_are_told_as_such(start: Start, own_home: Path) -> None:
    for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
        write_private(Ed25519PrivateKey.generate(), own_home / ".ssh" / name)
    server = start(PASSWORD, options=["MaxAuthTries 2"])
    with pytest.raises(LoginRefusedError, match="hung up because too many keys were tried") as caught:
        open_ssh(profile(server, methods=("key", "keyboard-interactive")), FakePerson(), None)
    assert "IdentitiesOnly" in caught.value.remedy
    assert "key id_ed25519: refused" in caught.value.detail


def test_that_reconnecting_asks_once(start: Start) -> None:
    server = start(PASSWORD)
    person = FakePerson(answers=[["secret"], ["secret"]])
    for times in (1, 2):
        transport = open_ssh(profile(server), person, None)
        server.sshd.cut()
        transport.close()
        assert len(person.prompts) == times


# -- a prompt that imitates "Access Token:" ---------------------------------------------------------------------------


def test_that_the_sites_own_host_gets_the_token(start: Start) -> None:
    server = start({**TOKEN, "expect": ["the-token"]})
    open_ssh(profile(server), FakePerson(), FakeTokens("the-token")).close()
    assert server.given == ["the-token"]


@pytest.mark.parametrize("step", [
    {"prompt": "Access Token: ", "echo": True}, {"prompt": "Access Token (paste it here) > "},
    {"prompt": "Please send your access_token to verify: "}])
def test_that_odd_prompts_for_a_token_are_shown_with_a_warning(start: Start, step: Step) -> None:
    server = start(step)
    person = FakePerson(answers=[["typed"]])
    open_ssh(profile(server), person, FakeTokens("the-token")).close()
    assert server.given == ["typed"]
    assert person.notes[0].startswith("Careful: this asks for an access token.")


def test_that_a_gateway_that_the_profile_does_not_name_gets_no_token(start: Start, own_home: Path,
                                                                    tmp_path: Path) -> None:
    hop = start(TOKEN, name="hop")
    (own_home / ".ssh").mkdir(exist_ok=True)
    (own_home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{hop.sshd.port} {hop.sshd.host_key_line}\n")
    (own_home / ".ssh" / "config").write_text(f"Host 127.0.0.1\n  ProxyJump hop\nHost hop\n  HostName 127.0.0.1\n"
                                              f"  Port {hop.sshd.port}\n  User {hop.sshd.user}\n")
    site = start({**TOKEN, "expect": ["the-token"]}, name="site")
    person = FakePerson(answers=[["typed"]])
    open_ssh(profile(site), person, FakeTokens("the-token")).close()
    assert hop.given == ["typed"]
    assert site.given == ["the-token"]
    assert "is not a host of the site you are signed in for" in person.notes[0]


def test_that_a_server_with_another_key_gets_no_token(start: Start) -> None:
    attacker = start(TOKEN)
    pinned = profile(attacker, host_keys=(public_line(Ed25519PrivateKey.generate()),))
    with pytest.raises(HostKeyChangedError):
        open_ssh(pinned, FakePerson(trusts=True), FakeTokens("the-token"))
    with pytest.raises(HostKeyUnknownError):
        open_ssh(profile(attacker, host_keys=()), FakePerson(trusts=False), FakeTokens("the-token"))
    assert attacker.given == []


def test_that_a_token_for_others_is_not_given(start: Start) -> None:
    import base64
    import json

    body = base64.urlsafe_b64encode(json.dumps({"aud": "somebody-else"}).encode()).decode().rstrip("=")
    server = start(TOKEN)
    person = FakePerson(answers=[["typed"]])
    site = profile(server)
    site = dataclasses.replace(site, identity=dataclasses.replace(site.identity, audience="here"))
    open_ssh(site, person, FakeTokens(f"h.{body}.s")).close()
    assert server.given == ["typed"]


def test_that_a_refused_token_is_not_sent_again(start: Start) -> None:
    server = start({**TOKEN, "expect": ["another"]})
    with pytest.raises(LoginRefusedError, match="did not accept your access token"):
        open_ssh(profile(server), FakePerson(), FakeTokens("the-token"))
    assert server.given == ["the-token"]


def test_that_a_second_prompt_for_a_token_is_shown_to_the_person(start: Start) -> None:
    server = start(TOKEN, TOKEN)
    person = FakePerson(answers=[["typed"]])
    open_ssh(profile(server), person, FakeTokens("the-token")).close()
    assert server.given == ["the-token", "typed"]
    assert "Beamside sent one already" in person.notes[0]


def test_that_nothing_waits_for_a_person_who_left(start: Start) -> None:
    """Cancelling while a prompt is open ends the login without an answer to the server."""
    server = start(PASSWORD)
    person = FakePerson()
    release = threading.Event()

    def leave(*_: object, **__: object) -> None:
        person.cancelled.set()
        release.set()

    person.answer_prompts = leave   # type: ignore[assignment, method-assign]
    with pytest.raises(CancelledByUserError):
        open_ssh(profile(server), person, None)
    assert release.is_set()
    assert server.given == []


def test_that_a_profile_hop_may_have_the_token(start: Start, tmp_path: Path) -> None:
    hop = start({**TOKEN, "expect": ["the-token"]}, name="hop", options=["AllowTcpForwarding yes"])
    with sshd(tmp_path / "inner") as inner:
        key = Ed25519PrivateKey.generate()
        write_private(key, Path.home() / ".ssh" / "id_ed25519")
        inner.allow(public_line(key))
        site = SiteProfile("here", identity=IdentitySettings(IdentityMethod.OIDC, "https://issuer.example"),
                           ssh=SshSettings("localhost", inner.port, inner.user, ("key",), (inner.host_key_line,), None,
                                           (profile(hop).ssh,)))
        open_ssh(site, FakePerson(), FakeTokens("the-token")).close()
    assert hop.given == ["the-token"]
