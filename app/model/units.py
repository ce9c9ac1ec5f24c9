"""Numbers as people read them: sizes, durations, rates. No I/O."""

from __future__ import annotations


def bytes_text(count: int | float) -> str:
    """``4.88 MB``, three significant digits, powers of 1000 as disks and networks are sold."""
    value = float(count)
    if value < 1000:
        return f"{int(value)} B"
    for unit in ("kB", "MB", "GB", "TB", "PB"):
        value /= 1000
        if value < 999.5 or unit == "PB":
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {unit}"
    raise AssertionError("unreachable")


def rate_text(bytes_per_second: float) -> str:
    """``46 Mbit/s``."""
    bits = bytes_per_second * 8
    if bits < 1e6:
        return f"{bits / 1e3:.0f} kbit/s"
    return f"{bits / 1e6:.1f} Mbit/s" if bits < 1e7 else f"{bits / 1e6:.0f} Mbit/s"


def clock_text(seconds: float) -> str:
    """``1:48``, ``1:02:03``."""
    whole = max(0, int(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def left_text(seconds: float) -> str:
    """``7 h 12 min left``; ``expired``."""
    if seconds <= 0:
        return "expired"
    minutes = int(seconds // 60)
    if minutes >= 48 * 60:
        return f"{minutes // 1440} days left"
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min left"
    return f"{minutes} min left" if minutes else f"{int(seconds)} s left"


def number_text(value: int | float | None) -> str:
    """A value for a reader: whole numbers in groups of three, others with six significant digits; ``–``: none."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.6g}"
