"""Reading virtual datasets from the datasets they are put together from, each the fastest way there is.

Sources may be virtual themselves; of blocks that overlap the last counts. What of a source is not there reads as the
fill value, as HDF5 does it, and is named (:meth:`SourceReader.gaps`). Everything unusual, and every doubt, is left to
HDF5 (``None``). Runs in a worker process of the agent; called from one thread. Other datasets go to
:mod:`app.agent.direct`.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import Any, List, NamedTuple, Optional, Tuple

import h5py
import numpy as np
from h5py import h5d, h5o

from app.agent import links
from app.agent.direct import LEFT_TO_HDF5, Check, Cost, DirectReader, Stored, nobody_minds
from app.agent.opening import OpenFiles, shown
from app.agent.selection import Axis, Plan
from app.agent.sources import located
from app.agent.storage import SETTLED_NS, descriptor_of, is_stored_as_read, refuse_if_cut
from app.agent.virtual_mapping import Mapping, Piece, Touched, mapping_of
from app.protocol.chunk_filters import Unusual
from app.protocol.errors import WireError

MAX_DEPTH = 8
_KEPT = 4
_NOT_HERE = LEFT_TO_HDF5 + (links.BrokenLink, AttributeError)  # the last: an h5py that cannot tell what is needed


class Gap(NamedTuple):
    """A part of a reply that no source holds, and why, in a sentence.

    ``part``: a slice for each axis of the plan (dropped ones too), in the order of the reply.
    """

    sentence: str
    part: Tuple[slice, ...]


class _Absent(Exception):
    """A source that is not there; HDF5 takes the fill value for it."""


class SourceReader:
    """Reads datasets without HDF5 where that can be, virtual ones from their sources.

    Args:
        cache_bytes: bounds the decoded chunks it keeps.
        threads: that decode at the same time.
    """

    def __init__(self, cache_bytes: int = 64 * 2 ** 20, threads: int = 1) -> None:
        self._direct = DirectReader(cache_bytes, threads)
        self._files = OpenFiles()
        self._mappings = OrderedDict()  # type: OrderedDict[Any, Optional[Mapping]]
        self._is_complete = True
        self._read_complete = None  # type: Optional[Tuple[Any, Plan]]

    def read(self, dataset: Any, plan: Plan, file_path: str, check: Check = nobody_minds) -> Optional[Any]:
        """The values of a plan, with the axes of the dataset (dropped ones are 1 long); ``None``: ask HDF5.

        Raises:
            WireError: values are damaged so that HDF5 must not see them, or what ``check`` raises.
        """
        if not plan.axes:
            return None
        try:
            if not _is_virtual(dataset):
                return self._direct.read(dataset, plan, check)
            self._is_complete, self._read_complete = True, None
            found = self._read_virtual(dataset, plan, file_path, check, 0)
            if found is not None and self._is_complete:
                self._read_complete = (descriptor_key(dataset), plan)
            return found
        except _NOT_HERE:
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
            return self._stored(dataset, plan, file_path, 0)
        except _NOT_HERE:
            return None
        finally:
            self._files.close()  # who opens a source next, HDF5 too, must see it as it is then

    def cost(self, dataset: Any, plan: Plan, file_path: str) -> Optional[Cost]:
        """About what reading a plan takes; of a virtual dataset as if all its sources were like the first touched."""
        try:
            if not _is_virtual(dataset):
                return self._direct.cost(dataset, plan)
            mapping = self._mapping_of(dataset)
            touched = mapping.touched(plan) if mapping is not None else []
            if mapping is None or not touched:
                return None
            source, path = self._source(dataset, file_path, mapping.pieces[touched[0][0]])
            one = self.cost(source, Plan(mapping.axes_in(tuple(source.shape), plan, touched[0])), path)
            return None if one is None else Cost(one.stored * len(touched), one.decoded * len(touched))
        except (_Absent,) + _NOT_HERE:
            return None
        finally:
            self._files.close()

    def gaps(self, dataset: Any, plan: Plan, file_path: str) -> List[Gap]:
        """The parts of a plan of a virtual dataset whose sources are missing, damaged or too short.

        Costs nothing right after :meth:`read` found all there.
        """
        if not plan.axes or not _is_virtual(dataset):
            return []
        found = []  # type: List[Gap]
        try:
            complete, self._read_complete = self._read_complete, None
            if complete == (descriptor_key(dataset), plan):
                return found
            self._look_for_gaps(dataset, plan, file_path, tuple(slice(0, axis.length) for axis in plan.axes), found, 0)
        except _NOT_HERE:
            return found
        finally:
            self._files.close()
        return [Gap(gap.sentence, tuple(_turned(part, axis) for part, axis in zip(gap.part, plan.axes)))
                for gap in found]

    def sources_of(self, dataset: Any, plan: Plan, file_path: str) -> Optional[List[str]]:
        """The other files that the values of a plan of a virtual dataset come from; ``None``: not known.

        Those of sources that are virtual themselves are among them.
        """
        names = OrderedDict()  # type: OrderedDict[str, None]
        try:
            return list(names) if plan.axes and self._add_sources(dataset, plan, file_path, names, 0) else None
        except _NOT_HERE:
            return None
        finally:
            self._files.close()

    def close(self) -> None:
        """Forget everything and end the threads."""
        self._direct.close()
        self._mappings.clear()

    def _read_virtual(self, dataset: Any, plan: Plan, file_path: str, check: Check, depth: int) -> Optional[Any]:
        mapping = self._mapping_of(dataset)
        if mapping is None or depth > MAX_DEPTH:
            return None
        pieces = mapping.touched(plan)
        covered = _cover(pieces, plan)
        out = np.empty(plan.full_counts, dataset.dtype) if covered else np.full(plan.full_counts, mapping.fill,
                                                                                dataset.dtype)
        ascending = out[tuple(slice(None, None, -1) if axis.step < 0 else slice(None) for axis in plan.axes)]
        for touched in pieces:
            check()
            try:
                source, path = self._source(dataset, file_path, mapping.pieces[touched[0]])
                within = mapping.within(tuple(source.shape), plan, touched)
            except _Absent:
                within = None
            if within != touched:
                self._is_complete = False
                if covered:
                    ascending[_part(touched)] = mapping.fill
            if within is None:
                continue
            axes = mapping.axes_in(tuple(source.shape), plan, within)
            self._fill(source, path, axes, ascending[_part(within)], check, depth)
        return out

    def _fill(self, source: Any, path: str, axes: Tuple[Axis, ...], target: Any, check: Check, depth: int) -> None:
        plan = Plan(axes)
        into = target.reshape(plan.full_counts)
        if not np.may_share_memory(into, target):
            into = np.empty(plan.full_counts, target.dtype)
        found = self._read_virtual(source, plan, path, check, depth + 1) if _is_virtual(source) else None
        if found is not None:
            into[...] = found
        elif _is_virtual(source) or not self._direct.read_into(source, plan, into, check):
            self._is_complete = self._is_complete and not _is_virtual(source)
            into[...] = source[tuple(slice(axis.start, axis.bounds[1], axis.step) for axis in axes)]
            refuse_if_cut(source)
        if not np.may_share_memory(into, target):
            target[...] = into.reshape(target.shape)

    def _stored(self, dataset: Any, plan: Plan, file_path: str, depth: int) -> Optional[Stored]:
        if not _is_virtual(dataset):
            return self._direct.stored_chunk(dataset, plan)
        mapping = self._mapping_of(dataset)
        touched = mapping.touched(plan) if mapping is not None else []
        if mapping is None or depth > MAX_DEPTH or len(touched) != 1 or any(
                axis.step < 0 < axis.length - 1 for axis in plan.axes):
            return None
        try:
            source, path = self._source(dataset, file_path, mapping.pieces[touched[0][0]])
        except _Absent:
            return None
        within = mapping.within(tuple(source.shape), plan, touched[0])
        if within is None or any(within[1]) or tuple(within[2]) != plan.full_counts:
            return None
        found = self._stored(source, Plan(mapping.axes_in(tuple(source.shape), plan, within)), path, depth + 1)
        return None if found is None else found._replace(shape=plan.shape)

    def _look_for_gaps(self, dataset: Any, plan: Plan, file_path: str, where: Tuple[slice, ...], found: List[Gap],
                       depth: int) -> None:
        """Add the gaps of a plan whose (ascending) reply stands at ``where`` in the whole one."""
        mapping = self._mapping_of(dataset)
        if mapping is None or depth > MAX_DEPTH:
            return
        for touched in mapping.touched(plan):
            piece = mapping.pieces[touched[0]]
            try:
                source, path = self._source(dataset, file_path, piece)
            except _Absent as absent:
                found.append(Gap(str(absent), _shifted(where, touched)))
                continue
            within = mapping.within(tuple(source.shape), plan, touched)
            if within is None or within[2] != touched[2]:
                rest = touched if within is None else (touched[0], [
                    b if axis == piece.open_axis else a for axis, (a, b) in enumerate(zip(touched[1], within[2]))],
                    touched[2])
                found.append(Gap("The source %s ends before this; what is missing reads as fill value."
                                 % _named(piece, file_path), _shifted(where, rest)))
            if within is not None and _is_virtual(source):
                inner, axes = [], mapping.axes_in(tuple(source.shape), plan, within)  # type: List[Gap], Any
                self._look_for_gaps(source, Plan(axes), path, tuple(slice(0, axis.length) for axis in axes), inner,
                                    depth + 1)
                outer = _shifted(where, within)
                found.extend(Gap(gap.sentence, outer) for gap in inner)

    def _add_sources(self, dataset: Any, plan: Plan, file_path: str, names: Any, depth: int) -> bool:
        mapping = self._mapping_of(dataset)
        if mapping is None or depth > MAX_DEPTH:
            return False
        for touched in mapping.touched(plan):
            piece = mapping.pieces[touched[0]]
            if piece.file != ".":
                names[located(piece.file, file_path)] = None
            if depth or self._may_be_nested(dataset, file_path, piece):
                try:
                    source, path = self._source(dataset, file_path, piece)
                except (_Absent, Unusual):
                    continue
                within = mapping.within(tuple(source.shape), plan, touched)
                if within is not None and _is_virtual(source) and not self._add_sources(
                        source, Plan(mapping.axes_in(tuple(source.shape), plan, within)), path, names, depth + 1):
                    return False
        return True

    def _may_be_nested(self, dataset: Any, file_path: str, piece: Piece) -> bool:
        """Whether a source may be virtual; of one in another file, the first that was looked at speaks for all."""
        if piece.file == ".":
            return True
        key = ("nested", descriptor_key(dataset), piece.data_path)
        if key not in self._mappings:
            try:
                nested = _is_virtual(self._source(dataset, file_path, piece)[0])
            except (_Absent,) + _NOT_HERE:
                return False
            self._remember(key, mapping_of(dataset) if nested else None, dataset)
            return nested
        return self._mappings[key] is not None

    def _source(self, dataset: Any, file_path: str, piece: Piece) -> Tuple[Any, str]:
        """The dataset a piece comes from, and its file.

        Raises:
            _Absent: there is none; in a sentence.
            Unusual: HDF5 must read it.
        """
        path = file_path
        if piece.file == ".":
            root = h5py.Group(h5o.open(dataset.id, b"/"))
        else:
            found = _path_of(piece.file, file_path)
            if found is None:
                raise _Absent("The source file %s is missing; what it held reads as fill value."
                              % shown(located(piece.file, file_path)))
            path = found
            try:
                root = self._files.get(path)[0]
            except WireError as error:
                raise _Absent("The source file %s cannot be read; what it held reads as fill value."
                              % shown(path)) from error
        try:
            source = root[piece.data_path]
        except (KeyError, OSError, RuntimeError) as error:
            raise _Absent("There is no %s; what it held reads as fill value." % _named(piece, file_path)) from error
        if not isinstance(source, h5py.Dataset) or source.dtype != dataset.dtype or not is_stored_as_read(source):
            raise Unusual("a source of another type")
        return source, links.file_of(source) if piece.file != "." else path

    def _mapping_of(self, dataset: Any) -> Optional[Mapping]:
        key = descriptor_key(dataset) + (tuple(dataset.shape),)
        if key in self._mappings:
            self._mappings.move_to_end(key)
            return self._mappings[key]
        mapping = mapping_of(dataset)
        self._remember(key, mapping, dataset)
        return mapping

    def _remember(self, key: Any, mapping: Optional[Mapping], dataset: Any) -> None:
        if abs(time.time_ns() - os.fstat(descriptor_of(dataset)).st_mtime_ns) > SETTLED_NS:
            self._mappings[key] = mapping
            while len(self._mappings) > _KEPT:
                self._mappings.popitem(last=False)


def descriptor_key(dataset: Any) -> Tuple[int, ...]:
    """What tells a dataset from all others, and one generation of its file from the next."""
    status = os.fstat(descriptor_of(dataset))
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, int(h5o.get_info(dataset.id).addr)


def _is_virtual(dataset: Any) -> bool:
    return bool(dataset.id.get_create_plist().get_layout() == h5d.VIRTUAL)


def _part(touched: Touched) -> Tuple[slice, ...]:
    return tuple(slice(a, b) for a, b in zip(touched[1], touched[2]))


def _cover(pieces: List[Touched], plan: Plan) -> bool:
    """Whether pieces that lie side by side along one axis fill a reply; False: perhaps not, or they overlap."""
    volume, whole = 0, 1
    for _, begin, end in pieces:
        part = 1
        for a, b in zip(begin, end):
            part *= b - a
        volume += part
    for length in plan.full_counts:
        whole *= length
    if volume != whole:
        return False
    for axis in range(len(plan.axes)):
        runs = sorted((begin[axis], end[axis]) for _, begin, end in pieces)
        if all(before[1] <= after[0] for before, after in zip(runs, runs[1:])):
            return True
    return False


def _shifted(where: Tuple[slice, ...], touched: Touched) -> Tuple[slice, ...]:
    return tuple(slice(whole.start + a, whole.start + b) for whole, a, b in zip(where, touched[1], touched[2]))


def _turned(part: slice, axis: Axis) -> slice:
    """A part of an ascending axis where the reply runs the other way."""
    return part if axis.step > 0 else slice(axis.length - part.stop, axis.length - part.start)


def _named(piece: Piece, file_path: str) -> str:
    file = file_path if piece.file == "." else located(piece.file, file_path)
    return "%s::/%s" % (shown(file), shown(piece.data_path).lstrip("/"))


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
