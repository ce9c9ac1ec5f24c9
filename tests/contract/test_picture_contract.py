"""Pictures in parts, files shown in one request, and lines: over every transport and on every Python."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path, PurePosixPath

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.errors import BeamsideError, NotFoundError, SelectionError, UsageError
from app.model.data import Block, DataReference, Exactness, ReadRequest, Reduction, Selection
from app.model.plot import PlotDescription, View
from app.remote.connection import Connection
from tests.contract.events import DEADLINE_S, Changes

GAP = 2**32 - 1
HEIGHT, WIDTH = 400, 602


def at(path: Path, data_path: str = "") -> DataReference:
    return DataReference("site", PurePosixPath(path), data_path)


@pytest.fixture
def counts(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """(3, 400, 602) uint32 as detectors write it, with a gap and a peak."""
    values = np.random.default_rng(3).poisson(4, (3, HEIGHT, WIDTH)).astype("u4")
    values[:, 64:96] = GAP
    values[1, 7, 9] = 70_000
    with h5py.File(tmp_path / "stack.h5", "w") as out:
        out.create_dataset("x", data=values, chunks=(1, HEIGHT, WIDTH), **hdf5plugin.Bitshuffle(cname="lz4"))
    return tmp_path / "stack.h5", values


@pytest.fixture
def noise(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """(2, 400, 602) float32 that does not shrink, with a hole."""
    values = np.random.default_rng(4).normal(5, 1, (2, HEIGHT, WIDTH)).astype("f4")
    values[:, :32, :32] = np.nan
    with h5py.File(tmp_path / "noise.h5", "w") as out:
        out.create_dataset("x", data=values, chunks=(1, HEIGHT, WIDTH))
    return tmp_path / "noise.h5", values


def check_statistics(block: Block, frame: np.ndarray) -> None:
    """They are numpy's, of every stored value."""
    numbers, valid = block.statistics, frame[frame != GAP] if frame.dtype.kind == "u" else frame[np.isfinite(frame)]
    assert (numbers.count, numbers.masked + numbers.non_finite) == (frame.size, frame.size - valid.size)
    assert (numbers.valid_minimum, numbers.valid_maximum) == (valid.min(), valid.max())
    usable = np.where(np.isfinite(frame) & (frame != GAP), frame.astype("f8"), -np.inf)
    assert numbers.maximum_at == tuple(int(n) for n in np.unravel_index(usable.argmax(), frame.shape))
    assert numbers.valid_mean == pytest.approx(float(valid.mean(dtype="f8")))
    assert numbers.limits == pytest.approx(tuple(np.percentile(valid.astype("f8"), (1, 99))))


