"""Wire JSON to the values of ``app.model`` and back. Pure; the agent client's reader thread."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import repeat
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.errors import AgentError
from app.model.data import (
    Block,
    DataReference,
    Exactness,
    LineProfile,
    ReadRequest,
    Reduction,
    Selection,
    Statistics,
)
from app.model.nodes import EntryKind, FileSeries, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.model.plot import PlotDescription, View
from app.protocol.folder_columns import unpacked_names, unpacked_times
from app.protocol.series import series_in

_NODE_FIELDS = {f.name for f in fields(NodeInfo)}
_PLOT_FIELDS = {f.name for f in fields(PlotDescription)}
_ENTRY_KINDS = {"f": EntryKind.FILE, "d": EntryKind.FOLDER, "l": EntryKind.LINK, "o": EntryKind.OTHER}
_STATISTICS_FIELDS = {f.name for f in fields(Statistics)}
_last_mask = (np.zeros(0, np.uint8), np.zeros((0, 0), bool))     # packed and unpacked; replaced as a whole


def read_params(request: ReadRequest, parts: bool = False) -> dict[str, Any]:
    """The parameters of ``read``. ``parts``: the asker listens to what comes before the last reply."""
    return {"file": str(request.reference.file_path), "data_path": request.reference.data_path or None,
            "selection": request.selection.as_wire(), "fit": list(request.fit) if request.fit else None,
            "reduce": request.reduction.value, "statistics": request.statistics,
            "preview": list(request.preview) if request.preview else None, "draft": request.draft, "parts": parts}


def show_params(reference: DataReference, fit: tuple[int, int],
                preview: tuple[int, int] | None = None) -> dict[str, Any]:
    """The parameters of ``show``."""
    return {"file": str(reference.file_path), "data_path": reference.data_path or None, "fit": list(fit),
            "preview": list(preview) if preview else None}


def line_params(reference: DataReference, leading: tuple[int, ...], start: tuple[float, float],
                end: tuple[float, float], width: int) -> dict[str, Any]:
    """The parameters of ``line``."""
    return {"file": str(reference.file_path), "data_path": reference.data_path or None, "leading": list(leading),
            "start": list(start), "end": list(end), "width": width}


def folder_listing(result: dict[str, Any]) -> FolderListing:
    letters = result["kinds"]
    names, times = unpacked_names(result["names"], len(letters)), unpacked_times(result["times"])
    seconds = [None if time is None else time / 1e9 for time in times]
    columns = zip(names, map(_ENTRY_KINDS.__getitem__, letters), result["sizes"], seconds,
                  repeat(None, len(names)), repeat(None, len(names)), strict=True)
    entries = list(map(tuple.__new__, repeat(FolderEntry), columns))      # as FolderEntry._make, three times as fast
    files = [position for position, letter in enumerate(letters) if letter == "f"]
    for position, target, kind in result["links"]:
        entries[position] = entries[position]._replace(target=target, target_kind=EntryKind(kind) if kind else None)
        if kind == EntryKind.FILE.value:
            files.append(position)
    return FolderListing(PurePosixPath(result["path"]), tuple(entries), _series_of(names, sorted(files)))


def _series_of(names: list[str], files: list[int]) -> tuple[FileSeries, ...]:
    """``files``: the positions of the names that lead to files."""
    return tuple(FileSeries(found.name, found.numbers[0], found.numbers[-1], found.gaps,
                            tuple(map(files.__getitem__, found.members)))
                 for found in series_in(list(map(names.__getitem__, files))))


def nodes(result: dict[str, Any]) -> tuple[NodeInfo, ...]:
    return tuple(_node(item) for item in result["nodes"])


def plot(result: dict[str, Any]) -> PlotDescription:
    values = {key: _frozen(value) for key, value in result.items() if key in _PLOT_FIELDS}
    values["view"] = View(values["view"])
    return PlotDescription(**values)


def block(request: ReadRequest, result: dict[str, Any], arrays: list[np.ndarray], received: int,
          seconds: float) -> Block:
    """The block of a reply of ``read`` that carries a picture, the last or a part.

    Raises:
        AgentError: the arrays are not those the result describes.
    """
    if len(arrays) != (2 if result.get("mask") else 1):
        raise AgentError("The agent sent a picture without its numbers.", f"{len(arrays)} arrays", "Reload it.")
    values = arrays[0]
    mask = _mask(arrays[1], values.shape) if result.get("mask") else None
    statistics = _statistics(result)
    if result.get("sentinels"):
        mask = _with_sentinels(values, mask)
        statistics = replace(statistics, limits=_estimated_limits(values, mask))
    factor = result.get("factor") or [1, 1]
    return Block(values, request.reference, request.selection, tuple(result["full_shape"]),
                 Exactness(result["exactness"]), (int(factor[0]), int(factor[1])),
                 Reduction(result.get("reduce") or request.reduction.value), statistics, mask,
                 str(result.get("signal") or ""),
                 _generation(result), received, seconds, max_error=float(result.get("max_error") or 0.0),
                 missing=tuple(str(text) for text in result.get("missing") or ()),
                 self_contained=bool(result.get("self_contained", True)))


class Reading:
    """The replies of one ``read``, in the order in which they come; asked again, it begins anew by itself.

    Used on the reader thread only.
    """

    def __init__(self, request: ReadRequest) -> None:
        self._request = request
        self._picture: Block | None = None

    def part(self, result: dict[str, Any], arrays: list[np.ndarray], received: int, seconds: float) -> Block:
        """A part: a preview, or the picture itself.

        Raises:
            AgentError: the arrays are not those the result describes.
        """
        made = block(self._request, result, arrays, received, seconds)
        if result.get("part") == "picture":
            self._picture = made
        return made

    def whole(self, result: dict[str, Any], arrays: list[np.ndarray], received: int, seconds: float) -> Block:
        """What the Future has: picture and statistics, whether they came together or one after the other.

        Raises:
            AgentError: the arrays are not those the result describes, or the picture never came.
        """
        if result.get("part") != "statistics":
            return block(self._request, result, arrays, received, seconds)
        picture, self._picture = self._picture, None
        if picture is None or arrays or picture.generation != _generation(result):
            raise AgentError("The agent sent statistics without the picture they belong to.", remedy="Reload it.")
        return replace(picture, statistics=_statistics(result), bytes_received=received, seconds=seconds)


class Showing:
    """The replies of one ``show``, in the order in which they come. Used on the reader thread only."""

    def __init__(self, reference: DataReference, fit: tuple[int, int],
                 preview: tuple[int, int] | None = None) -> None:
        self._reference, self._fit, self._preview = reference, fit, preview
        self._reading: Reading | None = None

    def part(self, result: dict[str, Any], arrays: list[np.ndarray], received: int,
             seconds: float) -> PlotDescription | Block:
        """A part: the description first, then the parts of the picture.

        Raises:
            AgentError: it is not what the result describes.
        """
        if result.get("part") == "description":
            described = plot(result["description"])
            self._reading = self._reading_of(described, result)
            return described
        if self._reading is None:
            raise AgentError("The agent sent a picture without its description.", remedy="Reload it.")
        return self._reading.part(result, arrays, received, seconds)

    def whole(self, result: dict[str, Any], arrays: list[np.ndarray], received: int,
              seconds: float) -> tuple[PlotDescription, Block | None]:
        """What the Future has: the description with limits, and the block (``None``: it is no picture).

        Raises:
            AgentError: it is not what the result describes.
        """
        described = plot(result["description"])
        if result.get("selection") is None:
            return described, None
        reading = self._reading or self._reading_of(described, result)
        assert reading is not None
        self._reading = None
        return described, reading.whole(result, arrays, received, seconds)

    def _reading_of(self, described: PlotDescription, result: dict[str, Any]) -> Reading | None:
        items = result.get("selection")
        if items is None or described.signal is None:
            return None
        selection = Selection(tuple(Ellipsis if item == "..." else int(item) for item in items))
        return Reading(ReadRequest(replace(self._reference, data_path=described.signal), selection, self._fit,
                                   Reduction(described.reduction), preview=self._preview))


def line_profile(reference: DataReference, start: tuple[float, float], end: tuple[float, float], width: int,
                 result: dict[str, Any], arrays: list[np.ndarray]) -> LineProfile:
    """The answer of ``line``.

    Raises:
        AgentError: the arrays are not those the result describes.
    """
    if len(arrays) != 2 or any(array.ndim != 1 or array.dtype != np.float64 for array in arrays) \
            or arrays[0].shape != arrays[1].shape:
        raise AgentError("The agent sent other numbers than it announced.",
                         remedy="Ask again; if it happens again, please report it.")
    return LineProfile(reference, start, end, width, arrays[0], arrays[1], str(result.get("signal") or ""),
                       _generation(result))


def _statistics(result: dict[str, Any]) -> Statistics:
    numbers = {key: _frozen(value) for key, value in (result.get("statistics") or {}).items()
               if key in _STATISTICS_FIELDS}
    return Statistics(**numbers)


def _generation(result: dict[str, Any]) -> tuple[int, int]:
    size, mtime_ns = result.get("generation") or (0, 0)
    return int(size), int(mtime_ns)


def _mask(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where no valid pixel stands; the same array as before where it is the same, as of the frames of a stack."""
    global _last_mask
    height, width = shape[-2:]
    known, mask = _last_mask
    if mask.shape != (height, width) or not np.array_equal(known, bits):
        mask = np.unpackbits(bits, count=height * width).view(bool).reshape(height, width)
        mask.flags.writeable = False
        _last_mask = bits, mask
    return mask


