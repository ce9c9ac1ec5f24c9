"""An Eiger 4M rotation series of a lysozyme-like crystal (NXmx). Main thread, at start; deterministic.

Reflections by Ewald's construction for a tetragonal cell of 79.1, 79.1, 37.9 Å, Poisson noise, module gaps at 2³²−1.
The goniometer sweeps back and forth over 20 positions, so 20 distinct frames make a long series whose angles are true.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

from app.facility.data.nexus import FrameStore, group, put, source_and_beam

NAME = "lysozyme_0001"
SENTINEL = 2**32 - 1
_MODULE = (514, 1030)
_GAP = (37, 10)
_CELL_A = (79.1, 79.1, 37.9)
_WAVELENGTH_A = 1.0
_PIXEL_M = 75e-6
_STEP_DEG = 0.5
_DISTINCT = 20
_PER_FILE = 100
_BEST_A = 1.9


@dataclass(frozen=True)
class Geometry:
    """A detector of ``modules`` (rows, columns). Beam centre in pixels (y, x)."""

    modules: tuple[int, int]
    frames: int
    distance_m: float = 0.2

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.modules
        return (rows * _MODULE[0] + (rows - 1) * _GAP[0], columns * _MODULE[1] + (columns - 1) * _GAP[1])

    @property
    def centre(self) -> tuple[float, float]:
        return self.shape[0] / 2 + 21.3, self.shape[1] / 2 - 12.7

    def gaps(self) -> np.ndarray:
        """(height, width) bool: no silicon here."""
        mask = np.ones(self.shape, bool)
        for row in range(self.modules[0]):
            for column in range(self.modules[1]):
                y, x = row * (_MODULE[0] + _GAP[0]), column * (_MODULE[1] + _GAP[1])
                mask[y:y + _MODULE[0], x:x + _MODULE[1]] = False
        return mask


def make(folder: Path, small: bool) -> None:
    """Write the data files and the master file."""
    geometry = Geometry((2, 1), 4) if small else Geometry((4, 2), 200)
    rng = np.random.default_rng(20261115)
    mask = _pixel_mask(geometry, rng)
    store = FrameStore(geometry.shape, np.dtype("uint32"))
    sweep = np.r_[np.arange(_DISTINCT), np.arange(_DISTINCT - 1, -1, -1)]
    positions = sweep[np.arange(geometry.frames) % len(sweep)]
    crystal = _Crystal(rng)
    background = _background(geometry)
    chunks: dict[int, bytes] = {}
    for position in sorted(set(positions.tolist())):
        frame = rng.poisson(background + crystal.spots(position * _STEP_DEG, geometry)).astype("uint32")
        frame[mask != 0] = SENTINEL
        chunks[position] = store.compress(frame)
    per_file = min(_PER_FILE, -(-geometry.frames // 2))
    files = []
    for number, start in enumerate(range(0, geometry.frames, per_file), 1):
        part = positions[start:start + per_file]
        files.append((f"{NAME}_data_{number:06d}.h5", len(part)))
        with h5py.File(folder / files[-1][0], "w") as file:
            entry = group(file, "entry", "NXentry")
            data = store.write(group(entry, "data", "NXdata", signal="data"), "data", [chunks[p] for p in part])
            data.attrs["image_nr_low"], data.attrs["image_nr_high"] = start + 1, start + len(part)
            file.attrs["default"], entry.attrs["default"] = "entry", "data"
    store.close()
    _write_master(folder / f"{NAME}_master.h5", files, positions * _STEP_DEG, mask, geometry)


def _write_master(path: Path, files: list[tuple[str, int]], omega: np.ndarray, mask: np.ndarray,
                  geometry: Geometry) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
        entry = group(file, "entry", "NXentry", {
            "definition": "NXmx", "title": "Lysozyme, back and forth over 10 degrees",
            "start_time": "2026-11-15T14:02:11Z", "end_time": "2026-11-15T14:02:31Z",
            "end_time_estimated": "2026-11-15T14:02:31Z"}, default="data")
        data = group(entry, "data", "NXdata", signal="data", axes=["omega", ".", "."], omega_indices=0)
        layout = h5py.VirtualLayout((len(omega), *geometry.shape), "uint32")
        start = 0
        for number, (name, count) in enumerate(files, 1):
            source = h5py.VirtualSource(name, "/entry/data/data", (count, *geometry.shape), "uint32")
            layout[start:start + count] = source
            data[f"data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
            start += count
        data.create_virtual_dataset("data", layout, fillvalue=SENTINEL)
        data["data"].attrs["units"] = "counts"
        instrument = group(entry, "instrument", "NXinstrument", {"name": "Demo MX beamline"})
        beam = source_and_beam(entry, instrument, _WAVELENGTH_A)
        put(beam, "total_flux", (1.2e12, "Hz"))
        _write_detector(instrument, mask, geometry)
        _write_sample(entry, omega)
        data["omega"] = h5py.SoftLink("/entry/sample/transformations/omega")


def _write_detector(instrument: h5py.Group, mask: np.ndarray, geometry: Geometry) -> None:
    y, x = geometry.centre
    detector = group(instrument, "detector", "NXdetector", {
        "description": "Eiger 4M (simulated)", "distance": (geometry.distance_m, "m"), "beam_center_x": (x, "pixel"),
        "beam_center_y": (y, "pixel"), "x_pixel_size": (_PIXEL_M, "m"), "y_pixel_size": (_PIXEL_M, "m"),
        "sensor_material": "Si", "sensor_thickness": (450e-6, "m"), "count_time": (0.0999, "s"),
        "frame_time": (0.1, "s"), "saturation_value": 133000, "bit_depth_readout": 32,
        "threshold_energy": (6199.2, "eV"), "depends_on": "/entry/instrument/detector/transformations/det_z"})
    detector.create_dataset("pixel_mask", data=mask, chunks=mask.shape, **hdf5plugin.Bitshuffle(cname="lz4"))
    moves = group(detector, "transformations", "NXtransformations")
    put(moves, "det_z", (geometry.distance_m, "m"), transformation_type="translation", vector=[0.0, 0.0, 1.0],
        depends_on=".")
    module = group(detector, "module", "NXdetector_module", {"data_origin": [0, 0], "data_size": list(geometry.shape)})
    there = "/entry/instrument/detector/transformations/det_z"
    for name, vector in (("fast_pixel_direction", [-1.0, 0.0, 0.0]), ("slow_pixel_direction", [0.0, -1.0, 0.0])):
        put(module, name, (_PIXEL_M, "m"), transformation_type="translation", vector=vector, offset=[0.0, 0.0, 0.0],
            depends_on="/entry/instrument/detector/module/module_offset")
    put(module, "module_offset", (0.0, "m"), transformation_type="translation", vector=[0.0, 0.0, 1.0],
        offset=[x * _PIXEL_M, y * _PIXEL_M, 0.0], offset_units="m", depends_on=there)


def _write_sample(entry: h5py.Group, omega: np.ndarray) -> None:
    sample = group(entry, "sample", "NXsample", {
        "name": "lysozyme", "unit_cell": [*_CELL_A, 90.0, 90.0, 90.0], "temperature": (100.0, "K"),
        "depends_on": "/entry/sample/transformations/omega"})
    sample["beam"] = h5py.SoftLink("/entry/instrument/beam")
    moves = group(sample, "transformations", "NXtransformations")
    put(moves, "omega", (omega, "degree"), transformation_type="rotation", vector=[-1.0, 0.0, 0.0], depends_on=".")


def _pixel_mask(geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """(height, width) uint32: 1 gap, 2 dead (bits of NXdetector's pixel_mask)."""
    mask = geometry.gaps().astype("uint32")
    y, x = (rng.integers(0, n, 60) for n in geometry.shape)
    mask[y, x] |= np.where(mask[y, x] == 0, 2, 0).astype("uint32")
    return mask


def _background(geometry: Geometry) -> np.ndarray:
    """(height, width) float32, expected counts: air near the beam, the water ring, the beam stop's shadow."""
    y = np.arange(geometry.shape[0], dtype="float32")[:, None] - geometry.centre[0]
    x = np.arange(geometry.shape[1], dtype="float32")[None, :] - geometry.centre[1]
    radius = np.hypot(y, x)
    spacing = np.sin(0.5 * np.arctan(radius * np.float32(_PIXEL_M / geometry.distance_m))) * 2 / _WAVELENGTH_A
    air = 6.0 * np.exp(-spacing / 0.06)
    water = 1.6 * np.exp(-0.5 * ((spacing - 0.29) / 0.07) ** 2)
    counts = 0.35 + air + water
    shadow = (radius < 28) | ((np.abs(x) < 7) & (y > 0))
    counts[shadow] *= 0.03
    return counts.astype("float32")


class _Crystal:
    """Reciprocal lattice points with intensities; ``spots`` are where they meet the Ewald sphere."""

    def __init__(self, rng: np.random.Generator) -> None:
        most = [int(a / _BEST_A) for a in _CELL_A]
        index = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), -1).reshape(-1, 3)
        vectors = index / np.array(_CELL_A)
        length = np.linalg.norm(vectors, axis=1)
        kept = (length > 1 / 40) & (length < 1 / _BEST_A)
        index, vectors, length = index[kept], vectors[kept], length[kept]
        self._points = (vectors @ _rotation(31.0, 47.0, 12.0).T).astype("float32")
        self._length = length.astype("float32")
        unique = np.sort(np.abs(index[:, :2]), axis=1)
        key = (unique[:, 0] * 256 + unique[:, 1]) * 256 + np.abs(index[:, 2])
        table = rng.exponential(1.0, int(key.max()) + 1)
        self._intensity = (5200 * table[key] * np.exp(-9.0 * length**2 / 2)).astype("float32")

    def spots(self, omega_deg: float, geometry: Geometry) -> np.ndarray:
        """(height, width) float32, expected counts of all reflections on one frame."""
        angle = np.radians(omega_deg)
        turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]], "float32")
        s = self._points @ turn.T
        out = s + np.array([0, 0, 1 / _WAVELENGTH_A], "float32")
        miss = np.linalg.norm(out, axis=1) - 1 / _WAVELENGTH_A
        width = 0.0028 * self._length + 0.0004
        near = (np.abs(miss) < 3 * width) & (out[:, 2] > 0.3)
        out, strength = out[near], self._intensity[near] * np.exp(-0.5 * (miss[near] / width[near]) ** 2)
        scale = geometry.distance_m / _PIXEL_M / out[:, 2]
        x, y = geometry.centre[1] - out[:, 0] * scale, geometry.centre[0] - out[:, 1] * scale
        image = np.zeros(geometry.shape, "float32")
        reach = np.arange(-4, 5)
        inside = (x > 5) & (y > 5) & (x < geometry.shape[1] - 6) & (y < geometry.shape[0] - 6)
        for cx, cy, total in zip(x[inside], y[inside], strength[inside], strict=True):
            column, row = round(float(cx)), round(float(cy))
            across = np.exp(-0.5 * ((reach + column - cx) / 1.1) ** 2)
            down = np.exp(-0.5 * ((reach + row - cy) / 1.1) ** 2)
            image[row - 4:row + 5, column - 4:column + 5] += total / 7.6 * down[:, None] * across[None, :]
        return image


def _rotation(a_deg: float, b_deg: float, c_deg: float) -> np.ndarray:
    a, b, c = np.radians((a_deg, b_deg, c_deg))
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(c), -np.sin(c)], [0, np.sin(c), np.cos(c)]])
    rotation: np.ndarray = about_z @ about_y @ about_x
    return rotation
