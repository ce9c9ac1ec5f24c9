"""What every way's process has in common: it is told what to do in lines of JSON and answers in lines of JSON.

Standard library and numpy only, so that it runs in the peers' environment too. A method of the way's class is an order;
what it returns is the answer: ``{"s": seconds, …, "digest": …, "done": share}``. ``done`` below 1 means stopped at its
budget: the seconds are of the whole, by proportion. Digests are made outside of the measured time.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

FACTOR = 2                    # by which a 4M frame is reduced for the panel that is measured
REGION = (800, 1300, 700, 1200)


def serve(way: Any) -> None:
    """Obey until standard input ends."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                                # whatever prints, prints elsewhere
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(way, order.pop("do"))(**order)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=out, flush=True)
    way.close()


def digest(array: np.ndarray) -> str:
    """Of shape and values; byte order and integer width do not count."""
    values = np.ascontiguousarray(array)
    if values.dtype.kind in "iu":
        values = values.astype("<u4")
    return f"{values.shape} {hashlib.sha256(values.tobytes()).hexdigest()[:16]}"


def picture(frame: np.ndarray, factor: int = FACTOR) -> np.ndarray:
    """What the screen needs of a frame: block maxima, gaps (the type's largest value) 0. Floating point: as it is."""
    if frame.dtype.kind not in "iu":
        return frame
    height, width = (-(-n // factor) * factor for n in frame.shape)
    padded = np.zeros((height, width), frame.dtype)
    padded[:frame.shape[0], :frame.shape[1]] = frame
    padded[padded == np.iinfo(frame.dtype).max] = 0
    pooled = padded[::factor, ::factor].copy()
    for i in range(factor):
        for j in range(factor):
            np.maximum(pooled, padded[i::factor, j::factor], out=pooled)
    return pooled


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """Seconds and result of a call."""
    begun = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - begun, result


def until(budget_s: float, pieces: Iterable[Callable[[], Any]], total: int) -> tuple[float, float, int]:
    """Do pieces until the budget is spent: (seconds of the whole by proportion, share done, pieces done)."""
    begun, count = time.perf_counter(), 0
    for piece in pieces:
        piece()
        count += 1
        if time.perf_counter() - begun > budget_s:
            break
    spent = time.perf_counter() - begun
    return spent * total / count, count / total, count
