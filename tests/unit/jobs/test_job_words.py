"""What a log's end explains, which tasks are meant, and how much room there is, as text."""

from __future__ import annotations

import pytest

from app.commands.job_text import job_line
from app.model.jobs import Job, JobPart, JobState, Space
from app.remote.jobs.site_room import parse_room, room_left, room_warning
from app.remote.jobs.words import explaining_lines, task_words

BAR = "\r".join(f"{n} %" for n in range(100))


@pytest.mark.parametrize(("log", "wanted", "unwanted"), [
    ("loading\n" * 50 + "Traceback (most recent call last):\n  File \"/a/run.py\", line 3, in <module>\n    main()\n"
     "ValueError: no frames\n" + "cleaning up\n" * 40, "ValueError: no frames", "Traceback"),
    ("ok\n" * 30 + "The mask has 3 × 4 pixels.\n", "The mask has 3 × 4 pixels.", ""),
    ("frame 1\nslurmstepd: error: *** JOB 7 ON cn1 CANCELLED AT 10:00:00 DUE TO TIME LIMIT ***\n" + "x\n" * 30,
     "slurmstepd: error: *** JOB 7 ON cn1 CANCELLED AT 10:00:00 DUE TO TIME LIMIT ***", ""),
    ("job.sh: line 9: pyfai-x: command not found\n" + "y\n" * 30, "job.sh: line 9: pyfai-x: command not found", ""),
    ("[ERROR] reader: bad chunk\n" + "y\n" * 30, "[ERROR] reader: bad chunk", ""),
    (f"{BAR}\nOSError: [Errno 28] No space left on device\n" + "z\n" * 30,
     "OSError: [Errno 28] No space left on device", "50 %"),
])
def test_that_the_lines_that_explain_are_found_in_a_long_log(log: str, wanted: str, unwanted: str) -> None:
    lines = explaining_lines(log)
    assert wanted in lines
    assert not unwanted or unwanted not in lines
    assert len(lines) <= 20


def test_that_a_traceback_keeps_where_it_was_and_a_bare_log_its_end() -> None:
    lines = explaining_lines("a\nTraceback (most recent call last):\n  File \"b.py\", line 1, in f\n    g()\n"
                             "  File \"c.py\", line 2, in g\n    1 / 0\nZeroDivisionError: division by zero\n")
    assert lines[-3:] == ('  File "c.py", line 2, in g', "    1 / 0", "ZeroDivisionError: division by zero")
    assert explaining_lines("\n".join(str(n) for n in range(50))) == tuple(str(n) for n in range(30, 50))
    assert explaining_lines("") == ()


@pytest.mark.parametrize("line", ["0 errors found", "standard error of the fit: 0.3", "errorbar plotted"])
def test_that_a_line_with_the_word_error_in_it_is_not_yet_one(line: str) -> None:
    assert line not in explaining_lines(f"{line}\n" + "x\n" * 20 + "ValueError: yes\n" + "y\n" * 20)


@pytest.mark.parametrize(("tasks", "words"), [
    ([3], "task 3"), ([5, 3], "tasks 3, 5"), ([1, 2], "tasks 1, 2"), ([4, 5, 6, 9], "tasks 4–6, 9"),
    (list(range(1, 30, 2)), "tasks 1, 3, 5, 7, 9, 11 …")])
def test_that_tasks_are_named_shortly(tasks: list[int], words: str) -> None:
    assert task_words(tasks) == words


DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n{} 1000000 400000 600000 40% /data\n"
QUOTA = ("Disk quotas for user v (uid 7): \n     Filesystem  blocks   quota   limit   grace   files   quota   limit   "
         "grace\n /dev/sda1  120000*  100000  150000  1700000000  8  0  0  0\n")


@pytest.mark.parametrize(("text", "expected"), [
    (f"/data\x1d{DF.format('/dev/sda1')}\x1d\x1d", Space("p", 614400000, 1024000000)),
    (f"/data\x1d{DF.format('/dev/sda1')}\x1d\x1d{QUOTA}", Space("p", 614400000, 1024000000, 122880000, 153600000)),
    (f"/data\x1d{DF.format('/dev/sdb1')}\x1d\x1d{QUOTA}", Space("p", 614400000, 1024000000)),
    (f"/l\x1d{DF.format('10.0.0.1@tcp:/l')}\x1d         /l  500  0 800 - 1 0 0 -\n\x1d",
     Space("p", 614400000, 1024000000, 512000, 819200)),
    (f"/l\x1d{DF.format('x')}\x1d  /a/very/long/name\n  [900]* 800 0 - 1 0 0 -\n\x1d",
     Space("p", 614400000, 1024000000, 921600, 819200)),
    ("/data\x1d\x1d\x1d", Space("p")),
])
def test_that_room_is_read_from_what_sites_print(text: str, expected: Space) -> None:
    assert parse_room("p", text) == expected


def test_that_little_room_is_told_before() -> None:
    plenty = Space("/d", 10**13, 10**13)
    assert room_warning(plenty, 10**12) == ""
    assert "the input has 12 GB: the results may not fit" in room_warning(Space("/d", 3 * 10**9), 12 * 10**9)
    full = Space("/d", 10**13, 10**13, quota_used=2 * 10**9, quota_limit=10**9)
    assert room_left(full) == 0
    assert room_warning(full, 1) == ("There is no room left in /d (your quota is used up): "
                                     "the results cannot be written.")
    assert room_warning(Space("/d"), 10**12) == ""


@pytest.mark.parametrize(("state", "reason", "told"), [
    (JobState.FAILED, "exit code 7", "failed: exit code 7"), (JobState.RUNNING, "", "running"),
    (JobState.CANCELLED, "cancelled", "cancelled"),
    (JobState.CANCELLED, "cancelled by the facility", "cancelled by the facility"),
    (JobState.HELD, "held by you (JobHeldUser)", "held by you (JobHeldUser)"),
    (JobState.CANCELLED, "2 of 5 tasks were cancelled", "cancelled: 2 of 5 tasks were cancelled")])
def test_that_a_state_is_not_said_twice(state: JobState, reason: str, told: str) -> None:
    assert state.told(reason) == told
    part = JobPart("run", 1, state, reason=reason)
    job = Job("1", "near", "n", "r", "1", state, reason=reason, parts=(part, part))
    first, second = job_line(job, parts=True).splitlines()[:2]
    assert first.startswith(f"1  r 1  {told} [2 ")
    assert second == f"  run.1  {told}"
