"""Tomography scans in HDF5 files: NXtomo, Data Exchange, BLISS (ESRF), groups of projections, flats and darks, a stack.

Reads only; each function takes an open file and gives a `Scan`, or ``None`` where the file is not of its layout.
"""

from __future__ import annotations

import os

import h5py
import numpy as np
import tomo_bliss
from beamside_job import Fault, Source, groups, length, member, open_hdf5, scalar, text_of, unit_of, wavelength
from tomo_scan import Frames, FrameSet, Scan, angles_in_degrees

HC_KEV_M = 1.23984198433e-09
PROJECTIONS = ("projections", "projection", "tomo", "sample", "data")
FLATS = ("flats", "flat", "flatfields", "flat_fields", "data_white", "white", "whites", "references", "ref")
DARKS = ("darks", "dark", "darkfields", "dark_fields", "data_dark")
ANGLES = ("rotation_angle", "rotation_angles", "theta", "angles", "angle")


def open_scan(name, values):
    """The scan that an input means: ``FILE``, ``FILE::/path``, a folder of images or a pattern.

    Raises:
        Fault: there is none, or several and none is named.
    """
    path, _, inside = name.partition("::/")
    if not (os.path.isfile(path) and h5py.is_hdf5(path)):
        from tomo_images import image_scan
        return image_scan(path)
    with open_hdf5(path) as file:
        for layout in (data_exchange, nxtomo, tomo_bliss.bliss, grouped, plain):
            scan = layout(file, path, "/" + inside)
            if scan is not None:
                return scan
    raise Fault(f"{name} holds no tomography scan that this recipe knows: NXtomo, Data Exchange, BLISS, groups of"
                " projections, flats and darks, or a stack of frames.")


# -- NXtomo -----------------------------------------------------------------------------------------------------------

def nxtomo(file, path, inside):
    """NXtomo: the frames' kinds are in ``image_key`` (or ``image_key_control``) beside them."""
    found = {}
    for group in [file] + groups(file, None, 6):
        key = next((k for k in ("image_key_control", "image_key") if isinstance(member(group, k), h5py.Dataset)), None)
        data = member(group, "data")
        if key and isinstance(data, h5py.Dataset) and len(data.shape) == 3:
            entry = _entry(file, group)
            rank = text_of(group.attrs.get("NX_class")) == "NXdetector"
            if entry.name not in found or rank > found[entry.name][0]:
                found[entry.name] = (rank, entry, group, key)
    if not found:
        return None
    _, entry, group, key = found[_chosen(file, path, inside, list(found))]
    source = Source(f"{path}::{group.name.rstrip('/')}/data")
    keys = np.asarray(group[key][()]).ravel().astype(int)
    if len(keys) != len(source):
        raise Fault(f"{path} has {len(source)} frames but {len(keys)} image keys: they must be as many.")
    numbers = np.flatnonzero(keys == 0)
    scan = Scan(path, "NXtomo", Frames.of(source, numbers), None, _runs(source, keys, 1), _runs(source, keys, 2),
                numbers)
    left_out = int(np.isin(keys, (0, 1, 2), invert=True).sum())
    if left_out:
        scan.notes.append(f"{left_out} of {len(keys)} frames are marked as excluded and are left out.")
    angles = _rotation(entry, group, (len(keys), len(numbers)))
    if angles is not None:
        all_angles = angles_in_degrees(angles[()], unit_of(angles.parent, angles.name.rpartition("/")[2]), scan.notes,
                                       path)
        scan.angles = all_angles[numbers] if len(all_angles) == len(keys) else all_angles
    detector = group if "x_pixel_size" in group else next(iter(groups(entry, "NXdetector", 4)), group)
    scan.pixel_m = (length(detector, "y_pixel_size"), length(detector, "x_pixel_size"))
    scan.distance_m = length(detector, "distance")
    metres = wavelength(entry)
    scan.energy_kev = HC_KEV_M / metres if metres else None
    view = member(detector, "field_of_view")
    scan.half = isinstance(view, h5py.Dataset) and (text_of(view[()]) or "").strip().lower() == "half"
    return scan


def _entry(file, group):
    """The NXentry or NXsubentry above a group; else the file."""
    while group.name != "/":
        if text_of(group.attrs.get("NX_class")) in ("NXentry", "NXsubentry"):
            return group
        group = group.parent
    return file


def _chosen(file, path, inside, names):
    """The entry that is meant: by the path in the input, by the file's default, or because it is the only one."""
    above = [n for n in names if (inside + "/").startswith(n.rstrip("/") + "/")]
    below = [n for n in names if n.startswith(inside.rstrip("/") + "/")]
    if above:
        return max(above, key=len)
    if not below:
        raise Fault(f"{path} has no tomography scan at {inside}; it has {', '.join(names[:4])}.")
    default = "/" + (text_of(file.attrs.get("default")) or "").strip("/")
    return below[0] if len(below) == 1 else default if default in below else _several(path, below)


def _several(path, names):
    raise Fault(f"{path} holds {len(names)} scans: name one, for example {path}::{names[0]}"
                f" (or {', '.join(names[1:4])}).")


def _runs(source, keys, kind):
    """Frames of one kind that follow each other are one set, at the place of their middle."""
    numbers = np.flatnonzero(keys == kind)
    if not len(numbers):
        return []
    other = np.cumsum(keys == 0)[numbers]       # a set ends where projections were taken between
    return [FrameSet(Frames.of(source, run), float(np.mean(run)))
            for run in np.split(numbers, np.flatnonzero(np.diff(other)) + 1)]


