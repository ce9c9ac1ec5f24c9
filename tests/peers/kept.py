"""Where large peers are kept between test runs, and how a test says that one could not be had."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NoReturn

import pytest


def kept_folder(name: str) -> Path:
    """``~/.cache/beamside-peers/name`` of the real user: tests have home folders of their own."""
    folder = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache" / "beamside-peers" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def cannot_get(what: str, why: str) -> NoReturn:
    """Skip, for ``./run test-peers`` to list."""
    pytest.skip(f"could not get {what}: {why}")
