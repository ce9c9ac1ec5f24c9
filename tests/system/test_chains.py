"""Chains, arrays, waiting, holding and jobs by hand on real Slurm and real Grid Engine over real SSH."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import SubmissionRefusedError
from app.model.jobs import InputExtent, Job, JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile
from app.recipes.recipe import Output, Recipe, RecipeStep, ResourceRule
from tests.peers.gridengine import GridFacility
from tests.peers.slurm import SlurmFacility
from tests.peers.submitting import Address, Client

PATIENCE_S = 240.0
_SMALL = ResourceRule(Resources(time_limit_min=5, cpus=1, memory_mb=400))
_STEPS = (RecipeStep("each", "Each frame", _SMALL, frames_per_task=1), RecipeStep("merge", "Merge", _SMALL))
_PROGRAM = """
import json, os, pathlib, sys, time
step, task = os.environ["BEAMSIDE_STEP"], os.environ["BEAMSIDE_TASK"]
said = json.load(open(sys.argv[1]))
fails = said["parameters"].get("fails")
if step == "each":
    if fails and int(task) in fails:
        print("ValueError: task", task, "cannot", file=sys.stderr)
        sys.exit(7)
    stem = os.environ["BEAMSIDE_STEM"]
    pathlib.Path("progress%s.json" % stem).write_text(json.dumps(
        {"done": 1, "total": 2, "unit": "frames", "time": time.time(), "preview": "part.%s::/now" % task}))
    pathlib.Path("part.%s" % task).write_text(os.environ["BEAMSIDE_JOB_ID"])
else:
    parts = sorted(pathlib.Path(".").glob("part.*"))
    pathlib.Path("result.h5").write_text(" ".join(p.read_text() for p in parts))
    print(len(parts), "parts merged")
