"""Turning a found signal into a plot description: view, axes, errors, scales, colours (docs/cli.md, ``plot``).

Follows NXdata (signal, axes, AXISNAME_indices, auxiliary_signals, errors, interpretation, default_slice), its older
style (``axis=``, ``axes`` on the dataset), NXcanSAS, HDF5 dimension scales and SILX_style. Runs in a worker process
of the agent, in one thread; reads no data but small axes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Optional, Tuple

import h5py
import numpy as np

from app.agent import links
from app.agent.attributes import get_attribute, get_text
from app.agent.default_plot import Found, is_plottable
from app.agent.nodes import text_dataset

LIMITS_RULE = "percentile 1-99"

_Q_NAME = re.compile(r"^(q|qx|q_?modulus|q_.*|scattering[ _]?vector.*|momentum[ _]?transfer.*)$", re.I)
_Q_UNITS = re.compile(r"^(1/(a|å|ang|angstrom|nm|m)|(a|å|angstrom|nm|m)\^?-1|\^?(angstrom|nm)\^-1)$", re.I)
_SCANNED = re.compile(r"frame|index|angle|rotation|theta|omega|phi|chi|time|energy|number|image|epoch|wavelength", re.I)
_IMAGING = ("NXTOMO", "NXTOMOPHASE", "NXTOMOPROC", "NXFLUO", "NXSTXM", "NXFULLFIELD", "NXXBASE_IMAGING")


class Description:
    """The parts of a plot description while it is put together."""

    def __init__(self, found: Found, home: str) -> None:
        self.found = found
        self.home = home
        signal = found.signal
        assert signal is not None and found.group is not None
        self.signal = signal
        self.group = found.group
        self.dataset = signal.node
        self.shape = tuple(int(n) for n in (signal.node.shape or ()))
        self.entry = _entry_of(found.group)
        self.axes = _axes(self.group, self.dataset, found.name, self.shape)
        self.interpretation = (get_text(self.dataset, "interpretation") or get_text(self.group.node, "interpretation"))

    def as_json(self) -> Dict[str, Any]:
        """Every field of ``app.model.plot.PlotDescription`` except ``limits``."""
        view = self.view()
        technique = self.technique(view)
        x_scale, y_scale, normalization = self._scales(view, technique)
        return {
            "view": view, "signal": named(self.signal, self.home),
            "axes": [named(axis, self.home) if axis else None for axis in self.axes],
            "errors": self._path(_errors(self.group, self.dataset, self.found.name, self.shape)),
            "auxiliary_signals": self._auxiliary(), "interpretation": self.interpretation or None,
            "x_scale": x_scale, "y_scale": y_scale,
            "colormap": _colormap(technique) if view in ("image", "stack", "volume", "scatter") else None,
            "normalization": normalization if view in ("image", "stack", "volume", "scatter") else None,
            "limits": None, "limits_rule": LIMITS_RULE if view not in ("table", "none") else None,
            "frame": self.frame(view), "rule": self.found.rule, "missing": list(self.found.missing),
            "shape": list(self.shape), "dtype": _dtype_text(self.dataset), "title": self._title(),
            "signal_units": get_text(self.dataset, "units"),
            "axes_units": [get_text(axis.node, "units") if axis else "" for axis in self.axes],
            "reduction": "max" if technique == "counts" else "mean",
        }

    def view(self) -> str:
        """Which viewer the data ask for."""
        if not is_plottable(self.dataset):
            return "table" if _is_table(self.dataset) else "none"
        rank = len(self.shape)
        frames = _product(self.shape[:-2])
        interpretation = self.interpretation.lower()
        if rank == 1:
            return "scatter" if self._is_scatter() else "curve"
        if interpretation in ("spectrum", "vertex") or _product(self.shape[:-1]) == 1:
            return "curve"
        if interpretation in ("image", "rgb-image", "rgba-image", "hsl-image", "hsla-image", "cmyk-image"):
            colour = 1 if interpretation != "image" else 0
            return "image" if _product(self.shape[:-2 - colour]) == 1 else "stack"
        if rank == 2 or frames == 1:
            return "image"
        return "volume" if self._is_volume() else "stack"

    def technique(self, view: str) -> str:
        """``counts``, ``imaging``, ``phase`` or ``values``: what decides scale, colours and reduction."""
        name = (self.found.name + " " + get_text(self.dataset, "long_name")).lower()
        if "phase" in name.replace("phase_contrast", ""):
            return "phase"
        kind = self.dataset.dtype.kind
        definition = text_dataset(self.entry, "definition").upper() if self.entry is not None else ""
        imaging = (definition.startswith(_IMAGING) or self._is_data_exchange()
                   or any(word in name for word in ("projection", "tomo", "recon", "radiograph")))
        if imaging:
            return "imaging"
        if kind == "u" and self.dataset.dtype.itemsize == 1 and self.interpretation.lower() != "spectrum":
            return "imaging"
        if kind in "iu":
            return "counts"
        if kind == "f" and (self._is_of_q() or any(self._axis_names() == names for names in _RECIPROCAL)
                            or _units_are_counts(self.dataset)):
            return "counts"
        return "values"

    def frame(self, view: str) -> Optional[int]:
        """The number of the frame to show first, leading axes joined flat; ``None``: the view has no frames."""
        if view not in ("image", "stack", "volume", "curve") or (view == "curve" and len(self.shape) < 2):
            return None
        leading = self.shape[:-1] if view == "curve" else self.shape[:-2]
        if view == "volume":
            return self.shape[0] // 2
        chosen = get_attribute(self.group.node, "default_slice")
        index = [0] * len(leading)
        if isinstance(chosen, list):
            for axis, item in enumerate(chosen[:len(leading)]):
                try:
                    number = int(item)
                except (TypeError, ValueError):
                    continue
                if -leading[axis] <= number < leading[axis]:
                    index[axis] = number % leading[axis]
        return int(np.ravel_multi_index(tuple(index), leading)) if leading else 0

    def _is_scatter(self) -> bool:
        axes = _names_in(get_attribute(self.group.node, "axes"))
        if len([name for name in axes if name not in ("", ".")]) < 2 or get_text(self.group.node, "signal") == "":
            return False
        return all(_length_of(self.group, name) == self.shape[0] for name in axes[:2])

    def _is_volume(self) -> bool:
        if len(self.shape) != 3:
            return False
        if "NXtomoproc".upper() in (text_dataset(self.entry, "definition").upper() if self.entry is not None else ""):
            return True
        words = (self.found.name + " " + self.group.data_path).lower()
        if "volume" in words or "reconstruct" in words:
            return True
        if any(axis is None for axis in self.axes) or len({axis.data_path for axis in self.axes if axis}) != 3:
            return False
        if any(_SCANNED.search(axis.data_path.rsplit("/", 1)[-1]) for axis in self.axes if axis):
            return False
        if len({get_text(axis.node, "units") for axis in self.axes if axis}) > 1:
            return False
        return all(_is_regular(axis.node) for axis in self.axes if axis)

    def _is_of_q(self) -> bool:
        if get_text(self.group.node, "canSAS_class") in ("SASdata", "SAS_data"):
            return True
        axis = self.axes[-1] if self.axes else None
        if axis is None:
            return False
        name = axis.data_path.rsplit("/", 1)[-1]
        long_name = get_text(axis.node, "long_name")
        return bool(_Q_NAME.match(name) or _Q_NAME.match(long_name.split("(")[0].strip())
                    or _Q_UNITS.match(get_text(axis.node, "units").strip()))

    def _is_data_exchange(self) -> bool:
        return self.signal.data_path.startswith("/exchange") and self.group.data_path.startswith("/exchange")

    def _axis_names(self) -> Tuple[str, ...]:
        return tuple(axis.data_path.rsplit("/", 1)[-1][:1].lower() if axis else "" for axis in self.axes)

    def _scales(self, view: str, technique: str) -> Tuple[str, str, str]:
        x_scale = y_scale = "linear"
        normalization = "log" if technique == "counts" else "linear"
        if view == "curve" and self._is_of_q():
            x_scale = y_scale = "log"
        style = _silx_style(self)
        signal_scale = style.get("signal_scale_type")
        if signal_scale in ("log", "linear"):
            normalization = signal_scale
            if view == "curve":
                y_scale = signal_scale
        axis_scales = style.get("axes_scale_types")
        if isinstance(axis_scales, list) and axis_scales:
            if axis_scales[-1] in ("log", "linear"):
                x_scale = axis_scales[-1]
            if view != "curve" and len(axis_scales) > 1 and axis_scales[-2] in ("log", "linear"):
                y_scale = axis_scales[-2]
        return x_scale, y_scale, normalization

    def _auxiliary(self) -> List[str]:
        found = []
        for name in _names_in(get_attribute(self.group.node, "auxiliary_signals")):
            place = _sibling(self.group, name)
            if place is not None and is_plottable(place.node):
                found.append(named(place, self.home))
        return found

    def _title(self) -> str:
        title = text_dataset(self.group.node, "title") or get_text(self.group.node, "title")
        if not title and self.entry is not None:
            title = text_dataset(self.entry, "title")
        return title or get_text(self.dataset, "long_name")

    def _path(self, place: Optional[links.Place]) -> Optional[str]:
        return named(place, self.home) if place is not None else None


_RECIPROCAL = (("h", "k", "l"), ("h", "k"), ("k", "l"), ("h", "l"))


def named(place: links.Place, home: str) -> str:
    """A place as the command line names it: its path, with ``FILE::`` before it when it is in another file."""
    return place.data_path if place.file_path == home else "%s::%s" % (place.file_path, place.data_path)


def nothing(found: Found) -> Dict[str, Any]:
    """The description of what cannot be plotted."""
    return {"view": "none", "signal": None, "axes": [], "errors": None, "auxiliary_signals": [],
            "interpretation": None, "x_scale": "linear", "y_scale": "linear", "colormap": None, "normalization": None,
            "limits": None, "limits_rule": None, "frame": None, "rule": found.rule, "missing": list(found.missing),
            "shape": [], "dtype": "", "title": "", "signal_units": "", "axes_units": [], "reduction": "max"}


def _entry_of(group: links.Place) -> Any:
    parts = [part for part in group.data_path.split("/") if part]
    try:
        return links.resolve(h5py.Group(h5py.h5o.open(group.node.id, b"/")), "/" + parts[0]).node if parts else None
    except Exception:
        return None


def _axes(group: links.Place, dataset: Any, name: str, shape: Tuple[int, ...]) -> List[Optional[links.Place]]:
    axes = [None] * len(shape)  # type: List[Optional[links.Place]]
    if not shape:
        return axes
    declared = _names_in(get_attribute(group.node, "axes"))
    described = declared and (_shares_shape(group, name, shape))
    names = declared if described else []
    names = names or _names_in(get_attribute(group.node, "%s_axes" % name)) or _names_in(get_attribute(dataset, "axes"))
    for position, axis_name in enumerate(names):
        place = _sibling(group, axis_name)
        if place is None:
            continue
        dimension = _dimension_of(group, axis_name, position, names, axes)
        if dimension is not None and dimension < len(shape) and _fits(place.node, shape[dimension]):
            axes[dimension] = place
    if not names:
        _legacy_axes(group, dataset, shape, axes)
        _dimension_scales(group, dataset, shape, axes)
    if group.data_path.startswith("/exchange") and axes[0] is None:
        theta = _sibling(group, "theta")
        if theta is not None and _fits(theta.node, shape[0]):
            axes[0] = theta
    return axes


def _shares_shape(group: links.Place, name: str, shape: Tuple[int, ...]) -> bool:
    signal = get_text(group.node, "signal")
    if not signal or signal == name:
        return True
    place = _sibling(group, signal)
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
        place = _sibling(group, name)
        if place is not None and 1 <= number <= len(shape) and axes[number - 1] is None \
                and _fits(place.node, shape[number - 1]):
            axes[number - 1] = place


def _dimension_scales(group: links.Place, dataset: Any, shape: Tuple[int, ...],
                      axes: List[Optional[links.Place]]) -> None:
    if not h5py.h5a.exists(dataset.id, b"DIMENSION_LIST"):
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


def _errors(group: links.Place, dataset: Any, name: str, shape: Tuple[int, ...]) -> Optional[links.Place]:
    names = ["%s_errors" % name]
    for owner, attribute in ((dataset, "uncertainties"), (dataset, "uncertainty"),
                             (group.node, "%s_uncertainties" % name), (group.node, "%s_uncertainty" % name)):
        names.append(get_text(owner, attribute))
    is_signal = get_text(group.node, "signal") in ("", name)
    names.extend(["errors"] if is_signal else [])
    names.extend(["Idev"] if name == "I" else [])
    for candidate in names:
        place = _sibling(group, candidate) if candidate and candidate != name else None
        if place is not None and is_plottable(place.node) and tuple(place.node.shape) == shape:
            return place
    return None


def _sibling(group: links.Place, name: str) -> Optional[links.Place]:
    if name in ("", "."):
        return None
    try:
        place = links.resolve_from(group, name)
    except links.BrokenLink:
        return None
    return place if isinstance(place.node, h5py.Dataset) else None


def _names_in(value: Any) -> List[str]:
    """Names in an attribute: an array of text, or one text separated by colons, commas or spaces."""
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], str):
            return _names_in(value[0])
        return [item.strip() if isinstance(item, str) else "" for item in value]
    if not isinstance(value, str):
        return []
    text = value.strip().strip("[]")
    for separator in (":", ","):
        if separator in text:
            return [part.strip() for part in text.split(separator)]
    return [text] if text else []


def _length_of(group: links.Place, name: str) -> int:
    place = _sibling(group, name)
    return int(place.node.shape[0]) if place is not None and place.node.ndim == 1 else -1


def _is_regular(dataset: Any) -> bool:
    if dataset.size < 2 or dataset.size > 1 << 16:
        return False
    try:
        steps = np.diff(dataset[()].astype(np.float64))
    except Exception:
        return False
    return bool(steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3))


def _is_table(dataset: Any) -> bool:
    try:
        return dataset.shape is not None and len(dataset.shape) > 0 and dataset.size > 0 or bool(dataset.dtype.names)
    except Exception:
        return False


def _units_are_counts(dataset: Any) -> bool:
    return get_text(dataset, "units").strip().lower() in ("count", "counts", "photons", "photon")


def _silx_style(description: Description) -> Dict[str, Any]:
    owners = [description.dataset, description.group.node, description.entry]
    for owner in owners:
        text = get_text(owner, "SILX_style") if owner is not None else ""
        if text:
            try:
                style = json.loads(text)
            except ValueError:
                continue
            if isinstance(style, dict):
                return style
    return {}


def _colormap(technique: str) -> str:
    return {"counts": "inferno", "imaging": "gray", "phase": "twilight"}.get(technique, "viridis")


def _dtype_text(dataset: Any) -> str:
    try:
        return str(dataset.dtype)
    except Exception:
        return ""


def _product(numbers: Tuple[int, ...]) -> int:
    total = 1
    for number in numbers:
        total *= number
    return total
