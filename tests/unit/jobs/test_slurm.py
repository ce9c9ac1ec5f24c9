"""What Slurm's commands print is read rightly, hostile names included; recorded from 22.05 where not said otherwise."""

from __future__ import annotations

import pytest

from app.errors import SchedulerUnavailableError, StorageFullError, SubmissionRefusedError
from app.model.jobs import Account, JobState, Resources
from app.remote.scheduler import slurm_words
from app.remote.scheduler.dialect import dialect_for
from app.remote.scheduler.fields import US
from app.remote.scheduler.slurm import Slurm
from app.remote.scheduler.states import StepWish

slurm = Slurm()


def listed(*fields: str) -> str:
    return US.join(fields) + "\n"


def live(job_id: str = "7", state: str = "PENDING", reason: str = "None", limit: str = "30:00", start: str = "N/A",
         submit: str = "1795343000", partition: str = "debug", node: str = "", name: str = "beamside-x") -> str:
    return listed(job_id, state, reason, limit, start, submit, partition, node, name)


def past(job_id: str = "7", state: str = "COMPLETED", code: str = "0:0", reason: str = "None",
         name: str = "beamside-x") -> str:
    return listed(job_id, state, code, "1795343000", "1795343001", "1795343009", "00:30:00", "debug", "cn1", reason,
                  name)


@pytest.mark.parametrize(("state", "reason", "kind", "words"), [
    ("PENDING", "Priority", JobState.QUEUED, "other jobs come first (Priority)"),
    ("PENDING", "Resources", JobState.QUEUED, "waiting for free nodes (Resources)"),
    ("PENDING", "None", JobState.QUEUED, ""),
    ("PENDING", "PartitionTimeLimit", JobState.QUEUED, "never starts: its time limit is above the partition's"),
    ("PENDING", "JobHeldUser", JobState.HELD, "held by you"),
    ("PENDING", "job_requeued_in_held_state", JobState.HELD, "put back into the queue and held"),
    ("PENDING", "launch failed requeued held", JobState.HELD, "it could not be started on its node (launch failed"),
    ("PENDING", "JobHeldAdmin", JobState.HELD, "held by the facility"),
    ("PENDING", "DependencyNeverSatisfied", JobState.QUEUED, "never starts: the job it waits for did not succeed"),
    ("PENDING", "QOSMaxJobsPerUserLimit", JobState.QUEUED, "as many running jobs as you may have"),
    ("PENDING", "AssocGrpCpuLimit", JobState.QUEUED, "as many CPUs as your account may have"),
    ("PENDING", "AssocGrpCPUMinutesLimit", JobState.QUEUED, "your account has used up its CPU time"),
    ("PENDING", "QOSMaxMemoryPerUser", JobState.QUEUED, "as much memory as you may have"),
    ("PENDING", "QOSMaxGRESPerUser", JobState.QUEUED, "as many GPUs as you may have"),
    ("PENDING", "QOSMaxWallDurationPerJobLimit", JobState.QUEUED, "never starts: its time limit is above the"),
    ("PENDING", "QOSMaxCpuPerJobLimit", JobState.QUEUED, "never starts: it asks for more CPUs than one job may have"),
    ("PENDING", "QOSGrpSubmitJobsLimit", JobState.QUEUED, "as many jobs in the queue as your account"),
    ("PENDING", "QOSMinGRES", JobState.QUEUED, "never starts: it asks for less than"),
    ("PENDING", "Licenses", JobState.QUEUED, "waiting for a licence"),
    ("PENDING", "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
     JobState.QUEUED, "the nodes it needs are not in service or reserved (Nodes required"),
    ("PENDING", "ReqNodeNotAvail, UnavailableNodes:cn1", JobState.QUEUED, "the nodes it needs are not in service"),
    ("PENDING", "ReqNodeNotAvail(Unavailable:cn1)", JobState.QUEUED, "the nodes it needs are not in service"),
    ("PENDING", "SomethingNew", JobState.QUEUED, "SomethingNew"),
    ("CONFIGURING", "None", JobState.RUNNING, "its nodes are being prepared"),
    ("RUNNING", "None", JobState.RUNNING, ""),
    ("COMPLETING", "None", JobState.RUNNING, "ending"),
    ("COMPLETED", "None", JobState.COMPLETED, ""),
    ("TIMEOUT", "TimeLimit", JobState.FAILED, "the time limit was reached"),
    ("OUT_OF_MEMORY", "OutOfMemory", JobState.FAILED, "the memory limit was exceeded"),
    ("NODE_FAIL", "NodeDown", JobState.FAILED, "a node failed"),
    ("FAILED", "NonZeroExitCode", JobState.FAILED, ""),
    ("FAILED", "JobLaunchFailure", JobState.FAILED, ""),
    ("FAILED", "RaisedSignal:9(Killed)", JobState.FAILED, "stopped by signal 9 (killed)"),        # 23.02 and newer
    ("FAILED", "BadConstraints", JobState.FAILED, "no node is like what it asks for"),
    ("CANCELLED", "None", JobState.CANCELLED, "cancelled"),
    ("PREEMPTED", "None", JobState.FAILED, "it was preempted by another job"),
    ("BRAND_NEW", "None", JobState.UNKNOWN, "Slurm calls its state BRAND_NEW"),
])
def test_that_a_listed_state_and_reason_are_said_in_words(state: str, reason: str, kind: JobState, words: str) -> None:
    (row,) = slurm.parse_list(live(state=state, reason=reason))
    assert row.state is kind
    assert row.reason.startswith(words)
    assert bool(row.reason) == bool(words)


