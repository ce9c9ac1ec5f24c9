"""A chunk of a file, sent as it is stored; the receiver undoes the filters. Any thread.

Used where that is sooner than decoding and packing again. Each filter has a name, which the receiver lists among its
codecs. What comes from the wire is checked before a library sees it, filter by filter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Sequence, Tuple

from app.protocol import chunk_filters
from app.protocol.bitshuffle import check_blocks
from app.protocol.chunk_filters import BITSHUFFLE, DEFLATE, LZ4, SHUFFLE, ZSTD, Step, Unusual
from app.protocol.codecs import inflate
from app.protocol.errors import ProtocolError
from app.protocol.libraries import bitshuffle_library

if TYPE_CHECKING:
    import numpy

CODEC = "hdf5"
_NAMES = {DEFLATE: "hdf5:deflate", SHUFFLE: "hdf5:shuffle", BITSHUFFLE: "hdf5:bshuf", LZ4: "hdf5:lz4",
          ZSTD: "hdf5:zstd"}
_MOST_STEPS = 8
_MOST_VALUES = 32
_MOST_BLOCKS = 2 ** 20
_LARGEST_ITEM = 2 ** 16


class DamagedChunk(ProtocolError):
    """The stored bytes arrived as they are in the file, but cannot be decoded: it is the file that is damaged."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.kind = "unreadable"
        self.summary = "The file is damaged where this was to be read."
        self.remedy = "Other parts of it may be whole; ask for a copy of the file."


class StoredArray(NamedTuple):
    """A chunk that holds exactly an array; goes into the arrays of a reply in place of it.

    Attributes:
        data: the stored bytes.
        filters: HDF5's number and parameters of each filter, in the order of writing.
        shape, dtype: of the array.
    """

    data: bytes
    filters: Tuple[Tuple[int, Tuple[int, ...]], ...]
    shape: Tuple[int, ...]
    dtype: Any

    @property
    def nbytes(self) -> int:
        """Bytes of the array."""
        size = int(self.dtype.itemsize)
        for extent in self.shape:
            size *= extent
        return size


def available_filters() -> Tuple[str, ...]:
    """The filters that can be undone here, by their names in HELLO."""
    names = [_NAMES[DEFLATE], _NAMES[SHUFFLE]]
    if bitshuffle_library() is not None:
        names += [_NAMES[BITSHUFFLE], _NAMES[LZ4], _NAMES[ZSTD]]
    return (CODEC, *names)


def can_forward(filters: Sequence[Tuple[int, Sequence[int]]], allowed: Sequence[str]) -> bool:
    """Whether a receiver that takes the codecs ``allowed`` can undo ``filters``."""
    return CODEC in allowed and all(code in _NAMES and _NAMES[code] in allowed for code, _ in filters)


def filters_to_wire(array: StoredArray) -> List[Any]:
    """The ``filters`` of a description."""
    return [[code, list(values)] for code, values in array.filters]


def decode_here(array: StoredArray) -> numpy.ndarray[Any, Any]:
    """The array itself, for a receiver that cannot undo the filters.

    Raises:
        DamagedChunk: the stored bytes are damaged, or a filter is unknown.
    """
    import numpy
    steps = [Step(code, tuple(values)) for code, values in array.filters]
    if not chunk_filters.can_decode(steps):
        raise DamagedChunk("a filter that is not known here")
    raw = _undone(memoryview(array.data), steps, array.nbytes)
    decoded: numpy.ndarray[Any, Any] = numpy.frombuffer(raw, array.dtype).reshape(array.shape)
    return decoded


def unpack(data: memoryview, description: Dict[str, Any], size: int, item_size: int) -> memoryview:
    """The ``size`` bytes of an array that came as a stored chunk. The caller has checked ``size``.

    Raises:
        ProtocolError: its filters are unknown or do not fit.
        DamagedChunk: the bytes are damaged.
    """
    steps = _steps(description.get("filters"))
    for step in steps:
        if (step.code == SHUFFLE and step.values[0] != item_size) or item_size > _LARGEST_ITEM:
            raise ProtocolError("A stored chunk was shuffled in another way than its type.")
    return memoryview(_undone(data, steps, size)).cast("B")


def _steps(value: Any) -> List[Step]:
    if not isinstance(value, list) or len(value) > _MOST_STEPS:
        raise ProtocolError("A stored chunk came without its filters.")
    steps = []
    for item in value:
        if not isinstance(item, list) or len(item) != 2 or type(item[0]) is not int \
                or item[0] not in _NAMES or not isinstance(item[1], list) \
                or len(item[1]) > _MOST_VALUES or not all(type(n) is int and 0 <= n < 2 ** 32 for n in item[1]):
            raise ProtocolError("A stored chunk has a filter that was not offered.")
        steps.append(Step(item[0], tuple(item[1])))
    if not chunk_filters.can_decode(steps):
        raise ProtocolError("A stored chunk has a filter that was not offered.")
    return steps


def _undone(data: memoryview, steps: Sequence[Step], size: int) -> Any:
    import numpy
    current = numpy.frombuffer(data, numpy.uint8)
    try:
        for step in reversed(steps):
            if step.code == DEFLATE:
                current = numpy.frombuffer(inflate(current.data, size), numpy.uint8)
                continue
            _check(step, current, size)
            target = numpy.empty(size, numpy.uint8)
            chunk_filters.undo(step, current, target)
            current = target
    except (Unusual, ProtocolError) as unusual:
        raise DamagedChunk("A stored chunk is damaged: %s." % getattr(unusual, "detail", unusual)) from None
    if current.size != size:
        raise DamagedChunk("A stored chunk of %d bytes came as %d." % (size, current.size))
    return current.data


def _check(step: Step, packed: Any, size: int) -> None:
    """The library trusts the lengths in the data: see that they stay inside it."""
    if step.code == BITSHUFFLE and chunk_filters.compression_of(step) == 0:
        if step.values[2] < 1 or step.values[3] % 8:
            raise Unusual("a block of an odd size")
        return
    if step.code not in (BITSHUFFLE, LZ4):
        return
    block_bytes = chunk_filters.block_bytes_of(packed, step, size)
    if size > block_bytes * _MOST_BLOCKS:
        raise Unusual("too many blocks")
    if step.code == BITSHUFFLE:
        item_size = step.values[2]
        check_blocks(packed[chunk_filters.CHUNK_HEADER.size:].data, size // item_size, item_size,
                     block_bytes // item_size)
