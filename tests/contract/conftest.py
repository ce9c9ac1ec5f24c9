"""The implementations that the contract suites run over: transports, and Pythons for the agent.

Another transport is registered by an entry in ``TRANSPORTS``: a context manager that is given an empty folder and
yields a function that opens a new transport each time it is called.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.connection import Connection, Patience
from app.remote.local_transport import LocalTransport
from app.remote.profiles import parse_profile
from app.remote.seams import Transport
from app.remote.ssh.connect import open_ssh
from tests.contract.events import Changes
from tests.peers.demo_facility import running_facility
from tests.peers.interaction import FakePerson
from tests.peers.need import missing, need_program
from tests.peers.sshd import public_line, sshd, write_private

OpenTransport = Callable[[], Transport]
DEBIAN_PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Site:
    """A way in, and what cuts it: ``cut`` kills every connection, ``freeze`` stops the other side without a word."""

    name: str
    open_transport: OpenTransport
    cut: Callable[[], None] | None = None
    freeze: Callable[[bool], None] | None = None


@contextlib.contextmanager
def local_site(folder: Path) -> Iterator[Site]:
    yield Site("local", LocalTransport)


@contextlib.contextmanager
def openssh_site(folder: Path) -> Iterator[Site]:
    need_program("sshd", "openssh-server")
    key = Ed25519PrivateKey.generate()
    with sshd(folder) as server:
        server.allow(public_line(key))
        ssh = SshSettings(host="127.0.0.1", port=server.port, user=server.user, methods=("key",),
                          host_keys=(server.host_key_line,))
        profile = SiteProfile("openssh", ssh=ssh)

        def open_transport() -> Transport:
            write_private(key, Path.home() / ".ssh" / "id_ed25519")     # the home of the test that runs
            return open_ssh(profile, FakePerson(), None)

        yield Site("openssh", open_transport, server.cut, server.freeze)


@contextlib.contextmanager
def demo_site(folder: Path) -> Iterator[Site]:
    with running_facility(folder) as facility:
        profile = parse_profile(facility.profile.read_text("utf-8"), "demo.toml")
        ssh = replace(profile.ssh, user=profile.ssh.user or "visitor1", methods=("keyboard-interactive",))

        def open_transport() -> Transport:
            return open_ssh(replace(profile, ssh=ssh), FakePerson(answers=[[facility.pin]]), None)

        yield Site("demo", open_transport)


TRANSPORTS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Site]]] = {
    "local": local_site, "openssh": openssh_site, "demo": demo_site}
PYTHONS = {"own": shlex.quote(sys.executable), "debian": DEBIAN_PYTHON}


@pytest.fixture(scope="module", params=list(TRANSPORTS))
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Each transport in turn."""
    with TRANSPORTS[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def transport(site: Site) -> Iterator[Transport]:
    made = site.open_transport()
    yield made
    made.close()


@pytest.fixture(scope="module", params=list(PYTHONS))
def python(request: pytest.FixtureRequest) -> str:
    """Each Python the agent must live in."""
    path = PYTHONS[request.param]
    if not Path(path).exists():
        missing(f"{path} with numpy and h5py (packages python3-numpy, python3-h5py)")
    return shlex.quote(path)                  # a profile names it as in a shell


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where agents are put."""
    return tmp_path_factory.mktemp("cache") / "beamside"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The demo facility has one Python; the others are tried over the other transports."""
    left_out = [item for item in items if isinstance(item, pytest.Function) and hasattr(item, "callspec")
                and item.callspec.params.get("site") == "demo" and item.callspec.params.get("python") == "debian"]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


QUICK = Patience(heartbeat_s=0.2, unresponsive_s=2.0, lost_s=5.0)


@pytest.fixture
def connect(site: Site, python: str, cache: Path) -> Iterator[Callable[..., Connection]]:
    """Makes open connections to the site; they are closed at the end."""
    made: list[Connection] = []

    def make(open_transport: OpenTransport | None = None, workers: int = 2, **options: Any) -> Connection:
        profile = SiteProfile("site", agent=AgentSettings(python=(python,), cache=str(cache), workers=workers))
        connection = Connection(profile, open_transport or site.open_transport, **{"patience": QUICK, **options})
        made.append(connection)
        connection.open().result(60)
        return connection

    yield make
    for connection in made:
        connection.close(10)


@pytest.fixture
def connection(connect: Callable[..., Connection]) -> Connection:
    return connect(workers=1)


@pytest.fixture
def changes() -> Changes:
    return Changes()
