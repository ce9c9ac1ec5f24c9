"""What a batch system offers and is asked for, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app.model.jobs import Partition, Resources, Space
from app.model.text import visible
from app.model.units import bytes_text, clock_text

_LITTLE = 0.05                       # of a quota or a disk: worth a warning


def partition_text(partition: Partition) -> str:
    """``short (default) · 12 of 96 CPUs idle · 3 waiting``."""
    words = [partition.name + (" (default)" if partition.default else "")]
    if not partition.up:
        words.append("down")
    elif partition.cpus_idle is not None and partition.cpus_total:
        words.append(f"{partition.cpus_idle} of {partition.cpus_total} CPUs idle")
    if partition.up and partition.waiting is not None:
        words.append(f"{partition.waiting} waiting")
    return visible(" · ".join(words))


def limit_text(partition: Partition | None) -> str:
    """``at most 1:00:00 in “short”``; empty: nothing is known."""
    if partition is None or not partition.time_limit_s:
        return ""
    days, rest = divmod(partition.time_limit_s, 86400)
    longest = f"{days} day{'s' if days != 1 else ''}" if days and not rest else clock_text(partition.time_limit_s)
    return visible(f"at most {longest} in “{partition.name}”")


def resources_text(resources: Resources) -> str:
    """``2 CPUs, 4 GB, 30 min``."""
    words = []
    if resources.cpus is not None:
        words.append(f"{resources.cpus} CPU{'s' if resources.cpus != 1 else ''}")
    if resources.gpus:
        words.append(f"{resources.gpus} GPU{'s' if resources.gpus != 1 else ''}")
    if resources.memory_mb is not None:
        words.append(bytes_text(resources.memory_mb * 1e6))
    if resources.time_limit_min is not None:
        words.append(f"{resources.time_limit_min} min")
    if resources.partition:
        words.append(f"in {visible(resources.partition)}")
    return ", ".join(words)


def space_text(space: Space) -> tuple[str, bool]:
    """Room where results go, and whether there is little of it."""
    words, little = [], False
    if space.free is not None:
        words.append(f"{bytes_text(space.free)} free")
        little = space.total is not None and space.free < _LITTLE * space.total
    if space.quota_used is not None and space.quota_limit:
        words.append(f"{bytes_text(space.quota_used)} of your quota of {bytes_text(space.quota_limit)} used")
        little = little or space.quota_limit - space.quota_used < _LITTLE * space.quota_limit
    if not words:
        return visible(space.path), False
    return f"{visible(space.path)} · {' · '.join(words)}", little


def tasks_text(frames: int | None, tasks: int) -> str:
    """``for 3 600 frames: 12 tasks of 300``."""
    if not tasks:
        return ""
    if frames is None:
        return f"{tasks} tasks"
    each = -(-frames // tasks)
    grouped = f"{frames:,}".replace(",", "\u202f")
    return f"for {grouped} frames: {tasks} tasks of {each}"


def chosen_partition(partitions: Sequence[Partition], name: str) -> Partition | None:
    """The one of that name; ``""``: the default."""
    return next((p for p in partitions if p.name == name or (not name and p.default)), None)
