"""Natural order: scan_2 before scan_10. Pure; any thread."""

from __future__ import annotations

import re
from typing import Any, List, Tuple

_DIGITS = re.compile("([0-9]+)")


def natural_key(text: str) -> Tuple[Any, ...]:
    """A sort key that compares runs of digits as numbers (of any length) and letters without case."""
    key: List[Any] = []
    for position, part in enumerate(_DIGITS.split(text)):
        if position % 2:
            digits = part.lstrip("0")
            key.append((len(digits), digits))
        else:
            key.append(part.casefold())
    return (tuple(key), text)
