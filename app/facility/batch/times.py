"""Slurm's ways to write durations and times. Pure functions; local time, as Slurm's commands print it."""

from __future__ import annotations

import re
import time

_STAMP = "%Y-%m-%dT%H:%M:%S"
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_NONE = ("infinite", "unlimited", "-1")


def parse_limit(text: str) -> float | None:
    """Minutes of a ``--time`` value, rounded up; infinity for no limit; ``None`` when it is not one.

    Forms (sbatch(1)): minutes, minutes:seconds, hours:minutes:seconds, days-hours, days-hours:minutes,
    days-hours:minutes:seconds.
    """
    text = text.strip()
    if text.lower() in _NONE or text == "0":
        return float("inf")
    match = re.fullmatch(r"(?:(\d{1,6})-)?(\d{1,8})(?::(\d{1,4}))?(?::(\d{1,4}))?", text)
    if match is None:
        return None
    days, *rest = match.groups()
    numbers = [int(n) for n in rest if n is not None]
    if days is not None:
        hours, minutes, seconds = (numbers + [0, 0])[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (numbers + [0])[:2]
    total = int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds
    return float(-(-total // 60)) if total else None


def parse_moment(text: str, now: float) -> float | None:
    """Seconds since the epoch of a ``--starttime`` value; ``None`` when it is not one."""
    text = text.strip()
    match = re.fullmatch(r"now(?:([+-])(\d+)\s*([a-z]*))?", text, re.IGNORECASE)
    if match:
        sign, count, unit = match.groups()
        if count is None:
            return now
        scale = next((s for name, s in _UNITS.items() if name.startswith(unit.lower().rstrip("s") or "second")), None)
        return None if scale is None else now + int(count) * scale * (1 if sign == "+" else -1)
    midnight = time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
    if text.lower() in ("today", "midnight"):
        return midnight
    for form in (_STAMP, "%Y-%m-%dT%H:%M", "%Y-%m-%d", "%m/%d/%y", "%H:%M:%S", "%H:%M"):
        try:
            parsed = time.strptime(text, form)
        except ValueError:
            continue
        if form.startswith("%H"):
            return midnight + parsed.tm_hour * 3600 + parsed.tm_min * 60 + parsed.tm_sec
        return time.mktime((*parsed[:6], 0, 0, -1))
    return None


def stamp(moment: float | None, unknown: str, form: str = "") -> str:
    """A time as Slurm prints it. ``form``: the asker's ``SLURM_TIME_FORMAT``, a strftime format (``%s``: epoch)."""
    if moment is None:
        return unknown
    return time.strftime(form if form.startswith("%") else _STAMP, time.localtime(moment))


def short_span(seconds: float) -> str:
    """``squeue``'s form: ``M:SS``, ``H:MM:SS``, ``D-HH:MM:SS``."""
    days, hours, minutes, rest = _split(seconds)
    if days:
        return f"{days}-{hours:02d}:{minutes:02d}:{rest:02d}"
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def long_span(seconds: float) -> str:
    """``sacct``'s form: ``[D-]HH:MM:SS``."""
    days, hours, minutes, rest = _split(seconds)
    text = f"{hours:02d}:{minutes:02d}:{rest:02d}"
    return f"{days}-{text}" if days else text


def _split(seconds: float) -> tuple[int, int, int, int]:
    whole = max(0, int(seconds))
    return whole // 86400, whole // 3600 % 24, whole // 60 % 60, whole % 60
