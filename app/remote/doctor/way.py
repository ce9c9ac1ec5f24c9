"""The connection itself, server after server, as steps: what was reached, known, logged in to, and which one failed.

Called on the thread that connects. The steps follow what ``open_ssh`` tells its watcher, so that what is examined is
the very way that Beamside goes; nothing is tried twice.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from pathlib import Path

from app.errors import BeamsideError, CancelledByUserError, LinkError, SignInError, UnreachableError
from app.remote.doctor.board import Board, Found, failed, passed, skipped
from app.remote.doctor.listening import Listening
from app.remote.ssh.gateways import UnresponsiveGatewayError
from app.remote.ssh.host_keys import KnownKey, fingerprint, own_file, read_known_hosts
from app.remote.ssh.route import Stop

SSH, HOST_KEY, LOGIN = "ssh", "host_key", "login"
_WORDS = {"reached": "reached", "ssh": "speaks SSH", "host_key": "its key is known", "login": "logged in",
          "session": "its session is held open"}


class Way:
    """Follows one connection.

    Args:
        stops: as planned; a certificate may change them on the way.
    """

    def __init__(self, board: Board, stops: Sequence[Stop], listening: Listening) -> None:
        self._board = board
        self._planned = list(stops)
        self._listening = listening
        self._hops: dict[tuple[str, int], str] = {}
        self._facts: dict[str, list[str]] = {}
        self._current = ""
        self._last: Stop | None = stops[-1] if stops else None
        self._done: list[str] = []          # what has been told of the current server
        self._at = time.monotonic()
        for number, stop in enumerate(stops[:-1], 1):
            self._hops[stop.host, stop.port] = f"hop_{number}"
            board.announce(f"hop_{number}", f"Gateway {stop.where}")
        where = stops[-1].where if stops else ""
        board.announce(SSH, f"SSH at {where}")
        board.announce(HOST_KEY, f"Key of {where}")
        board.announce(LOGIN, f"Login at {where}")

    def begin(self) -> None:
        """Connecting begins."""
        self._at = time.monotonic()
        self._enter(self._hops.get((self._planned[0].host, self._planned[0].port), SSH) if self._planned else SSH)

    def watch(self, what: str, stop: Stop) -> None:
        """As ``open_ssh`` tells it."""
        if what == "reached":
            self._arrive(stop)
        now = time.monotonic()
        self._facts.setdefault(self._current, []).append(
            f"{_WORDS.get(what, what)} ({1000 * (now - self._at):.0f} ms)")
        self._at = now
        self._done.append(what)
        if self._current.startswith("hop_"):
            return
        if what == "ssh":
            self._board.settle(SSH, passed(f"{stop.where} speaks SSH.", self._lines(SSH)))
            self._enter(HOST_KEY)
        elif what == "host_key":
            self._board.settle(HOST_KEY, self._key_found(stop))
            self._enter(LOGIN)

    def arrived(self, user: str, method: str = "") -> None:
        """The connection stands. ``method``: as SSH calls the one that the server took."""
        stop = self._last
        for name in [*self._hops.values(), SSH, HOST_KEY]:
            if not self._board.step(name).is_settled:      # a gateway that was held open before
                self._board.settle(name, skipped("It was open already."))
        methods = f"methods in the profile: {', '.join(stop.methods)}" if stop is not None and stop.methods else ""
        taken = f"taken by the server: {method}" if method else ""
        self._board.settle(LOGIN, passed(f"Logged in as {user}.",
                                         "\n".join(filter(None, (methods, taken, self._lines(LOGIN))))))

    def fail(self, error: BaseException) -> None:
        """Connecting failed; the step it failed at is crossed."""
        if not isinstance(error, BeamsideError):
            error = BeamsideError("Beamside met something unexpected while it connected.",
                                  f"{type(error).__name__}: {error}", "Send the report to the developers.")
        name = self._current or SSH
        forwarding = name.startswith("hop_") and "login" in self._done
        if forwarding and isinstance(error, UnreachableError) and not isinstance(error, UnresponsiveGatewayError):
            following = self._after(name)
            self._board.settle(name, self._hop_found(name))   # it let us through, to nobody
            self._board.begin(following)
            name = following
        elif name == SSH and not self._done and isinstance(error, (SignInError, CancelledByUserError)):
            name = LOGIN                                      # no server was asked: there is nothing to log in with
        self._board.settle(name, self._failure(name, error))

    def _arrive(self, stop: Stop) -> None:
        name = self._hops.get((stop.host, stop.port), "")
        if not name and self._last is not None and stop.name != self._last.name:
            name = f"hop_{len(self._hops) + 1}"               # the certificate authority named a gateway
            self._hops[stop.host, stop.port] = name
            self._board.announce(name, f"Gateway {stop.where}", before=SSH)
        if self._current.startswith("hop_") and "login" in self._done:
            self._board.settle(self._current, self._hop_found(self._current))
        if (name or SSH) != self._current:
            self._done = []
            self._enter(name or SSH)

    def _enter(self, name: str) -> None:
        if not self._board.step(name).is_settled:
            self._board.begin(name)
        self._current = name

    def _after(self, name: str) -> str:
        names = [*self._hops.values()]
        place = names.index(name) + 1
        return names[place] if place < len(names) else SSH

    def _hop_found(self, name: str) -> Found:
        said = [fact.rpartition(" (")[0] for fact in self._facts.get(name, [])]
        words = ", ".join([*said, "it forwards"])
        return passed(f"{words[:1].upper()}{words[1:]}.", self._lines(name))

    def _failure(self, name: str, error: BeamsideError) -> Found:
        extra = self._lines(name)
        if isinstance(error, LinkError) and self._listening.keys:
            host, kind, print_, trusted = self._listening.keys[-1]
            if not trusted:
                extra = f"{extra}\noffered by {host}: {kind} {print_}\nin no list of known keys; nothing was stored"
        asked = self._listening.unanswered
        if isinstance(error, CancelledByUserError) and asked and not error.remedy:
            error = CancelledByUserError(f"{asked}, and got no answer.", error.detail)
        return failed(error, extra)

    def _lines(self, name: str) -> str:
        return "\n".join(self._facts.get(name, []))

    def _key_found(self, stop: Stop) -> Found:
        """Where the key that was accepted is known from."""
        for host, kind, print_, trusted in self._listening.keys:
            if trusted and host in (stop.key_name, stop.host, f"[{stop.host}]:{stop.port}"):
                return passed(f"{kind} {print_}: the person vouched for it just now.")
        known = known_keys(stop)
        lines = "\n".join(f"{key.key_type} {fingerprint(key.blob)} ({key.source})" for key in known)
        if stop.host_keys:
            return passed("It is one of those that the site profile pins.", lines)
        if known:
            return passed(f"It is known from {known[0].source}.", lines)
        return passed("It was vouched for with --accept-host-key.")


def known_keys(stop: Stop) -> list[KnownKey]:
    """What is known of a server's keys, as far as it counts."""
    if stop.host_keys:
        return [KnownKey(line.split()[0], base64.b64decode(line.split()[1]), "the site profile")
                for line in stop.host_keys if len(line.split()) >= 2]
    name = stop.key_name or (stop.host if stop.port == 22 else f"[{stop.host}]:{stop.port}")
    files: list[Path] = [*stop.known_hosts, own_file(), Path("/etc/ssh/ssh_known_hosts")]
    names = [name] if stop.port == 22 or stop.key_name else [name, stop.host]
    return [key for each in names for file in dict.fromkeys(files) for key in read_known_hosts(file, each)
            if not key.revoked]
