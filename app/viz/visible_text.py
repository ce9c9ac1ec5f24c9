"""Text from outside (names, attributes, strings in files) made safe to show: what is invisible becomes visible."""

from __future__ import annotations

import unicodedata
from typing import Any

_KEPT = {"\n", "\t"}


def visible_text(value: Any, keep_lines: bool = False) -> str:
    """``value`` as plain text, with control and direction-changing characters written as their code (``\\u202e``).

    Args:
        keep_lines: leave line ends and tabs as they are, for text areas.
    """
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "surrogateescape")
    return "".join(_shown(character, keep_lines) for character in str(value))


def _shown(character: str, keep_lines: bool) -> str:
    if character.isprintable() or (keep_lines and character in _KEPT):
        return character
    if unicodedata.category(character) == "Zs":
        return character
    if character in _KEPT:
        return "\\n" if character == "\n" else "\\t"
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00  # a byte that was not UTF-8
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
