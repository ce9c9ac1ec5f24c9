"""What Grid Engine's commands print is read rightly; recorded from 8.1.9 where not said otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.errors import BeamsideError, SchedulerUnavailableError, StorageFullError, SubmissionRefusedError
from app.model.jobs import Account, JobState, Resources
from app.remote.scheduler.gridengine import GridEngine
from app.remote.scheduler.states import StepWish

grid = GridEngine()
PART = "\n\x1d\n"
SUBMITTED = datetime(2026, 11, 22, 20, 15, 6, tzinfo=UTC).timestamp()


def job(number: str, state: str, *, name: str = "beamside-x", tasks: str = "", more: str = "") -> str:
    running = "w" not in state
    when = "JAT_start_time" if running else "JB_submission_time"
    return (f'<job_list state="{"running" if running else "pending"}"><JB_job_number>{number}</JB_job_number>'
            f"<JAT_prio>0.25</JAT_prio><JB_name>{name}</JB_name><JB_owner>me</JB_owner><state>{state}</state>"
            f"<{when}>2026-11-22T20:15:06</{when}><queue_name>{'all.q@vm' if running else ''}</queue_name>"
            f"<slots>1</slots>{f'<tasks>{tasks}</tasks>' if tasks else ''}<full_job_name>{name}</full_job_name>{more}"
            "<binding>NONE</binding></job_list>")


def listed(*jobs: str, holds: str = "", said: str = "") -> str:
    return ("<?xml version='1.0'?>\n<job_info  xmlns:xsd=\"http://arc.liv.ac.uk/qstat.xsd\"><queue_info></queue_info>"
            f"<job_info>{''.join(jobs)}</job_info></job_info>{PART}{holds}{PART}{said}")


def past(number: str = "7", failed: str = "0", status: str = "0", *, task: str = "undefined", category: str = "NONE",
         wallclock: str = "3s", maxvmem: str = "5.1MB", slots: str = "1", more: str = "") -> str:
    return (f"{'=' * 62}\nqname        all.q               \nhostname     vm                  \n"
            f"jobname      beamside-x          \njobnumber    {number}                   \ntaskid       {task}\n"
            "qsub_time    Sun Nov 22 20:15:06 2026\nstart_time   Sun Nov 22 20:15:07 2026\n"
            f"end_time     Sun Nov 22 20:15:10 2026\nslots        {slots}\nfailed       {failed}\n"
            f"exit_status  {status}\nru_wallclock {wallclock}\nmaxvmem      {maxvmem}\n{more}category     {category}\n")


@pytest.mark.parametrize(("state", "kind", "words"), [
    ("qw", JobState.QUEUED, ""), ("hqw", JobState.HELD, "held by you"), ("r", JobState.RUNNING, ""),
    ("t", JobState.RUNNING, ""), ("hr", JobState.RUNNING, ""), ("Rr", JobState.RUNNING, ""),
    ("dr", JobState.RUNNING, "ending"), ("S", JobState.RUNNING, "suspended"), ("s", JobState.RUNNING, "suspended"),
    ("T", JobState.RUNNING, "suspended"), ("Rq", JobState.QUEUED, "put back into the queue"),
    ("Eqw", JobState.QUEUED, "never starts: it failed at its start"),
    ("x", JobState.UNKNOWN, "Grid Engine calls its state x")])
def test_that_a_listed_state_is_said_in_words(state: str, kind: JobState, words: str) -> None:
    (row,) = grid.parse_list(listed(job("7", state)))
    assert (row.state, row.reason, row.scheduler_id, row.name) == (kind, words, "7", "beamside-x")
    began = kind is JobState.RUNNING
    if kind is not JobState.UNKNOWN and state != "Rq":
        assert (row.started, row.submitted) == ((SUBMITTED, None) if began else (None, SUBMITTED))
        assert (row.partition, row.node) == (("all.q", "vm") if began else ("", ""))


def test_that_a_job_that_waits_for_another_is_not_called_held() -> None:
    waits = "<predecessor_jobs_req>28</predecessor_jobs_req><predecessor_jobs>28</predecessor_jobs>"
    ended = "<predecessor_jobs_req>28</predecessor_jobs_req>"
    assert grid.parse_list(listed(job("7", "hqw", more=ended)))[0].reason == "waiting for another job"
    assert grid.parse_list(listed(job("7", "qw", more=ended)))[0].reason == ""
    rows = grid.parse_list(listed(job("7", "hqw", more=waits), job("8", "hqw", more=waits), job("9", "hqw"),
                                  holds="u 8\ns 9\n"))
    assert [(r.state, r.reason) for r in rows] == [(JobState.QUEUED, "waiting for another job"),
                                                   (JobState.HELD, "held by you"),
                                                   (JobState.HELD, "held by the facility")]


def test_that_every_task_of_an_array_has_a_row() -> None:
    rows = grid.parse_list(listed(job("28", "r", tasks="1"), job("28", "qw", tasks="3-5:1"),
                                  job("29", "qw", tasks="2,4-8:2"), job("30", "qw", tasks="1-999999999:1")))
    assert [(r.scheduler_id, r.task) for r in rows] == [
        ("28", 1), ("28", 3), ("28", 4), ("28", 5), ("29", 2), ("29", 4), ("29", 6), ("29", 8), ("30", None)]


@pytest.mark.parametrize(("said", "words"), [
    ('cannot run in PE "smp" because it only offers 0 slots', "waiting for free CPUs"),
    ('(-l h_vmem=8000M) cannot run at host "vm" because it offers only hc:h_vmem=5.000G', "waiting for free memory"),
    ('(-l gpu=9) cannot run at host "vm" because it offers only hc:gpu=2.000000', "waiting for what it asks for"),
    ('(-l h_rt=59940) cannot run in queue "short.q" because of cluster queue', "no queue that it may use allows"),
    ("not all array tasks may be started due to 'max_aj_instances'", "as many tasks of the array run as may"),
    ('queue instance "a.q@vm" dropped because it is full', "waiting for free CPUs"),
    ("All queues dropped because of overload or full", ""),     # said in any case
    ("(Collecting of scheduler job information is turned off)", "")])
def test_that_the_schedulers_reasons_are_told(said: str, words: str) -> None:
    text = (f'job_number:                 7\nscheduling info:            queue instance "c.q@vm" dropped because it is '
            f"disabled\n                            {said}\n{'=' * 62}\njob_number:                 8\n")
    first, second = grid.parse_list(listed(job("7", "qw"), job("8", "qw"), said=text))
    assert first.reason.startswith(words or "the hosts it needs are not in service")
    assert second.reason == ""


def test_that_reasons_are_told_where_nobody_holds_a_job() -> None:
    """As the site prints it: then there is nothing at all between the second and the third part."""
    text = listed(job("7", "qw"), said='job_number: 7\nscheduling info: queue "a.q@vm" dropped because it is full\n')
    (row,) = grid.parse_list(text.replace(PART + PART, "\n\x1d\n\x1d\n"))
    assert row.reason == "waiting for free CPUs"


def test_that_a_job_in_error_says_why() -> None:
    text = ("job_number:                 27\nerror reason          1:      11/22/2026 20:15:06 [1007:5855]: error: "
            "can't open output file \"/nosuch/log\": No such file or directory\n")
    (row,) = grid.parse_list(listed(job("27", "Eqw"), said=text))
    assert row.reason == ("never starts: it failed at its start: can't open output file \"/nosuch/log\": "
                          "No such file or directory")


def test_that_the_time_limit_of_a_listed_job_is_read() -> None:
    request = '<hard_request name="h_rt" resource_contribution="0.000000">356400</hard_request>'
    assert grid.parse_list(listed(job("7", "qw", more=request)))[0].time_limit_s == 356400


@pytest.mark.parametrize("name", ["a &amp; b", "x &lt;job_list&gt;", "AT&T", "\x07bell", "é", "a" * 300])
def test_that_names_of_other_jobs_do_not_break_the_list(name: str) -> None:
    assert [r.scheduler_id for r in grid.parse_list(listed(job("6", "qw", name=name), job("7", "r")))] == ["6", "7"]


@pytest.mark.parametrize("text", [
    "", "Welcome to the cluster!\n", "<?xml version='1.0'?>\n<job_info><job_list>",
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><job_info>&c;</job_info>',
    '<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><job_info></job_info>'])
def test_that_an_answer_that_is_no_list_is_not_an_empty_one(text: str) -> None:
    with pytest.raises(SchedulerUnavailableError, match="cannot be read"):
        grid.parse_list(text)


@pytest.mark.parametrize(("failed", "status", "more", "kind", "exit_code", "signal", "words"), [
    ("0", "0", {}, JobState.COMPLETED, 0, None, ""),
    ("0", "7", {}, JobState.FAILED, 7, None, "exit code 7"),
    ("0", "143                  (Terminated)", {}, JobState.FAILED, 143, None, "exit code 143 (terminated)"),
    ("100 : assumedly after job", "137                  (Killed)", {}, JobState.FAILED, None, 9,
     "stopped by signal 9 (killed)"),
    ("37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137", {"category": "-l h_rt=3"}, JobState.FAILED, None, 9,
     "the time limit was reached"),
    ("37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137",
     {"category": "-l h_rt=600,h_vmem=500M -pe smp 2", "maxvmem": "998.5MB", "slots": "2"}, JobState.FAILED, None, 9,
     "the memory limit was exceeded"),
    ("37  : qmaster enforced h_rt, h_cpu, or h_vmem limit", "137", {"category": "-l h_rt=600"}, JobState.FAILED, None,
     9, "the time or memory limit was reached"),
    ("26  : opening input/output file", "0", {}, JobState.FAILED, 0, None, "its log could not be opened"),
    ("8   : in prolog", "0", {}, JobState.FAILED, 0, None, "it could not be started on its host"),
    ("19  : before writing exit_status", "0", {}, JobState.FAILED, 0, None, "its host failed"),
    ("25  : rescheduling", "99", {}, JobState.QUEUED, None, None, "put back into the queue"),
    # Of Univa's and Altair's versions, as their documentation has it.
    ("100 : assumedly after job", "137", {"more": "deleted_by   me@login1\n"}, JobState.CANCELLED, None, 9,
     "cancelled"),
])
def test_that_a_record_tells_how_a_job_ended(failed: str, status: str, more: dict[str, str], kind: JobState,
                                             exit_code: int | None, signal: int | None, words: str) -> None:
    (row,) = grid.parse_history(past("7", failed, status, **more))
    assert (row.state, row.exit_code, row.signal, row.reason) == (kind, exit_code, signal, words)
    assert (row.submitted, row.started) == (SUBMITTED, SUBMITTED + 1)
    assert row.ended == (None if kind is JobState.QUEUED else SUBMITTED + 4)


def test_that_of_several_runs_of_a_job_the_last_counts() -> None:
    rows = grid.parse_history(past("7", "25 : rescheduling", "99") + past("8", task="1") + past("8", "0", "3", task="2")
                              + past("7", "0", "0"))
    assert [(r.scheduler_id, r.task, r.state) for r in rows] == [
        ("8", 1, JobState.COMPLETED), ("8", 2, JobState.FAILED), ("7", None, JobState.COMPLETED)]
    assert grid.parse_history("error: job id 9 not found\n") == []


def test_that_the_header_asks_for_what_was_chosen_and_nothing_else() -> None:
    wish = StepWish("beamside-1-2", "job-2", Resources("short.q", "proposals", 30, 4, 2001, 2), 40, 8, True)
    assert grid.header(wish).splitlines() == [
        "#$ -S /bin/bash", "#$ -N beamside-1-2", "#$ -cwd", "#$ -j y", "#$ -notify", "#$ -o job-2.$TASK_ID.log",
        "#$ -t 1-40", "#$ -tc 8", "#$ -q short.q", "#$ -P proposals", "#$ -l h_rt=1800", "#$ -pe smp 4",
        "#$ -l h_vmem=501M", "#$ -l gpu=2", "#$ -h"]
    assert GridEngine("mpi", "").header(StepWish("beamside-1", "job", Resources(cpus=2, memory_mb=9))).splitlines() == [
        "#$ -S /bin/bash", "#$ -N beamside-1", "#$ -cwd", "#$ -j y", "#$ -notify", "#$ -o job.log", "#$ -pe mpi 2"]
    with pytest.raises(SubmissionRefusedError):
        grid.header(StepWish("1abc", "job", Resources()))


def test_that_an_id_is_found_in_what_qsub_prints() -> None:
    assert grid.parse_submit("Module loaded\n28.1-5:1\n") == "28"
    assert grid.parse_submit("28\n") == "28"
    assert grid.parse_submit("Your job 28 has been submitted\n") is None
    assert grid.submit_argv("job-2.sh", after=True) [-5:] == ["sh", "-terse", "-hold_jid", "{after}", "job-2.sh"]


@pytest.mark.parametrize(("said", "kind", "words"), [
    ('Unable to run job: Job was rejected because job requests unknown queue "nope.q"\nExiting.\n',
     SubmissionRefusedError, "The queue “nope.q” does not exist"),
    ('Unable to run job: unknown resource "h_vmem"\nExiting.\n', SubmissionRefusedError, "does not know a resource"),
    ('Unable to run job: job rejected: the requested parallel environment "smp" does not exist\nExiting.\n',
     SubmissionRefusedError, "does not run jobs of 4 CPUs"),
    ('Unable to run job: job rejected: the requested project "nope" does not exist\nExiting.\n', SubmissionRefusedError,
     "The project “acct” does not exist"),
    ("Unable to run job: job rejected: you tried to submit a job with more than 75000 tasks\nExiting.\n",
     SubmissionRefusedError, "so many tasks"),
    ('Unable to run job: Job 22 (-l h_rt=5400) cannot run in queue "short.q" because of cluster queue\nExiting.\n',
     SubmissionRefusedError, "The time limit of 90 min"),
    ('Unable to run job: Job 21 (-l h_vmem=100G) cannot run at host "vm" because it offers only hc:h_vmem=8.000G\n',
     SubmissionRefusedError, "No host of the queue “nope.q” has the 4 CPUs and 5 MB"),
    ("Unable to run job: a brand new reason\nExiting.\n", SubmissionRefusedError,
     "Grid Engine refused the job: a brand new reason"),
    ("Unable to run job: unable to send message to qmaster using port 6444\nExiting.\n",
     SchedulerUnavailableError, "does not answer"),
    ("job-x: 3: qsub: not found", SchedulerUnavailableError, "commands were not found"),
    ("critical error: Please set the environment variable SGE_ROOT.\n", SchedulerUnavailableError,
     "commands were not found"),
    ("qsub: No space left on device", StorageFullError, "no space left")])
def test_that_a_refusal_is_one_sentence(said: str, kind: type[BeamsideError], words: str) -> None:
    error = grid.refusal(said, Resources("nope.q", "acct", 90, 4, 5))
    assert isinstance(error, kind)
    assert words in error.summary
    assert "\n" not in error.summary
    assert error.detail == said.strip()


@pytest.mark.parametrize(("said", "words"), [
    ("requested project does not exist", "Your default project does not exist at this site, or you may not use it."),
    ("it offers only hc:h_vmem=8.000G", "No host of the default queue has what the job asks for."),
    ('the requested parallel environment "smp" does not exist',
     "The site does not run jobs of several CPUs as they are asked for here."),
    ('Job 22 (-l h_rt=5400) cannot run in queue "short.q" because of cluster queue',
     "The default time limit is more than the site's queues allow.")])
def test_that_a_refusal_names_nothing_that_was_not_asked_for(said: str, words: str) -> None:
    error = grid.refusal(f"Unable to run job: {said}\nExiting.\n", Resources())
    assert error.summary == words
    assert error.remedy


def test_that_a_job_that_has_ended_needs_no_cancellation_but_cannot_be_held() -> None:
    gone = 'denied: job "99999" does not exist\n'
    assert grid.control_problem(1, gone, "") == ""
    assert grid.control_problem(3, "holding\n" + gone, "") == 'job "99999" does not exist'
    assert grid.control_problem(1, "denied: me is not the owner of job 3\n", "") == "me is not the owner of job 3"
    assert grid.control_problem(0, "me has registered the job 32 for deletion\n", "") == ""
    assert grid.control_problem(1, "", "error: unable to send message to qmaster using port 6444") == (
        "unable to send message to qmaster using port 6444")


def test_that_queues_and_projects_are_read() -> None:
    def queue(name: str, free: int, disabled: int) -> str:
        return (f"<cluster_queue_summary><name>{name}</name><used>0</used><available>{free}</available><total>4</total>"
                f"<temp_disabled>0</temp_disabled><manual_intervention>{disabled}</manual_intervention>"
                "</cluster_queue_summary>")
    text = (f"<?xml version='1.0'?><job_info>{queue('all.q', 3, 0)}{queue('closed.q', 0, 4)}{queue('secret.q', 4, 0)}"
            f"</job_info>{PART}qname   all.q\nh_rt   INFINITY\nqname closed.q\nh_rt  1:00:00\n{PART}all.q\nclosed.q\n")
    first, second = grid.parse_partitions(text)
    assert (first.name, first.up, first.cpus_idle, first.cpus_total, first.time_limit_s) == ("all.q", True, 3, 4, None)
    assert (second.up, second.reason, second.time_limit_s) == (False, "none of its hosts is in service", 3600)
    assert grid.parse_accounts(f"a\nno project list defined\nb{PART}default_project b\n") == [
        Account("a"), Account("b", True)]
