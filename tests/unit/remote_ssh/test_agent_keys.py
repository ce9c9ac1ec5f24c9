"""A real ssh-agent: certificates first, the keys that are meant for a host, and never more than servers stand."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from app.errors import LoginRefusedError
from app.remote.ssh.agent_keys import agent_keys
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.ssh_config import LoginHints
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.sshd import Sshd, public_line, write_private
from tests.unit.remote_ssh.conftest import profile_for


@dataclass
class Agent:
    place: Path
    folder: Path

    def add(self, name: str) -> tuple[Path, str]:
        """A new key in the agent; its file and its public line."""
        key = Ed25519PrivateKey.generate()
        file = write_private(key, self.folder / name)
        subprocess.run([need_program("ssh-add", "openssh-client"), "-q", str(file)], check=True, capture_output=True,
                       env={**os.environ, "SSH_AUTH_SOCK": str(self.place)})
        return file, public_line(key)

    def certify(self, name: str, server: Sshd, user: str) -> Path:
        """A new key with a certificate of the server's authority, in the agent: both of them."""
        key = Ed25519PrivateKey.generate()
        file = write_private(key, self.folder / name)
        file.with_name(f"{name}-cert.pub").write_text(server.authority.sign(public_line(key), [user]))
        subprocess.run([need_program("ssh-add", "openssh-client"), "-q", str(file)], check=True, capture_output=True,
                       env={**os.environ, "SSH_AUTH_SOCK": str(self.place)})
        return file


@pytest.fixture
def make_agent(tmp_path: Path) -> Iterator[Callable[[str], Agent]]:
    pids: list[int] = []

    def begin(name: str) -> Agent:
        place = tmp_path / name
        said = subprocess.run([need_program("ssh-agent", "openssh-client"), "-s", "-a", str(place)],
                              capture_output=True, text=True, check=True).stdout
        pids.append(int(said.split("SSH_AGENT_PID=")[1].split(";")[0]))
        folder = tmp_path / f"{name}-keys"
        folder.mkdir()
        return Agent(place, folder)

    yield begin
    for pid in pids:
        os.kill(pid, signal.SIGTERM)


@pytest.fixture
def agent(make_agent: Callable[[str], Agent], monkeypatch: pytest.MonkeyPatch) -> Agent:
    made = make_agent("agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(made.place))
    return made


def names(hints: LoginHints) -> list[str]:
    with agent_keys(hints) as keys:
        return [f"{'cert ' if '-cert-' in key.get_name() or key.public_blob else ''}{Path(key.comment).name}"
                for key in keys]


def log_in(server: Sshd, **changes: Any) -> FakePerson:
    person = FakePerson()
    open_ssh(profile_for(server, methods=("agent",), **changes), person, None).close()
    return person


def test_that_certificates_come_before_keys(agent: Agent, server: Sshd) -> None:
    for number in range(4):
        agent.add(f"key{number}")
    agent.certify("certified", server, server.user)
    assert names(LoginHints())[0] == "cert certified"
    log_in(server)


def test_that_a_named_key_comes_before_the_others(agent: Agent, own_home: Path) -> None:
    agent.add("one")
    file, public = agent.add("two")
    agent.add("three")
    file.with_name("two.pub").write_text(public)
    assert names(LoginHints((file,))) == ["two", "one", "three"]
    assert names(LoginHints((file,), identities_only=True)) == ["two"]


def test_that_only_usual_keys_count_where_identities_are_named_none(agent: Agent, own_home: Path) -> None:
    agent.add("one")
    assert names(LoginHints(identities_only=True)) == []


def test_that_a_certificate_named_for_a_key_of_the_agent_is_used(agent: Agent, server: Sshd, own_home: Path,
                                                                 tmp_path: Path) -> None:
    _, public = agent.add("bare")
    certificate = tmp_path / "somewhere-cert.pub"
    certificate.write_text(server.authority.sign(public, [server.user]))
    assert names(LoginHints(certificate_files=(certificate,))) == ["cert bare", "bare"]
    (own_home / ".ssh").mkdir(exist_ok=True)
    (own_home / ".ssh" / "config").write_text(f"Host 127.0.0.1\n  CertificateFile {certificate}\n")
    log_in(server)


def test_that_a_certificate_for_another_key_is_not_offered(agent: Agent, server: Sshd, tmp_path: Path) -> None:
    agent.add("bare")
    certificate = tmp_path / "other-cert.pub"
    certificate.write_text(server.authority.sign(public_line(Ed25519PrivateKey.generate()), [server.user]))
    assert names(LoginHints(certificate_files=(certificate, tmp_path / "missing"))) == ["bare"]


def test_that_the_configuration_may_name_another_agent_or_none(
        agent: Agent, make_agent: Callable[[str], Agent], server: Sshd, own_home: Path) -> None:
    other = make_agent("other")
    agent.add("one")
    _, public = other.add("two")
    server.allow(public)
    assert names(LoginHints(agent_socket=str(other.place))) == ["two"]
    assert names(LoginHints(agent_socket="none")) == []
    (own_home / ".ssh").mkdir(exist_ok=True)
    config = own_home / ".ssh" / "config"
    config.write_text(f"Host 127.0.0.1\n  IdentityAgent {other.place}\n")
    log_in(server)
    config.write_text("Host 127.0.0.1\n  IdentityAgent /nowhere/at/all\n")
    with pytest.raises(LoginRefusedError) as caught:
        log_in(server)
    assert "agent: " in caught.value.detail


def test_that_no_more_keys_are_tried_than_a_server_stands(agent: Agent, server: Sshd) -> None:
    for number in range(9):
        agent.add(f"key{number}")
    with pytest.raises(LoginRefusedError, match="did not let") as caught:
        log_in(server)
    lines = caught.value.detail.splitlines()
    assert [line.rpartition(": ")[2] for line in lines] == \
        ["refused"] * 5 + ["not tried, since servers hang up after six refusals"] * 4
    assert "hung up" not in caught.value.summary


def test_that_a_key_file_still_gets_its_turn_after_a_full_agent(agent: Agent, server: Sshd,
                                                                user_key: Ed25519PrivateKey) -> None:
    for number in range(9):
        agent.add(f"key{number}")
    person = FakePerson()
    open_ssh(profile_for(server, methods=("agent", "key")), person, None).close()
    assert person.prompts == []


def test_that_the_same_key_is_not_tried_twice(agent: Agent, server: Sshd, own_home: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = write_private(key, own_home / ".ssh" / "id_ed25519")
    subprocess.run([need_program("ssh-add", "openssh-client"), "-q", str(file)], check=True, capture_output=True)
    with pytest.raises(LoginRefusedError) as caught:
        open_ssh(profile_for(server, methods=("agent", "key")), FakePerson(), None)
    assert len(caught.value.detail.splitlines()) == 1


def test_that_nobody_is_asked_for_the_passphrase_of_a_key_that_was_refused(agent: Agent, server: Sshd,
                                                                           own_home: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = write_private(key, own_home / ".ssh" / "id_ed25519")
    subprocess.run([need_program("ssh-add", "openssh-client"), "-q", str(file)], check=True, capture_output=True)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"open")))
    file.with_name("id_ed25519.pub").write_text(public_line(key))
    person = FakePerson(answers=[["open"]])
    with pytest.raises(LoginRefusedError):
        open_ssh(profile_for(server, methods=("agent", "key")), person, None)
    assert person.prompts == []
    server.allow(public_line(key))
    open_ssh(profile_for(server, methods=("agent", "key")), person, None).close()