@pytest.mark.parametrize("name", ["a|b", "a b", '"quoted"', "a\x1fb", "$(id)", "x;y", "é", " padded "])
def test_that_names_of_other_jobs_do_not_break_the_list(name: str) -> None:
    rows = slurm.parse_list(live("6", name=name) + live("7", state="RUNNING", start="1795343005", node="cn[1-2]"))
    assert [r.scheduler_id for r in rows] == ["6", "7"]
    assert rows[0].name == name.strip()
    assert (rows[1].node, rows[1].started, rows[1].submitted) == ("cn[1-2]", 1795343005.0, 1795343000.0)


def test_that_a_name_with_a_newline_costs_no_other_row() -> None:
    rows = slurm.parse_list(live("6", name="two\nlines") + live("7"))
    assert [r.scheduler_id for r in rows] == ["6", "7"]


def test_that_what_a_login_script_prints_is_no_job() -> None:
    assert slurm.parse_list("Welcome to the cluster!\n7 jobs\n") == []
    assert slurm.parse_submit("Module loaded\n\n123;cluster1\n") == "123"
    assert slurm.parse_submit("Submitted nothing\n") is None


def test_that_every_task_of_an_array_has_a_row_with_the_arrays_id() -> None:
    rows = slurm.parse_list(live("7_1", "RUNNING") + live("7_[2-3,5%2]", reason="JobArrayTaskLimit") + live("8"))
    assert [(r.scheduler_id, r.task, r.state) for r in rows] == [
        ("7", 1, JobState.RUNNING), ("7", 2, JobState.QUEUED), ("7", 3, JobState.QUEUED), ("7", 5, JobState.QUEUED),
        ("8", None, JobState.QUEUED)]
    assert [(r.task, r.state) for r in slurm.parse_history(past("7_[1-2]", "CANCELLED by 5") + past("7_4"))] == [
        (1, JobState.CANCELLED), (2, JobState.CANCELLED), (4, JobState.COMPLETED)]


def test_that_a_cancelled_array_has_no_row_beside_those_of_its_tasks() -> None:
    rows = slurm.parse_list(live("4", "CANCELLED", "JobArrayTaskLimit") + live("4_1", "CANCELLED")
                            + live("5", "CANCELLED", "Resources"))
    assert [(r.scheduler_id, r.task, r.state) for r in rows] == [
        ("4", 1, JobState.CANCELLED), ("5", None, JobState.CANCELLED)]


