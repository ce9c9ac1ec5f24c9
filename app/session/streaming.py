"""What the user allows pictures to cost, for all panels: quality, prefetch budget, memory. GUI thread; no I/O."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Signal

from app.session.block_cache import BlockCache
from app.session.link_pace import Quality
from app.session.prefetch_budget import PrefetchBudget

MEMORY_BYTES = 400 * 2**20
MEGABYTE = 1_000_000


class Streaming(QObject):
    """One per program.

    Signals:
        quality_changed(): panels ask again for what they now may have.
    """

    quality_changed = Signal()

    def __init__(self, quality: str = Quality.AUTOMATIC.value, prefetch_mb_per_hour: int = 200,
                 parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.memory = BlockCache(MEMORY_BYTES)
        self.budget = PrefetchBudget(prefetch_mb_per_hour * MEGABYTE)
        self._quality = Quality(quality)

    @property
    def quality(self) -> Quality:
        return self._quality

    def set_quality(self, quality: Quality) -> None:
        if quality is not self._quality:
            self._quality = quality
            self.quality_changed.emit()

    def set_prefetch_budget(self, mb_per_hour: int) -> None:
        self.budget.bytes_per_hour = mb_per_hour * MEGABYTE

    @property
    def prefetched_bytes(self) -> int:
        """In the last hour."""
        return self.budget.spent(time.monotonic())
