"""A tomography scan as the rest of the recipe sees it, whatever the files look like: projections, flats, darks, angles.

Reads only. `tomo_layouts` and `tomo_images` make a `Scan` from files. Python 3.8, numpy, h5py.
"""

from __future__ import annotations

import os

import numpy as np
import tomo_rows
from beamside_job import Fault, Source

DEGREES = {"deg", "degree", "degrees", "°"}
RADIANS = {"rad", "radian", "radians"}
MILLIRADIANS = {"mrad", "milliradian", "milliradians"}


class Frames:
    """Frames in an order, from one or more sources. ``items``: (Source, number) of each. Not for several threads."""

    def __init__(self, items):
        self.items = list(items)
        self._held = (None, None)       # what was read together, and what for
        self._bands = []                # (first, last, rows of all frames): see `hold`

    @classmethod
    def of(cls, source, numbers=None):
        return cls((source, int(n)) for n in (range(len(source)) if numbers is None else numbers))

    def __len__(self):
        return len(self.items)

    def rows(self, index, first, last):
        """(last - first, columns) float32 of frame ``index``: only these rows are read where the file allows it.

        Raises:
            Fault: the frame cannot be read.
        """
        for low, high, values in self._bands:
            if low <= first and last <= high:
                return values[index, first - low:last - low].astype(np.float32)
        source, number = self.items[index]
        together = tomo_rows.together(source, last - first)
        if together == 1:
            return tomo_rows.read_rows(source, number, number + 1, first, last)[0].astype(np.float32)
        start = number - number % together
        if self._held[0] != (source, start, first, last):
            self._held = (None, None)       # its memory is needed
            stop = min(start + together, len(source))
            self._held = ((source, start, first, last),
                          tomo_rows.read_rows(source, start, stop, first, last).astype(np.float32))
        return self._held[1][number - start]

    def come_along(self):
        """How many rows of a frame are read at the cost of one."""
        return tomo_rows.come_along(self.items[0][0])

    def hold(self, spans, limit):
        """Read the rows ``spans`` (first, last) of all frames in one go and keep them in memory, with neighbours that
        are read at no further cost; nothing is kept if they are more than ``limit`` bytes.

        Raises:
            Fault: a frame cannot be read.
        """
        source = self.items[0][0]
        each = len(self) * source.shape[1] * source.dtype.itemsize
        missing = [(a, b) for a, b in spans if not any(low <= a and b <= high for low, high, _ in self._bands)]
        needed = sum(b - a for a, b in missing) * each
        if needed + self._held_bytes > limit:
            self._bands = [band for band in self._bands if any(band[0] <= a and b <= band[1] for a, b in spans)]
        spare = limit - self._held_bytes - needed
        if not missing or spare < 0:
            return
        block = self.come_along()
        more = spare // each // (2 * len(missing))
        bands = [(a, b, np.empty((len(self), b - a, source.shape[1]), source.dtype))
                 for a, b in _joined([_widened(a, b, more, block, source.shape[0]) for a, b in missing], 1)]
        self._fill(bands, _joined([(a, b) for a, b, _ in bands], block))
        self._bands += bands

    @property
    def _held_bytes(self):
        return sum(values.nbytes for _, _, values in self._bands)

    def _fill(self, bands, spans):
        """Copy into the ``bands`` what is read once for each of the ``spans`` that hold them."""
        groups = {}
        for index, (source, number) in enumerate(self.items):
            at_once = tomo_rows.together(source, max(b - a for a, b in spans))
            groups.setdefault((id(source), number - number % at_once), (source, at_once, []))[2].append(index)
        for (_, start), (source, at_once, members) in groups.items():
            for first, last in spans:
                read = tomo_rows.read_rows(source, start, min(start + at_once, len(source)), first, last)
                for low, high, values in bands:
                    if first <= low and high <= last:
                        for index in members:
                            values[index] = read[self.items[index][1] - start, low - first:high - first]

    def take_over(self, other):
        """What ``other`` holds in memory, if it is of the same frames, whatever their order."""
        places = {(source.name, number): place for place, (source, number) in enumerate(other.items)}
        order = [places.get((source.name, number)) for source, number in self.items]
        if None not in order:
            same = order == list(range(len(other)))
            self._bands = [(a, b, values if same else values[order]) for a, b, values in other._bands]