def _with_sentinels(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray | None:
    """A mask and what the values of a picture themselves say is invalid (docs/protocol.md, ``sentinels``)."""
    kind = values.dtype.kind
    gone = np.zeros(values.shape, bool) if mask is None else mask.copy()
    if kind == "u":
        gone |= values == np.iinfo(values.dtype).max
    elif kind == "i":
        gone |= values < 0
    elif kind == "f":
        gone |= ~np.isfinite(values)
    gone.flags.writeable = False
    return gone if gone.any() else None


def _estimated_limits(values: np.ndarray, mask: np.ndarray | None) -> tuple[float, float] | None:
    """The 1st and 99th percentile of a sample of a picture's valid values."""
    every = slice(None, None, 1 + math.isqrt(values.size >> 15))
    sample = values[every, every]
    valid = sample if mask is None else sample[~mask[every, every]]
    if not valid.size:
        return None
    low, high = np.percentile(valid.astype(np.float64), (1, 99))
    return float(low), float(high)


def _node(item: dict[str, Any]) -> NodeInfo:
    values = {key: value if key in ("attributes", "filters") else _frozen(value)
              for key, value in item.items() if key in _NODE_FIELDS}
    values["kind"] = NodeKind(item["kind"])
    if item.get("leads_to"):
        values["leads_to"] = NodeKind(item["leads_to"])
    if "shape" in item and item["shape"] is None:
        values["null_space"] = True
    if item.get("filters") is not None:
        values["filters"] = tuple(item["filters"])
    return NodeInfo(**values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