def _rotation(entry, group, lengths):
    """The data set of rotation angles: of the sample, beside the frames, or the only one of a fitting length."""
    places = [*groups(entry, "NXsample", 3), group, *groups(entry, "NXdata", 3), *groups(entry, None, 4)]
    sample = member(entry, "sample")
    if isinstance(sample, h5py.Group):
        places.insert(0, sample)
    wrong = None
    for place in places:
        angles = member(place, "rotation_angle")
        if isinstance(angles, h5py.Dataset) and angles.size in lengths:
            return angles
        if isinstance(angles, h5py.Dataset) and angles.size > 1:
            wrong = angles
    return wrong


# -- Data Exchange ----------------------------------------------------------------------------------------------------

def data_exchange(file, path, inside):
    """APS: ``exchange/data``, ``data_white``, ``data_dark`` and ``theta``."""
    exchange = member(file, "exchange")
    if not isinstance(exchange, h5py.Group) or not _stack(member(exchange, "data")):
        return None
    scan = Scan(path, "Data Exchange", Frames.of(Source(f"{path}::/exchange/data")), None,
                _named(path, exchange, "data_white"), _named(path, exchange, "data_dark"))
    theta = member(exchange, "theta")
    if isinstance(theta, h5py.Dataset):
        scan.angles = angles_in_degrees(theta[()], unit_of(exchange, "theta"), scan.notes, path)
    for place in ("measurement/instrument/detector", "measurement/instrument/detection_system/objective"):
        group = member(file, place)
        for start in ("actual_pixel_size", "pixel_size") if isinstance(group, h5py.Group) else ():
            sizes = (length(group, start + "_y", 1e6), length(group, start + "_x", 1e6))
            one = length(group, start, 1e6)
            scan.pixel_m = tuple(known or size or one for known, size in zip(scan.pixel_m, sizes))
        if isinstance(group, h5py.Group):
            scan.distance_m = scan.distance_m or length(group, "distance", 1e3)
    energy = scalar(member(file, "measurement/instrument/monochromator"), "energy")
    if energy:
        unit = unit_of(file["measurement/instrument/monochromator"], "energy")
        scan.energy_kev = energy * {"ev": 1e-3, "kev": 1.0}.get(unit, 1e-3 if energy > 500 else 1.0)
    return scan


def _stack(node):
    return isinstance(node, h5py.Dataset) and len(node.shape or ()) == 3 and node.dtype.kind in "iuf"


def _named(path, group, key):
    node = member(group, key)
    if isinstance(node, h5py.Dataset) and len(node.shape or ()) in (2, 3) and node.size:
        return [FrameSet(Frames.of(Source(f"{path}::{group.name.rstrip('/')}/{key}")))]
    return []


# -- Groups and plain stacks ------------------------------------------------------------------------------------------

def grouped(file, path, inside):
    """Projections, flats and darks as data sets or groups of those names in one group; a set of flats for each of the
    data sets in a group, whose names may be the numbers of projections when they were taken (nabu)."""
    for parent in [file] + groups(file, None, 4):
        flats = next((k for k in FLATS if member(parent, k) is not None), None)
        darks = next((k for k in DARKS if member(parent, k) is not None), None)
        name = next((k for k in PROJECTIONS if k not in (flats, darks) and _inner(member(parent, k))), None)
        if name is None or not (flats or darks) or not (parent.name + "/").startswith(inside.rstrip("/")):
            continue
        data = _inner(parent[name])
        scan = Scan(path, "groups", Frames.of(Source(f"{path}::{data.name}")), None,
                    _sets(path, parent, flats), _sets(path, parent, darks))
        for place in (data.parent, parent, file):
            key = next((k for k in ANGLES if isinstance(member(place, k), h5py.Dataset)), None)
            if key:
                scan.angles = angles_in_degrees(place[key][()], unit_of(place, key), scan.notes, path)
                break
        return scan
    return None


def _inner(node):
    """The stack that a node is or holds; ``None``: none."""
    if _stack(node):
        return node
    if isinstance(node, h5py.Group):
        return next((member(node, k) for k in ("data", "frames", *node) if _stack(member(node, k))), None)
    return None


def _sets(path, parent, key):
    node = member(parent, key) if key else None
    if isinstance(node, h5py.Dataset):
        return _named(path, parent, key)
    if not isinstance(node, h5py.Group):
        return []
    out = []
    for name in sorted(node, key=lambda k: (len(k), k)):
        for item in _named(path, node, name):
            item.position = float(name) if name.isdigit() else None
            out.append(item)
    return out


def plain(file, path, inside):
    """A stack of frames without more: flats, darks and angles come from the parameters (or beside it)."""
    source = Source(path + ("::" + inside if inside != "/" else ""))
    if len(source) < 3:
        return None
    scan = Scan(source.name, "stack of frames", Frames.of(source), None)
    parent = source.dataset.parent
    key = next((k for k in ANGLES if isinstance(member(parent, k), h5py.Dataset) and parent[k].size == len(source)),
               None)
    if key:
        scan.angles = angles_in_degrees(parent[key][()], unit_of(parent, key), scan.notes, path)
    return scan
