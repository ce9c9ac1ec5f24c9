"""What the data service promises, over every transport and with the agent on every Python it must live in."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from pathlib import Path, PurePosixPath

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.errors import DataError, NotFoundError, UsageError, WorkerLostError
from app.model.data import DataReference, Exactness, ReadRequest, Reduction, Selection
from app.model.nodes import EntryKind, NodeKind
from app.remote.agent_client import GONE
from app.remote.agent_zip import Upload, build_agent_zip
from app.remote.connection import Connection
from tests.contract.events import DEADLINE_S, Changes

FAKE = Path(__file__).with_name("fake_service.py")


def at(path: object, data_path: str = "") -> DataReference:
    return DataReference("site", PurePosixPath(str(path)), data_path)


def ask(path: object, **options: object) -> ReadRequest:
    return ReadRequest(at(path), **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fake_agent() -> Upload:
    return build_agent_zip({"app/agent/service.py": FAKE.read_text("utf-8")})


@pytest.fixture
def faked(connect: Callable[..., Connection], fake_agent: Upload) -> Connection:
    """A connection to an agent with the service that misbehaves on demand."""
    return connect(agent=fake_agent)


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A stack of counts, as detectors write it (bitshuffle-LZ4), found by the default rules."""
    file = tmp_path / "stack.h5"
    counts = np.random.default_rng(3).poisson(4, (3, 200, 300)).astype("u4")
    with h5py.File(file, "w") as out:
        entry = out.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "data"})
        data.create_dataset("data", data=counts, chunks=(1, 200, 300), **hdf5plugin.Bitshuffle(cname="lz4"))
    return file


def test_that_a_folder_comes_in_natural_order_folders_first(connection: Connection, tmp_path: Path) -> None:
    for name in ("scan_10.h5", "scan_2.h5", "scan_1.h5"):
        (tmp_path / name).write_bytes(bytes(7))
    (tmp_path / "z").mkdir()
    os.symlink("scan_2.h5", tmp_path / "a_link")
    os.symlink("nowhere", tmp_path / "broken")
    (tmp_path / os.fsdecode(b"latin_\xe9.h5")).touch()
    listing = connection.data.list_folder(PurePosixPath(tmp_path)).result(DEADLINE_S)
    assert listing.path == PurePosixPath(tmp_path)
    assert [e.name for e in listing.entries] == [
        "z", "a_link", "broken", os.fsdecode(b"latin_\xe9.h5"), "scan_1.h5", "scan_2.h5", "scan_10.h5"]
    by_name = {e.name: e for e in listing.entries}
    assert by_name["z"].kind is EntryKind.FOLDER
    assert by_name["scan_1.h5"].size == 7
    assert by_name["scan_1.h5"].mtime == pytest.approx((tmp_path / "scan_1.h5").stat().st_mtime, abs=1e-3)
    assert (by_name["a_link"].kind, by_name["a_link"].target) == (EntryKind.LINK, "scan_2.h5")
    assert by_name["a_link"].target_kind is EntryKind.FILE
    assert by_name["broken"].target_kind is None


def test_that_a_large_folder_is_one_quick_reply(connection: Connection, tmp_path: Path) -> None:
    for number in range(3000):
        (tmp_path / f"frame_{number}.cbf").touch()
    listing = connection.data.list_folder(PurePosixPath(tmp_path)).result(DEADLINE_S)
    assert [e.name for e in listing.entries] == [f"frame_{number}.cbf" for number in range(3000)]


def test_that_home_is_where_relative_paths_begin(connection: Connection) -> None:
    home = connection.data.list_folder(PurePosixPath("~")).result(DEADLINE_S).path
    assert home == connection.data.list_folder(PurePosixPath()).result(DEADLINE_S).path
    assert home.is_absolute()


def test_that_what_is_not_there_is_said_with_its_kind(connection: Connection, tmp_path: Path) -> None:
    for future in (connection.data.list_folder(PurePosixPath(tmp_path / "no")),
                   connection.data.nodes(at(tmp_path / "no.h5")), connection.data.plot(at(tmp_path / "no.h5")),
                   connection.data.read(ask(tmp_path / "no.h5"))):
        error = future.exception(DEADLINE_S)
        assert isinstance(error, NotFoundError)
        assert error.summary.endswith(".")


def test_that_a_request_too_long_for_the_wire_is_refused_at_once(connection: Connection) -> None:
    assert isinstance(connection.data.plot(at("/" + "x" * 70000)).exception(DEADLINE_S), UsageError)


