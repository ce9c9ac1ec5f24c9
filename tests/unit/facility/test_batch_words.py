"""Slurm's words as the demo's batch system reads and writes them: pure functions."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.facility.batch.arguments import CommandRefusedError
from app.facility.batch.cluster import Cluster
from app.facility.batch.history import sacct
from app.facility.batch.listing import fill, group_label, group_tasks, ranges, sinfo, squeue
from app.facility.batch.records import Journal, Record, State
from app.facility.batch.running import expand
from app.facility.batch.submission import InputNeededError, Submission, read_submission
from app.facility.batch.times import long_span, parse_limit, parse_moment, short_span

INFINITY = float("inf")
CLUSTER = Cluster(slots=4, memory_mb=2000, up=True, accounting=True, user="visitor1", uid=7, minute_s=60,
                  min_job_age_s=300)
US = "\x1f"


def record(number: int = 1, **changes: object) -> Record:
    made = Record(id=number, name="a|b \"c\"", partition="demo", account="demo", user="visitor1", uid=7, cpus=1,
                  limit_min=90, workdir="/w", submitted=1000.0, raw_id=number)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def read(script: str, *argv: str, cwd: str = "/w") -> Submission:
    return read_submission(argv, script, cwd, {"PATH": "/bin", "SECRET": "x"}, CLUSTER)


@pytest.mark.parametrize(("text", "minutes"), [
    ("5", 5), ("0:30", 1), ("1:30", 2), ("2:00:00", 120), ("1-0", 1440), ("1-2:30", 1590), ("1-00:00:01", 1441),
    ("UNLIMITED", INFINITY), ("infinite", INFINITY), ("0", INFINITY), ("soon", None), ("", None), ("1:2:3:4", None),
    ("-5", None)])
def test_that_time_limits_are_read_in_all_forms(text: str, minutes: float | None) -> None:
    assert parse_limit(text) == minutes


@pytest.mark.parametrize(("text", "ago_s"), [("now", 0), ("now-7days", 604800), ("now-2hours", 7200),
                                             ("now-30minutes", 1800), ("now-60", 60), ("now+1day", -86400)])
def test_that_moments_are_read_relative_to_now(text: str, ago_s: float) -> None:
    assert parse_moment(text, 1_000_000.0) == 1_000_000.0 - ago_s


def test_that_moments_are_read_as_dates_and_times() -> None:
    now = time.mktime((2026, 11, 22, 15, 30, 0, 0, 0, -1))
    assert parse_moment("2026-11-22", now) == now - 15.5 * 3600
    assert parse_moment("2026-11-22T15:30:00", now) == now
    assert parse_moment("15:00", now) == now - 1800
    assert parse_moment("midnight", now) == now - 15.5 * 3600
    assert parse_moment("yesterdayish", now) is None


def test_that_spans_are_written_as_each_command_does() -> None:
    assert [short_span(s) for s in (0, 59, 61, 3661, 90061)] == ["0:00", "0:59", "1:01", "1:01:01", "1-01:01:01"]
    assert [long_span(s) for s in (0, 3661, 90061)] == ["00:00:00", "01:01:01", "1-01:01:01"]


def test_that_formats_cut_and_pad_as_slurm_does() -> None:
    def value(letter: str) -> str:
        return {"i": "12345", "j": "name"}[letter]
    assert fill("%i|%.3i|%8j|%.8j|%%", value) == "12345|123|name    |    name|%"


def test_that_any_separator_is_kept_between_fields() -> None:
    form = US.join(("%i", "%T", "%r", "%l", "%P", "%j"))
    text = squeue(["-h", "-o", form], [record(reason="Priority")], CLUSTER, ())
    assert text == US.join(("1", "PENDING", "Priority", "1:30:00", "demo", 'a|b "c"')) + "\n"


def test_that_ended_jobs_are_listed_on_request_and_forgotten_with_age() -> None:
    ended = record(state=State.FAILED, started=1000.0, ended=1010.0)
    assert squeue(["-h"], [ended], CLUSTER, (), now=1011) == ""
    assert squeue(["-h", "-t", "all", "-o", "%T %M"], [ended], CLUSTER, (), now=1011) == "FAILED 0:10\n"
    assert squeue(["-h", "-t", "all"], [ended], CLUSTER, (), now=1400) == ""


def test_that_waiting_tasks_share_a_row_and_others_do_not() -> None:
    tasks = [record(5, task=n, throttle=2, raw_id=0) for n in range(6)]
    tasks[0].state = State.RUNNING
    tasks[1].state = State.COMPLETED
    groups = group_tasks(tasks)
    assert [group_label(g) for g in groups] == ["5_0", "5_1", "5_[2-5%2]"]
    assert ranges([1, 2, 3, 7, 9, 10]) == "1-3,7,9-10"


def test_that_history_has_the_fields_asked_for_in_their_order() -> None:
    cancelled = record(state=State.CANCELLED, cancelled_by=7, started=1000.0, ended=1100.0)
    text = sacct(["-nXP", f"--delimiter={US}", "-j", "1", "-o", "JobIDRaw,state,ExitCode,ElapsedRaw,JobName"],
                 [cancelled], CLUSTER, ())
    assert text == US.join(("1", "CANCELLED by 7", "0:0", "100", "a|b `c`")) + "\n"


def test_that_history_hides_held_jobs_unless_they_are_named() -> None:
    held = record(held=True)
    assert sacct(["-nX", "-S", "now-7days"], [held], CLUSTER, (), now=2000) == ""
    assert sacct(["-nXP", "-j", "1", "-o", "State"], [held], CLUSTER, (), now=2000) == "PENDING\n"


def test_that_without_accounting_sacct_says_so() -> None:
    off = Cluster(4, 2000, True, False, "visitor1", 7, 60, 300)
    with pytest.raises(CommandRefusedError, match="Slurm accounting storage is disabled"):
        sacct(["-n"], [], off, ())


def test_that_a_closed_cluster_shows_its_partitions_down_with_the_reason() -> None:
    down = Cluster(4, 2000, False, True, "visitor1", 7, 60, 300)
    rows = sinfo(["-h", "-o", "%R|%a|%E"], [], down).splitlines()
    assert rows[0] == "demo|down|The demo facility does not run jobs on this computer"
    assert len(rows) == 3


def test_that_the_command_line_wins_over_the_script() -> None:
    asked = read("#!/bin/sh\n#SBATCH -t 3 -c 2   # a remark\n#SBATCH --comment='two words'\necho\n#SBATCH -p long\n",
                 "--time=4", "-J", "x y")
    assert (asked.limit_min, asked.cpus, asked.comment) == (4, 2, "two words")
    assert (asked.partition, asked.name) == ("demo", "x y")


def test_that_nothing_given_means_slurms_defaults() -> None:
    asked = read("#!/bin/sh\ntrue\n")
    assert (asked.name, asked.partition, asked.account, asked.limit_min) == ("sbatch", "demo", "demo", 10)
    assert (asked.stdout, asked.stderr, asked.workdir, asked.tasks) == ("slurm-%j.out", "slurm-%j.out", "/w", None)


def test_that_a_script_file_is_read_and_names_the_job(tmp_path: Path) -> None:
    (tmp_path / "job.sh").write_text("#!/bin/sh\necho $1\n")
    asked = read_submission(["job.sh", "one", "-t"], None, str(tmp_path), {}, CLUSTER)
    assert (asked.name, asked.arguments) == ("job.sh", ["one", "-t"])
    with pytest.raises(InputNeededError):
        read_submission([], None, str(tmp_path), {}, CLUSTER)


@pytest.mark.parametrize(("text", "tasks", "throttle"), [
    ("0-5%2", (0, 1, 2, 3, 4, 5), 2), ("1,3,9", (1, 3, 9), 0), ("0-10:5", (0, 5, 10), 0), ("7", (7,), 0)])
def test_that_arrays_are_read(text: str, tasks: tuple[int, ...], throttle: int) -> None:
    asked = read("#!/bin/sh\n", f"--array={text}")
    assert (asked.tasks, asked.throttle, asked.stdout) == (tasks, throttle, "slurm-%A_%a.out")


@pytest.mark.parametrize("text", ["0-4000000", "5-1", "a", "1%0", "0-99999999", ",", "0-1000000000000"])
def test_that_arrays_too_large_or_unreadable_are_refused(text: str) -> None:
    with pytest.raises(CommandRefusedError, match="Invalid job array specification"):
        read("#!/bin/sh\n", f"--array={text}")


def test_that_export_chooses_what_the_script_finds() -> None:
    assert read("#!/bin/sh\n").environment == {"PATH": "/bin", "SECRET": "x"}
    assert read("#!/bin/sh\n", "--export=NONE").environment == {"PATH": "/bin"}
    assert read("#!/bin/sh\n", "--export=A=1").environment == {"PATH": "/bin", "A": "1"}
    assert read("#!/bin/sh\n", "--export=ALL,A=1").environment == {"PATH": "/bin", "SECRET": "x", "A": "1"}


@pytest.mark.parametrize(("text", "megabytes"), [("100", 100), ("1G", 1024), ("512K", 1), ("0", None)])
def test_that_memory_is_read_in_megabytes(text: str, megabytes: int | None) -> None:
    assert read("#!/bin/sh\n", f"--mem={text}").memory_mb == megabytes


def test_that_output_names_are_filled_in() -> None:
    task = record(12, task=3, raw_id=15, name="n")
    assert expand("%x-%A_%a-%j-%4j-%u-%N-%%-%q", task) == "n-12_3-15-0015-visitor1-demo1-%-%q"


def test_that_the_journal_forgets_nothing_but_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "jobs.jsonl")
    first = record(1, limit_min=INFINITY)
    journal.add(first)
    journal.add(record(2, task=0))
    first.state, first.exit_code = State.FAILED, 3
    journal.add(first)
    with (tmp_path / "jobs.jsonl").open("a") as file:
        file.write('{"id": 3, "na')
    kept = journal.load()
    assert kept == [first, record(2, task=0)]
    assert len((tmp_path / "jobs.jsonl").read_text().splitlines()) == 2
