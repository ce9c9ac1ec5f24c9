"""The failed tasks of an array run again alone, at real batch systems: the joined result is that of a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.model.jobs import JobSpec, JobState
from app.model.site import BatchSettings, SiteProfile
from tests.peers.gridengine import GridFacility
from tests.peers.job_client import Site, job_client, write_data
from tests.peers.joined import RESULT, joined_recipe
from tests.peers.slurm import SlurmFacility


def run_twice(site: Site, system: str, broken: str, again: list[int]) -> None:
    """A job of four tasks of which some fail, and what is left of it."""
    write_data(site)
    home = site.home(site.users[0])
    breaks = home / f"breaks-{system}-{len(again)}"
    breaks.write_text(broken)
    breaks.chmod(0o644)
    profile = SiteProfile("real", title="The Facility", batch=BatchSettings(system))
    with job_client(site, profile, {"joined": joined_recipe()}) as client:
        job = client.jobs.submit(JobSpec("real", "joined", (str(home / "scan.dat"),), {"breaks": str(breaks)}, tasks=4))
        half = client.until(job, lambda j: bool(j.unfinished))
        assert half.state is JobState.FAILED
        breaks.write_text("")
        rest = client.jobs.submit(client.jobs.finish(half.id))
        done = client.ends(rest)
        assert (done.state, done.reason) == (JobState.COMPLETED, ""), client.jobs.log(done.id)
        assert [(p.step, p.task) for p in done.parts] == [*(("each", task) for task in again), ("join", None)]
        assert {p.state for p in done.parts} == {JobState.COMPLETED}
        assert json.loads((Path(done.folder) / "result.json").read_text()) == RESULT
        logs = [client.jobs.log(done.id, part=part).strip() for part in done.parts]
        assert logs == [*(f"step each task {task}" for task in again), "step join task"]


@pytest.mark.parametrize(("broken", "again"), [("2 4", [2, 4]), ("3", [3])])
def test_that_failed_tasks_run_again_alone_on_slurm(slurm: SlurmFacility, broken: str, again: list[int]) -> None:
    run_twice(slurm, "slurm", broken, again)


@pytest.mark.parametrize(("broken", "again"), [("2 4", [2, 4]), ("3", [3])])
def test_that_failed_tasks_run_again_alone_on_grid_engine(
        gridengine: GridFacility, broken: str, again: list[int]) -> None:
    run_twice(gridengine, "gridengine", broken, again)
