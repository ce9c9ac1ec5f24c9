"""This computer gets another address while it is connected over real OpenSSH: noticed and mended at once, by itself."""

from __future__ import annotations

import contextlib
import random
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import LinkLostError, UnreachableError
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.connection import Connection, ConnectionState, Patience
from app.remote.ssh.connect import open_ssh
from tests.contract.events import Changes
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.relay import relay
from tests.peers.sshd import public_line, sshd, write_private

pytestmark = pytest.mark.system
DEADLINE_S = 120.0
PATIENT = Patience(lost_s=3600, unresponsive_s=3600, settled_s=0.1)       # silence alone would take an hour


class Network:
    """Addresses of this computer's own, on the loopback device: a server's, and those that one has at home."""

    def __init__(self) -> None:
        self._ip = need_program("ip", "iproute2")
        self._have: list[str] = []
        for net in random.SystemRandom().sample(range(256), 20):       # of those for measurements, which nobody has
            self._net = f"198.18.{net}"
            self.server = f"{self._net}.2"
            with contextlib.suppress(RuntimeError):                    # another test program has it
                self._take(self.server)
                return
        raise RuntimeError("no address could be added to the loopback device")

    def arrive(self, number: int) -> str:
        """Connections to the server come from this address from now on."""
        address = f"{self._net}.{number}"
        self._take(address)
        self._run("route", "replace", "local", self.server, "dev", "lo", "table", "local", "proto", "kernel", "scope",
                  "host", "src", address)
        return address

    def leave(self, address: str) -> None:
        """Without it there is no way to the server (the kernel takes the route away with it)."""
        self._have.remove(address)
        self._run("addr", "del", f"{address}/32", "dev", "lo")

    def end(self) -> None:
        for address in list(reversed(self._have)):
            with contextlib.suppress(RuntimeError):
                self.leave(address)

    def _take(self, address: str) -> None:
        self._run("addr", "add", f"{address}/32", "dev", "lo")
        self._have.append(address)

    def _run(self, *words: str) -> None:
        done = subprocess.run([self._ip, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{words}: {done.stderr}")


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.end()


def test_that_another_address_is_noticed_and_the_link_made_anew_when_there_is_a_way(network: Network, tmp_path: Path,
                                                                                   own_home: Path) -> None:
    need_program("sshd", "openssh-server")
    key, changes = Ed25519PrivateKey.generate(), Changes()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    with sshd(tmp_path / "sshd") as server, relay(("127.0.0.1", server.port), network.server) as way:
        server.allow(public_line(key))
        home = network.arrive(3)
        ssh = SshSettings(network.server, way.port, server.user, ("key",), (server.host_key_line,))
        agent = AgentSettings(python=(shlex.quote(sys.executable),), cache=str(tmp_path / "agent"))
        profile = SiteProfile("far", ssh=ssh, agent=agent)
        connection = Connection(profile, lambda: open_ssh(profile, FakePerson(), None), patience=PATIENT)
        connection.open().result(DEADLINE_S)
        assert connection.transport.endpoints == (home, network.server)  # type: ignore[attr-defined]
        connection.add_listener(changes)

        network.leave(home)
        changes.until(lambda seen: bool(seen) and seen[0][0] is ConnectionState.RECONNECTING)
        assert isinstance(changes.seen[0][1], LinkLostError)
        assert "network changed" in changes.seen[0][1].summary
        changes.until(lambda seen: len(seen) > 4 and isinstance(seen[-1][1], UnreachableError))
        asked = connection.data.list_folder(PurePosixPath("/"))
        left = connection.next_attempt_s or 0.0
        since = time.monotonic()
        network.arrive(4)
        changes.until(lambda seen: seen[-1][0] is ConnectionState.CONNECTED)
        print(f"back {time.monotonic() - since:.2f} s after there was a way; the next attempt was due in {left:.1f} s")
        assert asked.result(DEADLINE_S).entries
        connection.close()
