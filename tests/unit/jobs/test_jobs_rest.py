"""The failed parts of a job run again alone, for real (a machine without a batch system), and the result is whole."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import BatchError, NotFoundError, RecipeError
from app.model.jobs import InputExtent, Job, JobPart, JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.remote.jobs.rest import RestStep, rest_of
from app.remote.jobs.service import JobService
from tests.peers.joined import RESULT, joined_recipe
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink, until
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")
_PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    made = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(made))
        yield made


def client(link: FakeLink, recipe: Recipe | None = None) -> JobService:
    """Of a machine that runs what it is told."""
    profile = SiteProfile("near", title="Near Site", batch=BatchSettings("direct"))
    return JobService(profile, lambda: link, {"joined": recipe or joined_recipe()})


@pytest.fixture
def at_once(home: Path, link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> Callable[..., JobService]:
    monkeypatch.setenv("HOME", str(home))
    (home / "breaks").write_text("")
    return functools.partial(client, link)


@pytest.fixture(scope="module")
def spec(home: Path) -> JobSpec:
    (home / "scan.h5").write_bytes(b"")
    return JobSpec("near", "joined", (str(home / "scan.h5"),), {"breaks": str(home / "breaks")}, name="Squares",
                   tasks=4, extents=(InputExtent((12, 2, 2), 4),))


def ends(service: JobService, job: Job) -> Job:
    deadline = time.monotonic() + _PATIENCE_S
    while not (seen := service.job(job.id)).state.ended:
        assert time.monotonic() < deadline, f"{seen}\n{service.log(job.id)}"
        time.sleep(0.05)
    return seen


def result(job: Job) -> list[int]:
    found: list[int] = json.loads((Path(job.folder) / "result.json").read_text())
    return found


@pytest.fixture(scope="module")
def half(spec: JobSpec, home: Path) -> Job:
    """Tasks 2 and 4 of four failed; what keeps them from running will be mended."""
    service = client(FakeLink())
    (home / "breaks").write_text("2 4")
    return ends(service, service.submit(spec))


@dataclasses.dataclass(frozen=True)
class Again:
    """The failed parts of :func:`half`, run again although the recipe's program is another and the link broke."""

    job: Job
    link: FakeLink
    before: set[tuple[str, bytes]]


