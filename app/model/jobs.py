"""Jobs: what was asked of a batch system and what is known of it. Frozen, no I/O. JSON form: docs/cli.md."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


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


@dataclass(frozen=True)
class Resources:
    """What the batch system is asked for. ``None``/empty: the recipe's or the system's own default."""

    partition: str = ""
    account: str = ""
    time_limit_min: int | None = None
    cpus: int | None = None
    memory_mb: int | None = None


@dataclass(frozen=True)
class JobSpec:
    """A submission: recipe, inputs (``FILE::/data/path`` at the site) and parameters that differ from defaults."""

    site: str
    recipe: str
    inputs: tuple[str, ...]
    parameters: dict[str, Any]
    resources: Resources = Resources()
    name: str = ""


@dataclass(frozen=True)
class Job:
    """What is known of a job, and since when (``as_of``). Times: seconds since the epoch.

    ``id`` is ours (the folder's name), ``scheduler_id`` the batch system's. ``progress`` is 0..1 or ``None``.
    ``stale`` is why the last poll failed (``""``: it did not): then the rest is what was last known.
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
    """A queue a user may choose. ``up`` False comes with the ``reason``."""

    name: str
    up: bool = True
    default: bool = False
    time_limit_s: int | None = None
    reason: str = ""
