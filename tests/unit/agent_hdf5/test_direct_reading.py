"""Reading without HDF5 against HDF5 itself: types, shapes, chunking, filters, fill values, selections; bit for bit."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent import chunk_index, pieces, plain_bytes, reading
from app.agent.direct import DirectReader
from app.agent.selection import tie
from app.agent.service import Service
from app.agent.virtual import SourceReader
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import EXAMPLES, LONG_AGO, Case, as_wire, bits, picked, read, sizes_read

SIMPLE = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">u4", ">i4", ">f4", ">f8", "?",
          "c8", "c16", ">c8"]
PAIR = np.dtype([("x", "<f4"), ("n", ">i2"), ("k", "u1")])
COLOUR = h5py.enum_dtype({"red": 0, "green": 1, "blue": 7}, basetype="u2")

FILTERS: dict[str, Any] = {
    "none": {}, "gzip": {"compression": "gzip"}, "shuffle": {"shuffle": True},
    "shuffle gzip": {"compression": "gzip", "shuffle": True}, "lzf": {"compression": "lzf"},
    "fletcher": {"fletcher32": True}, "gzip fletcher": {"compression": "gzip", "fletcher32": True},
    "bitshuffle lz4": hdf5plugin.Bitshuffle(), "bitshuffle lz4 small": hdf5plugin.Bitshuffle(nelems=8),
    "bitshuffle zstd": hdf5plugin.Bitshuffle(cname="zstd"), "bitshuffle none": hdf5plugin.Bitshuffle(cname="none"),
    "lz4": hdf5plugin.LZ4(), "lz4 small": hdf5plugin.LZ4(nbytes=24), "zstd": hdf5plugin.Zstd(),
    "shuffle lz4": {"shuffle": True, **hdf5plugin.LZ4()}, "blosc": hdf5plugin.Blosc(),
    "blosc bits zstd": hdf5plugin.Blosc(cname="zstd", shuffle=2), "blosc2": hdf5plugin.Blosc2(),
    "blosc2 bits zstd": hdf5plugin.Blosc2(cname="zstd", filters=2), "bzip2": hdf5plugin.BZip2(),
    "shuffle lzf fletcher": {"compression": "lzf", "shuffle": True, "fletcher32": True},
}
OURS = set(FILTERS)


@st.composite
def cases(draw: st.DrawFn) -> Any:
    dtype = np.dtype(draw(st.sampled_from([*SIMPLE, PAIR, COLOUR, np.dtype("S3")])))
    shape = draw(npst.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=draw(st.sampled_from([5, 12]))))
    chunks = draw(st.one_of(st.none(), st.tuples(*(st.integers(1, n) for n in shape)), st.just(shape)))
    filters = draw(st.sampled_from(sorted(FILTERS))) if chunks else "none"
    return Case(
        dtype=dtype, shape=shape, chunks=chunks, filters=filters, seed=draw(st.integers(0, 99)),
        fill=draw(st.sampled_from([None, 1])), libver=draw(st.sampled_from(["earliest", "latest"])),
        grown=draw(st.booleans()) if chunks else False,
        written=draw(npst.basic_indices(shape, allow_newaxis=False)) if draw(st.booleans()) else Ellipsis,
        selections=draw(st.lists(npst.basic_indices(shape, allow_newaxis=False), min_size=1, max_size=3)))


def some_values(case: Any) -> Any:
    rng = np.random.default_rng(case.seed)
    raw = rng.poisson(3, (*case.shape, case.dtype.itemsize)).astype(np.uint8)
    if case.dtype == COLOUR or case.dtype.kind in "?b":
        return rng.integers(0, 2, case.shape).astype(case.dtype)
    return raw.view(case.dtype)[..., 0] if case.dtype.itemsize > 1 else raw[..., 0].view(case.dtype)


def write(path: Path, case: Any) -> None:
    how = dict(FILTERS[case.filters])
    if case.fill is not None and case.dtype.kind not in "VSb":
        how["fillvalue"] = np.array(case.fill).astype(case.dtype)[()]
    if case.grown:
        how["maxshape"] = (None,) * len(case.shape)
    with h5py.File(path, "w", libver=case.libver) as file:
        file.create_dataset("before", data=np.arange(case.seed))
        made = file.create_dataset("d", case.shape, case.dtype, chunks=case.chunks, **how)
        values = some_values(case)
        if case.written is Ellipsis or min(np.zeros(case.shape)[case.written].shape, default=1):
            with contextlib.suppress(TypeError, ValueError):  # h5py has no negative steps for writing
                made[case.written] = values[case.written]
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("direct")


_numbers = itertools.count()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_that_every_direct_reading_equals_hdf5_bit_for_bit(folder: Path, case: Any) -> None:
    path = folder / f"{next(_numbers)}.h5"
    write(path, case)
    reader = DirectReader(draw_cache(case))
    with h5py.File(path, "r", locking=False) as file:
        dataset = file["d"]
        whole = dataset[()]
        for index in case.selections:
            plan = tie(as_wire(index), dataset.shape)
            if 0 in plan.full_counts:
                continue
            found = reader.read(dataset, plan)
            if case.filters in OURS and dataset.id.get_storage_size() and not may_lack_filters(case):
                assert found is not None
            if found is not None:
                assert found.dtype == whole.dtype
                assert bits(found) == picked(whole, index)
    path.unlink()


def draw_cache(case: Any) -> int:
    """Half of the examples decode small chunks whole and keep them, the others never."""
    return 2**20 if case.seed % 2 else 0


def may_lack_filters(case: Any) -> bool:
    """Whether a chunk at the edge may be as large as without filters (then HDF5 is asked)."""
    return bool(case.filters != "none" and any(n % c for n, c in zip(case.shape, case.chunks, strict=True)))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Frames large enough to have many blocks, in every filter."""
    path = tmp_path_factory.mktemp("detector") / "frames.h5"
    rng = np.random.default_rng(2)
    frames = rng.poisson(2, (3, 301, 203)).astype(np.uint32)
    frames[:, 100:103] = 2**32 - 1
    with h5py.File(path, "w") as file:
        for name in FILTERS:
            file.create_dataset(name, data=frames, chunks=(1, 301, 203), **FILTERS[name])
            file.create_dataset(name + " thick", data=frames, chunks=(2, 150, 203), **FILTERS[name])
        file["contiguous"] = frames
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    with h5py.File(path, "r", locking=False) as file:
        yield file


