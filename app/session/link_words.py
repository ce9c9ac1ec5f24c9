"""What a connection that is lost says of itself. Pure."""

from __future__ import annotations

import math


def attempt_words(left_s: float | None) -> str:
    """When it is tried again; ``None``: it is being tried."""
    if left_s is None or left_s <= 0:
        return "trying…"
    return f"next attempt in {math.ceil(left_s)} s"