def test_that_tree_plot_and_numbers_come_from_a_real_file(connection: Connection, image_file: Path) -> None:
    children = connection.data.nodes(at(image_file, "/entry")).result(DEADLINE_S)
    assert [(n.path, n.kind, n.nx_class) for n in children] == [("/entry/data", NodeKind.GROUP, "NXdata")]
    everything = connection.data.nodes(at(image_file), None).result(DEADLINE_S)
    assert [n.path for n in everything] == ["/", "/entry", "/entry/data", "/entry/data/data"]
    assert connection.data.plot(at(image_file)).result(DEADLINE_S).signal == "/entry/data/data"
    with h5py.File(image_file) as file:
        stored = file["/entry/data/data"][1]
    block = connection.data.read(ask(image_file, selection=Selection((1,)))).result(DEADLINE_S)
    assert block.exactness is Exactness.EXACT
    assert block.values.dtype == np.dtype("u4")
    assert np.array_equal(block.values, stored)
    assert block.statistics.total == int(stored.sum())
    pooled = connection.data.read(ask(image_file, selection=Selection((1,)), fit=(100, 150),
                                      reduction=Reduction.MAX)).result(DEADLINE_S)
    assert (pooled.exactness, pooled.factor) == (Exactness.POOLED, (2, 2))
    assert np.array_equal(pooled.values, stored.reshape(100, 2, 150, 2).max((1, 3)))
    assert pooled.generation == (image_file.stat().st_size, image_file.stat().st_mtime_ns)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i8", ">f4", "f8", "?", "c8", "S5", "f2"])
def test_that_numbers_of_any_kind_arrive_bit_equal(connection: Connection, tmp_path: Path, dtype: str) -> None:
    raw = np.random.default_rng(5).integers(0, 2, 6000 * np.dtype(dtype).itemsize, "u1")
    values = raw.view(dtype)[:6000].reshape(60, 100)
    with h5py.File(tmp_path / "kinds.h5", "w") as out:
        out["x"] = values
    block = connection.data.read(ReadRequest(at(tmp_path / "kinds.h5", "/x"))).result(DEADLINE_S)
    assert block.values.dtype == values.dtype
    assert block.values.tobytes() == values.tobytes()


def test_that_a_watch_tells_of_growth_replacement_and_end(connection: Connection, tmp_path: Path,
                                                         changes: Changes) -> None:
    file = tmp_path / "live.h5"
    file.write_bytes(b"1")
    watch = connection.data.watch(PurePosixPath(file), changes, (1, file.stat().st_mtime_ns))
    with file.open("ab") as out:
        out.write(b"22")
    changes.until(lambda seen: bool(seen) and seen[-1] == (3, file.stat().st_mtime_ns))
    file.unlink()
    changes.until(lambda seen: seen[-1] == GONE)
    watch.close()
    watch.close()


def test_that_a_crash_costs_its_request_only(faked: Connection, tmp_path: Path) -> None:
    before = faked.data.read(ask("/pid")).result(DEADLINE_S).signal
    crashes = [faked.data.read(ask("/crash")) for _ in range(3)] + [faked.data.nodes(at("/crash"))]
    others = [faked.data.read(ask(f"/square-{n}")) for n in (10, 200, 700)]
    assert [o.result(DEADLINE_S).values.shape[0] for o in others] == [10, 200, 700]
    for crash in crashes:
        error = crash.exception(DEADLINE_S)
        assert isinstance(error, WorkerLostError)
        assert error.summary == "The HDF5 library crashed while reading /crash."
        assert "SIGSEGV" in error.detail
        assert error.remedy
    assert len(faked.data.nodes(at("/x")).result(DEADLINE_S)) == 1
    assert before


def test_that_the_file_that_crashes_debians_hdf5_costs_one_worker(connection: Connection, beamside_data: Path,
                                                                 image_file: Path, python: str) -> None:
    bad = at(beamside_data / "corrupt" / "cve-2024-29157.h5")
    tree = connection.data.nodes(bad, None)
    picture = connection.data.read(ask(image_file, selection=Selection((0,))))
    assert picture.result(DEADLINE_S).values.shape == (200, 300)
    error = tree.exception(DEADLINE_S)
    if python == "/usr/bin/python3":
        assert isinstance(error, WorkerLostError)
    else:
        assert error is None or isinstance(error, DataError)
    assert len(connection.data.nodes(at(image_file), None).result(DEADLINE_S)) == 4


def test_that_a_bug_and_a_refusal_are_told_and_the_worker_goes_on(faked: Connection) -> None:
    refusal = faked.data.read(ask("/missing")).exception(DEADLINE_S)
    assert isinstance(refusal, NotFoundError)
    assert (refusal.summary, refusal.detail, refusal.remedy) == ("It is not there.", "detail", "remedy")
    bug = faked.data.read(ask("/bug")).exception(DEADLINE_S)
    assert "ZeroDivisionError" in str(bug)
    restarts = [w["restarts"] for w in faked.data.agent_status().result(DEADLINE_S)["workers"]]
    assert restarts == [0, 0, 0]