def test_that_the_accounts_of_a_user_and_their_partitions_are_read() -> None:
    said = "proposals|proposals|\nproposals|mx|gpu\nproposals|mx|long\nWelcome!\n|broken\n"
    assert slurm.parse_accounts(said) == [Account("mx", False, ("gpu", "long")), Account("proposals", True)]
    assert slurm.parse_accounts("") == []


def test_that_a_trial_submission_tells_the_expected_start_or_nothing() -> None:
    said = "sbatch: Job 1 to start at 1795377495 using 1 processors on nodes cn1 in partition debug\n"
    assert slurm.parse_test(0, "", said) == 1795377495.0
    assert slurm.parse_test(1, "", "allocation failure: Requested node configuration is not available\n") is None


@pytest.mark.parametrize("job_id", ["7_", "7_x", "7_[", "7_[1-]", "7_[1-999999999]", "7+1", "7.batch", "", "-7"])
def test_that_what_is_no_job_or_too_much_is_left_out(job_id: str) -> None:
    assert slurm.parse_list(live(job_id) + live("8"))[0].scheduler_id == "8"


def test_that_an_estimated_start_of_a_waiting_job_is_not_its_start() -> None:
    waits, runs = slurm.parse_list(live(start="1795349999") +
                                   live(state="RUNNING", start="1795349999", node="cn1"))
    assert (waits.started, waits.expected_start) == (None, 1795349999.0)
    assert (runs.started, runs.expected_start) == (1795349999.0, None)


def test_that_a_job_of_ours_that_may_start_later_only_was_put_back_into_the_queue() -> None:
    ours, other = slurm.parse_list(live(reason="BeginTime") + live(reason="BeginTime", name="by-hand"))
    assert ours.reason == "put back into the queue, and starts a little later (BeginTime)"
    assert other.reason == "it may start later only (BeginTime)"


@pytest.mark.parametrize(("state", "code", "kind", "exit_code", "signal", "words"), [
    ("COMPLETED", "0:0", JobState.COMPLETED, 0, None, ""),
    ("FAILED", "7:0", JobState.FAILED, 7, None, "exit code 7"),
    ("FAILED", "0:9", JobState.FAILED, None, 9, "stopped by signal 9 (killed)"),
    ("FAILED", "0:53", JobState.FAILED, None, 53, "its log could not be written, or its folder not entered"),
    ("FAILED", "127:0", JobState.FAILED, 127, None, "exit code 127 (a program was not found)"),
    ("FAILED", "139:0", JobState.FAILED, 139, None, "exit code 139 (segmentation fault)"),
    ("TIMEOUT", "0:15", JobState.FAILED, None, 15, "the time limit was reached"),
    ("OUT_OF_MEMORY", "0:125", JobState.FAILED, None, None, "the memory limit was exceeded"),
    ("CANCELLED by 1001", "0:15", JobState.CANCELLED, None, 15, "cancelled"),
    ("CANCELLED+", "0:0", JobState.CANCELLED, None, None, "cancelled"),
    ("TIMEOUT", "0:0", JobState.FAILED, None, None, "the time limit was reached"),
    ("RUNNING", "0:0", JobState.RUNNING, None, None, ""),
    ("REQUEUED", "0:0", JobState.QUEUED, None, None, "put back into the queue"),
])
def test_that_a_history_row_tells_how_a_job_ended(state: str, code: str, kind: JobState, exit_code: int | None,
                                                  signal: int | None, words: str) -> None:
    (row,) = slurm.parse_history(past(state=state, code=code))
    assert (row.state, row.exit_code, row.signal, row.reason) == (kind, exit_code, signal, words)
    assert (row.started, row.ended, row.time_limit_s) == (1795343001.0, 1795343009.0, 1800)


def test_that_a_killed_script_is_not_called_a_launch_failure() -> None:
    killed, unstarted = slurm.parse_history(past("7", "FAILED", "0:9", "JobLaunchFailure")
                                            + past("8", "FAILED", "1:0", "JobLaunchFailure"))
    assert killed.reason == "stopped by signal 9 (killed)"
    assert unstarted.reason == "it could not be started on its node"


