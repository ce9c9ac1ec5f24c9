"""The picture of a host key is the one that OpenSSH draws."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from app.remote.ssh.randomart import randomart, title_of
from tests.peers.need import need_program


@pytest.mark.parametrize(("kind", "bits"), [("ed25519", 256), ("rsa", 3072), ("rsa", 1024), ("ecdsa", 256),
                                             ("ecdsa", 521)])
def test_that_the_picture_is_openssh_s(tmp_path: Path, kind: str, bits: int) -> None:
    tool = need_program("ssh-keygen", "openssh-client")
    for number in range(3):
        file = tmp_path / f"key{number}"
        subprocess.run([tool, "-q", "-t", kind, "-b", str(bits), "-N", "", "-f", str(file)], check=True)
        drawn = subprocess.run([tool, "-lvf", f"{file}.pub"], capture_output=True, text=True, check=True).stdout
        name, blob = Path(f"{file}.pub").read_text().split()[:2]
        assert randomart(base64.b64decode(blob), title_of(name, bits)).splitlines() == drawn.splitlines()[1:]
