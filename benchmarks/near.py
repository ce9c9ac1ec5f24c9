"""The near ends: one process a way, in the laptop's namespace, asked over its standard input and output."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from benchmarks.far import ROOT


class NearEnd:
    """A running way. After a failure of its process it answers nothing but errors."""

    def __init__(self, name: str, argv: Sequence[str], home: Path, log: Path) -> None:
        self.name = name
        self.used = 0.0                          # when it was last told something
        self._broken = ""
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"),
                                   "HDF5_USE_FILE_LOCKING": "FALSE", "QT_QPA_PLATFORM": "offscreen"})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout

    def ask(self, do: str, timeout_s: float, **order: Any) -> dict[str, Any]:
        """The answer, or ``{"error": …}``."""
        if self._broken:
            return {"error": self._broken}
        try:
            self._in.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self._in.flush()
            line = _line(self._out, timeout_s)
        except OSError as error:
            line = b""
            self._broken = f"its process ended: {error}"
        self.used = time.monotonic()
        if not line:
            self._broken = self._broken or f"no answer within {timeout_s:.0f} s"
            self._process.kill()
            return {"error": self._broken}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._in.close()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._out.close()


def _line(source: IO[bytes], timeout_s: float) -> bytes:
    end, got = time.monotonic() + timeout_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        while not got.endswith(b"\n"):
            if not selector.select(max(0.0, end - time.monotonic())):
                return b""
            piece = os.read(source.fileno(), 65536)
            if not piece:
                raise OSError("no more output")
            got += piece
    return got
