"""Which host keys are believed, and from where."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import HostKeyChangedError, HostKeyUnknownError
from app.remote.ssh.host_keys import HostKeys, fingerprint, own_file, read_known_hosts
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.sshd import Sshd, public_line

Connect = Callable[..., SshTransport]


def other_key_line() -> str:
    return public_line(Ed25519PrivateKey.generate())


def fingerprint_by_openssh(file: Path) -> str:
    tool = need_program("ssh-keygen", "openssh-client")
    return subprocess.run([tool, "-lf", str(file)], capture_output=True, text=True, check=True).stdout.split()[1]


def test_that_the_profiles_key_is_believed_without_asking(connect: Connect) -> None:
    person = FakePerson()
    assert connect(person).alive
    assert person.keys_asked == []
    assert not own_file().exists()


def test_that_another_key_than_the_profiles_is_refused(connect: Connect, server: Sshd) -> None:
    person = FakePerson(trusts=True)
    print_ = fingerprint_by_openssh(server.folder / "host_key")
    with pytest.raises(HostKeyChangedError, match="another host key") as caught:
        connect(person, frozenset({print_}), host_keys=(other_key_line(),))
    assert print_ in caught.value.detail
    assert person.keys_asked == []


def test_that_an_unknown_key_is_asked_with_openssh_s_fingerprint_and_stored(connect: Connect, server: Sshd) -> None:
    person = FakePerson(trusts=True)
    connect(person, host_keys=())
    name = f"[127.0.0.1]:{server.port}"
    assert person.keys_asked == [(name, "ssh-ed25519", fingerprint_by_openssh(server.folder / "host_key"))]
    assert own_file().read_text() == f"{name} {server.host_key_line}\n"
    again = FakePerson()
    connect(again, host_keys=())
    assert again.keys_asked == []


def test_that_a_refused_key_is_an_error_that_names_the_fingerprint(connect: Connect, server: Sshd) -> None:
    with pytest.raises(HostKeyUnknownError, match="is not known") as caught:
        connect(FakePerson(trusts=False), host_keys=())
    assert caught.value.fingerprint == fingerprint_by_openssh(server.folder / "host_key")
    assert f"--accept-host-key {caught.value.fingerprint}" in caught.value.remedy
    assert not own_file().exists()


def test_that_an_accepted_fingerprint_is_not_asked(connect: Connect, server: Sshd) -> None:
    person = FakePerson()
    connect(person, frozenset({fingerprint_by_openssh(server.folder / "host_key")}), host_keys=())
    assert person.keys_asked == []
    connect(FakePerson(), host_keys=())   # and it was stored


def test_that_a_changed_key_is_refused_whatever_was_accepted(connect: Connect, server: Sshd) -> None:
    own_file().parent.mkdir(parents=True)
    own_file().write_text(f"[127.0.0.1]:{server.port} {other_key_line()}\n")
    person = FakePerson(trusts=True)
    with pytest.raises(HostKeyChangedError) as caught:
        connect(person, frozenset({fingerprint_by_openssh(server.folder / "host_key")}), host_keys=())
    assert str(own_file()) in caught.value.remedy
    assert person.keys_asked == []


def test_that_the_users_own_known_hosts_is_read_and_never_written(connect: Connect, server: Sshd,
                                                                  own_home: Path) -> None:
    known = own_home / ".ssh" / "known_hosts"
    known.write_text(f"[127.0.0.1]:{server.port} {server.host_key_line}\n")
    tool = need_program("ssh-keygen", "openssh-client")
    subprocess.run([tool, "-Hf", str(known)], capture_output=True, check=True)   # hashed names
    text = known.read_text()
    assert text.startswith("|1|")
    person = FakePerson()
    connect(person, host_keys=())
    assert person.keys_asked == []
    assert known.read_text() == text
    assert not own_file().exists()


def test_that_a_host_that_dropped_its_known_kind_of_key_is_refused(connect: Connect, server: Sshd) -> None:
    own_file().parent.mkdir(parents=True)
    own_file().write_text(f"[127.0.0.1]:{server.port} ecdsa-sha2-nistp256 AAAA\n")
    with pytest.raises(HostKeyChangedError):
        connect(FakePerson(trusts=True), host_keys=())


def test_that_a_revoked_key_is_refused(connect: Connect, server: Sshd) -> None:
    own_file().parent.mkdir(parents=True)
    own_file().write_text(f"@revoked * {server.host_key_line}\n")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        connect(FakePerson(trusts=True), host_keys=())


@pytest.mark.parametrize(("patterns", "name", "hit"), [
    ("host", "host", True),
    ("host", "Host", True),
    ("a,host", "host", True),
    ("*.site.example", "login.site.example", True),
    ("*.site.example,!login.site.example", "login.site.example", False),
    ("log?n", "login", True),
    ("[host]:2222", "[host]:2222", True),
    ("host", "[host]:2222", False),
    ("[host]:2222", "h:2222", False),
    ("|1|broken", "host", False),
])
def test_that_names_match_as_openssh_s_do(tmp_path: Path, patterns: str, name: str, hit: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"# comment\n\n{patterns} {other_key_line()} comment\n")
    assert bool(read_known_hosts(file, name)) is hit


def test_that_broken_lines_and_certificate_authorities_hide_nothing(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(b"host\nhost ssh-ed25519\nhost ssh-ed25519 %%%\n\xff\xfe\n"
                     + f"@cert-authority host {other_key_line()}\nhost {other_key_line()}\n".encode())
    assert [key.source for key in read_known_hosts(file, "host") if key.blob] == [f"{file}, line 6"]


def test_that_known_kinds_of_key_are_asked_for_first() -> None:
    keys = HostKeys("host", 22, ("ssh-rsa AAAA", "ssh-ed25519 AAAA"))
    assert keys.preferred_types == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")


def test_that_a_fingerprint_is_written_as_openssh_does() -> None:
    assert fingerprint(b"abc") == "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0"


def test_that_the_question_comes_with_openssh_s_picture(connect: Connect, server: Sshd) -> None:
    person = FakePerson(trusts=True)
    connect(person, host_keys=())
    tool = need_program("ssh-keygen", "openssh-client")
    drawn = subprocess.run([tool, "-lvf", str(server.folder / "host_key")], capture_output=True, text=True, check=True)
    assert person.pictures == ["\n".join(drawn.stdout.splitlines()[1:])]


def test_that_a_revoked_key_is_refused_even_if_the_profile_names_it(connect: Connect, server: Sshd,
                                                                    own_home: Path) -> None:
    (own_home / ".ssh" / "known_hosts").write_text(f"@revoked * {server.host_key_line}\n")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        connect()


def test_that_the_key_of_the_usual_port_is_as_good_and_another_one_there_says_nothing(
        connect: Connect, server: Sshd, own_home: Path) -> None:
    known = own_home / ".ssh" / "known_hosts"
    known.write_text(f"127.0.0.1 {server.host_key_line}\n")
    connect(host_keys=())
    known.write_text(f"127.0.0.1 {other_key_line()}\n")
    person = FakePerson(trusts=True)
    connect(person, host_keys=())
    assert len(person.keys_asked) == 1
    own_file().unlink()
    known.write_text(f"@revoked 127.0.0.1 {server.host_key_line}\n")
    with pytest.raises(HostKeyChangedError, match="revoked"):
        connect(FakePerson(trusts=True), host_keys=())


def test_that_the_keys_an_administrator_wrote_down_count(connect: Connect, server: Sshd, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "ssh_known_hosts"
    file.write_text(f"[127.0.0.1]:{server.port} {server.host_key_line}\n")
    monkeypatch.setattr("app.remote.ssh.host_keys._SYSTEM_FILES", (file,))
    connect(host_keys=())
    file.write_text(f"[127.0.0.1]:{server.port} {other_key_line()}\n")
    with pytest.raises(HostKeyChangedError):
        connect(FakePerson(trusts=True), host_keys=())


def test_that_a_gateway_is_called_one() -> None:
    keys = HostKeys("host", 22, (other_key_line(),), gateway=True)
    with pytest.raises(HostKeyChangedError, match="The gateway host shows another host key"):
        keys.check(paramiko.ECDSAKey.generate(), FakePerson(trusts=True))
