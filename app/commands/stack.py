"""``profile`` and ``project``: what a whole stack of frames says, reduced beside the data."""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from app.commands.context import Context, wait
from app.commands.output import size_text, visible
from app.errors import UsageError
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile, StackProgress, StackProjection
from app.remote.whole_read import write_array

PROFILE_NUMBERS = ("sum", "mean", "min", "max", "valid")
_SAY_S = 1.0
_T = TypeVar("_T")


def run_project(arguments: argparse.Namespace, context: Context) -> int:
    started = time.monotonic()
    reference = context.reference(arguments.target)
    done: StackProjection = _waited(context.data(reference.site).project(
        reference, StackOperation(arguments.op), on_progress=_Teller(context)))
    write_array(done.values, Path(arguments.output))
    for sentence in done.missing:
        context.output.say(visible(sentence))
    value = project_json(done, time.monotonic() - started)
    context.output.result(value, stack_text(value, arguments.output))
    return 0


def run_profile(arguments: argparse.Namespace, context: Context) -> int:
    started = time.monotonic()
    place = parse_place(arguments.point, arguments.roi)
    reference = context.reference(arguments.target)
    done: StackProfile = _waited(context.data(reference.site).profile(reference, place, on_progress=_Teller(context)))
    numbers = profile_numbers(done, arguments.number)
    write_array(numbers, Path(arguments.output))
    value = profile_json(done, arguments.number, numbers, time.monotonic() - started)
    context.output.result(value, stack_text(value, arguments.output))
    return 0


def parse_place(point: str | None, roi: str | None) -> PixelPoint | PixelRegion:
    """Where a profile is taken: exactly one of the two."""
    if (point is None) == (roi is None):
        raise UsageError("A profile is taken at one pixel or over one region.",
                         remedy="Write --point Y,X or --roi Y0:Y1,X0:X1.")
    return PixelPoint.parse(point) if point is not None else PixelRegion.parse(roi or "")


def profile_numbers(profile: StackProfile, number: str) -> np.ndarray:
    """The numbers to be written: a point's stored values, or the chosen number of a region."""
    if profile.values is not None:
        return profile.values
    columns = {"sum": profile.total, "mean": profile.mean, "min": profile.minimum, "max": profile.maximum,
               "valid": profile.valid}
    chosen = columns[number]
    assert chosen is not None
    return chosen


def project_json(done: StackProjection, seconds: float) -> dict[str, Any]:
    """What docs/cli.md says of ``project``: ``min`` and ``max`` over pixels that were valid in some frame."""
    gone = np.zeros(done.values.shape, bool) if done.mask is None else done.mask
    least, most = extremes(done.values, ~gone)
    return {"signal": done.signal, "op": done.operation.value, "shape": list(done.values.shape),
            "dtype": str(done.values.dtype), "frames": done.frames, "min": least, "max": most,
            "masked": int(np.count_nonzero(gone)), "bytes_received": done.bytes_received, "seconds": round(seconds, 6)}


def profile_json(done: StackProfile, number: str, numbers: np.ndarray, seconds: float) -> dict[str, Any]:
    """What docs/cli.md says of ``profile``: ``min`` and ``max`` over frames with a valid pixel."""
    top, bottom, left, right = done.window
    place: dict[str, Any] = {"point": [top, left]}
    if done.values is None:
        place = {"roi": [[top, bottom], [left, right]], "number": number}
    least, most = extremes(numbers, done.valid > 0)
    return {"signal": done.signal, **place, "shape": list(numbers.shape), "dtype": str(numbers.dtype),
            "frames": done.frames, "min": least, "max": most, "masked": done.masked,
            "bytes_received": done.bytes_received, "seconds": round(seconds, 6)}


def extremes(values: np.ndarray, valid: np.ndarray) -> tuple[int | float | None, int | float | None]:
    """The smallest and largest valid value, as Python numbers; ``None``: there is none."""
    kept = values[valid]
    if not kept.size:
        return None, None
    return (float(kept.min()), float(kept.max())) if kept.dtype.kind == "f" else (int(kept.min()), int(kept.max()))


def stack_text(value: dict[str, Any], path: str) -> str:
    shape = "×".join(map(str, value["shape"])) or "scalar"
    what = value.get("op") or value.get("number") or "value"
    return (f"{path}: {what} over {value['frames']} frames, {shape} {value['dtype']}; min {value['min']}, max "
            f"{value['max']}; {value['masked']} masked; {size_text(value['bytes_received'])} received in "
            f"{value['seconds']:.3g} s")


class _Teller:
    """Says how far it is, about once a second; called on a thread of the connection's."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._next = time.monotonic() + _SAY_S

    def __call__(self, progress: StackProgress) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SAY_S
            self._context.output.say(f"{progress.frames} of {progress.total_frames} frames")


def _waited(future: Future[_T]) -> _T:
    """The result; whoever stops waiting tells the agent to stop working."""
    try:
        return wait(future)
    except BaseException:
        future.cancel()
        raise
