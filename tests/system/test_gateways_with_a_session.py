"""The gateway that wants an interactive session held open (PSI's kind): one login per user, shared, left in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import (
    CancelledByUserError,
    HostKeyChangedError,
    LinkError,
    LinkLostError,
    LoginRefusedError,
    UnreachableError,
)
from app.model.site import SiteProfile, SshSettings
from app.remote.ssh import gateways, shared_gateways
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.shared_gateways import SHARED
from app.remote.ssh.transport import SshTransport
from tests.peers.holding_gateway import OTP, PASSWORD, HoldingGateway, holding_gateway
from tests.peers.interaction import FakePerson
from tests.peers.sshd import Sshd, public_line, sshd, write_private


def with_password() -> FakePerson:
    return FakePerson(answers=[[PASSWORD], [OTP]])


class Site:
    """A host behind gateways of this kind, and what was opened."""

    def __init__(self, host: Sshd, stack: ExitStack) -> None:
        self.host = host
        self._stack = stack
        self._opened: list[SshTransport] = []

    def gateway(self, **options: Any) -> HoldingGateway:
        return self._stack.enter_context(holding_gateway(**options))

    def open(self, gateway: HoldingGateway, person: FakePerson | None = None, host: SshSettings | None = None,
             watcher: Any = None, **hop: Any) -> SshTransport:
        settings = replace(SshSettings("127.0.0.1", gateway.port, "ada", ("keyboard-interactive",),
                                       (gateway.host_key_line,), hold_session=True), **hop)
        target = host or SshSettings("127.0.0.1", self.host.port, self.host.user, ("key",), (self.host.host_key_line,))
        self._opened.append(open_ssh(SiteProfile("psi", ssh=replace(target, hops=(settings,))),
                                     person or with_password(), None, watcher=watcher))
        return self._opened[-1]

    def close(self) -> None:
        for transport in self._opened:
            transport.close()
        SHARED.close_idle()


@pytest.fixture
def site(tmp_path: Path, own_home: Path) -> Iterator[Site]:
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    with ExitStack() as stack, sshd(tmp_path / "host") as host:
        host.allow(public_line(key))
        made = Site(host, stack)
        stack.callback(made.close)
        yield made


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_that_the_host_is_reached_while_a_session_is_held(site: Site) -> None:
    gateway, person, done = site.gateway(), with_password(), []
    transport = site.open(gateway, person, watcher=lambda what, stop: done.append((what, stop.port)))
    assert transport.run(["echo", "hi"]).stdout == b"hi\n"
    assert gateway.sessions == 1
    assert gateway.forwarded == [("127.0.0.1", site.host.port)]
    assert [prompts[0][0] for _, _, prompts in person.prompts] == ["Password: ", "One-time password: "]
    hop, host = gateway.port, site.host.port
    assert done == [("reached", hop), ("ssh", hop), ("host_key", hop), ("login", hop), ("session", hop),
                    ("reached", host), ("ssh", host), ("host_key", host), ("login", host)]


def test_that_without_the_session_the_gateway_says_what_to_set(site: Site) -> None:
    with pytest.raises(LinkError, match="does not forward connections") as caught:
        site.open(site.gateway(), hold_session=False)
    assert "hold_session" in caught.value.remedy


def test_that_two_connections_share_the_one_login(site: Site) -> None:
    gateway = site.gateway()
    first = site.open(gateway)
    second = site.open(gateway, FakePerson())   # who could not answer
    assert gateway.logins == 1
    first.close()
    assert second.run(["echo", "still here"]).stdout == b"still here\n"
    assert gateway.most_at_once == 1


def test_that_connections_opened_at_once_wait_for_the_one_login(site: Site) -> None:
    gateway, opened = site.gateway(), []
    people = [with_password() for _ in range(4)]
    threads = [threading.Thread(target=lambda person=person: opened.append(site.open(gateway, person)))
               for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(opened) == 4
    assert gateway.logins == 1
    assert sum(len(person.prompts) for person in people) == 2


def test_that_a_site_comes_back_without_another_one_time_password(site: Site) -> None:
    gateway = site.gateway()
    transport = site.open(gateway)
    site.host.cut()
    wait_until(lambda: not transport.alive)
    transport.close()
    again = site.open(gateway, FakePerson())
    assert again.run(["echo", "back"]).stdout == b"back\n"
    assert gateway.logins == 1


def test_that_a_gateway_nobody_uses_is_left_after_a_while(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_gateways, "KEPT_S", 0.1)
    gateway = site.gateway()
    site.open(gateway).close()
    wait_until(lambda: gateway.open_logins == 0)
    site.open(gateway)
    assert gateway.logins == 2


def test_that_a_gateway_that_dies_is_named_and_logged_in_to_anew(site: Site) -> None:
    gateway = site.gateway()
    transport = site.open(gateway)
    gateway.cut()
    wait_until(lambda: not transport.alive)
    with pytest.raises(LinkLostError, match=r"The connection to the gateway 127.0.0.1 was lost, and with it the"):
        transport.run(["true"])
    transport.close()
    site.open(gateway)
    assert gateway.logins == 2


def test_that_the_end_of_the_session_is_the_end_of_the_gateway(site: Site) -> None:
    gateway = site.gateway()
    transport = site.open(gateway)
    gateway.end_sessions()
    wait_until(lambda: not transport.alive)
    with pytest.raises(LinkLostError, match="the gateway"):
        transport.run(["true"])


def test_that_a_session_that_talks_a_lot_does_not_stand_still(site: Site) -> None:
    transport = site.open(site.gateway(talks=True))
    assert transport.run(["cat"], stdin=b"x" * 3_000_000).stdout == b"x" * 3_000_000


def test_that_a_gateway_that_needs_a_moment_gets_it(site: Site) -> None:
    gateway = site.gateway(settles_after=3)
    assert site.open(gateway).alive
    assert gateway.settles_after == 0


def test_that_a_gateway_that_never_lets_through_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "_READY_S", 0.5)
    with pytest.raises(LinkError, match=r"does not let connections through to 127.0.0.1, .* although its session") as e:
        site.open(site.gateway(settles_after=10**9))
    assert "Keep this session open." in e.value.detail


def test_that_a_gateway_that_ends_the_session_at_once_is_told(site: Site) -> None:
    with pytest.raises(LinkError, match=r"the gateway 127.0.0.1|The gateway 127.0.0.1"):
        site.open(site.gateway(shell=False))


def test_that_a_wrong_one_time_password_is_asked_again_and_then_told(site: Site) -> None:
    gateway = site.gateway()
    person = FakePerson(answers=[[PASSWORD], ["000000"], [PASSWORD], [OTP]])
    assert site.open(gateway, person).alive
    with pytest.raises(LoginRefusedError, match=r"127.0.0.1 did not .* grace"):
        site.open(gateway, FakePerson(answers=[["no"]] * 9), user="grace")
    with pytest.raises(CancelledByUserError):
        site.open(gateway, FakePerson(), user="eve")


def test_that_another_user_does_not_get_the_login_of_the_first(site: Site) -> None:
    gateway = site.gateway()
    site.open(gateway)
    with pytest.raises(CancelledByUserError):
        site.open(gateway, FakePerson(), user="grace")


def test_that_a_shared_gateway_is_held_to_every_profile_s_pin(site: Site) -> None:
    gateway = site.gateway()
    site.open(gateway)
    with pytest.raises(HostKeyChangedError, match="The gateway"):
        site.open(gateway, host_keys=(public_line(Ed25519PrivateKey.generate()),))


def test_that_a_gateway_in_the_middle_is_caught_by_the_host_s_key(site: Site, tmp_path: Path) -> None:
    with sshd(tmp_path / "impostor") as impostor:
        impostor.allow(public_line(Ed25519PrivateKey.generate()))
        gateway = site.gateway(diverts_to=("127.0.0.1", impostor.port))
        person = with_password()
        with pytest.raises(HostKeyChangedError, match=r"\[127.0.0.1\]:\d+ shows another host key than the one known"):
            site.open(gateway, person)
        assert len(person.prompts) == 2, "the gateway's own; nothing for the impostor"
        assert "publickey" not in impostor.log


def test_that_a_frozen_gateway_left_from_before_is_replaced(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "FORWARD_S", 1.0)
    gateway = site.gateway()
    site.open(gateway).close()
    holding = threading.Event()
    gateway.loop.call_soon_threadsafe(holding.wait, 3)   # the server's thread stands still
    transport = site.open(gateway, FakePerson(answers=[[PASSWORD], [OTP]] * 3))
    holding.set()
    assert transport.alive
    assert gateway.logins == 2


def test_that_an_unreachable_host_is_told_and_the_gateway_kept(site: Site) -> None:
    gateway = site.gateway()
    with pytest.raises(UnreachableError, match=r"port 1 cannot be reached from the gateway 127.0.0.1"):
        site.open(gateway, host=SshSettings("127.0.0.1", 1, "ada"))
    site.open(gateway, FakePerson())
    assert gateway.logins == 1


def test_that_three_servers_may_want_three_kinds_of_login(site: Site, tmp_path: Path, own_home: Path) -> None:
    """A one-time password, a certificate, a key; the gateway with the session is the first of two."""
    gateway = site.gateway()
    with sshd(tmp_path / "second") as second:
        key = Ed25519PrivateKey.generate()
        write_private(key, own_home / ".ssh" / "work")
        (own_home / ".ssh" / "work-cert.pub").write_text(second.authority.sign(
            public_line(key), [second.user], extensions=("permit-port-forwarding",)))
        config = own_home / ".ssh" / "config"
        config.write_text(f"Match host 127.0.0.1 user {second.user}\n  IdentityFile ~/.ssh/work\n"
                          "  IdentityFile ~/.ssh/id_ed25519\n")
        config.chmod(0o600)
        hops = (SshSettings("127.0.0.1", gateway.port, "ada", ("keyboard-interactive",), (gateway.host_key_line,),
                            hold_session=True),
                SshSettings("127.0.0.1", second.port, second.user, ("key",), (second.host_key_line,)))
        host = SshSettings("127.0.0.1", site.host.port, site.host.user, ("key",), (site.host.host_key_line,), hops=hops)
        transport = open_ssh(SiteProfile("psi", ssh=host), with_password(), None)
        try:
            assert transport.run(["echo", "hi"]).stdout == b"hi\n"
            assert gateway.forwarded == [("127.0.0.1", second.port)]
            assert "ED25519-CERT" in second.log
            second.cut()
            wait_until(lambda: not transport.alive)
            with pytest.raises(LinkLostError, match=r"the gateway 127.0.0.1 was lost"):
                transport.run(["true"])
        finally:
            transport.close()
        again = open_ssh(SiteProfile("psi", ssh=host), FakePerson(), None)
        again.close()
        assert gateway.logins == 1, "only the second server was logged in to anew"


def test_that_waiting_for_somebody_else_s_login_can_be_given_up(site: Site) -> None:
    gateway, asked, go_on = site.gateway(), threading.Event(), threading.Event()

    class Slow(FakePerson):
        def answer_prompts(self, *arguments: Any, **named: Any) -> list[str] | None:
            asked.set()
            go_on.wait(90)
            return super().answer_prompts(*arguments, **named)

    first = threading.Thread(target=lambda: site.open(gateway, Slow(answers=[[PASSWORD], [OTP]])))
    first.start()
    assert asked.wait(90)
    impatient = FakePerson()
    impatient.cancelled.set()
    with pytest.raises(CancelledByUserError):
        site.open(gateway, impatient)
    go_on.set()
    first.join(30)
    assert gateway.logins == 1