def files(job: Job) -> set[tuple[str, bytes]]:
    return {(path.name, path.read_bytes()) for path in Path(job.folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def again(half: Job, home: Path) -> Again:
    link, before = FakeLink(), files(half)
    (home / "breaks").write_text("")
    service = client(link, joined_recipe(program="raise SystemExit('another program')"))
    draft = service.finish(half.id)
    assert [(s.name, s.tasks, s.only) for s in draft.steps] == [("each", 4, (2, 4)), ("join", 0, ())]
    assert draft.name == "Squares (tasks 2, 4 again)"
    link.breaks = ["after", "within", "before"]
    job = service.submit(draft)
    service.submit(draft)
    return Again(ends(service, job), link, before)


def test_that_only_the_failed_tasks_run_again_and_the_joined_result_is_whole(
        at_once: Callable[..., JobService], half: Job, again: Again) -> None:
    assert (half.state, [p.task for p in half.unfinished]) == (JobState.FAILED, [2, 4, None])
    done = again.job
    assert (done.state, done.reason, done.rest_of) == (JobState.COMPLETED, "", half.id)
    assert [(p.step, p.task, p.state) for p in done.parts] == [
        ("each", 2, JobState.COMPLETED), ("each", 4, JobState.COMPLETED), ("join", None, JobState.COMPLETED)]
    assert result(done) == RESULT
    assert done.outputs == (f"near:{done.folder}/result.json",)
    assert at_once().log(done.id, part=done.parts[1]).strip() == "step each task 4"


def test_that_the_folder_of_the_old_job_stays_its_record(half: Job, again: Again) -> None:
    assert {name for name, _ in again.before ^ files(half)} <= {"final.json"}


def test_that_it_is_submitted_once_however_often_the_link_breaks(
        at_once: Callable[..., JobService], again: Again) -> None:
    assert again.link.breaks == []
    assert [job.rest_of for job in at_once().jobs()].count(again.job.rest_of) == 1
    assert len(list(Path(again.job.folder).glob("job*.log"))) == 3      # two tasks and what joins them, each once


def test_that_a_new_client_tells_the_same_of_it(at_once: Callable[..., JobService], half: Job, again: Again) -> None:
    told = at_once().job(again.job.id)
    assert (told.parts, told.rest_of) == (again.job.parts, half.id)


def test_that_what_fails_again_can_be_run_once_more(at_once: Callable[..., JobService], half: Job, home: Path) -> None:
    service = at_once()
    (home / "breaks").write_text("4")
    second = ends(service, service.submit(service.finish(half.id)))
    assert "1 of 2 tasks failed" in second.reason
    assert "(task 4)" in second.reason
    assert second.last_lines[-1] == "This share cannot be computed."
    (home / "breaks").write_text("join")
    third = service.submit(service.finish(second.id))
    assert third.name == "Squares (task 4 again)"
    third = ends(service, third)
    assert [(p.step, p.task, p.state) for p in third.parts] == [
        ("each", 4, JobState.COMPLETED), ("join", None, JobState.FAILED)]
    (home / "breaks").write_text("")
    fourth = service.submit(service.finish(third.id))
    assert fourth.name == "Squares (from “Join” again)"
    fourth = ends(service, fourth)
    assert result(fourth) == RESULT


@dataclasses.dataclass(frozen=True)
class Step:
    name: str
    title: str
    tasks: int


def parted(*states: JobState) -> Job:
    parts = (JobPart("prepare", None, JobState.COMPLETED),
             *(JobPart("each", task, state) for task, state in enumerate(states, 1)),
             JobPart("join", None, JobState.CANCELLED))
    return Job("20261122-103004-1f09ac", "near", "Squares", "joined", "1.0", JobState.FAILED, parts=parts)


STEPS = (Step("prepare", "Prepare", 0), Step("each", "Each", 4), Step("join", "Join", 0))


def test_that_whatever_did_not_complete_is_run_again_however_it_ended() -> None:
    job = parted(JobState.CANCELLED, JobState.COMPLETED, JobState.UNKNOWN, JobState.FAILED)
    rest = rest_of(job, STEPS, joined_recipe())
    assert rest.steps == (RestStep("each", "Each", 4, (1, 3, 4)), RestStep("join", "Join", 0))
    none = rest_of(parted(*[JobState.CANCELLED] * 4), STEPS, joined_recipe())
    assert none.steps == (RestStep("each", "Each", 4), RestStep("join", "Join", 0))


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.QUEUED, JobState.HELD, JobState.CREATED])
def test_that_nothing_is_run_again_while_a_part_of_it_may_still_complete(state: JobState) -> None:
    with pytest.raises(BatchError, match="no failed parts"):
        rest_of(parted(JobState.COMPLETED, JobState.FAILED, state, JobState.COMPLETED), STEPS, joined_recipe())


def test_that_parts_of_two_versions_are_never_put_together(at_once: Callable[..., JobService], half: Job) -> None:
    with pytest.raises(RecipeError, match=r"version 1\.0 of Joined, and this is 1\.1"):
        at_once(joined_recipe("1.1")).finish(half.id)


def test_that_parts_of_other_defaults_or_inputs_are_never_put_together(
        at_once: Callable[..., JobService], half: Job, home: Path) -> None:
    recipe = joined_recipe()
    other = dataclasses.replace(recipe, parameters=(
        *recipe.parameters, Parameter("radius", ParameterType.FLOAT, "Radius", default=3.0)))
    with pytest.raises(RecipeError, match="computed with other values"):
        at_once(other).finish(half.id)
    (home / "other.h5").write_bytes(b"")
    spec = dataclasses.replace(at_once().spec_of(half.id), inputs=(str(home / "other.h5"),))
    with pytest.raises(RecipeError, match="computed with other values"):
        at_once().finish(half.id, spec=spec)


