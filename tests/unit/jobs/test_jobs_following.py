"""Following many jobs with few calls; jobs started by hand; folders that vanish; full disks; what a failure says."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest

from app.errors import BatchError, UnknownJobError
from app.model.jobs import Job, JobSpec, JobState
from app.remote.jobs import following, history_questions
from app.remote.jobs.history_questions import HistoryQuestions
from app.remote.jobs.pace import Pace
from app.remote.jobs.service import JobService
from app.remote.jobs.store import LogTail
from app.remote.scheduler.states import JobRow
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink, status, until
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")


@pytest.fixture
def spec(scan: Path) -> JobSpec:
    return JobSpec("near", "chain", (str(scan),), {})


def known_jobs(home: Path, slurm: FakeSlurm, count: int) -> list[str]:
    """Folders, index and queue of jobs that were submitted earlier, without submitting each."""
    index, ids = home / ".local/share/beamside/jobs", []
    index.mkdir(parents=True)
    for number in range(count):
        job_id = f"20261101-{number:06}-{number:06x}"
        folder = home / "beamside-jobs" / job_id
        folder.mkdir(parents=True)
        (index / job_id).write_text(f"{folder}\n")
        (folder / "job.json").write_text(json.dumps({"id": job_id, "name": "n", "recipe": "chain", "version": "1",
                                                     "created": time.time() - 500, "steps": [
                                                         {"name": "run", "tasks": 0, "resources": {}}]}))
        (folder / "submitted").write_text(f"{number + 1000}\n")
        (slurm.root / "jobs" / f"{number + 1000}.json").write_text(json.dumps(
            {"name": f"beamside-{job_id}", "state": "PENDING", "reason": "Priority", "code": "0:0", "live": True,
             "past": True, "folder": str(folder), "start": "Unknown", "end": "Unknown", "after": [], "tasks": 0,
             "of": {}}))
        ids.append(job_id)
    return ids


def test_that_a_thousand_jobs_cost_one_list_a_look_and_no_history(
        service: JobService, slurm: FakeSlurm, link: FakeLink, own_home: Path) -> None:
    ids = known_jobs(own_home, slurm, 1000)
    assert len(service.jobs()) == 1000
    for look in range(1, 4):
        before = link.commands
        assert {job.id for job in service.jobs()} == set(ids)
        assert link.commands - before == 2, "the folders and the list"
        assert (slurm.calls("squeue"), slurm.calls("sacct")) == (look + 1, 0)
    slurm.end("1500", "COMPLETED")
    done = until(service, service.job(ids[500]), lambda j: j.state.ended)
    assert done.state is JobState.COMPLETED
    looks, asked = slurm.calls("squeue"), slurm.argv("sacct")
    assert len(asked) == 1, "for the one that left"
    assert asked[0][asked[0].index("-j") + 1] == "1500"
    service.jobs()
    assert (slurm.calls("squeue"), slurm.calls("sacct")) == (looks + 1, 1)


def test_that_a_look_at_unchanged_folders_sends_next_to_nothing(
        service: JobService, slurm: FakeSlurm, link: FakeLink, own_home: Path) -> None:
    ids = known_jobs(own_home, slurm, 50)
    for job_id in ids:      # files that did not change for long
        for path in (own_home / "beamside-jobs" / job_id).iterdir():
            os.utime(path, (1, 1))
    service.jobs()
    sent: list[int] = []
    run = link.run

    def counting(*arguments: object, **more: object) -> object:
        result = run(*arguments, **more)  # type: ignore[arg-type]
        sent.append(len(result.stdout))
        return result
    link.run = counting  # type: ignore[method-assign, assignment]
    service.jobs()
    assert sent[0] < 100
    (own_home / "beamside-jobs" / ids[7] / "progress.json").write_text('{"done": 1, "total": 4, "unit": "frames"}')
    assert service.job(ids[7]).progress == 0.25


def test_that_the_records_of_hundreds_of_tasks_come_with_one_command(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, link: FakeLink) -> None:
    from app.model.jobs import InputExtent
    job = service.submit(replace(spec, extents=(InputExtent((2000, 10, 10), 1),), tasks=200))
    service.jobs()
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    for task in range(1, 201):
        status(job, "ended" if task <= 150 else "started", 0 if task <= 150 else None, stem=f".{task}")
    before = link.commands
    seen = service.job(job.id)
    assert link.commands - before == 2
    assert len(seen.parts) == 201
    assert service.job(job.id).progress_text == "step 1 of 2: 0 of 200 tasks", "the list says that all run"


def test_that_a_history_that_lags_is_asked_more_and_more_rarely() -> None:
    now = [100.0]
    questions = HistoryQuestions(lambda: now[0])
    times = []
    for _ in range(2000):
        if questions.due(["a"]):
            times.append(now[0] - 100.0)
            questions.asked(["a"])
        now[0] += 1.0
    assert times[:6] == [0.0, 1.0, 3.0, 7.0, 15.0, 31.0]
    assert max(b - a for a, b in pairwise(times)) == 300.0
    questions.due([])
    assert questions.due(["a"]) == ["a"], "another absence is another question"
    questions.none_kept()
    assert questions.due(["b"]) == []
    assert not questions.kept
    now[0] += history_questions._NO_HISTORY_S
    assert questions.due(["b"]) == ["b"]


def test_that_looks_are_quick_after_a_submission_slow_when_nothing_happens_and_rare_when_it_fails() -> None:
    now = [0.0]
    pace = Pace(15.0, lambda: now[0])
    assert pace.next_look_s == 0.0
    pace.submitted()
    pace.looked(changed=True, active=True)
    assert pace.next_look_s == 5.0
    now[0] = 61.0
    pace.looked(changed=True, active=True)
    assert pace.next_look_s == 15.0
    waits = []
    for _ in range(6):
        pace.looked(changed=False, active=True)
        waits.append(pace.next_look_s)
    assert waits == [22.5, 33.75, 50.625, 60.0, 60.0, 60.0]
    waits = []
    for _ in range(7):
        pace.failed()
        waits.append(pace.next_look_s)
    assert waits == [30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0]
    pace.looked(changed=True, active=True, due_s=0.2)
    assert pace.next_look_s == 1.0
    pace.looked(changed=True, active=False)
    assert pace.next_look_s == 60.0


def test_that_the_service_says_when_the_next_look_is_useful(service: JobService, spec: JobSpec,
                                                            slurm: FakeSlurm) -> None:
    assert service.next_look_s == 0.0
    service.jobs()
    assert 50.0 < service.next_look_s <= 60.0
    service.submit(spec)
    service.jobs()
    assert 4.0 < service.next_look_s <= 5.0
    slurm.fails("squeue", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    service.jobs()
    assert service.next_look_s > 25.0


# -- What happens while we look ---------------------------------------------------------------------------------------

def just_before_the_list(service: JobService, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Something happens once the folders have been read, and before the list is."""
    events, rows = [happens], service._batch.rows

    def later() -> list[JobRow]:
        if events:
            events.pop()()
        return rows()
    monkeypatch.setattr(service._batch, "rows", later)


