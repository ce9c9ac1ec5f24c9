"""What a NeXus file says beside its data: groups by their class, numbers with their units in SI.

Nothing here raises for what is missing or broken in a file: it is ``None`` then. Python 3.8, numpy, h5py.
"""

from __future__ import annotations

import h5py
import numpy as np

# How many of a unit are one metre: dividing rounds once, so 100 µm is 1e-4 m to the last bit.
PER_METRE = {"m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0, "cm": 1e2, "mm": 1e3, "um": 1e6,
             "µm": 1e6, "μm": 1e6, "micron": 1e6, "microns": 1e6, "nm": 1e9, "pm": 1e12, "a": 1e10, "å": 1e10,
             "angstrom": 1e10, "angstroms": 1e10, "ångström": 1e10}
ENERGY_EV = {"ev": 1.0, "kev": 1e3, "mev": 1e6, "j": 1.0 / 1.602176634e-19}
HC_EV_M = 1.23984198433e-06     # Planck's constant times the speed of light (CODATA 2018, exact)


def member(group, key):
    """``group[key]``; ``None`` where it is not there or a dangling link."""
    try:
        return group.get(key)
    except (KeyError, OSError, RuntimeError):
        return None


def text_of(value):
    """An attribute's text, however it was written; ``None`` for anything else."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


def groups(top, nx_class, depth):
    """The groups below ``top`` with that NX_class (``None``: all groups), ``depth`` levels down, in the file's order;
    links to other files are not followed, and each group is met once."""
    found, met = [], set()

    def visit(group, left):
        for key in group:
            link = group.get(key, getlink=True)
            node = None if isinstance(link, h5py.ExternalLink) else member(group, key)
            if not isinstance(node, h5py.Group) or node.id in met:
                continue
            met.add(node.id)
            if nx_class is None or text_of(node.attrs.get("NX_class")) == nx_class:
                found.append(node)
            if left > 1:
                visit(node, left - 1)

    visit(top, depth)
    return found


def only(found):
    """The item of a list that has just one, else ``None``."""
    return found[0] if len(found) == 1 else None


def ancestor(source, nx_class):
    """The nearest group with that NX_class above the data of a `Source`, by the path asked for or by the data set's
    own; for ``NXentry`` else the file's only one. ``None``: there is none, or the source is no HDF5 file."""
    if source.file is None:
        return None
    paths = [source.name.partition("::")[2]]
    if source.dataset.file.filename == source.file.filename:
        paths.append(source.dataset.name)
    for path in paths:
        while path and path != "/":
            path = path.rpartition("/")[0]
            group = member(source.file, path or "/")
            if isinstance(group, h5py.Group) and text_of(group.attrs.get("NX_class")) == nx_class:
                return group
    return only(groups(source.file, nx_class, 1)) if nx_class == "NXentry" else None


def the_detector(source):
    """The NXdetector that the frames of a `Source` are from: the one above them; else the entry's one that says a
    distance and holds frames of this shape; else the only one. ``None``: not known."""
    if source.file is None:
        return None
    above = ancestor(source, "NXdetector")
    if above is not None:
        return above
    found = groups(ancestor(source, "NXentry") or source.file, "NXdetector", 4)
    fitting = [d for d in found if "distance" in d and any(
        isinstance(member(d, k), h5py.Dataset) and tuple(member(d, k).shape or ())[-2:] == source.shape for k in d)]
    return fitting[0] if fitting else only(found) or only([d for d in found if "distance" in d])


def scalar(group, field):
    """The number in ``group[field]``, the first one of an array, as float; ``None``: no finite number is there."""
    node = member(group, field) if group is not None else None
    if not isinstance(node, h5py.Dataset) or not node.size or node.dtype.kind not in "iuf":
        return None
    value = float(node[()] if not node.shape else node[(0,) * len(node.shape)])
    return value if np.isfinite(value) else None


def unit_of(group, field):
    """The unit of ``group[field]`` in lower case; ``""``: none is said."""
    node = member(group, field) if group is not None else None
    return (text_of(node.attrs.get("units")) or "").strip().lower() if node is not None else ""


def length(group, field, per_metre=1.0):
    """The length in ``group[field]`` in metres; ``per_metre``: how many of the unit that is meant when the file says
    none (1e3: mm). ``None``: not there, or the unit is no length."""
    value, unit = scalar(group, field), unit_of(group, field)
    if value is None or (unit and unit not in PER_METRE):
        return None
    return value / PER_METRE.get(unit, per_metre)


def wavelength(entry):
    """The wavelength in metres from NXbeam or NXmonochromator below ``entry``, also from an energy (without a unit:
    eV above 500, else keV). ``None``: neither is there."""
    for nx_class, fields in (("NXbeam", ("incident_wavelength", "incident_energy")),
                             ("NXmonochromator", ("wavelength", "energy"))):
        for group in groups(entry, nx_class, 4):
            in_metres, energy = length(group, fields[0], 1e10), scalar(group, fields[1])
            if in_metres:
                return in_metres
            if energy:
                return HC_EV_M / (energy * ENERGY_EV.get(unit_of(group, fields[1]), 1.0 if energy > 500 else 1e3))
    return None
