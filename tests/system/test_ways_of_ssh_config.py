"""Sites as the user's own SSH configuration knows them: aliases, jumps, commands, keys, known_hosts; real servers."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import HostKeyChangedError, HostKeyUnknownError, LoginRefusedError, UsageError
from app.model.site import SiteProfile, SshSettings
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.host_keys import own_file
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.sshd import Sshd, public_line, sshd, write_private


class Laptop:
    """A home with ``.ssh`` and what was opened from it."""

    def __init__(self, home: Path) -> None:
        self.ssh = home / ".ssh"
        self.ssh.mkdir(mode=0o700)
        self.opened: list[SshTransport] = []

    def config(self, text: str) -> None:
        (self.ssh / "config").write_text(text)
        (self.ssh / "config").chmod(0o600)

    def key(self, name: str, *servers: Sshd) -> Ed25519PrivateKey:
        """A key file that ``servers`` let in."""
        made = Ed25519PrivateKey.generate()
        write_private(made, self.ssh / name)
        for server in servers:
            server.allow(public_line(made))
        return made

    def knows(self, *servers: Sshd, name: str = "", hashed: bool = False) -> None:
        file = self.ssh / "known_hosts"
        with file.open("a") as out:
            for server in servers:
                out.write(f"{name or f'[127.0.0.1]:{server.port}'} {server.host_key_line}\n")
        if hashed:
            subprocess.run([need_program("ssh-keygen"), "-qHf", str(file)], capture_output=True, check=True)
            assert "127.0.0.1" not in file.read_text()

    def open(self, alias: str, person: FakePerson | None = None, methods: tuple[str, ...] = ("agent", "key"),
             ) -> SshTransport:
        profile = SiteProfile("here", ssh=SshSettings(alias, methods=methods))
        self.opened.append(open_ssh(profile, person or FakePerson(), None))
        return self.opened[-1]


@pytest.fixture
def laptop(own_home: Path) -> Iterator[Laptop]:
    made = Laptop(own_home)
    yield made
    for transport in made.opened:
        transport.close()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[Sshd]]:
    with sshd(tmp_path / "one") as one, sshd(tmp_path / "two") as two, sshd(tmp_path / "three") as three:
        yield [one, two, three]


def entry(alias: str, server: Sshd, *more: str) -> str:
    return "\n  ".join([f"Host {alias}", "HostName 127.0.0.1", f"Port {server.port}", *more]) + "\n"


def test_that_an_alias_is_all_a_profile_needs(laptop: Laptop, servers: list[Sshd]) -> None:
    site = servers[0]
    laptop.config(entry("site", site, "User " + site.user, "IdentityFile ~/.ssh/work"))
    laptop.key("work", site)
    laptop.knows(site, hashed=True)
    transport = laptop.open("site")
    assert transport.run(["echo", "hi"]).stdout == b"hi\n"
    assert transport.host == "site"
    assert not own_file().exists(), "the user's known_hosts is enough"


def test_that_proxy_jumps_lead_there_each_with_its_own_key(laptop: Laptop, servers: list[Sshd]) -> None:
    first, second, site = servers
    laptop.config(entry("first", first, "IdentityFile ~/.ssh/one", "IdentitiesOnly yes")
                  + entry("second", second, "IdentityFile ~/.ssh/two", "IdentitiesOnly yes")
                  + entry("site", site, "IdentityFile ~/.ssh/three", "ProxyJump first,second"))
    for name, server in (("one", first), ("two", second), ("three", site)):
        laptop.key(name, server)
    laptop.knows(*servers)
    person = FakePerson()
    assert laptop.open("site", person).run(["id", "-un"]).text.strip() == getpass.getuser()
    assert person.prompts == []
    assert [said for said in person.said if said.startswith("Connecting")] == \
        ["Connecting to the gateway first…", "Connecting to the gateway second…", "Connecting to site…"]
    assert "Accepted publickey" in first.log
    assert "Accepted publickey" in second.log


def test_that_a_jump_of_a_jump_is_taken(laptop: Laptop, servers: list[Sshd]) -> None:
    first, second, site = servers
    laptop.config(entry("first", first) + entry("second", second, "ProxyJump first")
                  + entry("site", site, f"ProxyJump {getpass.getuser()}@second:{second.port}"))
    laptop.key("id_ed25519", *servers)
    laptop.knows(*servers)
    laptop.open("site")
    assert "Accepted publickey" in first.log


def test_that_ssh_itself_may_be_the_command(laptop: Laptop, servers: list[Sshd]) -> None:
    first, _, site = servers
    laptop.config(entry("first", first) + entry("site", site, "ProxyCommand "
                  f"{need_program('ssh')} -F {laptop.ssh}/config -i {laptop.ssh}/id_ed25519 "
                  f"-o UserKnownHostsFile={laptop.ssh}/known_hosts -W %h:%p first"))
    laptop.key("id_ed25519", first, site)
    laptop.knows(first, site)
    transport = laptop.open("site")
    data = bytes(range(256)) * 4000
    assert transport.run(["cat"], stdin=data).stdout == data
    assert "Accepted publickey" in first.log


def test_that_only_the_named_key_is_shown_to_a_host(laptop: Laptop, servers: list[Sshd]) -> None:
    site = servers[0]
    laptop.config(entry("site", site, "IdentityFile ~/.ssh/none-such", "IdentitiesOnly yes"))
    laptop.key("id_ed25519", site)   # which would be let in
    laptop.knows(site)
    with pytest.raises(LoginRefusedError) as caught:
        laptop.open("site")
    assert "the files named in ~/.ssh/config are not there" in caught.value.detail


def test_that_a_certificate_named_there_is_used(laptop: Laptop, servers: list[Sshd]) -> None:
    site = servers[0]
    laptop.config(entry("site", site, "IdentityFile ~/.ssh/work", "CertificateFile ~/certs/work.pub"))
    key = laptop.key("work")
    certificate = laptop.ssh.parent / "certs" / "work.pub"
    certificate.parent.mkdir()
    certificate.write_text(site.authority.sign(public_line(key), [site.user]) + "\n")
    laptop.knows(site)
    laptop.open("site")
    assert "ED25519-CERT" in site.log


def test_that_a_host_key_alias_is_what_is_looked_up_and_kept(laptop: Laptop, servers: list[Sshd]) -> None:
    site = servers[0]
    laptop.config(entry("site", site, "HostKeyAlias cluster"))
    laptop.key("id_ed25519", site)
    person = FakePerson(trusts=True)
    laptop.open("site", person)
    assert [name for name, *_ in person.keys_asked] == ["cluster"]
    assert own_file().read_text().startswith("cluster ssh-ed25519 ")
    laptop.open("site")
    own_file().unlink()
    laptop.knows(site, name="cluster", hashed=True)
    laptop.open("site")


def test_that_the_files_named_there_replace_known_hosts(laptop: Laptop, servers: list[Sshd]) -> None:
    site = servers[0]
    laptop.key("id_ed25519", site)
    laptop.knows(site)
    (laptop.ssh / "others").write_text(f"[127.0.0.1]:{site.port} {public_line(Ed25519PrivateKey.generate())}\n")
    laptop.config(entry("site", site, "UserKnownHostsFile ~/.ssh/others"))
    with pytest.raises(HostKeyChangedError, match="shows another host key"):
        laptop.open("site", FakePerson(trusts=True))
    laptop.config(entry("site", site, "UserKnownHostsFile none"))
    with pytest.raises(HostKeyUnknownError):
        laptop.open("site")


def test_that_a_bad_line_is_told(laptop: Laptop) -> None:
    laptop.config("Host site\n  Port twenty-two\n")
    with pytest.raises(UsageError, match=r"config, line 2: Port is a number from 1 to 65535, not “twenty-two”\."):
        laptop.open("site")
