"""The reads of one panel that are under way, and what becomes of them. GUI thread; never waits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from PySide6.QtCore import QObject

from app.model.data import Block, ReadRequest
from app.remote.seams import PictureData
from app.session.future_watcher import FutureWatcher, Mailbox
from app.session.picture_keys import Key


class Purpose(Enum):
    """What a read is for, with its priority on the wire."""

    DRAFT = 1
    PICTURE = 2
    DETAIL = 3
    STATISTICS = 5
    AHEAD = 4


@dataclass(frozen=True)
class Ask:
    """A read: for which wish (``serial``), of which picture."""

    key: Key
    purpose: Purpose
    serial: int = 0


class Receiver(Protocol):
    """Who is told; on the GUI thread, parts before the end."""

    def part_arrived(self, ask: Ask, block: Block) -> None: ...
    def block_arrived(self, ask: Ask, block: Block) -> None: ...
    def read_failed(self, ask: Ask, error: BaseException) -> None: ...
    def read_cancelled(self, ask: Ask) -> None: ...
    def bytes_streamed(self, ask: Ask, received_bytes: int) -> None: ...


@dataclass(eq=False)
class _Flight:
    ask: Ask
    mailbox: Mailbox
    watcher: FutureWatcher | None = None
    counted: int = 0


class Flights:
    """At most one read per picture."""

    def __init__(self, data: PictureData, view: str, owner: QObject, receiver: Receiver) -> None:
        """``owner``: whose death ends every delivery."""
        self._data = data
        self._view = view
        self._owner = owner
        self._receiver = receiver
        self._flights: dict[Key, _Flight] = {}

    def send(self, ask: Ask, request: ReadRequest, epoch: int) -> None:
        """Ask for a picture that is not under way yet."""
        mailbox = Mailbox(self._owner, functools.partial(self._take_part, ask.key))
        flight = self._flights[ask.key] = _Flight(ask, mailbox)
        if ask.purpose is Purpose.AHEAD:                        # never superseded: its use does not end with a wish
            view, epoch = f"{self._view}/ahead", 0
        elif ask.purpose is Purpose.STATISTICS:
            view = f"{self._view}/statistics"
        else:
            view = self._view
        future = self._data.read(request, priority=ask.purpose.value, view=view, epoch=epoch, on_part=mailbox.post)
        flight.watcher = FutureWatcher(
            future, self._owner, functools.partial(self._settle, flight, self._arrived),
            functools.partial(self._settle, flight, self._failed),
            functools.partial(self._settle, flight, self._cancelled, None))

    def find(self, key: Key) -> Ask | None:
        flight = self._flights.get(key)
        return flight.ask if flight is not None else None

    def adopt(self, key: Key, purpose: Purpose, serial: int) -> bool:
        """What is under way is wanted for this now; False: it is not under way."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.ask = Ask(key, purpose, serial)
        return flight is not None

    def asks(self) -> list[Ask]:
        return [flight.ask for flight in self._flights.values()]

    def count(self, *purposes: Purpose) -> int:
        return sum(1 for flight in self._flights.values() if flight.ask.purpose in purposes)

    def drop(self, unwanted: Callable[[Ask], bool]) -> None:
        """Take back the reads that nobody wants any more."""
        for key, flight in list(self._flights.items()):
            if unwanted(flight.ask):
                del self._flights[key]
                flight.mailbox.drop()
                if flight.watcher is not None:
                    flight.watcher.drop()

    def drop_all(self) -> None:
        self.drop(lambda _ask: True)

    def _take_part(self, key: Key, block: Block) -> None:
        flight = self._flights.get(key)
        if flight is not None:
            self._count(flight, block)
            self._receiver.part_arrived(flight.ask, block)

    def _settle(self, flight: _Flight, then: Callable[[_Flight, object], None], outcome: object) -> None:
        if self._flights.get(flight.ask.key) is flight:
            del self._flights[flight.ask.key]
        flight.mailbox.drop()
        then(flight, outcome)

    def _arrived(self, flight: _Flight, block: object) -> None:
        assert isinstance(block, Block)
        self._count(flight, block)
        self._receiver.block_arrived(flight.ask, block)

    def _failed(self, flight: _Flight, error: object) -> None:
        assert isinstance(error, BaseException)
        self._receiver.read_failed(flight.ask, error)

    def _cancelled(self, flight: _Flight, _nothing: object) -> None:
        self._receiver.read_cancelled(flight.ask)

    def _count(self, flight: _Flight, block: Block) -> None:
        """Bytes are told as the sum so far: what is new is streamed."""
        new, flight.counted = block.bytes_received - flight.counted, max(block.bytes_received, flight.counted)
        if new > 0:
            self._receiver.bytes_streamed(flight.ask, new)
