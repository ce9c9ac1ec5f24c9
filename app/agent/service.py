"""What a worker process of the agent does with data files: ``nodes``, ``plot``, ``read``, ``project``, ``profile``.

One :class:`Service` per worker, called from one thread. Keeps a few files open and the last selections in memory,
each for the generation (size, time) of the file it came from. Never writes, never locks; every failure a person can
meet is a ``WireError`` with one sentence and what to do.
"""

from __future__ import annotations

import functools
import os
from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent import links, nodes, reading, reduction, stack
from app.agent.attributes import sentence
from app.agent.default_plot import Found, find, find_given
from app.agent.description import Description, named, nothing
from app.agent.openable import Openable, Openables
from app.agent.opening import Generation, OpenFiles, file_path_of, generation_of, shown
from app.agent.selection import Plan, tie
from app.agent.sources import MAX_SOURCES, is_virtual, virtual_files
from app.agent.statistics import statistics_of
from app.agent.validity import invalid_mask, is_pooled_kind
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError

Reply = Tuple[Dict[str, Any], List[Any]]

MAX_WATCHED_SOURCES = 64
MAX_SELECTED = 256


class Selected(NamedTuple):
    """A selection in memory: the stored values, where they are invalid, and its statistics once asked for.

    ``by_value``: what is invalid comes from the values alone, no pixel mask had a part in it.
    """

    values: Any
    invalid: Optional[Any]
    by_value: bool
    statistics: Dict[str, Any]

    def counted(self) -> Dict[str, Any]:
        """The statistics, counted once."""
        if not self.statistics:
            self.statistics.update(statistics_of(self.values, self.invalid, self.by_value))
        return self.statistics


class Source(NamedTuple):
    """What a read request means: something that can be read, and what it is called."""

    signal: str
    file_path: str
    generation: Generation
    place: Optional[links.Place]
    other: Optional[Openable]


