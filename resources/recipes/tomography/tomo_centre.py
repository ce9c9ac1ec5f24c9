"""The rotation axis: found in a sinogram (Vo's method) and by projections half a turn apart.

Vo's method finds it in noise and over the whole width, but as algotom has it (1.7) it is off by a pixel where angles
are a degree apart (it smooths over the angles); projections half a turn apart are exact where there are such: ``auto``
takes the first for where to look and the second for the number. Python 3.8, numpy, algotom.

A centre is a column of the part that is reconstructed; the middle of its first pixel is 0.
"""

from __future__ import annotations

import warnings

import numpy as np
from beamside_job import Fault

HALF_TURN = 180.0
ROWS = 512          # of the detector's middle, in which projections half a turn apart are compared
NEAR = 0.01         # of the width: how far from the sinogram's centre those are believed


def find_centre(projections, values, half, cpus):
    """The column of the rotation axis.

    Args:
        projections (Projections): of the scan.
        values (dict): ``centre_method``, ``centre_row`` (a detector row), ``centre_range`` (detector pixels).
        half (bool): the axis is near an edge, and the scan has 360°.
        cpus (int): threads.

    Raises:
        Fault: it is at the edge of the range that was searched, or the method does not fit the scan.
    """
    grid, angles = projections.grid, projections.scan.angles
    method = values.get("centre_method") or "auto"
    reach = values.get("centre_range")
    reach = reach / grid.bin if reach else grid.columns / 8
    middle = (grid.columns - 1) / 2
    if method == "half-turn pairs" and not half:
        return _checked(by_half_turn(projections, middle, reach), grid, reach, middle)
    row = row_of(grid, values)
    sinogram = -np.log(projections.sinograms(row, row + 1)[0])
    if half:
        return by_overlap(sinogram, angles)
    refine = method == "auto" and bool(half_turn_pairs(angles))
    centre = _checked(by_vo(sinogram, angles, reach, cpus, 0.5 if refine else 0.1), grid, reach, middle)
    if refine:
        near = max(4.0, NEAR * grid.columns)
        refined = by_half_turn(projections, centre, near)
        if abs(refined - centre) < near - 1:
            return refined
        projections.scan.notes.append("Projections half a turn apart disagree with the sinogram about the rotation axis"
                                      f" by {abs(refined - centre) * grid.bin:.1f} pixels or more: the sinogram's is"
                                      " taken.")
    return centre


def row_of(grid, values):
    """The slice in whose sinogram the axis is looked for."""
    row = values.get("centre_row")
    return grid.rows // 2 if row is None else grid.slice_of(row)


def _checked(centre, grid, reach, middle):
    if abs(centre - middle) > reach - 0.5:
        raise Fault("The centre of rotation was not found within {:.0f} pixels of the middle: widen the search"
                    " (centre_range), choose another row (centre_row), or give the centre by hand."
                    .format(reach * grid.bin))
    return centre


def half_turn_of(sinogram, angles):
    """The rows of the first half turn of a sinogram (angles ascending, in degrees).

    Raises:
        Fault: it has less than that.
    """
    step = np.median(np.diff(angles))
    if np.ptp(angles) < HALF_TURN - max(1.5 * step, 3.0):
        raise Fault("The centre of rotation can only be found over half a turn, but the angles span"
                    f" {np.ptp(angles):.4g}°: give the centre by hand.")
    return sinogram[angles <= angles[0] + HALF_TURN + 1e-6 * step]


def by_vo(sinogram, angles, reach, cpus, step):
    """Vo's method (Optics Express 22, 19078, 2014) as algotom has it, to ``step`` pixels."""
    from algotom.prep.calculation import find_center_vo
    columns = sinogram.shape[1]
    middle = (columns - 1) / 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")     # of the edge of the range: `_checked` says it
        return float(find_center_vo(half_turn_of(sinogram, angles), start=max(2, int(middle - reach)),
                                    stop=min(columns - 3, int(np.ceil(middle + reach))), step=step, ncore=cpus))


def by_overlap(sinogram, angles):
    """Half acquisition: where the two halves of the turn, one of them mirrored, overlap; over all angles of a row."""
    if np.ptp(angles) < 350:
        raise Fault("A scan with the rotation axis near the edge needs 360°, but the angles span"
                    f" {np.ptp(angles):.4g}°.")
    turn = full_turn_of(sinogram, angles)
    half, columns = len(turn) // 2, turn.shape[1]
    middle = (columns - 1) / 2
    return middle + shift_between(turn[:half], turn[half:2 * half, ::-1], 0.0, columns) / 2


