"""Words about jobs: which lines of a log explain a failure, which tasks are meant, how much memory. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

_LINES = 20
_EXPLAINING = 10
_LAST = 5
_LAST_MOMENT = 253_000_000_000     # in the year 9987
_TOLD = re.compile(
    r"(?:^|[\s\[])(?:error|fatal|critical|abort(?:ed)?)\b\s*[:\]!]"
    r"|^\S*(?:Error|Exception|Interrupt|Exit|Fault)\b(?::|$)"
    r"|^(?:slurmstepd|slurmd|srun|apptainer|singularity|ch-run|podman)\b.*?: ?(?:error|fatal)"
    r"|No space left on device|Disk quota exceeded|Permission denied|command not found|No such file or directory"
    r"|Out of memory|Cannot allocate memory|MemoryError|Segmentation fault|Killed\b|Bus error"
    r"|This step was not run, since", re.I)
_PLACE = re.compile(r'^  File "(.+)", line \d+')


def explaining_lines(tail: str) -> tuple[str, ...]:
    """The lines at the end of a log that say why a job failed; the bare end where none does.

    Lines that name an error, with where in the program it was, and the last lines, in the order of the log.
    """
    lines = [line.rstrip() for line in tail.replace("\r\n", "\n").split("\n")]
    lines = [line.rpartition("\r")[2] for line in lines if line.strip()]
    told = [number for number, line in enumerate(lines) if _TOLD.search(line)][-_EXPLAINING:]
    if not told:
        return tuple(lines[-_LINES:])
    wanted = set(told) | set(range(max(0, len(lines) - _LAST), len(lines)))
    for number in told:     # the innermost line of a traceback is above its error
        above = next((n for n in range(number - 1, max(-1, number - 6), -1) if _PLACE.match(lines[n])), None)
        if above is not None:
            wanted |= set(range(above, number))
    return tuple(lines[number] for number in sorted(wanted))[-_LINES:]


def task_words(tasks: Iterable[int]) -> str:
    """``task 3``, ``tasks 3, 5–9``; not more than six ranges."""
    found = sorted(tasks)
    ranges: list[list[int]] = []
    for task in found:
        if ranges and ranges[-1][1] == task - 1:
            ranges[-1][1] = task
        else:
            ranges.append([task, task])
    words = [str(a) if a == b else (f"{a}, {b}" if b == a + 1 else f"{a}–{b}") for a, b in ranges[:6]]
    return f"task{'' if len(found) == 1 else 's'} {', '.join(words)}{' …' if len(ranges) > 6 else ''}"


def memory_words(used_mb: float | None, limit_mb: int | None) -> str:
    """``3.9 GB used when last measured, 4 GB allowed``; ``""``: nothing is known."""
    words = []
    if used_mb:
        words.append(f"{size_words(used_mb)} used when last measured")
    if limit_mb:
        words.append(f"{size_words(limit_mb)} allowed")
    return ", ".join(words)


def size_words(mb: float) -> str:
    return f"{mb / 1000:.3g} GB" if mb >= 1000 else f"{mb:.0f} MB"


def listed(names: Sequence[str], most: int = 3) -> str:
    """``cn1, cn2, cn3 …``, each once."""
    found = list(dict.fromkeys(name for name in names if name))
    return ", ".join(found[:most]) + (" …" if len(found) > most else "")


def reading(value: Any) -> float | None:
    """A number out of a JSON file; ``None``: it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def moment(value: Any) -> float | None:
    """A time out of a JSON file, in seconds since the epoch; ``None``: it is none that a calendar has."""
    found = reading(value)
    return found if found is not None and 0 <= found < _LAST_MOMENT else None
