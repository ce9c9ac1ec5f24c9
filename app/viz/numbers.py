"""Numbers as people read them. Pure text, no Qt."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_THIN = "\u202f"
_PLAIN_FROM, _PLAIN_TO = -4, 6


def exact_number(value: Any) -> str:
    """A stored number without loss: integers in full, floats in the fewest digits that read back as the same float."""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "NaN"
        text = str(np.float64(value) if isinstance(value, float) else value)
        return text[:-2] if text.endswith(".0") else text
    if isinstance(value, (complex, np.complexfloating)):
        return str(value).strip("()")
    return str(value)


def short_number(value: float, digits: int = 4) -> str:
    """For ticks and fields: at most ``digits`` significant digits, powers of ten only where they are shorter."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if _PLAIN_FROM <= size < _PLAIN_TO:
        text = f"{value:.{max(0, digits - 1 - size)}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    return text


def grouped(value: int | float | None) -> str:
    """For people to read: thousands parted by thin spaces; ``–`` for nothing."""
    if value is None:
        return "–"
    if isinstance(value, (int, np.integer)):
        return f"{int(value):,}".replace(",", _THIN)
    return short_number(float(value), 6)


def round_step(least: float, whole: bool = True) -> float:
    """The smallest of …, 1, 2, 5, 10, 20, 50 … that is at least ``least``; ``whole``: at least 1."""
    least = max(least, 1.0) if whole else least
    if not (math.isfinite(least) and least > 0):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))
