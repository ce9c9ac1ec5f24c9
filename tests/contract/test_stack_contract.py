"""Reductions over whole stacks, over every transport and with the agent on every Python it must live in."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path, PurePosixPath

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent.service import Service
from app.errors import SelectionError, WorkerLostError
from app.model.data import DataReference, ReadRequest, Selection
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProgress, StackProjection
from app.remote.connection import Connection
from tests.contract.events import DEADLINE_S

GAP = 2**32 - 1


def at(path: Path, data_path: str = "") -> DataReference:
    return DataReference("site", PurePosixPath(path), data_path)


@pytest.fixture
def counts(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """(40, 200, 300) uint32 as detectors write it, with gaps."""
    values = np.random.default_rng(3).poisson(4, (40, 200, 300)).astype("u4")
    values[:, 50:60] = GAP
    values[7, 3, 4] = GAP
    with h5py.File(tmp_path / "stack.h5", "w") as out:
        out.create_dataset("x", data=values, chunks=(1, 200, 300), **hdf5plugin.Bitshuffle(cname="lz4"))
    return tmp_path / "stack.h5", values


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A stack that takes minutes, and a small one beside it."""
    with h5py.File(tmp_path / "endless.h5", "w") as out:
        out.create_dataset("x", (200_000, 1000, 1000), "u2", chunks=(1, 1000, 1000), fillvalue=3)
        out["small"] = np.arange(12).reshape(3, 4)
    return tmp_path / "endless.h5"


