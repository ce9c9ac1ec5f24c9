"""Chunks handed out as they are stored: what they decode to is what HDF5 reads, whichever way leads to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent import pieces, plain_bytes
from app.agent.decoding import decode
from app.agent.direct import DirectReader, Stored
from app.agent.links import resolve
from app.agent.selection import tie
from app.agent.virtual import SourceReader
from app.protocol.chunk_filters import Step

FRAMES = np.random.default_rng(1).poisson(2, (4, 50, 40)).astype(">u4")
FILTERS: dict[str, Any] = {
    "none": {}, "gzip": {"compression": "gzip"}, "shuffled": {"compression": "gzip", "shuffle": True},
    "bitshuffle": hdf5plugin.Bitshuffle(), "zstd": hdf5plugin.Zstd(), "lz4": hdf5plugin.LZ4()}


def values_of(stored: Stored) -> Any:
    """A stored chunk, decoded as its receiver would."""
    out = np.empty(int(np.prod(stored.shape)) * stored.dtype.itemsize, np.uint8)
    decode(np.frombuffer(stored.data, np.uint8), [Step(code, values) for code, values in stored.filters], out)
    return out.view(stored.dtype).reshape(stored.shape)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A file of stacks in every filter, a virtual dataset over it, and a link to that."""
    path = tmp_path / "frames.h5"
    with h5py.File(path, "w") as file:
        for name, how in FILTERS.items():
            file.create_dataset(name, data=FRAMES, chunks=(1, 50, 40), **how)
        file.create_dataset("ragged", data=FRAMES, chunks=(1, 30, 40), compression="gzip")
        file.create_dataset("quarters", data=FRAMES, chunks=(1, 25, 20), compression="gzip")
        file.create_dataset("unwritten", FRAMES.shape, "u2", chunks=(1, 50, 40))
        file.create_dataset("lossy", data=FRAMES.astype("i4"), chunks=(1, 50, 40), scaleoffset=0)
        file["contiguous"] = FRAMES
    layout = h5py.VirtualLayout((3, *FRAMES.shape), FRAMES.dtype)
    for number, name in enumerate(("bitshuffle", "gzip")):
        layout[number] = h5py.VirtualSource("frames.h5", name, FRAMES.shape)
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    with h5py.File(tmp_path / "near.h5", "w") as file:
        file["far"] = h5py.ExternalLink("master.h5", "/v")
    return path


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_that_a_frame_that_is_one_chunk_is_handed_out_as_stored(frames: Path, name: str) -> None:
    with h5py.File(frames, "r") as file:
        for number in range(4):
            stored = DirectReader().stored_chunk(file[name], tie([number], FRAMES.shape))
            assert stored is not None
            assert stored.data == file[name].id.read_direct_chunk((number, 0, 0))[1]
            assert (stored.shape, stored.dtype) == ((50, 40), FRAMES.dtype)
            assert values_of(stored).tobytes() == FRAMES[number].tobytes()


@pytest.mark.parametrize(("name", "items"), [
    ("gzip", [[0, 2, 1]]), ("gzip", [0, [1, None, None]]), ("gzip", [0, [None, None, -1]]), ("gzip", [0, 3]),
    ("ragged", [0]), ("ragged", [0, [30, None, None]]), ("ragged", [0, [5, 35, None]]),
    ("quarters", [0, [0, 50, 2], [0, 20, None]]), ("quarters", [0, [0, 25, None], [10, 30, None]]), ("unwritten", [0]),
    ("contiguous", [0])])
def test_that_what_is_not_one_whole_chunk_is_not(frames: Path, name: str, items: list[Any]) -> None:
    with h5py.File(frames, "r") as file:
        assert DirectReader().stored_chunk(file[name], tie(items, FRAMES.shape)) is None


def test_that_a_chunk_nobody_here_can_decode_is_handed_out_all_the_same(frames: Path) -> None:
    with h5py.File(frames, "r") as file:
        reader, plan = DirectReader(), tie([1], FRAMES.shape)
        stored = reader.stored_chunk(file["lossy"], plan)
        assert stored is not None
        assert [code for code, _ in stored.filters] == [6]
        assert reader.read(file["lossy"], plan) is None


def test_that_the_filters_left_out_for_a_chunk_are_not_named(tmp_path: Path) -> None:
    values = np.arange(32, dtype=np.uint16).reshape(4, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("d", (4, 8), "u2", chunks=(4, 8), compression="gzip", shuffle=True)
        made.id.write_direct_chunk((0, 0), values.tobytes(), 3)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        stored = DirectReader().stored_chunk(file["d"], tie(["..."], (4, 8)))
        assert stored is not None
        assert stored.filters == ()
        assert values_of(stored).tolist() == values.tolist()


def test_that_it_is_found_through_virtual_datasets_and_links(frames: Path) -> None:
    with h5py.File(frames.parent / "near.h5", "r") as file:
        place = resolve(file, "/far")
        reader, shape = SourceReader(), place.node.shape
        for number, code in enumerate((32008, 1)):
            exact: list[list[Any]] = [[number, 2], [[number, number + 1, None], [2, 3, None]]]
            for selection in exact:
                plan = tie(selection, shape)
                stored = reader.stored_chunk(place.node, plan, place.file_path)
                assert stored is not None
                assert stored.filters[-1][0] == code
                assert stored.shape == plan.shape
                assert values_of(stored).tobytes() == FRAMES[2].tobytes()
        more: list[list[Any]] = [[2, 0], [0], [0, 1, [None, None, -1]], [[0, 2, 1], 1]]
        for selection in more:
            assert reader.stored_chunk(place.node, tie(selection, shape), place.file_path) is None


def test_that_a_chunk_is_not_handed_out_when_its_file_changes_meanwhile(frames: Path,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    reader, pread = DirectReader(), plain_bytes.pread_into

    def meanwhile(fd: int, offset: int, target: Any) -> None:
        pread(fd, offset, target)
        os.utime(frames, ns=(7, 7))

    with h5py.File(frames, "r") as file:
        monkeypatch.setattr(pieces, "pread_into", meanwhile)
        assert reader.stored_chunk(file["gzip"], tie([0], FRAMES.shape)) is None
