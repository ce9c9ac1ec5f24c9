"""Integers in fewer bytes: 32-bit counts that fit into 16 or 8 bits are sent as such. Pure; any thread.

Marks such as 2**32-1 for a gap would forbid it; taken as signed numbers they are -1, which fits everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Tuple

from app.protocol.errors import ProtocolError

if TYPE_CHECKING:
    import numpy

_NARROW = ("|u1", "|i1", "<u2", "<i2", "<u4", "<i4")


def narrow(array: numpy.ndarray[Any, Any]) -> Tuple[str, numpy.ndarray[Any, Any]]:
    """The type in which a contiguous integer array is sent, and its values in it; ``""``: as they are."""
    import numpy
    if array.dtype.kind not in "ui" or array.dtype.itemsize < 2 or not array.size:
        return "", array
    signed = array.view(array.dtype.str.replace("u", "i"))
    least, most = int(signed.min()), int(signed.max())
    for text in _NARROW:
        dtype = numpy.dtype(text)
        bounds = numpy.iinfo(dtype)
        if dtype.itemsize < array.dtype.itemsize and bounds.min <= least and most <= bounds.max:
            return text, signed.astype(dtype)
    return "", array


def narrow_type(text: Any, dtype: numpy.dtype[Any]) -> numpy.dtype[Any]:
    """The type that ``narrowed`` of a description names, for an array of ``dtype``.

    Raises:
        ProtocolError: it is none that fits.
    """
    import numpy
    if text not in _NARROW or dtype.kind not in "ui" or numpy.dtype(text).itemsize >= dtype.itemsize:
        raise ProtocolError("An array came in a type that does not fit its own.")
    narrowed: numpy.dtype[Any] = numpy.dtype(text)
    return narrowed


def widen(packed: numpy.ndarray[Any, Any], dtype: numpy.dtype[Any]) -> numpy.ndarray[Any, Any]:
    """The values again, as ``dtype``."""
    return packed.astype(dtype.str.replace("u", "i")).view(dtype)
