"""What every batch system that speaks Slurm's commands must answer: the same claims on the demo's and on real Slurm.

``batch`` gives ``run(argv, stdin)`` on the login node as the visitor, a folder there, and how long its minute lasts.
Here it is the demo facility's; tests/system/test_batch_contract_slurm.py holds real Slurm to the same claims.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.contract.batch_systems import BatchSystem, demo_batch

US = "\x1f"
_QUEUE = US.join(("%i", "%T", "%r", "%M", "%l", "%S", "%P", "%N", "%j"))
_PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchSystem]:
    with demo_batch(tmp_path_factory.mktemp("state")) as system:
        yield system


def submit(batch: BatchSystem, body: str, *options: str) -> str:
    ran = batch.run(["sbatch", "--parsable", "-D", batch.folder, *options], stdin=f"#!/bin/sh\n{body}\n")
    assert ran.rc == 0, ran.stderr
    number = ran.stdout.strip().split(";")[0]
    assert number.isdigit()
    return number


def queue(batch: BatchSystem, number: str, *options: str) -> list[list[str]]:
    """Rows of one job; two ids, since a single purged one is an error."""
    ran = batch.run(["squeue", "-h", "-t", "all", *options, "-j", f"{number},{number}", "-o", _QUEUE])
    return [line.split(US) for line in ran.stdout.splitlines()] if ran.rc == 0 else []


def history(batch: BatchSystem, number: str, fields: str = "JobID,State,ExitCode,JobName") -> list[list[str]]:
    ran = batch.run(["sacct", "-nXP", f"--delimiter={US}", "-S", "now-7days", "-j", number, "-o", fields])
    assert ran.rc == 0, ran.stderr
    return [line.split(US) for line in ran.stdout.splitlines()]


def wait_for(what: str, ask: Callable[[], object]) -> object:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"never came: {what}")


def end_of(batch: BatchSystem, number: str, tasks: int = 0) -> tuple[str, str]:
    """The first word of the final state, and the exit code (of the first task, when all have ended)."""
    def ended() -> tuple[str, str] | None:
        rows = history(batch, number)
        states = {row[1].split()[0] for row in rows}
        if len(rows) < max(1, tasks) or states & {"PENDING", "RUNNING", "COMPLETING", "REQUEUED"}:
            return None
        return rows[0][1].split()[0], rows[0][2]
    found = wait_for(f"end of {number}", ended)
    assert isinstance(found, tuple)
    return found


def output(batch: BatchSystem, name: str) -> str:
    return batch.run(["cat", f"{batch.folder}/{name}"]).stdout


def test_that_a_script_runs_and_its_output_is_kept(batch: BatchSystem) -> None:
    number = submit(batch, "echo here $SLURM_JOB_ID in $(pwd)", "-o", "out-%j.txt")
    assert end_of(batch, number) == ("COMPLETED", "0:0")
    assert output(batch, f"out-{number}.txt") == f"here {number} in {batch.folder}\n"


def test_that_the_default_output_name_is_slurms(batch: BatchSystem) -> None:
    number = submit(batch, "echo one; echo two >&2")
    end_of(batch, number)
    assert sorted(output(batch, f"slurm-{number}.out").split()) == ["one", "two"]


def test_that_directives_in_the_script_count_and_the_command_line_wins(batch: BatchSystem) -> None:
    number = submit(batch, "#SBATCH --job-name=from-script\n#SBATCH -t 3\n#SBATCH -e err-%x.txt\necho bad >&2\nsleep 1",
                    "-t", "4")
    row = wait_for("row", lambda: queue(batch, number))[0]              # type: ignore[index]
    assert row[4] == "4:00"
    assert row[8] == "from-script"
    end_of(batch, number)
    assert output(batch, "err-from-script.txt") == "bad\n"


@pytest.mark.parametrize(("body", "state", "code"), [
    ("exit 7", "FAILED", "7:0"), ("kill -9 $$", "FAILED", "0:9"), ("/no/such/program", "FAILED", "127:0")])
def test_that_a_failure_keeps_its_code_or_signal(batch: BatchSystem, body: str, state: str, code: str) -> None:
    assert end_of(batch, submit(batch, body)) == (state, code)


def test_that_a_cancelled_job_may_clean_up_and_says_by_whom(batch: BatchSystem) -> None:
    number = submit(batch, "trap 'echo cleaned; exit 3' TERM\necho ready\nwhile :; do sleep 0.1; done", "-o", "c.txt")
    wait_for("ready", lambda: "ready" in output(batch, "c.txt"))
    ran = batch.run(["scancel", number])
    assert ran.rc == 0
    assert end_of(batch, number)[0] == "CANCELLED"
    state = history(batch, number)[0][1]
    assert state.startswith("CANCELLED by ")
    assert state.split()[-1].isdigit()
    wait_for("what it did at its end", lambda: "cleaned" in output(batch, "c.txt"))     # it is called cancelled before


def test_that_cancelling_an_unknown_job_returns_zero_and_says_so_only_when_asked(batch: BatchSystem) -> None:
    ran = batch.run(["scancel", "987654"])
    assert (ran.rc, ran.stderr) == (0, "")
    ran = batch.run(["scancel", "-v", "987654"])
    assert ran.rc == 0
    assert "Invalid job id specified" in ran.stderr


def test_that_cancelling_what_has_ended_changes_nothing(batch: BatchSystem) -> None:
    number = submit(batch, "true")
    assert end_of(batch, number) == ("COMPLETED", "0:0")
    ran = batch.run(["scancel", "-v", number])
    assert ran.rc == 0
    assert "already completing or completed" in ran.stderr
    assert end_of(batch, number) == ("COMPLETED", "0:0")


def test_that_a_dependency_on_a_job_nobody_knows_is_no_obstacle(batch: BatchSystem) -> None:
    assert end_of(batch, submit(batch, "true", "-d", "afterok:987654")) == ("COMPLETED", "0:0")


def test_that_a_held_job_waits_with_its_reason_until_released(batch: BatchSystem) -> None:
    number = submit(batch, "true", "--hold")
    wait_for("held", lambda: [r[1:3] for r in queue(batch, number)] == [["PENDING", "JobHeldUser"]])
    assert batch.run(["scontrol", "release", number]).rc == 0
    assert end_of(batch, number) == ("COMPLETED", "0:0")


def test_that_a_dependency_is_waited_for(batch: BatchSystem) -> None:
    first = submit(batch, "sleep 1", "--hold")
    second = submit(batch, "true", "-d", f"afterok:{first}")
    wait_for("reason", lambda: [r[2] for r in queue(batch, second)] == ["Dependency"])
    assert batch.run(["scontrol", "release", first]).rc == 0
    assert end_of(batch, second) == ("COMPLETED", "0:0")


def test_that_a_dependency_on_a_failure_cancels_if_asked_to(batch: BatchSystem) -> None:
    first = submit(batch, "sleep 1; exit 1")
    second = submit(batch, "true", "-d", f"afterok:{first}", "--kill-on-invalid-dep=yes")
    assert end_of(batch, second)[0] == "CANCELLED"


def test_that_an_array_has_one_row_per_task_and_never_too_many_at_once(batch: BatchSystem) -> None:
    number = submit(batch, "echo $SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID; sleep 1", "--array=0-3%2", "-o",
                    "a-%A-%a.txt")
    wait_for("tasks run", lambda: [r for r in queue(batch, number, "-r") if r[1] == "RUNNING"])
    rows = queue(batch, number, "-r")
    assert {r[0] for r in rows} == {f"{number}_{i}" for i in range(4)}
    assert sum(r[1] == "RUNNING" for r in rows) <= 2
    waiting = [r[0] for r in queue(batch, number) if r[1] == "PENDING"]
    assert len(waiting) <= 1
    assert all(re.fullmatch(rf"{number}_([1-3]|\[([1-2]-)?[1-3]%2\])", row) for row in waiting)
    assert end_of(batch, number, tasks=4) == ("COMPLETED", "0:0")
    found = {row[0]: row[1] for row in history(batch, number, "JobID,State,JobIDRaw")}
    assert found == {f"{number}_{i}": "COMPLETED" for i in range(4)}
    assert output(batch, f"a-{number}-2.txt") == f"{number} 2\n"


def test_that_one_task_of_an_array_can_be_cancelled(batch: BatchSystem) -> None:
    number = submit(batch, "sleep 20", "--array=1-2", "--hold")
    assert batch.run(["scancel", f"{number}_1"]).rc == 0
    wait_for("one is gone", lambda: [r[1] for r in queue(batch, number, "-r") if r[0] == f"{number}_1"] in (
        [], ["CANCELLED"]))
    assert [r[1] for r in queue(batch, number, "-r") if r[0] == f"{number}_2"] == ["PENDING"]
    batch.run(["scancel", number])
    end_of(batch, number)


@pytest.mark.parametrize(("options", "code", "words"), [
    (("-p", "nowhere"), 1, "Invalid partition name specified"),
    (("-A", "nobody"), 1, "Invalid account or account/partition combination specified"),
    (("-t", "soon"), 255, "Invalid --time specification"),
    (("--array=5-1",), 1, "Invalid job array specification"),
    (("-d", "nonsense:1"), 1, "Job dependency problem"),
    (("--no-such-option",), 255, "unrecognized option '--no-such-option'"),
    (("-J",), 255, "option requires an argument -- 'J'"),
    (("-c", "x"), 1, 'Invalid numeric value "x" for --cpus-per-task.'),
    (("--mem=abc",), 255, "Invalid --mem specification"),
    (("--mem=9999G",), 1, "Requested node configuration is not available"),
    (("--gres=gpu:1",), 1, "Invalid generic resource (gres) specification")])
def test_that_a_refusal_has_slurms_code_and_words(batch: BatchSystem, options: Sequence[str], code: int,
                                                  words: str) -> None:
    ran = batch.run(["sbatch", "--parsable", "-D", batch.folder, *options], stdin="#!/bin/sh\ntrue\n")
    assert (ran.rc, ran.stdout) == (code, "")
    assert words in ran.stderr


def test_that_what_is_no_script_is_refused(batch: BatchSystem) -> None:
    ran = batch.run(["sbatch"], stdin="echo no interpreter\n")
    assert ran.rc == 1
    assert "This does not look like a batch script" in ran.stderr


def test_that_more_time_than_the_partition_gives_waits_for_ever_with_the_reason(batch: BatchSystem) -> None:
    number = submit(batch, "true", "-t", "6-00:00:00", "-p", batch.short_partition)
    wait_for("reason", lambda: [r[1:3] for r in queue(batch, number)] == [["PENDING", "PartitionTimeLimit"]])
    batch.run(["scancel", number])
    assert end_of(batch, number)[0] == "CANCELLED"


@pytest.mark.parametrize("name", ["with space", "pipe|and'quote", "naïve-q"])
def test_that_odd_names_come_back_as_they_were(batch: BatchSystem, name: str) -> None:
    number = submit(batch, "true", "-J", name, "--hold")
    assert wait_for("row", lambda: queue(batch, number))[0][8] == name  # type: ignore[index]
    batch.run(["scancel", number])


def test_that_asking_for_one_unknown_job_fails_and_for_two_does_not(batch: BatchSystem) -> None:
    one = batch.run(["squeue", "-h", "-j", "987654"])
    assert one.rc == 1
    assert "Invalid job id specified" in one.stderr
    two = batch.run(["squeue", "-h", "-j", "987654,987655"])
    assert (two.rc, two.stdout) == (0, "")


def test_that_a_users_own_jobs_can_be_asked_for(batch: BatchSystem) -> None:
    number = submit(batch, "true", "--hold")
    mine = batch.run(["squeue", "-h", "-u", batch.user, "-o", "%i"])
    assert number in mine.stdout.split()
    assert mine.rc == 0
    batch.run(["scancel", number])


def test_that_history_refuses_a_field_it_does_not_know(batch: BatchSystem) -> None:
    ran = batch.run(["sacct", "-nXP", "-o", "JobID,NoSuchField"])
    assert ran.rc == 1
    assert 'Invalid field requested: "NoSuchField"' in ran.stderr


def test_that_partitions_are_listed_with_their_limits(batch: BatchSystem) -> None:
    ran = batch.run(["sinfo", "-h", "-o", US.join(("%P", "%R", "%a", "%l"))])
    rows = [line.split(US) for line in ran.stdout.splitlines()]
    assert [row[2] for row in rows if row[1] == batch.short_partition] == ["up"]
    assert sum(row[0].endswith("*") for row in rows) == 1
    assert all(row[3] == "infinite" or row[3][0].isdigit() for row in rows)


def test_that_a_job_over_its_time_limit_ends_with_timeout(batch: BatchSystem) -> None:
    if batch.minute_s > 10:
        pytest.skip("a minute lasts a minute on this system")
    number = submit(batch, "while :; do sleep 0.1; done", "-t", "1", "-o", "t.txt")
    assert end_of(batch, number)[0] == "TIMEOUT"
    assert "DUE TO TIME LIMIT" in output(batch, "t.txt")


def test_that_a_test_only_submission_leaves_nothing(batch: BatchSystem) -> None:
    ran = batch.run(["sbatch", "--test-only", "-D", batch.folder], stdin="#!/bin/sh\ntrue\n")
    assert ran.rc == 0
    assert "to start at" in ran.stderr


def test_that_the_environment_of_the_submitter_reaches_the_script(batch: BatchSystem) -> None:
    number = submit(batch, 'echo "$BEAMSIDE_TEST_VALUE"', "--export=ALL,BEAMSIDE_TEST_VALUE=a b", "-o", "e.txt")
    end_of(batch, number)
    assert output(batch, "e.txt") == "a b\n"


@pytest.mark.parametrize(("argv", "words"), [
    (["squeue", "--foo"], "squeue: unrecognized option '--foo'"), (["squeue", "-j", "abc"], "Invalid job id: abc"),
    (["squeue", "-t", "foo"], "Invalid job state specified: foo"), (["sinfo", "--foo"], "unrecognized option '--foo'"),
    (["sacct", "--foo"], "sacct: unrecognized option '--foo'"), (["sacct", "-j", "abc"], "Bad job/step specified: abc"),
    (["sacct", "-S", "garbage"], "Invalid time specification (pos=0): garbage"),
    (["scancel", "abc"], "Invalid job id abc"), (["scancel"], "No job identification provided"),
    (["scontrol", "show", "job", "987654"], "Invalid job id specified"), (["scontrol", "foo"], "invalid keyword: foo")])
def test_that_a_faulty_question_gets_slurms_answer(batch: BatchSystem, argv: Sequence[str], words: str) -> None:
    ran = batch.run(argv)
    assert ran.rc == 1
    assert words in ran.stderr


def test_that_times_come_as_seconds_when_asked_so(batch: BatchSystem) -> None:
    number = submit(batch, "sleep 1")
    asked = ["env", "SLURM_TIME_FORMAT=%s", "squeue", "-h", "-r", "-t", "all", "-u", batch.user, "-o",
             f"%i{US}%S{US}%V"]
    (row,) = (line.split(US) for line in batch.run(asked).stdout.splitlines() if line.startswith(number + US))
    assert abs(int(row[2]) - time.time()) < 600
    end_of(batch, number)
    asked = ["env", "SLURM_TIME_FORMAT=%s", "sacct", "-nXP", "-j", number, "-o", "Submit,Start,End"]
    moments = [int(word) for word in batch.run(asked).stdout.split("|")]
    assert moments == sorted(moments)
    assert abs(moments[0] - time.time()) < 600


def test_that_the_script_finds_slurms_variables(batch: BatchSystem) -> None:
    number = submit(batch, "env | grep ^SLURM_ | sort", "-c", "2", "--mem=100", "-J", "named", "-o", "v.txt")
    end_of(batch, number)
    found = dict(line.split("=", 1) for line in output(batch, "v.txt").splitlines())
    assert found["SLURM_JOB_ID"] == number
    assert found["SLURM_JOB_NAME"] == "named"
    assert found["SLURM_CPUS_PER_TASK"] == "2"
    assert found["SLURM_MEM_PER_NODE"] == "100"
    assert found["SLURM_SUBMIT_DIR"] in (batch.folder, str(batch.folder).rsplit("/", 1)[0])
    assert {"SLURM_JOB_NODELIST", "SLURM_JOB_PARTITION", "SLURM_CLUSTER_NAME", "SLURM_JOB_USER"} <= set(found)


def test_that_several_jobs_are_held_and_released_at_once(batch: BatchSystem) -> None:
    first, second = submit(batch, "true", "--hold"), submit(batch, "true", "--hold", "--array=1-2")
    assert batch.run(["scontrol", "release", f"{first},{second}"]).rc == 0
    assert end_of(batch, first) == ("COMPLETED", "0:0")
    assert end_of(batch, second, tasks=2) == ("COMPLETED", "0:0")
    waits = [submit(batch, "true", "-d", f"afterok:{(blocker := submit(batch, 'true', '--hold'))}") for _ in range(2)]
    assert batch.run(["scontrol", "hold", ",".join(waits)]).rc == 0
    for number in waits:
        assert [r[1:3] for r in queue(batch, number)] == [["PENDING", "JobHeldUser"]]
    batch.run(["scancel", blocker, *waits])


def test_that_holding_what_nobody_knows_or_what_has_ended_is_refused(batch: BatchSystem) -> None:
    unknown = batch.run(["scontrol", "hold", "987654"])
    assert unknown.rc == 1
    assert "Invalid job id specified" in unknown.stderr
    number = submit(batch, "true")
    end_of(batch, number)
    ended = batch.run(["scontrol", "hold", number])
    assert ended.rc == 1
    assert "Job has already finished" in ended.stderr


def test_that_a_running_job_can_be_put_back_into_the_queue(batch: BatchSystem) -> None:
    number = submit(batch, "echo run >>again.txt; sleep 30", "-o", "/dev/null")
    wait_for("start", lambda: "run" in output(batch, "again.txt"))
    assert batch.run(["scontrol", "requeue", number]).rc == 0
    wait_for("queue", lambda: [r[1:3] for r in queue(batch, number)] == [["PENDING", "BeginTime"]])
    wait_for("second start", lambda: output(batch, "again.txt").split() == ["run", "run"])
    batch.run(["scancel", number])
    assert end_of(batch, number)[0] == "CANCELLED"


def test_that_a_trial_says_when_and_where_as_a_number_if_asked(batch: BatchSystem) -> None:
    asked = ["env", "SLURM_TIME_FORMAT=%s", "sbatch", "--test-only", "-D", batch.folder]
    ran = batch.run(asked, stdin="#!/bin/sh\n#SBATCH -c 2\n#SBATCH --array=1-3\ntrue\n")
    assert ran.rc == 0
    found = re.fullmatch(r"sbatch: Job \d+ to start at (\d+) using 2 processors on nodes \S+ in partition \S+\n",
                         ran.stderr)
    assert found, ran.stderr
    assert int(found[1]) > time.time() - 60


@pytest.mark.parametrize(("options", "words"), [
    (("-p", "nowhere"), "allocation failure: Invalid partition name specified"),
    (("-A", "nobody"), "allocation failure: Invalid account or account/partition combination specified"),
    (("--mem=9999G",), "allocation failure: Requested node configuration is not available")])
def test_that_a_trial_is_refused_as_a_submission_would_be(batch: BatchSystem, options: Sequence[str],
                                                          words: str) -> None:
    ran = batch.run(["sbatch", "--test-only", "-D", batch.folder, *options], stdin="#!/bin/sh\ntrue\n")
    assert (ran.rc, ran.stdout) == (1, "")
    assert words in ran.stderr


def test_that_cpus_are_counted_per_partition(batch: BatchSystem) -> None:
    number = submit(batch, "sleep 30", "-c", "2")
    wait_for("start", lambda: [r[1] for r in queue(batch, number)] == ["RUNNING"])
    ran = batch.run(["sinfo", "-h", "-p", batch.short_partition, "-o", "%F %C"])
    nodes, cpus = ran.stdout.split()
    used, idle, other, total = (int(n) for n in cpus.split("/"))
    assert used >= 2
    assert used + idle + other == total
    assert len(nodes.split("/")) == 4
    batch.run(["scancel", number])


def test_that_a_users_accounts_are_told(batch: BatchSystem) -> None:
    ran = batch.run(["sacctmgr", "-n", "-P", "show", "user", batch.user, "withassoc",
                     "format=DefaultAccount,Account,Partition"])
    assert ran.rc == 0, ran.stderr
    rows = [line.split("|") for line in ran.stdout.splitlines()]
    assert all(len(row) == 3 for row in rows)
    assert rows[0][0] in {row[1] for row in rows}
    refused = batch.run(["sacctmgr", "-n", "-P", "show", "user", batch.user, "format=NoSuchField"])
    assert refused.rc == 1
    assert "Unknown field 'nosuchfield'" in refused.stderr


def test_that_the_reason_of_a_chain_that_broke_is_kept(batch: BatchSystem) -> None:
    first = submit(batch, "exit 1", "--hold")
    second = submit(batch, "true", "-d", f"afterok:{first}", "--kill-on-invalid-dep=yes")
    third = submit(batch, "true", "-d", f"afterok:{second}", "--kill-on-invalid-dep=yes")
    assert batch.run(["scontrol", "release", first]).rc == 0
    assert end_of(batch, third)[0] == "CANCELLED"
    for number in (second, third):
        assert [row[2] for row in queue(batch, number)] == ["DependencyNeverSatisfied"]
        assert history(batch, number, "JobID,State") == [[number, "CANCELLED"]]      # by nobody


def test_that_a_dependency_on_an_array_waits_for_all_of_it_to_succeed(batch: BatchSystem) -> None:
    good = submit(batch, "sleep 1", "--array=1-2")
    after_good = submit(batch, "true", "-d", f"afterok:{good}", "--kill-on-invalid-dep=yes")
    half = submit(batch, "test $SLURM_ARRAY_TASK_ID = 1", "--array=1-2")
    after_half = submit(batch, "true", "-d", f"afterok:{half}", "--kill-on-invalid-dep=yes")
    assert end_of(batch, after_half)[0] == "CANCELLED"
    assert end_of(batch, after_good) == ("COMPLETED", "0:0")
    expected = {f"{half}_1": ["COMPLETED", "0:0"], f"{half}_2": ["FAILED", "1:0"]}
    wait_for("history of the tasks", lambda: {  # that of a short job comes in pieces
        row[0]: row[1:] for row in history(batch, half, "JobID,State,ExitCode")} == expected)


def test_that_tasks_of_an_array_have_logs_and_rows_of_their_own(batch: BatchSystem) -> None:
    number = submit(batch, "echo task $SLURM_ARRAY_TASK_ID; exit $((SLURM_ARRAY_TASK_ID - 1))", "--array=1-3%2", "-o",
                    "job.%a.log", "-J", "array-named")
    end_of(batch, number, tasks=3)
    assert [output(batch, f"job.{i}.log") for i in (1, 2, 3)] == ["task 1\n", "task 2\n", "task 3\n"]
    by_name = ["sacct", "-nXP", "--name=array-named", "-S", "now-7days", "-o", "JobID,ExitCode"]
    wait_for("the history by name", lambda: sorted(batch.run(by_name).stdout.split()) == [      # it comes in pieces
        f"{number}_1|0:0", f"{number}_2|1:0", f"{number}_3|2:0"])


def test_that_tasks_cancelled_before_they_start_share_a_row_of_the_history(batch: BatchSystem) -> None:
    number = submit(batch, "sleep 30", "--array=1-3%1")
    wait_for("start", lambda: [r for r in queue(batch, number, "-r") if r[1] == "RUNNING"])
    wait_for("history", lambda: history(batch, number))
    batch.run(["scancel", number])
    wait_for("end", lambda: all(r[1].startswith("CANCELLED by") for r in history(batch, number)))
    rows = {row[0]: row[1:] for row in history(batch, number, "JobID,Start,ExitCode")}
    assert set(rows) == {f"{number}_1", f"{number}_[2-3%1]"}
    assert rows[f"{number}_[2-3%1]"] == ["None", "0:0"]


def test_that_only_the_jobs_of_a_state_or_partition_are_listed(batch: BatchSystem) -> None:
    number = submit(batch, "true", "--hold", "-p", batch.short_partition)
    waiting = batch.run(["squeue", "-h", "-t", "PENDING", "-o", "%i %P"]).stdout.splitlines()
    assert f"{number} {batch.short_partition}" in waiting
    batch.run(["scancel", number])


def test_that_a_waiting_job_gets_an_expected_start(batch: BatchSystem) -> None:
    running = [submit(batch, "sleep 600", "-c", "4", "-t", "20") for _ in range(2)]
    wait_for("start", lambda: "RUNNING" in {r[1] for n in running for r in queue(batch, n)})
    (waiting,) = (r[0] for n in running for r in queue(batch, n) if r[1] == "PENDING")
    asked = ["env", "SLURM_TIME_FORMAT=%s", "squeue", "-h", "-j", waiting, "-o", "%S"]
    start = wait_for("expected start", lambda: batch.run(asked).stdout.strip().replace("N/A", ""))
    assert int(str(start)) > time.time()
    batch.run(["scancel", *running])
