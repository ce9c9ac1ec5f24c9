"""The checks that every test is held to do catch what they are for."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.checks.gui_thread import GuiThreadWaitedError, GuiThreadWatch
from tests.checks.leaks import Leftovers
from tests.checks.logged_errors import LoggedErrors
from tests.checks.sharing import GROUPS, LONGEST, ROOT, group_of, turn
from tests.peers import need


def code_in(folder: Path, source: str) -> Callable[..., object]:
    """A function ``wait`` whose code counts as lying in ``folder``."""
    names: dict[str, Callable[..., object]] = {}
    exec(compile(source, str(folder / "view.py"), "exec"), names)
    return names["wait"]


def test_that_a_thread_left_running_is_named() -> None:
    before, stop = Leftovers.now(), threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    thread.start()
    try:
        assert before.what_is_new(deadline_s=0.05) == ["thread 'forgotten'"]
    finally:
        stop.set()
        thread.join(5)
    assert before.what_is_new(deadline_s=5) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_that_an_orphaned_grandchild_is_named() -> None:
    before = Leftovers.now()
    code = ("import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0);"
            "print(p.pid, flush=True)")
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdin is not None
    orphan = int(parent.stdout.readline())
    parent.wait(10)
    left = before.what_is_new(deadline_s=0.05)
    assert len(left) == 1
    assert left[0].startswith(f"process {orphan} ")
    parent.stdin.close()                      # the orphan's input ends, and so does it
    parent.stdout.close()
    assert before.what_is_new(deadline_s=10) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_that_a_child_that_nobody_waited_for_is_named() -> None:
    before = Leftovers.now()
    child = subprocess.Popen(["true"], env={})
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    left = before.what_is_new(deadline_s=0.05)
    child.wait(10)
    assert left == [f"process {child.pid} (ended, never waited for: true)"]
    assert before.what_is_new(deadline_s=5) == []


@pytest.mark.logs_errors("full|unexpected")
def test_that_only_our_own_unexpected_errors_are_collected() -> None:
    with LoggedErrors([r"disk is full"]) as log:
        logging.getLogger("app.remote").error("the %s is full", "disk")
        logging.getLogger("paramiko").error("a library's business")
        logging.getLogger("app.remote").warning("degraded")
        logging.getLogger("app.views").error("unexpected")
    assert log.unexpected == ["app.views: unexpected"]


@pytest.mark.parametrize("source", [
    "import time\ndef wait(): time.sleep(0)",
    "from concurrent.futures import Future\ndef wait(): Future().result(0)",
    "import threading as t\ndef wait():\n w = t.Thread(target=t.Event().wait, args=(0.2,))\n w.start(); w.join()",
    "import socket\ndef wait(): socket.create_connection(('127.0.0.1', 1))",
])
def test_that_code_of_ours_that_waits_on_the_gui_thread_is_caught(source: str, tmp_path: Path) -> None:
    wait = code_in(tmp_path, source)
    with GuiThreadWatch(tmp_path) as watch, pytest.raises(GuiThreadWaitedError):
        wait()
    assert len(watch.waits) == 1


def test_that_settled_futures_other_threads_shutting_down_and_tests_may_wait(tmp_path: Path) -> None:
    settled: Future[int] = Future()
    settled.set_result(1)
    read = code_in(tmp_path, "def wait(future): return future.result()")
    sleep = code_in(tmp_path, "import time\ndef wait(): time.sleep(0)")
    close = code_in(tmp_path, "import time\ndef shut_down(): time.sleep(0)\ndef wait(): shut_down()")
    with GuiThreadWatch(tmp_path) as watch:
        assert read(settled) == 1
        other = threading.Thread(target=sleep)
        other.start()
        other.join(5)
        close()
        time.sleep(0)
    assert watch.waits == []


def test_that_tests_of_one_heavy_peer_are_run_by_one_worker_and_others_by_file() -> None:
    assert group_of("tests/system/test_jobs_slurm.py") == group_of("tests/system/test_no_secrets.py")
    assert group_of("tests/system/test_moonshot_sign_in.py") == group_of("tests/system/test_moonshot_refusals.py")
    assert group_of("tests/unit/test_checks.py") == "tests/unit/test_checks.py"
    for group in LONGEST:
        assert group in GROUPS.values() or (ROOT / group).is_file(), group
    later = turn("tests/unit/test_checks.py::test_that")
    assert [turn(f"tests/system/{name}.py::test_that") for name in (
        "test_jobs_slurm", "test_hostile_values", "test_states_slurm", "test_states_gridengine")] == [0, 1, 2, 3]
    assert turn(f"{LONGEST[4]}::test_that") == 4
    assert later == len(LONGEST)


@pytest.mark.parametrize("ci", [False, True])
def test_that_what_is_missing_is_a_failure_in_ci_and_elsewhere_a_skip(
        ci: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(need, "CI", ci)
    with pytest.raises(pytest.fail.Exception if ci else pytest.skip.Exception, match="missing: the Python module no_s"):
        need.need_module("no_such")


def test_that_no_test_skips_by_itself_what_ci_promised() -> None:
    for file in (ROOT / "tests").rglob("*.py"):
        text = file.read_text("utf-8")
        assert "pytest.import" + "orskip(" not in text, f"{file}: need_module of tests/peers/need.py fails in CI"
        assert "skipif(shutil." + "which(" not in text, f"{file}: need_program of tests/peers/need.py fails in CI"
