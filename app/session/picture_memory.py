"""What is in memory of one dataset: its pictures, of one state of the file only. GUI thread; no I/O.

The pictures lie in a cache that all panels share and that is bounded by bytes. Those of another generation of the file
are never given out.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

from app.model.data import Block, DataReference, Statistics
from app.session.block_cache import BlockCache
from app.session.picture_keys import Key

Leading = tuple[int, ...]
_MOST_STATISTICS = 2000
_COARSEST_TIMES = 64


class PictureMemory:
    """Pictures and statistics by key."""

    def __init__(self, reference: DataReference, cache: BlockCache | None = None) -> None:
        self._reference = reference
        self._cache = cache if cache is not None else BlockCache()
        self._statistics: OrderedDict[Leading, Statistics] = OrderedDict()
        self._last: dict[bool, tuple[Key, Block]] = {}       # kept however large: the whole frame, the part
        self.generation: tuple[int, int] | None = None

    def take(self, key: Key, block: Block) -> bool:
        """Keep a picture; False when it shows that the file changed: then it alone is kept."""
        same = self.generation is None or self.generation == block.generation
        if not same:
            self.forget()
        self.generation = block.generation
        if key.region is None:
            if block.statistics.count:
                self._remember(key.leading, block.statistics)
            elif key.leading in self._statistics:
                block = dataclasses.replace(block, statistics=self._statistics[key.leading])
        self._cache.put((self._reference, key), block)
        self._last[key.region is None] = (key, block)
        return same

    def get(self, key: Key) -> Block | None:
        last = self._last.get(key.region is None)
        block = last[1] if last is not None and last[0] == key else self._cache.get((self._reference, key))
        return block if block is not None and block.generation == self.generation else None

    def __contains__(self, key: Key) -> bool:
        return self.get(key) is not None

    def whole(self, leading: Leading, factor: int) -> tuple[Key, Block] | None:
        """The frame reduced by ``factor`` or less, unrounded."""
        while factor >= 1:
            key = Key(leading, None, factor)
            block = self.get(key)
            if block is not None:
                return key, block
            factor //= 2
        return None

    def coarse(self, leading: Leading, factor: int) -> tuple[Key, Block] | None:
        """The best there is of a frame that is not reduced as little as ``factor``, or rounded."""
        times = 1
        while times <= _COARSEST_TIMES:
            for draft in (False, True):
                key = Key(leading, None, factor * times, draft)
                block = self.get(key)
                if block is not None:
                    return key, block
            times *= 2
        return None

    def statistics(self, leading: Leading) -> Statistics | None:
        """Of the whole frame at full resolution, once they came."""
        return self._statistics.get(leading)

    def forget(self) -> None:
        """The file changed: nothing of it holds any more."""
        self._cache.drop_all(lambda key: isinstance(key, tuple) and key[0] == self._reference)
        self._statistics.clear()
        self._last.clear()
        self.generation = None

    def _remember(self, leading: Leading, statistics: Statistics) -> None:
        self._statistics[leading] = statistics
        self._statistics.move_to_end(leading)
        while len(self._statistics) > _MOST_STATISTICS:
            self._statistics.popitem(last=False)
