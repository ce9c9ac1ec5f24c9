"""A SAXS series of growing spheres on a Pilatus 1M, with PONI file and mask. Main thread, at start; deterministic.

Form factor of homogeneous spheres (Guinier and Fournet 1955) with 7 % polydispersity, Poisson noise, gaps at −1. The
radius grows from 4 to 8 nm, so the minima of I(q) wander inwards and azimuthal integration gives what was put in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from app.facility.data.nexus import FrameStore, group, put, source_and_beam

NAME = "spheres_0001"
GAP = -1
_MODULE = (195, 487)
_BETWEEN = (17, 7)
_PIXEL_M = 172e-6
_DISTANCE_M = 2.0
_WAVELENGTH_M = 1e-10
_RADII_NM = (4.0, 8.0)


@dataclass(frozen=True)
class Detector:
    """A Pilatus. ``poni_m``: point of normal incidence (y, x), from the corner of the first pixel."""

    name: str
    modules: tuple[int, int]
    frames: int

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.modules
        return (rows * _MODULE[0] + (rows - 1) * _BETWEEN[0], columns * _MODULE[1] + (columns - 1) * _BETWEEN[1])

    @property
    def poni_m(self) -> tuple[float, float]:
        return (self.shape[0] * 0.54 * _PIXEL_M, self.shape[1] * 0.47 * _PIXEL_M)


FULL = Detector("Pilatus1M", (5, 2), 100)
SMALL = Detector("Pilatus300k", (3, 1), 6)


def make(folder: Path, small: bool) -> None:
    """Write the series, the PONI file and the mask."""
    detector = SMALL if small else FULL
    rng = np.random.default_rng(20261112)
    mask = _pixel_mask(detector, rng)
    q = _q_nm(detector)
    table_q = np.linspace(0, float(q.max()) * 1.01, 4000)
    radii = np.linspace(*_RADII_NM, detector.frames)
    store = FrameStore(detector.shape, np.dtype("int32"))
    chunks = []
    for radius in radii:
        expected = np.interp(q, table_q, curve(table_q, radius)).astype("float32")
        expected[mask & 4 != 0] *= 0.01
        frame = rng.poisson(expected).astype("int32")
        frame[mask & 1 != 0] = GAP
        chunks.append(store.compress(frame))
    _write_file(folder / f"{NAME}.nxs", detector, mask, radii, store, chunks)
    store.close()
    (folder / f"{NAME}.poni").write_text(poni(detector))
    np.save(folder / "mask.npy", (mask != 0).astype("int8"))
    _write_edf(folder / "mask.edf", (mask != 0).astype("int8"))


def curve(q_nm: np.ndarray, radius_nm: float) -> np.ndarray:
    """Expected counts per pixel and frame: spheres of one mean radius, a solvent level, a little upturn."""
    total = np.zeros_like(q_nm)
    weights = 0.0
    for z in np.linspace(-2.5, 2.5, 11):
        x = np.maximum(q_nm * radius_nm * (1 + 0.07 * z), 1e-4)
        weight = np.exp(-0.5 * z * z)
        total += weight * (3 * (np.sin(x) - x * np.cos(x)) / x**3) ** 2
        weights += weight
    signal: np.ndarray = 2500 * total / weights + 1.2 + 2e-3 / np.maximum(q_nm, 0.02) ** 3
    return signal


def poni(detector: Detector) -> str:
    """The geometry as pyFAI reads it."""
    return "\n".join((
        "# Nota: C-Order, 1 refers to the Y axis, 2 to the X axis", "# Demo facility: exact geometry of the simulation",
        "poni_version: 2", f"Detector: {detector.name}", f"Detector_config: {json.dumps({})}",
        f"Distance: {_DISTANCE_M}", f"Poni1: {detector.poni_m[0]!r}", f"Poni2: {detector.poni_m[1]!r}",
        "Rot1: 0.0", "Rot2: 0.0", "Rot3: 0.0", f"Wavelength: {_WAVELENGTH_M}", ""))


def _radius_m(detector: Detector) -> np.ndarray:
    """(height, width): distance of each pixel's centre from the point of normal incidence."""
    y, x = (((np.arange(n) + 0.5) * _PIXEL_M - p) for n, p in zip(detector.shape, detector.poni_m, strict=True))
    radius: np.ndarray = np.hypot(y[:, None], x[None, :])
    return radius


