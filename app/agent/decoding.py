"""Decoding stored chunks without HDF5: the filters of a pipeline undone one after the other.

What both sides know is in :mod:`app.protocol.chunk_filters`; here come LZF, blosc, blosc2, szip, bzip2 and checksums.
Scale-offset, n-bit and whatever else there is belong to HDF5. All of it runs outside Python's and HDF5's locks.
Whatever is not quite as expected raises :class:`Unusual`, and HDF5 itself is asked instead; nothing here guesses. Any
thread.
"""

from __future__ import annotations

import bz2
import ctypes
import struct
import zlib
from typing import Any, Sequence

import numpy as np

from app.agent import filter_libraries as libraries
from app.agent.blocks import Damaged, decode_all_blocks
from app.agent.blosc_chunks import decode_blosc, decode_blosc2
from app.protocol import chunk_filters
from app.protocol.chunk_filters import BITSHUFFLE, DEFLATE, LZ4, SHUFFLE, ZSTD, Step, Unusual, compression_of

FLETCHER32, SZIP, BZIP2, LZF, BLOSC, BLOSC2 = 3, 4, 307, 32000, 32001, 32026
CHECKSUM_BYTES = 4
_NEEDED = {LZF: libraries.LZF, BLOSC: libraries.BLOSC, BLOSC2: libraries.BLOSC2, SZIP: libraries.SZIP}
_KEEP_SIZE = (SHUFFLE, FLETCHER32)
_CHECKSUM = struct.Struct("<I")
_SUMMED = 2048
_WEIGHTS = np.arange(_SUMMED, 0, -1, dtype=np.float64)


class _SzipParameters(ctypes.Structure):
    _fields_ = [("options", ctypes.c_int), ("bits", ctypes.c_int), ("block", ctypes.c_int), ("line", ctypes.c_int)]


def can_decode(steps: Sequence[Step]) -> bool:
    """Whether every step is known here and its library is there."""
    for step in steps:
        if step.code in _NEEDED:
            if libraries.library(_NEEDED[step.code]) is None or (step.code == SZIP and len(step.values) < 4):
                return False
        elif step.code not in (FLETCHER32, BZIP2) and not chunk_filters.can_decode([step]):
            return False
    return sum(1 for step in steps if step.code not in _KEEP_SIZE) <= 1  # else sizes in between are not known


def decode(packed: Any, steps: Sequence[Step], out: Any) -> None:
    """Decode a whole chunk.

    Args:
        packed: (n,) uint8, the chunk as stored.
        steps: the filters that were applied to it.
        out: (chunk bytes,) uint8, contiguous; filled.

    Raises:
        Unusual: it does not decode to exactly the size of ``out``, or its checksum is wrong.
        Damaged: so that HDF5 must not try it either.
    """
    if not steps or steps[0].code == FLETCHER32:
        current = decoded(packed, steps, out.size)
        if current.size != out.size:
            raise Unusual("a chunk of %d bytes instead of %d" % (current.size, out.size))
        out[...] = current
        return
    _undo(steps[0], decoded(packed, steps[1:], out.size), out)


def decoded(packed: Any, steps: Sequence[Step], size: int) -> Any:
    """As :func:`decode`, in a buffer of its own (a part of ``packed`` itself when there is nothing to decode)."""
    current = packed
    for number in range(len(steps) - 1, -1, -1):
        step = steps[number]
        if step.code == FLETCHER32:
            current = _checked(current)
            continue
        before = size + CHECKSUM_BYTES * sum(1 for other in steps[:number] if other.code == FLETCHER32)
        if step.code == DEFLATE:
            current = chunk_filters.decoded(current, [step], before)
        else:
            target = np.empty(before, np.uint8)
            _undo(step, current, target)
            current = target
    return current


def is_shuffled(steps: Sequence[Step], item_size: int) -> bool:
    """Whether the first filter put the first bytes of all items together, then the second ones, and so on."""
    return len(steps) > 1 and steps[0].code == SHUFFLE and steps[0].values[0] == item_size > 1


def decode_start(packed: Any, steps: Sequence[Step], out: Any, end: int) -> bool:
    """Decode at least the first ``end`` bytes of a chunk into ``out`` if that is less work; whether it was done."""
    if len(steps) != 1 or steps[0].code != DEFLATE or end >= out.size:
        return False
    try:
        raw = zlib.decompressobj().decompress(packed, end)
    except zlib.error as error:
        raise Unusual(str(error)) from None
    if len(raw) != end:
        raise Unusual("a short chunk")
    out[:end] = np.frombuffer(raw, np.uint8)
    return True


