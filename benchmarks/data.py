"""The data to measure with: made once, the same bytes every time, kept in the cache folder.

Eiger stacks hold Poisson counts on a falling background with rings and peaks, gaps at the type's largest value, one
frame a chunk, bitshuffle-LZ4. A stack has ``distinct`` frames that are different; their stored chunks are repeated to
its length, so frame ``i`` shows frame ``i % distinct``. Volumes are float32 noise on balls. The old HDF5 file format is
used, which every HDF5 reads. One process writes; nothing here is timed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np

DATA_PATH = "/entry/data/data"
VERSION = 1                   # written anew when what is below changes
EIGER_4M, EIGER_16M = (2167, 2070), (4371, 4150)
_MODULE, _GAP = (514, 1030), (37, 10)
_CHUNK = 64
_NODES_A_GROUP = 50
_TOUCHED_NS = 10**18          # the same time for every file


@dataclass(frozen=True)
class Sizes:
    """How much of everything. ``name`` is the folder below the cache."""

    name: str
    frames: int
    frames_16m: int
    distinct: int
    side: int
    files: int
    nodes: int


FULL = Sizes("full", 1000, 100, 50, 1024, 20_000, 5_000)
SHORT = Sizes("small", 40, 2, 2, 128, 500, 150)


@dataclass(frozen=True)
class Data:
    """Where everything is."""

    folder: Path
    sizes: Sizes

    def file(self, name: str) -> Path:
        return self.folder / (name if name == FOLDER else f"{name}.h5")


U16, U32, U32_16M = "eiger4m_u16", "eiger4m_u32", "eiger16m_u32"
CONTIGUOUS, CHUNKED, NODES, FOLDER = "volume_contiguous", "volume_chunked", "nodes", "folder"


def cache_folder() -> Path:
    """Where data and the peers' environment are kept: ``BEAMSIDE_BENCH_CACHE``, or in the user's cache."""
    given = os.environ.get("BEAMSIDE_BENCH_CACHE")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else base / "beamside-bench"


def prepare(sizes: Sizes, say: Callable[[str], None]) -> Data:
    """What is missing is made (12 GB and some minutes of the full sizes); an interrupted file never counts."""
    data = Data(cache_folder() / "data" / f"{sizes.name}-{VERSION}", sizes)
    data.folder.mkdir(parents=True, exist_ok=True)
    for old in data.folder.parent.glob(f"{sizes.name}-*"):
        if old != data.folder:
            shutil.rmtree(old)
    makers: dict[str, Callable[[Path], None]] = {
        U16: lambda file: write_stack(file, EIGER_4M, np.dtype("u2"), sizes.frames, sizes.distinct),
        U32: lambda file: write_stack(file, EIGER_4M, np.dtype("u4"), sizes.frames, sizes.distinct),
        U32_16M: lambda file: write_stack(file, EIGER_16M, np.dtype("u4"), sizes.frames_16m, min(8, sizes.distinct)),
        CONTIGUOUS: lambda file: write_volume(file, sizes.side, chunked=False),
        CHUNKED: lambda file: write_volume(file, sizes.side, chunked=True),
        NODES: lambda file: write_nodes(file, sizes.nodes),
        FOLDER: lambda folder: write_folder(folder, sizes.files)}
    for name, make in makers.items():
        target = data.file(name)
        if target.exists():
            continue
        say(f"making {target.name}")
        unfinished = data.folder / f"unfinished-{target.name}"
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        make(unfinished)
        os.utime(unfinished, ns=(_TOUCHED_NS, _TOUCHED_NS))
        unfinished.replace(target)
    return data


def counts(shape: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """One frame of photon counts, uint32, without gaps."""
    height, width = shape
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((y - height * 0.52).astype(np.float32), (x - width * 0.48).astype(np.float32))
    radius *= 2167 / height
    mean = 6 * np.exp(-radius / 320) + 0.15 + 2.5 * np.exp(-((radius - 620) / 9) ** 2)
    frame = random.poisson(mean).astype(np.uint32)
    for row, column in zip(random.integers(5, height - 5, 300), random.integers(5, width - 5, 300), strict=True):
        frame[row - 1:row + 2, column - 1:column + 2] += np.uint32(random.integers(50, 5000))
    return frame


def gaps_of(shape: tuple[int, int]) -> np.ndarray:
    """bool, True between the detector's modules."""
    gaps = np.zeros(shape, bool)
    for start in range(_MODULE[0], shape[0], _MODULE[0] + _GAP[0]):
        gaps[start:start + _GAP[0]] = True
    for start in range(_MODULE[1], shape[1], _MODULE[1] + _GAP[1]):
        gaps[:, start:start + _GAP[1]] = True
    return gaps


