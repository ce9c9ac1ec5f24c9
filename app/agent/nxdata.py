"""The members of an NXdata group: axes, uncertainties, and the older ways of naming them.

``@axes`` and ``AXISNAME_indices``, ``axis=1`` on the datasets, ``axes="y:x"`` on the signal, NXcanSAS ``I_axes``, Data
Exchange ``theta``, HDF5 dimension scales; ``SIGNAL_errors``, ``errors``, ``@uncertainties``. Runs in a worker process
of the agent, in one thread; reads no data but small axes.
"""

from __future__ import annotations

import re
from typing import Any, List, Optional, Tuple

import h5py
import numpy as np

from app.agent import links
from app.agent.attributes import get_attribute, get_text
from app.agent.default_plot import is_plottable


def axes_of(group: links.Place, dataset: Any, name: str, shape: Tuple[int, ...]) -> List[Optional[links.Place]]:
    """The axis of each dimension of a signal, or ``None``; only 1-D ones that fit (also bin edges, one longer)."""
    axes = [None] * len(shape)  # type: List[Optional[links.Place]]
    if not shape:
        return axes
    declared = names_in(get_attribute(group.node, "axes"))
    described = declared and (_shares_shape(group, name, shape))
    names = declared if described else []
    names = names or names_in(get_attribute(group.node, "%s_axes" % name)) or names_in(get_attribute(dataset, "axes"))
    for position, axis_name in enumerate(names):
        place = sibling(group, axis_name)
        if place is None or place.node == dataset:
            continue
        dimension = _dimension_of(group, axis_name, position, names, axes)
        if dimension is not None and dimension < len(shape) and _fits(place.node, shape[dimension]):
            axes[dimension] = place
    if not names:
        _legacy_axes(group, dataset, shape, axes)
        _dimension_scales(group, dataset, shape, axes)
    if group.data_path.startswith("/exchange") and axes[0] is None:
        theta = sibling(group, "theta")
        if theta is not None and _fits(theta.node, shape[0]):
            axes[0] = theta
    return axes


def _shares_shape(group: links.Place, name: str, shape: Tuple[int, ...]) -> bool:
    signal = get_text(group.node, "signal")
    if not signal or signal == name:
        return True
    place = sibling(group, signal)
    return place is not None and tuple(getattr(place.node, "shape", None) or ()) == shape


def _dimension_of(group: links.Place, axis_name: str, position: int, names: List[str],
                  taken: List[Optional[links.Place]]) -> Optional[int]:
    indices = get_attribute(group.node, "%s_indices" % axis_name)
    flat = indices if isinstance(indices, list) else [indices]
    numbers = []
    for item in flat:
        for part in str(item).split(",") if item is not None else []:
            if part.strip().isdigit():
                numbers.append(int(part))
    if len(numbers) == 1 and numbers[0] < len(taken) and taken[numbers[0]] is None:
        return numbers[0]
    if len(numbers) > 1:
        return None
    return position if position < len(taken) and taken[position] is None else None


def _legacy_axes(group: links.Place, dataset: Any, shape: Tuple[int, ...], axes: List[Optional[links.Place]]) -> None:
    ranked = []
    for order, name in enumerate(links.child_names(group.node)):
        try:
            node = links.open_child(group.node, name)
            numbers = get_attribute(node, "axis") if isinstance(node, h5py.Dataset) else None
        except Exception:
            continue
        if numbers is None:
            continue
        for part in re.split(r"[,:\s]+", str(numbers).strip("[]")):
            if part.strip("'\"").isdigit():
                primary = get_attribute(node, "primary")
                ranked.append((0 if str(primary).strip("[]'\"") == "1" else 1, order, name, int(part.strip("'\""))))
    for _, _, name, number in sorted(ranked):
        place = sibling(group, name)
        if place is not None and place.node != dataset and 1 <= number <= len(shape) and axes[number - 1] is None \
                and _fits(place.node, shape[number - 1]):
            axes[number - 1] = place


def _dimension_scales(group: links.Place, dataset: Any, shape: Tuple[int, ...],
                      axes: List[Optional[links.Place]]) -> None:
    if get_attribute(dataset, "DIMENSION_LIST") is None:
        return
    for number, length in enumerate(shape):
        try:
            scale = dataset.dims[number][0]
            place = links.resolve_from(group, scale.name)
        except Exception:
            continue
        if axes[number] is None and _fits(place.node, length):
            axes[number] = place


def _fits(node: Any, length: int) -> bool:
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        return False
    try:
        if node.dtype.kind not in "iuf":
            return False
    except Exception:
        return False
    if node.ndim == 0:
        return length == 1
    return node.ndim == 1 and node.shape[0] in (length, length + 1)


def errors_of(group: links.Place, dataset: Any, name: str, shape: Tuple[int, ...]) -> Optional[links.Place]:
    """The dataset of a signal's uncertainties; it has the signal's shape."""
    names = ["%s_errors" % name]
    for owner, attribute in ((dataset, "uncertainties"), (dataset, "uncertainty"),
                             (group.node, "%s_uncertainties" % name), (group.node, "%s_uncertainty" % name)):
        names.append(get_text(owner, attribute))
    is_signal = get_text(group.node, "signal") in ("", name)
    names.extend(["errors"] if is_signal else [])
    names.extend(["Idev"] if name == "I" else [])
    for candidate in names:
        place = sibling(group, candidate) if candidate and candidate != name else None
        if place is not None and is_plottable(place.node) and tuple(place.node.shape) == shape:
            return place
    return None


def sibling(group: links.Place, name: str) -> Optional[links.Place]:
    """The dataset ``name`` of a group, links followed."""
    if name in ("", "."):
        return None
    try:
        place = links.resolve_from(group, name)
    except links.BrokenLink:
        return None
    return place if isinstance(place.node, h5py.Dataset) else None


def names_in(value: Any) -> List[str]:
    """Names in an attribute: an array of text, or one text separated by colons, commas or spaces."""
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            return names_in(value[0])
        return [item.strip() if isinstance(item, str) else "" for item in value]
    if not isinstance(value, str):
        return []
    text = value.strip().strip("[]")
    for separator in (":", ","):
        if separator in text:
            return [part.strip() for part in text.split(separator)]
    return [text] if text else []


def length_of(group: links.Place, name: str) -> int:
    """The length of a 1-D dataset of a group; -1: there is none."""
    place = sibling(group, name)
    return int(place.node.shape[0]) if place is not None and place.node.ndim == 1 else -1


def is_regular(dataset: Any) -> bool:
    """Whether an axis is an even grid."""
    if dataset.size < 2 or dataset.size > 1 << 16:
        return False
    try:
        values = dataset[()].astype(np.float64)
    except Exception:
        return False
    even = np.linspace(values[0], values[-1], len(values))
    step = abs(even[1] - even[0])
    return bool(step > 0 and np.abs(values - even).max() < step)  # to within one step, as measured grids are
