"""Chains of steps and arrays of tasks: submitted all or none, told in one state, held, awaited, tried and repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.commands.submitting import follow
from app.errors import BatchError, LinkLostError, RecipeError, SchedulerUnavailableError, SubmissionRefusedError
from app.model.jobs import InputExtent, Job, JobKind, JobPart, JobSpec, JobState, Resources
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.jobs.draft import folder_files
from app.remote.jobs.service import JobService
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink, status, until
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")


@pytest.fixture
def spec(scan: Path) -> JobSpec:
    """Forty frames: an array of four tasks, and a step that merges."""
    return JobSpec("near", "chain", (str(scan),), {}, extents=(InputExtent((40, 500, 500), 4),))


def parts(service: JobService, job_id: str) -> list[tuple[str, int | None, JobState]]:
    return [(p.step, p.task, p.state) for p in service.job(job_id).parts]


# -- Submission -------------------------------------------------------------------------------------------------------

def test_that_a_chain_is_submitted_step_by_step_each_after_the_one_before(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    draft = service.prepare(spec)
    assert [(s.name, s.tasks, s.at_once, s.script_file) for s in draft.steps] == [
        ("each", 4, 3, "job.sh"), ("merge", 0, None, "job-2.sh")]
    assert (draft.steps[0].resources.time_limit_min, draft.steps[0].resources.memory_mb) == (11, 1001)
    assert "--array=1-4%3" in draft.steps[0].script
    job = service.submit(draft)
    assert (job.state, job.scheduler_id) == (JobState.QUEUED, "100")
    first, second = slurm.job("100"), slurm.job("101")
    assert (first["tasks"], first["name"], first["after"]) == (4, f"beamside-{job.id}", [])
    assert (second["tasks"], second["name"], second["after"]) == (0, f"beamside-{job.id}-2", ["100"])
    folder = Path(job.folder)
    assert {"job.sh", "job-2.sh", "submit.sh", "run.py", "job.json", "parameters.json"} <= {
        p.name for p in folder.iterdir()}
    assert (folder / "submitted").read_text() == "100\n\x1d101\n"


def test_that_the_first_step_is_held_until_the_last_is_accepted(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    draft = service.prepare(spec)
    assert "#SBATCH --hold" in draft.steps[0].script
    assert "#SBATCH --hold" not in draft.steps[1].script
    service.submit(draft)
    (release,) = slurm.argv("scontrol")
    assert release == ["release", "100"]
    assert slurm.job("100")["reason"] == "Priority"


def test_that_a_job_to_be_held_stays_so_until_it_is_released(service: JobService, spec: JobSpec,
                                                              slurm: FakeSlurm) -> None:
    job = service.submit(replace(spec, hold=True))
    assert job.state is JobState.HELD
    assert slurm.argv("scontrol") == []
    assert service.job(job.id).state is JobState.HELD
    assert service.release(job.id).state is JobState.QUEUED
    assert service.hold(job.id).state is JobState.HELD
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    with pytest.raises(BatchError, match=r"^The job 100 is not held\.$"):     # by the number that is on the board
        service.release(job.id)
    with pytest.raises(BatchError, match=r"^The job 100 is running, so it stays on the list\.$"):
        service.forget(job.id)


def test_that_a_refused_later_step_takes_the_earlier_ones_with_it(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Invalid account or account/partition "
                          "combination specified\n", script="job-2.sh")
    draft = service.prepare(spec)
    with pytest.raises(SubmissionRefusedError, match="account"):
        service.submit(draft)
    assert slurm.waiting() == []
    assert not Path(draft.folder).exists()
    assert service.jobs() == [] or all(not j.ours for j in service.jobs())


def test_that_an_earlier_step_that_cannot_be_cancelled_is_told_with_its_id(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Invalid account\n", script="job-2.sh")
    slurm.fails("scancel", "scancel: error: Kill job error on job id 100: Unable to contact slurm controller\n")
    draft = service.prepare(spec)
    with pytest.raises(BatchError, match="could not be cancelled: 100"):
        service.submit(draft)
    assert Path(draft.folder).exists()
    slurm.works("scancel")
    assert service.cancel(draft.id).state is JobState.CANCELLED or slurm.waiting() == []


def test_that_a_scheduler_that_answers_too_late_leaves_no_half_of_a_chain(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", "+1",
                script="job-2.sh")
    with pytest.raises(SchedulerUnavailableError):
        service.submit(spec)
    assert slurm.waiting() == []


@pytest.mark.parametrize("login_shell", [False, True])
def test_that_a_link_lost_while_a_chain_is_submitted_makes_it_once(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink, own_home: Path,
        monkeypatch: pytest.MonkeyPatch, login_shell: bool) -> None:
    if login_shell:
        (own_home / ".bash_profile").write_text(f"echo Welcome to node 7; export PATH={slurm.root}/bin:$PATH\n")
        monkeypatch.setattr(service._batch, "_profile", replace(
            service._profile, batch=replace(service._profile.batch, login_shell=True)))
    draft = service.prepare(spec)
    link.breaks = ["within", "after", "before"]
    service.submit(draft)
    assert slurm.numbers() == ["100", "101"]
    assert slurm.job("101")["after"] == ["100"]


def test_that_a_submission_killed_half_way_is_found_again_and_told(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    folder = Path(job.folder)
    (folder / "submitted").unlink()
    (slurm.root / "jobs" / "101.json").unlink()
    slurm.set("100", reason="JobHeldUser")
    said = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**said, "created": 1.0}))
    found = new_client().job(job.id)
    assert "submission was interrupted: step 2 of 2 did not reach the batch system" in found.reason
    assert not (folder / "submitted").exists()
    new_client().cancel(job.id)
    assert slurm.waiting() == []


def test_that_a_chain_killed_before_its_release_says_that_it_is_to_be_released(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    folder = Path(job.folder)
    (folder / "submitted").unlink()
    slurm.set("100", reason="JobHeldUser")
    said = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**said, "created": 1.0}))
    client = new_client()
    assert "release or cancel it" in client.job(job.id).reason
    assert client.release(job.id).state is JobState.QUEUED
    assert (folder / "submitted").read_text() == "100\x1d101\n"


def test_that_a_chain_that_could_not_be_released_says_so_and_is_not_called_held_by_the_user(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    impatient(slurm)
    slurm.fails("scontrol", "slurm_suspend error: Unable to contact slurm controller")
    job = service.submit(spec)
    assert slurm.calls("scontrol") == 6
    assert slurm.waiting() == ["100", "101"]
    folder = Path(job.folder)
    assert not (folder / "submitted").exists()
    slurm.works("scontrol")
    slurm.set("100", reason="JobHeldUser")
    said = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**said, "created": 1.0}))
    client = new_client()
    assert "before it was released: release or cancel it" in client.job(job.id).reason
    assert client.release(job.id).state is JobState.QUEUED


def test_that_a_job_cancelled_before_its_submission_is_not_submitted(service: JobService, spec: JobSpec,
                                                                     slurm: FakeSlurm) -> None:
    impatient(slurm)
    draft = service.prepare(spec)
    folder = Path(draft.folder)
    folder.mkdir(parents=True)
    for name, text in folder_files(draft).items():
        (folder / name).write_text(text)
    (folder / "cancelled").write_text("1795343001\n")
    assert service.submit(draft).scheduler_id is None
    assert slurm.numbers() == []


def impatient(slurm: FakeSlurm) -> None:
    """The site's ``sleep`` does not."""
    sleep = slurm.root / "bin/sleep"
    sleep.write_text("#!/bin/sh\n")
    sleep.chmod(0o755)


