"""BLISS files (ESRF): one entry for each scan (``1.1``, ``2.1`` …), told apart by their titles. Reads only."""

from __future__ import annotations

import h5py
import numpy as np
from beamside_job import Fault, Source, groups, length, member, scalar, text_of, unit_of
from tomo_scan import Frames, FrameSet, Scan, angles_in_degrees

SEQUENCE = ("tomo:", "pcotomo:", "sequence_of_scans", "tomo_")
DARK = ("dark",)
FLAT = ("flat", "reference", "ref")
PROJECTION = ("projections", "projection", "scan rotation", "ascan diffrz 0")
MOTORS = ("hrsrot", "mhsrot", "hsrot", "mrsrot", "srot", "srot_eh2", "rotm", "diffrz", "hrrz_trig", "rot", "rotation",
          "rotation_angle", "theta")


def bliss(file, path, inside):
    """The sequence of dark, flat and projection scans that is meant, as a `Scan`; ``None``: no BLISS file."""
    sequences = _sequences(file)
    if not sequences:
        return None
    asked = [s for s in sequences if inside.strip("/").partition("/")[0] in s] if inside != "/" else sequences
    if len(asked) > 1:
        names = [s[0] for s in sequences]
        raise Fault(f"{path} holds {len(names)} tomography scans: name one, for example {path}::/{names[0]}"
                    f" (or {', '.join(names[1:4])}).")
    if not asked:
        return None
    camera = _camera(file, path, asked[0], inside)
    items, positions, angles, flats, darks, notes, count = [], [], [], [], [], [], 0
    for name in asked[0]:
        entry, kind = file[name], _kind(file[name])
        data = _frames_of(entry, camera)
        if kind == "sequence" or data is None:
            continue
        source = Source(f"{path}::{data.name}")
        if kind == "projections":
            items += Frames.of(source).items
            positions += list(range(count, count + len(source)))
            angles.append(_angles(entry, len(source), notes, path))
        else:
            (flats if kind == "flats" else darks).append(FrameSet(Frames.of(source), count + (len(source) - 1) / 2))
        count += len(source)
    scan = Scan(path, "BLISS", Frames(items), None, flats, darks, positions)
    if angles and all(a is not None for a in angles):
        scan.angles = np.concatenate(angles)
    scan.notes = notes
    _metadata(scan, [file[name] for name in asked[0]])
    return scan


def _number(name):
    left, _, right = name.partition(".")
    return (int(left), int(right)) if left.isdigit() and right.isdigit() else None


def _kind(entry):
    title = member(entry, "title")
    title = (text_of(title[()]) or "").strip().lower() if isinstance(title, h5py.Dataset) else ""
    for kind, starts in (("sequence", SEQUENCE), ("darks", DARK), ("flats", FLAT), ("projections", PROJECTION)):
        if title.startswith(starts):
            return kind
    return None


def _sequences(file):
    """Lists of entries' names; each list is one tomography with its own flats and darks."""
    names = sorted((n for n in file if _number(n) and _number(n)[1] == 1), key=_number)
    out, current, begun = [], [], False
    for name in names:
        kind = _kind(file[name]) if isinstance(member(file, name), h5py.Group) else None
        if kind == "sequence" and begun:
            out.append(current)
            current, begun = [], False
        if kind:
            current.append(name)
            begun = begun or kind == "projections"
    out.append(current)
    return [s for s in out if any(_kind(file[n]) == "projections" for n in s)]


def _candidates(entry):
    """Stacks of frames of an entry by the camera's name."""
    out = {}
    for detector in groups(entry, "NXdetector", 3):
        data = member(detector, "data")
        if isinstance(data, h5py.Dataset) and len(data.shape) == 3:
            out.setdefault(detector.name.rpartition("/")[2], data)
    measurement = member(entry, "measurement")
    for key in measurement if isinstance(measurement, h5py.Group) else ():
        data = member(measurement, key)
        if isinstance(data, h5py.Dataset) and len(data.shape) == 3:
            out.setdefault(key, data)
    return out


def _camera(file, path, sequence, inside):
    names = []
    for entry in sequence:
        if _kind(file[entry]) == "projections":
            names = list(_candidates(file[entry]))
    asked = [n for n in names if n in inside.split("/")]
    if asked or len(names) == 1:
        return (asked or names)[0]
    raise Fault(f"The projections of {path} have no frames." if not names else
                f"{path} has the frames of several cameras ({', '.join(names)}): name one, for example"
                f" {path}::/{sequence[-1]}/measurement/{names[0]}.")


def _frames_of(entry, camera):
    return _candidates(entry).get(camera)


def _angles(entry, count, notes, path):
    for place in ("measurement", "instrument", "instrument/positioners"):
        group = member(entry, place)
        for key in MOTORS if isinstance(group, h5py.Group) else ():
            node, owner, field = member(group, key), group, key
            if isinstance(node, h5py.Group):
                owner, field = node, "data" if "data" in node else "value"
                node = member(owner, field)
            if isinstance(node, h5py.Dataset) and node.size in (count, count + 1):
                return angles_in_degrees(np.ravel(node[()])[:count], unit_of(owner, field), notes, path)
    return None


def _metadata(scan, entries):
    """``technique`` of the sequence: energy (keV), distance (mm), pixel size (µm), field of view."""
    for entry in entries:
        optic, about = member(entry, "technique/optic"), member(entry, "technique/scan")
        pixel = length(optic, "sample_pixel_size", 1e6)
        if pixel and scan.pixel_m[0] is None:
            scan.pixel_m = (pixel, pixel)
        scan.distance_m = scan.distance_m or length(about, "sample_detector_distance", 1e3)
        energy = scalar(about, "energy")
        if energy and scan.energy_kev is None:
            scan.energy_kev = energy * (1e-3 if unit_of(about, "energy") == "ev" else 1.0)
        view = member(about, "field_of_view") if about is not None else None
        if isinstance(view, h5py.Dataset):
            scan.half = (text_of(view[()]) or "").strip().lower() == "half"
