"""The demo facility as a test peer: its own process with small data, one for the test session.

``from tests.peers.demo_facility import demo_facility`` in a conftest or test module gives the fixture.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.peers.robot import Robot

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 150.0


@dataclass
class DemoFacility:
    """A running facility. ``addresses`` is its first line: profile, issuer, ssh_port, ca, ca_file, pin_file …"""

    process: subprocess.Popen[str]
    addresses: dict[str, Any]
    said: list[str]

    @property
    def profile(self) -> Path:
        return Path(self.addresses["profile"])

    @property
    def data(self) -> Path:
        return Path(self.addresses["data"])

    @property
    def home(self) -> Path:
        return Path(self.addresses["home"])

    @property
    def pin(self) -> str:
        return Path(self.addresses["pin_file"]).read_text(encoding="utf-8").strip()

    def robot(self, person: str = "ada") -> Robot:
        """A browser with this person before it."""
        return Robot(self.addresses["ca_file"], self.addresses["pin_file"], person)


@contextlib.contextmanager
def running_facility(state: Path | None = None, **options: object) -> Iterator[DemoFacility]:
    """Start a facility in a process of its own, stop it with SIGTERM at the end."""
    argv = [sys.executable, "-m", "app.facility"] + (["--state", str(state)] if state else [])
    for key, value in ({"data": "small"} | options).items():
        argv += ["--option", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    process = subprocess.Popen(argv, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(process.stderr), name="facility-stderr")  # type: ignore[arg-type]
    reader.start()
    killer = threading.Timer(_START_S, process.kill)
    killer.start()
    try:
        line = process.stdout.readline()
        killer.cancel()
        if not line:
            process.wait(10)
            reader.join(10)
            raise RuntimeError("The demo facility did not start: " + "".join(said))
        yield DemoFacility(process, json.loads(line), said)
    finally:
        killer.cancel()
        killer.join()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        reader.join(10)
        process.stderr.close()


@pytest.fixture(scope="session")
def demo_facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    """One demo facility for all tests of the session (small data, a minute of batch time lasts two seconds)."""
    with running_facility(tmp_path_factory.mktemp("demo"), minute_s=2) as facility:
        yield facility
