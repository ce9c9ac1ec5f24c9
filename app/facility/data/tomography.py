"""A tomography scan of a phantom (NXtomo): darks, flats, projections. Main thread, at start; deterministic.

The phantom is made of ellipsoids whose projections are known in closed form (Kak and Slaney 1988, section 3.1), after
Shepp and Logan. The rotation axis is not in the middle; the beam is uneven; columns differ in gain.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from app.facility.data.nexus import group, put, source_and_beam

NAME = "phantom_0001.nx"
AXIS_OFFSET_PIXELS = 3.5
_PIXEL_M = 3.25e-6
_DARK, _FLAT = 100.0, 20000.0
# attenuation, semi-axes (x, y, z), centre (x, y, z), rotation about z in degrees; unit: half the field of view
_ELLIPSOIDS = (
    (2.0, (0.69, 0.86, 0.90), (0.0, 0.0, 0.0), 0.0), (-0.9, (0.64, 0.80, 0.84), (0.0, -0.018, 0.0), 0.0),
    (-0.5, (0.14, 0.34, 0.30), (0.22, 0.0, 0.0), -18.0), (-0.5, (0.17, 0.42, 0.34), (-0.22, 0.0, 0.0), 18.0),
    (0.7, (0.21, 0.25, 0.30), (0.0, 0.35, -0.12), 0.0), (0.9, (0.06, 0.06, 0.06), (0.0, 0.10, 0.30), 0.0),
    (1.4, (0.05, 0.05, 0.20), (0.38, -0.42, 0.10), 0.0), (1.1, (0.05, 0.03, 0.05), (-0.08, -0.60, 0.0), 0.0),
    (1.1, (0.03, 0.03, 0.03), (0.0, -0.60, -0.10), 0.0), (2.5, (0.03, 0.05, 0.06), (0.06, -0.60, 0.15), 90.0))


def make(folder: Path, small: bool) -> None:
    """Write the scan."""
    (rows, columns), count, each = ((24, 48), 30, 3) if small else ((160, 240), 360, 12)
    rng = np.random.default_rng(20261110)
    angles = np.arange(count) * 180.0 / count
    beam = _beam(rows, columns, rng)
    frames = np.empty((2 * each + count, rows, columns), "uint16")
    keys = np.r_[np.full(each, 2), np.full(each, 1), np.zeros(count)].astype("int32")
    rotation = np.r_[np.zeros(2 * each), angles]
    for number, (key, angle) in enumerate(zip(keys, rotation, strict=True)):
        expected = np.zeros((rows, columns)) if key == 2 else beam * (
            np.exp(-projection(angle, rows, columns)) if key == 0 else 1.0)
        noisy = _DARK + expected + np.sqrt(expected + 9.0) * rng.standard_normal((rows, columns), "float32")
        frames[number] = np.clip(np.rint(noisy), 0, 65535)
    with h5py.File(folder / NAME, "w") as file:
        _write(file, frames, keys, rotation)


def projection(angle_deg: float, rows: int, columns: int) -> np.ndarray:
    """(rows, columns) float64: the line integral of attenuation through the phantom, dimensionless."""
    theta = np.radians(angle_deg)
    half = columns / 2
    u = (np.arange(columns) + 0.5 - half - AXIS_OFFSET_PIXELS) / half
    z = (np.arange(rows) + 0.5 - rows / 2) / (rows / 2)
    total = np.zeros((rows, columns))
    for density, (a, b, c), (x0, y0, z0), turn in _ELLIPSOIDS:
        phi = theta - np.radians(turn)
        width2 = (a * np.cos(phi)) ** 2 + (b * np.sin(phi)) ** 2
        height2 = np.maximum(0.0, 1 - ((z - z0) / c) ** 2)[:, None]
        inside = height2 * width2 - (u - x0 * np.cos(theta) - y0 * np.sin(theta))[None, :] ** 2
        total += density * 2 * a * b / width2 * np.sqrt(np.maximum(0.0, inside))
    return total


def _beam(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """(rows, columns): counts without sample above the dark level."""
    y, x = np.linspace(-1, 1, rows)[:, None], np.linspace(-1, 1, columns)[None, :]
    smooth = np.exp(-0.25 * y**2 - 0.12 * (x - 0.2) ** 2)
    gain = 1 + 0.03 * rng.standard_normal(columns)[None, :]
    beam: np.ndarray = _FLAT * smooth * gain
    return beam


def _write(file: h5py.File, frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> None:
    file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
    entry = group(file, "entry", "NXentry", {
        "definition": "NXtomo", "title": "Phantom of ellipsoids", "start_time": "2026-11-10T18:20:00Z",
        "end_time": "2026-11-10T18:26:40Z"}, default="data")
    instrument = group(entry, "instrument", "NXinstrument", {"name": "Demo imaging beamline"})
    source_and_beam(entry, instrument, 0.4959)
    detector = group(instrument, "detector", "NXdetector", {
        "image_key": keys, "image_key_control": keys, "x_pixel_size": (_PIXEL_M, "m"),
        "y_pixel_size": (_PIXEL_M, "m"), "distance": (0.1, "m"), "count_time": (np.full(len(keys), 0.5), "s"),
        "field_of_view": "Full", "description": "simulated camera"})
    data = detector.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip",
                                   compression_opts=1, shuffle=True)
    data.attrs["interpretation"] = "image"
    data.attrs["units"] = "counts"
    sample = group(entry, "sample", "NXsample", {"name": "phantom"})
    put(sample, "rotation_angle", (rotation, "degree"))
    for axis in "xyz":
        put(sample, f"{axis}_translation", (np.zeros(len(keys)), "m"))
    group(entry, "control", "NXmonitor", {"data": np.ones(len(keys))})
    plot = group(entry, "data", "NXdata", signal="data", axes=["rotation_angle", ".", "."], rotation_angle_indices=0)
    plot.attrs["default_slice"] = [str(int((keys != 0).sum())), ".", "."]          # the first projection, not a dark
    plot["data"] = h5py.SoftLink("/entry/instrument/detector/data")
    plot["rotation_angle"] = h5py.SoftLink("/entry/sample/rotation_angle")
    plot["image_key"] = h5py.SoftLink("/entry/instrument/detector/image_key")
