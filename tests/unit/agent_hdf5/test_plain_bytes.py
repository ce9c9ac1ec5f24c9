"""Parts of arrays that lie in a file as in memory: however they are scattered and read, the same values as numpy's."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.agent import plain_bytes
from app.agent.blocks import _joined
from app.agent.plain_bytes import read_plain, stepped
from app.protocol.chunk_filters import Unusual

OFFSET = 24
SHAPES = [(70, 60, 50), (3000, 41), (100_000,), (5, 40, 30, 20), (2, 400, 300)]


@pytest.fixture(params=["near", "far", "as it is"])
def ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Which ways were taken; near values are read with all between them, far ones through a mapping."""
    taken: set[str] = set()
    monkeypatch.setattr(plain_bytes, "SMALL_SPAN", 500)
    monkeypatch.setattr(plain_bytes, "MAX_SCRATCH", 5000)
    monkeypatch.setattr(plain_bytes, "_WINDOW", 20_000)
    monkeypatch.setattr(plain_bytes, "BLOCK_BYTES", 3000)
    if request.param != "as it is":
        monkeypatch.setattr(plain_bytes, "NEAR_BYTES", 10**9 if request.param == "near" else 0)
        monkeypatch.setattr(plain_bytes, "FEWEST_A_BLOCK", 0)
    for name in ("_gather_read", "gather_mapped"):
        monkeypatch.setattr(plain_bytes, name, noted(name, getattr(plain_bytes, name), taken))
    yield taken
    assert taken
    assert request.param == "as it is" or {"near": "_gather_read", "far": "gather_mapped"}[request.param] in taken


def noted(name: str, way: Callable[..., None], taken: set[str]) -> Callable[..., None]:
    def noting(*args: Any) -> None:
        taken.add(name)
        way(*args)

    return noting


def pread(fd: int, offset: int, size: int) -> Any:
    return np.frombuffer(os.pread(fd, size, offset), np.uint8)


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_that_every_part_equals_numpys(tmp_path: Path, ways: set[str]) -> None:
    dice = np.random.default_rng(7)
    for number, (shape, dtype) in enumerate(itertools.product(SHAPES, ("<u2", ">f4", "<f8", "u1"))):
        values = dice.integers(0, 250, shape).astype(dtype)
        file = tmp_path / str(number)
        file.write_bytes(b"x" * OFFSET + values.tobytes())
        fd = os.open(file, os.O_RDONLY)
        for _ in range(25):
            wanted = []
            for length in shape:
                start, step = int(dice.integers(0, length)), int(dice.choice([1, 1, 2, 3, 7, 40]))
                most = -(-(length - start) // step)
                wanted.append(stepped(start, int(dice.choice([1, most, int(dice.integers(1, most + 1))])), step))
            target = np.empty(values[tuple(wanted)].shape, dtype)
            count = int(dice.integers(1, 4))
            read_plain(fd, OFFSET, shape, tuple(wanted), target, pread, in_threads, count)
            assert np.array_equal(target, values[tuple(wanted)]), (shape, wanted)
            backwards = np.empty(target.shape[::-1], dtype).T[..., ::-1]
            read_plain(fd, OFFSET, shape, tuple(wanted), backwards, pread)
            assert np.array_equal(backwards, values[tuple(wanted)]), (shape, wanted)
        os.close(fd)


def test_that_a_file_cut_meanwhile_gives_nothing(tmp_path: Path, ways: set[str],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    file, gather = tmp_path / "a", plain_bytes.gather
    values = np.ones((70, 60, 50), np.float32)

    def meanwhile(*args: Any) -> None:
        os.truncate(file, 100_000)
        gather(*args)

    file.write_bytes(bytes(OFFSET) + values.tobytes())
    fd, target = os.open(file, os.O_RDONLY), np.empty((70, 60, 1), np.float32)
    column = (slice(0, 70, 1), slice(0, 60, 1), slice(3, 4, 1))
    read_plain(fd, OFFSET, values.shape, column, target, pread)
    assert target.all()
    monkeypatch.setattr(plain_bytes, "gather", meanwhile)
    with pytest.raises((Unusual, ValueError)):     # the latter: no such part can be mapped
        read_plain(fd, OFFSET, values.shape, column, target, pread)
    os.close(fd)


@pytest.mark.parametrize(("shape", "wanted", "near"), [
    ((1024, 1024, 1024), (slice(0, 1024, 1), slice(0, 1024, 1), slice(5, 6, 1)), True),
    ((1024, 1024, 1024), (slice(0, 1021, 4), slice(0, 1021, 4), slice(5, 6, 1)), True),
    ((1024, 1024, 1024), (slice(0, 1021, 4), slice(5, 6, 1), slice(0, 1021, 4)), True),
    ((1024, 1024, 8192), (slice(0, 1024, 1), slice(0, 1024, 1), slice(5, 6, 1)), False),
    ((100_000, 300_000), (slice(0, 100_000, 1), slice(0, 3, 2)), False),
    ((100, 1000, 16384), (slice(0, 100, 1), slice(0, 1000, 1), slice(0, 3, 2)), False)])
def test_that_only_what_is_near_is_read_with_all_between(shape: Any, wanted: Any, near: bool) -> None:
    target = np.broadcast_to(np.float32(0), tuple(len(range(one.start, one.stop, one.step)) for one in wanted))
    assert plain_bytes._is_near(shape, wanted, target) is near


def test_that_runs_of_blocks_are_joined_over_small_gaps_only() -> None:
    assert _joined([(0, 1), (2, 3), (6, 7), (11, 12), (12, 20)]) == [(0, 7), (11, 20)]
    assert _joined([(4, 9)]) == [(4, 9)]