@pytest.mark.parametrize("name", [*sorted(OURS), "contiguous"])
@pytest.mark.parametrize("thick", ["", " thick"])
@pytest.mark.parametrize("keeps", [0, 2**24])
def test_that_parts_of_frames_equal_hdf5(detector: Any, name: str, thick: str, keeps: int,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    if not keeps:  # also the ways of what is large
        monkeypatch.setattr(plain_bytes, "SMALL_SPAN", 1000)
        monkeypatch.setattr(pieces, "LARGEST_KEPT", 0)
    dataset = detector[name + (thick if name != "contiguous" else "")]
    whole = dataset[()]
    reader = DirectReader(keeps)
    rng = np.random.default_rng(1)
    for _ in range(60):
        index: list[Any] = []
        for length in whole.shape:
            first, end = sorted(rng.integers(0, length + 1, 2).tolist())
            kind = rng.integers(0, 4)
            index.append(int(rng.integers(0, length)) if kind == 0 or first == end else slice(None) if kind == 1
                         else slice(first, end, int(rng.integers(1, 5))) if kind == 2
                         else slice(end - 1, None, -int(rng.integers(1, 9))))
        found = reader.read(dataset, tie(as_wire(tuple(index)), dataset.shape))
        if found is not None or not (thick and name != "none"):
            assert bits(found) == picked(whole, tuple(index))


def test_that_a_pixel_through_frames_decodes_one_block_of_each(detector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = DirectReader()
    dataset = detector["bitshuffle lz4"]
    sizes = sizes_read(reader, monkeypatch)
    plan = tie([[0, 3, None], 250, 77], dataset.shape)
    for _ in range(2):
        found = reader.read(dataset, plan)
        assert found is not None
        assert found.reshape(-1).tolist() == dataset[:, 250, 77].tolist()
    stored = [dataset.id.get_chunk_info_by_coord((n, 0, 0)).size for n in range(3)]
    assert len(sizes) == 3 * 3 + 3  # the first time a header and the lengths of the blocks, then only the blocks
    assert all(size < whole / 1.5 for size, whole in zip(sizes[-3:], stored, strict=True))
    late = reader.read(dataset, tie([0, 300, 202], dataset.shape))
    early = reader.read(dataset, tie([0, 0, 0], dataset.shape))
    assert late is not None
    assert early is not None
    assert (late.item(), early.item()) == (dataset[0, 300, 202], dataset[0, 0, 0])


@pytest.mark.parametrize("indexed", [True, False])
def test_that_many_chunks_are_found_with_and_without_one_walk(tmp_path: Path, indexed: bool,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    if not indexed:
        monkeypatch.setattr(chunk_index, "MAX_INDEXED", 10)
    values = np.arange(50 * 6 * 6, dtype=np.int16).reshape(50, 6, 6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", values.shape, "i2", chunks=(1, 4, 4), fillvalue=-5)
        made[:20], made[30:, :4] = values[:20], values[30:, :4]
    with h5py.File(tmp_path / "a.h5", "r", locking=False) as file:
        found = DirectReader().read(file["d"], tie(["..."], values.shape))
        assert bits(found) == bits(file["d"][()])


def test_that_chunks_without_some_of_their_filters_are_read(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", (8, 8), "u2", chunks=(4, 8), compression="gzip", shuffle=True)
        made.id.write_direct_chunk((0, 0), values[:4].tobytes(), 3)
        made[4:] = values[4:]
    with h5py.File(tmp_path / "a.h5", "r", locking=False) as file:
        found = DirectReader().read(file["d"], tie(["..."], (8, 8)))
        assert found is not None
        assert bits(found) == bits(values)


def test_that_a_damaged_chunk_is_left_to_hdf5_only_if_it_survives_that(tmp_path: Path) -> None:
    for number, name in enumerate(("gzip", "lzf", "bitshuffle lz4", "zstd", "lz4", "blosc")):
        path = tmp_path / f"{number}.h5"
        with h5py.File(path, "w") as file:
            made = file.create_dataset("d", data=np.arange(4000, dtype=np.int32), chunks=(4000,), **FILTERS[name])
            place = made.id.get_chunk_info_by_coord((0,))
        raw = bytearray(path.read_bytes())
        raw[place.byte_offset:place.byte_offset + 16] = b"\xff" * 16
        path.write_bytes(bytes(raw))
        with h5py.File(path, "r", locking=False) as file:
            for items in (["..."], [3]):
                if name in ("gzip", "lzf"):
                    assert DirectReader().read(file["d"], tie(items, (4000,))) is None
                else:
                    with pytest.raises(WireError, match="damaged"):
                        DirectReader().read(file["d"], tie(items, (4000,)))


def test_that_what_numpy_does_not_store_the_same_way_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "b.h5", "w") as file:
        narrow = h5py.h5t.STD_I16LE.copy()
        narrow.set_precision(12)
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file.id, b"twelve bits", narrow, space).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, -2, 3, 2047], np.int16))
        file["text"] = np.array(["a", "b"], object)
        file.create_dataset("outside", (4,), "i4", external=[(str(tmp_path / "raw.bin"), 0, 16)])
        file.create_dataset("never filled", (4, 4), "i4", chunks=(2, 2), fill_time="never")[0, 0] = 1
        file["scalar"] = 1.5
    with h5py.File(tmp_path / "b.h5", "r", locking=False) as file:
        for path in ("twelve bits", "text", "outside", "never filled"):
            assert DirectReader().read(file[path], tie(["..."], file[path].shape)) is None, path
    with h5py.File(tmp_path / "b.h5", "r", locking=False) as file:
        assert DirectReader().read(file["scalar"], tie(["..."], ())) is None


