"""A pixel or a small region through many chunks made of blocks: the same bits as HDF5, and none of damaged ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent import blocks, frames, plain_bytes, slabs, thin_pieces
from app.agent.direct import DirectReader
from app.agent.pieces import PieceReader
from app.agent.selection import tie
from app.agent.service import Service
from app.protocol.errors import WireError

FRAMES, HEIGHT, WIDTH = 24, 210, 205
FILTERS: dict[str, Any] = {"bitshuffle lz4": hdf5plugin.Bitshuffle(cname="lz4"),
                           "bitshuffle zstd": hdf5plugin.Bitshuffle(cname="zstd"),
                           "bitshuffle small": hdf5plugin.Bitshuffle(nelems=64), "lz4": hdf5plugin.LZ4(nbytes=1000)}


def counts(dtype: str) -> np.ndarray:
    """Frames of very different sizes when packed."""
    random = np.random.default_rng(4)
    frames = random.poisson(2, (FRAMES, HEIGHT, WIDTH)).astype(dtype)
    frames[5] = random.integers(0, 2**15, (HEIGHT, WIDTH)).astype(dtype)
    frames[9] = 0
    frames[17, :90] = random.integers(0, 2**15, (90, WIDTH)).astype(dtype)
    return frames


def written(file: Path, values: np.ndarray, how: Any, chunk: int = 1) -> None:
    with h5py.File(file, "w") as out:
        out.create_dataset("d", data=values, chunks=(chunk, *values.shape[1:]), **how)
    os.utime(file, ns=(10**18, 10**18))


def read(reader: DirectReader, dataset: Any, items: list[Any]) -> Any:
    plan = tie(items, dataset.shape)
    found = reader.read(dataset, plan)
    return None if found is None else found.reshape(plan.shape)


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From which byte of a chunk on lengths were followed, each time."""
    starts: list[int] = []
    found = blocks.find_blocks

    def counting(packed: Any, steps: Any, known: Any, block: int, origin: int = 0) -> Any:
        starts.append(origin)
        return found(packed, steps, known, block, origin)

    monkeypatch.setattr(thin_pieces, "find_blocks", counting)
    return starts


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("dtype", ["<u2", "<u4", ">u2", "<f4", "u1"])
@pytest.mark.parametrize("threads", [1, 2])
def test_that_pixels_and_regions_through_a_stack_equal_hdf5(tmp_path: Path, name: str, dtype: str, threads: int,
                                                            learned: list[int]) -> None:
    values = counts(dtype)
    written(tmp_path / "stack.h5", values, FILTERS[name])
    random = np.random.default_rng(8)
    places = [(int(y), int(x)) for y, x in zip(random.integers(0, HEIGHT, 12), random.integers(0, WIDTH, 12),
                                               strict=True)]
    with h5py.File(tmp_path / "stack.h5") as file:
        dataset, reader = file["d"], DirectReader(1, threads)
        for y, x in [*places, (0, 0), (HEIGHT - 1, WIDTH - 1), (HEIGHT - 1, 0)]:
            assert np.array_equal(read(reader, dataset, ["...", y, x]), values[:, y, x])
            assert np.array_equal(read(reader, dataset, [[3, 23, 2], y, x]), values[3:23:2, y, x])
            for height, width in ((9, 11), (1, WIDTH), (30, 2)):
                region = [[y, min(y + height, HEIGHT), None], [x, min(x + width, WIDTH), None]]
                assert np.array_equal(read(reader, dataset, ["...", *region]), values[:, y:y + height, x:x + width])
            stepped = [[y % 40, 130, 3], [x % 50, 190, 7]]
            assert np.array_equal(read(reader, dataset, ["...", *stepped]), values[:, y % 40:130:3, x % 50:190:7])
        reader.close()
    assert learned


def test_that_lengths_are_followed_once_and_only_as_far_as_is_needed(tmp_path: Path, learned: list[int]) -> None:
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle small"])
    with h5py.File(tmp_path / "stack.h5") as file:
        dataset, reader = file["d"], DirectReader(1)
        read(reader, dataset, ["...", 60, 7])
        assert sum(start == 0 for start in learned) >= FRAMES
        del learned[:]
        for y in (60, 3, 0, 41):
            assert np.array_equal(read(reader, dataset, ["...", y, 100]), values[:, y, 100])
        assert not learned
        assert np.array_equal(read(reader, dataset, ["...", 150, 100]), values[:, 150, 100])
        assert learned
        assert min(learned) > 0


