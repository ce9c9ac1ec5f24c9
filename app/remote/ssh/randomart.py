"""A host key as the picture ``ssh`` draws of it (its "drunken bishop"), to be compared at a glance. Pure."""

from __future__ import annotations

import hashlib

_WIDTH, _HEIGHT = 17, 9
_SIGNS = " .o+=*BOX@%&#/^"
_START, _END = "S", "E"


def randomart(blob: bytes, title: str) -> str:
    """Eleven lines: the walk of the SHA-256 of a public key, as ``ssh-keygen -lv`` draws it.

    Args:
        blob: the key in wire format.
        title: what stands in the upper frame, as ``ED25519 256``.
    """
    digest = hashlib.sha256(blob).digest()
    field = [[0] * _WIDTH for _ in range(_HEIGHT)]
    x, y = _WIDTH // 2, _HEIGHT // 2
    for byte in digest:
        for shift in (0, 2, 4, 6):
            move = byte >> shift
            x = min(max(x + (1 if move & 1 else -1), 0), _WIDTH - 1)
            y = min(max(y + (1 if move & 2 else -1), 0), _HEIGHT - 1)
            field[y][x] = min(field[y][x] + 1, len(_SIGNS) - 1)
    rows = [[_SIGNS[count] for count in row] for row in field]
    rows[_HEIGHT // 2][_WIDTH // 2] = _START
    rows[y][x] = _END
    head = f"[{title}]" if len(title) + 2 <= _WIDTH else f"[{title.split()[0]}]"
    return "\n".join([_frame(head), *(f"|{''.join(row)}|" for row in rows), _frame("[SHA256]")])


def title_of(key_type: str, bits: int) -> str:
    """``ssh-ed25519`` and 256 as OpenSSH heads its picture."""
    name = key_type.removeprefix("ssh-").removesuffix("@openssh.com").upper()
    name = "ECDSA" if name.startswith("ECDSA-SHA2-") else name.removeprefix("SK-SSH-")
    return f"{name} {bits}"


def _frame(text: str) -> str:
    left = (_WIDTH - len(text)) // 2
    return "+" + "-" * left + text + "-" * (_WIDTH - len(text) - left) + "+"
