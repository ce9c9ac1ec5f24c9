"""Natural order: scan_2 before scan_10. Pure; any thread."""

from __future__ import annotations

import re
from typing import Tuple

_DIGITS = re.compile("[0-9]+")
_LONGEST = 0x10FFFF


def natural_key(text: str) -> Tuple[str, str]:
    """A sort key that compares runs of digits as numbers (of any length) and letters without case.

    Numbers are written behind a zero character, shorter than any text, and begin with their own length, so that
    comparing characters compares them; this is several times faster than comparing tuples.
    """
    return _DIGITS.sub(_number, text.casefold()), text


def _number(found: "re.Match[str]") -> str:
    digits = found.group().lstrip("0")
    return "\0" + chr(min(len(digits), _LONGEST)) + digits
