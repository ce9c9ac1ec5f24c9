"""The smallest payload of each picture that a lossless codec reaches: what the limits of the table are made of.

Runs in the peers' environment, which has blosc2: the best of bitshuffle and byte shuffle with zstd at the levels that
pack a picture in milliseconds (1, 3, 5), in blocks of several sizes; integers in the narrowest type that holds them,
gaps as one bit a pixel. Level 9 makes 2 % less in 400 times the time. A better codec would lower the limit.

    python -m benchmarks.payloads DATA-FOLDER [FRAMES]        prints JSON
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import blosc2
import h5py
import hdf5plugin  # noqa: F401
import numpy as np

from benchmarks.clients.nexus import signal
from benchmarks.clients.serving import REGION, picture


def smallest(values: np.ndarray) -> int:
    """Bytes of an array, compressed as well as can be."""
    if values.dtype.kind in "iu":
        values = values.astype(np.min_scalar_type(int(values.max())))
    values = np.ascontiguousarray(values)
    return min(len(blosc2.compress2(values, codec=blosc2.Codec.ZSTD, clevel=level, filters=[how], nthreads=1,
                                    blocksize=block))
               for level in (1, 3, 5) for how in (blosc2.Filter.BITSHUFFLE, blosc2.Filter.SHUFFLE)
               for block in (0, 1 << 18, 1 << 20))


def pooled(frame: np.ndarray, factor: int) -> int:
    """The picture of a frame and its gaps."""
    gap = np.iinfo(frame.dtype).max
    return smallest(picture(frame, factor)) + smallest(np.packbits(frame[::factor, ::factor] == gap))


def of_stack(file: Path, final: int, preview: int, frames: int) -> dict[str, float]:
    """Medians over the first ``frames``."""
    found: dict[str, list[int]] = {"preview": [], "final": [], "roi": [], "stored": []}
    with h5py.File(file) as opened:
        data = signal(opened)
        y0, y1, x0, x1 = REGION
        for i in range(min(frames, len(data))):
            frame = data[i]
            found["preview"].append(pooled(frame, preview))
            found["final"].append(pooled(frame, final))
            found["roi"].append(smallest(frame[y0:y1, x0:x1]))
            found["stored"].append(data.id.get_chunk_info_by_coord((i, 0, 0)).size)
    return {name: statistics.median(sizes) for name, sizes in found.items()}


def of_volume(file: Path) -> dict[str, float]:
    """Three slices through the middle."""
    with h5py.File(file) as opened:
        data = signal(opened)
        middle = len(data) // 2
        slices = [data[middle], data[:, middle], data[:, :, middle]]
        factor = -(-len(data) // 300)
        factor = 1 << (factor - 1).bit_length()
    return {"final": sum(smallest(values) for values in slices),
            "preview": sum(smallest(values[::factor, ::factor]) for values in slices)}


def main(folder: Path, frames: int = 5) -> dict[str, Any]:
    return {"eiger4m_u16": of_stack(folder / "eiger4m_u16.h5", 2, 8, frames),
            "eiger4m_u32": of_stack(folder / "eiger4m_u32.h5", 2, 8, frames),
            "eiger16m_u32": of_stack(folder / "eiger16m_u32.h5", 4, 16, frames),
            "volume_contiguous": of_volume(folder / "volume_contiguous.h5"),
            "volume_chunked": of_volume(folder / "volume_chunked.h5")}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), *map(int, sys.argv[2:]))))