def test_that_a_stack_is_reduced_exactly(connection: Connection, counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    frames = np.ma.MaskedArray(values, values == GAP)
    gone = frames.mask.all(axis=0)
    wanted = {"max": frames.max(axis=0).filled(GAP), "min": frames.min(axis=0).filled(GAP),
              "sum": np.where(gone, np.uint64(2**64 - 1), frames.sum(axis=0, dtype="u8").filled(0)),
              "mean": frames.mean(axis=0).filled(np.nan), "std": frames.std(axis=0).filled(np.nan)}
    for operation in StackOperation:
        done = connection.data.project(at(path), operation).result(DEADLINE_S)
        assert (done.signal, done.frames, done.total_frames, done.partial) == ("/x", 40, 40, False)
        assert done.values.dtype == wanted[operation.value].dtype
        tolerance = 1e-12 if done.values.dtype.kind == "f" else 0
        np.testing.assert_allclose(done.values, wanted[operation.value], rtol=tolerance)
        assert done.mask is not None
        assert np.array_equal(done.mask, gone)
        assert done.generation == (path.stat().st_size, path.stat().st_mtime_ns)
    point = connection.data.profile(at(path, "/x"), PixelPoint(3, 4)).result(DEADLINE_S)
    assert point.values is not None
    assert np.array_equal(point.values, values[:, 3, 4])
    assert (point.frames, point.masked, point.valid.tolist().index(0)) == (40, 1, 7)
    region = connection.data.profile(at(path), PixelRegion((40, 70), (-100, None))).result(DEADLINE_S)
    part = frames[:, 40:70, -100:]
    assert (region.window, region.masked) == ((40, 70, 200, 300), 40 * 10 * 100)
    for found, number in ((region.total, part.sum(axis=(1, 2))), (region.minimum, part.min(axis=(1, 2))),
                          (region.maximum, part.max(axis=(1, 2))), (region.valid, part.count(axis=(1, 2)))):
        assert np.array_equal(found, number)
    np.testing.assert_allclose(region.mean, part.mean(axis=(1, 2)), rtol=1e-14)
    error = connection.data.profile(at(path), PixelPoint(200, 0)).exception(DEADLINE_S)
    assert isinstance(error, SelectionError)


def test_that_fair_partial_pictures_come_before_the_end_and_cancel_ends_the_work_at_once(
        connection: Connection, endless: Path) -> None:
    seen: list[StackProjection] = []
    progress: list[StackProgress] = []
    enough = threading.Event()

    def look(picture: StackProjection) -> None:
        seen.append(picture)
        if len(seen) >= 2:
            enough.set()

    future = connection.data.project(at(endless, "/x"), StackOperation.SUM, fit=(500, 400), on_partial=look,
                                     on_progress=progress.append)
    assert enough.wait(DEADLINE_S)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(0)
    block = connection.data.read(ReadRequest(at(endless, "/small"), Selection((1,)))).result(DEADLINE_S)
    assert block.values.tolist() == [4, 5, 6, 7]
    workers = connection.data.agent_status().result(DEADLINE_S)["workers"]
    assert [worker["restarts"] for worker in workers] == [0] * len(workers), "none had to be killed"
    for picture in seen:
        assert (picture.partial, picture.factor, picture.values.shape) == (True, (2, 4), (500, 250))
        assert (picture.values == 3 * picture.frames).all()
        assert picture.mask is None
    assert 0 < seen[0].frames < seen[1].frames < 200_000
    assert [told.frames for told in progress] == sorted(told.frames for told in progress)


def test_that_a_newer_wish_of_a_view_ends_the_older_reduction(connection: Connection, endless: Path) -> None:
    begun = threading.Event()
    older = connection.data.profile(at(endless, "/x"), PixelRegion((0, 1000), (0, 1000)), view="a", epoch=1,
                                    on_progress=lambda told: begun.set())
    assert begun.wait(DEADLINE_S)
    newer = connection.data.profile(at(endless, "/small"), PixelPoint(2, 3), view="a", epoch=2)
    assert newer.result(DEADLINE_S).values == 11
    assert older.cancelled()
    workers = connection.data.agent_status().result(DEADLINE_S)["workers"]
    assert [worker["restarts"] for worker in workers] == [0] * len(workers), "none had to be killed"


def test_that_a_killed_worker_costs_one_more_try_and_then_one_sentence(connect: Callable[..., Connection],
                                                                       endless: Path) -> None:
    connection = connect(workers=1)
    more = threading.Semaphore(0)
    future = connection.data.project(at(endless, "/x"), StackOperation.MAX, on_progress=lambda told: more.release())
    killed: set[int] = set()
    while len(killed) < 2:
        assert more.acquire(timeout=DEADLINE_S)
        workers = connection.data.agent_status().result(DEADLINE_S)["workers"]
        pid = next(worker["pid"] for worker in workers if worker["name"].startswith("read"))
        if pid not in killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    error = future.exception(DEADLINE_S)
    assert isinstance(error, WorkerLostError)
    assert "endless.h5" in error.summary
    small = connection.data.project(at(endless, "/small"), StackOperation.MAX).result(DEADLINE_S)
    assert small.values.tolist() == np.arange(12).reshape(3, 4).tolist()


def test_that_every_type_is_reduced_alike_by_every_python(connection: Connection, tmp_path: Path) -> None:
    dice = np.random.default_rng(8)
    path = tmp_path / "types.h5"
    types = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4", "?")
    with h5py.File(path, "w") as file:
        for dtype in types:
            values = dice.integers(0, 2, (30, 9, 8)).astype(dtype) if dtype == "?" else dice.integers(
                -3, 120, (30, 9, 8)).astype(dtype)
            file.create_dataset(dtype, data=values, chunks=(4, 3, 8), compression="gzip")
    service = Service()
    for dtype in types:
        for operation in StackOperation:
            theirs = connection.data.project(at(path, "/" + dtype), operation).result(DEADLINE_S)
            ours = service.handle("project", {"file": str(path), "data_path": "/" + dtype, "op": operation.value})[1]
            assert theirs.values.dtype == ours[0].dtype
            np.testing.assert_allclose(theirs.values, ours[0], rtol=1e-12, err_msg=f"{operation} {dtype}")
        region = connection.data.profile(at(path, "/" + dtype), PixelRegion((1, 8), (2, None))).result(DEADLINE_S)
        columns = service.handle("profile", {"file": str(path), "data_path": "/" + dtype,
                                             "roi": [[1, 8, None], [2, None, None]]})[1]
        for found, wanted in zip((region.total, region.mean, region.minimum, region.maximum, region.valid), columns,
                                 strict=True):
            assert found is not None
            assert found.dtype == wanted.dtype
            np.testing.assert_allclose(found, wanted, rtol=1e-12, err_msg=dtype)
    service.close()
