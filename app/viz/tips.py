"""Tool tips of text that is not ours: Qt guesses HTML in what it is given."""

from __future__ import annotations


def plain_tip(text: str) -> str:
    """Text for ``setToolTip``, shown as it is."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")
    return f"<qt>{escaped}</qt>" if text else ""
