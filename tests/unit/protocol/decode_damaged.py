"""Run by a test in a process of its own: decoders on damaged bytes, with bounded memory. A crash is the process's.

    python -m tests.unit.protocol.decode_damaged SEED COUNT

Prints one JSON line: how many were tried, refused, and decoded to what was sent.
"""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from app.protocol import codecs, stored
from app.protocol.arrays import decode_array, encode_array
from app.protocol.errors import ProtocolError
from app.protocol.libraries import bitshuffle_library
from app.protocol.quantised import quantise
from tests.unit.protocol.mutations import damaged_bytes

ARRAY_BYTES = 200_000
SPARE_BYTES = 64 * 2**20
_BITSHUFFLE, _LZ4, _DEFLATE, _SHUFFLE = 32008, 32004, 1, 2
_BEHIND = (0, 12, 32, 60)          # headers that are checked as a whole are left alone as often


def samples() -> list[tuple[dict[str, Any], bytes, np.ndarray]]:
    """(description, packed bytes, array) of every codec and of every filter of stored chunks."""
    random_numbers = np.random.default_rng(5)
    made = []
    for array in (random_numbers.poisson(2, 40_001).astype("u2"), random_numbers.normal(0, 1, 20_003).astype("f4"),
                  np.zeros(90_000, "u1"), np.full(9_001, b"abc", "S3")):
        for codec in codecs.available_codecs():
            packed = bytes(codecs.pack(array.view("u1").data, array.itemsize, codec))
            made.append(({**encode_array(array)[0], "codec": codec, "bytes": len(packed)}, packed, array))
    noise = random_numbers.normal(0, 1, 5000)
    description, data = encode_array(quantise(noise, None, 256))
    made.append((description, bytes(data), decode_array(description, data, 2**20)))
    counts = random_numbers.poisson(2, (80, 100)).astype("u4")
    for filters, packed in stored_forms(counts):
        made.append(({"dtype": "<u4", "shape": [80, 100], "codec": stored.CODEC, "bytes": len(packed),
                      "crc32": zlib.crc32(packed), "filters": filters}, packed, counts))
    return made


def stored_forms(array: np.ndarray) -> list[tuple[list[Any], bytes]]:
    """The array as HDF5's filters would store it."""
    library, raw, size = bitshuffle_library(), array.view("u1").reshape(-1), array.itemsize
    forms: list[tuple[list[Any], bytes]] = [([[_DEFLATE, [4]]], zlib.compress(raw.tobytes()))]
    planes = np.ascontiguousarray(raw.reshape(-1, size).T).tobytes()
    forms.append(([[_SHUFFLE, [size]], [_DEFLATE, [4]]], zlib.compress(planes)))
    for zstd in (False, True):
        block = 8192 // size
        target = np.empty(2 * raw.size, "u1")
        arguments = (raw.ctypes.data, target.ctypes.data, array.size, size, block)
        written = library.bshuf_compress_zstd(*arguments, 1) if zstd else library.bshuf_compress_lz4(*arguments)
        head = struct.pack(">QI", raw.size, block * size)
        forms.append(([[_BITSHUFFLE, [0, 4, size, block, 3 if zstd else 2]]], head + target[:written].tobytes()))
    blocks = [raw[at:at + 4096].tobytes() for at in range(0, raw.size, 4096)]
    forms.append(([[_LZ4, [4096]]], struct.pack(">QI", raw.size, 4096)
                  + b"".join(struct.pack(">I", len(block)) + block for block in blocks)))
    return forms


def main() -> None:
    faulthandler.enable()
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    made = samples()
    for description, packed, array in made:          # everything is loaded and made that is kept
        assert decode_array(description, memoryview(packed), ARRAY_BYTES).tobytes() == array.tobytes()
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + SPARE_BYTES,) * 2)
    chance = random.Random(seed)
    refused = equal = 0
    for _ in range(count):
        description, packed, array = chance.choice(made)
        damaged = damaged_bytes(packed, chance.randrange(2**32), min(chance.choice(_BEHIND), len(packed) - 1))
        told = dict(description, bytes=len(damaged))
        if told["codec"] == stored.CODEC:
            told["crc32"] = zlib.crc32(damaged)      # as a hostile agent would
        try:
            arrived = decode_array(told, memoryview(damaged), ARRAY_BYTES)
        except ProtocolError:
            refused += 1
            continue
        assert arrived.nbytes <= ARRAY_BYTES
        if told["codec"] != stored.CODEC:
            assert arrived.tobytes() == array.tobytes(), (told, seed)
        equal += 1
    print(json.dumps({"tried": count, "refused": refused, "decoded": equal}))


if __name__ == "__main__":
    main()
