"""The folder of commands that comes first on the visitor's PATH: Slurm's, and this Python as ``python3``.

Main thread, at every start (paths may have changed since the last one).
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from app.facility.batch import client

COMMANDS = ("sbatch", "squeue", "sacct", "scancel", "sinfo", "scontrol", "sacctmgr")


def write_commands(folder: Path, address_file: Path) -> None:
    """Write (or rewrite) all commands."""
    client_file = Path(client.__file__).resolve()
    for name in ("python3", "python"):
        _write(folder, name, [sys.executable])
    for name in COMMANDS:
        _write(folder, name, [sys.executable, "-I", "-S", str(client_file), str(address_file), name])


def _write(folder: Path, name: str, argv: list[str]) -> None:
    if sys.platform == "win32":
        quoted = " ".join(f'"{a}"' for a in argv)
        (folder / f"{name}.cmd").write_text(f"@{quoted} %*\r\n")
        return
    path = folder / name
    temporary = folder / f".{name}.new"
    temporary.write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
    os.chmod(temporary, 0o700)
    os.replace(temporary, path)
