"""One fetch of a level of the files tree, which remembers the row that asked. GUI thread."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any, Protocol

from PySide6.QtCore import QObject

from app.session.future_watcher import FutureWatcher


class LevelTaker(Protocol):
    """Whom the answers are for."""

    def take_level(self, key: int, level: Any) -> None: ...

    def fail_level(self, key: int, error: BaseException) -> None: ...

    def forget_level(self, key: int) -> None: ...


class LevelWatcher(FutureWatcher):
    """Hands the answer for the row ``key`` to ``taker``, which is ``parent``, too."""

    def __init__(self, future: Future[Any], parent: QObject, taker: LevelTaker, key: int) -> None:
        self._taker, self._key = taker, key
        super().__init__(future, parent, self._arrived, self._broke, self._dropped)

    def _arrived(self, level: Any) -> None:
        self._taker.take_level(self._key, level)

    def _broke(self, error: BaseException) -> None:
        self._taker.fail_level(self._key, error)

    def _dropped(self) -> None:
        self._taker.forget_level(self._key)
