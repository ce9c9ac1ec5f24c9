"""The seam to a batch system: argument lists out, texts in. Pure functions; who runs the commands is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.errors import BeamsideError, SchedulerUnavailableError
from app.model.jobs import Account, Partition, Resources
from app.model.site import LOCAL, BatchSettings
from app.remote.scheduler.direct import Direct
from app.remote.scheduler.gridengine import GridEngine
from app.remote.scheduler.slurm import Slurm
from app.remote.scheduler.states import AFTER, JobRow, StepWish

__all__ = ["AFTER", "Dialect", "dialect_for"]


class Dialect(Protocol):
    """How one batch system is spoken to. Names and options are checked before they are written anywhere.

    Ids of jobs are those of whole jobs or arrays; one task is ``ID`` with a task number. What a system does not have
    (accounts, a trial submission, a forecast) is an empty argument list.
    """

    title: str
    waits_for_success: bool     # whether a dependency knows success; else the step's script looks for itself
    between_ids: str            # between several ids where AFTER stands
    variables: str              # shell lines: BEAMSIDE_JOB_ID (its own), BEAMSIDE_TASK ("" if none), BEAMSIDE_CPUS

    def header(self, wish: StepWish) -> str: ...                    # raises SubmissionRefusedError
    def submit_argv(self, script: str, after: bool = False) -> list[str]: ...   # run in the job's folder; with AFTER
    def parse_submit(self, output: str) -> str | None: ...          # the id: its digits end the last line's first word
    def refusal(self, errors: str, resources: Resources) -> BeamsideError: ...
    def may_have_accepted(self, errors: str) -> bool: ...
    def test_argv(self, script: str) -> list[str]: ...              # would it be taken, and when would it start
    def parse_test(self, exit_code: int, output: str, errors: str) -> float | None: ...     # expected start
    def list_argv(self, user: str) -> list[str]: ...
    def parse_list(self, output: str) -> list[JobRow]: ...          # one row per task of an array
    def history_argv(self, ids: Sequence[str]) -> list[str]: ...
    def history_by_name_argv(self, names: Sequence[str]) -> list[str]: ...      # []: cannot be asked by name
    def parse_history(self, output: str) -> list[JobRow]: ...
    def has_no_history(self, errors: str) -> bool: ...              # the site keeps none: not a fault
    def cancel_argv(self, ids: Sequence[str]) -> list[str]: ...
    def hold_argv(self, ids: Sequence[str]) -> list[str]: ...
    def release_argv(self, ids: Sequence[str]) -> list[str]: ...
    def control_problem(self, exit_code: int, output: str, errors: str) -> str: ...     # of the three; "": none
    def partitions_argv(self) -> list[str]: ...
    def parse_partitions(self, output: str) -> list[Partition]: ...
    def accounts_argv(self, user: str) -> list[str]: ...
    def parse_accounts(self, output: str) -> list[Account]: ...
    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError: ...
    def end_told_by_log(self, log_tail: str) -> JobRow | None: ...  # for sites without a history


def dialect_for(system: str, site: str, batch: BatchSettings | None = None) -> Dialect:
    """The dialect a site profile names.

    Args:
        batch: what the profile says of it besides its name.

    Raises:
        SchedulerUnavailableError: none is named, or one that this version does not speak.
    """
    if not system:
        where, there = ("This computer", "here") if site == LOCAL.name else (f"The site {site}", "there")
        raise SchedulerUnavailableError(
            f"{where} has no batch system, so jobs cannot be submitted {there}.",
            remedy="If it has one, name it in the site's profile: [batch] system = \"slurm\".")
    batch = batch or BatchSettings(system)
    if system == "slurm":
        return Slurm()
    if system == "gridengine":
        return GridEngine(batch.parallel_environment, batch.memory_resource, batch.gpu_resource)
    if system == "direct":
        return Direct(batch.cpus)
    raise SchedulerUnavailableError(f"The batch system “{system}” of the site {site} is not supported yet.",
                                    remedy="This version speaks Slurm and Grid Engine, and runs jobs directly "
                                           "on a machine that has neither.")
