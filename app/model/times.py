"""Moments in words. Pure functions."""

from __future__ import annotations

import time


def clock(moment: float, now: float) -> str:
    """A moment for sentences: "14:30", with the day where that is another one. Seconds since the epoch, local time."""
    try:
        then = time.localtime(moment)
    except (OverflowError, ValueError, OSError):
        return "an unknown time"
    if time.strftime("%Y%j", then) == time.strftime("%Y%j", time.localtime(now)):
        return time.strftime("%H:%M", then)
    return f"{time.strftime('%H:%M', then)} on {then.tm_mday} {time.strftime('%B', then)}"
