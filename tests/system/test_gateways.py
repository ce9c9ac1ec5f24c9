"""Ways over gateways, with real OpenSSH servers: a method per hop, what forbids hopping, who is named when one dies."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import (
    BeamsideError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkError,
    LinkLostError,
    UnreachableError,
)
from app.model.site import SiteProfile, SshSettings
from app.remote.ssh import connect
from app.remote.ssh.authority.certificate import read
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.gateways import Gateway
from app.remote.ssh.host_keys import fingerprint, own_file
from app.remote.ssh.login import Credentials
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.sshd import Sshd, at, public_line, sshd, write_private

Opens = Callable[..., SshTransport]


class Grounds:
    """Servers and a key of the person's; every server lets the key in unless told otherwise."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._opened: list[SshTransport] = []
        self.key = Ed25519PrivateKey.generate()
        write_private(self.key, home / ".ssh" / "id_ed25519")

    def server(self, *options: str, lets_in: bool = True, **more: Any) -> Sshd:
        number = len(list(self._folder.glob("sshd*")))
        made = self._stack.enter_context(sshd(self._folder / f"sshd{number}", options=options, **more))
        if lets_in:
            made.allow(public_line(self.key))
        return made

    def open(self, target: SshSettings, *hops: SshSettings, person: FakePerson | None = None,
             **arguments: Any) -> SshTransport:
        profile = SiteProfile("here", ssh=dataclasses.replace(target, hops=hops))
        self._opened.append(open_ssh(profile, person or FakePerson(), None, **arguments))
        return self._opened[-1]

    def close(self) -> None:
        for transport in self._opened:
            transport.close()
        self._stack.close()


@pytest.fixture
def grounds(tmp_path: Path, own_home: Path) -> Iterator[Grounds]:
    made = Grounds(tmp_path, own_home)
    yield made
    made.close()


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_that_three_gateways_lead_to_the_host_each_through_the_one_before(grounds: Grounds) -> None:
    hops, target = [grounds.server(), grounds.server(), grounds.server()], grounds.server()
    transport = grounds.open(at(target), *map(at, hops))
    assert transport.run(["sh", "-c", "echo $SSH_CONNECTION"]).text.split()[-1] == str(target.port)
    assert all("Starting session" not in hop.log for hop in hops), "no command runs at a gateway"
    assert "Starting session: command" in target.log


def test_that_bytes_pass_unharmed_over_two_gateways(grounds: Grounds) -> None:
    hops, target = [grounds.server(), grounds.server()], grounds.server()
    data = bytes(range(256)) * 20_000
    assert grounds.open(at(target), *map(at, hops)).run(["cat"], stdin=data).stdout == data


def test_that_a_gateway_may_want_a_certificate_and_the_host_the_bare_key(grounds: Grounds, own_home: Path) -> None:
    first, target = grounds.server(lets_in=False), grounds.server()
    certificate = first.authority.sign(public_line(grounds.key), [first.user],
                                       extensions=("permit-pty", "permit-port-forwarding"))
    (own_home / ".ssh" / "id_ed25519-cert.pub").write_text(certificate + "\n")
    transport = grounds.open(at(target), at(first))
    assert transport.alive
    assert "Accepted publickey" in first.log
    assert "ED25519-CERT" in first.log