def test_that_what_libraries_print_does_not_reach_the_wire(faked: Connection) -> None:
    assert faked.data.read(ask("/noise")).result(DEADLINE_S).values.shape == (2, 2)
    assert faked.data.read(ask("/square-5")).result(DEADLINE_S).values.shape == (5, 5)


def test_that_workers_read_unlocked(faked: Connection) -> None:
    assert faked.data.read(ask("/env-HDF5_USE_FILE_LOCKING")).result(DEADLINE_S).signal == "FALSE"


def test_that_a_slow_read_holds_up_neither_tree_nor_folder(faked: Connection, tmp_path: Path) -> None:
    slow = [faked.data.read(ask(tmp_path / "wait-go")) for _ in range(4)]
    assert faked.data.nodes(at("/x")).result(DEADLINE_S)
    assert faked.data.list_folder(PurePosixPath(tmp_path)).result(DEADLINE_S).entries == ()
    assert not any(future.done() for future in slow)
    (tmp_path / "go").touch()
    for future in slow:
        future.result(DEADLINE_S)


def test_that_urgent_requests_overtake_those_that_wait(connect: Callable[..., Connection],
                                                       fake_agent: Upload, tmp_path: Path) -> None:
    order: list[str] = []
    faked = connect(agent=fake_agent, workers=1)
    blocked = faked.data.read(ask(tmp_path / "wait-go"))
    late = faked.data.read(ask("/square-3"), priority=5)
    urgent = faked.data.read(ask("/square-4"), priority=0)
    late.add_done_callback(lambda _: order.append("background"))
    urgent.add_done_callback(lambda _: order.append("cursor"))
    (tmp_path / "go").touch()
    wait_for([blocked, late, urgent], DEADLINE_S)
    assert order == ["cursor", "background"]


def test_that_a_cancelled_request_is_dropped_and_others_go_on(faked: Connection, tmp_path: Path) -> None:
    running = [faked.data.read(ask(tmp_path / "wait-go")) for _ in range(2)]
    waiting = faked.data.read(ask("/crash"))
    assert waiting.cancel()
    assert running[0].cancel()
    (tmp_path / "go").touch()
    assert running[1].result(DEADLINE_S).values.shape == (2, 2)
    assert faked.data.read(ask("/square-6")).result(DEADLINE_S).values.shape == (6, 6)
    assert waiting.cancelled()
    restarts = [w["restarts"] for w in faked.data.agent_status().result(DEADLINE_S)["workers"]]
    assert restarts == [0, 0, 0], "the cancelled request must never have run"
    assert faked.data.status()["waiting"] == 0


def test_that_the_newest_epoch_of_a_view_wins(faked: Connection, tmp_path: Path) -> None:
    blocked = [faked.data.read(ask(tmp_path / "wait-go")) for _ in range(2)]
    frames = [faked.data.read(ask("/crash" if epoch < 19 else "/square-9"), view="panel", epoch=epoch)
              for epoch in range(20)]
    other = faked.data.read(ask("/square-8"), view="other panel", epoch=1)
    (tmp_path / "go").touch()
    assert frames[-1].result(DEADLINE_S).values.shape == (9, 9)
    assert other.result(DEADLINE_S).values.shape == (8, 8)
    assert all(frame.cancelled() for frame in frames[:-1])
    wait_for(blocked, DEADLINE_S)
    restarts = [w["restarts"] for w in faked.data.agent_status().result(DEADLINE_S)["workers"]]
    assert restarts == [0, 0, 0], "what was superseded must never have run"


def test_that_a_new_epoch_alone_drops_what_is_older(faked: Connection, tmp_path: Path) -> None:
    old = faked.data.read(ask(tmp_path / "wait-go"), view="panel", epoch=1)
    faked.data.new_epoch("panel", 2)
    with pytest.raises(CancelledError):
        old.result(DEADLINE_S)
    (tmp_path / "go").touch()
    late = faked.data.read(ask("/square-3"), view="panel", epoch=1)
    assert late.cancelled()
    assert faked.data.read(ask("/square-3"), view="panel", epoch=2).result(DEADLINE_S).values.shape == (3, 3)


def test_that_status_tells_latency_bytes_and_agent(faked: Connection, python: str) -> None:
    faked.data.read(ask("/square-500")).result(DEADLINE_S)
    faked.data.agent_status().result(DEADLINE_S)
    status = faked.data.status()
    assert 0 < status["latency_s"] < 30
    assert status["bytes_received"] > 1000
    assert status["rate_bytes_s"] >= 0
    assert os.path.realpath(status["agent"]["executable"]) == os.path.realpath(shlex.split(python)[0])
