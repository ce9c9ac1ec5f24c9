"""In which pieces a stack is read when all of it goes into one result: whole chunks, bounded memory, fair order.

A stack is a dataset of two or more axes; its last two are those of a frame, all before are walked through. A slab
is a block of neighbouring frames (or some rows of them) that one read takes: as many frames as a chunk holds, so that
no chunk is unpacked twice, more of them when they are small, and bands of rows when they are large. Blocks come in
bit-reversed order, so that whatever was read so far is spread evenly over the stack. Pure; any thread.
"""

from __future__ import annotations

import itertools
from typing import Iterator, List, NamedTuple, Optional, Tuple

SMALL_BYTES = 4 * 2 ** 20
LARGE_BYTES = 8 * 2 ** 20
LARGEST_BYTES = 20 * 2 ** 20
MOST_CHUNKS = 64  # of a slab along the frames: work is given up between slabs


class Window(NamedTuple):
    """The part of each frame that is read: rows and columns from … to (not included)."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


class Slab(NamedTuple):
    """One piece to be read.

    Attributes:
        leading: the frames, a range per leading axis.
        rows: (first, one past last) row of the frames, counted in the dataset.
        completes: whether its frames are complete when it has been read.
    """

    leading: Tuple[Tuple[int, int], ...]
    rows: Tuple[int, int]
    completes: bool

    @property
    def frames(self) -> int:
        count = 1
        for first, end in self.leading:
            count *= end - first
        return count

    def part(self, window: Window) -> Tuple[slice, ...]:
        """What to read of the dataset."""
        return tuple(slice(first, end) for first, end in self.leading) + (
            slice(*self.rows), slice(window.left, window.right))


class Walk(NamedTuple):
    """How a stack is walked through: the blocks along each leading axis, and the rows of a slab."""

    leading: Tuple[int, ...]
    blocks: Tuple[int, ...]
    window: Window
    rows: Tuple[Tuple[int, int], ...]

    @property
    def frames(self) -> int:
        count = 1
        for length in self.leading:
            count *= length
        return count

    @property
    def slab_elements(self) -> int:
        """Elements of the largest slab."""
        count = max(end - first for first, end in self.rows) * self.window.width
        for length in self.blocks:
            count *= length
        return count

    def slabs(self) -> Iterator[Slab]:
        """All of them, each frame exactly once."""
        along = [[(first, min(first + step, length)) for first in range(0, length, step)]
                 for length, step in zip(self.leading, self.blocks)]
        blocks = list(itertools.product(*along))
        for number in bit_reversed(len(blocks)):
            for rows in self.rows:
                yield Slab(blocks[number], rows, rows is self.rows[-1])


def walk_for(shape: Tuple[int, ...], chunks: Optional[Tuple[int, ...]], itemsize: int, window: Window) -> Walk:
    """How to walk through a dataset of ``shape`` (two or more axes, none of them empty)."""
    leading = shape[:-2]
    stored = chunks or (1,) * len(shape)
    blocks = [min(chunk, length) for chunk, length in zip(stored, leading)]
    row_bytes = itemsize * window.width
    for length in blocks:
        row_bytes *= length
    if leading:
        grown = max(1, SMALL_BYTES // max(1, row_bytes * window.height))
        if chunks:
            grown = min(grown, max(1, MOST_CHUNKS // max(1, window_chunks(window, stored))))
        row_bytes //= blocks[-1]
        blocks[-1] = min(leading[-1], blocks[-1] * grown)
        row_bytes *= blocks[-1]
    while row_bytes > LARGEST_BYTES and max(blocks, default=1) > 1:
        longest = blocks.index(max(blocks))
        row_bytes = row_bytes // blocks[longest] * (blocks[longest] // 2)
        blocks[longest] //= 2
    return Walk(leading, tuple(blocks), window, tuple(_bands(window, stored[-2] if chunks else 1, row_bytes)))


def window_chunks(window: Window, chunks: Tuple[int, ...]) -> int:
    """How many chunks of a frame a window touches."""
    rows, columns = chunks[-2:]
    return ((window.bottom - 1) // rows - window.top // rows + 1) * (
        (window.right - 1) // columns - window.left // columns + 1)


def bit_reversed(count: int) -> Iterator[int]:
    """0 … count − 1 in an order in which any beginning is spread evenly: 0, 4, 2, 6, 1, 5, 3, 7."""
    bits = max(1, (count - 1).bit_length())
    for number in range(1 << bits):
        reverse = int(format(number, "0%db" % bits)[::-1], 2)
        if reverse < count:
            yield reverse


def _bands(window: Window, chunk_rows: int, row_bytes: int) -> List[Tuple[int, int]]:
    """Rows of the window in bands that end where chunks do."""
    step = max(1, LARGE_BYTES // max(1, row_bytes * chunk_rows)) * chunk_rows
    if step * row_bytes > LARGEST_BYTES:
        step = max(1, LARGE_BYTES // row_bytes)
    edges = [window.top] + list(range((window.top // step + 1) * step, window.bottom, step)) + [
        window.bottom]
    return list(zip(edges, edges[1:]))

