"""Reading virtual datasets from the datasets they are put together from, each the fastest way there is.

Understands blocks of fixed size taken from blocks of the same size, which is what detectors and scans write; a source
file that is not there reads as the fill value, as HDF5 does it. Everything else, and every doubt, is left to HDF5
(``None``). Runs in a worker process of the agent, in one thread. Other datasets go to :mod:`app.agent.direct`.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import Any, List, NamedTuple, Optional, Tuple

import h5py
import numpy as np
from h5py import h5d, h5o, h5s

from app.agent import links
from app.agent.direct import DirectReader, Stored
from app.agent.opening import OpenFiles
from app.agent.selection import Axis, Plan
from app.agent.sources import located
from app.agent.storage import SETTLED_NS, descriptor_of, fill_value, is_stored_as_read
from app.protocol.chunk_filters import Unusual
from app.protocol.errors import WireError

MAX_PIECES = 20_000
MAX_COMPARED = 2000
_KEPT = 4
_LEFT_TO_HDF5 = (Unusual, links.BrokenLink, OSError, RuntimeError, KeyError, ValueError, TypeError,
                 NotImplementedError, AttributeError)  # the last: an h5py that cannot tell what is needed


class Piece(NamedTuple):
    """Where a block of a virtual dataset comes from; without a block: the whole of the source, whatever its shape."""

    file: str
    data_path: str
    block: Optional[Tuple[Tuple[int, ...], Tuple[int, ...]]]


class Mapping(NamedTuple):
    """All pieces of a virtual dataset: first and one past last index of each, (pieces, axes) int64."""

    pieces: List[Piece]
    starts: Any
    ends: Any
    fill: Any


class SourceReader:
    """Reads datasets without HDF5 where that can be, virtual ones from their sources.

    ``cache_bytes`` bounds the decoded chunks it keeps.
    """

    def __init__(self, cache_bytes: int = 64 * 2 ** 20) -> None:
        self._direct = DirectReader(cache_bytes)
        self._files = OpenFiles()
        self._mappings = OrderedDict()  # type: OrderedDict[Any, Optional[Mapping]]

    def read(self, dataset: Any, plan: Plan, file_path: str) -> Optional[Any]:
        """The values of a plan, with the axes of the dataset (dropped ones are 1 long); ``None``: ask HDF5."""
        if not plan.axes:
            return None
        try:
            if dataset.id.get_create_plist().get_layout() != h5d.VIRTUAL:
                return self._direct.read(dataset, plan)
            return self._read_virtual(dataset, plan, file_path)
        except _LEFT_TO_HDF5:
            return None
        finally:
            self._files.close()  # who opens a source next, HDF5 too, must see it as it is then

    def stored_chunk(self, dataset: Any, plan: Plan, file_path: str) -> Optional[Stored]:
        """The one stored chunk, of a virtual dataset that of its source, that holds the selection and nothing else.

        It may be one that cannot be decoded here. ``None``: there is none.
        """
        if not plan.axes:
            return None
        try:
            if dataset.id.get_create_plist().get_layout() != h5d.VIRTUAL:
                return self._direct.stored_chunk(dataset, plan)
            return self._stored_virtual(dataset, plan, file_path)
        except _LEFT_TO_HDF5:
            return None
        finally:
            self._files.close()  # who opens a source next, HDF5 too, must see it as it is then

    def sources_of(self, dataset: Any, plan: Plan, file_path: str) -> Optional[List[str]]:
        """The other files that the values of a plan of a virtual dataset come from; ``None``: not known."""
        try:
            mapping = self._mapping_of(dataset) if plan.axes else None
        except (OSError, RuntimeError, ValueError, TypeError, NotImplementedError, AttributeError):
            mapping = None
        if mapping is None:
            return None
        names = OrderedDict((mapping.pieces[number].file, None) for number, _, _ in _touched(mapping, plan))
        return [located(name, file_path) for name in names if name != "."]

    def close(self) -> None:
        """Forget everything."""
        self._direct.close()
        self._mappings.clear()

    def _read_virtual(self, dataset: Any, plan: Plan, file_path: str) -> Optional[Any]:
        mapping = self._mapping_of(dataset)
        if mapping is None:
            return None
        out = np.full(plan.full_counts, mapping.fill, dataset.dtype)
        ascending = out[tuple(slice(None, None, -1) if axis.step < 0 else slice(None) for axis in plan.axes)]
        for touched in _touched(mapping, plan):
            target = ascending[tuple(slice(a, b) for a, b in zip(*touched[1:]))]
            source = self._source(dataset, file_path, mapping.pieces[touched[0]])
            if source is not None:
                self._fill(source, _axes_in(source, mapping, plan, touched), target)
        return out

    def _stored_virtual(self, dataset: Any, plan: Plan, file_path: str) -> Optional[Stored]:
        mapping = self._mapping_of(dataset)
        touched = _touched(mapping, plan) if mapping is not None else []
        if mapping is None or len(touched) != 1 or any(axis.step < 0 < axis.length - 1 for axis in plan.axes):
            return None
        number, begin, end = touched[0]
        if any(begin) or tuple(end) != plan.full_counts:
            return None
        source = self._source(dataset, file_path, mapping.pieces[number])
        if source is None:
            return None
        found = self._direct.stored_chunk(source, Plan(_axes_in(source, mapping, plan, touched[0])))
        return None if found is None else found._replace(shape=plan.shape)

    def _source(self, dataset: Any, file_path: str, piece: Piece) -> Optional[Any]:
        """The dataset a piece comes from; ``None``: its file is not there, its part stays the fill value."""
        if piece.file == ".":
            root = h5py.Group(h5o.open(dataset.id, b"/"))
        else:
            path = _path_of(piece.file, file_path)
            if path is None:
                return None
            try:
                root = self._files.get(path)[0]
            except WireError as error:
                raise Unusual(error.summary) from None
        source = root[piece.data_path]
        if not isinstance(source, h5py.Dataset) or source.dtype != dataset.dtype or not is_stored_as_read(source):
            raise Unusual("a source of another type")
        return source

    def _fill(self, source: Any, axes: Tuple[Axis, ...], target: Any) -> None:
        plan = Plan(axes)
        into = target.reshape(plan.full_counts)
        if not np.may_share_memory(into, target):
            into = np.empty(plan.full_counts, target.dtype)
        if not self._direct.read_into(source, plan, into):
            into[...] = source[tuple(slice(axis.start, axis.bounds[1], axis.step) for axis in axes)]
        if not np.may_share_memory(into, target):
            target[...] = into.reshape(target.shape)

    def _mapping_of(self, dataset: Any) -> Optional[Mapping]:
        status = os.fstat(descriptor_of(dataset))
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, int(h5o.get_info(dataset.id).addr))
        if key in self._mappings:
            self._mappings.move_to_end(key)
            return self._mappings[key]
        try:
            mapping = _mapping_of(dataset)
        except Unusual:
            mapping = None
        if abs(time.time_ns() - status.st_mtime_ns) > SETTLED_NS:
            self._mappings[key] = mapping
            while len(self._mappings) > _KEPT:
                self._mappings.popitem(last=False)
        return mapping


def _mapping_of(dataset: Any) -> Optional[Mapping]:
    plist = dataset.id.get_create_plist()
    count = plist.get_virtual_count()
    fill = fill_value(dataset, plist)
    if not 0 < count <= MAX_PIECES or fill is None or not is_stored_as_read(dataset):
        return None
    pieces, starts, ends = [], [], []
    for index in range(count):
        file, path = _text(plist.get_virtual_filename(index)), _text(plist.get_virtual_dsetname(index))
        if "%" in file or "%" in path:
            return None
        start, counts = _box(plist.get_virtual_vspace(index))
        source_space = plist.get_virtual_srcspace(index)
        block = None if source_space.get_select_type() == h5s.SEL_ALL else _box(source_space)
        pieces.append(Piece(file, path, block))
        starts.append(start)
        ends.append(tuple(a + n for a, n in zip(start, counts)))
    mapping = Mapping(pieces, np.array(starts, np.int64), np.array(ends, np.int64), fill)
    return None if _overlap(mapping.starts, mapping.ends) else mapping


def _overlap(starts: Any, ends: Any) -> bool:
    """Whether blocks share elements, or too many must be compared to know (HDF5 fills by its own rule then)."""
    for axis in range(starts.shape[1]):
        order = np.argsort(starts[:, axis], kind="stable")
        if (ends[order[:-1], axis] <= starts[order[1:], axis]).all():
            return False
    if len(starts) > MAX_COMPARED:
        return True
    shared = np.ones((len(starts), len(starts)), bool)
    for axis in range(starts.shape[1]):
        shared &= starts[:, None, axis] < ends[None, :, axis]
        shared &= starts[None, :, axis] < ends[:, None, axis]
    return bool(np.count_nonzero(shared) > len(starts))


def _box(space: Any) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """(start, counts) of a selection that is one solid block of fixed size."""
    kind = space.get_select_type()
    if kind == h5s.SEL_ALL:
        shape = tuple(int(n) for n in space.shape)
        return (0,) * len(shape), shape
    if kind != h5s.SEL_HYPERSLABS or not space.is_regular_hyperslab():
        raise Unusual("a selection that is no block")
    start, stride, count, block = space.get_regular_hyperslab()
    if any(n in (h5s.UNLIMITED, 2 ** 64 - 1) for n in tuple(count) + tuple(block)):
        raise Unusual("a selection without end")
    if any(n > 1 and a != b for a, n, b in zip(stride, count, block)):
        raise Unusual("a selection with gaps")
    return tuple(int(n) for n in start), tuple(int(n * b) for n, b in zip(count, block))


def _touched(mapping: Mapping, plan: Plan) -> List[Tuple[int, List[int], List[int]]]:
    """The pieces a plan touches: number, and from where to where along each axis of the reply."""
    first = np.array([axis.bounds[0] for axis in plan.axes], np.int64)
    step = np.array([abs(axis.step) for axis in plan.axes], np.int64)
    length = np.array([axis.length for axis in plan.axes], np.int64)
    begin = np.clip(-((first - mapping.starts) // step), 0, length)
    end = np.clip(-((first - mapping.ends) // step), 0, length)
    return [(number, begin[number].tolist(), end[number].tolist())
            for number in np.flatnonzero((begin < end).all(axis=1)).tolist()]


def _axes_in(source: Any, mapping: Mapping, plan: Plan, touched: Tuple[int, List[int], List[int]]) -> Tuple[Axis, ...]:
    """What of its source a piece that a plan touches wants."""
    number, begin, end = touched
    step = [abs(axis.step) for axis in plan.axes]
    inside = [axis.bounds[0] + a * n - int(first)
              for axis, a, n, first in zip(plan.axes, begin, step, mapping.starts[number])]
    box = (mapping.ends[number] - mapping.starts[number]).tolist()
    return _source_axes(source, mapping.pieces[number], box, inside, step,
                        tuple(b - a for a, b in zip(begin, end)))


def _source_axes(source: Any, piece: Piece, box: List[int], inside: List[int], step: List[int],
                 lengths: Tuple[int, ...]) -> Tuple[Axis, ...]:
    """What of a source is wanted: the axes of the block that are longer than 1 follow each other in both."""
    shape = tuple(int(n) for n in source.shape)
    starts, counts = piece.block or ((0,) * len(shape), shape)
    long = [number for number, length in enumerate(box) if length != 1]
    if [n for n in counts if n != 1] != [box[number] for number in long] or len(starts) != len(shape):
        raise Unusual("a source of another shape")
    if any(a + n > whole for a, n, whole in zip(starts, counts, shape)):
        raise Unusual("a source that is too small")
    axes = []
    for start, count in zip(starts, counts):
        if count == 1:
            axes.append(Axis(start, 1, 1, False))
        else:
            number = long.pop(0)
            axes.append(Axis(start + inside[number], lengths[number], step[number], False))
    return tuple(axes)


def _path_of(name: str, beside: str) -> Optional[str]:
    """The source file; ``None``: there is none anywhere HDF5 looks."""
    if os.environ.get("HDF5_VDS_PREFIX"):
        raise Unusual("a prefix for source files is set")
    path = located(name, beside)
    if os.path.exists(path):
        return path
    real = os.path.dirname(os.path.realpath(beside))
    if any(os.path.exists(other) for other in (name, os.path.basename(name), os.path.join(real, name),
                                               os.path.join(real, os.path.basename(name)))):
        raise Unusual("a source file in another place")
    return None


def _text(value: Any) -> str:
    return links.decoded(value) if isinstance(value, bytes) else str(value)