def test_that_steps_and_unknown_times_of_the_history_are_left_out() -> None:
    rows = slurm.parse_history(listed("7.batch", "COMPLETED", "0:0", "1", "1", "1", "", "", "", "", "batch")
                               + listed("8", "PENDING", "0:0", "1795343000", "Unknown", "Unknown", "UNLIMITED", "debug",
                                        "None assigned", "Priority", "n"))
    assert [(r.scheduler_id, r.started, r.ended, r.node, r.time_limit_s) for r in rows] == [("8", None, None, "", None)]


def test_that_partitions_are_up_or_say_why_not() -> None:
    said = (listed("debug*", "up", "1:00:00", "0/2/0/2", "3/5/0/8")
            + listed("gpu", "up", "7-00:00:00", "0/0/1/1", "0/0/4/4")
            + listed("old", "down", "infinite", "0/1/0/1", "0/4/0/4")
            + "\x1d\n      2 debug\n     14 long\n")
    debug, gpu, old = slurm.parse_partitions(said)
    assert (debug.name, debug.default, debug.up, debug.time_limit_s) == ("debug", True, True, 3600)
    assert (debug.cpus_idle, debug.cpus_total, debug.waiting, gpu.waiting) == (5, 8, 2, 0)
    assert (gpu.up, gpu.reason, gpu.time_limit_s) == (False, "none of its nodes is in service", 604800)
    assert (old.up, old.reason, old.time_limit_s) == (False, "", None)
    assert (old.why_down, gpu.why_down, debug.why_down) == (
        "“old” is down", "“gpu” is down: none of its nodes is in service", "")


@pytest.mark.parametrize(("reason", "expected"), [("Priority", 1795350000.0), ("PartitionDown", None)])
def test_that_no_start_is_foretold_in_a_partition_that_is_down(reason: str, expected: float | None) -> None:
    (row,) = slurm.parse_list(listed("7", "PENDING", reason, "30:00", "1795350000", "1795343000", "closed", "", "n"))
    assert row.expected_start == expected


@pytest.mark.parametrize(("said", "kind", "words"), [
    (("sbatch: error: invalid partition specified: nope\n"
      "sbatch: error: Batch job submission failed: Invalid partition name specified"),
     SubmissionRefusedError, "The partition “nope” does not exist"),
    ("sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
     SubmissionRefusedError, "The account “acct” may not be used"),
    ("sbatch: error: Invalid --time specification", SubmissionRefusedError, "The time limit of 90 min"),
    (("sbatch: error: Memory specification can not be satisfied\n"
      "sbatch: error: Batch job submission failed: Requested node configuration is not available"),
     SubmissionRefusedError, "No node of the partition “nope” has the 5 MB of memory that the job asks for."),
    ("sbatch: error: Batch job submission failed: Requested node configuration is not available",
     SubmissionRefusedError, "No node of the partition"),
    ("sbatch: error: Batch job submission failed: A brand new reason", SubmissionRefusedError,
     "Slurm refused the job: A brand new reason"),
    ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)",
     SchedulerUnavailableError, "Slurm does not answer"),
    ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
     SchedulerUnavailableError, "Slurm does not answer"),
    ("sbatch: error: User not found on host", SubmissionRefusedError, "Slurm does not know your account"),
    ("beamside: 3: sbatch: not found", SchedulerUnavailableError, "Slurm's commands were not found"),
    ("env: 'sbatch': No such file or directory", SchedulerUnavailableError, "Slurm's commands were not found"),
    ("sbatch: error: job.sh: No space left on device", StorageFullError, "no space left"),
])
def test_that_a_refusal_is_one_sentence_with_slurms_words_as_detail(said: str, kind: type[Exception],
                                                                    words: str) -> None:
    error = slurm.refusal(said, Resources("nope", "acct", 90, 4, 5))
    assert isinstance(error, kind)
    assert words in error.summary
    assert "\n" not in error.summary
    assert error.detail == said


