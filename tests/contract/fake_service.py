"""A small service that can be told to misbehave; tests put it into an agent in place of the real one.

The file name says what happens: ``crash``, ``hang``, ``mark-NAME`` (hangs, and makes the file to say so),
``slow-SECONDS``, ``wait-FILE`` (until FILE exists), ``square-N`` (N×N int32), ``pid`` (which process answers),
``env-NAME``. Runs at the site, so Python 3.8 and numpy only.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import numpy

from app.protocol.errors import WireError


class FakeService:
    """Answers ``read`` and ``nodes`` alike."""

    def __init__(self, cache_bytes: int = 0, threads: int = 0) -> None:
        self.cache_bytes = cache_bytes

    def handle(self, method: str, params: dict[str, Any], waiting: Any = None) -> tuple[dict[str, Any], list[Any]]:
        word, _, rest = os.path.basename(params["file"]).partition("-")
        signal_text = ""
        if word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == "hang":
            time.sleep(1000)
        elif word == "mark":
            open(params["file"], "w").close()
            time.sleep(1000)
        elif word == "slow":
            time.sleep(float(rest))
        elif word == "wait":
            while not os.path.exists(os.path.join(os.path.dirname(params["file"]), rest)):
                time.sleep(0.01)
        elif word == "noise":
            print("a library prints")
            os.write(1, b"straight to the descriptor")
            sys.stderr.write("and complains\n")
        elif word == "env":
            signal_text = os.environ.get(rest, "")
        elif word == "pid":
            signal_text = str(os.getpid())
        elif word == "memory":
            numpy.ones(int(rest) * 2 ** 20, "u1")
        elif word == "bug":
            raise ZeroDivisionError("a bug")
        elif word == "missing":
            raise WireError("not_found", "It is not there.", "detail", "remedy")
        side = int(rest) if word == "square" else 2
        if method == "nodes":
            return {"file": params["file"], "nodes": [{"path": "/", "kind": "group"}]}, []
        return ({"signal": signal_text, "full_shape": [side, side], "exactness": "exact", "factor": [1, 1],
                 "reduce": "max", "statistics": {}, "generation": [1, 2], "mask": False},
                [numpy.arange(side * side, dtype="i4").reshape(side, side)])


Service = FakeService
