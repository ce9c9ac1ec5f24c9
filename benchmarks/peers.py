"""The peers' environment: a venv of their own in the cache folder, made from ``peers.txt``; and Debian's sshfs."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.data import cache_folder

_WANTED = Path(__file__).with_name("peers.txt")
_TRIES = 3


def peers_python(say: Callable[[str], None]) -> Path:
    """The Python that has the peers; made or brought up to date if need be.

    Raises:
        RuntimeError: the packages could not be installed.
    """
    folder = cache_folder() / "venv"
    stamp, python = folder / "installed", folder / "bin" / "python"
    wanted = hashlib.sha256(_WANTED.read_bytes() + sys.version.encode()).hexdigest()
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    say("installing the peers")
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)], check=True,
                   stdin=subprocess.DEVNULL)
    for attempt in range(_TRIES):
        done = subprocess.run([sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet",
                               "--no-compile", "--disable-pip-version-check", "-r", str(_WANTED)],
                              stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            stamp.write_text(wanted)
            return python
        say(f"installing the peers failed ({attempt + 1} of {_TRIES})")
    raise RuntimeError("the peers of the benchmark could not be installed")


def why_no_sshfs() -> str:
    """Why sshfs cannot run here; empty: it can."""
    if shutil.which("sshfs") is None:
        return "sshfs is not installed"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not there"
    return ""
