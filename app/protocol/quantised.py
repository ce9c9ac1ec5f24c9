"""Rounded numbers: floating point values as one of 256 or 65536 levels, for pictures that are looked at in passing.

Linear between the least and the greatest valid value. Never used unless the agent says QUANTISED with the largest
difference it made. Pure; any thread.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional

from app.protocol.errors import ProtocolError

if TYPE_CHECKING:
    import numpy

_DTYPES = ("<f4", "<f8")
_LARGEST = 1e300
_LEAST_STEP, _LARGEST_STEP = 1e-30, 1e30
_UPWARDS = 1 + 2 ** -20        # more than the subtraction can have rounded
_LEVELS = {256: "|u1", 65536: "<u2"}


class Quantised(NamedTuple):
    """Values as levels; goes into the arrays of a reply in place of an array.

    Attributes:
        levels: uint8 or uint16, of the values' shape.
        dtype: ``<f4`` or ``<f8``, what the receiver gets.
        offset, step: a value is ``offset + step * level``.
        invalid: the level that stands for NaN; ``None``: there is none.
        max_error: no valid value differs by more from what the receiver gets.
    """

    levels: Any
    dtype: str
    offset: float
    step: float
    invalid: Optional[int]
    max_error: float

    @property
    def nbytes(self) -> int:
        """What the receiver needs for the values."""
        return int(self.levels.size) * int(self.dtype[-1])

    def describe(self) -> Dict[str, Any]:
        """The fields that a description of the levels gets."""
        return {"dtype": self.dtype, "offset": self.offset, "step": self.step, "invalid": self.invalid}


def quantise(values: numpy.ndarray[Any, Any], valid: Optional[numpy.ndarray[Any, Any]], levels: int) -> Quantised:
    """Round real values.

    Args:
        values: any shape, integers or floating point.
        valid: bool of the same shape; ``None``: all. Values that are not finite are not valid.
        levels: 256 or 65536.

    Returns:
        The levels; ``max_error`` is infinite when the values are too large to be rounded.

    Raises:
        ValueError: another number of levels.
    """
    import numpy
    if levels not in _LEVELS:
        raise ValueError("%d levels" % levels)
    dtype = "<f8" if values.dtype.itemsize > 4 else "<f4"
    work = values.astype(numpy.float32 if _is_exact_in_single(values.dtype) else numpy.float64)
    usable = _usable(work, valid)
    if usable is not None:
        work = numpy.where(usable, work, work.flat[int(usable.argmax())] if usable.any() else work.dtype.type(0))
    least, most = (float(work.min()), float(work.max())) if work.size else (0.0, 0.0)
    if max(abs(least), abs(most)) > _LARGEST:
        return Quantised(numpy.zeros(values.shape, _LEVELS[levels]), dtype, 0.0, 0.0, None, math.inf)
    step = (most - least) / (levels - 2)
    if work.dtype == numpy.float32 and not _LEAST_STEP < step < _LARGEST_STEP:
        work = work.astype(numpy.float64)
    made = Quantised(_levels(work, usable, least, step, levels), dtype, least, step,
                     None if usable is None else levels - 1, 0.0)
    away = restore(made.levels, made.describe()) - work
    numpy.abs(away, out=away)
    if usable is not None:
        numpy.copyto(away, 0, where=~usable)
    return made._replace(max_error=float(away.max(initial=0.0)) * _UPWARDS)


def _is_exact_in_single(dtype: numpy.dtype[Any]) -> bool:
    return dtype.itemsize <= (4 if dtype.kind == "f" else 2)


def _usable(work: numpy.ndarray[Any, Any], valid: Optional[numpy.ndarray[Any, Any]]) -> Any:
    """Which values are valid and finite; ``None``: all."""
    import numpy
    if valid is None and (not work.size or (math.isfinite(float(work.min())) and math.isfinite(float(work.max())))):
        return None      # NaN and infinity would show in one of them
    usable = numpy.isfinite(work)
    if valid is not None:
        usable &= valid
    return None if usable.all() else usable


def _levels(work: numpy.ndarray[Any, Any], usable: Any, least: float, step: float,
            levels: int) -> numpy.ndarray[Any, Any]:
    import numpy
    scaled = work - least
    scaled /= step or 1.0
    numpy.rint(scaled, out=scaled)
    numpy.minimum(scaled, levels - 2, out=scaled)
    if usable is not None:
        numpy.copyto(scaled, levels - 1, where=~usable)
    return scaled.astype(_LEVELS[levels])


def check(description: Any) -> numpy.dtype[Any]:
    """The type of the values that ``quantised`` of a description announces.

    Raises:
        ProtocolError: it is not valid.
    """
    import numpy
    if not isinstance(description, dict) or description.get("dtype") not in _DTYPES:
        raise ProtocolError("Rounded numbers came without saying how.")
    invalid = description.get("invalid")
    if not all(_is_finite(description.get(key)) for key in ("offset", "step")) \
            or not (invalid is None or (isinstance(invalid, int) and 0 <= invalid < 65536)):
        raise ProtocolError("Rounded numbers came without saying how.")
    return numpy.dtype(description["dtype"])


def restore(levels: numpy.ndarray[Any, Any], description: Dict[str, Any]) -> numpy.ndarray[Any, Any]:
    """The values of levels (uint8 or uint16), NaN where they are invalid; ``description`` has been checked."""
    import numpy
    count = 256 if levels.dtype.itemsize == 1 else 65536
    with numpy.errstate(over="ignore", invalid="ignore"):
        values = (description["offset"] + description["step"] * numpy.arange(count)).astype(description["dtype"])
    if description["invalid"] is not None and description["invalid"] < count:
        values[description["invalid"]] = numpy.nan
    restored: numpy.ndarray[Any, Any] = values[levels]
    return restored


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e308
