"""Tomography scans as files of images: TIFF stacks with flats and darks beside them, EDF series (ESRF).

Reads only, with fabio. Python 3.8, numpy.
"""

from __future__ import annotations

import os
import re

import numpy as np
from beamside_job import Fault, Source
from tomo_scan import Frames, FrameSet, Scan

SUFFIXES = (".tif", ".tiff", ".edf", ".cbf", ".img")
DARK = re.compile(r"(dark|drk|di[_0-9]|darkend)", re.IGNORECASE)
FLAT = re.compile(r"(flat|white|ref(hst)?[_0-9]|refs?$|references?|open|ob[_0-9]|ff[_0-9])", re.IGNORECASE)


def image_scan(name):
    """The scan in a folder, in the folder of a file, or of a pattern.

    Raises:
        Fault: there are no projections.
    """
    if not os.path.isdir(name):
        if not os.path.exists(os.path.dirname(name) or "."):
            raise Fault(f"The input {name} is not there.")
        if os.path.isfile(name):        # one image with all projections, or one of the series
            one = Source(name)
            if len(one) > 1:
                return _with_neighbours(Scan(name, "image stack", Frames.of(one), None), os.path.dirname(name), name)
            return _folder(os.path.dirname(os.path.abspath(name)))
        return _with_neighbours(Scan(name, "image series", Frames.of(Source(name)), None), os.path.dirname(name), name)
    return _folder(name)


def _images(folder):
    found = (f for f in os.listdir(folder) if f.lower().endswith(SUFFIXES) and not f.startswith("."))
    return sorted(found, key=_numbers)


def _numbers(text):
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"([0-9]+)", text)]


def _folder(folder):
    images = _images(folder)
    projections = [f for f in images if not DARK.match(f) and not FLAT.match(f)]
    place = folder
    if not projections:
        inner = [d for d in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, d))
                 and not DARK.match(d) and not FLAT.match(d) and _images(os.path.join(folder, d))]
        if len(inner) != 1:
            raise Fault(f"The folder {folder} holds no projections ({', '.join(SUFFIXES[:3])})." if not inner else
                        f"The folder {folder} has several folders of images ({', '.join(inner[:5])}): choose one.")
        place = os.path.join(folder, inner[0])
        projections = [f for f in _images(place) if not DARK.match(f) and not FLAT.match(f)]
    info = _info(place)
    count = int(info.get("tomo_n", 0)) or len(projections)
    kinds = {os.path.splitext(f)[1].lower() for f in projections}
    if len(kinds) > 1:
        raise Fault("The folder {} holds images of several kinds ({}): name those that are meant, for example {}."
                    .format(place, ", ".join(sorted(kinds)), os.path.join(place, "*" + sorted(kinds)[0])))
    source = Source(place, series=[os.path.join(place, f) for f in projections[:count]])
    layout = "EDF series" if kinds == {".edf"} else "image folder"
    scan = Scan(folder, layout, Frames.of(source), None)
    if info:
        span = info.get("scanrange", 180.0)
        scan.angles = np.arange(len(source)) * span / len(source)
        scan.energy_kev = info.get("energy") or None
        scan.distance_m = info["distance"] * 1e-3 if info.get("distance") else None
        size = info["pixelsize"] * 1e-6 if info.get("pixelsize") else None
        scan.pixel_m = (size, size)
        if len(projections) > count:
            scan.notes.append(f"{len(projections) - count} images after the {count} projections are left out.")
    return _with_neighbours(scan, place, place, info)


def _with_neighbours(scan, folder, name, info=None):
    """Take flats and darks from the folder, and from the one above where it has none."""
    folder = os.path.abspath(folder or ".")
    above = os.path.dirname(folder)
    for wanted, pattern in (("flats", FLAT), ("darks", DARK)):
        for place in (folder, above):
            files = [f for f in _images(place) if pattern.match(f) and os.path.join(place, f) != os.path.abspath(name)]
            folders = [d for d in sorted(os.listdir(place)) if pattern.match(d) and os.path.join(place, d) != folder
                       and os.path.isdir(os.path.join(place, d)) and _images(os.path.join(place, d))]
            sets = _sets(place, files, wanted, info or {})
            for inner in folders:
                sets.append(FrameSet(Frames.of(Source(os.path.join(place, inner)))))
            if sets:
                setattr(scan, wanted, sets)
                break
    return scan


def _sets(place, files, wanted, info):
    """ESRF's names say when flats were taken (``refHST0600.edf``, ``ref0003_0600.edf``); others are one set.
    ``darkend…`` is the sum of as many exposures as the .info file says."""
    if wanted == "darks":
        averaged = [f for f in files if f.lower() == "dark.edf"]
        summed = bool(files) and not averaged and all(f.lower().startswith("darkend") for f in files)
        files = averaged or files
        if not files:
            return []
        series = Source(place + " (darks)", series=[os.path.join(place, f) for f in files])
        return [FrameSet(Frames.of(series), divide_by=info.get("dark_n", 1.0) if summed else 1.0)]
    hst = [f for f in files if f.lower().startswith("refhst")]
    edf = hst or [f for f in files if re.fullmatch(r"ref\d+_\d+\.edf", f.lower())]
    if not edf:
        return [FrameSet(Frames.of(Source(place + " (flats)", series=[os.path.join(place, f) for f in files])))] \
            if files else []
    by_place = {}
    for file in edf:
        by_place.setdefault(int(re.findall(r"\d+", file)[-1]), []).append(os.path.join(place, file))
    return [FrameSet(Frames.of(Source(f"{place} (flats at {at})", series=names)), float(at))
            for at, names in sorted(by_place.items())]


def _info(folder):
    """Numbers of the ``.info`` file that ESRF's tomography wrote, by lower-case name; empty: there is none."""
    name = next((f for f in sorted(os.listdir(folder)) if f.lower().endswith(".info")), None)
    out = {}
    if name:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, value = line.partition("=")
                match = re.match(r"\s*([-+0-9.eE]+)", value)
                if match:
                    try:
                        out[key.strip().lower()] = float(match.group(1))
                    except ValueError:
                        continue
    return out
