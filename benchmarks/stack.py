"""A detector stack to measure with: Eiger 4M, uint32, bitshuffle-LZ4, one chunk a frame, gaps at 2**32 - 1."""

from __future__ import annotations

from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

HEIGHT, WIDTH = 2167, 2070
GAP = 2**32 - 1
DATA_PATH = "/entry/data/data"
_DISTINCT = 10


def write_stack(file: Path, frames: int) -> None:
    """Photon counts: a falling background with rings and peaks; ten distinct frames, rolled to give the others."""
    random = np.random.default_rng(20261122)
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    radius = np.hypot(y - HEIGHT * 0.52, x - WIDTH * 0.48)
    mean = 6 * np.exp(-radius / 320) + 0.15 + 2.5 * np.exp(-((radius - 620) / 9) ** 2)
    gaps = np.zeros((HEIGHT, WIDTH), bool)
    for start in range(514, HEIGHT, 551):
        gaps[start:start + 37] = True
    for start in range(1030, WIDTH, 1040):
        gaps[:, start:start + 10] = True
    distinct = []
    for _ in range(min(_DISTINCT, frames)):
        frame = random.poisson(mean).astype(np.uint32)
        for row, column in zip(random.integers(5, HEIGHT - 5, 300), random.integers(5, WIDTH - 5, 300), strict=True):
            frame[row - 1:row + 2, column - 1:column + 2] += np.uint32(random.integers(50, 5000))
        distinct.append(frame)
    with h5py.File(file, "w", libver="latest") as out:
        out.attrs["default"] = "entry"
        entry = out.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        group = entry.create_group("data")
        group.attrs.update(NX_class="NXdata", signal="data")
        data = group.create_dataset("data", (frames, HEIGHT, WIDTH), np.uint32, chunks=(1, HEIGHT, WIDTH),
                                    **hdf5plugin.Bitshuffle(cname="lz4"))
        for i in range(frames):
            frame = np.roll(distinct[i % len(distinct)], 7 * (i // len(distinct)), axis=1)
            frame[gaps] = GAP
            data[i] = frame


def max_pooled(frame: np.ndarray, factor: int) -> np.ndarray:
    """What the screen needs of ``frame`` (height, width) uint32: block maxima, gaps aside."""
    height, width = (-(-n // factor) * factor for n in frame.shape)
    padded = np.zeros((height, width), frame.dtype)
    padded[:frame.shape[0], :frame.shape[1]] = np.where(frame == GAP, 0, frame)
    strided = [padded[i::factor, j::factor] for i in range(factor) for j in range(factor)]
    pooled = strided[0].copy()
    for part in strided[1:]:
        np.maximum(pooled, part, out=pooled)
    return pooled
