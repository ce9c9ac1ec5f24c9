"""What the user allows pictures to cost, for all panels: quality, prefetch budget, memory, disk. GUI thread."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Signal

from app.remote.block_store import BlockStore
from app.session.block_cache import BlockCache
from app.session.future_watcher import FutureWatcher
from app.session.link_pace import Quality
from app.session.prefetch_budget import PrefetchBudget

MEMORY_BYTES = 400 * 2**20
MEGABYTE = 1_000_000


class Streaming(QObject):
    """One per program.

    Signals:
        quality_changed(): panels ask again for what they now may have.
        changed(): any of the choices, to be remembered.
        forgotten(): nothing is on the disk any more.
    """

    quality_changed = Signal()
    changed = Signal()
    forgotten = Signal()

    def __init__(self, quality: str = Quality.AUTOMATIC.value, prefetch_mb_per_hour: int = 200,
                 store: BlockStore | None = None, cache_mb: int = 0, parent: QObject | None = None) -> None:
        """``store``: what is kept on this computer's disk, at most ``cache_mb``; ``None``: nothing."""
        super().__init__(parent)
        self.memory = BlockCache(MEMORY_BYTES)
        self.budget = PrefetchBudget(prefetch_mb_per_hour * MEGABYTE)
        self._quality = Quality(quality)
        self._store = store
        self._cache_mb = cache_mb

    @property
    def quality(self) -> Quality:
        return self._quality

    @property
    def prefetch_mb_per_hour(self) -> int:
        return self.budget.bytes_per_hour // MEGABYTE

    @property
    def prefetched_bytes(self) -> int:
        """In the last hour."""
        return self.budget.spent(time.monotonic())

    @property
    def cache_mb(self) -> int:
        return self._cache_mb

    @property
    def cached_bytes(self) -> int:
        """On this computer's disk."""
        return self._store.held_bytes if self._store is not None else 0

    def set_quality(self, quality: Quality) -> None:
        if quality is not self._quality:
            self._quality = quality
            self.quality_changed.emit()
            self.changed.emit()

    def set_prefetch_budget(self, mb_per_hour: int) -> None:
        self.budget.bytes_per_hour = mb_per_hour * MEGABYTE
        self.changed.emit()

    def set_cache_limit(self, mb: int) -> None:
        """What is beyond it goes."""
        self._cache_mb = mb
        if self._store is not None:
            self._store.set_limit(mb * MEGABYTE)
        self.changed.emit()

    def forget_cached(self) -> None:
        """Remove everything from the disk, and from memory."""
        self.memory.clear()
        if self._store is not None:
            FutureWatcher(self._store.clear(), self, lambda _: self.forgotten.emit(), lambda _: self.forgotten.emit())
