"""``facility start``: the demo facility, in the foreground until SIGTERM. It is a process of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys


def run_facility(arguments: argparse.Namespace) -> int:
    """Become the facility (POSIX), or wait for it (Windows has no exec)."""
    argv = facility_argv(arguments.state, arguments.option, as_json=getattr(arguments, "json", False))
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(sys.executable, argv)
    return subprocess.run(argv, check=False).returncode


def facility_argv(state: str | None, options: list[str], as_json: bool = False) -> list[str]:
    """The command line that starts the demo facility with this Python."""
    argv = [sys.executable, "-m", "app.facility"]
    if state:
        argv += ["--state", state]
    for option in options:
        argv += ["--option", option]
    return argv + ["--json"] * as_json
