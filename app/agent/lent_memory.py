"""Memory for large frames that is used again: fresh pages cost more than decoding a frame into them.

The system clears every fresh page, a virtual machine may even have to ask its host for it; the C library gives what is
above 32 MB back at once. So a few blocks are kept, and lent again when no array lives in them any more. Called from one
thread of a worker process; arrays may be dropped by any.
"""

from __future__ import annotations

import time
import weakref
from typing import Any, Callable, List, Optional, Tuple

import numpy as np

LEAST_BYTES = 16 * 2 ** 20
MOST_BYTES = 96 * 2 ** 20
PATIENCE_S = 120.0


class _Lease:
    """Lives as long as any array in a block: numpy keeps it as the base of all of them."""

    def __init__(self, memory: Any) -> None:
        self.__array_interface__ = memory.__array_interface__
        self._memory = memory


class _Block:
    def __init__(self, memory: Any) -> None:
        self.memory = memory
        self.used_at = 0.0
        self._lease: Optional[Any] = None

    @property
    def is_free(self) -> bool:
        return self._lease is None or self._lease() is None

    def lend(self, now: float) -> Any:
        lease = _Lease(self.memory)
        self._lease, self.used_at = weakref.ref(lease), now
        return np.asarray(lease)


class LentMemory:
    """Makes large arrays; keeps at most ``most`` bytes for the next ones, and only while some are asked for."""

    def __init__(self, most: int = MOST_BYTES, least: int = LEAST_BYTES,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._least = least
        self._blocks: List[_Block] = []
        self._clock = clock

    @property
    def nbytes(self) -> int:
        """What is kept, lent or not."""
        return sum(int(block.memory.size) for block in self._blocks)

    def empty(self, shape: Tuple[int, ...], dtype: Any) -> Any:
        """As ``numpy.empty``: the values are anything."""
        now, dtype, size = self._clock(), np.dtype(dtype), int(np.dtype(dtype).itemsize)
        for length in shape:
            size *= int(length)
        lent = not dtype.hasobject and self._least <= size <= self._most
        fitting = [block for block in self._blocks if lent and block.is_free and size <= block.memory.size <= 2 * size]
        self._blocks = [block for block in self._blocks
                        if block in fitting or not block.is_free or now - block.used_at <= PATIENCE_S]
        if not lent:
            return np.empty(shape, dtype)
        if not fitting:
            self._make_room(size)
            if self.nbytes + size > self._most:
                return np.empty(shape, dtype)
            fitting = [_Block(np.empty(size, np.uint8))]
            self._blocks += fitting
        return fitting[0].lend(now)[:size].view(dtype).reshape(shape)

    def forget(self) -> None:
        """Keep nothing; arrays that live stay what they are."""
        del self._blocks[:]

    def _make_room(self, size: int) -> None:
        """Drop free blocks, the least used first, until ``size`` more bytes may be kept."""
        for block in sorted(self._blocks, key=lambda one: one.used_at):
            if self.nbytes + size > self._most and block.is_free:
                self._blocks.remove(block)
