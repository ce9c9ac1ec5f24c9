"""Reading selections of datasets, exactly as stored.

Runs in a worker process of the agent, in one thread. Values come back with the stored type and byte order; text of
variable length becomes fixed-width Unicode, and other values numpy arrays cannot carry become text. What is too large
for one reply is refused before any memory is taken.
"""

from __future__ import annotations

import json
from typing import Any, List, Optional, Tuple

import h5py
import numpy as np
from h5py import h5s

from app.agent import links
from app.agent.attributes import sentence, value_json
from app.agent.selection import Plan, tie
from app.agent.sources import absent_filters, absent_source_filters, filter_sentence, trouble_with
from app.agent.storage import refuse_if_cut
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError

MAX_BYTES = 2 ** 30
INSTALL_FILTERS = "Ask the facility to install hdf5plugin for the Python that the agent uses."


def plan_for(dataset: Any, items: List[Any], data_path: str) -> Plan:
    """Tie a selection to a dataset and refuse what is too large.

    Raises:
        WireError: kinds ``selection`` and ``unreadable`` (an empty dataspace).
    """
    if dataset.id.get_space().get_simple_extent_type() == h5s.NULL:
        raise WireError("unreadable", "%s has an empty dataspace: there are no values to read." % data_path)
    plan = tie(items, tuple(int(n) for n in dataset.shape), data_path)
    _refuse_too_large(plan, dataset.dtype.itemsize, data_path)
    return plan


def read_plan(dataset: Any, plan: Plan, file_path: str, data_path: str, reader: Optional[SourceReader] = None) -> Any:
    """The selected values, an array with the shape of the plan (array-typed elements add their own axes).

    Args:
        reader: reads what it can without HDF5, the same bits faster.

    Raises:
        WireError: kind ``unreadable`` with what is missing or damaged.
    """
    if 0 in plan.full_counts:
        return np.empty(plan.shape, _storable(dataset.dtype))
    found = reader.read(dataset, plan, file_path) if reader is not None else None
    if found is not None:
        return found.reshape(plan.shape)
    absent = absent_filters(dataset)
    if absent and dataset.id.get_storage_size():
        raise WireError("unreadable", "%s cannot be read: %s" % (data_path, _lower(filter_sentence(absent))),
                        remedy=INSTALL_FILTERS)
    try:
        stepped = plan.touched * dataset.dtype.itemsize <= MAX_BYTES
        window = _hyperslab(plan, stepped) if plan.axes else ...  # () would lose the byte order
        values = dataset[window]
    except MemoryError as error:
        raise WireError("unreadable", "There is not enough memory at the facility to read %s." % data_path,
                        sentence(error), "Select less of it.") from error
    except Exception as error:
        raise _unreadable(dataset, file_path, data_path, sentence(error)) from error
    refuse_if_cut(dataset)
    values = np.asarray(values)
    if plan.axes and stepped:
        values = values[tuple(axis.within_bounds for axis in plan.axes)]
    elif plan.axes:
        values = values[tuple(slice(None, None, -1) if axis.step < 0 else slice(None) for axis in plan.axes)]
    shape = plan.shape + values.shape[len(plan.axes):]  # indexing down to one element would lose the byte order
    return plain(np.ascontiguousarray(values).reshape(shape), dataset)


def _unreadable(dataset: Any, file_path: str, data_path: str, detail: str) -> WireError:
    absent = absent_source_filters(dataset, file_path)
    if absent:
        return WireError("unreadable", "%s cannot be read: %s" % (data_path, _lower(filter_sentence(absent))), detail,
                         INSTALL_FILTERS)
    trouble = trouble_with(dataset, file_path)
    why = _lower(trouble) if trouble else "its stored values are damaged or in a form this HDF5 cannot read."
    return WireError("unreadable", "%s cannot be read: %s" % (data_path, why), detail,
                     "Other datasets of the file may still be readable.")


