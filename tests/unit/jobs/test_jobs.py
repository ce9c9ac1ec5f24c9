"""Jobs are submitted once, followed truthfully and found again, whatever breaks in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from app.errors import (
    HostKeyChangedError,
    LinkLostError,
    NotFoundError,
    PermissionError_,
    RecipeError,
    SchedulerUnavailableError,
    SubmissionRefusedError,
    UnknownJobError,
)
from app.model.jobs import JobSpec, JobState, Resources
from app.model.site import LOCAL, BatchSettings, DataSettings, SiteProfile
from app.recipes.catalogue import shipped_recipes
from app.remote.jobs import store as job_store
from app.remote.jobs import truth
from app.remote.jobs.draft import Draft
from app.remote.jobs.place import home_folder, job_place
from app.remote.jobs.service import JobService
from app.remote.local_transport import LocalTransport
from app.remote.seams import CommandResult
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink, status, until
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")

GEOMETRY = {"distance": 1.5, "beam_x": 7.0, "beam_y": 5.0, "pixel_size": 100.0, "wavelength": 1.0}


@pytest.fixture
def spec(scan: Path) -> JobSpec:
    return JobSpec("near", "azimuthal-integration", (f"{scan}::/entry/data",), dict(GEOMETRY))


# -- Before a submission ----------------------------------------------------------------------------------------------

def test_that_a_draft_shows_the_script_and_creates_nothing(service: JobService, spec: JobSpec, tmp_path: Path) -> None:
    draft = service.prepare(spec)
    assert draft.folder == PurePosixPath(f"{tmp_path}/visitor/mx1/id30/PROCESSED_DATA/beamside/{draft.id}")
    assert "module load x\nset +eu\n" in draft.script
    assert "\neval 'module load pyfai' || exit\n" in draft.script
    assert f"--job-name=beamside-{draft.id}" in draft.script
    assert draft.parameters["distance"] == 1.5
    assert "npt" in draft.parameters
    assert not (tmp_path / "visitor/mx1/id30/PROCESSED_DATA").exists()


def test_that_a_visit_that_cannot_be_written_sends_the_job_home() -> None:
    data = DataSettings(roots=("/data/visitor/{proposal}/{beamline}/{date}",))
    home = PurePosixPath("/home/me")
    inside = PurePosixPath("/data/visitor/p/b/d/RAW_DATA/x.h5")
    assert job_place(home, data, inside).folder == PurePosixPath("/data/visitor/p/b/d/PROCESSED_DATA/beamside")
    assert job_place(home, data, PurePosixPath("/elsewhere/x.h5")).folder == home_folder(home)
    assert job_place(home, data, PurePosixPath("/data/visitor/p/x.h5")).folder == home_folder(home)


@pytest.mark.parametrize(("change", "kind", "words"), [
    ({"recipe": "magic"}, RecipeError, "no recipe “magic”"),
    ({"parameters": {"npt": 0}}, RecipeError, "the least is 2"),
    ({"inputs": ()}, RecipeError, "at least 1 input"),
    ({"inputs": ("/gone/scan.h5",)}, NotFoundError, "/gone/scan.h5"),
    ({"parameters": {"mask": "~/gone.npy"}}, NotFoundError, "gone.npy"),
    ({"resources": Resources(partition="nope")}, SubmissionRefusedError, "“nope” does not exist"),
    ({"resources": Resources(time_limit_min=90)}, SubmissionRefusedError, "above the 60 min"),
    ({"resources": Resources(account="a\nb")}, SubmissionRefusedError, "cannot be the account"),
])
def test_that_what_is_wrong_is_said_before_anything_is_created(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, change: dict[str, object], kind: type[Exception],
        words: str) -> None:
    with pytest.raises(kind) as caught:
        service.submit(JobSpec(**{**vars(spec), **change}))
    assert words in str(caught.value)
    assert slurm.numbers() == []


def test_that_a_site_without_batch_system_says_so(spec: JobSpec) -> None:
    service = JobService(LOCAL, LocalTransport, shipped_recipes())
    assert not service.available
    assert "no batch system" in service.why_unavailable
    assert service.jobs() == []
    with pytest.raises(SchedulerUnavailableError):
        service.submit(spec)


# -- Submission -------------------------------------------------------------------------------------------------------

def test_that_a_submitted_job_has_a_complete_folder_and_is_in_the_index(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, own_home: Path) -> None:
    job = service.submit(spec)
    assert (job.state, job.scheduler_id) == (JobState.QUEUED, "100")
    folder = Path(job.folder)
    assert {"job.sh", "run.py", "parameters.json", "job.json", "submitted"} <= {p.name for p in folder.iterdir()}
    assert json.loads((folder / "parameters.json").read_text())["parameters"]["distance"] == 1.5
    assert (own_home / ".local/share/beamside/jobs" / job.id).read_text() == f"{folder}\n"
    assert slurm.numbers() == ["100"]
    assert not [p for p in folder.parent.iterdir() if p.name != job.id]


@pytest.mark.parametrize("evil", ["$(touch {0}/owned)", "'; touch {0}/owned; '", "`touch {0}/owned`", "-rf {0}"])
def test_that_nothing_a_user_types_is_run(service: JobService, spec: JobSpec, slurm: FakeSlurm, tmp_path: Path,
                                          evil: str) -> None:
    raw = tmp_path / "visitor/mx1/id30/RAW_DATA"
    name = evil.format("x").replace("/", "_")
    (raw / name).write_bytes(b"")
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / name).write_bytes(b"")
    job = service.submit(JobSpec("near", "azimuthal-integration", (f"{raw}/{name}::/{evil.format(tmp_path)}",),
                                 {**GEOMETRY, "mask": f"{tmp_path}/masks/{name}"}, name=evil.format(tmp_path)))
    assert job.scheduler_id == "100"
    assert service.job(job.id).name == evil.format(tmp_path)
    script = (Path(job.folder) / "job.sh").read_text()
    assert evil.format(tmp_path) not in script
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("breaks", [["before"], ["within"], ["after"], ["within", "after", "before"],
                                    ["after", *["before"] * 6]])
def test_that_a_link_lost_during_submission_makes_exactly_one_job(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink, breaks: list[str]) -> None:
    draft = service.prepare(spec)
    link.breaks = breaks
    job = service.submit(draft)
    assert job.scheduler_id == "100"
    assert slurm.numbers() == ["100"]
    assert [j.id for j in service.jobs()] == [draft.id]
    assert not [p for p in Path(draft.folder).parent.iterdir() if p.name != draft.id]


def test_that_a_link_that_stays_lost_leaves_a_draft_that_can_be_submitted_again(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.remote.jobs.submission._PATIENCE_S", 1.5)
    draft = service.prepare(spec)
    link.breaks = ["after", *["before"] * 30]
    with pytest.raises(LinkLostError, match=f"while the job {draft.id} was submitted") as caught:
        service.submit(draft)
    assert "makes no second one" in caught.value.remedy
    link.breaks = []
    assert service.submit(draft).scheduler_id == "100"
    assert slurm.numbers() == ["100"]


def test_that_a_lost_submission_without_a_draft_warns_of_a_second_job(
        service: JobService, spec: JobSpec, link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.remote.jobs.submission._PATIENCE_S", 0.0)
    prepare = service.prepare

    def prepared_before_the_link_broke(spec: JobSpec) -> Draft:
        draft = prepare(spec)
        link.breaks = ["before"] * 3
        return draft

    monkeypatch.setattr(service, "prepare", prepared_before_the_link_broke)
    with pytest.raises(LinkLostError) as caught:
        service.submit(spec)
    assert caught.value.remedy == "Look for it in the list of jobs before you submit again: that would be another job."


def test_that_another_host_key_ends_a_submission_at_once(service: JobService, spec: JobSpec, link: FakeLink,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    draft = service.prepare(spec)

    def refuse(*_: object, **__: object) -> CommandResult:
        raise HostKeyChangedError("Another key.")

    monkeypatch.setattr(link, "run", refuse)
    with pytest.raises(HostKeyChangedError):
        service.submit(draft)


def test_that_a_draft_submitted_twice_is_one_job(service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    draft = service.prepare(spec)
    assert service.submit(draft).scheduler_id == service.submit(draft).scheduler_id == "100"
    assert slurm.numbers() == ["100"]


def test_that_a_submitter_killed_before_it_noted_the_id_leaves_a_job_that_is_found_by_name(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    (Path(job.folder) / "submitted").unlink()
    assert new_client().job(job.id).scheduler_id == "100"
    assert (Path(job.folder) / "submitted").read_text() == "100\n"


@pytest.mark.parametrize("when", ["before", "after"])
def test_that_a_killed_submission_command_is_no_refusal(service: JobService, spec: JobSpec, slurm: FakeSlurm, when: str,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_store, "_SUBMIT", job_store._SUBMIT.replace("-ge 25", "-ge 1"))   # who waits in vain
    slurm.fails("sbatch", "Killed", "137" if when == "before" else "+137")
    job = service.submit(spec)
    slurm.works("sbatch")
    assert (job.state, job.scheduler_id) == (JobState.CREATED, None)
    assert service.job(job.id).scheduler_id == (None if when == "before" else "100")


def test_that_such_a_job_is_also_found_in_the_history_or_by_its_own_status(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    (Path(job.folder) / "submitted").unlink()
    slurm.end("100", "COMPLETED")
    assert new_client().job(job.id).state is JobState.COMPLETED
    (Path(job.folder) / "final.json").unlink()
    (Path(job.folder) / "submitted").unlink(missing_ok=True)
    slurm.set("100", past=False)
    status(job, "ended", 0, scheduler_id="100")
    assert new_client().job(job.id).scheduler_id == "100"


def test_that_a_folder_that_never_reached_the_batch_system_says_so(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm,
        monkeypatch: pytest.MonkeyPatch) -> None:
    job = service.submit(spec)
    (Path(job.folder) / "submitted").unlink()
    (slurm.root / "jobs" / "100.json").unlink()
    assert new_client().job(job.id).reason == "being submitted"
    said = json.loads((Path(job.folder) / "job.json").read_text())
    (Path(job.folder) / "job.json").write_text(json.dumps({**said, "created": 1.0}))
    assert new_client().job(job.id).reason == "being submitted", "the clock that noted the time may be hours off"
    monkeypatch.setattr(truth, "_KNOWN_LONG_S", 0.0)
    found = new_client().job(job.id)
    assert found.state is JobState.CREATED
    assert "did not reach" in found.reason


def test_that_a_refusal_is_the_schedulers_sentence_and_leaves_nothing(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Invalid account or account/partition combination"
                          " specified\n")
    draft = service.prepare(spec)
    with pytest.raises(SubmissionRefusedError, match="account"):
        service.submit(draft)
    assert not Path(draft.folder).exists()
    assert service.jobs() == []
    slurm.works("sbatch")
    assert service.submit(draft).scheduler_id == "100"


def test_that_a_scheduler_that_answers_too_late_makes_no_second_job(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", "+1")
    job = service.submit(spec)
    assert (job.scheduler_id, slurm.numbers()) == ("100", ["100"])
    assert service.job(job.id).state is JobState.QUEUED


def test_that_a_scheduler_that_is_down_is_told_in_one_sentence(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    slurm.fails("sbatch", "sbatch: error: Batch job submission failed: Unable to contact slurm controller")
    with pytest.raises(SchedulerUnavailableError):
        service.submit(spec)
    assert service.jobs() == []


def test_that_a_visit_without_write_permission_is_refused_or_avoided(
        service: JobService, spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    (tmp_path / "visitor/mx1/id30/PROCESSED_DATA").write_text("a file where a folder should be")
    draft = service.prepare(spec)
    assert draft.folder.parent == PurePosixPath(own_home) / "beamside-jobs"
    draft = type(draft)(**{**vars(draft), "folder": PurePosixPath("/proc/nowhere") / draft.id})
    with pytest.raises(Exception, match=r"job's folder") as caught:
        service.submit(draft)
    assert isinstance(caught.value, PermissionError_) or "could not be written" in str(caught.value)


# -- Following --------------------------------------------------------------------------------------------------------

def test_that_a_job_goes_from_queued_to_completed_and_names_its_output(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    assert service.job(job.id).reason == "other jobs come first (Priority)"
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    (Path(job.folder) / "progress.json").write_text('{"done": 3, "total": 12, "unit": "frames"}')
    running = service.job("100")
    assert (running.state, running.progress, running.progress_text) == (JobState.RUNNING, 0.25, "3 of 12 frames")
    slurm.end("100", "COMPLETED")
    done = service.job(job.id)
    assert (done.state, done.exit_code, done.ended) == (JobState.COMPLETED, 0, 1795343009.0)
    assert done.outputs == (f"near:{job.folder}/result.h5::/entry/reduced",)


def test_that_a_failure_keeps_its_reason_and_last_lines_when_the_batch_system_forgets(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    (Path(job.folder) / "job.log").write_text("line 1\nThe mask has 3 × 4 pixels.\n")
    status(job, "ended", 7)
    slurm.end("100", "FAILED", "7:0")
    failed = service.job(job.id)
    assert (failed.state, failed.exit_code, failed.reason) == (JobState.FAILED, 7, "exit code 7")
    assert failed.last_lines[-1] == "The mask has 3 × 4 pixels."
    slurm.set("100", past=False)
    again = new_client().job(job.id)
    assert (again.reason, again.last_lines, again.ended) == (failed.reason, failed.last_lines, failed.ended)
    assert service.log(job.id, 1) == "The mask has 3 × 4 pixels.\n"


def test_that_one_list_serves_all_jobs_and_the_history_is_asked_only_for_those_that_left(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink) -> None:
    for _ in range(3):
        service.submit(spec)
    service.jobs()
    assert (slurm.calls("squeue"), slurm.calls("sacct")) == (1, 0)
    slurm.end("101", "COMPLETED")
    service.jobs()
    assert (slurm.calls("squeue"), slurm.calls("sacct")) == (2, 1)
    before = link.commands
    service.jobs()
    assert (slurm.calls("squeue"), slurm.calls("sacct")) == (3, 1)
    assert link.commands - before == 2


def test_that_another_client_of_the_same_user_sees_the_same_jobs(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec) -> None:
    first, second = service.submit(spec), new_client().submit(spec)
    assert {j.id for j in service.jobs()} == {j.id for j in new_client().jobs()} == {first.id, second.id}


@pytest.mark.parametrize(("fault", "command"), [("link", ""), ("words", "squeue")])
def test_that_a_failed_look_leaves_what_was_last_known(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink, fault: str, command: str) -> None:
    job = service.submit(spec)
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    seen = service.job(job.id)
    if fault == "link":
        link.breaks = ["before"]
    else:
        slurm.fails(command, "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    (last,) = service.jobs()
    assert (last.state, last.as_of) == (JobState.RUNNING, seen.as_of)
    assert last.stale
    if fault == "words":
        slurm.works(command)
    (now,) = service.jobs()
    assert not now.stale


def test_that_a_restarted_client_and_a_scheduler_that_is_down_is_no_failed_job(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.fails("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    (seen,) = new_client().jobs()
    assert (seen.id, seen.state) == (job.id, JobState.QUEUED)
    assert "does not answer" in seen.stale


@pytest.mark.parametrize(("code", "log", "state", "words"), [
    (0, "", JobState.COMPLETED, ""),
    (7, "", JobState.FAILED, "exit code 7"),
    (143, "slurmstepd: error: *** JOB 100 ON cn1 CANCELLED AT 2026-11-22T10:00:00 DUE TO TIME LIMIT ***\n",
     JobState.FAILED, "the time limit was reached"),
    (143, "slurmstepd: error: *** JOB 100 ON cn1 CANCELLED AT 2026-11-22T10:00:00 ***\n", JobState.CANCELLED,
     "cancelled outside of Beamside"),
    (None, "slurmstepd: error: Detected 1 oom_kill event in StepId=100.batch.\n", JobState.FAILED,
     "the memory limit was exceeded ({} GB allowed)"),
])
def test_that_without_accounting_the_jobs_own_record_tells_the_end(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm, code: int | None,
        log: str, state: JobState, words: str) -> None:
    job = service.submit(spec)
    slurm.fails("sacct", "Slurm accounting storage is disabled\n")
    slurm.set("100", live=False)
    status(job, "started" if code is None else "ended", code)
    (Path(job.folder) / "job.log").write_text(log)
    seen = new_client().job(job.id)
    assert (seen.state, seen.reason) == (state, words.format((seen.memory_limit_mb or 0) / 1000).replace(".0 ", " "))
    if code is not None:
        assert (seen.exit_code, seen.node, seen.ended) == (code, "cn7", 1795343009.0)


def test_that_a_job_gone_without_a_trace_is_unknown_and_not_failed(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.set("100", live=False, past=False)
    status(job, "started", None)
    seen = new_client().job(job.id)
    assert seen.state is JobState.UNKNOWN
    assert "left no end" in seen.reason


def test_that_a_history_that_lags_behind_does_not_end_the_story(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.fails("sacct", "sacct: error: slurmdbd: connection refused")
    slurm.set("100", state="FAILED", reason="NonZeroExitCode")
    status(job, "ended", 3)
    seen = service.job(job.id)
    assert (seen.state, seen.exit_code, seen.reason) == (JobState.FAILED, 3, "exit code 3")
    slurm.works("sacct")
    slurm.end("100", "FAILED", "3:0")
    until(service, job, lambda j: j.ended == 1795343009.0)


def test_that_a_job_that_has_just_left_is_ending_until_its_exit_is_known(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.set("100", state="FAILED", reason="NonZeroExitCode", past=False)
    assert (service.job(job.id).state, service.job(job.id).reason) == (JobState.RUNNING, "ending")
    slurm.set("100", past=True, code="0:11")
    until(service, job, lambda j: j.reason == "stopped by signal 11 (segmentation fault)")


def test_that_a_waiting_job_that_was_cancelled_is_so_at_once(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.set("100", state="CANCELLED", past=False)
    assert service.job(job.id).state is JobState.CANCELLED


@pytest.mark.parametrize(("own", "code", "signal", "words"), [
    (137, 137, 9, "exit code 137 (killed)"), (9, 9, None, "exit code 9"), (None, 9, None, "exit code 9")])
def test_that_a_code_that_the_history_made_smaller_is_told_as_it_was(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, own: int | None, code: int,
        signal: int | None, words: str) -> None:
    """Slurm's history prints 137 as 9."""
    job = service.submit(spec)
    status(job, "started" if own is None else "ended", own)
    slurm.end("100", "FAILED", "9:0")
    seen = service.job(job.id)
    assert (seen.exit_code, seen.signal, seen.reason) == (code, signal, words)