@pytest.mark.parametrize(("said", "words"), [
    ("Invalid account or account/partition combination specified",
     "Your default account may not be used with the default partition."),
    ("Invalid --time specification", "The default time limit is more than the site allows."),
    ("Requested partition configuration not available",
     "The default partition does not take jobs of this size or is not in service now."),
    ("Memory specification can not be satisfied",
     "No node of the default partition has the memory that the job asks for."),
    ("Requested node configuration is not available", "No node of the default partition has what the job asks for."),
    ("Invalid generic resource (gres) specification",
     "The default partition does not have the GPUs that the job asks for."),
    ("Invalid qos specification", "The quality of service of the default partition may not be used with your account."),
    ("User's group not permitted to use this partition", "You may not use the default partition.")])
def test_that_a_refusal_names_nothing_that_was_not_asked_for(said: str, words: str) -> None:
    error = slurm.refusal(f"sbatch: error: Batch job submission failed: {said}", Resources())
    assert error.summary == words
    assert error.remedy


@pytest.mark.parametrize(("resources", "needs"), [
    (Resources("a", cpus=1), "the 1 CPU"), (Resources("a", cpus=4, memory_mb=5), "the 4 CPUs and 5 MB"),
    (Resources("a", cpus=4, memory_mb=5, gpus=2), "the 4 CPUs, 5 MB and 2 GPUs")])
def test_that_a_refusal_lists_what_was_asked_for(resources: Resources, needs: str) -> None:
    error = slurm.refusal("sbatch: error: Requested node configuration is not available", resources)
    assert error.summary == f"No node of the partition “a” has {needs} that the job asks for."


def test_that_only_an_answer_that_got_lost_may_hide_a_job() -> None:
    assert slurm.may_have_accepted("Socket timed out on send/recv operation")
    assert not slurm.may_have_accepted("Unable to contact slurm controller (connect failure)")
    assert not slurm.may_have_accepted("Invalid partition name specified")


@pytest.mark.parametrize("resources", [
    Resources(partition="a b"), Resources(partition="a\n#SBATCH --wrap=x"), Resources(account="$(id)"),
    Resources(partition="x" * 129),
    Resources(gpus=-1), Resources(time_limit_min=0), Resources(cpus=-1), Resources(memory_mb=10**9)])
def test_that_no_option_can_carry_another_one_into_the_header(resources: Resources) -> None:
    with pytest.raises(SubmissionRefusedError):
        slurm.header(StepWish("beamside-1", "job", resources))


def test_that_the_header_asks_for_what_was_chosen_and_nothing_else() -> None:
    assert slurm.header(StepWish("beamside-1", "job", Resources("debug", "proposals", 30, 4, 2000))).splitlines() == [
        "#SBATCH --job-name=beamside-1", "#SBATCH --output=job.log", "#SBATCH --nodes=1", "#SBATCH --ntasks=1",
        "#SBATCH --partition=debug", "#SBATCH --account=proposals", "#SBATCH --time=30", "#SBATCH --cpus-per-task=4",
        "#SBATCH --mem=2000M"]
    assert slurm.header(StepWish("beamside-1-2", "job-2", Resources(gpus=2), 40, 8, True)).splitlines() == [
        "#SBATCH --job-name=beamside-1-2", "#SBATCH --output=job-2.%a.log", "#SBATCH --array=1-40%8",
        "#SBATCH --nodes=1", "#SBATCH --ntasks=1", "#SBATCH --gres=gpu:2", "#SBATCH --hold"]
    assert slurm.submit_argv("job-2.sh", after=True)[-5:] == [
        "sh", "--parsable", "--dependency=afterok:{after}", "--kill-on-invalid-dep=yes", "job-2.sh"]
    assert "partition" not in slurm.header(StepWish("beamside-1", "job", Resources()))