@pytest.mark.parametrize("value", [-3.4028234663852886e38, 18446744073709551615])
def test_that_a_job_is_repeated_with_numbers_of_any_size(
        at_once: Callable[..., JobService], spec: JobSpec, value: float) -> None:
    kind = ParameterType.INTEGER if isinstance(value, int) else ParameterType.FLOAT
    recipe = joined_recipe()
    service = at_once(dataclasses.replace(recipe, parameters=(*recipe.parameters, Parameter("dummy", kind, "Dummy"))))
    held = service.submit(dataclasses.replace(spec, parameters={**spec.parameters, "dummy": value}, hold=True))
    assert service.spec_of(held.id).parameters["dummy"] == value
    service.cancel(held.id)


def test_that_a_step_divided_differently_is_refused(at_once: Callable[..., JobService], half: Job) -> None:
    recipe = joined_recipe()
    fewer = tuple(dataclasses.replace(step, frames_per_task=0) for step in recipe.steps)
    with pytest.raises(RecipeError, match="divided differently"):
        at_once(dataclasses.replace(recipe, steps=fewer)).finish(half.id)


def test_that_a_folder_that_is_gone_leaves_no_new_job(at_once: Callable[..., JobService], half: Job) -> None:
    service = at_once()
    draft = service.finish(half.id)
    Path(half.folder).rename(f"{half.folder}.away")
    try:
        with pytest.raises(NotFoundError, match="could not be taken over"):
            service.submit(draft)
    finally:
        Path(f"{half.folder}.away").rename(half.folder)
    assert not Path(draft.folder).exists()
    assert draft.id not in [job.id for job in service.jobs()]


@pytest.mark.parametrize("plant", [os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_that_a_program_that_is_no_file_of_ones_own_is_not_taken_over(
        at_once: Callable[..., JobService], half: Job, plant: Callable[[Path], None]) -> None:
    planted = Path(half.folder) / "h5py.py"
    plant(planted)
    service = at_once()
    try:
        with pytest.raises(NotFoundError, match="could not be taken over") as refused:
            service.submit(service.finish(half.id))
    finally:
        planted.unlink()
    assert f"{planted} is no file of yours" in refused.value.detail


def test_that_only_a_job_with_done_and_failed_parts_can_be_finished(
        at_once: Callable[..., JobService], again: Again) -> None:
    assert not again.job.unfinished
    with pytest.raises(BatchError, match="no failed parts beside completed ones"):
        at_once().finish(again.job.id)


def test_that_files_of_completed_parts_are_links_and_take_no_room(
        at_once: Callable[..., JobService], half: Job) -> None:
    service = at_once()
    held = service.submit(service.finish(half.id, spec=dataclasses.replace(service.spec_of(half.id), hold=True)))
    one = Path("parts/part-01")
    deadline = time.monotonic() + _PATIENCE_S
    while not (Path(held.folder) / one).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (Path(held.folder) / one).samefile(Path(half.folder) / one)
    assert not (Path(held.folder) / "run.py").samefile(Path(half.folder) / "run.py")
    service.cancel(held.id)


# -- At a batch system that numbers its tasks -------------------------------------------------------------------------

def test_that_the_batch_systems_numbers_become_the_tasks_own(
        new_client: Callable[[], JobService], scan: Path, slurm: FakeSlurm, chain: Recipe) -> None:
    service = new_client()
    job = service.submit(JobSpec("near", "chain", (str(scan),), {}, extents=(InputExtent((40, 500, 500), 4),)))
    for task, code in ((1, 0), (2, 3), (3, 0), (4, 3)):
        slurm.end_task("100", task, "FAILED" if code else "COMPLETED", f"{code}:0")
    slurm.end("101", "CANCELLED")
    until(service, job, lambda j: bool(j.unfinished))
    again = service.submit(service.finish(job.id, Resources(time_limit_min=12)))
    script = (Path(again.folder) / "job.sh").read_text()
    assert "#SBATCH --array=1-2%3" in script
    assert "#SBATCH --time=12" in script
    assert "BEAMSIDE_TASKS=4" in script
    number = str(again.scheduler_id)
    slurm.set_task(number, 1, state="RUNNING", reason="None", start="1795343001")
    slurm.set_task(number, 2, state="PENDING", reason="Priority")
    seen = service.job(again.id)
    assert [(p.task, p.state) for p in seen.parts] == [
        (2, JobState.RUNNING), (4, JobState.QUEUED), (None, JobState.QUEUED)]