def test_that_chunks_of_several_frames_and_without_their_filters_are_read(tmp_path: Path) -> None:
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle lz4"], chunk=2)
    with h5py.File(tmp_path / "stack.h5", "a") as file:
        file["d"].id.write_direct_chunk((8, 0, 0), values[8:10].tobytes(), filter_mask=1)
    os.utime(tmp_path / "stack.h5", ns=(10**18, 10**18))
    with h5py.File(tmp_path / "stack.h5") as file:
        for threads in (1, 2):
            reader = DirectReader(1, threads)
            for y, x in ((77, 9), (10, 200), (150, 150)):
                assert np.array_equal(read(reader, file["d"], ["...", y, x]), values[:, y, x])
            reader.close()


@pytest.mark.parametrize("length", [0, 1, 2**31 - 1, 2**32 - 1, 40_000])
def test_that_a_wrong_length_is_damage_and_nothing_outside_the_chunk_is_read(tmp_path: Path, length: int,
                                                                            monkeypatch: pytest.MonkeyPatch) -> None:
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle lz4"])
    with h5py.File(tmp_path / "stack.h5") as file:
        info = file["d"].id.get_chunk_info_by_coord((7, 0, 0))
    with (tmp_path / "stack.h5").open("r+b") as raw:
        raw.seek(info.byte_offset + 12)
        first = int.from_bytes(raw.read(4), "big")
        raw.seek(info.byte_offset + 12 + 4 + first)
        raw.write(length.to_bytes(4, "big"))
    os.utime(tmp_path / "stack.h5", ns=(10**18, 10**18))
    spans: list[tuple[int, int]] = []
    pread = plain_bytes.pread_into

    def noting(fd: int, offset: int, target: Any) -> None:
        spans.append((offset, offset + target.size))
        pread(fd, offset, target)

    monkeypatch.setattr(thin_pieces, "pread_into", noting)
    with h5py.File(tmp_path / "stack.h5") as file:
        chunks = [file["d"].id.get_chunk_info_by_coord((number, 0, 0)) for number in range(FRAMES)]
        for y in (12, 100):
            with pytest.raises(WireError) as caught:
                read(DirectReader(1), file["d"], ["...", y, 50])
            assert caught.value.kind == "damaged"
    ranges = [(chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks]
    assert spans
    assert all(any(start <= first <= end <= stop for start, stop in ranges) for first, end in spans)


def test_that_a_stack_that_was_cut_gives_no_zeros(tmp_path: Path) -> None:
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle lz4"])
    with h5py.File(tmp_path / "stack.h5") as file:
        last = file["d"].id.get_chunk_info_by_coord((FRAMES - 1, 0, 0))
        os.truncate(tmp_path / "stack.h5", last.byte_offset + 100)
        assert read(DirectReader(1), file["d"], ["...", 50, 50]) is None


def test_that_little_of_many_chunks_is_read_here_and_all_of_them_is_not(tmp_path: Path,
                                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle lz4"])
    left: list[int] = []
    whole = PieceReader.read

    def noting(self: Any, fd: int, piece: Any) -> None:
        left.append(piece.number)
        whole(self, fd, piece)

    monkeypatch.setattr(PieceReader, "read", noting)
    with h5py.File(tmp_path / "stack.h5") as file:
        read(DirectReader(1), file["d"], ["...", 30, 30])
        assert not left
        assert np.array_equal(read(DirectReader(1), file["d"], ["...", [0, 200, None], 30]), values[:, :200, 30])
        assert len(left) == FRAMES


def test_that_what_one_thread_learned_of_a_stack_all_know(tmp_path: Path, learned: list[int],
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slabs, "MOST_CHUNKS", 8)
    monkeypatch.setattr(frames, "CACHE_BYTES", 1)
    values = counts("<u2")
    written(tmp_path / "stack.h5", values, FILTERS["bitshuffle lz4"])
    service = Service(threads=2)
    asked = {"file": str(tmp_path / "stack.h5"), "data_path": "/d", "point": [60, 9]}
    assert np.array_equal(service.handle("profile", asked)[1][0], values[:, 60, 9])
    assert learned
    del learned[:]
    for _ in range(5):
        assert np.array_equal(service.handle("profile", asked)[1][0], values[:, 60, 9])
    assert not learned
    service.close()
