"""Filters undone without HDF5, whole chunks and parts of them, and chunks that are damaged or lie in odd places."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent import chunk_index, direct, pieces, sources, storage
from app.agent.decoding import fletcher32
from app.agent.direct import DirectReader
from app.agent.selection import tie
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import LONG_AGO, bits, picked

VALUES = np.random.default_rng(5).poisson(3, (6, 120, 90)).astype(np.uint32)
HARDER: dict[str, Any] = {
    "szip": {"compression": "szip"}, "szip ec": {"compression": "szip", "compression_opts": ("ec", 16)},
    "lzf": {"compression": "lzf", "shuffle": True}, "bzip2": hdf5plugin.BZip2(),
    "fletcher": {"fletcher32": True}, "lz4 fletcher": {"fletcher32": True, **hdf5plugin.LZ4()},
    "blosc": hdf5plugin.Blosc(cname="lz4", shuffle=1), "blosc none": hdf5plugin.Blosc(clevel=0),
    "blosc2": hdf5plugin.Blosc2(), "blosc2 none": hdf5plugin.Blosc2(clevel=0)}
SELECTIONS: list[list[Any]] = [["..."], [1, [3, 9, None], [5, 80, 7]], [[None, None, 3], 7, 8], [5, 119, 89]]


@pytest.mark.parametrize("name", sorted(HARDER))
@pytest.mark.parametrize("dtype", ["u4", ">u2", "f8", "u1"])
def test_that_chunks_and_their_parts_equal_hdf5(tmp_path: Path, name: str, dtype: str,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    values = VALUES.astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=values, chunks=(2, 100, 90), **HARDER[name])
        file.create_dataset("line", data=values.reshape(-1), chunks=(30_000,), **HARDER[name])
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for largest in (pieces.LARGEST_KEPT, 0):
            monkeypatch.setattr(pieces, "LARGEST_KEPT", largest)
            reader = DirectReader()
            for items in SELECTIONS:
                index = tuple(... if n == "..." else slice(*n) if isinstance(n, list) else n for n in items)
                found = reader.read(file["d"], tie(items, values.shape))
                assert found is not None
                assert bits(found) == picked(values, index)
            found = reader.read(file["line"], tie([[100, 40_000, 171]], (values.size,)))
            assert found is not None
            assert bits(found) == bits(values.reshape(-1)[100:40_000:171])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4095, 4096, 4099, 300_001])
@pytest.mark.parametrize("kind", ["noise", "zeros", "ones"])
def test_that_the_checksum_is_hdf5s(tmp_path: Path, size: int, kind: str) -> None:
    values = {"noise": np.random.default_rng(size).integers(0, 256, size), "zeros": np.zeros(size),
              "ones": np.full(size, 255)}[kind].astype(np.uint8)
    if not size:
        assert fletcher32(values) == 0
        return
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", data=values, chunks=(size,), fletcher32=True)
        _, stored = made.id.read_direct_chunk((0,))
    assert int.from_bytes(stored[-4:], "little") == fletcher32(values)


def test_that_a_wrong_checksum_is_left_to_hdf5_which_refuses_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", data=VALUES, chunks=(2, 120, 90), fletcher32=True)
        place = made.id.get_chunk_info_by_coord((2, 0, 0))
    raw = bytearray((tmp_path / "a.h5").read_bytes())
    raw[place.byte_offset + 70] ^= 1
    (tmp_path / "a.h5").write_bytes(bytes(raw))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert DirectReader().read(file["d"], tie([0], VALUES.shape)) is not None
        assert DirectReader().read(file["d"], tie([2], VALUES.shape)) is None
        with pytest.raises(OSError, match="filter"):
            file["d"][2]


@pytest.mark.parametrize("name", [*sorted(HARDER), "bitshuffle"])
def test_that_damaged_chunks_never_give_wrong_values_or_end_the_process(tmp_path: Path, name: str) -> None:
    how = HARDER.get(name, hdf5plugin.Bitshuffle())
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", data=VALUES[0], chunks=(120, 90), **how)
        place = made.id.get_chunk_info_by_coord((0, 0))
    whole, rng = (tmp_path / "a.h5").read_bytes(), np.random.default_rng(3)
    for attempt in range(40):
        raw = bytearray(whole)
        at = place.byte_offset + (attempt if attempt < 24 else int(rng.integers(0, place.size)))
        raw[at] ^= int(rng.integers(1, 256))
        (tmp_path / "b.h5").write_bytes(bytes(raw))
        with h5py.File(tmp_path / "b.h5", "r") as file:
            for items in (["..."], [50, 40]):
                with contextlib.suppress(WireError):  # HDF5 itself would crash with some of them
                    found = DirectReader().read(file["d"], tie(items, (120, 90)))
                    if found is not None and name in ("fletcher", "lz4 fletcher", "bzip2"):
                        assert bits(found) == bits(VALUES[0] if items == ["..."] else VALUES[0, 50, 40])


@pytest.mark.parametrize("library", ["earliest", "latest"])
def test_that_files_with_a_user_block_are_read_directly(tmp_path: Path, library: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=2048, libver=library) as file:
        file["plain"] = VALUES
        file.create_dataset("packed", data=VALUES, chunks=(1, 120, 90), compression="gzip")
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for name in ("plain", "packed"):
            for items in ([3], ["...", 7, 8]):
                found = DirectReader().read(file[name], tie(items, VALUES.shape))
                assert found is not None
                assert bits(found) == bits(VALUES[3] if items == [3] else VALUES[:, 7, 8])


@pytest.mark.parametrize("name", ["blosc2", "lzf", "bzip2"])
def test_that_several_threads_decode_the_same(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_WORTH_THREADS", 1)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=VALUES, chunks=(1, 50, 40), **HARDER[name])
    with h5py.File(tmp_path / "a.h5", "r") as file:
        reader = DirectReader(2**22, 4)
        for items, expected in ((["..."], VALUES), (["...", 17], VALUES[..., 17]),
                                ([[None, None, -2], [None, None, 3]], VALUES[::-2, ::3])):
            for _ in range(2):
                found = reader.read(file["d"], tie(items, VALUES.shape))
                assert found is not None
                assert bits(found) == bits(expected)
        reader.close()


@pytest.mark.parametrize("how", [hdf5plugin.Bitshuffle(nelems=64), hdf5plugin.Bitshuffle(cname="zstd"),
                                 hdf5plugin.LZ4(nbytes=500)])
@pytest.mark.parametrize("items", [1, 7, 8, 64, 1000, 1027, 54_003])
def test_that_one_large_chunk_is_decoded_in_parts(tmp_path: Path, how: Any, items: int,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_WORTH_PARTS", 1)
    values = np.resize(VALUES, items)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=values, chunks=(items,), **how)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        for threads in (2, 3, 8):
            reader = DirectReader(0, threads)
            found = reader.read(file["d"], tie(["..."], values.shape))
            reader.close()
            assert found is not None
            assert bits(found) == bits(values)


def test_that_unfiltered_chunks_at_the_edge_are_read_by_hdf5_and_the_others_not(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = VALUES[0, :101, :70]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", (101, 70), "u4", chunks=(50, 70), compression="gzip")
        made[:] = values
        made.id.write_direct_chunk((100, 0), np.pad(values[100:], ((0, 49), (0, 0))).tobytes(), 1)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        asked: list[Any] = []
        original = h5py.Dataset.__getitem__

        def noted(dataset: Any, *index: Any) -> Any:
            asked.append(index)
            return original(dataset, *index)

        monkeypatch.setattr(h5py.Dataset, "__getitem__", noted)
        monkeypatch.setattr(storage.Storage, "steps_of", lambda self, chunk: list(self.steps))
        found = DirectReader().read(file["d"], tie(["..."], values.shape))
        assert found is not None
        assert bits(found) == bits(values)
        assert len(asked) == 1


def test_that_chunks_too_many_to_index_are_left_to_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_index, "MAX_INDEXED", 50)
    monkeypatch.setattr(chunk_index, "MAX_WALKED", 60)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", data=np.arange(100), chunks=(1,), compression="gzip")
    os.utime(tmp_path / "a.h5", ns=(LONG_AGO, LONG_AGO))
    with h5py.File(tmp_path / "a.h5", "r") as file:
        reader = DirectReader()
        assert reader.read(file["d"], tie(["..."], (100,))) is None
        assert reader.read(file["d"], tie([70], (100,))) is None
        found = DirectReader().read(file["d"], tie([7], (100,)))
        assert found is not None
        assert found.tolist() == [7]


def test_that_an_index_of_chunks_is_small(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", (20_000, 2), "u2", chunks=(1, 2), compression="gzip", fillvalue=9)
        for number in range(0, 20_000, 2):
            made.id.write_direct_chunk((number, 0), b"1234", 1)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        index = chunk_index.ChunkIndex((20_000, 2), (1, 2))
        found = [index.find(file["d"], (number, 0)) for number in range(0, 20_000, 77)]
        for number, chunk in zip(range(0, 20_000, 77), found, strict=True):
            assert (chunk is None) == bool(number % 2)
            if chunk is not None:
                assert chunk.offset == file["d"].id.get_chunk_info_by_coord((number, 0)).byte_offset
        assert index.nbytes < 25 * 10_000


def test_that_a_bitshuffle_header_without_the_size_of_blocks_means_the_usual_one(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", VALUES.shape, "u4", chunks=(1, 120, 90), **hdf5plugin.Bitshuffle())
        made[...] = VALUES
        for number in range(6):
            _, stored = made.id.read_direct_chunk((number, 0, 0))
            made.id.write_direct_chunk((number, 0, 0), stored[:8] + bytes(4) + stored[12:])
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert bits(file["d"][()]) == bits(VALUES)
        for items, expected in ((["..."], VALUES), ([3], VALUES[3]), (["...", 50, 60], VALUES[:, 50, 60])):
            found = DirectReader().read(file["d"], tie(items, VALUES.shape))
            assert found is not None
            assert bits(found) == bits(expected)


def test_that_a_filter_the_agent_undoes_itself_is_not_called_absent(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("ours", data=VALUES, **hdf5plugin.BZip2())
        file.create_dataset("nobody's", data=VALUES.astype("f4"), **hdf5plugin.Zfp(reversible=True))
    monkeypatch.setattr("h5py.h5z.filter_avail", lambda code: code < 300)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert [step.available for step in sources.filters_of(file["ours"])] == [True]
        assert sources.absent_filters(file["ours"]) == ["bzip2"]
        assert sources.trouble_with(file["ours"], str(tmp_path / "a.h5")) == ""
        assert "zfp" in sources.trouble_with(file["nobody's"], str(tmp_path / "a.h5"))
