"""The version of the wire. Both ends say it in HELLO; they must be equal, since the client brings its own agent."""

from __future__ import annotations

PROTOCOL_VERSION = 1