def test_that_a_file_that_changes_while_it_is_read_is_left_to_hdf5(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["d"] = np.zeros(1000, np.int32)
    reader, pread = DirectReader(), plain_bytes.pread_into

    def meanwhile(fd: int, offset: int, target: Any) -> None:
        pread(fd, offset, target)
        os.utime(path, ns=(7, 7))

    with h5py.File(path, "r", locking=False) as file:
        plan = tie(["..."], (1000,))
        assert reader.read(file["d"], plan) is not None
        monkeypatch.setattr(plain_bytes, "pread_into", meanwhile)
        assert reader.read(file["d"], plan) is None


@pytest.mark.parametrize("chunks", [None, (1, 100, 200)])
def test_that_what_is_behind_the_end_of_a_file_that_was_cut_is_no_zeros(tmp_path: Path, chunks: Any) -> None:
    """Chunks that are not packed are doubtful when they are too short, and HDF5 would give zeros for them."""
    path = tmp_path / "cut.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.full((6, 100, 200), 7, "u4"), chunks=chunks)
    with h5py.File(path, "r", locking=False) as file:
        os.truncate(path, path.stat().st_size - 100 * 200 * 4)
        with pytest.raises(WireError, match="cut or written anew"):
            reading.read_plan(file["x"], tie(["..."], (6, 100, 200)), str(path), "/x", SourceReader())


def test_that_what_was_never_written_nor_filled_is_left_to_hdf5(tmp_path: Path) -> None:
    """It has a fill value that is never used."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (4, 6), "u2", chunks=(2, 6), fillvalue=5, fill_time="never")[:2] = 1
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert DirectReader().read(file["x"], tie(["..."], (4, 6))) is None
        found = reading.read_plan(file["x"], tie(["..."], (4, 6)), file.filename, "/x", SourceReader())
        assert found.tobytes() == file["x"][()].tobytes()


def test_that_a_source_that_is_cut_after_it_was_opened_gives_no_zeros(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["d"] = np.full((6, 100, 200), 7, "u4")
    layout = h5py.VirtualLayout((6, 100, 200), "u4")
    layout[...] = h5py.VirtualSource("source.h5", "d", (6, 100, 200))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
    straight = DirectReader.read_into

    def cut_first(*arguments: Any) -> bool:
        os.truncate(tmp_path / "source.h5", 300_000)
        return straight(*arguments)

    monkeypatch.setattr(DirectReader, "read_into", cut_first)
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        with pytest.raises(WireError, match="cut or written anew"):
            SourceReader().read(file["x"], tie(["..."], (6, 100, 200)), str(tmp_path / "master.h5"))


def test_that_a_replaced_file_is_read_through_the_one_hdf5_has_open(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for number in (1, 2):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("d", data=np.full((9, 9), number), chunks=(3, 3), compression="gzip")
    os.replace(tmp_path / "1.h5", path)
    with h5py.File(path, "r", locking=False) as file:
        os.replace(tmp_path / "2.h5", path)
        found = DirectReader().read(file["d"], tie(["..."], (9, 9)))
        assert found is not None
        assert (found == 1).all()


_WRITER = """
import sys, os, h5py, hdf5plugin, numpy as np
path, step = sys.argv[1], int(sys.argv[2])
with h5py.File(path, "a", locking=False) as file:
    if step == 0:
        file.create_dataset("d", (1, 40, 50), "u2", chunks=(1, 40, 50), maxshape=(None, 40, 50),
                            **hdf5plugin.Bitshuffle())
    data = file["d"]
    data.resize((step + 1, 40, 50))
    rng = np.random.default_rng(step)
    data[step] = rng.poisson(step + 1, (40, 50))
    data[0] = rng.integers(0, 2 ** min(16, 3 * step + 1), (40, 50))  # its chunk grows and moves
    np.save(sys.argv[3], data[()])
os.utime(path, ns=(10**17 + step, 10**17 + step))
"""


def test_that_a_file_that_grows_between_readings_is_read_as_it_is_then(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.h5", tmp_path / "copy.npy"
    with h5py.File(tmp_path / "near.h5", "w") as file:
        file["far"] = h5py.ExternalLink("a.h5", "/d")
        layout = h5py.VirtualLayout((1, 40, 50), "u2")
        layout[:] = h5py.VirtualSource("a.h5", "d", (1, 40, 50))[:]
        file.create_virtual_dataset("first", layout)
    service = Service()
    for step in range(6):
        subprocess.run([sys.executable, "-c", _WRITER, str(path), str(step), str(copy)], check=True, timeout=60)
        stored = np.load(copy)
        for frame in range(step + 1):
            for name, data_path in (("a.h5", "/d"), ("near.h5", "/far")):
                _, arrays = read(service, tmp_path / name, data_path, [frame])
                assert bits(arrays[0]) == bits(stored[frame])
                assert read(service, tmp_path / name, data_path, [frame, 20, 30])[1][0] == stored[frame, 20, 30]
        assert read(service, tmp_path / "a.h5", "/d", ["...", 7, 8])[1][0].tolist() == stored[:, 7, 8].tolist()
    service.close()


def test_that_a_file_replaced_between_readings_by_one_of_the_same_size_is_read_anew(tmp_path: Path) -> None:
    path, service = tmp_path / "a.h5", Service()
    for number in range(1, 5):
        with h5py.File(tmp_path / "new.h5", "w") as file:
            file.create_dataset("d", data=np.full((4, 30, 30), number, np.int32), chunks=(2, 30, 30), **FILTERS["lz4"])
        os.utime(tmp_path / "new.h5", ns=(LONG_AGO, LONG_AGO + number))
        os.replace(tmp_path / "new.h5", path)
        for selection in ([3], [0, 2, 5], ["...", [3, 9, 2]]):
            assert (read(service, path, "/d", selection)[1][0] == number).all()
    service.close()


def test_that_what_is_kept_of_storage_and_chunks_is_bounded(tmp_path: Path) -> None:
    values = np.arange(40 * 64 * 64, dtype=np.uint16).reshape(40, 64, 64)
    reader = DirectReader(cache_bytes=50_000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(30):
            file.create_dataset(str(number), data=values, chunks=(4, 64, 64), compression="gzip")
    os.utime(tmp_path / "a.h5", ns=(LONG_AGO, LONG_AGO))
    with h5py.File(tmp_path / "a.h5", "r", locking=False) as file:
        for number in range(30):
            for frame in (3, 4, 39):
                found = reader.read(file[str(number)], tie([frame], values.shape))
                assert bits(found) == bits(values[frame])
    assert reader._kept.nbytes <= 50_000
    assert len(reader.storages._kept) <= 16


def test_that_the_storage_of_a_file_just_written_is_not_remembered(tmp_path: Path) -> None:
    reader = DirectReader()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = np.arange(5)
    os.utime(tmp_path / "a.h5", ns=(time.time_ns(), time.time_ns()))
    with h5py.File(tmp_path / "a.h5", "r", locking=False) as file:
        assert reader.read(file["d"], tie(["..."], (5,))) is not None
    assert not reader.storages._kept
