"""States of jobs on a machine without a batch system, over real SSH, and what is told of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.model.jobs import Job, JobState
from app.model.site import BatchSettings, SiteProfile, SoftwareSettings
from tests.peers.job_client import JobClient, job_client, parts_told, state_recipes, told, write_data
from tests.peers.slurm import SlurmFacility
from tests.peers.workstation import Workstation

PROFILE = SiteProfile("real", title="The Workstation", batch=BatchSettings("direct"))


@pytest.fixture(scope="module")
def site(slurm_without_accounting: SlurmFacility) -> Workstation:
    return Workstation(slurm_without_accounting)


@pytest.fixture(scope="module")
def crowd(site: Workstation) -> dict[str, Job]:
    """Jobs that are on their way to their ends; the client that submitted them is closed."""
    write_data(site)
    lost = state_recipes()["job"]
    recipes = state_recipes() | {"lost": replace(lost, name="lost", environment="lost")}
    profile = replace(PROFILE, software=SoftwareSettings(environments={"lost": 'python3() { no-such-program "$@"; }'}))
    with job_client(site, profile, recipes) as client:
        jobs = {do: client.submit(do) for do in ("clean up", "end", "fail", "kill the program", "kill the script",
                                                 "crash", "eat")}
        jobs["not found"] = client.submit("end", recipe="lost")
        jobs["half"] = client.submit("half", recipe="array", tasks=4)
        jobs["chain"] = client.submit("fail first", recipe="chain")
        jobs["after a wait"] = client.submit("end", after=(jobs["clean up"].id,))
        jobs["held"] = client.submit("end", hold=True)
        jobs["held for ever"] = client.submit("end", hold=True)
    return jobs


@pytest.fixture
def client(site: Workstation, crowd: dict[str, Job]) -> Iterator[JobClient]:
    with job_client(site, PROFILE) as client:
        yield client


@pytest.mark.parametrize(("do", "state", "words", "code", "signal"), [
    ("end", JobState.COMPLETED, "", 0, None), ("fail", JobState.FAILED, "exit code 7", 7, None),
    ("kill the program", JobState.FAILED, "exit code 137 (killed)", 137, 9),
    ("kill the script", JobState.FAILED, "stopped by signal 9 (killed)", None, 9),
    ("crash", JobState.FAILED, "exit code 139 (segmentation fault)", 139, 11),
    ("not found", JobState.FAILED, "exit code 127 (a program was not found)", 127, None),
    ("half", JobState.FAILED, "2 of 4 tasks failed: exit code 3 (tasks 1, 3)", 3, None),
    ("chain", JobState.FAILED, "step 1 of 2, Prepare: exit code 7", 7, None)])
def test_that_an_end_is_told_as_it_was(client: JobClient, crowd: dict[str, Job], do: str, state: JobState, words: str,
                                       code: int | None, signal: int | None) -> None:
    assert told(client.ends(crowd[do])) == (state, words, code, signal)


def test_that_too_much_memory_is_told(client: JobClient, crowd: dict[str, Job]) -> None:
    ended = client.ends(crowd["eat"])
    assert ended.state is JobState.FAILED
    assert ended.reason.startswith("the memory limit was exceeded")


def test_that_a_held_job_waits_until_it_is_released(client: JobClient, crowd: dict[str, Job]) -> None:
    held = client.until(crowd["held"], lambda j: j.state is JobState.HELD)
    assert held.reason == "held by you"
    client.jobs.release(held.id)
    assert told(client.ends(held)) == (JobState.COMPLETED, "", 0, None)


def test_that_a_job_cancelled_before_its_start_is_told_so(client: JobClient, crowd: dict[str, Job]) -> None:
    client.jobs.cancel(crowd["held for ever"].id)
    ended = client.ends(crowd["held for ever"])
    assert ended.state is JobState.CANCELLED
    assert ended.reason.startswith("cancelled")
    assert not (Path(ended.folder) / "job.log").exists()


def test_that_a_cancelled_job_may_clean_up_and_what_waits_for_it_never_runs(client: JobClient,
                                                                           crowd: dict[str, Job]) -> None:
    running = client.waits_in(crowd["clean up"])
    waiting = client.jobs.job(crowd["after a wait"].id)
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, "waiting for another job")
    client.jobs.cancel(running.id)
    assert told(client.ends(running))[:2] == (JobState.CANCELLED, "cancelled")
    assert (Path(running.folder) / "cleaned").read_text() == "yes"
    ended = client.ends(waiting)
    assert (ended.state, ended.reason) == (JobState.CANCELLED, "the job it waited for did not succeed")


def test_that_another_computer_sees_the_same_with_its_parts(site: Workstation, client: JobClient,
                                                           crowd: dict[str, Job]) -> None:
    mine = {name: client.ends(crowd[name]) for name in ("half", "chain", "end")}
    with job_client(site, PROFILE) as other:
        for job in mine.values():
            seen = other.ends(job)
            assert (told(seen), parts_told(seen), seen.outputs) == (told(job), parts_told(job), job.outputs)