@pytest.mark.parametrize(("said", "own", "code", "signal"), [
    ("139:0", 139, 139, 11), ("11:0", 139, 139, 11), ("0:11", 139, None, 11), ("139:0", None, 139, None),
    ("3:0", 3, 3, None), ("200:0", 200, 200, None)])
def test_that_a_signal_that_the_jobs_own_record_tells_is_a_signal(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, said: str, own: int | None, code: int | None,
        signal: int | None) -> None:
    job = service.submit(spec)
    status(job, "started" if own is None else "ended", own)
    slurm.end("100", "FAILED", said)
    seen = service.job(job.id)
    assert (seen.exit_code, seen.signal) == (code, signal)


def test_that_a_history_that_lost_the_code_does_not_lose_it_for_us(service: JobService, spec: JobSpec,
                                                                   slurm: FakeSlurm) -> None:
    """As real Slurm has it for a job that ended while its accounting was away."""
    job = service.submit(spec)
    status(job, "ended", 7)
    slurm.end("100", "FAILED", "0:0")
    seen = service.job(job.id)
    assert (seen.exit_code, seen.reason) == (7, "exit code 7")


@pytest.mark.parametrize(("own", "log", "words"), [
    ("started", "slurmstepd: error: Exceeded job memory limit\n", "the memory limit was exceeded"),
    ("started", "begun\n", "it was killed before it could note its end"),
    ("", "", "it could not be started on its node")])