"""


def chain(fails: tuple[int, ...] = ()) -> Recipe:
    text = _PROGRAM.replace('said["parameters"].get("fails")', repr(list(fails)))
    return Recipe("chain", "1.0", "Chain", text, outputs=(Output("sum", "result.h5", "/entry"),), steps=_STEPS)


@pytest.fixture(scope="module", params=["slurm", "gridengine"])
def site(request: pytest.FixtureRequest) -> SlurmFacility | GridFacility:
    """Both in turn."""
    found: SlurmFacility | GridFacility = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def clients() -> Iterator[list[Client]]:
    made: list[Client] = []
    yield made
    for client in made:
        client.close()


def client_of(site: SlurmFacility | GridFacility, clients: list[Client], recipe: Recipe | None = None) -> Client:
    recipe, user = recipe or chain(), site.users[0]
    system = "slurm" if isinstance(site, SlurmFacility) else "gridengine"
    clients.append(Client(Address(site.host, site.port, user, str(site.key(user))),
                          SiteProfile("real", title="The Facility", batch=BatchSettings(system)),
                          {recipe.name: recipe}))
    return clients[-1]


@pytest.fixture
def new_client(site: SlurmFacility | GridFacility, clients: list[Client]) -> Callable[..., Client]:
    return lambda recipe=None: client_of(site, clients, recipe)


@pytest.fixture
def spec(site: SlurmFacility | GridFacility) -> JobSpec:
    return spec_at(site)


def spec_at(site: SlurmFacility | GridFacility) -> JobSpec:
    scan = site.home(site.users[0]) / "chain.dat"
    scan.write_bytes(b"")
    return JobSpec("real", "chain", (str(scan),), {}, extents=(InputExtent((5, 10, 10), 2),))


def until(client: Client, job: Job, claim: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while not claim(seen := client.jobs.job(job.id)):
        assert time.monotonic() < deadline, f"{seen}\n{client.jobs.log(job.id)}"
        threading.Event().wait(0.3)
    return seen


def without_moments(job: Job) -> Job:
    """They come from a history, which may be a second off what the job says itself."""
    return replace(job, as_of=None, started=None, ended=None,
                   parts=tuple(replace(part, started=None, ended=None) for part in job.parts))


def over(job: Job) -> bool:
    return job.state.ended


def test_that_an_array_runs_all_its_tasks_and_then_what_merges_them(
        new_client: Callable[..., Client], spec: JobSpec) -> None:
    client = new_client()
    job = client.jobs.submit(spec)
    seen: list[Job] = []

    def watched(now: Job) -> bool:
        seen.append(now)
        return now.state.ended
    done = until(client, job, watched)
    assert (done.state, done.exit_code) == (JobState.COMPLETED, 0), done
    assert [(p.step, p.task, p.state) for p in done.parts] == [
        *(("each", task, JobState.COMPLETED) for task in range(1, 6)), ("merge", None, JobState.COMPLETED)]
    array, merge = done.parts[0].scheduler_id, done.parts[-1].scheduler_id
    assert array == job.scheduler_id != merge
    folder = Path(done.folder)
    assert (folder / "result.h5").read_text() == " ".join([str(array)] * 5), "all five came before"
    assert done.outputs == (f"real:{folder}/result.h5::/entry",)
    assert client.jobs.log(job.id, part=done.parts[-1]) == "5 parts merged\n"
    record = json.loads((folder / "environment.json").read_text())
    assert record["scheduler_id"] == array
    assert record["python"]["version"].startswith("3.")
    assert all(now.state in (JobState.QUEUED, JobState.HELD, JobState.RUNNING, JobState.COMPLETED) for now in seen)
    again = new_client().jobs.job(job.id)
    assert without_moments(again) == without_moments(done), "another client sees the same"


def test_that_a_half_failed_array_names_its_tasks_and_ends_the_chain(new_client: Callable[..., Client],
                                                                     spec: JobSpec) -> None:
    client = new_client(chain(fails=(2, 4)))
    job = until(client, client.jobs.submit(spec), over)
    assert job.state is JobState.FAILED
    assert job.reason == "step 1 of 2, Each frame: 2 of 5 tasks failed: exit code 7 (tasks 2, 4)"
    assert "ValueError: task 2 cannot" in job.last_lines

    def settled(now: Job) -> bool:
        return now.parts[-1].state.ended and (Path(job.folder) / "final.json").exists()
    merge = until(client, job, settled).parts[-1]
    log = client.jobs.log(job.id, part=merge)
    assert "did not succeed" in merge.reason or "since the step “Each frame” before it did not succeed" in log
    assert not (Path(job.folder) / "result.h5").exists()


def test_that_a_job_waits_for_another_and_never_starts_when_that_fails(new_client: Callable[..., Client],
                                                                       spec: JobSpec) -> None:
    client = new_client()
    first = client.jobs.submit(replace(spec, hold=True))
    second = client.jobs.submit(replace(spec, after=(first.id,)))
    waiting = client.jobs.job(second.id)
    assert (waiting.state, waiting.after) == (JobState.QUEUED, (first.id,))
    assert "wait" in waiting.reason
    assert until(client, first, lambda j: j.state is JobState.HELD).reason.startswith("held by you")
    client.jobs.release(first.id)
    assert until(client, second, over).state is JobState.COMPLETED
    ends = [client.jobs.job(j.id) for j in (first, second)]
    assert (ends[0].ended or 0) <= (ends[1].started or 0)
    third = client.jobs.submit(replace(spec, hold=True))
    fourth = client.jobs.submit(replace(spec, after=(third.id,)))
    client.jobs.cancel(third.id)
    lost = until(client, fourth, over)
    assert lost.state in (JobState.CANCELLED, JobState.FAILED), lost
    with pytest.raises(SubmissionRefusedError, match="has not succeeded"):
        client.jobs.prepare(replace(spec, after=(third.id,)))


def test_that_slurm_says_when_a_draft_would_start_and_why_it_would_not(slurm: SlurmFacility,
                                                                      clients: list[Client]) -> None:
    client, spec = client_of(slurm, clients), spec_at(slurm)
    start = client.jobs.expected_start(client.jobs.prepare(spec))
    assert start is not None
    assert abs(start - time.time()) < 3600
    with pytest.raises(SubmissionRefusedError, match=r"memory|MB"):
        client.jobs.expected_start(client.jobs.prepare(replace(spec, resources=Resources(memory_mb=90_000_000))))
    assert {a.name for a in client.jobs.accounts()} == {"proposals"}
    debug = next(p for p in client.jobs.partitions() if p.name == "debug")
    assert debug.cpus_total
    space = client.jobs.space(spec.inputs[0])
    assert space.free


def test_that_a_job_from_a_terminal_is_seen_followed_and_cancelled(slurm: SlurmFacility,
                                                                   clients: list[Client]) -> None:
    client, user = client_of(slurm, clients), slurm.users[0]
    script = slurm.home(user) / "mine.sh"
    script.write_text("#!/bin/sh\nsleep 300\n")
    os.chown(script, 0, 0)
    script.chmod(0o755)
    number = slurm.run("sbatch", "--parsable", "--job-name=by hand | “x”", str(script), user=user).stdout.strip()
    seen = until(client, Job(number, "real", "", "", "", JobState.QUEUED), lambda j: j.state is JobState.RUNNING)
    assert (seen.ours, seen.id, seen.name, seen.folder) == (False, number, "by hand | “x”", "")
    client.jobs.cancel(number)
    gone = until(client, seen, over)
    assert gone.state is JobState.CANCELLED


def test_that_cancelling_an_array_that_runs_ends_all_its_tasks(new_client: Callable[..., Client],
                                                               spec: JobSpec) -> None:
    client = new_client(replace(chain(), program="import time; time.sleep(300)"))
    job = client.jobs.submit(spec)
    running = until(client, job, lambda j: j.state is JobState.RUNNING)
    assert running.reason.startswith("step 1 of 2, Each frame: 0 of 5 tasks done")
    client.jobs.cancel(job.id)
    ended = until(client, job, over)
    assert ended.state is JobState.CANCELLED
    assert ended.reason.startswith("step 1 of 2, Each frame: 5 of 5 tasks were cancelled: tasks 1–")
    assert all(part.state.ended for part in until(client, job, lambda j: all(p.state.ended for p in j.parts)).parts)
