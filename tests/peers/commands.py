"""Runs ``beamside`` as a user's shell does: a process of its own; a robot approves the device codes it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.remote.seams import DeviceCode
from tests.checks.secret_places import PLACES

_ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Commands:
    """One user at one computer. ``folder`` holds the configuration, cache and state; ``approve`` is the robot.

    ``browse``: the robot at the browser, given the address of its page.
    """

    folder: Path
    approve: Callable[[DeviceCode], Any]
    browse: Callable[[str], Any] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    codes: list[DeviceCode] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *argv: str, timeout_s: float = 120) -> tuple[int, dict[str, Any]]:
        """Run one command with ``--json``; returns its exit code and its one JSON object."""
        PLACES.watch(self.folder)
        environment = {**os.environ, **{f"BEAMSIDE_{name.upper()}_DIR": str(self.folder / name)
                                        for name in ("config", "cache", "state")}, **self.environment}
        process = subprocess.Popen([sys.executable, "-m", "app", *argv, "--json"], cwd=_ROOT, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        reader = threading.Thread(target=self._listen, args=(process,), name="stderr")
        killer = threading.Timer(timeout_s, process.kill)
        reader.start()
        killer.start()
        try:
            assert process.stdout is not None
            out = process.stdout.read()
            code = process.wait(60)
        finally:
            killer.cancel()
            killer.join()
            reader.join(10)
            process.stdout.close()
            process.stderr.close()   # type: ignore[union-attr]
        PLACES.say("standard output", out)
        lines = out.splitlines()
        assert len(lines) == 1, f"one JSON object on standard output, got {out!r}; events {self.events[-5:]}"
        return code, json.loads(lines[0])

    def ok(self, *argv: str, timeout_s: float = 120) -> dict[str, Any]:
        """Run a command that must succeed."""
        code, value = self.run(*argv, timeout_s=timeout_s)
        assert code == 0, value
        return value

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            PLACES.say("standard error", line)
            if not line.startswith("{"):
                self.events.append({"event": "text", "text": line})
                continue
            event = json.loads(line)
            self.events.append(event)
            if event.get("event") == "device_code":
                code = DeviceCode(event["user_code"], event["verification_uri"], event["verification_uri_complete"],
                                  event["expires_at"])
                self.codes.append(code)
                self.approve(code)
            elif event.get("event") == "browser" and self.browse is not None:
                self.browse(event["url"])
