"""The agent's place on a compute node: an allocation of the batch system that outlives agent, link and program.

It is found again by its job's name, which belongs to this computer and user, so that a lost link or a crash costs no
new wait in the queue. It is given back when the connection is closed and nobody else uses it; if that cannot be said,
it ends by itself ten minutes after its last use. Called on the connection's thread, ``leave`` on the one that closes.
"""

from __future__ import annotations

import getpass
import hashlib
import logging
import platform
import shlex
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from app.errors import AgentError, BeamsideError, CancelledByUserError, LinkLostError, UsageError
from app.model.jobs import JobState, Resources
from app.model.site import SiteProfile
from app.remote.scheduler.dialect import dialect_for
from app.remote.scheduler.slurm_allocation import keeper_script, parse_steps, step_argv, steps_argv, submit_argv
from app.remote.scheduler.states import JobRow
from app.remote.seams import CommandResult, Transport

log = logging.getLogger(__name__)

IDLE_S = 600
THREADS_OPTION = "--threads"
_NAME = "beamside-agent"
_WAITS = (JobState.QUEUED, JobState.HELD, JobState.RUNNING)
_FIRST_POLL_S, _SLOWER = 1.0, 1.5
_LOOK_S = 0.3


class Place(Protocol):
    """Where the agent runs: ``enter`` gives what its command line begins with, ``leave`` gives the place back.

    ``pause(seconds)`` waits, and answers True when nobody wants the place any more.
    """

    def enter(self, transport: Transport, pause: Callable[[float], bool]) -> tuple[str, ...]: ...
    def leave(self, transport: Transport, deadline_s: float) -> None: ...


