"""The helper process seen from here: started, spoken to with deadlines, killed. Blocking; any thread, one at a time.

The password goes through the helper's standard input and nowhere else. What it prints is for the log.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.model.site import MoonshotSettings
from app.remote.moonshot.gss import oid_der

START_S = 20.0
STEP_S = 60.0
_SLICE_S = 0.1
_MOST_BYTES = 1_000_000
_MOST_PRINTED = 8192
_PACKAGES = Path(__file__).resolve().parents[3]     # the folder that has ``app``, in a checkout and when installed
_COMMAND = (sys.executable, "-P", "-m", "app.remote.moonshot.helper")
_HIDDEN = ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "DBUS_STARTER_ADDRESS")
_LOG = logging.getLogger(__name__)


class Secret:
    """A password that does not show itself in logs and tracebacks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"


class HelperError(Exception):
    """The helper could not go on.

    Attributes:
        kind: "no-mechanism", "no-gssapi", "gss" (the mechanism failed) or "helper" (the process did).
        major, minor: GSS status, if ``kind`` is "gss".
        token: what the mechanism wants the server to be told.
        seen, refused: fingerprints of RADIUS certificates: all that were shown, and those that were not trusted.
        rounds: steps taken; ``seen_at``: the step of the last certificate.
    """

    def __init__(self, kind: str, text: str, *, major: int = 0, minor: int = 0, token: bytes = b"",
                 seen: Sequence[str] = (), refused: Sequence[str] = (), rounds: int = 0, seen_at: int = 0) -> None:
        super().__init__(text)
        self.kind = kind
        self.major = major
        self.minor = minor
        self.token = token
        self.seen = tuple(seen)
        self.refused = tuple(refused)
        self.rounds = rounds
        self.seen_at = seen_at


class HelperCancelled(Exception):
    """The person gave up while the helper was working."""


@dataclass(frozen=True)
class Trusted:
    """What makes a RADIUS server's certificate the right one; see ``bus.Trust``."""

    ca: str = ""
    subject: str = ""
    pins: tuple[str, ...] = ()


class Helper:
    """A helper whose mechanism is known to be there.

    Args:
        settings: which mechanism.
        cancelled: asked while waiting.
        command: what to run.

    Raises:
        HelperError: there is no such mechanism on this computer, or the process did not start.
        HelperCancelled: ``cancelled`` said so.
    """

    def __init__(self, settings: MoonshotSettings, cancelled: Callable[[], bool] = lambda: False,
                 command: Sequence[str] = _COMMAND) -> None:
        self.oid_der = _moonshot_oid(settings.mechanism)
        self.complete = False
        self._cancelled = cancelled
        self._unread = b""
        self._printed = bytearray()
        self._secret: Secret | None = None
        if sys.platform != "linux":     # where the mechanism's own ways are others, or there is none
            raise HelperError("no-gssapi", f"not tried on {sys.platform}")
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             stderr=subprocess.PIPE, env=_environment(), cwd="/")
        except OSError as error:
            raise HelperError("helper", f"the sign-in helper did not start: {error}") from None
        self._drain = threading.Thread(target=self._read_printed, name="moonshot-printed", daemon=True)
        self._drain.start()
        try:
            self._ask(START_S, mechanism=settings.mechanism)
        except BaseException:
            self.close()
            raise

    def start(self, host: str, identity: str, password: Secret, trusted: Trusted) -> None:
        """Begin a context with ``host``.

        Raises:
            HelperError: the identity is none.
        """
        self._secret = password
        self._ask(START_S, op="start", host=host, identity=identity, password=password.reveal(), ca=trusted.ca,
                  subject=trusted.subject, pins=list(trusted.pins))

    def step(self, token: bytes) -> bytes:
        """The mechanism's answer to a token of the server's (empty: the first step)."""
        answer = self._ask(STEP_S, op="step", token=base64.b64encode(token).decode())
        self.complete = bool(answer.get("complete"))
        return base64.b64decode(answer.get("token", ""))

    def mic(self, data: bytes) -> bytes:
        """The integrity code over ``data``."""
        answer = self._ask(STEP_S, op="mic", data=base64.b64encode(data).decode())
        return base64.b64decode(answer.get("mic", ""))

    def close(self) -> None:
        """End the process, whatever it does. Idempotent."""
        self._process.kill()
        self._process.wait()
        self._drain.join(5.0)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                _LOG.debug("the sign-in helper ended before it had read everything")
        printed = bytes(self._printed).decode("utf-8", "replace").strip()
        if printed:
            if self._secret is not None and self._secret.reveal():
                printed = printed.replace(self._secret.reveal(), "…")
            _LOG.debug("the sign-in helper printed: %s", printed)
            self._printed.clear()

    def _ask(self, within_s: float, **question: Any) -> dict[str, Any]:
        stdin = self._process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(question).encode() + b"\n")
            stdin.flush()
        except (BrokenPipeError, ValueError):
            raise self._ended() from None
        answer = self._hear(time.monotonic() + within_s)
        if "error" in answer:
            raise HelperError(str(answer["error"]), str(answer.get("text", "")), major=int(answer.get("major", 0)),
                              minor=int(answer.get("minor", 0)), token=base64.b64decode(answer.get("token", "")),
                              seen=answer.get("seen", ()), refused=answer.get("refused", ()),
                              rounds=int(answer.get("rounds", 0)), seen_at=int(answer.get("seen_at", 0)))
        return answer

    def _hear(self, deadline: float) -> dict[str, Any]:
        """The next line that is an answer; anything else is noise."""
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                try:
                    answer = json.loads(line)
                except ValueError:
                    answer = None
                if isinstance(answer, dict):
                    return answer
                _LOG.debug("the sign-in helper wrote something else than an answer")
                continue
            self._read_more(deadline)

    def _read_more(self, deadline: float) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while not select.select([stdout], [], [], _SLICE_S)[0]:
            if self._cancelled():
                raise HelperCancelled
            if time.monotonic() > deadline:
                raise HelperError("helper", "the sign-in helper did not answer in time")
        data = os.read(stdout.fileno(), 65536)
        if not data or len(self._unread) > _MOST_BYTES:
            raise self._ended()
        self._unread += data

    def _ended(self) -> HelperError:
        self._process.kill()
        return HelperError("helper", f"the sign-in helper ended (status {self._process.wait()})")

    def _read_printed(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        with stderr:
            while data := stderr.read1(4096):   # type: ignore[attr-defined]
                self._printed += data[:max(0, _MOST_PRINTED - len(self._printed))]


def _moonshot_oid(dotted: str) -> bytes:
    """The DER encoding, if it is one of Moonshot's: another mechanism would do something else with the password."""
    if not re.fullmatch(r"1\.3\.6\.1\.5\.5\.15\.1\.1\.\d{1,3}", dotted):
        raise HelperError("no-mechanism", f"{dotted!r} is not one of Moonshot's mechanisms")
    return oid_der(dotted)


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    paths = [str(_PACKAGES), *filter(None, [environment.get("PYTHONPATH")])]
    environment.update(OPENSSL_CONF=str(Path(__file__).with_name("legacy.cnf")), GSSEAP_IDENTITY=os.devnull,
                       MOONSHOT_NO_CLI="1", PYTHONPATH=os.pathsep.join(paths))
    return environment