def test_that_a_certificate_without_forwarding_is_told_as_the_reason(grounds: Grounds,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    hop, target = grounds.server(lets_in=False), grounds.server()
    for options, said in (({}, "does not allow hopping through 127.0.0.1 to 127.0.0.1, port"),
                          ({"force-command": "oinit-switch ada"}, "(it only runs “oinit-switch ada”)")):
        text = hop.authority.sign(public_line(grounds.key), [hop.user], extensions=("permit-pty",), options=options)
        with pytest.raises(LinkError, match="certificate does not allow hopping") as caught:
            through_certificate(grounds, monkeypatch, hop, target, text)
        assert said in caught.value.summary
        assert "permit-port-forwarding" in caught.value.remedy


def through_certificate(grounds: Grounds, monkeypatch: pytest.MonkeyPatch, hop: Sshd, target: Sshd,
                        text: str) -> SshTransport:
    """Open with a certificate as an authority would have given it, for the gateway."""
    from app.remote.ssh.key_files import load_keys

    key = load_keys(Path.home() / ".ssh" / "id_ed25519", None)[0]
    key.load_certificate(text)
    certificate = dataclasses.replace(read(text), user=hop.user)
    real = connect._Journey._credentials
    monkeypatch.setattr(connect._Journey, "_credentials", lambda self, stop, site: Credentials(certificate, key)
                        if stop.port == hop.port else real(self, stop, site))
    return grounds.open(at(target), at(hop, methods=("certificate",)))


def test_that_a_gateway_that_forbids_forwarding_is_told_as_such(grounds: Grounds) -> None:
    hop, target = grounds.server("AllowTcpForwarding no"), grounds.server()
    with pytest.raises(LinkError, match=r"The gateway 127.0.0.1 does not forward connections, so 127.0.0.1, port") as e:
        grounds.open(at(target), at(hop))
    assert "hold_session" in e.value.remedy


def test_that_a_gateway_with_a_forced_command_forwards_all_the_same(grounds: Grounds) -> None:
    hop, target = grounds.server("ForceCommand echo no shell here"), grounds.server()
    assert grounds.open(at(target), at(hop)).run(["echo", "hi"]).stdout == b"hi\n"


def test_that_a_host_the_gateway_cannot_reach_is_told_with_the_gateway(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    with pytest.raises(UnreachableError, match=r"port 1 cannot be reached from the gateway 127.0.0.1"):
        grounds.open(at(target, port=1), at(hop))
    with pytest.raises(UnreachableError, match=r"no-such.invalid cannot be reached from the gateway 127.0.0.1"):
        grounds.open(SshSettings("no-such.invalid", user="ada"), at(hop))


def test_that_something_else_than_ssh_behind_a_gateway_is_told(grounds: Grounds) -> None:
    hop = grounds.server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def answer() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(100)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n<html>")
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(UnreachableError, match=r"through the gateway 127.0.0.1, is a web server"):
            grounds.open(SshSettings("127.0.0.1", listener.getsockname()[1], "ada"), at(hop))
        thread.join(10)


def test_that_a_refused_login_names_the_gateway_that_refused(grounds: Grounds) -> None:
    hop, target = grounds.server(lets_in=False), grounds.server()
    with pytest.raises(BeamsideError, match=r"127.0.0.1 did not let"):
        grounds.open(at(target), at(hop))
    assert "Accepted" not in target.log


@pytest.mark.parametrize("dies", [0, 1])
def test_that_a_gateway_that_dies_is_named(grounds: Grounds, dies: int) -> None:
    hops, target = [grounds.server(), grounds.server()], grounds.server()
    settings = [at(hop, host=name) for hop, name in zip(hops, ("localhost", "127.0.0.1"), strict=True)]
    transport = grounds.open(at(target, host="localhost"), *settings)
    hops[dies].cut()
    wait_until(lambda: not transport.alive)
    with pytest.raises(LinkLostError) as caught:
        transport.run(["true"])
    assert caught.value.summary == (f"The connection to the gateway {settings[dies].host} was lost, and with it the "
                                    "one to localhost.")


def test_that_a_host_that_dies_is_not_blamed_on_its_gateway(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    transport = grounds.open(at(target), at(hop))
    target.cut()
    wait_until(lambda: not transport.alive)
    with pytest.raises(LinkLostError, match=r"The connection to 127.0.0.1 was lost"):
        transport.run(["true"])


def test_that_closing_hangs_up_at_every_gateway(grounds: Grounds) -> None:
    hops, target = [grounds.server(), grounds.server()], grounds.server()
    transport = grounds.open(at(target), *map(at, hops))
    transport.close()
    wait_until(lambda: not any(server.busy for server in (*hops, target)))


def test_that_a_failure_behind_a_gateway_leaves_no_connection_there(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server(lets_in=False)
    with pytest.raises(BeamsideError):
        grounds.open(at(target), at(hop))
    wait_until(lambda: not hop.busy)


def test_that_a_gateway_with_another_key_is_refused_and_named(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    other = public_line(Ed25519PrivateKey.generate())
    person = FakePerson(trusts=True, agrees=True)
    with pytest.raises(HostKeyChangedError, match=r"The gateway \[127.0.0.1\]:\d+ shows another host key") as caught:
        grounds.open(at(target), at(hop, host_keys=(other,)), person=person)
    assert person.keys_asked == []
    assert fingerprint(bytes.fromhex("00")) not in caught.value.detail
    assert "Accepted" not in hop.log, "nothing was given to it"


def test_that_an_unknown_key_of_a_gateway_is_asked_and_kept(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    person = FakePerson(trusts=True)
    grounds.open(at(target, host_keys=()), at(hop, host_keys=()), person=person)
    assert [host for host, *_ in person.keys_asked] == \
        [f"the gateway [127.0.0.1]:{hop.port}", f"[127.0.0.1]:{target.port}"]
    assert len(own_file().read_text().splitlines()) == 2
    again = FakePerson()
    grounds.open(at(target, host_keys=()), at(hop, host_keys=()), person=again)
    assert again.keys_asked == []


def test_that_accepted_fingerprints_hold_for_gateways_too(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    accepted: set[str] = set()
    for _ in range(2):
        with pytest.raises(HostKeyUnknownError) as caught:
            grounds.open(at(target, host_keys=()), at(hop, host_keys=()), accepted_fingerprints=frozenset(accepted))
        accepted.add(caught.value.fingerprint)
    grounds.open(at(target, host_keys=()), at(hop, host_keys=()), accepted_fingerprints=frozenset(accepted))


def test_that_a_user_name_nobody_said_is_asked_for_each_server(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    person = FakePerson(answers=[[hop.user], [target.user]])
    grounds.open(at(target, user="", host="localhost", host_keys=(target.host_key_line,)), at(hop, user=""),
                 person=person)
    assert [title for title, *_ in person.prompts] == ["Log in to 127.0.0.1", "Log in to localhost"]


def test_that_an_empty_answer_means_the_same_user_name_as_at_the_gateway(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    person = FakePerson(answers=[[hop.user], [""]])
    assert grounds.open(at(target, user="", host="localhost"), at(hop, user=""), person=person).alive
    assert [said for _, said, _ in person.prompts] == [
        "", f"Leave it empty if you are “{hop.user}” there too, as at 127.0.0.1."]


def test_that_giving_up_on_the_way_ends_it(grounds: Grounds) -> None:
    hop, target = grounds.server(), grounds.server()
    person = FakePerson()
    with pytest.raises(HostKeyUnknownError):
        grounds.open(at(target, host_keys=()), at(hop), person=person)
    wait_until(lambda: not hop.busy)


def test_that_what_comes_through_a_gateway_is_acknowledged_at_once(grounds: Grounds) -> None:
    """Else each answer of the host waits for the delayed acknowledgement of the one before: 44 ms."""
    hop, target = grounds.server(), grounds.server()
    transport = grounds.open(at(target), at(hop))
    assert transport.run(["echo", "hi"]).stdout == b"hi\n"
    gateway = transport._parents[0]
    assert isinstance(gateway, Gateway)
    real = type(gateway.link.sock).setsockopt
    armed: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(gateway.link.sock), "setsockopt",
                      lambda sock, level, name, value: (armed.append(name), real(sock, level, name, value))[1])
        transport.run(["true"])
    assert set(armed) == {socket.TCP_QUICKACK}
