"""Grid Engine's states, failures and refusals in plain words. Pure: no I/O, any thread."""

from __future__ import annotations

import re

from app.errors import BeamsideError
from app.model.jobs import JobState, Resources
from app.remote.scheduler.fields import duration, plain
from app.remote.scheduler.refusals import Refusals, asked_words

_UNREACHABLE = re.compile(r"commlib error|unable to (send message to|contact) qmaster|failed receiving gdi request|"
                          r"can't connect to service|qmaster is not running|got (select|send|read) error", re.I)
_MISSING = re.compile(r"q(sub|stat|acct|del|hold|rls|conf|select)['’]?: (command not found|not found|No such file)|"
                      r"set the environment variable SGE_ROOT")
_REFUSALS = (
    (r"unknown queue", "{Queue} does not exist at this site.", "Choose one of those the site offers."),
    (r"parallel environment .* does not exist|cannot run in PE",
     "The site does not run jobs of {cpus} as they are asked for here.",
     ("Ask for fewer CPUs, or set [batch] parallel_environment in the site's profile to one the site has "
      "(qconf -spl).")),
    (r"requested project|no access to project|not allowed to.*project",
     "{Account} does not exist at this site, or you may not use it.", "Choose another project."),
    (r"unknown resource", "The site does not know a resource that the job asks for.",
     "Set [batch] memory_resource and gpu_resource in the site's profile to what the site has (qconf -sc)."),
    (r"more than \d+ tasks", "The site does not allow so many tasks in one job.", "Divide the job into fewer tasks."),
    (r"jobs? (is|are) allowed per|job limit", "You have as many jobs in the queue as this site allows.",
     "Wait until some of them have ended."),
    (r"has no access|not allowed to submit|no permission|is no submit host",
     "You may not submit jobs from this host, or not with this account.",
     "Ask the facility to allow your account to use the batch system."),
    (r"offers only", "No host of {queue} has {needs}.",
     "Ask for less, or choose another queue."),
    (r"h_rt=.*because of cluster queue", "{Time} is more than the site's queues allow.",
     "Ask for less time or choose another queue."),
    (r"cannot enter this folder", "Grid Engine cannot enter a folder whose name has a new line, $HOME or the like.",
     "Use input files from another folder, or another place for results."),
    (r"no suitable queues", "No queue of the site would ever run the job.", "Ask for less, or choose another queue."),
)
REFUSALS = Refusals("Grid Engine", _UNREACHABLE, _MISSING, _REFUSALS)
# Of accounting(5): what had failed, besides the program itself.
_FAILED = {25: "put back into the queue", 24: "moved to another host", 30: "put back into the queue",
           26: "its log could not be opened", 27: "its shell was not found", 28: "its folder could not be entered",
           21: "its host did not know it", 37: "a limit was reached", 19: "its host failed", 20: "its host failed"}


def state(text: str, waits_for_job: bool, held: bool) -> tuple[JobState, str]:
    """State and reason of ``qw``, ``hqw``, ``r``, ``dr``, ``Eqw`` …

    Args:
        waits_for_job: it has predecessors; while it is held, they have not ended.
        held: somebody holds it, besides those.
    """
    if "E" in text:
        return JobState.QUEUED, "never starts: it failed at its start"
    if "w" in text or text == "Rq":
        if "h" in text and (held or not waits_for_job):
            return JobState.HELD, "held"
        if "h" in text:
            return JobState.QUEUED, "waiting for another job"
        return JobState.QUEUED, "put back into the queue" if "R" in text else ""
    if "d" in text:
        return JobState.RUNNING, "ending"
    if re.search(r"[rtRsSTN]", text):
        return JobState.RUNNING, "suspended" if re.search(r"[sST]", text) else ""
    return JobState.UNKNOWN, f"Grid Engine calls its state {plain(text, 20)}"


def waiting_words(said: str) -> str:
    """Why the scheduler did not start a job, out of one or more of its sentences; ``""``: it did not say."""
    for pattern, found in (
            (r"Not all tasks|not all array tasks", "as many tasks of the array run as may"),
            (r"offers only (hc|hl|qf|hf)?:?(h_vmem|\S*mem)", "waiting for free memory"),
            (r"offers only \S*slots|cannot run in PE", "waiting for free CPUs"),
            (r"offers only", "waiting for what it asks for to be free"),
            (r"cannot run in queue .* because of cluster queue", "no queue that it may use allows what it asks for"),
            (r"exceeds.*limit|limit rule", "you have as much in use as you may"),
            (r"project list|has no permission", "no queue that it may use lets it in"),
            (r"because it is full", "waiting for free CPUs"),
            (r"is disabled|temporarily not available|suspended", "the hosts it needs are not in service"),
            (r"overload or full", "waiting for free CPUs")):      # said of disabled queues, too
        if re.search(pattern, said):
            return found
    return ""


def failure(code: int, exit_status: int | None, wallclock: float, limit_s: int | None, memory: float,
            memory_limit: float | None) -> str:
    """What ``failed`` in ``qacct`` means; ``""``: the program's own end tells all."""
    if code == 37:
        if limit_s and wallclock >= limit_s - 1:
            return "the time limit was reached"
        if memory_limit and memory >= 0.8 * memory_limit:
            return "the memory limit was exceeded"
        return "the time or memory limit was reached"
    if code == 100 or code == 0:
        return ""
    if code in _FAILED:
        return _FAILED[code]
    return "it could not be started on its host" if code < 12 or code in (36, 38) else (
        f"Grid Engine failed with it (code {code})")


def refusal(errors: str, resources: Resources) -> BeamsideError:
    """The error for a ``qsub`` that failed."""
    lines = [line.strip() for line in errors.splitlines() if line.strip() and line.strip() != "Exiting."]
    said = re.sub(r"^(Unable to run job: )?(job rejected: |denied: |error: )?", "", lines[0]) if lines else ""
    return REFUSALS.refusal(errors, asked_words(resources, "queue", "project"), plain(said))


def queue_limits(text: str) -> dict[str, int | None]:
    """The time limits of queues in lines ``qname …`` and ``h_rt …``, in s; ``None``: there is none."""
    found: dict[str, int | None] = {}
    name = ""
    for line in text.splitlines():
        key, _, value = line.strip().partition(" ")
        if key == "qname":
            name = value.strip()
        elif key == "h_rt" and name:
            found[name] = duration(value.strip().partition(",")[0])
    return found