def test_that_only_ids_are_cancelled() -> None:
    assert slurm.cancel_argv(["12", "13"])[-3:] == ["scancel", "12", "13"]
    assert slurm.hold_argv(["12", "13"])[-3:] == ["scontrol", "hold", "12,13"]
    assert slurm.release_argv(["12"])[-2:] == ["release", "12"]
    with pytest.raises(ValueError):
        slurm.cancel_argv(["--user=root"])
    assert slurm.control_problem(0, "", "scancel: error: Kill job error on job id 9: Invalid job id specified") == ""
    refused = "scancel: error: Kill job error on job id 3: Access/permission denied"
    assert "Access" in slurm.control_problem(1, "", refused)


@pytest.mark.parametrize(("line", "state", "words"), [
    ("slurmstepd: error: *** JOB 7 ON cn1 CANCELLED AT 2026-11-22T10:00:00 DUE TO TIME LIMIT ***", JobState.FAILED,
     "the time limit was reached"),
    ("slurmstepd: error: *** JOB 7 ON cn1 CANCELLED AT 2026-11-22T10:00:00 ***", JobState.CANCELLED, "cancelled"),
    ("slurmstepd: error: Detected 1 oom_kill event in StepId=7.batch. Some of the step tasks have been OOM Killed.",
     JobState.FAILED, "the memory limit was exceeded"),
    ("slurmstepd: error: Exceeded job memory limit", JobState.FAILED, "the memory limit was exceeded"),
])
def test_that_slurms_last_words_in_the_log_are_understood(line: str, state: JobState, words: str) -> None:
    row = slurm.end_told_by_log(f"frame 1\n{line}\n")
    assert row is not None
    assert (row.state, row.reason) == (state, words)


def test_that_a_programs_own_words_are_not_taken_for_slurms() -> None:
    assert slurm.end_told_by_log("I was CANCELLED DUE TO TIME LIMIT, he said\nout of memory\n") is None


def test_that_a_site_without_batch_system_says_so_in_one_sentence() -> None:
    with pytest.raises(SchedulerUnavailableError, match=r"^This computer has no batch system"):
        dialect_for("", "local")
    with pytest.raises(SchedulerUnavailableError, match=r"^The site far has no batch system"):
        dialect_for("", "far")
    with pytest.raises(SchedulerUnavailableError, match="not supported yet"):
        dialect_for("pbs", "far")


@pytest.mark.parametrize(("row", "words"), [
    (live(state="CANCELLED", reason="Dependency"), "cancelled"),
    (live(state="CANCELLED", reason="DependencyNeverSatisfied"), "the job it waited for did not succeed"),
    (past(state="CANCELLED by 1001", reason="Dependency"), "cancelled"),
    (past(state="CANCELLED", reason="Dependency"), "the job it waited for did not succeed"),
    (past(state="CANCELLED", reason="None"), "cancelled by the batch system"),
    (past(state="CANCELLED by 0", reason="None"), "cancelled by the facility")])
def test_that_cancelling_a_job_that_waits_is_no_failure_of_what_it_waits_for(row: str, words: str) -> None:
    """As 22.05 tells them: the last reason to wait stays with a job that its user cancelled."""
    (found,) = slurm.parse_history(row) if row.count(US) == past().count(US) else slurm.parse_list(row)
    assert (found.state, found.reason) == (JobState.CANCELLED, words)


def test_that_a_job_cancelled_before_its_start_has_no_start() -> None:
    """Slurm writes the time of the cancellation there, but no node."""
    (row,) = slurm.parse_list(live(state="CANCELLED", start="1795343000"))
    (ended,) = slurm.parse_history(past(state="CANCELLED by 1001").replace("cn1", "None assigned"))
    assert row.started is ended.started is None
    assert ended.ended == 1795343009.0


@pytest.mark.parametrize("waited", ["JobHeldUser", "Dependency", "Priority"])
def test_that_what_a_job_once_waited_for_is_no_reason_of_its_failure(waited: str) -> None:
    assert slurm_words.reason_words("FAILED", waited, 7, 0) == "exit code 7"
