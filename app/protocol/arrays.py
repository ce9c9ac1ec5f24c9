"""Arrays on the wire: a description (dtype, shape, codec, sizes, checksum) and packed bytes. Never pickle.

numpy is imported when the first array is met, so that the agent's front can answer without it. Any thread; no I/O.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple, Union

from app.protocol import codecs, stored
from app.protocol.choosing import SMALL_BYTES, measured
from app.protocol.errors import ProtocolError, WireError
from app.protocol.narrowing import narrow, narrow_type, widen
from app.protocol.quantised import Quantised, restore
from app.protocol.quantised import check as check_quantised
from app.protocol.stored import StoredArray

if TYPE_CHECKING:
    import numpy

_PLAIN = re.compile(r"^[<>|=][biufcSUVmM][0-9]{1,9}(\[[0-9]{0,6}[a-zA-Z]{1,2}\])?$")
_MAX_RANK = 32
_MAX_FIELDS = 4096
_MAX_NESTING = 16
ALIGNMENT = 16


Sendable = Union["numpy.ndarray[Any, Any]", Quantised, StoredArray]
Encoded = Tuple[Dict[str, Any], memoryview]


def encode_array(array: Sendable, allowed: Sequence[str] = (codecs.RAW,), rate: float = 0.0) -> Encoded:
    """The description and the packed bytes of an array.

    Args:
        array: any plain dtype: numbers of either byte order, bool, complex, fixed strings, dates, compound; or
            rounded numbers, or a chunk as it is stored (decoded here when the receiver cannot).
        allowed: codecs the receiver takes.
        rate: bytes per second of the link, 0 when unknown.

    Raises:
        WireError: the array holds Python objects.
    """
    if isinstance(array, Quantised):
        description, packed = encode_array(array.levels, allowed, rate)
        return dict(description, quantised=array.describe()), packed
    if isinstance(array, StoredArray):
        return _encode_stored(array, allowed, rate)
    import numpy
    if array.dtype.hasobject:
        raise WireError("unreadable", "Values of this type cannot be sent.", "dtype %s" % array.dtype,
                        "Read them beside the data, with h5py.")
    solid = numpy.ascontiguousarray(array)
    description = {"dtype": dtype_to_wire(array.dtype), "shape": list(array.shape), "crc32": zlib.crc32(_bytes(solid))}
    if len(allowed) > 1 and solid.nbytes >= SMALL_BYTES:
        narrowed, solid = narrow(solid)
        if narrowed:
            description["narrowed"] = narrowed
    codec, packed = measured.packed(_bytes(solid), solid.dtype.kind, solid.dtype.itemsize, allowed, rate)
    return dict(description, codec=codec, bytes=packed.nbytes), packed


def _encode_stored(array: StoredArray, allowed: Sequence[str], rate: float) -> Encoded:
    if not stored.can_forward(array.filters, allowed):
        return encode_array(stored.decode_here(array), allowed, rate)
    data = memoryview(array.data)
    return {"dtype": dtype_to_wire(array.dtype), "shape": list(array.shape), "codec": stored.CODEC,
            "bytes": data.nbytes, "crc32": zlib.crc32(data), "filters": stored.filters_to_wire(array)}, data


def _bytes(solid: numpy.ndarray[Any, Any]) -> memoryview:
    """The bytes of a contiguous array, not copied."""
    import numpy
    return solid.reshape(-1).view(numpy.uint8).data if solid.nbytes else memoryview(b"")


def packed_size(description: Any, limit: int) -> int:
    """The number of packed bytes a description announces.

    Raises:
        ProtocolError: no count, or above ``limit``.
    """
    size = description.get("bytes") if isinstance(description, dict) else None
    if not isinstance(size, int) or not 0 <= size <= limit:
        raise ProtocolError("An array announces %r bytes; at most %d are left." % (size, limit))
    return size


def decode_array(description: Any, packed: memoryview, limit: int) -> numpy.ndarray[Any, Any]:
    """The array, read-only, its checksum verified.

    Raises:
        ProtocolError: it is damaged, or would take more than ``limit`` bytes.
    """
    import numpy
    if not isinstance(description, dict):
        raise ProtocolError("An array has no description.")
    dtype = dtype_from_wire(description.get("dtype"))
    shape = _shape(description.get("shape"))
    rounded = description.get("quantised")
    widest = max(dtype.itemsize, 1 if rounded is None else check_quantised(rounded).itemsize)   # "S0" becomes "S1"
    count = 1
    for extent in shape:
        count *= extent
    if count * widest > limit:
        raise ProtocolError("An array announces %d bytes; at most %d are allowed." % (count * widest, limit))
    if dtype.subdtype is not None:
        raise ProtocolError("An array came in a type of arrays.")
    if rounded is not None and dtype.str not in ("|u1", "<u2"):
        raise ProtocolError("Rounded numbers came in a type that has no levels.")
    if dtype.itemsize and count:
        array = _unpacked(description, packed, dtype, count)
    elif packed.nbytes:
        raise ProtocolError("An empty array came with bytes.")
    else:
        array = numpy.zeros(count, dtype)
    try:
        array = array.reshape(shape)
    except ValueError:
        raise ProtocolError("A shape is not valid.") from None      # of no elements, but beyond numpy's largest
    if rounded is not None:
        array = restore(array, rounded)
    array.flags.writeable = False
    return array


def _unpacked(description: Dict[str, Any], packed: memoryview, dtype: numpy.dtype[Any],
              count: int) -> numpy.ndarray[Any, Any]:
    """The ``count`` items, their checksum verified; the caller has checked their size."""
    import numpy
    codec, size = str(description.get("codec")), count * dtype.itemsize
    if codec == stored.CODEC:
        if zlib.crc32(packed) != description.get("crc32"):
            raise ProtocolError("An array was damaged on its way: its checksum is wrong.")
        return numpy.frombuffer(stored.unpack(packed, description, size, dtype.itemsize), dtype)
    sent = dtype
    if "narrowed" in description:
        sent = narrow_type(description["narrowed"], dtype)
    raw = codecs.unpack(packed, count * sent.itemsize, sent.itemsize, codec)
    array = numpy.frombuffer(raw, sent)
    if sent is not dtype:
        array = widen(array, dtype)
    if zlib.crc32(_bytes(array)) != description.get("crc32"):
        raise ProtocolError("An array was damaged on its way: its checksum is wrong.")
    return array


def dtype_to_wire(dtype: numpy.dtype[Any]) -> Any:
    """JSON form: the array-protocol text, or an object for compound and sub-array types."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": dtype_to_wire(base), "shape": list(shape)}
    if dtype.names is not None and dtype.fields is not None:
        fields = [dtype.fields[name] for name in dtype.names]
        return {"names": list(dtype.names), "formats": [dtype_to_wire(f[0]) for f in fields],
                "offsets": [int(f[1]) for f in fields], "itemsize": dtype.itemsize}
    return dtype.str


