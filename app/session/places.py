"""Where the person was lately: up to twenty targets, newest first. GUI thread; kept by whoever owns the settings."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QObject, Signal

KEPT = 20


class Places(QObject):
    """Recent places as TARGET texts (``SITE:FILE::/data/path``)."""

    changed = Signal()

    def __init__(self, recent: Iterable[str] = (), parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._recent = list(dict.fromkeys(recent))[:KEPT]

    @property
    def recent(self) -> tuple[str, ...]:
        return tuple(self._recent)

    def visit(self, target: str) -> None:
        """Put a place on top."""
        self._recent = [target, *(place for place in self._recent if place != target)][:KEPT]
        self.changed.emit()

    def forget(self, target: str) -> None:
        """Take one place off the list."""
        if target in self._recent:
            self._recent.remove(target)
            self.changed.emit()
