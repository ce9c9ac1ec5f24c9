"""What is said of jobs: paths cut to what tells, times that are true, reasons in full where there is room."""

from __future__ import annotations

from typing import Any

import pytest

from app.model.jobs import Job, JobPart, JobState
from app.session.job_words import (
    Column,
    cell_text,
    elapsed_text,
    job_tip,
    last_known,
    part_elapsed,
    progress_of,
    progress_text,
    short_paths,
)


def job(state: JobState, **more: Any) -> Job:
    return Job("j1", "far", "n", "tomography", "1.0", state, "1", **more)


@pytest.mark.parametrize(("told", "short"), [
    ("/tmp/bs-3i8faxm1/home/x/scan.h5 is not there", "…/scan.h5 is not there"),
    ("not in /data/visitor/RAW/s_1.nxs::/entry/data.", "not in …/s_1.nxs::/entry/data."),
    ("neither /a/b/c.h5 nor /d/e/f.h5 nor 3/4/5 of g/h/i", "neither …/c.h5 nor …/f.h5 nor 3/4/5 of g/h/i"),
    ("“/data/my visit/one scan/c d.h5” and '/x y/z/w.npy'", "“…/c d.h5” and '…/w.npy'"),
    ("/data/RAW/my scan/c.h5 is empty", "…/my scan/c.h5 is empty"),
    ("far:/data/RAW/c.h5 (/home/u/out/) full=/scratch/a/b", "far:…/c.h5 (…/out/) full=…/b"),
    ("/tmp/c.h5, /c.h5, / and ~/a/b/c stay", "/tmp/c.h5, /c.h5, / and ~/a/b/c stay"),
    ("/entry/instrument/detector/data is no dataset", "/entry/instrument/detector/data is no dataset"),
    (r"C:\data\raw\c.h5 and C:/data/raw/c.h5", r"C:\data\raw\c.h5 and C:/data/raw/c.h5"),
    ("see https://far.example/a/b/c", "see https://far.example/a/b/c"),
    ("", "")])
def test_that_paths_are_cut_to_the_name_that_tells(told: str, short: str) -> None:
    assert short_paths(told) == short


def test_that_the_row_says_the_reason_first_and_its_tooltip_all_of_it() -> None:
    line = "/tmp/bs-3i8faxm1/home/bsvisitor19/data/out/mask.npy is no PONI file."
    failed = job(JobState.FAILED, reason="exit code 1", node="cn1", partition="debug", folder="/data/out/j1",
                 last_lines=("one", "two", "", "three", "four", "five", line, "", ""))
    assert cell_text(failed, Column.PROGRESS) == "…/mask.npy is no PONI file. · exit code 1"
    assert job_tip(failed).split("\n") == [
        "n", "Tomography 1.0", "failed: exit code 1", "one", "two", "three", "four", "five", line, "cn1 · debug",
        "/data/out/j1"]


@pytest.mark.parametrize("state", [JobState.CREATED, JobState.QUEUED, JobState.HELD])
def test_that_a_job_that_waits_has_a_limit_and_no_elapsed_time(state: JobState) -> None:
    assert elapsed_text(job(state, time_limit_s=300), now=50.0) == "limit 5:00"
    assert elapsed_text(job(state), now=50.0) == ""
    assert elapsed_text(job(JobState.RUNNING, time_limit_s=300), now=50.0, seen_running=40.0) == "0:10 / 5:00"


def test_that_a_job_that_has_done_nothing_yet_says_so_without_an_empty_bar() -> None:
    begun = job(JobState.RUNNING, progress=0.0)
    assert progress_of(begun) is None
    assert progress_text(begun) == "started"
    assert progress_text(job(JobState.RUNNING, progress=0.0, progress_text="0 of 40 frames")) == "0 of 40 frames"
    assert progress_of(job(JobState.RUNNING, progress=0.01)) == 0.01


def test_that_clocks_stand_still_where_nothing_can_be_asked_and_what_ended_is_not_old() -> None:
    lost = job(JobState.RUNNING, started=100.0, as_of=172.0, stale="The connection is being restored.")
    assert elapsed_text(lost, now=900.0) == "1:12"
    assert elapsed_text(job(JobState.RUNNING, started=100.0, as_of=172.0), now=900.0) == "13:20"
    task = JobPart("integrate", 1, JobState.RUNNING, started=112.0)
    assert part_elapsed(lost, task, now=900.0) == "1:00"
    assert last_known(lost).startswith("last known ")
    assert "The connection is being restored." in job_tip(lost)
    over = job(JobState.COMPLETED, started=100.0, ended=160.0, as_of=172.0, stale="The connection is being restored.")
    assert last_known(over) == ""
    assert "restored" not in job_tip(over)
