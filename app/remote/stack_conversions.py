"""What the agent answers to ``project`` and ``profile``, as the values of ``app.model.stack``. Pure; reader thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.errors import AgentError
from app.model.data import DataReference
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile, StackProgress, StackProjection

_KINDS = "biuf"


def project_params(reference: DataReference, operation: StackOperation, fit: tuple[int, int] | None) -> dict[str, Any]:
    """The parameters of ``project``."""
    return {"file": str(reference.file_path), "data_path": reference.data_path or None, "op": operation.value,
            "fit": list(fit) if fit else None}


def profile_params(reference: DataReference, place: PixelPoint | PixelRegion) -> dict[str, Any]:
    """The parameters of ``profile``."""
    return {"file": str(reference.file_path), "data_path": reference.data_path or None,
            "point" if isinstance(place, PixelPoint) else "roi": place.as_wire()}


def progress(result: dict[str, Any]) -> StackProgress:
    return StackProgress(int(result["frames"]), int(result["of"]))


def projection(reference: DataReference, result: dict[str, Any], arrays: list[np.ndarray], received: int,
               seconds: float) -> StackProjection:
    """The answer of ``project``, whole or partial.

    Raises:
        AgentError: the arrays are not those the result describes.
    """
    _check(len(arrays) == (2 if result.get("mask") else 1) and arrays[0].ndim == 2 and arrays[0].dtype.kind in _KINDS)
    values, mask = arrays[0], None
    if result.get("mask"):
        _check(arrays[1].dtype == np.uint8 and arrays[1].size == -(-values.size // 8))
        mask = np.unpackbits(arrays[1], count=values.size).reshape(values.shape).astype(bool)
        mask.flags.writeable = False
    factor = result["factor"]
    return StackProjection(reference, str(result["signal"]), StackOperation(result["op"]), values, mask,
                           int(result["frames"]), int(result["of"]), result["exactness"] == "partial",
                           (int(factor[0]), int(factor[1])), _generation(result), received, seconds,
                           tuple(str(sentence) for sentence in result.get("missing") or ()))


def profile(reference: DataReference, result: dict[str, Any], arrays: list[np.ndarray], received: int,
            seconds: float) -> StackProfile:
    """The answer of ``profile``.

    Raises:
        AgentError: the arrays are not those the result describes.
    """
    shape, numbers = tuple(result["shape"]), result["window"]
    _check(len(arrays) in (2, 5) and len(numbers) == 4
           and all(array.shape == shape and array.dtype.kind in _KINDS for array in arrays))
    window = (int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3]))
    signal, generation = str(result["signal"]), _generation(result)
    if len(arrays) == 2:
        valid = arrays[1].astype(np.int64)
        valid.flags.writeable = False
        return StackProfile(reference, signal, window, valid, values=arrays[0], generation=generation,
                            bytes_received=received, seconds=seconds)
    total, mean, minimum, maximum, valid = arrays
    return StackProfile(reference, signal, window, valid, None, total, mean, minimum, maximum, generation, received,
                        seconds)


def _generation(result: dict[str, Any]) -> tuple[int, int]:
    size, mtime_ns = result["generation"]
    return int(size), int(mtime_ns)


def _check(fits: bool) -> None:
    if not fits:
        raise AgentError("The agent sent other numbers than it announced.", remedy="Ask again; if it happens again, "
                         "please report it.")
