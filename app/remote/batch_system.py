"""The batch system of one site: its dialect's commands, run over the site's transport.

Blocking; any thread, never Qt's. The dialect (:mod:`app.remote.scheduler`) builds and parses; nothing is known here
of job folders. What is kept is the list of partitions, for a while.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence

from app.errors import BatchError, SchedulerUnavailableError
from app.model.jobs import Partition
from app.model.site import SiteProfile
from app.remote.job_truth import job_name
from app.remote.scheduler.dialect import Dialect, dialect_for
from app.remote.scheduler.states import JobRow
from app.remote.seams import CommandResult, Transport

_log = logging.getLogger(__name__)
_PARTITIONS_FRESH_S = 120.0


class BatchSystem:
    """What may be asked of it.

    Args:
        transport: gives the site's transport when called, connecting if need be; raises what connecting raises.
    """

    def __init__(self, profile: SiteProfile, transport: Callable[[], Transport]) -> None:
        self._profile = profile
        self._transport = transport
        self._partitions: tuple[float, list[Partition]] | None = None

    @property
    def dialect(self) -> Dialect:
        """How it is spoken to.

        Raises:
            SchedulerUnavailableError: the profile names none that is spoken here.
        """
        return dialect_for(self._profile.batch.system, self._profile.name)

    def check(self) -> None:
        """Raise what :attr:`dialect` raises."""
        dialect_for(self._profile.batch.system, self._profile.name)

    @property
    def why_unavailable(self) -> str:
        """One sentence; ``""``: it is spoken here."""
        try:
            self.check()
        except SchedulerUnavailableError as error:
            return error.summary
        return ""

    def partitions(self) -> list[Partition]:
        """The partitions a user may choose, the profile's choice of them if it makes one.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self.dialect
        if self._partitions is None or time.monotonic() - self._partitions[0] > _PARTITIONS_FRESH_S:
            result = self._run(dialect.partitions_argv())
            if result.exit_code:
                raise dialect.unreachable(result.exit_code, result.error_text)
            self._partitions = (time.monotonic(), dialect.parse_partitions(result.text))
        wanted = self._profile.batch.partitions
        return [p for p in self._partitions[1] if not wanted or p.name in wanted]

    def submit_argv(self, script: str) -> list[str]:
        """What submits ``script``, run in its folder; not run here."""
        return self._in_login_shell(self.dialect.submit_argv(script))

    def rows(self) -> dict[str, JobRow]:
        """Rows of this user's list by job name.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self.dialect
        result = self._run(dialect.list_argv(self._transport().user))
        if result.exit_code:
            raise dialect.unreachable(result.exit_code, result.error_text)
        return _by_name(dialect.parse_list(result.text))

    def history(self, wanted: Mapping[str, str | None]) -> tuple[dict[str, JobRow], bool]:
        """Rows of the history by job name, and whether the site keeps a history.

        Args:
            wanted: the batch system's id by ours; ``None``: not known, so the job's name is asked for.
        """
        dialect = self.dialect
        found: dict[str, JobRow] = {}
        ids = sorted({scheduler_id for scheduler_id in wanted.values() if scheduler_id})
        names = [job_name(job_id) for job_id, scheduler_id in wanted.items() if not scheduler_id]
        questions = [dialect.history_argv(ids)] if ids else []
        questions += [dialect.history_by_name_argv(names)] if names else []
        for argv in questions:
            result = self._run(argv)
            if result.exit_code:
                if dialect.has_no_history(result.error_text):
                    return {}, False
                _log.info("history of %s: %s", self._profile.name, result.error_text.strip())
                return {}, True
            found.update(_by_name(dialect.parse_history(result.text)))
        return found, True

    def cancel(self, scheduler_id: str, job_id: str) -> None:
        """Ask it to end a job; ``job_id`` is what the person knows it by.

        Raises:
            SchedulerUnavailableError, BatchError, LinkError.
        """
        dialect = self.dialect
        result = self._run(dialect.cancel_argv([scheduler_id]))
        wrong = dialect.control_problem(result.exit_code, result.text, result.error_text)
        if wrong:
            if dialect.may_have_accepted(result.error_text) or result.exit_code in (126, 127):
                raise dialect.unreachable(result.exit_code, result.error_text)
            raise BatchError(f"The job {job_id} could not be cancelled: {wrong}", result.error_text.strip(),
                             "Try again; if it stays so, ask the facility to end it.")

    def _run(self, argv: Sequence[str]) -> CommandResult:
        return self._transport().run(self._in_login_shell(argv))

    def _in_login_shell(self, argv: Sequence[str]) -> list[str]:
        return ["bash", "-lc", shlex.join(argv)] if self._profile.batch.login_shell else list(argv)


def _by_name(rows: Sequence[JobRow]) -> dict[str, JobRow]:
    """Rows of ours by name; the last of a name counts. Foreign jobs never match: ids may be used again, names not."""
    return {row.name: row for row in rows}