def dtype_from_wire(value: Any, depth: int = 0) -> numpy.dtype[Any]:
    """The dtype a JSON form stands for; never one that holds Python objects.

    Raises:
        ProtocolError: it is none.
    """
    import numpy
    try:
        if depth > _MAX_NESTING:
            raise ProtocolError("A dtype is nested too deeply.")
        if isinstance(value, str) and _PLAIN.match(value):
            return numpy.dtype(value)
        if isinstance(value, dict) and "base" in value:
            return numpy.dtype((dtype_from_wire(value["base"], depth + 1), _shape(value.get("shape"))))
        if isinstance(value, dict):
            names, formats, offsets = value["names"], value["formats"], value["offsets"]
            if not len(names) == len(formats) == len(offsets) <= _MAX_FIELDS:
                raise ProtocolError("A dtype's fields do not agree.")
            parts: List[Any] = [dtype_from_wire(item, depth + 1) for item in formats]
            return numpy.dtype({"names": [str(n) for n in names], "formats": parts,
                                "offsets": [int(o) for o in offsets], "itemsize": int(value["itemsize"])})
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ProtocolError("A dtype is not valid: %s" % error) from None
    raise ProtocolError("A dtype is not valid.")


def _shape(value: Any) -> Tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MAX_RANK:
        raise ProtocolError("A shape is not valid.")
    for extent in value:
        if not isinstance(extent, int) or isinstance(extent, bool) or not 0 <= extent < 2 ** 48:
            raise ProtocolError("A shape is not valid.")
    return tuple(value)
