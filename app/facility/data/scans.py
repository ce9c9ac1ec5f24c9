"""A file of a thousand alignment scans, as BLISS writes them: ``1.1`` … ``1000.1``. Main thread, at start."""

from __future__ import annotations

import datetime
from pathlib import Path

import h5py
import numpy as np

from app.facility.data.nexus import group

NAME = "alignment_0001.h5"
_MOTORS = ("samx", "samy", "samz", "roll", "pitch")
_UNITS = {"samx": "mm", "samy": "mm", "samz": "mm", "roll": "deg", "pitch": "deg"}
_START = datetime.datetime(2026, 11, 12, 8, 0, tzinfo=datetime.UTC)


def make(folder: Path, small: bool) -> None:
    """Write all scans into one file."""
    rng = np.random.default_rng(20261113)
    with h5py.File(folder / NAME, "w", libver=("v110", "v110")) as file:
        file.attrs["NX_class"], file.attrs["default"], file.attrs["creator"] = "NXroot", "1.1", "Beamside demo facility"
        for number in range(1, (30 if small else 1000) + 1):
            _write_scan(file, number, rng)


def _write_scan(file: h5py.File, number: int, rng: np.random.Generator) -> None:
    started = _START + datetime.timedelta(seconds=23 * number)
    loop = number % 10 == 0
    count = int(rng.integers(20, 61))
    motor = _MOTORS[number % len(_MOTORS)]
    centre = float(rng.normal(0, 0.2))
    position = np.linspace(-1, 1, count + 1)
    time = np.arange(count + 1) * 0.1
    axis, values, unit = ("elapsed_time", time, "s") if loop else (motor, position, _UNITS[motor])
    title = f"loopscan {count + 1} 0.1" if loop else f"ascan {motor} -1 1 {count} 0.1"
    monitor = rng.poisson(90000, count + 1)
    shape = np.full(count + 1, 0.8) if loop else np.exp(-0.5 * ((position - centre) / 0.25) ** 2)
    entry = group(file, f"{number}.1", "NXentry", {
        "title": title, "start_time": started.isoformat(), "end_reason": "SUCCESS",
        "end_time": (started + datetime.timedelta(seconds=float(time[-1]) + 1)).isoformat()}, default="plotselect")
    measured = {"elapsed_time": (time, "s"), "mon": monitor, "diode": rng.poisson(50000 * shape + 300),
                "det_sum": rng.poisson(800000 * shape + 1000)}
    if not loop:
        measured[motor] = (position, unit)
    measurement = group(entry, "measurement", "NXcollection", measured)
    instrument = group(entry, "instrument", "NXinstrument", {"name": "Demo SAXS beamline"})
    positioners = group(instrument, "positioners", "NXcollection")
    for name in _MOTORS:
        positioners[name] = values if name == axis else 0.0
    plot = group(entry, "plotselect", "NXdata", signal="diode", axes=[axis])
    plot[axis], plot["diode"] = measurement[axis], measurement["diode"]
