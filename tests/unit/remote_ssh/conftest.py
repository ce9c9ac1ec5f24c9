"""A real OpenSSH server of the test user's own, and profiles for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.site import SiteProfile, SshSettings
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.pki import Pki, make_pki
from tests.peers.sshd import Sshd, public_line, sshd, write_private


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    need_program("sshd", "openssh-server")
    with sshd(tmp_path / "sshd") as running:
        yield running


@pytest.fixture
def user_key(own_home: Path, server: Sshd) -> Ed25519PrivateKey:
    """A key in ~/.ssh that the server lets in."""
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    server.allow(public_line(key))
    return key


def profile_for(server: Sshd, **changes: Any) -> SiteProfile:
    """A profile that pins the server's key and logs in with the user's."""
    values: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "user": server.user, "methods": ("key",),
                              "host_keys": (server.host_key_line,), **changes}
    return SiteProfile("here", ssh=SshSettings(**values))


@pytest.fixture
def connect(server: Sshd, user_key: Ed25519PrivateKey) -> Iterator[Callable[..., SshTransport]]:
    """Opens connections that are closed after the test."""
    opened: list[SshTransport] = []

    def connect(person: FakePerson | None = None, accepted: frozenset[str] = frozenset(),
                **changes: Any) -> SshTransport:
        opened.append(open_ssh(profile_for(server, **changes), person or FakePerson(), None, accepted))
        return opened[-1]

    yield connect
    for transport in opened:
        transport.close()