def _hyperslab(plan: Plan, stepped: bool) -> Tuple[slice, ...]:
    slabs = []
    for axis in plan.axes:
        first, end = axis.bounds
        slabs.append(slice(first, end, None if stepped else abs(axis.step)))
    return tuple(slabs)


def plain(values: Any, node: Any = None) -> Any:
    """An array without Python objects: text as ``U``, what else has no fixed size as JSON text."""
    if not values.dtype.hasobject:
        return values
    if values.dtype.names:
        fields = [(name, plain(values[name], node)) for name in values.dtype.names]
        out = np.empty(values.shape, [(name, part.dtype, part.shape[values.ndim:]) for name, part in fields])
        for name, part in fields:
            out[name] = part
        return out
    texts = [_as_text(item, node) for item in values.reshape(-1)]
    return np.array(texts, dtype=np.str_).reshape(values.shape) if texts else np.empty(values.shape, "U1")


def _as_text(item: Any, node: Any) -> str:
    if isinstance(item, bytes):
        return item.decode("utf-8", "backslashreplace")
    if isinstance(item, str):
        return item.encode("utf-8", "backslashreplace").decode("utf-8")
    value = value_json(item, node)
    if isinstance(value, dict) and "reference" in value:
        return str(value["reference"] or "")
    return json.dumps(value)


def _storable(dtype: Any) -> Any:
    return np.dtype("U1") if dtype == np.dtype(object) else np.dtype(dtype)


def _refuse_too_large(plan: Plan, itemsize: int, data_path: str) -> None:
    count = 1
    for length in plan.full_counts:
        count *= length
    if count * itemsize > MAX_BYTES:
        raise WireError("selection", "The selection of %s holds %.1f GiB, more than the 1 GiB one reply may hold."
                        % (data_path, count * itemsize / 2 ** 30),
                        remedy="Select less of it, for example one frame at a time.")


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def pixel_mask_for(place: links.Place, asked_path: str) -> Optional[Any]:
    """The NeXus ``pixel_mask`` that belongs to a dataset's frames, True where masked; ``None``: there is none.

    Looked for beside the dataset (where it lies and where it was asked for), then in the detectors of its entry.
    """
    shape = place.node.shape
    if shape is None or len(shape) < 2 or place.node.dtype.kind not in "iufb":
        return None
    root = links.Place(h5py.Group(h5py.h5o.open(place.node.id, b"/")), place.file_path, "/")
    folders = [links.parent_of(place.data_path)]
    if "::" not in asked_path:
        folders.append(links.parent_of(asked_path))
    entry = "/" + place.data_path.strip("/").split("/")[0]
    for instrument in ("instrument", "NXinstrument"):
        try:
            node = links.resolve(root.node, links.join(entry, instrument)).node
            folders.extend(links.join(links.join(entry, instrument), name) for name in links.child_names(node))
        except Exception:
            continue
    for folder in folders:
        mask = _mask_at(root, links.join(folder, "pixel_mask"), shape[-2:])
        if mask is not None:
            return mask
    return None


def _mask_at(root: links.Place, path: str, frame_shape: Tuple[int, ...]) -> Optional[Any]:
    try:
        node = links.resolve(root.node, path).node
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iub":
            return None
        if node.shape[-2:] != frame_shape or any(n != 1 for n in node.shape[:-2]):
            return None
        return node[()].reshape(frame_shape) != 0
    except Exception:
        return None


def mask_of_selection(mask: Optional[Any], plan: Plan) -> Optional[Any]:
    """The part of a frame's mask that a selection shows; ``None`` where it keeps no two frame axes."""
    if mask is None or len(plan.axes) < 2 or plan.axes[-1].dropped or plan.axes[-2].dropped:
        return None
    part = mask
    for number, axis in enumerate(plan.axes[-2:]):
        first, end = axis.bounds
        window = slice(first, end)
        part = part[window] if number == 0 else part[:, window]
        part = part[axis.within_bounds] if number == 0 else part[:, axis.within_bounds]
    return part
