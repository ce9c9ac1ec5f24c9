"""A client as a process of its own, to be killed in the middle of a submission.

Reads one pickled :class:`Order` from standard input, says ``ready``, submits over a real connection and prints the
batch system's id. Run as ``python -m tests.peers.submitting``.
"""

from __future__ import annotations

import contextlib
import pickle
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import paramiko

from app.errors import LinkLostError
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.jobs.draft import Draft
from app.remote.jobs.service import JobService
from app.remote.ssh.transport import SshTransport


@dataclass(frozen=True)
class Address:
    """Where the site's SSH server, or a relay before it, is, and who logs in."""

    host: str
    port: int
    user: str
    key: str


@dataclass(frozen=True)
class Order:
    """What to submit, and where."""

    address: Address
    profile: SiteProfile
    draft: Draft


class Client:
    """One running client: its own connection (made again when it is lost) and its own job service."""

    def __init__(self, address: Address, profile: SiteProfile, recipes: Mapping[str, Recipe]) -> None:
        self._address = address
        self._transport: SshTransport | None = None
        self._links: list[paramiko.Transport] = []
        self._lock = threading.Lock()
        self.jobs = JobService(profile, self.transport, recipes)

    def transport(self) -> SshTransport:
        with self._lock:
            if self._transport is None or not self._transport.alive:
                try:
                    link = paramiko.Transport(socket.create_connection((self._address.host, self._address.port), 10))
                    self._links.append(link)
                    link.start_client(timeout=60)
                    link.auth_publickey(self._address.user,
                                        paramiko.Ed25519Key.from_private_key_file(self._address.key))
                    self._transport = SshTransport(link, self._address.host)
                except (paramiko.SSHException, EOFError, OSError) as error:
                    raise LinkLostError("The connection is lost.") from error
            return self._transport

    def close(self) -> None:
        """End every connection there was, and its threads."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()
            for link in self._links:
                link.close()
                with contextlib.suppress(OSError):
                    link.sock.shutdown(socket.SHUT_RDWR)    # wakes a thread that reads from it
                link.sock.close()
                link.join(10)


def main() -> None:
    order: Order = pickle.load(sys.stdin.buffer)
    client = Client(order.address, order.profile, {order.draft.recipe.name: order.draft.recipe})
    print("ready", flush=True)
    print(client.jobs.submit(order.draft).scheduler_id, flush=True)
    client.close()


if __name__ == "__main__":
    main()