def full_turn_of(sinogram, angles):
    """The sinogram with the turn closed: its last row is that of the first angle again, if it was not measured, and the
    angles are even (interpolated where they are not)."""
    step = 360.0 / round(360.0 / float(np.median(np.diff(angles))))
    count = 2 * round(180.0 / step)
    turn = angles - angles[0]
    sinogram, turn = sinogram[turn < 360.0 - 0.5 * step], turn[turn < 360.0 - 0.5 * step]
    closed, turn = np.vstack([sinogram, sinogram[:1]]), np.append(turn, 360.0)
    return interpolated(closed, turn, np.linspace(0.0, 360.0, count + 1))


def interpolated(sinogram, angles, wanted):
    """The rows at the ``wanted`` angles, linear between those of the ascending ``angles``."""
    after = np.clip(np.searchsorted(angles, wanted - 1e-9), 1, len(angles) - 1)
    left, right = angles[after - 1], angles[after]
    part = np.clip((wanted - left) / (right - left), 0.0, 1.0).astype(np.float32)[:, None]
    part = np.where(np.abs(part - np.round(part)) < 1e-6, np.round(part), part)     # even angles stay as measured
    return sinogram[after - 1] * (1 - part) + sinogram[after] * part


def half_turn_pairs(angles):
    """Pairs of projections half a turn apart, best first: (one, other, error in degrees); empty: none is nearly so."""
    partner = np.array([int(np.argmin(np.abs(angles - a - HALF_TURN))) for a in angles])
    errors = angles[partner] - angles - HALF_TURN
    step = float(np.median(np.diff(angles)))
    pairs = [(i, int(partner[i]), float(errors[i])) for i in np.argsort(np.abs(errors), kind="stable")]
    return [pair for pair in pairs if abs(pair[2]) < 3.5 * step]


def by_half_turn(projections, near, reach):
    """From pairs of projections half a turn apart: where mirroring maps one on the other, over many rows. Where no pair
    is exactly half a turn apart, the result is extrapolated from two pairs.

    Args:
        near, reach: the centre is looked for within ``reach`` of ``near``.
    """
    angles = projections.scan.angles
    pairs = half_turn_pairs(angles)
    if not pairs:
        raise Fault("No two projections are half a turn apart: find the centre in a sinogram (centre_method), or give"
                    " it by hand.")
    step = float(np.median(np.diff(angles)))
    exact = [pair for pair in pairs if abs(pair[2]) < 0.05 * step][:5]
    if exact:
        return float(np.median([_pair(projections, one, other, near, reach) for one, other, _ in exact]))
    best = pairs[0]
    further = [pair for pair in pairs if abs(pair[2]) > abs(best[2]) + 0.5 * step]
    first = _pair(projections, *best[:2], near, reach)
    if not further:
        return first
    error = abs(further[0][2])
    second = [_pair(projections, *pair[:2], near, reach) for pair in further if abs(pair[2]) < error + 0.1 * step][:2]
    return float(first - (np.mean(second) - first) * best[2] / (further[0][2] - best[2]))


def _pair(projections, one, other, near, reach):
    rows = projections.grid.rows
    low, high = max(0, rows // 2 - ROWS // 2), min(rows, rows // 2 + ROWS // 2)
    a = -np.log(projections.projection(one, low, high))
    b = -np.log(projections.projection(other, low, high))[:, ::-1]
    middle = (a.shape[1] - 1) / 2
    return middle + shift_between(a, b, 2 * (near - middle), 2 * reach) / 2


def shift_between(a, b, near, reach):
    """The shift along the columns, in pixels, that maps ``b`` on ``a``: where the part in which they overlap differs
    least for what there is in it, to a fraction of a pixel; within ``reach`` of ``near``."""
    columns = a.shape[1]
    shifts = np.arange(int(np.floor(near - reach)), int(np.ceil(near + reach)) + 1)
    shifts = shifts[np.abs(shifts) < columns - 8]
    differ = np.empty(len(shifts))
    for place, shift in enumerate(shifts):
        left, right = a[:, max(0, shift):columns + min(0, shift)], b[:, max(0, -shift):columns + min(0, -shift)]
        differ[place] = np.var(left - right) / (np.var(left) + np.var(right) + 1e-12)
    best = int(np.argmin(differ))
    if not 0 < best < len(shifts) - 1:
        return float(shifts[best])
    before, least, after = differ[best - 1:best + 2]
    return float(shifts[best] + 0.5 * (before - after) / (before - 2 * least + after))
