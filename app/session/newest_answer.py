"""One question at a time to the site, the newest one. GUI thread only; never waits.

While a mark is dragged the question changes with every pixel: what was asked before is taken back, and not more than
one question is asked in ``PAUSE_MS``. The last one is always asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.session.future_watcher import FutureWatcher

PAUSE_MS = 40

Ask = Callable[[Any, int], Future[Any]]

_epochs = itertools.count(1)           # of all askers: one that takes another's place never seems the older one


class NewestAnswer(QObject):
    """Asks ``ask(question, epoch)`` for the newest question.

    Signals:
        answered(question, answer); failed(question, exception): of the newest question only.
    """

    answered = Signal(object, object)
    failed = Signal(object, object)

    def __init__(self, ask: Ask, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._ask = ask
        self._wanted: Hashable | None = None
        self._asked: Hashable | None = None
        self._flight: FutureWatcher | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._advance)

    def want(self, question: Hashable | None) -> None:
        """Ask this, unless it is being asked already; ``None``: nothing is asked any more."""
        if question == self._wanted:
            return
        self._wanted = question
        self._take_back()
        if question is not None and not self._pause.isActive():
            self._advance()

    def close(self) -> None:
        self.want(None)
        self._pause.stop()

    def _advance(self) -> None:
        if self._wanted is None or self._asked == self._wanted:
            return
        self._asked = self._wanted
        self._pause.start()
        future = self._ask(self._asked, next(_epochs))
        self._flight = FutureWatcher(future, self, self._arrived, self._broke, self._lost)

    def _take_back(self) -> None:
        self._asked = None
        if self._flight is not None:
            self._flight.drop()
            self._flight = None

    def _arrived(self, answer: object) -> None:
        self.answered.emit(self._settle(), answer)

    def _broke(self, error: BaseException) -> None:
        self.failed.emit(self._settle(), error)

    def _lost(self) -> None:
        """Taken back by the other side: whoever wants it still will ask again."""
        self._settle()

    def _settle(self) -> Hashable | None:
        question = self._asked
        self._flight = self._asked = self._wanted = None
        return question
