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
from app.agent.nxdata import axes_of, errors_of, is_regular, length_of, names_in, sibling

LIMITS_RULE = "percentile 1-99"
COLOUR = ("rgb-image", "rgba-image")

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
        assert signal is not None
        assert found.group is not None
        self.signal = signal
        self.group = found.group
        self.dataset = signal.node
        self.shape = tuple(int(n) for n in (signal.node.shape or ()))
        self.entry = _entry_of(found.group)
        self.axes = axes_of(self.group, self.dataset, found.name, self.shape)
        self.interpretation = (get_text(self.dataset, "interpretation") or get_text(self.group.node, "interpretation"))

    def as_json(self) -> Dict[str, Any]:
        """Every field of ``app.model.plot.PlotDescription`` except ``limits``."""
        view = self.view()
        technique = self.technique(view)
        x_scale, y_scale, normalization = self._scales(view, technique)
        axes = self._coordinates() if view == "scatter" else self.axes
        return {
            "view": view, "signal": named(self.signal, self.home),
            "axes": [named(axis, self.home) if axis else None for axis in axes],
            "errors": self._path(errors_of(self.group, self.dataset, self.found.name, self.shape)),
            "auxiliary_signals": self._auxiliary(), "interpretation": self.interpretation or None,
            "x_scale": x_scale, "y_scale": y_scale,
            "colormap": _colormap(technique) if view in ("image", "stack", "volume", "scatter") else None,
            "normalization": normalization if view in ("image", "stack", "volume", "scatter") else None,
            "limits": None, "limits_rule": LIMITS_RULE if view not in ("table", "none") else None,
            "frame": self.frame(view), "rule": self.found.rule, "missing": list(self.found.missing),
            "shape": list(self.shape), "dtype": _dtype_text(self.dataset), "title": self._title(),
            "signal_units": get_text(self.dataset, "units"),
            "axes_units": [get_text(axis.node, "units") if axis else "" for axis in axes],
            "signal_name": get_text(self.dataset, "long_name"),
            "axes_names": [get_text(axis.node, "long_name") if axis else "" for axis in axes],
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
                   or any(word in name for word in ("projection", "tomo", "recon", "radiograph", "attenuation")))
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
        leading = leading_axes(view, self.interpretation, self.shape)
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
        axes = names_in(get_attribute(self.group.node, "axes"))
        if len([name for name in axes if name not in ("", ".")]) < 2 or get_text(self.group.node, "signal") == "":
            return False
        return self.found.name not in axes[:2] and all(
            length_of(self.group, name) == self.shape[0] for name in axes[:2])

    def _coordinates(self) -> List[Optional[links.Place]]:
        """Where points lie: the data of x and y."""
        return [sibling(self.group, name)
                for name in names_in(get_attribute(self.group.node, "axes"))[:2]]

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
        return all(is_regular(axis.node) for axis in self.axes if axis)

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
        for name in names_in(get_attribute(self.group.node, "auxiliary_signals")):
            place = sibling(self.group, name)
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


def is_colour(interpretation: Optional[str], shape: Tuple[int, ...]) -> bool:
    """Whether the last axis is the colour of a pixel: such a picture has three axes and is not reduced."""
    return interpretation in COLOUR and len(shape) >= 3


def leading_axes(view: str, interpretation: Optional[str], shape: Tuple[int, ...]) -> Tuple[int, ...]:
    """The lengths of the axes that number what is shown; the others are what is shown."""
    shown = 1 if view == "curve" else 3 if is_colour(interpretation, shape) else 2
    return shape[:-shown]


def named(place: links.Place, home: str) -> str:
    """A place as the command line names it: its path, with ``FILE::`` before it when it is in another file."""
    return place.data_path if place.file_path == home else "%s::%s" % (place.file_path, place.data_path)


def nothing(found: Found) -> Dict[str, Any]:
    """The description of what cannot be plotted."""
    return {"view": "none", "signal": None, "axes": [], "errors": None, "auxiliary_signals": [],
            "interpretation": None, "x_scale": "linear", "y_scale": "linear", "colormap": None, "normalization": None,
            "limits": None, "limits_rule": None, "frame": None, "rule": found.rule, "missing": list(found.missing),
            "shape": [], "dtype": "", "title": "", "signal_units": "", "axes_units": [],
            "signal_name": "", "axes_names": [], "reduction": "max"}


def _entry_of(group: links.Place) -> Any:
    parts = [part for part in group.data_path.split("/") if part]
    try:
        return links.resolve(h5py.Group(h5py.h5o.open(group.node.id, b"/")), "/" + parts[0]).node if parts else None
    except Exception:
        return None


def _is_table(dataset: Any) -> bool:
    try:
        return bool(dataset.shape and dataset.size) or bool(dataset.dtype.names)
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
