"""How much the links may be used: quality, what is fetched ahead, what is kept on this computer. GUI thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QMenu, QWidget

from app.model.units import bytes_text
from app.session.link_pace import Quality
from app.session.streaming import Streaming
from app.views.labels import allow

QUALITIES = (
    (Quality.AUTOMATIC, "Automatic: coarser pictures while you move on a slow link, then the full one"),
    (Quality.SAVE, "Save data: smaller pictures until you zoom in, nothing fetched ahead"),
    (Quality.FULL, "Full quality: never a coarser picture on the way"),
)
PREFETCH_MB = (0, 50, 200, 1000, 5000)
CACHE_MB = (0, 250, 1000, 5000, 20_000)


class LinkMenu(QMenu):
    """Mirrors and changes what a :class:`Streaming` says."""

    def __init__(self, streaming: Streaming, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._streaming = streaming
        self._qualities = self._choices(self, QUALITIES, streaming.set_quality)
        self.addSeparator()
        self._ahead = self.addMenu("")
        self._amounts = self._choices(self._ahead, [(mb, _words(mb, "an hour")) for mb in PREFETCH_MB],
                                      streaming.set_prefetch_budget)
        self._kept = self.addMenu("")
        self._kept.setToolTipsVisible(True)
        self._limits = self._choices(self._kept, [(mb, _words(mb, "at most")) for mb in CACHE_MB],
                                     streaming.set_cache_limit)
        self._kept.addSeparator()
        self.forget = self._kept.addAction("Forget cached data", streaming.forget_cached)
        self.aboutToShow.connect(self.mirror)
        streaming.changed.connect(self.mirror)
        streaming.forgotten.connect(self.mirror)
        self.mirror()

    def mirror(self) -> None:
        """Say how it is now."""
        streaming = self._streaming
        for actions, chosen in ((self._qualities, streaming.quality), (self._amounts, streaming.prefetch_mb_per_hour),
                                (self._limits, streaming.cache_mb)):
            for value, action in actions.items():
                action.setChecked(value == chosen)
        ahead, kept = streaming.prefetch_mb_per_hour, streaming.cache_mb
        self._ahead.setTitle(f"Fetched ahead: {bytes_text(streaming.prefetched_bytes)} of {_amount(ahead)} this hour"
                             if ahead else "Fetched ahead: nothing")
        held = bytes_text(streaming.cached_bytes)
        self._kept.setTitle(f"Kept on this computer: {held} of {_amount(kept)}" if kept
                            else "Kept on this computer: nothing")
        self.forget.setText(f"Forget cached data ({held})")
        allow(self.forget, streaming.cached_bytes > 0, "Nothing is kept on this computer now.")

    def _choices(self, menu: QMenu, offered: Iterable[tuple[Any, str]],
                 slot: Callable[..., None]) -> dict[Any, QAction]:
        group = QActionGroup(menu)
        found: dict[Any, QAction] = {}
        for value, words in offered:
            action = found[value] = menu.addAction(words)
            action.setCheckable(True)
            action.triggered.connect(functools.partial(_without_checked, functools.partial(slot, value)))
            group.addAction(action)
        return found


def _words(megabytes: int, unit: str) -> str:
    return f"{_amount(megabytes)} {unit}" if megabytes else "Nothing"


def _amount(megabytes: int) -> str:
    """Round amounts, without decimals."""
    return f"{megabytes // 1000} GB" if megabytes >= 1000 else f"{megabytes} MB"


def _without_checked(slot: Callable[[], None], _checked: bool = False) -> None:
    slot()
