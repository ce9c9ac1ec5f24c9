"""One Moonshot sign-in in a process of its own: ``python -m app.remote.moonshot.helper``, lines of JSON both ways.

The mechanism prints, blocks, reads the environment and may crash; here that harms nobody. Everything secret comes
through standard input; nothing is written to a file. It ends with its input.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import sys
from typing import Any, TextIO

_MOST_CHARACTERS = 1_000_000
_PR_SET_DUMPABLE = 4


class _Parent:
    """The program that started us."""

    def __init__(self, incoming: TextIO, outgoing: TextIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing

    def hear(self) -> dict[str, Any]:
        line = self._incoming.readline(_MOST_CHARACTERS)
        return dict(json.loads(line)) if line.endswith("\n") else {"op": "quit"}

    def say(self, **values: Any) -> None:
        self._outgoing.write(json.dumps(values) + "\n")
        self._outgoing.flush()


def main() -> int:
    """Serve one exchange; the exit code says nothing."""
    outgoing = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)       # libraries that print must not write into the conversation
    parent = _Parent(os.fdopen(os.dup(0), "r", encoding="utf-8"), outgoing)
    _keep_secrets_in()
    with contextlib.suppress(BrokenPipeError):      # nobody listens any more: nothing to tell
        _serve(parent)
    return 0


def _serve(parent: _Parent) -> None:
    from app.remote.moonshot import gss

    try:
        library = gss.GssLibrary()
    except (OSError, AttributeError) as error:
        parent.say(error="no-gssapi", text=str(error))
        return
    asked = parent.hear()
    mechanism = gss.oid_elements(str(asked.get("mechanism", "")))
    if mechanism not in library.mechanisms():
        parent.say(error="no-mechanism", text=f"{asked['mechanism']} is not among the installed mechanisms")
        return
    parent.say(ready=True)
    start = parent.hear()
    if start.get("op") == "start":
        _exchange(parent, library, mechanism, start)


def _exchange(parent: _Parent, library: Any, mechanism: bytes, start: dict[str, Any]) -> None:
    from app.remote.moonshot import bus, gss

    trust = bus.Trust(start["ca"], start["subject"], frozenset(pin.lower() for pin in start["pins"]))
    service = bus.IdentityService(start["identity"], start["password"], trust)
    # with an identity file the mechanism would not check the RADIUS server's certificate at all
    os.environ.update(DBUS_SESSION_BUS_ADDRESS=service.address, GSSEAP_IDENTITY=os.devnull, MOONSHOT_NO_CLI="1")
    context: gss.Initiator | None = None
    while True:
        try:
            if context is None:
                context = gss.Initiator(library, mechanism, start["host"], start["identity"], start["password"])
                parent.say(ready=True)
            asked = parent.hear()
            if asked["op"] == "step":
                trust.rounds += 1
                token = context.step(base64.b64decode(asked["token"]))
                parent.say(token=base64.b64encode(token).decode(), complete=context.complete)
            elif asked["op"] == "mic":
                parent.say(mic=base64.b64encode(context.mic(base64.b64decode(asked["data"]))).decode())
            else:
                break
        except gss.GssError as error:
            parent.say(error="gss", major=error.major, minor=error.minor, text=str(error),
                       token=base64.b64encode(error.token).decode(), seen=trust.seen, refused=trust.refused,
                       rounds=trust.rounds, seen_at=trust.seen_at)
            if context is None:
                return
    context.close()


def _keep_secrets_in() -> None:
    """No core file and no look into this process' memory, where the system can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
