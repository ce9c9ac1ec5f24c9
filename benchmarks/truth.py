"""What every way has to show, read from the local disk with h5py: the answers of the run itself are compared."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401
import numpy as np

from benchmarks.clients.nexus import signal
from benchmarks.clients.serving import digest, picture


@cache
def frame_shown(file: Path, frame: int, factor: int) -> str:
    """A frame pooled by block maxima."""
    with h5py.File(file) as opened:
        return digest(picture(signal(opened)[frame], factor))


@cache
def frame_strided(file: Path, frame: int) -> str:
    """Every second pixel of a frame: what a stride has to give."""
    with h5py.File(file) as opened:
        return digest(signal(opened)[frame, ::2, ::2])


@cache
def region(file: Path, frame: int, place: tuple[int, int, int, int]) -> str:
    y0, y1, x0, x1 = place
    with h5py.File(file) as opened:
        return digest(signal(opened)[frame, y0:y1, x0:x1])


@cache
def profile(file: Path, y: int, x: int) -> str:
    with h5py.File(file) as opened:
        data = signal(opened)
        return digest(np.array([data[i, y, x] for i in range(len(data))], data.dtype))


@cache
def slices(file: Path, at: tuple[int, int, int]) -> str:
    with h5py.File(file) as opened:
        data = signal(opened)
        return " ".join([digest(data[at[0]]), digest(data[:, at[1]]), digest(data[:, :, at[2]])])


@cache
def projection(file: Path, distinct: int) -> str:
    """The maximum of all frames, which is that of the different ones; gaps 0."""
    with h5py.File(file) as opened:
        data = signal(opened)
        most = data[0]
        for i in range(1, min(distinct, len(data))):
            np.maximum(most, data[i], out=most)
    return digest(picture(most, 1))


def right(answer: dict[str, Any], expected: str | None) -> bool | None:
    """Whether the answer is what it has to be; ``None``: it holds no values (stopped at its budget, or a list)."""
    return None if not answer.get("digest") or expected is None else answer["digest"] == expected