@pytest.mark.parametrize("seen_before", [False, True])
def test_that_a_job_that_ends_while_we_look_is_told_by_its_own_record(
        new_client: Callable[[], JobService], service: JobService, spec: JobSpec, slurm: FakeSlurm,
        monkeypatch: pytest.MonkeyPatch, seen_before: bool) -> None:
    """Without a history; a client that never saw it run has nothing else to go by."""
    slurm.fails("sacct", "Slurm accounting storage is disabled\n")
    job, client = service.submit(spec), new_client()
    status(job, "started", None)
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    if seen_before:
        assert client.job(job.id).state is JobState.RUNNING
    just_before_the_list(client, monkeypatch, lambda: (status(job, "ended", 7), slurm.set("100", live=False)))
    seen = client.job(job.id)
    assert (seen.state, seen.reason) == (JobState.FAILED, "exit code 7")


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("past", [False, True])
@pytest.mark.parametrize("seen_before", [False, True])
def test_that_a_cancellation_with_another_client_while_we_look_is_nobody_elses(
        new_client: Callable[[], JobService], service: JobService, spec: JobSpec, slurm: FakeSlurm,
        monkeypatch: pytest.MonkeyPatch, live: bool, past: bool, seen_before: bool) -> None:
    job, client = service.submit(spec), new_client()
    if seen_before:
        assert client.job(job.id).state is JobState.QUEUED
    just_before_the_list(client, monkeypatch, lambda: (service.cancel(job.id),
                                                       slurm.set("100", live=live, past=past)))
    ended = until(client, job, lambda j: j.state.ended)
    assert (ended.state, ended.reason) in ((JobState.CANCELLED, "cancelled"),
                                           (JobState.CANCELLED, "cancelled before it started"))


