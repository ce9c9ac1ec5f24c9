"""A block as bytes that can lie on a disk: facts as JSON, arrays packed as on the wire, all under checksums. Pure.

``BEAMSIDE-BLOCK 1\\n``, length and CRC-32 of the JSON (u32 big-endian each), the JSON, the packed arrays one after the
other. What is damaged, or of another version, is refused; nothing is ever guessed.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import zlib
from typing import Any

import numpy as np

from app.model.data import Block, Exactness, ReadRequest, Reduction, Statistics
from app.protocol.arrays import decode_array, encode_array, packed_size
from app.protocol.codecs import available_codecs
from app.protocol.errors import ProtocolError, WireError

MAGIC = b"BEAMSIDE-BLOCK 1\n"
MOST_BYTES = 512 * 2**20
_MOST_FACTS = 4 * 2**20
_HEAD = struct.Struct(">II")
_DISK_BYTES_S = 30e6          # what packing is worth: as for a link of 240 Mbit/s


class DamagedBlockError(Exception):
    """These bytes are no block, or not any more."""


def to_bytes(block: Block, name: str) -> bytes | None:
    """The block; ``name`` says what it is the answer to. ``None``: it holds what cannot be packed."""
    arrays = [block.values] if block.mask is None else [block.values, np.packbits(block.mask)]
    try:
        packed = [encode_array(array, available_codecs(), _DISK_BYTES_S) for array in arrays]
    except WireError:
        return None
    facts = {"name": name, "full_shape": block.full_shape, "exactness": block.exactness.value, "factor": block.factor,
             "reduction": block.reduction.value, "signal": block.signal, "generation": block.generation,
             "masked": block.mask is not None, "statistics": dataclasses.asdict(block.statistics),
             "arrays": [description for description, _ in packed]}
    text = json.dumps(facts).encode()
    return b"".join([MAGIC, _HEAD.pack(len(text), zlib.crc32(text)), text, *(bytes(data) for _, data in packed)])


def from_bytes(data: bytes, name: str, request: ReadRequest) -> Block:
    """The block that answers ``request``.

    Raises:
        DamagedBlockError: damaged, of another version, or the answer to something else.
    """
    view, begin = memoryview(data), len(MAGIC) + _HEAD.size
    try:
        if view[:len(MAGIC)] != MAGIC:
            raise DamagedBlockError("no block")
        length, checksum = _HEAD.unpack(view[len(MAGIC):begin])
        text = view[begin:begin + length]
        if length > _MOST_FACTS or zlib.crc32(text) != checksum:
            raise DamagedBlockError("its facts are damaged")
        facts = json.loads(bytes(text))
        if facts["name"] != name:
            raise DamagedBlockError("it answers something else")
        arrays, place = [], begin + length
        for description in facts["arrays"]:
            size = packed_size(description, len(view) - place)
            arrays.append(decode_array(description, view[place:place + size], MOST_BYTES))
            place += size
        return _block(facts, arrays, request)
    except (ProtocolError, struct.error, ValueError, KeyError, TypeError, IndexError) as error:
        raise DamagedBlockError(str(error)) from None


def _block(facts: dict[str, Any], arrays: list[np.ndarray], request: ReadRequest) -> Block:
    values, mask = arrays[0], None
    if facts["masked"]:
        height, width = values.shape[-2:]
        mask = np.unpackbits(arrays[1], count=height * width).reshape(height, width).astype(bool)
        mask.flags.writeable = False
    statistics = Statistics(**{key: _frozen(value) for key, value in facts["statistics"].items()})
    return Block(values, request.reference, request.selection, _frozen(facts["full_shape"]),
                 Exactness(facts["exactness"]), _frozen(facts["factor"]), Reduction(facts["reduction"]), statistics,
                 mask, str(facts["signal"]), _frozen(facts["generation"]))


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
