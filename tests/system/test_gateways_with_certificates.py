"""Certificates on the way: one for all servers, one per gateway, gateways that the authority names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from app.errors import LinkError, LoginRefusedError
from app.model.site import SshSettings
from app.remote.ssh.connect import _Journey, open_ssh
from app.remote.ssh.transport import SshTransport
from app.remote.ssh.user_names import UserNames
from tests.peers.certificate_endpoint import Endpoint, endpoint
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki, make_pki
from tests.peers.sshd import Sshd, UserAuthority, at, sshd
from tests.unit.remote_ssh.authorities import FakeTokens, site

FORWARDING = ("permit-pty", "permit-port-forwarding")

BY_CERTIFICATE: dict[str, Any] = {"user": "", "methods": ("certificate",)}


class Facility:
    """Servers that let certificates in and nothing else."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._pki: Pki = make_pki(folder / "pki")
        self.opened: list[SshTransport] = []

    def server(self, authority: UserAuthority) -> Sshd:
        number = len(list(self._folder.glob("sshd*")))
        return self._stack.enter_context(sshd(self._folder / f"sshd{number}", authority=authority))

    def authority(self, signs: UserAuthority, user: str, **values: Any) -> Endpoint:
        values = {"host": "127.0.0.1", "signing": {"extensions": FORWARDING}, **values}
        return self._stack.enter_context(endpoint(self._pki, signs, {"ada": [user]}, {"the-token": "ada"}, **values))

    def open(self, target: Sshd, authority: Endpoint, *hops: SshSettings, person: FakePerson | None = None,
             tokens: FakeTokens | None = None, **changes: Any) -> SshTransport:
        profile = site(target, authority, **changes)
        profile = dataclasses.replace(profile, ssh=dataclasses.replace(profile.ssh, hops=hops))
        self.opened.append(open_ssh(profile, person or FakePerson(), tokens or FakeTokens()))
        return self.opened[-1]


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    with ExitStack() as stack:
        made = Facility(tmp_path, stack)
        yield made
        for transport in made.opened:
            transport.close()


def test_that_one_certificate_opens_gateway_and_host(facility: Facility) -> None:
    signs = UserAuthority()
    hop, target = facility.server(signs), facility.server(signs)
    authority = facility.authority(signs, target.user)
    assert facility.open(target, authority, at(hop, **BY_CERTIFICATE)).run(["echo", "hi"]).stdout == b"hi\n"
    assert "ED25519-CERT" in hop.log
    assert "ED25519-CERT" in target.log


def test_that_a_gateway_may_have_an_authority_of_its_own(facility: Facility) -> None:
    for_hop, for_target = UserAuthority(), UserAuthority()
    hop, target = facility.server(for_hop), facility.server(for_target)
    own, main = facility.authority(for_hop, hop.user), facility.authority(for_target, target.user)
    transport = facility.open(target, main, at(hop, **BY_CERTIFICATE, certificate_authority=own.settings("conch")))
    assert transport.alive
    with pytest.raises(LoginRefusedError, match=r"127.0.0.1 did not let"):
        facility.open(target, main, at(hop, **BY_CERTIFICATE))   # with the site's certificate only


def test_that_the_gateway_that_the_authority_names_is_taken(facility: Facility) -> None:
    signs = UserAuthority()
    hop, target = facility.server(signs), facility.server(signs)
    authority = facility.authority(signs, target.user, proxy_jump=f"localhost:{hop.port}")
    person = FakePerson(trusts=True)
    transport = facility.open(target, authority, person=person)
    assert transport.alive
    assert [name for name, *_ in person.keys_asked] == [f"the gateway [localhost]:{hop.port}"]
    assert "ED25519-CERT" in hop.log


def test_that_a_certificate_that_forbids_hopping_is_told_as_the_reason(facility: Facility) -> None:
    signs = UserAuthority()
    hop, target = facility.server(signs), facility.server(signs)
    authority = facility.authority(signs, target.user, signing={"extensions": ("permit-pty",)})
    with pytest.raises(LinkError, match=r"certificate does not allow hopping through 127.0.0.1 to 127.0"):
        facility.open(target, authority, at(hop, **BY_CERTIFICATE))


def test_that_a_jump_of_the_user_s_own_may_see_the_certificate_and_never_the_token(facility: Facility,
                                                                                  own_home: Path) -> None:
    signs = UserAuthority()
    hop, target = facility.server(signs), facility.server(signs)
    authority = facility.authority(signs, target.user)
    folder = own_home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "config").write_text(f"Host 127.0.0.1\n  ProxyJump localhost:{hop.port}\n")
    (folder / "config").chmod(0o600)
    (folder / "known_hosts").write_text(f"[localhost]:{hop.port} {hop.host_key_line}\n")
    journey = _Journey(site(target, authority), FakePerson(), FakeTokens(), frozenset(), lambda what, stop: None, None,
                       UserNames())
    jump, host = journey._prepare()
    assert jump.credentials.token is None
    assert host.credentials.token is not None
    assert facility.open(target, authority).alive
    assert "ED25519-CERT" in hop.log
