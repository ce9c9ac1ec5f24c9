"""Which state of the program was measured."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def commit() -> str:
    """Of the checkout, with a ``+`` where the program was changed since; nothing without git."""
    if not shutil.which("git"):
        return ""
    git = ["git", "-C", str(ROOT)]
    text = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout
    changed = subprocess.run([*git, "status", "--porcelain", "app"], capture_output=True, text=True, check=False).stdout
    return text.strip() + ("+" if changed else "")