def test_that_a_job_that_starts_while_we_look_was_not_put_back(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list that we have is older than its record, which is read again since another job has ended."""
    other, job = service.submit(spec), service.submit(spec)
    service.jobs()
    slurm.end("100", "COMPLETED")
    rows = service._batch.rows

    def started_then() -> list[JobRow]:
        found = rows()
        status(job, "started", None)
        return found
    monkeypatch.setattr(service._batch, "rows", started_then)
    seen = {each.id: each for each in service.jobs()}
    assert seen[other.id].state is JobState.COMPLETED
    assert seen[job.id].state is JobState.QUEUED
    assert "put back" not in seen[job.id].reason


# -- Started by hand --------------------------------------------------------------------------------------------------

def test_that_jobs_started_by_hand_are_seen_cancelled_held_and_followed_to_their_end(
        service: JobService, slurm: FakeSlurm) -> None:
    slurm.by_hand("7", "my | odd \" name")
    slurm.by_hand("8", "waits", state="PENDING", reason="Priority", start="Unknown")
    slurm.by_hand("9", "beamside-agent-0123abcd")
    seen = {job.id: job for job in service.jobs()}
    assert set(seen) == {"7", "8"}
    assert (seen["7"].ours, seen["7"].name, seen["7"].state) == (False, "my | odd \" name", JobState.RUNNING)
    assert service.hold("8").state is JobState.HELD
    assert service.release("8").state is JobState.QUEUED
    slurm.end("7", "FAILED", "3:0")
    ended = until(service, seen["7"], lambda j: j.state.ended)
    assert (ended.state, ended.exit_code, ended.reason) == (JobState.FAILED, 3, "exit code 3")
    asked = slurm.calls("sacct")
    slurm.set("7", past=False)
    assert service.job("7").reason == "exit code 3", "kept for the session"
    assert slurm.calls("sacct") == asked
    assert until(service, service.cancel("8"), lambda j: j.state.ended).state is JobState.CANCELLED
    assert service.log("7") == ""
    with pytest.raises(UnknownJobError, match="not submitted with Beamside"):
        service.spec_of("7")


def test_that_a_job_that_has_ended_is_neither_held_nor_released_and_that_is_told(
        service: JobService, slurm: FakeSlurm) -> None:
    slurm.by_hand("7", "over soon")
    assert service.job("7").state is JobState.RUNNING
    slurm.end("7", "FAILED", "3:0")
    until(service, service.job("7"), lambda j: j.state.ended)
    for control, what in ((service.hold, "hold"), (service.release, "release")):
        with pytest.raises(BatchError) as caught:
            control("7")
        assert caught.value.summary == f"The job 7 has ended (failed), so there is nothing to {what}."
        assert caught.value.remedy == "The list of jobs says how it ended."


def test_that_an_array_started_by_hand_is_one_job_with_its_tasks(service: JobService, slurm: FakeSlurm) -> None:
    slurm.by_hand("7", "sweep", tasks=3)
    slurm.end_task("7", 2, "FAILED", "1:0", live=True)
    (job,) = service.jobs()
    assert (job.id, job.state, [p.task for p in job.parts]) == ("7", JobState.RUNNING, [1, 2, 3])
    assert job.reason.startswith("0 of 3 tasks done, 1 failed")


def test_that_a_job_by_hand_that_vanished_without_a_history_says_so(
        service: JobService, slurm: FakeSlurm) -> None:
    slurm.by_hand("7", "mine")
    slurm.fails("sacct", "Slurm accounting storage is disabled\n")
    (job,) = service.jobs()
    slurm.set("7", live=False)
    lost = until(service, job, lambda j: "does not say how it ended" in j.reason)
    assert lost.state is JobState.UNKNOWN


@pytest.mark.parametrize("kept", [True, False])
def test_that_a_job_by_hand_that_failed_is_not_said_not_to_have_started(
        service: JobService, slurm: FakeSlurm, kept: bool) -> None:
    """It has no record of its own, and the list tells no exit code: why it failed is known once the history says."""
    slurm.by_hand("7", "mine", state="FAILED", reason="NonZeroExitCode", past=False)
    if not kept:
        slurm.fails("sacct", "Slurm accounting storage is disabled\n")
    (seen,) = service.jobs()
    assert (seen.state, seen.reason, seen.exit_code) == (JobState.FAILED, "", None)
    slurm.set("7", past=True, code="5:0")
    if kept:
        assert until(service, seen, lambda j: bool(j.reason)).reason == "exit code 5"


# -- Purged, full, told -----------------------------------------------------------------------------------------------

def test_that_a_removed_folder_is_told_and_not_forgotten(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    running, done = service.submit(spec), service.submit(spec)
    slurm.set("100", state="RUNNING", reason="None", start="1795343001")
    slurm.end("101", "COMPLETED")
    until(service, done, lambda j: j.state is JobState.COMPLETED)
    shutil.rmtree(running.folder)
    shutil.rmtree(done.folder)
    seen = service.job(running.id)
    assert (seen.state, seen.reason) == (JobState.RUNNING, "its folder was removed at the site")
    fresh = {job.id: job for job in new_client().jobs()}
    assert (fresh[done.id].state, fresh[done.id].reason) == (JobState.COMPLETED, "its folder was removed at the site")
    assert fresh[running.id].state is JobState.RUNNING
    client = new_client()
    client.jobs()
    client.forget(done.id)
    assert done.id not in {job.id for job in client.jobs()}
    with pytest.raises(BatchError, match="is running"):
        client.forget(running.id)


def test_that_an_end_stays_known_when_the_folder_has_gone(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.end("100", "FAILED", "120:0")
    assert service.job(job.id).state is JobState.FAILED
    shutil.rmtree(job.folder)
    gone = "exit code 120; its folder was removed at the site"
    assert (service.job(job.id).state, service.job(job.id).exit_code) == (JobState.FAILED, 120)
    client = new_client()
    for seen in (client.job(job.id), client.job(job.id)):
        assert (seen.state, seen.reason, seen.exit_code, seen.outputs) == (JobState.FAILED, gone, 120, ())
    assert sum("--name=" in " ".join(call) for call in slurm.argv("sacct")) == 1, "what was told is kept"


def test_that_a_job_without_folder_list_and_history_is_unknown_and_has_no_end(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.end("100", "COMPLETED", past=False)
    shutil.rmtree(job.folder)
    seen = new_client().job(job.id)
    assert (seen.state, seen.reason) == (JobState.UNKNOWN, "its folder was removed at the site")
    assert (seen.exit_code, seen.signal, seen.ended) == (None, None, None)


@pytest.mark.parametrize(("states", "state", "reason"), [
    ((("COMPLETED", "0:0"), ("FAILED", "7:0")), JobState.FAILED, "step 2 of 2: exit code 7"),
    ((("COMPLETED", "0:0"), ("COMPLETED", "0:0")), JobState.COMPLETED, ""),
    ((("COMPLETED", "0:0"), ("RUNNING", "0:0")), JobState.RUNNING, "step 2 of 2")])
def test_that_all_steps_of_a_job_without_its_folder_are_asked_for(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm,
        states: tuple[tuple[str, str], ...], state: JobState, reason: str) -> None:
    job = service.submit(spec)
    slurm.by_hand("200", f"beamside-{job.id}-2")
    for number, (word, code) in zip(("100", "200"), states, strict=True):
        slurm.end(number, word, code, live=word == "RUNNING", past=word != "RUNNING")
    shutil.rmtree(job.folder)
    (seen,) = new_client().jobs()
    told = f"{reason}; its folder was removed at the site" if reason else "its folder was removed at the site"
    assert (seen.state, seen.reason, [p.step for p in seen.parts]) == (state, told, ["1", "2"])


def test_that_tasks_of_a_job_without_its_folder_are_told_apart(
        service: JobService, new_client: Callable[[], JobService], spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.end("100", "COMPLETED", tasks=3)
    slurm.end_task("100", 2, "FAILED", "7:0")
    shutil.rmtree(job.folder)
    seen = new_client().job(job.id)
    assert seen.state is JobState.FAILED
    assert "1 of 3 tasks failed: exit code 7 (task 2)" in seen.reason
    assert [p.state for p in seen.parts] == [JobState.COMPLETED, JobState.FAILED, JobState.COMPLETED]


def test_that_the_folder_of_an_ended_job_is_missed_when_everything_is_read_again(
        service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job = service.submit(spec)
    slurm.end("100", "COMPLETED")
    assert until(service, job, lambda j: j.state.ended).outputs
    shutil.rmtree(job.folder)
    assert service.job(job.id).outputs, "an ended job's folder is not looked at each time"
    service._follower._reader._all_at = -1e9
    seen = service.job(job.id)
    assert (seen.state, seen.reason, seen.outputs) == (
        JobState.COMPLETED, "its folder was removed at the site", ())


@pytest.mark.parametrize(("free_kb", "tail", "told"), [
    (0, "", True), (5_000_000, "OSError: [Errno 28] No space left on device\n", True),
    (5_000_000, "bash: Disk quota exceeded\n", True), (5_000_000, "ValueError: no\n", False)])
def test_that_a_full_disk_is_named_where_the_scheduler_only_knows_a_failure(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, free_kb: int, tail: str,
        told: bool) -> None:
    job = service.submit(spec)
    slurm.end("100", "FAILED", "1:0")

    def tails(logs: list[PurePosixPath], lines: int) -> list[LogTail]:
        return [LogTail(tail, free_kb) for _ in logs]
    monkeypatch.setattr(service._store, "log_tails", tails)
    seen = service.job(job.id)
    assert seen.state is JobState.FAILED
    full = "its own record could not be written: there is no space left in its folder"
    assert seen.reason == (f"exit code 1; {full}" if told else "exit code 1")


def test_that_a_job_is_cancelled_although_its_folder_cannot_be_written(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch) -> None:
    job = service.submit(spec)

    def full(*_: object) -> None:
        raise BatchError("No space.")
    monkeypatch.setattr(service._store, "write", full)
    service.cancel(job.id)
    assert slurm.waiting() == []


def test_that_a_kill_near_the_memory_limit_is_called_so(service: JobService, spec: JobSpec, slurm: FakeSlurm) -> None:
    job: Job = service.submit(spec)
    (Path(job.folder) / "usage.json").write_text('{"memory_mb": 10, "most_mb": 980, "time": 1}')
    status(job, "started", None)
    slurm.end("100", "FAILED", "0:9")
    assert service.job(job.id).reason == ("stopped by signal 9 (killed): it probably had too little memory "
                                          "(980 MB used when last measured, 1 GB allowed)")


@pytest.mark.parametrize(("state", "said", "own", "kills", "words"), [
    ("FAILED", "9:0", 137, 1, "the memory limit was exceeded (1 GB allowed)"),
    ("FAILED", "1:0", 1, 2, "the memory limit was exceeded (1 GB allowed)"),
    ("FAILED", "9:0", 137, 0, "exit code 137 (killed)"), ("FAILED", "9:0", 137, None, "exit code 137 (killed)"),
    ("OUT_OF_MEMORY", "0:125", 137, 1, "the memory limit was exceeded (1 GB allowed)"),
    ("TIMEOUT", "0:0", 137, 1, "the time limit was reached"), ("NODE_FAIL", "1:0", 137, 1, "a node failed")])
def test_that_what_the_kernel_killed_at_the_memory_limit_is_told_so_where_the_scheduler_did_not_hear_of_it(
        service: JobService, spec: JobSpec, slurm: FakeSlurm, state: str, said: str, own: int, kills: int | None,
        words: str) -> None:
    """As real Slurm does on a busy node: the same job is OUT_OF_MEMORY, or FAILED with what the script said."""
    job = service.submit(spec)
    status(job, "ended", own)
    record = Path(job.folder) / "status.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **({} if kills is None else {"oom_kills": kills})}))
    slurm.end("100", state, said)
    seen = service.job(job.id)
    assert (seen.state, seen.reason) == (JobState.FAILED, words)


def test_that_a_cancellation_without_a_name_is_believed_once_it_stays_so(
        service: JobService, slurm: FakeSlurm, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job_id,) = known_jobs(own_home, slurm, 1)
    slurm.end("1000", "CANCELLED by 1001", name="allocation")       # as sacct keeps what was held until its end
    assert not service.job(job_id).state.ended, "the name may still come"
    monkeypatch.setattr(following, "_HISTORY_LAGS_S", 0.0)
    assert until(service, service.job(job_id), lambda j: j.state.ended).state is JobState.CANCELLED
