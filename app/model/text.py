"""Text from outside made safe to look at: names, prompts, attributes, logs. No I/O."""

from __future__ import annotations

import unicodedata

_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str, keep_lines: bool = False) -> str:
    """``text`` with control, bidirectional and other invisible characters written as ``\\xNN`` or ``\\uNNNN``.

    Args:
        text: anything, surrogate escapes included.
        keep_lines: leave line feeds and tabs as they are (logs, prompts of several lines).
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _harmless(c, keep_lines) else _escaped(c) for c in text)


def _harmless(char: str, keep_lines: bool) -> bool:
    return (keep_lines and char in "\n\t") or unicodedata.category(char) not in _HIDDEN


def _escaped(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:                      # a byte that was not UTF-8 (surrogateescape)
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
