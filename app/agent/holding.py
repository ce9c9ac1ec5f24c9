"""What a worker process keeps between requests: open files, selections in memory, pixel masks, other formats.

Every thing kept belongs to the generation (size, time) of the file it came from, and of every other file that had a
part in it. Memory is bounded: room is made before something large is read. Called from one thread. Never writes.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent import links, nodes, reading
from app.agent.default_plot import Found, find, find_given
from app.agent.description import named
from app.agent.direct import Stored
from app.agent.openable import Openable, Openables
from app.agent.opening import Generation, OpenFiles, generation_of, shown
from app.agent.selection import Plan, tie
from app.agent.sources import MAX_SOURCES, is_virtual, virtual_files
from app.agent.statistics import statistics_of
from app.agent.tables import MemoryFile
from app.agent.validity import invalid_mask, is_pooled_kind
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError

MAX_WATCHED_SOURCES = 64
MAX_SELECTED = 256
KEPT_LARGE = 3          # the next frame goes where one of these was, in memory that is there and near the processor
LARGE_BYTES = 6 * 2 ** 20


class Source(NamedTuple):
    """What a request means: something that can be read, and what it is called."""

    signal: str
    file_path: str
    generation: Generation
    place: Optional[links.Place]
    other: Optional[Openable]

    @property
    def shape(self) -> Tuple[int, ...]:
        """The shape of the whole."""
        return tuple(int(n) for n in self.stored.shape or ())

    @property
    def dtype(self) -> Any:
        """The stored type."""
        return self.stored.dtype

    @property
    def is_plain(self) -> bool:
        """Whether its elements are single values, not arrays of them."""
        return self.place is None or self.place.node.dtype.subdtype is None

    @property
    def stored(self) -> Any:
        """The HDF5 dataset, or the array of another format."""
        if self.place is not None:
            return self.place.node
        assert self.other is not None
        return self.other.array(self.signal)


_OF_ALL_STORED = ("minimum", "maximum", "total")


class Selected:
    """A selection in memory: the stored values, where they are invalid, its statistics once asked for.

    Attributes:
        values: as stored, the selected shape.
        by_value: what is invalid comes from the values alone; no pixel mask and no missing file had a part in it.
        missing: sentences about what could not be read; its pixels are invalid.
        self_contained: no other file had a part in it.
    """

    def __init__(self, values: Any, rank: int, mask: Optional[Any] = None, missing: Tuple[str, ...] = (),
                 self_contained: bool = True, absent: Optional[Any] = None) -> None:
        self.values = values
        self.by_value = mask is None and absent is None
        self.missing = missing
        self.self_contained = self_contained
        self._rank = rank
        self._mask = mask
        self._absent = absent
        self._invalid = None  # type: Optional[Any]
        self._looked = False
        self._statistics = {}  # type: Dict[str, Any]

    @property
    def invalid(self) -> Optional[Any]:
        """Bool like ``values``, True where no valid pixel stands; ``None``: all are valid. Looked for once."""
        if not self._looked:
            if is_pooled_kind(self.values.dtype) or self.values.dtype.kind == "c":
                self._invalid = invalid_mask(self.values, self._rank, self._mask)
                if self._absent is not None:
                    self._invalid = self._absent if self._invalid is None else self._invalid | self._absent
            self._looked = True
        return self._invalid

    @property
    def is_counted(self) -> bool:
        """Whether its statistics are known."""
        return bool(self._statistics)

    def counted(self) -> Dict[str, Any]:
        """The statistics, counted once; none of the stored values where some of them stand for what is missing."""
        if not self._statistics:
            found = statistics_of(self.values, self.invalid, self.by_value)
            self._statistics.update((name, value) for name, value in found.items()
                                    if not (self.missing and name in _OF_ALL_STORED))
        return self._statistics

    @property
    def nbytes(self) -> int:
        """What it may take, where its values are invalid included."""
        return bytes_of(self.values.shape, self.values.dtype)


class Holding:
    """Finds and reads what requests name.

    Args:
        cache_bytes: bounds what is kept: three eighths as selections, a quarter as decoded chunks.
        threads: that may read and decode at once.
    """

    def __init__(self, cache_bytes: int, threads: int = 1) -> None:
        self.reader = SourceReader(cache_bytes // 4, threads)
        self._selected_limit = cache_bytes * 3 // 8
        self._files = OpenFiles()
        self._others = Openables()
        self._selected = OrderedDict()  # type: OrderedDict[Any, Selected]
        self._masks = OrderedDict()  # type: OrderedDict[Any, Optional[Any]]

    @property
    def selected_bytes(self) -> int:
        """What the selections in memory take."""
        return sum(held.nbytes for held in self._selected.values())

    def close(self) -> None:
        """Close every file and forget everything."""
        self._files.close()
        self.reader.close()
        self._others.close()
        for kept in (self._selected, self._masks):
            kept.clear()

    def forget_numbers(self) -> None:
        """Let go of all numbers, for something that takes much memory."""
        self._selected.clear()
        self.reader.close()

    def root(self, file_path: str, data_path: str = "/", depth: Optional[int] = 1) -> links.Place:
        """The root of an HDF5 file, in which what is ``depth`` levels below a path will be looked at."""
        file, _ = self._files.get(file_path)
        if isinstance(file, MemoryFile):
            file.prepare(data_path, depth)
        return links.resolve(file, "/")._replace(file_path=file_path)

    def notes(self, file_path: str) -> Tuple[str, ...]:
        """Sentences about what of a text file is not in what is shown first."""
        file, _ = self._files.get(file_path)
        return file.notes if isinstance(file, MemoryFile) else ()

    def find(self, file_path: str, data_path: Optional[str]) -> Found:
        """What is to be plotted of a file, or of a node in it."""
        root = self.root(file_path, data_path or "/")
        return find_given(root, data_path) if data_path else find(root)

    def other(self, file_path: str) -> Optional[Openable]:
        """What is at a path and is not HDF5; ``None``: it is opened as HDF5."""
        return self._others.get(file_path)

    def source(self, file_path: str, data_path: Optional[str]) -> Source:
        """What a request names, which may lie in another file (``FILE::/path``); the default plot's signal if nothing.

        Raises:
            WireError: there is no such thing, or nothing to read in it.
            links.BrokenLink: the path leads nowhere.
        """
        if data_path and "::/" in data_path and not self._holds(file_path, data_path):
            file_path, _, rest = data_path.partition("::")
            data_path = rest
        other = self.other(file_path)
        if other is not None:
            return Source(other.signal(data_path), file_path, other.generation, None, other)
        place = None
        if data_path:
            place = links.resolve(self.root(file_path, data_path).node, data_path)
        if place is None or nodes.kind_of(place.node) != "dataset":
            found = self.find(file_path, data_path)
            if found.signal is None:
                raise WireError("not_found", "There is nothing to read in “%s”: no dataset of numbers was found."
                                % (shown(data_path) if data_path else shown(os.path.basename(file_path))),
                                remedy="Name a dataset, as FILE::/data/path.")
            place = found.signal
        _, generation = self._files.get(file_path)
        return Source(named(place, file_path), file_path, generation, place, None)

    def plan(self, source: Source, items: List[Any]) -> Plan:
        """A selection tied to what it selects from.

        Raises:
            WireError: it does not fit, or is too large.
        """
        if source.place is None:
            return tie(items, source.shape, source.signal)
        return reading.plan_for(source.place.node, items, source.signal)

    def held(self, source: Source, items: List[Any]) -> Optional[Selected]:
        """A selection that is in memory; ``None``: it must be read."""
        return self._selected.get(self._key(source, items, self._depends_on(source, items)))

    def select(self, source: Source, items: List[Any], check: Callable[[], None]) -> Selected:
        """A selection, read if it is not in memory. ``check`` raises when nobody waits any more."""
        others = self._depends_on(source, items)
        key = self._key(source, items, others)
        found = self._selected.pop(key, None)
        if found is None:
            plan = self.plan(source, items)
            self._make_room(bytes_of(plan.shape, source.dtype))
            check()
            found = self.read(source, plan, bool(others == ()), check)
        self._selected[key] = found
        self._make_room(0, keep=1)
        return found

    def read(self, source: Source, plan: Plan, self_contained: bool, check: Callable[[], None]) -> Selected:
        """Read a selection; it is not kept. ``check`` raises when nobody waits any more."""
        if source.place is None:
            array = source.stored
            chosen = np.ascontiguousarray(array[_numpy_index(plan)]).reshape(plan.shape)
            return Selected(chosen, array.ndim, None, tuple(array.missing(_leading(plan))), self_contained)
        found = None if 0 in plan.full_counts else self.read_past_hdf5(source, plan, self_contained, check)
        if found is None:
            values = reading.read_plan(source.place.node, plan, source.place.file_path, source.signal)
            found = self.judged(source, plan, values, self_contained)
        return found

    def read_past_hdf5(self, source: Source, plan: Plan, self_contained: bool,
                       check: Callable[[], None]) -> Optional[Selected]:
        """Read a selection of an HDF5 dataset if HDF5 is not needed for it; it is not kept."""
        assert source.place is not None
        values = self.reader.read(source.place.node, plan, source.place.file_path, check)
        return None if values is None else self.judged(source, plan, values.reshape(plan.shape), self_contained)

    def judged(self, source: Source, plan: Plan, values: Any, self_contained: bool) -> Selected:
        """The values of a plan with what is known of them; they are not kept."""
        mask = None
        if is_pooled_kind(values.dtype) or values.dtype.kind == "c":
            mask = self.mask_of(source, plan)
        missing, absent = self._missing(source, plan)
        return Selected(values, len(source.shape), mask, missing, self_contained, absent)

    def stored_chunk(self, source: Source, items: List[Any], plan: Plan) -> Optional[Stored]:
        """The stored chunk that is exactly a selection which is not in memory; ``None``: there is none."""
        if source.place is None or not source.is_plain or self.held(source, items) is not None:
            return None
        return self.reader.stored_chunk(source.place.node, plan, source.place.file_path)

    def keep_decoded(self, source: Source, items: List[Any], values: Any) -> Selected:
        """Keep the values of a frame that was decoded elsewhere."""
        others = self._depends_on(source, items)
        found = self.judged(source, self.plan(source, items), values, bool(others == ()))
        self._make_room(found.nbytes)
        self._selected[self._key(source, items, others)] = found
        return found

    def mask_of(self, source: Source, plan: Plan) -> Optional[Any]:
        """The part of the pixel mask that a selection shows; ``None``: it has none."""
        return reading.mask_of_selection(self.pixel_mask(source), plan)

    def pixel_mask(self, source: Source) -> Optional[Any]:
        """The NeXus pixel mask of a source's frames, True where masked."""
        if source.place is None:
            return None
        key = (source.file_path, source.generation, source.signal)
        if key not in self._masks:
            self._masks[key] = reading.pixel_mask_for(source.place, source.signal)
            while len(self._masks) > 4:
                self._masks.popitem(last=False)
        return self._masks[key]

    def is_self_contained(self, source: Source, items: List[Any]) -> bool:
        """Whether no other file has a part in a selection."""
        return bool(self._depends_on(source, items) == ())

    def _missing(self, source: Source, plan: Plan) -> Tuple[Tuple[str, ...], Optional[Any]]:
        """What a selection of a virtual dataset lacks, in sentences, and where (``None``: nowhere, or not known)."""
        assert source.place is not None
        node, path = source.place.node, source.place.file_path
        if not is_virtual(node) or 0 in plan.shape:
            return (), None
        gaps = self.reader.gaps(node, plan, path)
        if gaps:
            absent = np.zeros(plan.full_counts, bool)
            for gap in gaps:
                absent[gap.part] = True
            return tuple(OrderedDict.fromkeys(gap.sentence for gap in gaps)), absent.reshape(plan.shape)
        if self.reader.sources_of(node, plan, path) is not None:
            return (), None
        return tuple("The source file %s is missing; what it held reads as fill value." % shown(one)
                     for one, _ in virtual_files(node, path) if "%" not in one and not os.path.exists(one)), None

    def _make_room(self, needed: int, keep: int = 0) -> None:
        held = self.selected_bytes
        while len(self._selected) > keep and (held + needed > self._selected_limit
                                              or len(self._selected) > MAX_SELECTED):
            _, old = self._selected.popitem(last=False)
            held -= old.nbytes
        large = [key for key, kept in self._selected.items() if kept.nbytes >= LARGE_BYTES]
        for key in large[:max(0, len(large) + (needed >= LARGE_BYTES) - KEPT_LARGE)]:
            del self._selected[key]

    def _key(self, source: Source, items: List[Any], others: Any) -> Any:
        return source.file_path, source.generation, source.signal, repr(items), others

    def _holds(self, file_path: str, data_path: str) -> bool:
        """Whether the text that looks like ``FILE::/path`` is the path of a node in this file."""
        if not data_path.startswith("/") or self.other(file_path) is not None:
            return False
        try:
            links.resolve(self.root(file_path, data_path).node, data_path)
        except (links.BrokenLink, WireError):
            return False
        return True

    def _depends_on(self, source: Source, items: List[Any]) -> Any:
        """What else than its file a selection depends on: other files (a virtual dataset's, a link's), as they are now.

        An object that equals nothing where they cannot all be looked at; ``()``: nothing else.
        """
        if source.place is None:
            stamp = source.stored.stamp(_leading(self.plan(source, items)))
            return () if stamp is None else (stamp,)
        node = source.place.node
        paths = [source.place.file_path] if source.place.file_path != source.file_path else []
        if is_virtual(node):
            plan = tie(items, source.shape, source.signal)
            touched = None if 0 in plan.shape else self.reader.sources_of(node, plan, source.place.file_path)
            if touched is None:
                found = virtual_files(node, source.place.file_path)
                touched = [path for path, _ in found]
                if node.id.get_create_plist().get_virtual_count() > MAX_SOURCES or any("%" in path for path in touched):
                    return object()
            if len(touched) > MAX_WATCHED_SOURCES:
                return object()
            paths.extend(path for path in touched if path != source.file_path)
        elif node.id.get_create_plist().get_external_count():
            return object()  # raw files, which HDF5 finds by rules of its own
        return tuple(_stamp(path) for path in paths)


def bytes_of(shape: Tuple[int, ...], dtype: Any) -> int:
    """What a selection takes: its values, and a byte for each that says whether it is valid."""
    count = 1
    for length in shape:
        count *= length
    return count * (int(np.dtype(dtype).itemsize) + 1)


def _leading(plan: Plan) -> List[Any]:
    """What a plan selects along the axes before the frame's two, ascending."""
    return [axis.start if axis.dropped else slice(axis.bounds[0], axis.bounds[1], abs(axis.step))
            for axis in plan.axes[:-2]]


def _stamp(path: str) -> Tuple[Any, ...]:
    try:
        return (path,) + generation_of(path)
    except WireError:
        return (path, -1, -1)


def _numpy_index(plan: Plan) -> Tuple[Any, ...]:
    def one(axis: Any) -> Any:
        if axis.dropped:
            return axis.start
        stop = axis.start + axis.length * axis.step
        return slice(axis.start, None if stop < 0 else stop, axis.step)

    return tuple(one(axis) for axis in plan.axes)
