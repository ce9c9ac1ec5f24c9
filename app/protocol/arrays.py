"""Arrays on the wire: a description (dtype, shape, codec, sizes, checksum) and packed bytes. Never pickle.

numpy is imported when the first array is met, so that the agent's front can answer without it. Any thread; no I/O.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any, Dict, List, Sequence, Tuple

from app.protocol import codecs
from app.protocol.errors import ProtocolError, WireError

if TYPE_CHECKING:
    import numpy

_PLAIN = re.compile(r"^[<>|=][biufcSUVmM][0-9]{1,9}(\[[0-9]{0,6}[a-zA-Z]{1,2}\])?$")
_MAX_RANK = 32
_MAX_FIELDS = 4096
_MAX_NESTING = 16
ALIGNMENT = 16


def encode_array(array: numpy.ndarray[Any, Any], allowed: Sequence[str] = (codecs.RAW,),
                 rate: float = 0.0) -> Tuple[Dict[str, Any], memoryview]:
    """The description and the packed bytes of an array.

    Args:
        array: any plain dtype: numbers of either byte order, bool, complex, fixed strings, dates, compound.
        allowed: codecs the receiver takes.
        rate: bytes per second of the link, 0 when unknown.

    Raises:
        WireError: the array holds Python objects.
    """
    import numpy
    if array.dtype.hasobject:
        raise WireError("unreadable", "Values of this type cannot be sent.", "dtype %s" % array.dtype,
                        "Read them beside the data, with h5py.")
    solid = numpy.ascontiguousarray(array)
    raw = solid.reshape(-1).view(numpy.uint8).data if solid.nbytes else memoryview(b"")
    codec = codecs.choose_codec(solid.dtype.kind, solid.nbytes, allowed, rate)
    packed = raw if codec == codecs.RAW else memoryview(codecs.pack(raw, solid.dtype.itemsize, codec))
    if packed.nbytes * 20 > raw.nbytes * 19:
        codec, packed = codecs.RAW, raw
    description = {"dtype": dtype_to_wire(array.dtype), "shape": list(array.shape), "codec": codec,
                   "bytes": packed.nbytes, "crc32": zlib.crc32(raw)}
    return description, packed


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
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    if size > limit:
        raise ProtocolError("An array announces %d bytes; at most %d are allowed." % (size, limit))
    if dtype.itemsize == 0 or size == 0:
        if packed.nbytes:
            raise ProtocolError("An empty array came with bytes.")
        empty = numpy.zeros(shape, dtype)
        empty.flags.writeable = False
        return empty
    raw = codecs.unpack(packed, size, dtype.itemsize, str(description.get("codec")))
    if zlib.crc32(raw) != description.get("crc32"):
        raise ProtocolError("An array was damaged on its way: its checksum is wrong.")
    array = numpy.frombuffer(raw, dtype).reshape(shape)
    array.flags.writeable = False
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
