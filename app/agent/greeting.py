"""The agent's first words, written before anything else is imported: the client's answer takes a round trip.

What ``framing.marker_line`` and ``messages.encode`` make of the same, without these modules, which take ten times as
long to be imported. Main thread of the front.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import Any, Dict

from app.protocol.version import PROTOCOL_VERSION

_HELLO, _WHOLE = 1, 3
_MESSAGE_BYTES = 1024 * 1024 * 1024


def facts(digest: str) -> Dict[str, Any]:
    """What the agent tells of itself; ``digest``: the SHA-256 of what it runs from."""
    return {"python": sys.version.split()[0], "executable": sys.executable, "host": _host(), "pid": os.getpid(),
            "home": os.path.expanduser("~"), "agent": digest}


def greeting(nonce: str, told: Dict[str, Any]) -> bytes:
    """The marker line and HELLO."""
    hello = {"protocol": PROTOCOL_VERSION, "message_bytes": _MESSAGE_BYTES, "codecs": ["raw"], "credit": 0,
             "facts": told}
    text = json.dumps(hello, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    marker = "BEAMSIDE-AGENT %d %s\n" % (PROTOCOL_VERSION, nonce)
    return marker.encode("ascii") + struct.pack(">IIBBH", len(text), 0, _HELLO, _WHOLE, len(text)) + text


def _host() -> str:
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform
    return platform.node()
