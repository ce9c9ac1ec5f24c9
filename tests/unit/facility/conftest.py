"""The demo facility for the tests of this folder: one process, small data, a minute of batch time lasts two seconds."""

from __future__ import annotations

from tests.peers.demo_facility import demo_facility

__all__ = ["demo_facility"]
