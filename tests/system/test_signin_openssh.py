"""What needs root: a disk that is full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.site import SiteProfile, SshSettings
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson
from tests.peers.small_disk import small_disk
from tests.peers.sshd import Sshd, public_line, sshd, write_private


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        yield running


def profile_for(server: Sshd, user: str) -> SiteProfile:
    return SiteProfile("here", ssh=SshSettings("127.0.0.1", server.port, user, ("key",), (server.host_key_line,)))


@pytest.fixture
def key(own_home: Path, server: Sshd) -> Ed25519PrivateKey:
    made = Ed25519PrivateKey.generate()
    write_private(made, own_home / ".ssh" / "id_ed25519")
    server.allow(public_line(made))
    return made


def test_that_a_full_disk_is_told_by_the_command(server: Sshd, key: Ed25519PrivateKey, tmp_path: Path) -> None:
    transport = open_ssh(profile_for(server, server.user), FakePerson(), None)
    with small_disk(tmp_path / "small") as disk:
        result = transport.run(["sh", "-c", 'cat > "$1"', "sh", str(disk / "file")], stdin=os.urandom(200_000))
        assert result.exit_code != 0
        assert "No space left" in result.error_text
        assert transport.run(["echo", "still here"]).stdout == b"still here\n"
    transport.close()