def test_that_a_failure_seen_in_passing_has_a_reason_where_there_is_no_history(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, own: str, log: str, words: str) -> None:
    """The list calls a script that was killed a launch failure, without a code; then it forgets the job."""
    slurm.fails("sacct", "Slurm accounting storage is disabled")
    job = service.submit(spec)
    if own:
        status(job, own, None)
    (Path(job.folder) / "job.log").write_text(log)
    slurm.set("100", state="FAILED", reason="JobLaunchFailure", past=False)
    seen = until(service, job, lambda j: j.state is JobState.FAILED)
    assert seen.reason.startswith(words)
    assert (Path(job.folder) / "final.json").exists()


def test_that_an_id_used_again_for_a_foreign_job_is_not_ours(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.set("100", name="somebody-elses", state="FAILED", code="1:0")
    status(job, "ended", 0)
    assert service.job(job.id).state is JobState.COMPLETED


def test_that_a_cancelled_job_says_cancelled(service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    seen = service.cancel(job.id)
    assert (seen.state, seen.reason) == (JobState.CANCELLED, "cancelled")
    assert service.cancel(job.id).state is JobState.CANCELLED
    assert slurm.calls("scancel") == 1


def test_that_a_job_nobody_has_is_unknown(service: JobService) -> None:
    with pytest.raises(UnknownJobError, match="no job 999"):
        service.job("999")


def test_that_the_profile_chooses_among_the_partitions(service: JobService, slurm: FakeSlurm, link: FakeLink,
                                                       profile: SiteProfile) -> None:
    assert [p.name for p in service.partitions()] == ["debug", "long"]
    chosen = SiteProfile("near", batch=BatchSettings("slurm", partitions=("long",)))
    assert [p.name for p in JobService(chosen, lambda: link, {}).partitions()] == ["long"]


def test_that_a_login_shell_is_used_where_the_profile_asks_for_it(
        slurm: FakeSlurm, link: FakeLink, spec: JobSpec, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_home / ".bash_profile").write_text(f"echo Welcome; export PATH={slurm.root}/bin:$PATH\n")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    service = JobService(SiteProfile("near", batch=BatchSettings("slurm", login_shell=True)), lambda: link,
                         shipped_recipes())
    job = service.submit(spec)
    assert job.scheduler_id == "100"
    assert service.job(job.id).state is JobState.QUEUED