def _q_nm(detector: Detector) -> np.ndarray:
    q: np.ndarray = 4e-9 * np.pi / _WAVELENGTH_M * np.sin(0.5 * np.arctan(_radius_m(detector) / _DISTANCE_M))
    return q


def _pixel_mask(detector: Detector, rng: np.random.Generator) -> np.ndarray:
    """(height, width) uint32: 1 gap, 2 dead, 4 shadowed by the beam stop and its arm."""
    mask = np.ones(detector.shape, "uint32")
    for row in range(detector.modules[0]):
        for column in range(detector.modules[1]):
            y, x = row * (_MODULE[0] + _BETWEEN[0]), column * (_MODULE[1] + _BETWEEN[1])
            mask[y:y + _MODULE[0], x:x + _MODULE[1]] = 0
    dead_y, dead_x = (rng.integers(0, n, 25) for n in detector.shape)
    mask[dead_y, dead_x] |= 2
    rows, columns = np.mgrid[:detector.shape[0], :detector.shape[1]]
    centre = [p / _PIXEL_M for p in detector.poni_m]
    arm = (np.abs(columns - centre[1] + (rows - centre[0]) * 0.08) < 5) & (rows > centre[0])
    mask[arm | (_radius_m(detector) < 17 * _PIXEL_M)] |= 4
    return mask


def _write_file(path: Path, detector: Detector, mask: np.ndarray, radii: np.ndarray, store: FrameStore,
                chunks: list[bytes]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
        entry = group(file, "entry", "NXentry", {
            "definition": "NXsas", "title": "Spheres growing from 4 to 8 nm", "start_time": "2026-11-12T09:31:05Z",
            "end_time": "2026-11-12T09:31:15Z", "run": "1"}, default="data")
        instrument = group(entry, "instrument", "NXinstrument", {"name": "Demo SAXS beamline"})
        source_and_beam(entry, instrument, _WAVELENGTH_M * 1e10)
        group(instrument, "collimator", "NXcollimator", {"distance": (1.0, "m")})
        made = group(instrument, "detector", "NXdetector", {
            "description": f"{detector.name} (simulated)", "type": "pixel", "distance": (_DISTANCE_M, "m"),
            "x_pixel_size": (_PIXEL_M, "m"), "y_pixel_size": (_PIXEL_M, "m"),
            "beam_center_x": (detector.poni_m[1] / _PIXEL_M, "pixel"),
            "beam_center_y": (detector.poni_m[0] / _PIXEL_M, "pixel"), "count_time": (0.099, "s"),
            "polar_angle": (0.0, "degree"), "azimuthal_angle": (0.0, "degree"), "rotation_angle": (0.0, "degree"),
            "sensor_material": "Si", "sensor_thickness": (320e-6, "m"), "saturation_value": 1048500})
        data = store.write(made, "data", chunks)
        data.attrs["units"], data.attrs["interpretation"] = "counts", "image"
        made.create_dataset("pixel_mask", data=mask, chunks=mask.shape, **hdf5plugin.Bitshuffle(cname="lz4"))
        group(entry, "sample", "NXsample", {"name": "silica spheres", "radius": (radii, "nm"),
                                            "temperature": (298.15, "K")})
        group(entry, "control", "NXmonitor", {"mode": "timer", "preset": (0.099, "s")})
        plot = group(entry, "data", "NXdata", signal="data", axes=["time", ".", "."], time_indices=0)
        put(plot, "time", (np.arange(len(chunks)) * 0.1, "s"), long_name="time")
        plot["data"] = h5py.SoftLink("/entry/instrument/detector/data")


def _write_edf(path: Path, mask: np.ndarray) -> None:
    """The mask as an ESRF data file: a text header of 1024 bytes, then the pixels."""
    header = ("{\nHeaderID = EH:000001:000000:000000 ;\nByteOrder = LowByteFirst ;\nDataType = SignedByte ;\n"
              f"Dim_1 = {mask.shape[1]} ;\nDim_2 = {mask.shape[0]} ;\nSize = {mask.size} ;\nImage = 1 ;\n")
    path.write_bytes((header.ljust(1022) + "}\n").encode() + mask.tobytes())
