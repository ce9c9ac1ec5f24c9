"""What a virtual dataset is put together from: blocks of it, and where in other datasets each comes from.

Understands every selection that is regular along each axis: solid blocks, strided and interleaved ones (taken apart),
selections without end, and numbered series of source files (``%b``, a block each). Asks HDF5 only for properties; opens
nothing. Runs in a worker process of the agent, in one thread.
"""

from __future__ import annotations

import itertools
import re
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np
from h5py import h5s

from app.agent import links
from app.agent.selection import Axis, Plan
from app.agent.storage import fill_value, is_stored_as_read
from app.protocol.chunk_filters import Unusual

MAX_PIECES = 20_000
_NO_END = (h5s.UNLIMITED, 2 ** 64 - 1)

Run = Tuple[int, int]
Touched = Tuple[int, List[int], List[int]]


class Piece(NamedTuple):
    """Where a block of a virtual dataset comes from.

    Attributes:
        file, data_path: the source; the file as it is written, ``"."``: the virtual dataset's own.
        starts: the first index along each axis of the source; ``None``: all of the source was laid down.
        follows: for each axis of the source, the axis of the virtual dataset it runs along; -1: one element of it.
        offsets, totals: of a source that was laid down as a whole, along each axis of the virtual dataset: where in
            it the block begins, and how long it must be.
        open_axis: the axis of the virtual dataset that goes as far as the source does; -1: none.
    """

    file: str
    data_path: str
    starts: Optional[Tuple[int, ...]] = None
    follows: Tuple[int, ...] = ()
    open_axis: int = -1
    offsets: Tuple[int, ...] = ()
    totals: Tuple[int, ...] = ()