def _undo(step: Step, packed: Any, out: Any) -> None:
    if step.code == BZIP2:
        out[...] = _unbzipped(packed, out.size)
    elif step.code == LZF:
        _unlzf(packed, out)
    elif step.code == SZIP:
        _unszip(packed, step, out)
    elif step.code == BLOSC:
        decode_blosc(packed, out)
    elif step.code == BLOSC2:
        decode_blosc2(packed, out)
    elif step.code == LZ4 or (step.code == BITSHUFFLE and compression_of(step) != 0):
        decode_all_blocks(packed, step, out)
    elif step.code == ZSTD:
        try:
            chunk_filters.decode(packed, [step], out)
        except Unusual as error:
            raise Damaged(str(error)) from None
    else:
        chunk_filters.decode(packed, [step], out)


def fletcher32(values: Any) -> int:
    """HDF5's checksum of (n,) uint8 (``H5_checksum_fletcher32``).

    Both sums are of big-endian words modulo 65535, where 65535 stands for 0 unless all words are 0. Turning the bytes
    of every word multiplies a sum by 256, and 256² is 1 there: so the words are added as this processor has them.
    """
    words = values[:values.size // 2 * 2].view("<u2")
    first, second, blocks = 0, 0, words.size // _SUMMED
    for start in range(0, blocks, 64):  # by parts that stay in the cache
        part = words[start * _SUMMED:min(start + 64, blocks) * _SUMMED].reshape(-1, _SUMMED).astype(np.float64)
        for plain, weighted in zip(part.sum(axis=1).tolist(), (part @ _WEIGHTS).tolist()):
            second += _SUMMED * first + int(weighted)
            first += int(plain)
    rest = words[blocks * _SUMMED:].astype(np.int64)
    second += rest.size * first + int((rest * np.arange(rest.size, 0, -1)).sum())
    first += int(rest.sum())
    if values.size % 2:
        first += int(values[-1])
        second += first
    return _folded(second) << 16 | _folded(first)


def _folded(total: int) -> int:
    """A sum of turned words as HDF5 has it: modulo 65535, never 0 for what is not 0."""
    return (total * 256) % 65535 or (65535 if total else 0)


def _checked(packed: Any) -> Any:
    end = packed.size - CHECKSUM_BYTES
    if end < 0 or _CHECKSUM.unpack_from(packed, end)[0] != fletcher32(packed[:end]):
        raise Unusual("a chunk with another checksum")
    return packed[:end]


def _unbzipped(packed: Any, size: int) -> Any:
    try:
        raw = bz2.BZ2Decompressor().decompress(packed, size + 1)
    except (OSError, ValueError, EOFError) as error:
        raise Unusual(str(error)) from None
    if len(raw) != size:
        raise Unusual("a bzip2 chunk of another size")
    return np.frombuffer(raw, np.uint8)


def _unlzf(packed: Any, out: Any) -> None:
    read = _library(libraries.LZF).lzf_decompress(packed.ctypes.data, packed.size, out.ctypes.data, out.size)
    if read != out.size:
        raise Unusual("an LZF chunk of another size")


def _unszip(packed: Any, step: Step, out: Any) -> None:
    if packed.size < 4 or _CHECKSUM.unpack_from(packed, 0)[0] != out.size:
        raise Unusual("an szip chunk of another size")
    options, block, bits, line = step.values[:4]
    if not (0 < bits <= 64 and 0 < block <= 32 and 0 < line <= 4096):
        raise Unusual("unusual parameters of szip")
    size, parameters = ctypes.c_size_t(out.size), _SzipParameters(options, bits, block, line)
    code = _library(libraries.SZIP).SZ_BufftoBuffDecompress(
        out.ctypes.data, ctypes.byref(size), packed[4:].ctypes.data, packed.size - 4, ctypes.byref(parameters))
    if code != 0 or size.value != out.size:
        raise Unusual("szip code %d" % code)


def _library(name: str) -> Any:
    found = libraries.library(name)
    if found is None:
        raise Unusual("no library for %s" % name)
    return found
