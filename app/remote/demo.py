"""Starts the demo facility as a process of its own, and stops it again.

``start`` blocks until the facility answers (a worker's thread, or the command line's); a thread reads the progress it
writes to standard error. Nothing of ``app.facility`` is imported here.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from app import paths
from app.errors import AgentError, CancelledByUserError, UnreachableError
from app.model.site import SiteProfile
from app.remote.site_catalogue import read_profile

_NEEDS = ("asyncssh", "flask", "authlib")
_STOP_S = 10.0


class DemoFacility:
    """The demo facility's process. ``state`` keeps its data and jobs between starts."""

    def __init__(self, state: Path | None = None, options: tuple[str, ...] = ()) -> None:
        self._state = state or paths.state_dir() / "demo"
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._last_lines: deque[str] = deque(maxlen=20)
        self.addresses: dict[str, str] = {}

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, progress: Callable[[str], None] = lambda text: None,
              cancelled: threading.Event | None = None) -> SiteProfile:
        """Start the facility and wait until it answers; the first start makes its data (under a minute).

        Raises:
            AgentError: what it needs is not installed.
            UnreachableError: it ended before it answered; the detail holds its last lines.
        """
        missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            raise AgentError("The demo facility is not installed.", f"missing: {', '.join(missing)}",
                             'Install it with: pipx install "beamside[demo]"')
        self._state.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "app.facility", "--until-input-closes", "--state", str(self._state)]
        for option in self._options:
            argv += ["--option", option]
        root = Path(__file__).parent.parent.parent
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                         text=True, cwd=root if (root / "app").is_dir() else None)
        self._reader = threading.Thread(target=self._read_progress, args=(progress,), name="demo-progress", daemon=True)
        self._reader.start()
        if cancelled is not None:
            threading.Thread(target=self._stop_when, args=(cancelled,), name="demo-cancel", daemon=True).start()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if cancelled is not None and cancelled.is_set():
            self.stop()
            raise CancelledByUserError("The demo facility was not started.")
        if not line:
            self.stop()
            raise UnreachableError("The demo facility could not start.", "\n".join(self._last_lines),
                                   "Try again; if it stays, send the details to the developers.")
        self.addresses = {key: str(value) for key, value in json.loads(line).items()}
        return read_profile(Path(self.addresses["profile"]))

    def stop(self) -> None:
        """End the process and wait for it; without one nothing happens."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP_S)
        if self._reader is not None:
            self._reader.join(_STOP_S)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _read_progress(self, progress: Callable[[str], None]) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        for line in process.stderr:
            self._last_lines.append(line.rstrip())
            progress(line.strip())

    def _stop_when(self, cancelled: threading.Event) -> None:
        process = self._process
        while process is not None and process.poll() is None and not self.addresses:
            if cancelled.wait(0.2):
                process.terminate()
                return
