"""The batch system of one site: its dialect's commands, run over the site's transport.

Blocking; any thread, never Qt's. The dialect (:mod:`app.remote.scheduler`) builds and parses; nothing is known here
of job folders. What is kept are the lists of partitions and accounts, for a while.
"""

from __future__ import annotations

import logging
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.errors import BatchError, SchedulerUnavailableError
from app.model.jobs import Account, Partition, Resources
from app.model.site import SiteProfile
from app.remote.jobs.kept_program import KeptProgram, is_missing
from app.remote.scheduler.dialect import Dialect, dialect_for
from app.remote.scheduler.states import JobRow
from app.remote.seams import CommandResult, Transport

_log = logging.getLogger(__name__)
_PARTITIONS_FRESH_S = 60.0
_ACCOUNTS_FRESH_S = 900.0
_MOST_IDS = 1000        # in one command

# A script is tried where it will not stay. Standard input: the script; arguments: its name, and what tries it.
_TRY = r"""
folder=$(mktemp -d "${TMPDIR:-/tmp}/beamside-XXXXXXXX") && cd -- "$folder" || exit 82
name=$1; shift
cat >"$name"
"$@" </dev/null
code=$?
cd / && rm -rf -- "$folder"
exit "$code"
"""


@dataclass(frozen=True)
class Told:
    """What the history said: ``complete`` False: it could not be asked; ``kept`` False: the site keeps none."""

    rows: tuple[JobRow, ...] = ()
    kept: bool = True
    complete: bool = True