class Allocation:
    """One allocation for one site's agent.

    Args:
        say: is told what is waited for, one sentence.
        idle_s: how long the allocation outlives its last use.
        name: of its job; the same one finds it again.
    """

    def __init__(self, profile: SiteProfile, say: Callable[[str], None], *, idle_s: int = IDLE_S,
                 name: str = "") -> None:
        self._profile = profile
        self._say = say
        self._idle_s = idle_s
        self.name = name or _own_name()
        self._dialect = dialect_for(profile.batch.system, profile.name)
        batch, agent = profile.batch, profile.agent
        self._resources = Resources(partition=batch.partitions[0] if batch.partitions else "", account=batch.account,
                                    time_limit_min=agent.time_min or None, cpus=agent.cores or None,
                                    memory_mb=agent.memory_mb * (max(1, agent.workers) + 1))
        self._job = ""
        self._was_entered = False
        self._said = ""

    @property
    def job(self) -> str:
        """The batch system's id of the allocation; ``""``: there is none."""
        return self._job

    def enter(self, transport: Transport, pause: Callable[[float], bool]) -> tuple[str, ...]:
        """Find the allocation or ask for one, wait until it runs, and give what starts a program in it.

        Raises:
            AgentError: it will never start, or has ended before it did.
            SubmissionRefusedError, SchedulerUnavailableError: the batch system says no, or nothing.
            CancelledByUserError: ``pause`` said so; ``leave`` takes the job out of the queue.
        """
        row = self._find(transport)
        if row is None:
            self._job = self._submit(transport)
            row = self._find(transport)
        wait_s, patience = _FIRST_POLL_S, 3
        while True:
            if row is not None:
                patience = 3
                self._job = row.scheduler_id
                if row.state is JobState.RUNNING and not row.reason:
                    break
                self._refuse_what_never_starts(transport, row)
                self._tell(f"queued: {row.reason or 'waiting for a node'}, job {row.scheduler_id}")
            elif patience == 0:
                ended, self._job = self._job, ""
                raise AgentError(f"The batch system ended the agent's job {ended} before it began.",
                                 remedy="Connect again; if it happens again, ask the facility.")
            else:
                patience -= 1       # a new job may not be listed at once
            if pause(wait_s):
                raise CancelledByUserError("Waiting in the queue was given up.")
            wait_s = min(wait_s * _SLOWER, max(_FIRST_POLL_S, self._profile.batch.poll_s))
            row = self._find(transport)
        self._was_entered = True
        self._tell(f"starting on {row.node or 'a compute node'}, job {row.scheduler_id}")
        return tuple(self._in_login_shell(step_argv(self._job, self._resources.cpus, THREADS_OPTION)))

    def leave(self, transport: Transport, deadline_s: float) -> None:
        """Give the allocation back, unless another program of the same user still runs in it. Raises nothing."""
        job, self._job = self._job, ""
        was_entered, self._was_entered = self._was_entered, False
        if not job:
            return
        deadline = time.monotonic() + deadline_s
        try:
            while was_entered and parse_steps(self._run(transport, steps_argv(job)).text):
                if time.monotonic() + _LOOK_S > deadline:
                    log.info("job %s is still in use, or ends by itself", job)
                    return
                time.sleep(_LOOK_S)
            done = self._run(transport, self._dialect.cancel_argv([job]))
            problem = self._dialect.control_problem(done.exit_code, done.text, done.error_text)
            if problem:
                log.warning("job %s could not be given back: %s", job, problem)
        except BeamsideError as error:
            log.info("job %s ends by itself: %s", job, error.summary)

    def _find(self, transport: Transport) -> JobRow | None:
        """The oldest job of the name that runs or will."""
        done = self._run(transport, self._dialect.list_argv(transport.user))
        if done.exit_code:
            raise self._dialect.unreachable(done.exit_code, done.error_text)
        rows = [row for row in self._dialect.parse_list(done.text)
                if row.name == self.name and row.state in _WAITS and row.reason != "ending"]
        return min(rows, key=lambda row: (row.state is not JobState.RUNNING, int(row.scheduler_id)), default=None)

    def _submit(self, transport: Transport) -> str:
        self._tell("asking the batch system for a place")
        script = keeper_script(self._resources, self.name, self._idle_s)
        done = self._run(transport, submit_argv(), script.encode())
        job = self._dialect.parse_submit(done.text) if done.exit_code == 0 else None
        if job is None:
            raise self._dialect.refusal(done.error_text, self._resources)
        log.info("%s: job %s asked for", self._profile.name, job)
        return job

    def _refuse_what_never_starts(self, transport: Transport, row: JobRow) -> None:
        never, _, why = row.reason.partition("never starts: ")
        if never or not why:
            return
        self._job = ""
        self._run(transport, self._dialect.cancel_argv([row.scheduler_id]))
        raise AgentError(f"The batch system will never start the agent: {why.partition(' (')[0]}.", row.reason,
                         "Change [agent] time_min and cores, or [batch] partitions, in the site profile.")

    def _tell(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)

    def _run(self, transport: Transport, argv: Sequence[str], stdin: bytes = b"") -> CommandResult:
        if not transport.alive:
            raise LinkLostError("The connection is lost.", remedy="It is restored by itself; the place is kept.")
        return transport.run(self._in_login_shell(argv), stdin=stdin)

    def _in_login_shell(self, argv: Sequence[str]) -> list[str]:
        """As for jobs; arguments that follow reach the program unchanged."""
        if not self._profile.batch.login_shell:
            return list(argv)
        return ["bash", "-lc", shlex.join(argv) + ' "$@"', "beamside"]


def place_of(profile: SiteProfile, say: Callable[[str], None]) -> Place | None:
    """Where the profile wants the agent: in an allocation, or (``None``) on the login node.

    Raises:
        UsageError: it wants a batch system that the site does not have.
    """
    if profile.is_local or profile.agent.run != "batch":
        return None
    if profile.batch.system not in ("", "slurm"):
        raise UsageError(f"The profile of {profile.name} runs the agent in the batch system; that needs Slurm.",
                         remedy='Run the agent on the login node: [agent] run = "login".')
    if not profile.batch.system:
        raise UsageError(f"The profile of {profile.name} runs the agent in the batch system, but names none.",
                         remedy='Name it ([batch] system = "slurm"), or run the agent on the login node.')
    return Allocation(profile, say)


def _own_name() -> str:
    """The name of this computer's and user's allocation."""
    text = f"{platform.node()}\n{getpass.getuser()}"
    return f"{_NAME}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
