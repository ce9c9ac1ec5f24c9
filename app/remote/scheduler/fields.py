"""Lines of separated fields, times and durations as schedulers print them. Pure: no I/O, any thread."""

from __future__ import annotations

import re
from collections.abc import Iterator

US = "\x1f"


def fields(output: str, count: int) -> Iterator[list[str]]:
    """The lines of ``output`` that have ``count`` fields separated by 0x1F; the last may hold anything."""
    for line in output.split("\n"):
        found = line.split(US, count - 1)
        if len(found) == count:
            yield [field.strip() for field in found]


def epoch(text: str) -> float | None:
    """Seconds since the epoch; ``None``: it is not said (``N/A``, ``Unknown`` …)."""
    return float(text) if re.fullmatch(r"[1-9][0-9]{5,12}", text) else None


def number(text: str) -> int | None:
    """A whole number; ``None``: it is not one."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def duration(text: str) -> int | None:
    """Seconds in ``[days-]hours:minutes:seconds`` or ``minutes:seconds``; ``None``: unlimited or not said."""
    match = re.fullmatch(r"(?:(\d{1,6})-)?(?:(\d{1,9}):)?(\d{1,9}):(\d{1,2})", text)
    if not match:
        return None
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def numbers(text: str, most: int = 100_000) -> list[int]:
    """The numbers in a list of ranges: ``1-3,7`` or ``1-7:2``. Empty: it is none, or names more than ``most``."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?(?::(\d{1,9}))?", part)
        if not match:
            return []
        first, last, step = int(match[1]), int(match[2] or match[1]), max(1, int(match[3] or 1))
        if len(found) + (last - first) // step >= most:
            return []
        found += range(first, last + 1, step)
    return found


def plain(text: str, most: int = 160) -> str:
    """What a batch system wrote, for a sentence: one line, not too long, nothing that a terminal would obey."""
    text = "".join(c if c.isprintable() else "�" for c in " ".join(text.split()))
    return text if len(text) <= most else f"{text[:most - 1]}…"