class BatchSystem:
    """What may be asked of it.

    Args:
        transport: gives the site's transport when called, connecting if need be; raises what connecting raises.
    """

    def __init__(self, profile: SiteProfile, transport: Callable[[], Transport]) -> None:
        self._profile = profile
        self._transport = transport
        self._program = KeptProgram()
        self._lock = threading.Lock()       # guards what is kept
        self._partitions: tuple[float, list[Partition]] | None = None
        self._accounts: tuple[float, list[Account]] | None = None

    @property
    def dialect(self) -> Dialect:
        """How it is spoken to.

        Raises:
            SchedulerUnavailableError: the profile names none that is spoken here.
        """
        return dialect_for(self._profile.batch.system, self._profile.name, self._profile.batch)

    def check(self) -> None:
        """Raise what :attr:`dialect` raises."""
        dialect_for(self._profile.batch.system, self._profile.name, self._profile.batch)

    @property
    def why_unavailable(self) -> str:
        """One sentence; ``""``: it is spoken here."""
        try:
            self.check()
        except SchedulerUnavailableError as error:
            return error.summary
        return ""

    def partitions(self) -> list[Partition]:
        """The partitions a user may choose, with what is free in them; the profile's choice if it makes one.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self.dialect
        with self._lock:
            kept = self._partitions
        if kept is None or time.monotonic() - kept[0] > _PARTITIONS_FRESH_S:
            argv = dialect.partitions_argv()
            result = self._run(argv) if argv else CommandResult(0, b"", b"")
            if result.exit_code:
                raise dialect.unreachable(result.exit_code, result.error_text)
            kept = (time.monotonic(), dialect.parse_partitions(result.text))
            with self._lock:
                self._partitions = kept
        wanted = self._profile.batch.partitions
        return [p for p in kept[1] if not wanted or p.name in wanted]

    def accounts(self) -> list[Account]:
        """The accounts this user may charge; empty: the system has none, or does not say.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self.dialect
        with self._lock:
            kept = self._accounts
        if kept is None or time.monotonic() - kept[0] > _ACCOUNTS_FRESH_S:
            argv = dialect.accounts_argv(self._transport().user)
            result = self._run(argv) if argv else CommandResult(0, b"", b"")
            if result.exit_code:
                _log.info("accounts at %s: %s", self._profile.name, result.error_text.strip())
                return []
            kept = (time.monotonic(), dialect.parse_accounts(result.text))
            with self._lock:
                self._accounts = kept
        return list(kept[1])

    def rows(self) -> list[JobRow]:
        """All rows of this user's list, one for each task of an array.

        Raises:
            SchedulerUnavailableError, LinkError.
        """
        dialect = self.dialect
        result = self._run(dialect.list_argv(self._transport().user))
        if result.exit_code:
            raise dialect.unreachable(result.exit_code, result.error_text)
        return dialect.parse_list(result.text)

    def history(self, ids: Sequence[str], names: Sequence[str]) -> Told:
        """What the history has of jobs by the batch system's ids, and by name where the id is not known.

        Raises:
            LinkError.
        """
        dialect = self.dialect
        questions = [dialect.history_argv(ids[i:i + _MOST_IDS]) for i in range(0, len(ids), _MOST_IDS)]
        questions += [dialect.history_by_name_argv(names[i:i + _MOST_IDS]) for i in range(0, len(names), _MOST_IDS)]
        found: list[JobRow] = []
        for argv in questions:
            if not argv:
                continue
            result = self._run(argv)
            if result.exit_code:
                if dialect.has_no_history(result.error_text):
                    return Told(kept=False)
                _log.info("history of %s: %s", self._profile.name, result.error_text.strip())
                return Told(tuple(found), complete=False)
            found += dialect.parse_history(result.text)
        return Told(tuple(found), kept=not ids or bool(questions[0]))

    def cancel(self, ids: Sequence[str], called: str) -> None:
        """Ask it to end jobs; ``called`` is what the person knows them by.

        Raises:
            SchedulerUnavailableError, BatchError, LinkError.
        """
        self._control(self.dialect.cancel_argv(ids), called, "cancelled",
                      "Try again; if it stays so, ask the facility to end it.")

    def hold(self, ids: Sequence[str], called: str) -> None:
        """Keep queued jobs from starting. Raises as :meth:`cancel`."""
        self._control(self.dialect.hold_argv(ids), called, "held", "Only a job that waits can be held.")

    def release(self, ids: Sequence[str], called: str) -> None:
        """Let held jobs start. Raises as :meth:`cancel`."""
        self._control(self.dialect.release_argv(ids), called, "released",
                      "If the facility holds it, ask there.")

    def try_script(self, name: str, text: str, resources: Resources) -> float | None:
        """When a script would start, in seconds since the epoch; ``None``: the system does not say.

        Raises:
            BeamsideError: it would be refused, and why.
        """
        dialect = self.dialect
        argv = dialect.test_argv(name)
        if not argv:
            return None
        result = self._try(name, text, self._program.named(argv))
        if is_missing(result):
            result = self._try(name, text, argv)
        if result.exit_code:
            raise dialect.refusal(result.error_text or result.text, resources)
        return dialect.parse_test(result.exit_code, result.text, result.error_text)

    def in_login_shell(self, argv: Sequence[str]) -> list[str]:
        """A command as it has to be run at this site."""
        return ["bash", "-lc", shlex.join(argv)] if self._profile.batch.login_shell else list(argv)

    def _control(self, argv: Sequence[str], called: str, done: str, remedy: str) -> None:
        dialect = self.dialect
        if not argv:
            raise BatchError(f"Jobs cannot be {done} with {dialect.title}.",
                             remedy="Cancel the job if it should not run.")
        result = self._run(argv)
        wrong = dialect.control_problem(result.exit_code, result.text, result.error_text)
        if wrong:
            if dialect.may_have_accepted(result.error_text) or result.exit_code in (126, 127):
                raise dialect.unreachable(result.exit_code, result.error_text)
            raise BatchError(f"The job {called} could not be {done}: {wrong.rstrip('.')}.", result.error_text.strip(),
                             remedy)

    def _try(self, name: str, text: str, argv: Sequence[str]) -> CommandResult:
        return self._transport().run(["sh", "-c", _TRY, "beamside", name, *self.in_login_shell(argv)],
                                     stdin=text.encode("utf-8", "surrogateescape"))

    def _run(self, argv: Sequence[str]) -> CommandResult:
        transport = self._transport()
        return self._program.run(argv, lambda words, stdin: transport.run(self.in_login_shell(words), stdin=stdin))