class Mapping(NamedTuple):
    """All pieces of a virtual dataset in the order in which they are laid down; first and one past last index of each.

    ``starts``, ``ends``: (pieces, axes) int64.
    """

    pieces: List[Piece]
    starts: Any
    ends: Any
    fill: Any

    def touched(self, plan: Plan) -> List[Touched]:
        """The pieces a plan touches: number, and from where to where along each (ascending) axis of the reply."""
        first = np.array([axis.bounds[0] for axis in plan.axes], np.int64)
        step = np.array([abs(axis.step) for axis in plan.axes], np.int64)
        length = np.array([axis.length for axis in plan.axes], np.int64)
        begin = np.clip(-((first - self.starts) // step), 0, length)
        end = np.clip(-((first - self.ends) // step), 0, length)
        return [(number, begin[number].tolist(), end[number].tolist())
                for number in np.flatnonzero((begin < end).all(axis=1)).tolist()]

    def axes_in(self, shape: Tuple[int, ...], plan: Plan, touched: Touched) -> Tuple[Axis, ...]:
        """What of its source, of this shape, a piece that a plan touches wants.

        Raises:
            Unusual: the source has another shape than the piece needs.
        """
        number, begin, end = touched
        piece = self.pieces[number]
        box = (self.ends[number] - self.starts[number]).tolist()
        starts, follows = piece.starts, piece.follows
        if starts is None:
            follows = _followed(shape, piece.totals)
            starts = tuple(0 if axis < 0 else piece.offsets[axis] for axis in follows)
        if len(shape) != len(starts):
            raise Unusual("a source of another shape")
        axes = []
        for start, axis, whole in zip(starts, follows, shape):
            if axis < 0:
                wanted = Axis(start, 1, 1, False)
            else:
                along = plan.axes[axis]
                inside = along.bounds[0] + begin[axis] * abs(along.step) - int(self.starts[number][axis])
                wanted = Axis(start + inside, end[axis] - begin[axis], abs(along.step), False)
                if axis != piece.open_axis and start + box[axis] > whole:
                    raise Unusual("a source that is too small")
            if wanted.bounds[1] > whole:
                raise Unusual("a source that is too small")
            axes.append(wanted)
        return tuple(axes)

    def within(self, shape: Tuple[int, ...], plan: Plan, touched: Touched) -> Optional[Touched]:
        """As ``touched``, no further than the source goes where the piece has no end; ``None``: nothing is left."""
        number, begin, end = touched
        piece = self.pieces[number]
        if piece.open_axis < 0 or piece.starts is None or piece.open_axis not in piece.follows:
            return touched
        source_axis = piece.follows.index(piece.open_axis)
        if source_axis >= len(shape):
            return touched
        along = plan.axes[piece.open_axis]
        last = int(self.starts[number][piece.open_axis]) + shape[source_axis] - piece.starts[source_axis]
        stop = -((along.bounds[0] - last) // abs(along.step))
        if stop <= begin[piece.open_axis]:
            return None
        return number, begin, [min(n, stop) if axis == piece.open_axis else n for axis, n in enumerate(end)]


def mapping_of(dataset: Any) -> Optional[Mapping]:
    """The pieces of a virtual dataset as it is now; ``None``: HDF5 must read it."""
    plist = dataset.id.get_create_plist()
    count, shape = plist.get_virtual_count(), tuple(int(n) for n in dataset.shape)
    fill = fill_value(dataset, plist)
    if not 0 < count <= MAX_PIECES or fill is None or not is_stored_as_read(dataset):
        return None
    pieces, starts, ends = [], [], []  # type: List[Piece], List[Tuple[int, ...]], List[Tuple[int, ...]]
    try:
        for number in range(count):
            for piece, box in _pieces(plist, number, shape):
                pieces.append(piece)
                starts.append(tuple(a for a, _ in box))
                ends.append(tuple(a + n for a, n in box))
                if len(pieces) > MAX_PIECES:
                    return None
    except Unusual:
        return None
    if not pieces:
        return None
    return Mapping(pieces, np.array(starts, np.int64), np.array(ends, np.int64), fill)


def _pieces(plist: Any, number: int, shape: Tuple[int, ...]) -> Iterator[Tuple[Piece, List[Run]]]:
    """The blocks of one mapping: each piece with (start, length) along each axis of the virtual dataset."""
    file, path = _text(plist.get_virtual_filename(number)), _text(plist.get_virtual_dsetname(number))
    space, source = plist.get_virtual_vspace(number), plist.get_virtual_srcspace(number)
    is_series = "%b" in file or "%b" in path
    if "%" in re.sub("%b", "", file + path) or (is_series and space.get_select_type() != h5s.SEL_HYPERSLABS):
        raise Unusual("a source with an unusual name")
    selected = _selected(space)
    if is_series:
        yield from _series(file, path, selected, source, shape)
        return
    open_axis, virtual = -1, []  # type: int, List[List[Run]]
    for axis, (start, stride, count, block) in enumerate(selected):
        if count in _NO_END or block in _NO_END:
            if (count in _NO_END and stride != block) or (block in _NO_END and count != 1) or open_axis >= 0:
                raise Unusual("a selection without end that has gaps")
            open_axis = axis
            virtual.append([(start, shape[axis] - start)] if shape[axis] > start else [])
        else:
            virtual.append(_runs(start, stride, count, block))
    if source.get_select_type() == h5s.SEL_ALL:
        if open_axis >= 0:
            raise Unusual("a selection without end of a source with one")
        yield from _whole_source(file, path, virtual)
        return
    wanted = _selected(source)
    long = [axis for axis, runs in enumerate(virtual) if axis == open_axis or _total(runs) != 1]
    starts, follows, along = [], [], []  # type: List[int], List[int], List[Tuple[int, List[Run]]]
    for start, stride, count, block in wanted:
        endless = count in _NO_END or block in _NO_END
        if not endless and count * block == 1:
            starts.append(start)
            follows.append(-1)
            continue
        if not long or endless != (long[0] == open_axis) or (endless and count in _NO_END and stride != block):
            raise Unusual("a source selected in another way")
        axis = long.pop(0)
        starts.append(start)
        follows.append(axis)
        along.append((axis, [(start, _total(virtual[axis]))] if endless else _runs(start, stride, count, block)))
    if long:
        raise Unusual("a source of fewer axes")
    pairs = [[(run, run[0]) for run in runs] for runs in virtual]  # type: List[List[Tuple[Run, int]]]
    for axis, runs in along:
        pairs[axis] = _paired(virtual[axis], runs)
    for chosen in _product(pairs):
        place = tuple(chosen[axis][1] if axis >= 0 else start for start, axis in zip(starts, follows))
        yield Piece(file, path, place, tuple(follows), open_axis), [run for run, _ in chosen]


def _whole_source(file: str, path: str, virtual: List[List[Run]]) -> Iterator[Tuple[Piece, List[Run]]]:
    totals = tuple(_total(runs) for runs in virtual)
    for chosen in _product([_paired(runs, [(0, _total(runs))]) for runs in virtual]):
        yield Piece(file, path, None, (), -1, tuple(place for _, place in chosen), totals), [run for run, _ in chosen]


def _series(file: str, path: str, selected: List[Tuple[int, int, int, int]], source: Any,
            shape: Tuple[int, ...]) -> Iterator[Tuple[Piece, List[Run]]]:
    """A block for each number that takes the place of ``%b``, as far as the virtual dataset goes now."""
    if source.get_select_type() != h5s.SEL_ALL:
        raise Unusual("parts of numbered sources")
    endless = [axis for axis, (_, _, count, _) in enumerate(selected) if count in _NO_END]
    if len(endless) != 1 or any(block in _NO_END or (axis != endless[0] and count != 1)
                                for axis, (_, _, count, block) in enumerate(selected)):
        raise Unusual("numbered sources laid out in an unusual way")
    start, stride, _, block = selected[endless[0]]
    fixed = [(first, length) for first, _, _, length in selected]
    for number in range(max(0, -(-(shape[endless[0]] - start) // stride))):
        fixed[endless[0]] = (start + number * stride, block)
        yield Piece(file.replace("%b", str(number)), path.replace("%b", str(number)), None, (), -1, (0,) * len(fixed),
                    tuple(length for _, length in fixed)), list(fixed)


def _selected(space: Any) -> List[Tuple[int, int, int, int]]:
    """(start, stride, count, block) along each axis."""
    kind = space.get_select_type()
    if kind == h5s.SEL_ALL:
        return [(0, int(n), 1, int(n)) for n in space.shape]
    if kind != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise Unusual("a selection that is no block")
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*space.get_regular_hyperslab())]


def _runs(start: int, stride: int, count: int, block: int) -> List[Run]:
    if count == 1 or stride == block:
        return [(start, count * block)]
    if count > MAX_PIECES:
        raise Unusual("too many pieces")
    return [(start + number * stride, block) for number in range(count)]


def _total(runs: List[Run]) -> int:
    return sum(length for _, length in runs)


def _paired(virtual: List[Run], source: List[Run]) -> List[Tuple[Run, int]]:
    """Where each run of an axis comes from, taken apart so that it comes from one run of the source."""
    if _total(virtual) != _total(source):
        raise Unusual("a source of another size")
    pairs, waiting, taken = [], list(source), 0
    for start, length in virtual:
        while length:
            first, count = waiting[0]
            some = min(length, count - taken)
            pairs.append(((start, some), first + taken))
            start, length, taken = start + some, length - some, taken + some
            if taken == count:
                waiting.pop(0)
                taken = 0
    return pairs


def _product(pairs: List[List[Tuple[Run, int]]]) -> Iterator[Tuple[Tuple[Run, int], ...]]:
    count = 1
    for along in pairs:
        count *= len(along)
    if count > MAX_PIECES:
        raise Unusual("too many pieces")
    return itertools.product(*pairs)


def _followed(shape: Tuple[int, ...], box: Tuple[int, ...]) -> Tuple[int, ...]:
    """Which axis of a block each axis of its source runs along: those longer than 1 follow each other in both."""
    long = [axis for axis, length in enumerate(box) if length != 1]
    if [n for n in shape if n != 1] != [box[axis] for axis in long]:
        raise Unusual("a source of another shape")
    return tuple(-1 if n == 1 else long.pop(0) for n in shape)


def _text(value: Any) -> str:
    return links.decoded(value) if isinstance(value, bytes) else str(value)
