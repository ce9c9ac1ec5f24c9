"""Recently read blocks, bounded by bytes, least recently used first out. One thread; no Qt, no I/O."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

from app.model.data import Block


class BlockCache:
    """A small memory of blocks."""

    def __init__(self, limit_bytes: int = 160 * 2**20) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._blocks: OrderedDict[Hashable, Block] = OrderedDict()

    def get(self, key: Hashable) -> Block | None:
        """The block, which thereby becomes the most recently used."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
        return block

    def put(self, key: Hashable, block: Block) -> None:
        """Keep a block; a block larger than half the limit is not kept."""
        self.drop(key)
        size = _size(block)
        if size > self._limit // 2:
            return
        self._blocks[key] = block
        self._held += size
        while self._held > self._limit:
            _, oldest = self._blocks.popitem(last=False)
            self._held -= _size(oldest)

    def drop(self, key: Hashable) -> None:
        block = self._blocks.pop(key, None)
        if block is not None:
            self._held -= _size(block)

    def drop_all(self, unwanted: Callable[[Hashable], bool]) -> None:
        """Drop the blocks whose keys are unwanted."""
        for key in [key for key in self._blocks if unwanted(key)]:
            self.drop(key)

    def clear(self) -> None:
        self._blocks.clear()
        self._held = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._blocks

    @property
    def limit_bytes(self) -> int:
        return self._limit

    @property
    def held_bytes(self) -> int:
        return self._held


def _size(block: Block) -> int:
    return int(block.values.nbytes) + (int(block.mask.nbytes) if block.mask is not None else 0)
