"""Errors that travel over the wire, and the one for a peer that breaks the protocol. Any thread; no I/O."""

from __future__ import annotations


class WireError(Exception):
    """What went wrong at the far side, in words for a person.

    ``kind`` is one of the kinds of ``app.errors`` (the client turns it into that exception).
    """

    def __init__(self, kind: str, summary: str, detail: str = "", remedy: str = "") -> None:
        super().__init__(summary)
        self.kind = kind
        self.summary = summary
        self.detail = detail
        self.remedy = remedy


class ProtocolError(WireError):
    """The peer sent bytes that are no message of this protocol, or more of them than was announced."""

    def __init__(self, detail: str) -> None:
        super().__init__("agent", "The program beside the data and this one do not understand each other.", detail,
                         "Reconnect; if it happens again, please report it.")
