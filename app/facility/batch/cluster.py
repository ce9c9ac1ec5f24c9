"""The demo cluster as its configuration tells it: partitions, accounts, one node. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass

NODE = "demo1"
CLUSTER = "demo"
ACCOUNTS = ("demo", "sc5678")
NO_JOBS = "The demo facility does not run jobs on this computer"


@dataclass(frozen=True)
class PartitionConfiguration:
    """A partition. Limits in minutes, infinity for none."""

    name: str
    limit_min: float
    default_min: float
    default: bool = False


PARTITIONS = (
    PartitionConfiguration("demo", 60, 10, default=True),
    PartitionConfiguration("short", 5, 2),
    PartitionConfiguration("long", float("inf"), 60),
)


@dataclass(frozen=True)
class Cluster:
    """Size and temper of this start."""

    slots: int
    memory_mb: int
    up: bool
    accounting: bool
    user: str
    uid: int
    minute_s: float
    min_job_age_s: float
    kill_wait_s: float = 2.0


def partition(name: str) -> PartitionConfiguration | None:
    """The partition of a name; the default one for ``""``."""
    return next((p for p in PARTITIONS if (p.name == name if name else p.default)), None)
