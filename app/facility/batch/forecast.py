"""When the demo cluster will have room, if every job takes all the time it asked for. Pure functions of the records."""

from __future__ import annotations

from collections.abc import Iterable

from app.facility.batch.cluster import Cluster
from app.facility.batch.records import Record, State


def free_at(records: Iterable[Record], cluster: Cluster, cpus: int, now: float) -> float | None:
    """When ``cpus`` CPUs are free, seconds since the epoch; ``None``: nobody can say."""
    if not cluster.up or cpus > cluster.slots:
        return None
    running = [r for r in records if r.state is State.RUNNING and r.started is not None]
    free = cluster.slots - sum(r.cpus for r in running)
    if cpus <= free:
        return now
    ends = sorted((max(now, (r.started or now) + r.limit_min * cluster.minute_s), r.cpus) for r in running)
    for end, given_back in ends:
        free += given_back
        if cpus <= free:
            return end if end != float("inf") else None
    return None
