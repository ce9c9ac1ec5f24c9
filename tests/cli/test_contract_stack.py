"""``profile`` and ``project`` against numpy, and what they say when they cannot."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.cli.running import InProcess, Shell, finished

PROJECT_KEYS = ["signal", "op", "shape", "dtype", "frames", "min", "max", "masked", "bytes_received", "seconds"]
POINT_KEYS = ["signal", "point", "shape", "dtype", "frames", "min", "max", "masked", "bytes_received", "seconds"]
ROI_KEYS = ["signal", "roi", "number", *POINT_KEYS[2:]]


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """(4, 5, 17, 23) uint16 at ``/entry/data``, the largest of the file; a column never valid, one pixel once not."""
    values = np.random.default_rng(4).integers(0, 5000, (4, 5, 17, 23)).astype("u2")
    values[..., 8] = 65535
    values[1, 2, 3, 4] = 65535
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=values, chunks=(1, 2, 5, 7), compression="gzip")
        file["curve"] = np.arange(4.0)
    return path, values


def test_that_all_frames_become_the_one_numpy_makes(run: InProcess, stack: tuple[Path, np.ndarray],
                                                    tmp_path: Path) -> None:
    path, values = stack
    out = tmp_path / "o.npy"
    frames = np.ma.MaskedArray(values, values == 65535).reshape(20, 17, 23)
    for operation, dtype, mask_value in (("max", "u2", 65535), ("min", "u2", 65535), ("sum", "u8", 2**64 - 1),
                                         ("mean", "f8", np.nan), ("std", "f8", np.nan)):
        value = run.ok("project", path, "--op", operation, "-o", out)
        wanted = getattr(frames, operation)(axis=0)
        got = np.load(out)
        assert got.dtype == np.dtype(dtype)
        np.testing.assert_allclose(got, wanted.astype(dtype).filled(mask_value), rtol=1e-12 if dtype == "f8" else 0)
        assert list(value) == PROJECT_KEYS
        assert (value["signal"], value["op"], value["shape"]) == ("/entry/data", operation, [17, 23])
        assert (value["dtype"], value["frames"], value["masked"]) == (str(got.dtype), 20, 17)
        assert value["min"] == pytest.approx(wanted.min(), rel=1e-12)
        assert value["max"] == pytest.approx(wanted.max(), rel=1e-12)
        assert value["bytes_received"] > got.nbytes / 100
        assert value["seconds"] > 0


def test_that_a_point_gives_its_stored_value_in_each_frame(run: InProcess, stack: tuple[Path, np.ndarray],
                                                           tmp_path: Path) -> None:
    path, values = stack
    out = tmp_path / "o.npy"
    value = run.ok("profile", f"{path}::/entry/data", "--point", "3,4", "-o", out)
    assert list(value) == POINT_KEYS
    assert np.array_equal(np.load(out), values[:, :, 3, 4])
    assert (value["point"], value["shape"], value["dtype"]) == ([3, 4], [4, 5], "uint16")
    rest = values[:, :, 3, 4].ravel().tolist()
    rest.remove(65535)
    assert (value["min"], value["max"], value["masked"], value["frames"]) == (min(rest), max(rest), 1, 20)
    assert run.ok("profile", path, "--point", "-14,-19", "-o", out)["point"] == [3, 4]
    nothing = run.ok("profile", path, "--point", "0,8", "-o", out)
    assert (nothing["min"], nothing["max"], nothing["masked"]) == (None, None, 20)


def test_that_a_region_gives_the_number_asked_for(run: InProcess, stack: tuple[Path, np.ndarray],
                                                  tmp_path: Path) -> None:
    path, values = stack
    out = tmp_path / "o.npy"
    part = np.ma.MaskedArray(values, values == 65535)[:, :, 2:10, 4:12]
    wanted = {"sum": part.sum(axis=(2, 3)), "mean": part.mean(axis=(2, 3)), "min": part.min(axis=(2, 3)),
              "max": part.max(axis=(2, 3)), "valid": part.count(axis=(2, 3))}
    for number, array in wanted.items():
        value = run.ok("profile", path, "--roi", "2:10,4:-11", "--number", number, "-o", out)
        assert list(value) == ROI_KEYS
        np.testing.assert_allclose(np.load(out), array, rtol=1e-14 if number == "mean" else 0)
        assert (value["roi"], value["number"], value["shape"]) == ([[2, 10], [4, 12]], number, [4, 5])
        assert value["masked"] == 20 * 8 + 1
        assert value["min"] == pytest.approx(array.min(), rel=1e-14)
    assert run.ok("profile", path, "--roi", "2:10,4:12", "-o", out)["number"] == "sum"
    assert np.array_equal(np.load(out), wanted["sum"])
    whole = run.ok("profile", path, "--roi", ":,:", "--number", "valid", "-o", out)
    assert whole["roi"] == [[0, 17], [0, 23]]


@pytest.mark.parametrize(("code", "kind", "argv"), [
    (2, "usage", ["profile"]), (2, "usage", ["profile", "--point", "1,2", "--roi", "1:2,3:4"]),
    (2, "usage", ["profile", "--point", "1"]), (2, "usage", ["profile", "--point", "1:2,3"]),
    (2, "usage", ["profile", "--point", "x,y"]), (2, "usage", ["profile", "--roi", "1,2"]),
    (2, "usage", ["profile", "--roi", "1:2:1,3:4"]), (2, "usage", ["project"]),
    (2, "usage", ["project", "--op", "median"]), (3, "selection", ["profile", "--point", "17,0"]),
    (3, "selection", ["profile", "--roi", "5:5,0:3"]), (3, "selection", ["profile", "--roi", "40:50,0:3"])])
def test_that_what_cannot_be_is_one_error(run: InProcess, stack: tuple[Path, np.ndarray], tmp_path: Path, code: int,
                                          kind: str, argv: list[str]) -> None:
    error = run.fails(code, argv[0], stack[0], *argv[1:], "-o", tmp_path / "o.npy")
    assert error["kind"] == kind
    assert not (tmp_path / "o.npy").exists()


def test_that_a_curve_is_no_stack_and_a_missing_file_is_not_there(run: InProcess, stack: tuple[Path, np.ndarray],
                                                                 tmp_path: Path) -> None:
    out = tmp_path / "o.npy"
    for command in (["project", "--op", "max"], ["profile", "--point", "0,0"]):
        assert run.fails(3, command[0], f"{stack[0]}::/curve", *command[1:], "-o", out)["kind"] == "selection"
        assert run.fails(3, command[0], tmp_path / "no.h5", *command[1:], "-o", out)["kind"] == "not_found"
        assert run.fails(3, command[0], stack[0], *command[1:], "-o", tmp_path / "no" / "o.npy")["kind"] == "data"


def test_that_progress_is_on_standard_error_and_ctrl_c_leaves_nothing(shell: Shell, tmp_path: Path) -> None:
    big, out = tmp_path / "big.h5", tmp_path / "out"
    with h5py.File(big, "w") as file:
        file.create_dataset("a", shape=(400_000, 1000, 1000), dtype="u2", chunks=(1, 1000, 1000))
    out.mkdir()
    process = shell.start("project", f"{big}::/a", "--op", "sum", "-o", str(out / "o.npy"), "--json",
                          start_new_session=True)
    said = _told_of_frames(process)
    assert said["text"].endswith(" of 400000 frames")
    os.killpg(process.pid, signal.SIGINT)
    done = finished(process, 15)
    assert (done.code, done.error["kind"]) == (130, "cancelled")
    assert "Traceback" not in done.err
    assert list(out.iterdir()) == []


def _told_of_frames(process: Any) -> dict[str, str]:
    """The first event that tells of frames."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        event: dict[str, str] = json.loads(process.stderr.readline())
        if event["event"] == "progress" and "frames" in event["text"]:
            return event
    raise AssertionError("no progress")