def _joined(spans, rows):
    """The spans, sorted; those that share a block of ``rows`` rows, which is read anyway, are one."""
    out = []
    for first, last in sorted(spans):
        if out and first // rows <= (out[-1][1] - 1) // rows:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def _widened(first, last, more, rows, height):
    """With up to ``more`` rows on both sides, all of them from the blocks of ``rows`` rows that are read anyway."""
    return (max(first - more, first - first % rows), min(last + more, (last + rows - 1) // rows * rows, height))


class FrameSet:
    """Flats (or darks) taken together; ``position``: when, in numbers of frames as acquired; ``None``: not known.
    ``divide_by``: how many exposures are summed in each frame."""

    def __init__(self, frames, position=None, divide_by=1.0):
        self.frames, self.position, self.divide_by = frames, position, float(divide_by)


class Scan:
    """What was measured.

    Attributes:
        name, layout (str): of the input, for people.
        projections (Frames), positions (float array): and when each was taken, in frames as acquired.
        angles (float64 array or None): in degrees, NaN where not known; None: the files do not say.
        flats, darks (list of FrameSet).
        pixel_m: (vertical, horizontal) in metres, each a float or None.
        energy_kev, distance_m (float or None): of the X-rays; between sample and detector.
        half (bool): the files say that the rotation axis is near the edge of a 360° scan.
        notes (list of str): what was left out or guessed, for the log and the result.
    """

    def __init__(self, name, layout, projections, angles, flats=(), darks=(), positions=None):
        self.name, self.layout, self.projections, self.angles = name, layout, projections, angles
        self.flats, self.darks = list(flats), list(darks)
        self.positions = np.arange(len(projections), dtype=float) if positions is None else np.asarray(positions, float)
        self.pixel_m, self.energy_kev, self.distance_m, self.half = (None, None), None, None, False
        self.notes = []

    @property
    def shape(self):
        """(rows, columns) of the detector's frames."""
        return tuple(self.projections.items[0][0].shape)


def angles_in_degrees(values, unit, notes, name):
    """Rotation angles in degrees from the numbers in a file; without a unit they are radians only if a whole scan would
    otherwise span less than 6.5°."""
    values = np.asarray(values, dtype=np.float64).ravel()
    unit = (unit or "").strip().lower()
    if unit in RADIANS:
        return np.degrees(values)
    if unit in MILLIRADIANS:
        return np.degrees(values * 1e-3)
    finite = values[np.isfinite(values)]
    if unit not in DEGREES and finite.size and 3.0 < np.ptp(finite) < 6.5:
        notes.append(f"The angles of {name} have no unit and span {np.ptp(finite):.3g}: taken as radians.")
        return np.degrees(values)
    if unit and unit not in DEGREES:
        raise Fault(f"The angles of {name} are in “{unit}”, which is no unit of an angle.")
    return values


def complete(scan, values):
    """Put into the scan what the parameters say, and check that it can be reconstructed.

    Args:
        values (dict): ``flats``, ``darks``, ``correction``, the angles' and the metadata's parameters.

    Raises:
        Fault: flats, darks or angles are missing or do not fit.
    """
    if not len(scan.projections):
        raise Fault(f"{scan.name} has no projections: every frame is a flat, a dark or marked as excluded.")
    if values.get("flats"):
        scan.flats = [FrameSet(Frames.of(Source(values["flats"])))]
    if values.get("darks"):
        scan.darks = [FrameSet(Frames.of(Source(values["darks"])))]
    wanted = values.get("correction") or "flats and darks"
    if wanted.startswith("flats") and not scan.flats:
        raise Fault(f"{scan.name} has no flat fields: name them in “flats”, or set “correction” to what the data"
                    " already are.")
    if wanted == "flats and darks" and not scan.darks:
        raise Fault(f"{scan.name} has no dark fields: name them in “darks”, or set “correction” to “flats only”.")
    for word, sets in (("flat", scan.flats), ("dark", scan.darks)):
        for item in sets:
            if not len(item.frames):
                raise Fault(f"The {word} fields of {scan.name} are empty.")
            shape = tuple(item.frames.items[0][0].shape)
            if shape != scan.shape:
                raise Fault("The {} fields of {} have {} × {} pixels, but the projections have {} × {}.".format(
                    word, scan.name, *(shape + scan.shape)))
    _angles(scan, values)
    for name in ("energy", "distance"):
        if values.get(name):
            setattr(scan, {"energy": "energy_kev", "distance": "distance_m"}[name], float(values[name]))
    if values.get("pixel_size"):
        down, across = scan.pixel_m
        scan.pixel_m = (values["pixel_size"] * 1e-6 * (down / across if down and across else 1.0),
                        values["pixel_size"] * 1e-6)
    return scan


def _angles(scan, values):
    count = len(scan.projections)
    if values.get("angles_file"):
        scan.angles = read_angles(values["angles_file"])
    elif values.get("angle_stop") is not None:
        start = values.get("angle_start") or 0.0
        scan.angles = np.linspace(start, values["angle_stop"], count, endpoint=values.get("angle_stop_included", True))
    if scan.angles is None:
        raise Fault(f"{scan.name} does not say its {count} angles: set the last angle (and the first, if it is not 0),"
                    " or name a text file of angles.")
    if len(scan.angles) != count:
        raise Fault(f"{scan.name} has {count} projections but {len(scan.angles)} angles: they must be as many.")
    scan.angles = np.array(scan.angles, dtype=np.float64)
    if values.get("rotation") == "reversed":
        scan.angles = -scan.angles
    known = np.isfinite(scan.angles)
    if known.sum() < 3 or np.ptp(scan.angles[known]) <= 0:
        raise Fault(f"The angles of {scan.name} are wrong: {known.sum()} of {count} are numbers,"
                    " and they do not change." if known.any() else f"None of the angles of {scan.name} is a number.")
    if not known.all():
        scan.notes.append(f"{count - known.sum()} of {count} projections have no angle and are left out.")
    order = np.flatnonzero(known)
    order = order[np.argsort(scan.angles[order], kind="stable")]
    scan.projections = Frames(scan.projections.items[i] for i in order)
    scan.angles, scan.positions = scan.angles[order], scan.positions[order]
    span = np.ptp(scan.angles)
    if span < 120.0:
        scan.notes.append(f"The angles span {span:.4g}° only: the slices will show it.")


def read_angles(path):
    """The angles in a text file, one to a line (the last number of each), in degrees; ``nan``: not known."""
    if not os.path.exists(path):
        raise Fault(f"The file of angles {path} is not there.")
    out = []
    with open(path, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            text = line.split("#")[0].replace(",", " ").split()
            if not text:
                continue
            try:
                out.append(float(text[-1]))
            except ValueError:
                if out or number > 3:       # a heading may stand above them
                    raise Fault(f"Line {number} of the file of angles {path} is no number: {line.strip()[:60]}") \
                        from None
    return np.array(out)