# -- One job out of its parts -----------------------------------------------------------------------------------------

def test_that_a_chain_is_told_as_one_job_from_its_first_task_to_its_last_step(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    folder = Path(job.folder)
    waiting = service.job(job.id)
    assert (waiting.state, waiting.reason) == (JobState.QUEUED, "other jobs come first (Priority)")
    assert len(waiting.parts) == 5
    slurm.set("100", start="1795350000")
    assert service.job(job.id).expected_start == 1795350000.0
    for task in (1, 2):
        slurm.set_task("100", task, state="RUNNING", reason="None", start="1795343001")
        status(job, "started", None, stem=f".{task}")
    (folder / "progress.1.json").write_text(json.dumps(
        {"done": 5, "total": 10, "unit": "frames", "time": 5, "preview": "part-1.h5::/entry/now"}))
    (folder / "usage.1.json").write_text('{"memory_mb": 300, "most_mb": 412, "time": 1}')
    running = service.job(job.id)
    assert (running.state, running.progress_text) == (JobState.RUNNING, "step 1 of 2: 0 of 4 tasks")
    assert running.progress == pytest.approx(0.0625)
    assert running.reason == "step 1 of 2, Each frame: 0 of 4 tasks done, 2 wait"
    assert running.expected_start is None, "it has started"
    assert running.preview == f"near:{folder}/part-1.h5::/entry/now"
    assert (running.memory_mb, running.memory_limit_mb, running.started) == (412.0, 1001.0, 1795343001.0)
    for task in range(1, 5):
        slurm.end_task("100", task, "COMPLETED")
        status(job, "ended", 0, stem=f".{task}")
    slurm.set("101", reason="Priority")
    merging = service.job(job.id)
    assert (merging.state, merging.reason) == (JobState.QUEUED, "step 2 of 2 waits: other jobs come first (Priority)")
    assert merging.progress == 0.5
    assert merging.scheduler_id == "100", "a job keeps the number that it was submitted with"
    assert service.job("101").id == job.id, "each step's number finds it, too"
    slurm.end("101", "COMPLETED")
    status(job, "ended", 0, "101", stem="-2")
    done = service.job(job.id)
    assert (done.state, done.exit_code, done.progress) == (JobState.COMPLETED, 0, 1.0)
    assert done.outputs == (f"near:{folder}/result.h5::/entry/sum",)
    assert [p.scheduler_id for p in done.parts] == ["100"] * 4 + ["101"]
    assert done.scheduler_id == "100"
    final = json.loads((folder / "final.json").read_text())
    (folder / "final.json").write_text(json.dumps({**final, "scheduler_id": "101"}))     # as earlier versions wrote it
    assert new_client().job(job.id).scheduler_id == "100"


def test_that_memory_is_told_with_the_limit_of_the_step_that_used_it(service: JobService, spec: JobSpec,
                                                                     slurm: FakeSlurm) -> None:
    job = service.submit(replace(spec, step_resources={"merge": Resources(memory_mb=700)}))
    folder = Path(job.folder)
    for task in range(1, 5):
        slurm.end_task("100", task, "COMPLETED")
        status(job, "ended", 0, stem=f".{task}")
        (folder / f"usage.{task}.json").write_text('{"memory_mb": 1, "most_mb": 400, "time": 1}')
    slurm.set("101", state="RUNNING", reason="None", start="1795343001")
    status(job, "started", None, "101", stem="-2")
    each = service.job(job.id)
    assert (each.memory_mb, each.memory_limit_mb) == (400.0, 1001.0), "merge has used nothing that is known"
    (folder / "usage-2.json").write_text('{"memory_mb": 350, "most_mb": 350, "time": 1}')
    merge = service.job(job.id)
    assert (merge.memory_mb, merge.memory_limit_mb) == (350.0, 700.0), "half of its limit, which is more than 40 %"


def test_that_failed_tasks_are_named_with_their_reasons_and_the_log_of_one(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    folder = Path(job.folder)
    (folder / "job.2.log").write_text("frame 11\nTraceback (most recent call last):\n"
                                      "  File \"run.py\", line 3, in run\n"
                                      "ValueError: the mask is of another shape\nframe 12\n")
    for task, (state, code, rc) in enumerate([("COMPLETED", "0:0", 0), ("FAILED", "7:0", 7), ("FAILED", "7:0", 7),
                                              ("OUT_OF_MEMORY", "0:125", None)], 1):
        slurm.end_task("100", task, state, code)
        status(job, "started" if rc is None else "ended", rc, stem=f".{task}")
    (folder / "usage.4.json").write_text('{"memory_mb": 900, "most_mb": 990, "time": 1}')
    slurm.end("101", "CANCELLED", reason="DependencyNeverSatisfied", start="None")
    failed = service.job(job.id)
    assert failed.state is JobState.FAILED
    assert failed.reason == ("step 1 of 2, Each frame: 3 of 4 tasks failed: exit code 7 (tasks 2, 3); the memory limit "
                             "was exceeded (990 MB used when last measured, 1 GB allowed) (task 4)")
    assert "ValueError: the mask is of another shape" in failed.last_lines
    assert (failed.exit_code, failed.parts[4].state) == (7, JobState.CANCELLED)
    slurm.set("100", past=False)
    again = new_client().job(job.id)
    assert replace(again, as_of=None) == replace(failed, as_of=None)
    assert service.log(job.id, 1) == "frame 12\n"
    assert service.log(job.id, part=JobPart("each", 4, JobState.FAILED)) == ""


@pytest.mark.parametrize(("state", "reason", "cancelled", "words"), [
    ("CANCELLED", "DependencyNeverSatisfied", False, "the job it waited for did not succeed"),
    ("CANCELLED", "Dependency", False, "the job it waited for did not succeed"),
    ("CANCELLED", "None", False, "the job it waited for did not succeed"),
    ("CANCELLED", "Priority", False, "the job it waited for did not succeed"),
    ("CANCELLED", "None", True, "cancelled"),
    ("CANCELLED by 1001", "Dependency", False, "cancelled outside of Beamside"),
    ("CANCELLED by 1001", "Dependency", True, "cancelled"),
    ("CANCELLED by 0", "None", False, "cancelled by the facility")])
def test_that_a_step_given_up_by_the_batch_system_is_told_from_one_that_somebody_cancelled(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, state: str, reason: str, cancelled: bool,
        words: str) -> None:
    """The history keeps the last reason to wait: none where the step before had failed before this one waited."""
    job = service.submit(spec)
    if cancelled:
        service.cancel(job.id)
    for task in range(1, 5):
        slurm.end_task("100", task, "FAILED", "7:0")
    slurm.end("101", state, reason=reason, start="None")
    assert service.job(job.id).parts[4].reason == words


def test_that_a_command_that_waits_waits_for_what_is_left_of_a_failed_job(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only then can its failed parts run again."""
    job = service.submit(spec)
    for task in range(1, 5):
        slurm.end_task("100", task, "FAILED" if task == 4 else "COMPLETED", "7:0" if task == 4 else "0:0")
    failed = service.job(job.id)
    assert (failed.state, failed.parts[4].state, failed.unfinished) == (JobState.FAILED, JobState.QUEUED, ())
    look = service.job

    def later(job_id: str) -> Job:
        slurm.end("101", "CANCELLED", reason="Dependency", start="None")
        return look(job_id)
    monkeypatch.setattr(service, "job", later)
    monkeypatch.setattr("app.commands.submitting.SOONEST_S", 0.0)
    told: list[str] = []
    context = SimpleNamespace(output=SimpleNamespace(event=lambda name, fields, text: told.append(text)))
    ended = follow(service, failed, context)        # type: ignore[arg-type]
    assert [part.state for part in ended.parts[3:]] == [JobState.FAILED, JobState.CANCELLED]
    assert len(ended.unfinished) == 2


def test_that_a_half_failed_array_that_still_runs_is_running_and_says_so(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.end_task("100", 1, "COMPLETED")
    status(job, "ended", 0, stem=".1")
    slurm.end_task("100", 2, "FAILED", "3:0")
    status(job, "ended", 3, stem=".2")
    slurm.set_task("100", 3, state="RUNNING", reason="None", start="1795343001")
    seen = service.job(job.id)
    assert (seen.state, seen.reason) == (
        JobState.RUNNING, "step 1 of 2, Each frame: 1 of 4 tasks done, 1 failed: exit code 3 (task 2), 1 waits")
    assert slurm.calls("sacct") == 0, "the tasks' own records tell enough while others run"


def test_that_a_task_that_vanished_is_asked_for_while_others_run(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.set_task("100", 2, state="RUNNING", reason="None", start="1795343001")
    service.job(job.id)
    slurm.end_task("100", 2, "NODE_FAIL", "1:0")
    seen = until(service, job, lambda j: "a node failed" in j.reason)
    assert "1 failed: a node failed (task 2)" in seen.reason


def test_that_a_requeued_job_says_so(service: JobService, scan: Path, slurm: FakeSlurm) -> None:
    job = service.submit(JobSpec("near", "chain", (str(scan),), {}))
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    status(job, "started", None)
    service.job(job.id)
    slurm.set("100", state="PENDING", reason="Resources", start="Unknown")
    seen = service.job(job.id)
    assert seen.state is JobState.QUEUED
    assert seen.reason == "put back into the queue after it had started: waiting for free nodes (Resources)"


def test_that_cancelling_a_chain_ends_all_of_it(service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    service.cancel(job.id)
    assert slurm.argv("scancel") == [["100", "101"]]
    seen = until(service, job, lambda j: j.state is JobState.CANCELLED)
    assert seen.reason.startswith("step 1 of 2, Each frame: 4 of 4 tasks were cancelled")


# -- Waiting for other jobs, trials, repetitions ----------------------------------------------------------------------

def test_that_a_job_waits_for_the_last_step_of_others(service: JobService, spec: JobSpec, scan: Path,
                                                      slurm: FakeSlurm) -> None:
    first = service.submit(spec)
    second = service.submit(JobSpec("near", "chain", (str(scan),), {}))
    job = service.submit(replace(spec, extents=(), after=(first.id, second.id)))
    assert slurm.job(job.scheduler_id)["after"] == ["101", "102"]
    assert service.job(job.id).after == (first.id, second.id)


def test_that_what_nobody_can_wait_for_is_refused_in_one_sentence(service: JobService, spec: JobSpec,
                                                                  slurm: FakeSlurm) -> None:
    first = service.submit(spec)
    with pytest.raises(SubmissionRefusedError, match="no job nobody"):
        service.prepare(replace(spec, after=("nobody",)))
    slurm.end("100", "COMPLETED")
    slurm.end("101", "COMPLETED")
    until(service, first, lambda j: j.state is JobState.COMPLETED)
    assert service.prepare(replace(spec, after=(first.id,))).after == ()
    bad = service.submit(spec)
    slurm.end("102", "FAILED", "1:0")
    slurm.end("103", "CANCELLED")
    until(service, bad, lambda j: j.state is JobState.FAILED)
    with pytest.raises(SubmissionRefusedError, match="has not succeeded"):
        service.prepare(replace(spec, after=(bad.id,)))


def test_that_a_trial_is_one_short_job_with_a_place_for_questions(service: JobService, spec: JobSpec,
                                                                  slurm: FakeSlurm) -> None:
    job = service.submit(replace(spec, kind=JobKind.TRIAL))
    folder = Path(job.folder)
    assert (job.kind, slurm.numbers()) == (JobKind.TRIAL, ["100"])
    assert (folder / "trial" / "questions").read_text() == ""
    assert "BEAMSIDE_STEP=trial" in (folder / "job.sh").read_text()
    assert "--time=15" in (folder / "job.sh").read_text()
    slurm.end("100", "COMPLETED")
    done = until(service, job, lambda j: j.state is JobState.COMPLETED)
    assert (done.kind, done.outputs) == (JobKind.TRIAL, ())


def test_that_a_recipe_without_a_trial_cannot_be_tried(profile: SiteProfile, link: FakeLink, slurm: FakeSlurm,
                                                       chain: Recipe, scan: Path) -> None:
    service = JobService(profile, lambda: link, {"chain": replace(chain, trial=None)})
    with pytest.raises(RecipeError, match="cannot be tried"):
        service.prepare(JobSpec("near", "chain", (str(scan),), {}, kind=JobKind.TRIAL))


def test_that_a_job_is_repeated_with_what_it_was_asked_with(service: JobService, new_client: Callable[[], JobService],
                                                            spec: JobSpec, slurm: FakeSlurm) -> None:
    asked = replace(spec, name="first try", tasks=3, resources=Resources(cpus=3),
                    step_resources={"merge": Resources(memory_mb=700)})
    job = service.submit(asked)
    found = new_client().spec_of(job.id)
    assert found == replace(asked, again=job.id)
    draft = service.prepare(replace(found, resources=Resources(cpus=4)))
    assert (draft.spec.again, draft.steps[0].resources.cpus, draft.steps[0].tasks) == (job.id, 4, 3)
    assert draft.steps[1].resources.memory_mb == 700
    again = service.submit(draft)
    assert json.loads((Path(again.folder) / "job.json").read_text())["again"] == job.id


def test_that_a_lost_link_is_no_reason_to_repeat_without_a_record(service: JobService, spec: JobSpec,
                                                                  link: FakeLink) -> None:
    job = service.submit(spec)
    link.breaks = ["before"]
    with pytest.raises(LinkLostError):
        service.spec_of(job.id)
