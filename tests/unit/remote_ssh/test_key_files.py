"""The user's own key files: which are tried for a host, with which certificates, and whose public key is in them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.remote.ssh.key_files import LockedKeyError, files_to_try, load_keys, public_blob
from app.remote.ssh.ssh_config import LoginHints
from tests.peers.need import need_program
from tests.peers.sshd import UserAuthority, public_line, write_private


def made_by_openssh(file: Path, *options: str) -> bytes:
    """A key pair; the public key in wire format."""
    tool = need_program("ssh-keygen", "openssh-client")
    file.parent.mkdir(exist_ok=True)
    subprocess.run([tool, "-q", "-f", str(file), *options], check=True)
    return base64.b64decode(file.with_name(file.name + ".pub").read_text().split()[1])


def test_that_the_usual_files_are_tried_unless_others_are_named(own_home: Path) -> None:
    folder = own_home / ".ssh"
    for name in ("id_rsa", "id_ed25519", "work"):
        write_private(Ed25519PrivateKey.generate(), folder / name)
    assert [file.name for file in files_to_try(LoginHints())] == ["id_ed25519", "id_rsa"]
    assert files_to_try(LoginHints((folder / "work", folder / "missing"))) == [folder / "work"]
    assert files_to_try(LoginHints(no_keys=True)) == []


def test_that_a_public_key_that_is_named_is_not_tried_as_a_private_one(own_home: Path) -> None:
    file = own_home / ".ssh" / "work"
    made_by_openssh(file, "-t", "ed25519", "-N", "")
    assert files_to_try(LoginHints((file.with_name("work.pub"), file))) == [file]


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("passphrase", ["", "wörd"])
def test_that_keys_of_openssh_are_read(own_home: Path, kind: str, passphrase: str) -> None:
    blob = made_by_openssh(own_home / ".ssh" / "key", "-t", kind, "-N", passphrase)
    file = own_home / ".ssh" / "key"
    assert [key.asbytes() for key in load_keys(file, passphrase or None)] == [blob]
    if passphrase:
        with pytest.raises(LockedKeyError):
            load_keys(file, None)
        with pytest.raises(LockedKeyError):
            load_keys(file, "other")
    assert public_blob(file) == blob
    file.with_name("key.pub").unlink()
    assert public_blob(file) == blob, "it stands in the private file, locked or not"
    assert public_blob(own_home / "missing") is None


def test_that_the_certificates_of_a_key_are_tried_before_it_and_those_of_others_not(own_home: Path) -> None:
    folder, authority = own_home / ".ssh", UserAuthority()
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    write_private(key, folder / "work")
    for name, line in (("work-cert.pub", public_line(key)), ("more.pub", public_line(key)),
                       ("theirs.pub", public_line(other))):
        (folder / name).write_text(authority.sign(line, ["ada"]) + "\n")
    (folder / "broken.pub").write_text("ssh-ed25519-cert-v01@openssh.com AAAA\n")
    hints = LoginHints((), tuple(folder / name for name in ("more.pub", "theirs.pub", "broken.pub", "missing.pub")))
    keys = load_keys(folder / "work", None, hints)
    assert [key.public_blob is not None for key in keys] == [True, True, False]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END x-----\n",
                                  b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA/////w==\n-----END x-----",
                                  b"ssh-ed25519 %%%", bytes(range(256))])
def test_that_other_files_have_no_public_key(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    assert not public_blob(tmp_path / "file")