def test_that_a_picture_comes_in_parts_before_its_statistics(connection: Connection, changes: Changes,
                                                            counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    request = ReadRequest(at(path, "/x"), Selection.frame((1,)), (200, 301), preview=(50, 76))
    block = connection.data.read(request, on_part=changes).result(DEADLINE_S)
    preview, picture = changes.seen
    assert [part.factor for part in (preview, picture, block)] == [(8, 8), (2, 2), (2, 2)]
    assert all(part.full_shape == (HEIGHT, WIDTH) and part.exactness is Exactness.POOLED and part.self_contained
               for part in (preview, picture, block))
    usable = np.where(values[1] == GAP, 0, values[1]).astype("u4")
    for part, factor in ((preview, 8), (picture, 2), (block, 2)):
        padded = np.pad(usable, ((0, -HEIGHT % factor), (0, -WIDTH % factor)))
        pooled = padded.reshape(padded.shape[0] // factor, factor, -1, factor).max(axis=(1, 3))
        assert part.mask is not None
        assert np.array_equal(np.where(part.mask, 0, part.values), pooled)
        assert np.array_equal(part.mask, np.pad(values[1] == GAP, ((0, -HEIGHT % factor), (0, -WIDTH % factor)),
                                                constant_values=True).reshape(pooled.shape[0], factor, -1, factor)
                              .all(axis=(1, 3)))
        assert part.values.dtype == np.dtype("u4")
        assert not part.values.flags.writeable
    assert preview.statistics.valid_maximum is None
    assert 0 <= preview.statistics.limits[0] < preview.statistics.limits[1]
    check_statistics(block, values[1])


def test_that_parts_and_whole_are_the_same_block(connection: Connection, changes: Changes,
                                                 counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    request = ReadRequest(at(path, "/x"), Selection.frame((2,)))
    joined = connection.data.read(request, on_part=changes).result(DEADLINE_S)
    at_once = connection.data.read(request).result(DEADLINE_S)
    assert joined.exactness is at_once.exactness is Exactness.EXACT
    assert joined.values.tobytes() == at_once.values.tobytes() == values[2].tobytes()
    assert joined.statistics == at_once.statistics
    assert joined.mask is not None
    assert at_once.mask is not None
    assert np.array_equal(joined.mask, at_once.mask)
    assert joined.generation == at_once.generation == (path.stat().st_size, path.stat().st_mtime_ns)
    assert [part.exactness for part in changes.seen] == [Exactness.EXACT]


@pytest.mark.parametrize("name", ["bshuf", "gzip", "signed", "float"])
def test_that_a_frame_that_may_come_as_stored_is_the_same_to_the_bit(connection: Connection, changes: Changes,
                                                                     tmp_path: Path, name: str) -> None:
    dtype = {"signed": "<i4", "float": ">f4"}.get(name, "u2")
    values = np.random.default_rng(6).poisson(3, (2, HEIGHT, WIDTH)).astype(dtype)
    values[:, 5:9] = {"signed": -2, "float": np.nan}.get(name, 65535)
    mask = np.zeros((HEIGHT, WIDTH), "u1")
    mask[100:105, 7] = 1
    how = hdf5plugin.Bitshuffle(cname="lz4") if name == "bshuf" else {"compression": "gzip", "shuffle": True}
    with h5py.File(tmp_path / "frames.h5", "w") as out:
        out.create_dataset("x", data=values, chunks=(1, HEIGHT, WIDTH), **how)
        out["pixel_mask"] = mask
    for number in range(2):
        request = ReadRequest(at(tmp_path / "frames.h5", "/x"), Selection.frame((number,)))
        block = connection.data.read(request, on_part=changes).result(DEADLINE_S)
        again = connection.data.read(request).result(DEADLINE_S)
        assert block.exactness is Exactness.EXACT
        assert block.values.dtype == values.dtype
        assert block.values.tobytes() == again.values.tobytes() == values[number].tobytes()
        assert block.statistics == again.statistics
        assert block.mask is not None
        assert again.mask is not None
        assert np.array_equal(block.mask, again.mask)
        part = changes.seen.pop()
        assert part.statistics.limits is not None
        assert part.values is block.values


def test_that_a_file_is_shown_in_one_request(connection: Connection, counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    heard: list[str] = []
    described: list[PlotDescription] = []

    def describe(found: PlotDescription) -> None:
        heard.append("description")
        described.append(found)

    plot, block = connection.data.show(
        at(path), (200, 301), preview=(50, 76),
        on_description=describe,
        on_part=lambda part: heard.append(f"1/{part.factor[0]}")).result(DEADLINE_S)
    assert heard == ["description", "1/8", "1/2"]
    assert (described[0].view, described[0].signal, described[0].limits) == (View.STACK, "/x", None)
    assert plot == connection.data.plot(at(path)).result(DEADLINE_S)
    assert block is not None
    assert plot.limits == block.statistics.limits
    assert (block.reference, block.selection, block.reduction) == (at(path, "/x"), Selection.frame((0,)), Reduction.MAX)
    check_statistics(block, values[0])
    straight = connection.data.read(ReadRequest(at(path, "/x"), Selection.frame((0,)), (200, 301))).result(DEADLINE_S)
    assert straight.values.tobytes() == block.values.tobytes()


def test_that_what_is_no_picture_is_described_only(connection: Connection, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "curve.h5", "w") as out:
        out["x"] = np.arange(50.0)
    plot, block = connection.data.show(at(tmp_path / "curve.h5"), (100, 100)).result(DEADLINE_S)
    assert (plot.view, block) == (View.CURVE, None)
    assert isinstance(connection.data.show(at(tmp_path / "no.h5"), (9, 9)).exception(DEADLINE_S), NotFoundError)


def test_that_a_draft_says_by_how_much_it_is_rounded(connect: Callable[..., Connection], changes: Changes,
                                                     noise: tuple[Path, np.ndarray]) -> None:
    path, values = noise
    connection = connect(workers=1)   # of a new link the rate is not known yet
    request = ReadRequest(at(path, "/x"), Selection.frame((1,)), (200, 301), Reduction.MEAN, draft=True)
    draft = connection.data.read(request, on_part=changes).result(DEADLINE_S)
    final = connection.data.read(ReadRequest(at(path, "/x"), Selection.frame((1,)), (200, 301),
                                             Reduction.MEAN)).result(DEADLINE_S)
    assert (draft.exactness, final.exactness, final.max_error) == (Exactness.QUANTISED, Exactness.POOLED, 0)
    assert draft.factor == final.factor == (2, 2)
    valid = np.isfinite(final.values)
    assert np.array_equal(np.isfinite(draft.values), valid)
    off = np.abs(draft.values[valid].astype("f8") - final.values[valid]).max()
    assert 0 < off <= draft.max_error < 0.05
    assert draft.shown == f"1/2, mean, ±{draft.max_error:.2g}"
    check_statistics(draft, values[1])
    assert draft.statistics == final.statistics


def test_that_without_draft_only_a_preview_may_be_rounded(connect: Callable[..., Connection], changes: Changes,
                                                          noise: tuple[Path, np.ndarray]) -> None:
    path, values = noise
    block = connect(workers=1).data.read(ReadRequest(at(path, "/x"), Selection.frame((0,)), preview=(100, 151)),
                                         on_part=changes).result(DEADLINE_S)
    preview, picture = changes.seen
    assert preview.exactness in (Exactness.POOLED, Exactness.QUANTISED)
    assert (picture.exactness, block.exactness) == (Exactness.EXACT, Exactness.EXACT)
    assert block.values.tobytes() == picture.values.tobytes() == values[0].tobytes()


def test_that_sources_that_are_missing_are_named(connection: Connection, tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((2, 50, 60), "u2")
    for number in range(2):
        layout[number] = h5py.VirtualSource(f"data_{number}.h5", "x", (50, 60))
    with h5py.File(tmp_path / "data_0.h5", "w") as out:
        out["x"] = np.full((50, 60), 3, "u2")
    with h5py.File(tmp_path / "master.h5", "w") as out:
        out.create_virtual_dataset("x", layout)
        out["own"] = np.ones((50, 60))
    reads = [connection.data.read(ReadRequest(at(tmp_path / "master.h5", "/x"), Selection.frame((number,))))
             for number in range(2)]
    there, gone = (read.result(DEADLINE_S) for read in reads)
    assert (there.missing, there.self_contained) == ((), False)
    assert "data_1.h5" in gone.missing[0]
    own = connection.data.read(ReadRequest(at(tmp_path / "master.h5", "/own"))).result(DEADLINE_S)
    assert (own.missing, own.self_contained) == ((), True)


def test_that_a_line_has_the_stored_values(connection: Connection, counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    row = connection.data.line(at(path, "/x"), (1,), (7, 0), (7, WIDTH - 1)).result(DEADLINE_S)
    assert (row.signal, row.width, row.start, row.end) == ("/x", 1, (7, 0), (7, WIDTH - 1))
    assert row.generation == (path.stat().st_size, path.stat().st_mtime_ns)
    assert row.distance.tolist() == list(range(WIDTH))
    assert row.values.tolist() == values[1, 7].tolist()
    column = connection.data.line(at(path, "/x"), (0,), (0, 30), (HEIGHT - 1, 30), width=3).result(DEADLINE_S)
    wanted = np.where(values[0] == GAP, np.nan, values[0])[:, 29:32].mean(axis=1)
    np.testing.assert_allclose(column.values, wanted)
    assert isinstance(connection.data.line(at(path, "/x"), (9,), (0, 0), (1, 1)).exception(DEADLINE_S), SelectionError)
    assert isinstance(connection.data.line(at(path, "/x"), (0,), (0, 0), (1, 1), width=0).exception(DEADLINE_S),
                      (UsageError, BeamsideError))


def test_that_what_is_cancelled_between_two_parts_ends(connection: Connection, counts: tuple[Path, np.ndarray]) -> None:
    path, _ = counts
    seen: list[Block] = []
    future = None

    def stop(part: Block) -> None:
        seen.append(part)
        assert future is not None
        future.cancel()

    for _ in range(5):
        seen.clear()
        future = connection.data.read(ReadRequest(at(path, "/x"), fit=(20, 30), preview=(4, 4)), on_part=stop)
        with pytest.raises(CancelledError):
            future.result(DEADLINE_S)
        assert len(seen) == 1
    assert connection.data.read(ReadRequest(at(path, "/x"), Selection.frame((0,)))).result(DEADLINE_S).values.size
    assert [w["restarts"] for w in connection.data.agent_status().result(DEADLINE_S)["workers"]] == [0, 0]


def test_that_the_newest_epoch_of_a_view_wins_over_parts(connection: Connection,
                                                         counts: tuple[Path, np.ndarray]) -> None:
    path, values = counts
    parts: list[int] = []

    def read(number: int) -> Future[Block]:
        request = ReadRequest(at(path, "/x"), Selection.frame((number % 3,)), (100, 151), preview=(25, 38))
        return connection.data.read(request, view="panel", epoch=number, on_part=lambda _: parts.append(number))

    reads = [read(number) for number in range(12)]
    block = reads[-1].result(DEADLINE_S)
    check_statistics(block, values[2])
    assert all(read.cancelled() or read.done() for read in reads)
    newest = parts[-1]
    assert newest == 11
    assert parts == sorted(parts), "a part of an older frame never comes after one of a newer"
