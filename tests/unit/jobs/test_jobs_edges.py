"""Outside of a folder, the end of an earlier run, exit codes that are commands: what would break unseen."""

from __future__ import annotations

import subprocess
from pathlib import PurePosixPath

import pytest

from app.model.jobs import JobPart, JobState
from app.model.site import BatchSettings
from app.remote.jobs.record import below
from app.remote.jobs.truth import Evidence, judge
from app.remote.scheduler.dialect import dialect_for
from app.remote.scheduler.states import JobRow


@pytest.mark.parametrize("text", ["", "../x.h5", "a/../../x.h5", "/etc/x.h5", "a.h5::b", "..::/entry"])
def test_that_nothing_outside_of_a_jobs_folder_is_a_result(text: str) -> None:
    assert below(PurePosixPath("/visit/job"), "near", text) == ""
    assert below(PurePosixPath("/visit/job"), "near", "a/x.h5::/entry").endswith("/visit/job/a/x.h5::/entry")


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.QUEUED, JobState.HELD])
def test_that_the_end_of_an_earlier_run_is_not_the_end_of_a_job_that_is_in_the_list(state: JobState) -> None:
    old = {"state": "ended", "rc": 0, "started": 1, "ended": 2}
    truth = judge(JobPart("run", None, JobState.CREATED, "7"), Evidence(
        old, {}, JobRow("7", state, "beamside-x"), has_history=False), 1.0, 100.0)
    assert (truth.state, truth.over) == (state, False)


@pytest.mark.parametrize(("code", "told"), [(0, 0), (7, 7), (99, 1), (100, 1)])
def test_that_grid_engine_never_hears_the_codes_it_takes_for_commands(code: int, told: int) -> None:
    lines = dialect_for("gridengine", "near", BatchSettings("gridengine")).variables
    assert subprocess.run(["bash", "-c", f"{lines}\nexit {code}"], timeout=20).returncode == told
