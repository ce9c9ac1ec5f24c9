"""Jobs: what was asked of a batch system and what is known of it. Frozen, no I/O. JSON form: docs/cli.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from app.model.plot import PlotDescription


class JobState(Enum):
    CREATED = "created"
    QUEUED = "queued"
    HELD = "held"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)

    def told(self, reason: str) -> str:
        """``failed: exit code 7``; a reason that names the state stands alone: ``cancelled by the facility``."""
        if re.match(rf"{self.value}\b", reason):
            return reason
        return f"{self.value}: {reason}" if reason else self.value


@dataclass(frozen=True)
class Resources:
    """What the batch system is asked for. ``None``/empty: the recipe's or the system's own default."""

    partition: str = ""
    account: str = ""
    time_limit_min: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None
    gpus: int | None = None


class JobKind(Enum):
    """RUN: an analysis to its result. TRIAL: kept to answer small questions while parameters are tuned."""

    RUN = "run"
    TRIAL = "trial"


@dataclass(frozen=True)
class InputExtent:
    """How large one input is, as far as somebody knows. ``shape`` of the data set, ``itemsize`` and ``nbytes`` in bytes
    (``nbytes`` of the file where the shape is not known)."""

    shape: tuple[int, ...] = ()
    itemsize: int = 0
    nbytes: int = 0

    @classmethod
    def of(cls, description: PlotDescription) -> InputExtent | None:
        """Of the data that a description is about; ``None``: it has no shape."""
        try:
            itemsize = np.dtype(description.dtype).itemsize
        except TypeError:
            itemsize = 0
        return cls(tuple(description.shape), itemsize) if description.shape else None

    @property
    def frames(self) -> int | None:
        """Number of two-dimensional frames; ``None``: not known."""
        if len(self.shape) < 2:
            return None
        count = 1
        for length in self.shape[:-2]:
            count *= length
        return count

    @property
    def uncompressed(self) -> int:
        """Bytes of the data in memory, those of the file where the shape is not known."""
        size = self.itemsize
        for length in self.shape:
            size *= length
        return size if self.shape and self.itemsize else self.nbytes


@dataclass(frozen=True)
class JobSpec:
    """A submission: recipe, inputs (``FILE::/data/path`` at the site) and parameters that differ from defaults.

    Attributes:
        resources: for the first step; steps that are named in ``step_resources`` have their own.
        extents: of the inputs, in their order; empty: not known (then the files' sizes count).
        tasks: into how many tasks an array step is divided; ``None``: as the recipe says.
        after: ids (ours) of jobs that have to complete before this one starts.
        hold: submitted held, until it is released.
        again: id of the job that this one repeats with other parameters.
        in_data: of parameters that the first input was asked about, whether it says them; the others: not known.
    """

    site: str
    recipe: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    resources: Resources = Resources()
    name: str = ""
    kind: JobKind = JobKind.RUN
    extents: tuple[InputExtent, ...] = ()
    step_resources: Mapping[str, Resources] = field(default_factory=dict)
    tasks: int | None = None
    after: tuple[str, ...] = ()
    hold: bool = False
    again: str = ""
    in_data: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class JobPart:
    """One job of the batch system among those that make up a job of ours: a step, or one task of an array step.

    ``task`` counts from 1; ``None``: the step is no array. Times: seconds since the epoch.
    """

    step: str
    task: int | None
    state: JobState
    scheduler_id: str | None = None
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    node: str = ""
    started: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class Job:
    """What is known of a job, and since when (``as_of``). Times: seconds since the epoch.

    ``id`` is ours (the folder's name), ``scheduler_id`` the batch system's. ``progress`` is 0..1 or ``None``.
    ``stale`` is why the last poll failed (``""``: it did not): then the rest is what was last known.

    Attributes:
        ours: False for a job that was started by hand: it has no folder, and its ``id`` is the batch system's.
        parts: its steps and tasks, where it is more than one job of the batch system.
        expected_start: when the batch system thinks it will start a queued job.
        memory_mb, memory_limit_mb: the most it has used so far, and what it may use; of several parts, that of the one
            that came nearest to its own limit.
        preview: TARGET of an intermediate result, which may be followed while the job runs.
        after: ids of jobs it waits for.
        rest_of: id of the job whose completed parts it took over, to run the others again.
    """

    id: str
    site: str
    name: str
    recipe: str
    version: str
    state: JobState
    scheduler_id: str | None = None
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    folder: str = ""
    outputs: tuple[str, ...] = ()
    as_of: float | None = None
    partition: str = ""
    node: str = ""
    time_limit_s: int | None = None
    progress: float | None = None
    progress_text: str = ""
    last_lines: tuple[str, ...] = ()
    stale: str = ""
    ours: bool = True
    kind: JobKind = JobKind.RUN
    parts: tuple[JobPart, ...] = ()
    expected_start: float | None = None
    memory_mb: float | None = None
    memory_limit_mb: float | None = None
    preview: str = ""
    after: tuple[str, ...] = ()
    rest_of: str = ""

    @property
    def unfinished(self) -> tuple[JobPart, ...]:
        """The parts that did not complete, where others did and nothing of it waits or runs any more: they can be run
        again without the others."""
        over = (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN)
        if not self.ours or self.state not in over or any(part.state not in over for part in self.parts):
            return ()
        left = tuple(part for part in self.parts if part.state is not JobState.COMPLETED)
        return left if len(left) < len(self.parts) or self.rest_of else ()

    def as_json(self) -> dict[str, Any]:
        """The job object of the command line's contract."""
        return {
            "id": self.id, "site": self.site, "scheduler_id": self.scheduler_id, "name": self.name,
            "recipe": self.recipe, "version": self.version, "state": self.state.value, "reason": self.reason,
            "exit_code": self.exit_code, "signal": self.signal, "submitted": self.submitted,
            "started": self.started, "ended": self.ended, "folder": self.folder,
            "outputs": list(self.outputs), "as_of": self.as_of,
        }


@dataclass(frozen=True)
class Partition:
    """A queue a user may choose. ``up`` False comes with the ``reason``.

    CPUs: ``None`` where the batch system does not say. ``waiting``: number of jobs of all users that wait in it.
    """

    name: str
    up: bool = True
    default: bool = False
    time_limit_s: int | None = None
    reason: str = ""
    cpus_idle: int | None = None
    cpus_total: int | None = None
    waiting: int | None = None

    @property
    def why_down(self) -> str:
        """``“gpu” is down: none of its nodes is in service``; empty: it is up."""
        if self.up:
            return ""
        return f"“{self.name}” is down" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Account:
    """An account (project) a user may charge jobs to. ``partitions`` empty: all of them."""

    name: str
    default: bool = False
    partitions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Space:
    """Room where results go, in bytes; ``None``: not known. ``quota_*``: of this user, where there is a quota."""

    path: str
    free: int | None = None
    total: int | None = None
    quota_used: int | None = None
    quota_limit: int | None = None
