"""Wire JSON to the values of ``app.model`` and back. Pure; the agent client's reader thread."""

from __future__ import annotations

from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from app.errors import AgentError
from app.model.data import Block, Exactness, ReadRequest, Reduction, Statistics
from app.model.nodes import EntryKind, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.model.plot import PlotDescription, View

_NODE_FIELDS = {f.name for f in fields(NodeInfo)}
_PLOT_FIELDS = {f.name for f in fields(PlotDescription)}
_STATISTICS_FIELDS = {f.name for f in fields(Statistics)}


def read_params(request: ReadRequest) -> dict[str, Any]:
    """The parameters of ``read``."""
    return {"file": str(request.reference.file_path), "data_path": request.reference.data_path or None,
            "selection": request.selection.as_wire(), "fit": list(request.fit) if request.fit else None,
            "reduce": request.reduction.value, "statistics": request.statistics}


def folder_listing(result: dict[str, Any]) -> FolderListing:
    entries = tuple(FolderEntry(e["name"], EntryKind(e["kind"]), e.get("size"), e.get("mtime"), e.get("target"),
                                EntryKind(e["target_kind"]) if e.get("target_kind") else None)
                    for e in result["entries"])
    return FolderListing(PurePosixPath(result["path"]), entries)


def nodes(result: dict[str, Any]) -> tuple[NodeInfo, ...]:
    return tuple(_node(item) for item in result["nodes"])


def plot(result: dict[str, Any]) -> PlotDescription:
    values = {key: _frozen(value) for key, value in result.items() if key in _PLOT_FIELDS}
    values["view"] = View(values["view"])
    return PlotDescription(**values)


def block(request: ReadRequest, result: dict[str, Any], arrays: list[np.ndarray], received: int,
          seconds: float) -> Block:
    """The block of a ``read``.

    Raises:
        AgentError: the arrays are not those the result describes.
    """
    if len(arrays) != (2 if result.get("mask") else 1):
        raise AgentError("The agent sent a picture without its numbers.", f"{len(arrays)} arrays", "Reload it.")
    values = arrays[0]
    numbers = {key: _frozen(value) for key, value in (result.get("statistics") or {}).items()
               if key in _STATISTICS_FIELDS}
    factor = result.get("factor") or [1, 1]
    generation = result.get("generation") or [0, 0]
    return Block(values, request.reference, request.selection, tuple(result["full_shape"]),
                 Exactness(result["exactness"]), (int(factor[0]), int(factor[1])),
                 Reduction(result.get("reduce") or request.reduction.value), Statistics(**numbers),
                 _mask(arrays[1], values.shape) if result.get("mask") else None, str(result.get("signal") or ""),
                 (int(generation[0]), int(generation[1])), received, seconds)


def _mask(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    height, width = shape[-2:]
    mask = np.unpackbits(bits, count=height * width).reshape(height, width).astype(bool)
    mask.flags.writeable = False
    return mask


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
