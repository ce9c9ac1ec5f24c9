"""What real facilities on one machine have in common: visitors with keys, waiting for daemons, the end of it all."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.peers.sshd import Sshd, UserAuthority, public_line, write_private

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
START_S = 90.0          # more than enough for any daemon, on a machine that has much else to do


class Layout(Protocol):
    """Where everything is below ``root``."""

    @property
    def root(self) -> Path: ...


class OneMachine:
    """A facility below one folder, with an SSH server and accounts of this machine."""

    layout: Layout
    sshd: Sshd
    users: tuple[str, str]

    @property
    def port(self) -> int:
        return self.sshd.port

    @property
    def host_key_line(self) -> str:
        """``ssh-ed25519 AAAA…``, for a profile's host_keys."""
        return self.sshd.host_key_line

    @property
    def authority(self) -> UserAuthority:
        return self.sshd.authority

    def key(self, user: str) -> Path:
        """The private key file that lets ``user`` in."""
        return self.layout.root / "ssh" / f"id_{user}"

    def home(self, user: str) -> Path:
        return self.layout.root / "home" / user

    def logs(self, lines: int = 20) -> str:
        """The ends of all logs, for a failed test."""
        return "\n".join(f"== {log.name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
                         for log in self._logs())

    def _logs(self) -> Sequence[Path]:
        return sorted((self.layout.root / "log").glob("*.log"))


def let_in(folder: Path, users: Sequence[str]) -> None:
    """A key for every user, and what sshd asks for it (``authorized_keys.USER``)."""
    for user in users:
        key = Ed25519PrivateKey.generate()
        write_private(key, folder / f"id_{user}")
        (folder / f"authorized_keys.{user}").write_text(public_line(key) + "\n")


def wait_for(what: str, deadline_s: float, condition: Callable[[], bool]) -> None:
    """Wait until ``condition`` holds.

    Raises:
        TimeoutError: it did not in time.
    """
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come in {deadline_s:.0f} s")
        time.sleep(0.05)


def marked(mark: str, but: Collection[int] = ()) -> list[tuple[int, list[bytes]]]:
    """Processes whose environment has ``mark`` (``NAME=value``), with that; none of ``but``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):                # it ended
            words = (folder / "environ").read_bytes().split(b"\0")
            if mark.encode() in words and int(folder.name) not in but:
                found.append((int(folder.name), words))
    return found


def end_marked(mark: str, but: Collection[int] = ()) -> None:
    """SIGKILL to those, and to what they start meanwhile, until none is there (or cannot be ended)."""
    def none_left() -> bool:
        left = marked(mark, but)
        for pid, _words in left:
            kill(pid)
        return not left
    with contextlib.suppress(TimeoutError):
        wait_for("the end of what jobs left", 5, none_left)


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