class Service:
    """Answers requests about files; ``cache_bytes`` bounds what it keeps, a third of it decoded chunks.

    ``threads`` bounds how many may compute at once in this process, the caller's included.
    """

    def __init__(self, cache_bytes: int = 256 * 2 ** 20, threads: int = 2) -> None:
        self._threads = threads
        self._cache_bytes = cache_bytes - cache_bytes // 3
        self._files = OpenFiles()
        self._others = Openables()
        self._reader = SourceReader(cache_bytes // 3)
        self._selected = OrderedDict()  # type: OrderedDict[Any, Selected]
        self._selected_bytes = 0
        self._masks = OrderedDict()  # type: OrderedDict[Any, Optional[Any]]
        self._plots = OrderedDict()  # type: OrderedDict[Any, Dict[str, Any]]

    def handle(self, method: str, params: Dict[str, Any], waiting: Optional[stack.Waiting] = None) -> Reply:
        """Answer one request; those over a whole stack tell ``waiting`` of their progress.

        Raises:
            WireError: whatever went wrong, in a sentence.
        """
        answer = {"nodes": self._nodes, "plot": self._plot, "read": self._read}.get(method)
        if method in stack.METHODS:
            answer = functools.partial(self._over_stack, method, waiting or stack.Waiting())
        if answer is None:
            raise WireError("internal", "The agent does not know the request “%s”." % method)
        try:
            return answer(params)
        except links.BrokenLink as broken:
            raise _not_there(broken, file_path_of(str(params["file"]))) from None
        except MemoryError as error:
            raise WireError("unreadable", "There is not enough memory at the facility for this request.",
                            sentence(error), "Select less of the data.") from error
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
            name = shown(os.path.basename(file_path_of(str(params["file"]))))
            raise WireError("unreadable", "“%s” holds something that cannot be read here." % name,
                            "%s: %s" % (type(error).__name__, sentence(error)),
                            "Try again; if it was not being written or replaced meanwhile, it is damaged.") from error

    def close(self) -> None:
        """Close every file and forget everything."""
        self._files.close()
        self._reader.close()
        self._others.close()
        self._selected_bytes = 0
        for kept in (self._selected, self._masks, self._plots):
            kept.clear()

    def _nodes(self, params: Dict[str, Any]) -> Reply:
        file_path = file_path_of(str(params["file"]))
        data_path = str(params.get("data_path") or "/")
        depth, attributes = params.get("depth"), bool(params.get("attributes", True))
        expand = bool(params.get("expand", False))
        other = self._others.get(file_path)
        if other is not None:
            return {"file": file_path, "nodes": other.nodes(data_path, depth, attributes, expand)}, []
        root = self._root(file_path)
        place = links.resolve(root.node, data_path)
        if expand:
            if nodes.kind_of(place.node) != "group":
                return {"file": file_path, "nodes": []}, []
            return {"file": file_path, "nodes": nodes.children(place, _tidy(data_path), attributes)}, []
        found = nodes.walk(place._replace(data_path=_tidy(data_path)), depth, attributes)
        return {"file": file_path, "nodes": found}, []

    def _plot(self, params: Dict[str, Any]) -> Reply:
        file_path = file_path_of(str(params["file"]))
        data_path = params.get("data_path")
        other = self._others.get(file_path)
        if other is not None:
            return self._other_plot(other, data_path), []
        key = (file_path, data_path, generation_of(file_path))
        if key in self._plots:
            return dict(self._plots[key]), []
        found = self._find(file_path, data_path)
        if found.signal is None:
            return nothing(found), []
        described = Description(found, file_path)
        answer = described.as_json()
        if answer["view"] not in ("table", "none"):
            self._add_limits(described, answer)
        if not is_virtual(found.signal.node) and found.signal.file_path == file_path and not found.missing:
            self._plots[key] = dict(answer)
            while len(self._plots) > 32:
                self._plots.popitem(last=False)
        return answer, []

    def _read(self, params: Dict[str, Any]) -> Reply:
        source = self._source(file_path_of(str(params["file"])), params.get("data_path"))
        items = list(params.get("selection") or ["..."])
        method = str(params.get("reduce") or "max")
        if method not in reduction.METHODS:
            raise WireError("usage", "“%s” is no reduction." % method, remedy="Use max, mean, min, sum or nearest.")
        selected = self._select(source, items)
        values, gone = selected.values, selected.invalid
        factor, exactness, fit = (1, 1), "exact", params.get("fit")
        poolable = values.ndim >= 2 and is_pooled_kind(values.dtype) and values.size and self._is_plain(source)
        if fit and poolable:
            factor = (reduction.factor_for(values.shape[-2], int(fit[0])),
                      reduction.factor_for(values.shape[-1], int(fit[1])))
        if factor != (1, 1):
            values, gone = reduction.pool(values, factor, method, gone, selected.by_value)
            exactness = "pooled"
        statistics = {}  # type: Dict[str, Any]
        if params.get("statistics", True):
            statistics = selected.counted()
        arrays = [values]
        has_mask = False
        if gone is not None and values.ndim == 2 and gone.any():
            arrays.append(np.packbits(gone))
            has_mask = True
        return {"signal": source.signal, "full_shape": [int(n) for n in selected.values.shape],
                "exactness": exactness, "factor": list(factor), "reduce": method, "statistics": statistics,
                "generation": list(source.generation), "mask": has_mask}, arrays

    def _over_stack(self, method: str, waiting: stack.Waiting, params: Dict[str, Any]) -> Reply:
        source = self._source(file_path_of(str(params["file"])), params.get("data_path"))
        if source.place is None:
            assert source.other is not None
            data = source.other.array(source.signal)
            return stack.answer(method, params, stack.Stack(source.signal, data, source.file_path, True, None,
                                                            source.generation), waiting)
        mask = self._pixel_mask(source, source.place)
        return stack.answer(method, params, stack.Stack(source.signal, source.place.node, source.place.file_path, False,
                                                        mask, source.generation), waiting)

    def _is_plain(self, source: Source) -> bool:
        return source.place is None or source.place.node.dtype.subdtype is None

    def _source(self, file_path: str, data_path: Optional[str]) -> Source:
        if data_path and "::/" in data_path and not self._holds(file_path, data_path):
            file_path, _, rest = data_path.partition("::")
            data_path = rest
        other = self._others.get(file_path)
        if other is not None:
            return Source(other.signal(data_path), file_path, other.generation, None, other)
        place = None
        if data_path:
            root = self._root(file_path)
            place = links.resolve(root.node, data_path)
        if place is None or nodes.kind_of(place.node) != "dataset":
            found = self._find(file_path, data_path)
            if found.signal is None:
                raise WireError("not_found", "There is nothing to read in “%s”: no dataset of numbers was found."
                                % (shown(data_path) if data_path else shown(os.path.basename(file_path))),
                                remedy="Name a dataset, as FILE::/data/path.")
            place = found.signal
        _, generation = self._files.get(file_path)
        return Source(named(place, file_path), file_path, generation, place, None)

    def _holds(self, file_path: str, data_path: str) -> bool:
        """Whether the text that looks like ``FILE::/path`` is the path of a node in this file."""
        if not data_path.startswith("/") or self._others.get(file_path) is not None:
            return False
        try:
            links.resolve(self._root(file_path).node, data_path)
        except (links.BrokenLink, WireError):
            return False
        return True

    def _select(self, source: Source, items: List[Any]) -> Selected:
        key = (source.file_path, source.generation, source.signal, repr(items), self._freshness(source, items))
        held = self._selected.pop(key, None)
        if held is None:
            held = self._read_selected(source, items)
            self._selected_bytes += _bytes_of(held)
        self._selected[key] = held
        while len(self._selected) > 1 and (self._selected_bytes > self._cache_bytes
                                           or len(self._selected) > MAX_SELECTED):
            _, old = self._selected.popitem(last=False)
            self._selected_bytes -= _bytes_of(old)
        return held

    def _read_selected(self, source: Source, items: List[Any]) -> Selected:
        if source.other is not None:
            array = source.other.array(source.signal)
            plan = tie(items, array.shape, source.signal)
            chosen = np.ascontiguousarray(array[_numpy_index(plan)]).reshape(plan.shape)
            return Selected(chosen, invalid_mask(chosen, array.ndim), True, {})
        place = source.place
        assert place is not None
        plan = reading.plan_for(place.node, items, source.signal)
        values = reading.read_plan(place.node, plan, place.file_path, source.signal, self._reader)
        invalid, mask = None, None
        if is_pooled_kind(values.dtype) or values.dtype.kind == "c":
            mask = reading.mask_of_selection(self._pixel_mask(source, place), plan)
            invalid = invalid_mask(values, len(place.node.shape), mask)
        return Selected(values, invalid, mask is None, {})

    def _pixel_mask(self, source: Source, place: links.Place) -> Optional[Any]:
        key = (source.file_path, source.generation, source.signal)
        if key not in self._masks:
            self._masks[key] = reading.pixel_mask_for(place, source.signal)
            while len(self._masks) > 4:
                self._masks.popitem(last=False)
        return self._masks[key]

    def _freshness(self, source: Source, items: List[Any]) -> Any:
        """What else than the file itself the values depend on: the other files of a virtual dataset or a link."""
        if source.place is None:
            return None
        paths = [source.place.file_path] if source.place.file_path != source.file_path else []
        node = source.place.node
        touched = None
        if is_virtual(node):
            plan = tie(items, tuple(int(n) for n in node.shape), source.signal)
            touched = None if 0 in plan.shape else self._reader.sources_of(node, plan, source.place.file_path)
        if touched is not None:
            if len(touched) > MAX_WATCHED_SOURCES:
                return object()
            paths.extend(path for path in touched if path != source.file_path)
        elif is_virtual(node):
            others = virtual_files(node, source.place.file_path)
            count = node.id.get_create_plist().get_virtual_count()
            if len(others) > MAX_WATCHED_SOURCES or count > MAX_SOURCES or any("%" in path for path, _ in others):
                return object()
            paths.extend(path for path, _ in others if path != source.file_path)
        stamps = []
        for path in paths:
            try:
                stamps.append((path,) + generation_of(path))
            except WireError:
                stamps.append((path, -1, -1))
        return tuple(stamps)

    def _add_limits(self, described: Description, answer: Dict[str, Any]) -> None:
        items = _frame_items(answer["view"], answer["frame"], described.shape)
        source = Source(answer["signal"], described.home, generation_of(described.home), described.signal, None)
        try:
            selected = self._select(source, items)
        except WireError as error:
            answer["missing"].append(error.summary)
            return
        if selected.values.dtype.kind == "c":
            statistics = statistics_of(np.abs(selected.values), selected.invalid)
        else:
            statistics = selected.counted()
        answer["limits"] = statistics.get("limits")

    def _other_plot(self, other: Openable, data_path: Optional[str]) -> Dict[str, Any]:
        answer = other.description(data_path)
        source = Source(answer["signal"], other.path, other.generation, None, other)
        items = _frame_items(answer["view"], answer["frame"], tuple(answer["shape"]))
        answer["limits"] = self._select(source, items).counted().get("limits")
        return answer

    def _find(self, file_path: str, data_path: Optional[str]) -> Found:
        root = self._root(file_path)
        return find_given(root, data_path) if data_path else find(root)

    def _root(self, file_path: str) -> links.Place:
        file, _ = self._files.get(file_path)
        return links.resolve(file, "/")._replace(file_path=file_path)


def _frame_items(view: str, frame: Optional[int], shape: Tuple[int, ...]) -> List[Any]:
    leading = shape[:-1] if view == "curve" else shape[:-2]
    if frame is None or not leading:
        return ["..."]
    return [int(n) for n in np.unravel_index(frame, leading)] + ["..."]


def _numpy_index(plan: Plan) -> Tuple[Any, ...]:
    def one(axis: Any) -> Any:
        if axis.dropped:
            return axis.start
        stop = axis.start + axis.length * axis.step
        return slice(axis.start, None if stop < 0 else stop, axis.step)

    return tuple(one(axis) for axis in plan.axes)


def _bytes_of(selected: Selected) -> int:
    return int(selected.values.nbytes) + (int(selected.invalid.nbytes) if selected.invalid is not None else 0)


def _tidy(data_path: str) -> str:
    return "/" + "/".join(part for part in data_path.split("/") if part)


def _not_there(broken: links.BrokenLink, file_path: str) -> WireError:
    name = shown(os.path.basename(file_path))
    if broken.target:
        return WireError("not_found", "In “%s” the link %s leads nowhere: there is no %s."
                         % (name, shown(broken.where), shown(broken.target)),
                         remedy="The file it points to may not have been copied along.")
    return WireError("not_found", "There is no “%s” in “%s”." % (shown(broken.where), name),
                     remedy="“tree” lists what is in the file.")
