"""The seam to a batch system: argument lists out, texts in. Pure functions; who runs the commands is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.errors import BeamsideError, SchedulerUnavailableError
from app.model.jobs import Partition, Resources
from app.model.site import LOCAL
from app.remote.scheduler.slurm import Slurm
from app.remote.scheduler.states import JobRow


class Dialect(Protocol):
    """How one batch system is spoken to. Names and options are checked before they are written anywhere."""

    title: str

    def header(self, resources: Resources, job_name: str, log: str) -> str: ...     # raises SubmissionRefusedError
    def submit_argv(self, script: str) -> list[str]: ...            # run in the job's folder
    def parse_submit(self, output: str) -> str | None: ...          # the batch system's id
    def refusal(self, errors: str, resources: Resources) -> BeamsideError: ...
    def may_have_accepted(self, errors: str) -> bool: ...
    def list_argv(self, user: str) -> list[str]: ...
    def parse_list(self, output: str) -> list[JobRow]: ...
    def history_argv(self, ids: Sequence[str]) -> list[str]: ...
    def history_by_name_argv(self, names: Sequence[str]) -> list[str]: ...
    def parse_history(self, output: str) -> list[JobRow]: ...
    def has_no_history(self, errors: str) -> bool: ...              # the site keeps none: not a fault
    def cancel_argv(self, scheduler_id: str) -> list[str]: ...
    def cancel_problem(self, exit_code: int, errors: str) -> str: ...
    def partitions_argv(self) -> list[str]: ...
    def parse_partitions(self, output: str) -> list[Partition]: ...
    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError: ...
    def end_told_by_log(self, log_tail: str) -> JobRow | None: ...  # for sites without a history


def dialect_for(system: str, site: str) -> Dialect:
    """The dialect a site profile names.

    Raises:
        SchedulerUnavailableError: none is named, or one that this version does not speak.
    """
    if not system:
        where, there = ("This computer", "here") if site == LOCAL.name else (f"The site {site}", "there")
        raise SchedulerUnavailableError(
            f"{where} has no batch system, so jobs cannot be submitted {there}.",
            remedy="If it has one, name it in the site's profile: [batch] system = \"slurm\".")
    if system != "slurm":
        raise SchedulerUnavailableError(f"The batch system “{system}” of the site {site} is not supported yet.",
                                        remedy="This version speaks Slurm.")
    return Slurm()
