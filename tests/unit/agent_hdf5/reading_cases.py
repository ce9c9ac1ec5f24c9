"""Files with datasets of every kind by a number, and whether every way of reading them gives HDF5's bits.

Writing needs hdf5plugin for its filters; checking only numpy, h5py and the agent, so that it runs on a distribution's
own Python too: ``python reading_cases.py FILE SEED SELECTIONS``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

import h5py
import numpy as np

from app.agent import reading
from app.agent.decoding import decode
from app.agent.selection import tie
from app.agent.virtual import SourceReader
from app.protocol.chunk_filters import Step
from app.protocol.errors import WireError

DATASETS = 6
LONG_AGO = 10**18
NUMBERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16", "?"]
COMPOUND = [[("x", "<f4"), ("n", ">i2"), ("k", "u1")], [("a", [("b", "<u2"), ("c", ">f8")]), ("d", "?")],
            [("v", "<f4", (3,)), ("w", "S3")]]
SIZES = [(1,), (3,), (700,), (40_000,), (1, 1), (9, 7), (130, 90), (4, 60, 70), (1, 301, 203), (3, 4, 5, 6)]


def write_file(path: Path, seed: int, packings: list[tuple[str, Any]], newest: str = "latest") -> None:
    """A file of some datasets; ``packings`` are names and h5py's keywords for filters, ``newest`` a file format."""
    rng = np.random.default_rng(seed)
    with h5py.File(str(path), "w", libver=str(rng.choice(["earliest", newest])),
                   userblock_size=int(rng.choice([0, 0, 512, 4096]))) as file:
        for number in range(DATASETS):
            _write(file, str(number), rng, packings)
    os.utime(str(path), ns=(LONG_AGO, LONG_AGO + seed))


def _write(file: Any, name: str, rng: Any, packings: list[tuple[str, Any]]) -> None:
    dtype = _dtype(rng)
    shape = SIZES[rng.integers(0, len(SIZES))]
    how = {}  # type: Any
    packing, filters = packings[rng.integers(0, len(packings))]
    plain = dtype.kind in "uifc" and h5py.check_enum_dtype(dtype) is None
    if rng.random() < 0.85 or filters:
        how = dict(filters, chunks=tuple(int(rng.integers(max(1, n // 3), n + 1)) for n in shape))
        if rng.random() < 0.3:
            how["maxshape"] = (None,) * len(shape)
        if rng.random() < 0.25 and plain:
            how["fletcher32"] = True
        if rng.random() < 0.25 and packing in ("gzip", "lzf", "none", "bitshuffle lz4"):
            how["shuffle"] = True
    if packing == "szip" and (dtype.kind not in "uif" or not plain or np.prod(how["chunks"]) < 64):
        how.pop("compression")
    if rng.random() < 0.3 and plain:
        how["fillvalue"] = np.array(3).astype(dtype)[()]
    made = file.create_dataset(name, shape, dtype, **how)
    made.attrs["packing"] = packing
    values = _values(rng, shape, dtype)
    if rng.random() < 0.3:  # only a part is written
        part = tuple(slice(0, int(rng.integers(1, n + 1))) for n in shape)
        made[part] = values[part]
    else:
        made[...] = values
    if "maxshape" in how and rng.random() < 0.5:
        made.resize(tuple(max(1, int(n * rng.choice([0.6, 1.5]))) for n in shape))


def _dtype(rng: Any) -> Any:
    kind = rng.random()
    if kind < 0.75:
        return np.dtype(str(rng.choice(NUMBERS))).newbyteorder(str(rng.choice(["<", ">"])))
    if kind < 0.85:
        return h5py.enum_dtype({"red": 0, "green": 1, "blue": 7}, basetype=str(rng.choice(["u1", "<i2", ">i4"])))
    return np.dtype("S5") if kind < 0.9 else np.dtype(COMPOUND[rng.integers(0, len(COMPOUND))])


def _values(rng: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    if dtype.kind == "?" or h5py.check_enum_dtype(dtype) is not None:
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind == "S":
        return rng.integers(0, 3, shape).astype("S5")
    raw = rng.poisson(rng.choice([1, 3, 60]), (*shape, dtype.itemsize)).astype(np.uint8)
    if dtype.names:
        raw[...] = raw & 1  # booleans among the fields
    return raw.view(dtype)[..., 0] if dtype.itemsize > 1 else raw[..., 0].view(dtype)


def check_file(path: Path, seed: int, selections: int) -> tuple[int, int]:
    """Compare readings of a file with HDF5's; how many there were, and how many of them did without HDF5."""
    rng = np.random.default_rng(seed + 1)
    checked, direct = 0, 0
    reader = SourceReader(int(rng.choice([0, 100_000, 2**22])), int(rng.choice([1, 2])))
    with h5py.File(str(path), "r") as file:
        for name in sorted(file):
            dataset = file[name]
            whole = dataset[()]
            about = (f"seed {seed}, {name}: {dataset.dtype} {dataset.shape} chunks {dataset.chunks}, "
                     f"{dataset.attrs['packing']}")
            for _ in range(selections):
                index = _index(rng, dataset.shape)
                plan = tie([[n.start, n.stop, n.step] if isinstance(n, slice) else n for n in index], dataset.shape)
                expected = whole.view(f"V{whole.dtype.itemsize}")[index] if not whole.dtype.subdtype else whole[index]
                try:
                    found = reading.read_plan(dataset, plan, str(path), name, reader)
                except WireError as error:
                    raise AssertionError(f"{about}, {index}: {error}") from error
                assert found.dtype == whole.dtype, about
                same = np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(expected).tobytes()
                assert same, f"{about}, {index}"
                checked += 1
                direct += 0 in plan.full_counts or reader.read(dataset, plan, str(path)) is not None
            checked += _check_chunks(reader, dataset, whole, str(path), about)
    reader.close()
    return checked, direct


def _check_chunks(reader: Any, dataset: Any, whole: Any, path: str, about: str) -> int:
    """Chunks handed out as stored: they decode to what HDF5 reads."""
    if not dataset.chunks or any(c > n for c, n in zip(dataset.chunks, dataset.shape, strict=True)):
        return 0
    plan = tie([[0, c, 1] for c in dataset.chunks], dataset.shape)
    stored = reader.stored_chunk(dataset, plan, path)
    if stored is None:
        return 0
    out = np.empty(int(np.prod(stored.shape)) * stored.dtype.itemsize, np.uint8)
    decode(np.frombuffer(stored.data, np.uint8), [Step(code, values) for code, values in stored.filters], out)
    expected = np.ascontiguousarray(whole[tuple(slice(0, c) for c in dataset.chunks)])
    assert out.tobytes() == expected.tobytes(), about
    return 1


def _index(rng: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    index = []  # type: list[Any]
    for length in shape:
        kind = rng.integers(0, 5)
        first, end = sorted(rng.integers(0, length + 1, 2).tolist())
        if kind == 0:
            index.append(int(rng.integers(-length, length)))
        elif kind == 1:
            index.append(slice(None))
        elif kind == 2:
            index.append(slice(first, end, int(rng.integers(1, 9))))
        elif kind == 3:
            index.append(slice(None, None, int(rng.choice([-1, -3, 2, 5]))))
        else:
            index.append(slice(first, min(length, first + 3)))
    return tuple(index)


if __name__ == "__main__":
    print(*check_file(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
