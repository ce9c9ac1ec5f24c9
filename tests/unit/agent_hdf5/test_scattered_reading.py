"""What lies scattered over a file: mappings that survive that it is cut, and slabs for slices across chunks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent import mapped, plain_bytes, slab_cache
from app.agent.direct import DirectReader
from app.agent.mapped import Mapped
from app.agent.reading import plan_for, read_plan
from app.agent.selection import tie
from app.agent.virtual import SourceReader
from app.protocol.chunk_filters import Unusual
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import LONG_AGO, bits, sizes_read

VOLUME = np.random.default_rng(2).normal(0, 1, (40, 48, 56)).astype(np.float32)


def test_that_a_file_cut_while_it_is_copied_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for step in (1, 64, 4096, 100_000):
        path.write_bytes(bytes(range(256)) * 4000)
        fd = os.open(path, os.O_RDONLY)
        with pytest.raises(Unusual, match="cut"):
            copy_while_cut(path, fd, step)
        os.close(fd)
        assert not mapped._mapped


def copy_while_cut(path: Path, fd: int, step: int) -> None:
    with Mapped(fd, 300, 1_000_000) as inside:
        assert inside.bytes is not None
        assert inside.bytes[:3].tolist() == [44, 45, 46]
        os.truncate(path, 5000)
        inside.bytes[::step].copy()


def test_that_a_slice_of_a_file_cut_meanwhile_is_never_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, gather = tmp_path / "a.h5", plain_bytes.gather
    values = np.arange(512 * 40 * 64, dtype=np.float32).reshape(512, 40, 64)

    def meanwhile(*args: Any) -> None:
        os.truncate(path, 1_000_000)
        gather(*args)

    with h5py.File(path, "w") as file:
        file["d"] = values
    with h5py.File(path, "r") as file:
        reader, plan = DirectReader(), tie(["...", 5], values.shape)
        found = reader.read(file["d"], plan)
        assert found is not None
        assert bits(found) == bits(values[..., 5])
        monkeypatch.setattr(plain_bytes, "gather", meanwhile)
        assert reader.read(file["d"], plan) is None


_OTHER_SIGNAL = """
import mmap, os, sys
from app.agent.mapped import Mapped
path = sys.argv[1]
open(path, "wb").write(bytes(100_000))
fd = os.open(path, os.O_RDONLY)
with Mapped(fd, 0, 100_000):
    pass
other = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
os.truncate(path, 0)
other[50_000]
"""


def test_that_a_bus_error_of_others_still_ends_the_process(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _OTHER_SIGNAL, str(tmp_path / "a")], cwd=Path(__file__).parents[3],
                          timeout=60, check=False, capture_output=True)
    assert done.returncode == -7, done.stderr


@pytest.mark.parametrize("chunks", [None, (8, 8, 8), (1, 48, 56), (40, 5, 56), (7, 9, 11)])
@pytest.mark.parametrize("how", [hdf5plugin.Bitshuffle(nelems=64), {"compression": "gzip", "shuffle": True}])
def test_that_slices_taken_one_after_the_other_equal_hdf5(tmp_path: Path, chunks: Any, how: Any,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab_cache, "_LEAST_BYTES", 1)
    monkeypatch.setattr(plain_bytes, "SMALL_SPAN", 100)
    monkeypatch.setattr(plain_bytes, "_WINDOW", 20_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=VOLUME, chunks=chunks, **(how if chunks else {}))
    os.utime(tmp_path / "a.h5", ns=(LONG_AGO, LONG_AGO))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for axis in range(3):
            reader = DirectReader(100_000)
            for number in (3, 4, 5, 6, 7, 8, 9, 20, 19, 18, 17, 5, 4, 39):
                for more in ([None, None, None], [None, None, -1], [1, 30, 3]):
                    items: list[Any] = [more, more]
                    items.insert(axis, number)
                    found = reader.read(file["d"], tie(items, VOLUME.shape))
                    index = tuple(slice(*n) if isinstance(n, list) else n for n in items)
                    assert found is not None
                    assert bits(found) == bits(VOLUME[index])
            assert reader._slabs._nbytes <= 50_000


def test_that_neighbouring_slices_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab_cache, "_LEAST_BYTES", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=VOLUME, chunks=(8, 8, 56), compression="gzip")
    os.utime(tmp_path / "a.h5", ns=(LONG_AGO, LONG_AGO))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        reader = DirectReader(200_000)
        sizes = sizes_read(reader, monkeypatch)
        for number in range(20, 28):
            assert reader.read(file["d"], tie(["...", number], VOLUME.shape)) is not None
        assert len(sizes) == 2 * 5 * 6


def test_that_coarse_pictures_and_parts_of_slices_come_from_a_slab_too(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab_cache, "_LEAST_BYTES", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=VOLUME, chunks=(8, 8, 56), compression="gzip")
    os.utime(tmp_path / "a.h5", ns=(LONG_AGO, LONG_AGO))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        reader = DirectReader(200_000)
        for number in (30, 31, 32):
            for items in ([[0, 40, 5], [0, 48, 4], number], ["...", number]):
                assert reader.read(file["d"], tie(items, VOLUME.shape)) is not None
        monkeypatch.setattr(reader, "_read", None)  # from here on nothing is read any more
        cases: list[tuple[list[Any], Any]] = [
            (["...", 33], VOLUME[..., 33]), ([[0, 40, 5], [0, 48, 4], 34], VOLUME[::5, ::4, 34]),
            ([7, [3, 40, 2], 33], VOLUME[7, 3:40:2, 33]), ([7, 9, [32, 35, None]], VOLUME[7, 9, 32:35]),
            ([[None, None, -3], 5, 33], VOLUME[::-3, 5, 33])]
        for items, expected in cases:
            found = reader.read(file["d"], tie(items, VOLUME.shape))
            assert found is not None
            assert bits(found) == bits(expected)


def test_that_slabs_of_a_file_that_changed_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slab_cache, "_LEAST_BYTES", 1)
    path, reader = tmp_path / "a.h5", DirectReader(200_000)
    for generation in range(3):
        with h5py.File(tmp_path / "new.h5", "w") as file:
            file.create_dataset("d", data=VOLUME + generation, chunks=(8, 8, 56), compression="gzip")
        os.utime(tmp_path / "new.h5", ns=(LONG_AGO, LONG_AGO + generation))
        os.replace(tmp_path / "new.h5", path)
        with h5py.File(path, "r") as file:
            for number in (10, 11, 12):
                found = reader.read(file["d"], tie(["...", number], VOLUME.shape))
                assert found is not None
                assert bits(found) == bits(VOLUME[..., number] + np.float32(generation))


@pytest.mark.parametrize("how", [{}, {"chunks": (1, 48, 56), "scaleoffset": 2}, {"chunks": (1, 48, 56)}])
@pytest.mark.parametrize("rewritten", [False, True])
def test_that_values_of_a_file_cut_after_it_was_opened_are_refused(tmp_path: Path, how: Any, rewritten: bool) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=VOLUME, **how)
    with h5py.File(path, "r", locking=False) as file:
        dataset, reader = file["d"], SourceReader()
        first = read_plan(dataset, plan_for(dataset, [30], "/d"), str(path), "/d", reader)
        assert first.shape == (48, 56)
        with h5py.File(tmp_path / "short.h5", "w") as other:
            other["d"] = VOLUME[:5]
        path.write_bytes((tmp_path / "short.h5").read_bytes() if rewritten else b"")  # in place, as it is open
        with pytest.raises(WireError, match="cut or written anew"):
            read_plan(dataset, plan_for(dataset, [30], "/d"), str(path), "/d", reader)