def write_stack(file: Path, shape: tuple[int, int], dtype: np.dtype, frames: int, distinct: int) -> None:
    """A NeXus file with one stack; see the module."""
    random, gaps = np.random.default_rng(20261122), gaps_of(shape)
    chunk = (1, *shape)
    with h5py.File(file, "w") as out:
        data = _signal(out, (frames, *shape), dtype, chunk)
        for i in range(min(distinct, frames)):
            frame = counts(shape, random).astype(dtype)
            frame[gaps] = np.iinfo(dtype).max
            data[i] = frame
        out.flush()
        for i in range(distinct, frames):
            left_out, stored = data.id.read_direct_chunk((i % distinct, 0, 0))
            data.id.write_direct_chunk((i, 0, 0), stored, left_out)


def write_volume(file: Path, side: int, chunked: bool) -> None:
    """A float32 cube: balls of 1.5 in a cylinder of 1, noise of 0.1; contiguous, or bitshuffle-LZ4 in cubes of 64."""
    random = np.random.default_rng(20261123)
    y, x = np.ogrid[:side, :side]
    cylinder = np.hypot(y - side / 2, x - side / 2) < side * 0.47
    centres = random.uniform(0.2, 0.8, (40, 3)) * side
    with h5py.File(file, "w") as out:
        data = _signal(out, (side,) * 3, np.dtype("f4"), (_CHUNK,) * 3 if chunked else None)
        for start in range(0, side, _CHUNK):
            slab = random.standard_normal((_CHUNK, side, side), dtype=np.float32)
            slab *= 0.1
            for i in range(_CHUNK):
                slab[i] += cylinder
                for cz, cy, cx in centres:
                    inside = (side * 0.06) ** 2 - (start + i - cz) ** 2
                    if inside > 0:
                        slab[i] += 0.5 * (((y - cy) ** 2 + (x - cx) ** 2) < inside)
            data[start:start + _CHUNK] = slab


def write_nodes(file: Path, nodes: int) -> None:
    """A tree of groups of small datasets, each with attributes, as beamlines write them."""
    with h5py.File(file, "w") as out:
        made = 0
        while made < nodes:
            group = out.create_group(f"entry_{made // _NODES_A_GROUP:04}")
            group.attrs.update(NX_class="NXentry", index=made)
            made += 1
            for i in range(min(_NODES_A_GROUP - 1, nodes - made)):
                node = group.create_dataset(f"motor_{i:03}", data=np.float64(i * 0.1))
                node.attrs.update(units="mm", long_name=f"position of motor {i}", offset=0.5 * i)
                made += 1


def write_folder(folder: Path, files: int) -> None:
    """So many small files."""
    folder.mkdir()
    for i in range(files):
        file = folder / f"sample_{i // 1000:02}_scan_{i:05}.cbf"
        file.write_bytes(b"x" * (i % 97))
        os.utime(file, ns=(_TOUCHED_NS + i * 10**9, _TOUCHED_NS + i * 10**9))


def _signal(out: h5py.File, shape: tuple[int, ...], dtype: np.dtype, chunks: tuple[int, ...] | None) -> h5py.Dataset:
    out.attrs["default"] = "entry"
    entry = out.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="data")
    group = entry.create_group("data")
    group.attrs.update(NX_class="NXdata", signal="data")
    filters = hdf5plugin.Bitshuffle(cname="lz4") if chunks else {}
    return group.create_dataset("data", shape, dtype, chunks=chunks, **filters)
