"""Object headers of an HDF5 file read from its bytes: attributes, and what describes an unchunked dataset.

HDF5 takes a hundred microseconds for three attributes, which is most of what a large tree takes. HDF5 still opens every
object and so has judged its header; this reads the same bytes once more. It knows what beamlines write: numbers,
text and arrays of them in version 1 and 2 headers. Whatever else it meets, or doubts, is left to HDF5 (``None``).
Layout: "HDF5 File Format Specification", chapters III.E, IV. Runs in a worker process of the agent, in one thread.
Never writes.
"""

from __future__ import annotations

import os
import struct
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
from h5py import h5f, h5fd, h5i, h5t

from app.agent.attributes import MAX_BYTES, MAX_ELEMENTS, value_json
from app.agent.links import decoded

_WINDOW = 16 * 1024
_MOST_WINDOWS = 512
_MOST_CHUNKS = 256
_MOST_HEAPS_BYTES = 16 * 2 ** 20
_MOST_KNOWN = 4096
_LONGEST_CHUNK = 2 ** 20
_UNDEFINED = 2 ** 64 - 1
_DATASPACE, _DATATYPE, _EXTERNAL, _LAYOUT, _ATTRIBUTE, _CONTINUED, _ATTRIBUTE_INFO = (
    0x1, 0x3, 0x7, 0x8, 0xC, 0x10, 0x15)
_LAST_KNOWN = 0x17
_SHARED = 2
_REFERENCE = 16      # bytes of what stands for a text of any length
_UNCHUNKED = (0, 1)
_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q", "f2": "e", "f4": "f",
          "f8": "d"}

Space = Tuple[Optional[Tuple[int, ...]], Optional[Tuple[Optional[int], ...]]]
Value = Callable[[bytes, Tuple[int, ...]], Any]


class _Doubt(Exception):
    """Something that HDF5 must say itself."""


class Described(NamedTuple):
    """A dataset that is neither chunked nor made of other files. ``shape`` ``None``: it is empty."""

    shape: Optional[List[int]]
    maxshape: Optional[List[Optional[int]]]
    dtype: str


class Header(NamedTuple):
    """``attributes`` as JSON by name, in HDF5's order of names, and what the dataset is."""

    attributes: Dict[str, Any]
    dataset: Described


class _Type(NamedTuple):
    """A stored type: its name as numpy has it, its bytes in a file (0: unknown), and how values of it are read."""

    name: str
    size: int
    value: Optional[Value]


class ObjectHeaders:
    """The headers of one open file, for as long as one request takes: what was read once is not read again."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._windows = {}  # type: Dict[int, bytes]
        self._heaps = {}  # type: Dict[int, Dict[int, bytes]]
        self._heap_bytes = 0
        self._types = {}  # type: Dict[bytes, _Type]
        self._spaces = {}  # type: Dict[bytes, Space]

    @classmethod
    def of(cls, node: Any) -> Optional[ObjectHeaders]:
        """Those of the file a node lies in; ``None``: its bytes are not simply those of one file."""
        try:
            file = h5i.get_file_id(node.id)
            made, access = file.get_create_plist(), file.get_access_plist()
            if made.get_userblock() or tuple(made.get_sizes()) != (8, 8) or access.get_driver() != h5fd.SEC2 \
                    or file.get_intent() != h5f.ACC_RDONLY:
                return None
            return cls(int(file.get_vfd_handle()))
        except Exception:
            return None

    def read(self, address: int) -> Optional[Header]:
        """The header of a dataset at an address, which HDF5 has opened; ``None``: ask HDF5."""
        try:
            return self._parse(address)
        except (_Doubt, struct.error, IndexError, ValueError, OSError, OverflowError):
            return None

    def _parse(self, address: int) -> Header:
        facts = {}  # type: Dict[int, bytes]
        named = {}  # type: Dict[bytes, bytes]
        for kind, flags, body in self._messages(address):
            if kind == _ATTRIBUTE:
                if flags & _SHARED:
                    raise _Doubt
                name = _name_of(body)
                if name in named:
                    raise _Doubt
                named[name] = body
            elif kind in (_DATASPACE, _DATATYPE, _LAYOUT, _EXTERNAL):
                if flags & _SHARED or kind in facts or kind == _EXTERNAL:
                    raise _Doubt
                facts[kind] = body
            elif kind == _ATTRIBUTE_INFO:
                if struct.unpack_from("<Q", body, 4 if body[1] & 1 else 2)[0] != _UNDEFINED:
                    raise _Doubt
            elif kind > _LAST_KNOWN:
                raise _Doubt
        dataset = self._described(facts)
        return Header({decoded(name): self._attribute(named[name]) for name in sorted(named)}, dataset)

    def _messages(self, address: int) -> List[Tuple[int, int, bytes]]:
        """(type, flags, body) of every message of a header."""
        head = self._bytes(address, 16)
        if head[:4] == b"OHDR":
            if head[4] != 2:
                raise _Doubt
            flags = head[5]
            start = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            size = int.from_bytes(self._bytes(start, width), "little")
            return self._walk(start + width, size, 6 if flags & 4 else 4)
        if head[0] != 1:
            raise _Doubt
        count, size = struct.unpack_from("<H4xI", head, 2)
        found = self._walk(address + 16, size, 8)
        if len(found) > count:
            raise _Doubt
        return found

    def _walk(self, start: int, size: int, prefix: int) -> List[Tuple[int, int, bytes]]:
        """The messages of the chunks of a header; ``prefix``: 8 bytes before each in version 1, 4 or 6 in version 2."""
        found = []  # type: List[Tuple[int, int, bytes]]
        chunks, old = [(start, size)], prefix == 8
        for start, size in chunks:      # which grows on the way
            if size > _LONGEST_CHUNK or len(chunks) > _MOST_CHUNKS:
                raise _Doubt
            data, here = self._bytes(start, size), 0
            if not old and start != chunks[0][0]:
                if data[:4] != b"OCHK":
                    raise _Doubt
                data, here, size = data[:-4], 4, size - 4
            while here + prefix <= size:
                if old:
                    kind, length, flags = struct.unpack_from("<HHB", data, here)
                else:
                    kind, length, flags = struct.unpack_from("<BHB", data, here)
                here += prefix
                body = data[here:here + length]
                here += length
                if here > size:
                    raise _Doubt
                found.append((kind, flags, body))
                if kind == _CONTINUED:
                    chunks.append(struct.unpack_from("<QQ", body))
        return found

    def _described(self, facts: Dict[int, bytes]) -> Described:
        if _DATASPACE not in facts or _DATATYPE not in facts or _LAYOUT not in facts:
            raise _Doubt
        layout = facts[_LAYOUT]
        version = layout[0]
        if not 1 <= version <= 4 or layout[2 if version < 3 else 1] not in _UNCHUNKED:
            raise _Doubt
        shape, most = self._space(facts[_DATASPACE])
        name = self._type(facts[_DATATYPE]).name
        return Described(None if shape is None else list(shape), None if most is None else list(most), name)

    def _attribute(self, body: bytes) -> Any:
        version, name_size, type_size, space_size = struct.unpack_from("<BxHHH", body)
        here = 9 if version == 3 else 8
        if version == 1:
            name_size, padded_type, padded_space = _padded(name_size), _padded(type_size), _padded(space_size)
        else:
            padded_type, padded_space = type_size, space_size
        here += name_size
        stored = self._type(body[here:here + type_size])
        here += padded_type
        shape, _ = self._space(body[here:here + space_size])
        here += padded_space
        if shape is None:
            return None
        if stored.value is None:
            raise _Doubt
        elements = 1
        for length in shape:
            elements *= length
        data = body[here:here + elements * stored.size]
        if elements > MAX_ELEMENTS or len(data) != elements * stored.size or len(data) > MAX_BYTES:
            raise _Doubt
        return stored.value(data, shape)

    def _space(self, body: bytes) -> Space:
        known = self._spaces.get(body)
        if known is None:
            if len(self._spaces) > _MOST_KNOWN:
                self._spaces.clear()
            known = self._spaces[body] = _space_of(body)
        return known

    def _type(self, body: bytes) -> _Type:
        known = self._types.get(body)
        if known is None:
            if len(self._types) > _MOST_KNOWN:
                self._types.clear()
            known = self._types[body] = self._type_of(body)
        return known

    def _type_of(self, body: bytes) -> _Type:
        try:
            stored = h5t.decode(b"\x03\x00" + body)  # as H5Tencode writes it: what it is, its version, the message
            dtype = stored.dtype
        except Exception:
            raise _Doubt from None
        size = struct.unpack_from("<I", body, 4)[0]
        if isinstance(stored, h5t.TypeStringID):
            if stored.is_variable_str():
                if size != _REFERENCE or struct.unpack_from("<I", body, 12)[0] != 1:
                    raise _Doubt
                return _Type(str(dtype), _REFERENCE, self._texts)
            if stored.get_strpad() == h5t.STR_NULLTERM:
                return _Type(str(dtype), size, _terminated)
        plain = dtype.kind in "iufbS" and dtype.subdtype is None and dtype.itemsize == size > 0
        if not plain or not h5t.py_create(dtype).equal(stored):
            return _Type(str(dtype), 0, None)
        return _Type(str(dtype), size, _reader_of(dtype))

    def _texts(self, data: bytes, shape: Tuple[int, ...]) -> Any:
        if len(shape) > 1:
            raise _Doubt
        texts, weight = [], 0
        for length, address, index in struct.iter_unpack("<IQI", data):
            text = self._heap(address).get(index) if length else b""
            if text is None or len(text) != length:
                raise _Doubt
            texts.append(text.partition(b"\0")[0])
            weight += length
        if weight > MAX_BYTES:
            raise _Doubt
        return [value_json(text) for text in texts] if shape else value_json(texts[0])

    def _heap(self, address: int) -> Dict[int, bytes]:
        """The objects of a global heap collection by number."""
        known = self._heaps.get(address)
        if known is not None:
            return known
        magic, version, size = struct.unpack("<4sB3xQ", self._bytes(address, 16))
        if magic != b"GCOL" or version != 1 or size > _LONGEST_CHUNK:
            raise _Doubt
        if self._heap_bytes + size > _MOST_HEAPS_BYTES:
            self._heaps.clear()
            self._heap_bytes = 0
        data, here = self._bytes(address, size), 16
        found = {}  # type: Dict[int, bytes]
        while here + 16 <= size:
            index, length = struct.unpack_from("<H6xQ", data, here)
            if index == 0:      # what is free, to the end
                if here + length != size:
                    raise _Doubt
                break
            here += 16
            if here + length > size or index in found:
                raise _Doubt
            found[index] = data[here:here + length]
            here += _padded(length)
        self._heaps[address] = found
        self._heap_bytes += size
        return found

    def _bytes(self, address: int, size: int) -> bytes:
        """Bytes of the file; fewer are a doubt."""
        at = address % _WINDOW
        if at + size <= _WINDOW:
            window = self._windows.get(address - at)
            if window is None:
                if len(self._windows) >= _MOST_WINDOWS:
                    self._windows.clear()
                window = self._windows[address - at] = os.pread(self._descriptor, _WINDOW, address - at)
            data = window[at:at + size]
        else:
            data = os.pread(self._descriptor, size, address)
        if len(data) != size:
            raise _Doubt
        return data


def _name_of(body: bytes) -> bytes:
    """The name in an attribute message that can be read here."""
    version, flags, size = struct.unpack_from("<BBH", body)
    if version not in (1, 2, 3) or (version > 1 and flags):
        raise _Doubt
    start = 9 if version == 3 else 8
    name = body[start:start + size]
    if len(name) != size or name.find(b"\0") != size - 1:
        raise _Doubt
    return name[:-1]


def _space_of(body: bytes) -> Space:
    version, rank, flags, kind = struct.unpack_from("<BBBB", body)
    if version not in (1, 2) or flags & ~1 or rank > 32:
        raise _Doubt
    if version == 2:
        if kind == 2 and rank == 0:
            return None, None
        if kind != (1 if rank else 0):
            raise _Doubt
    start = 8 if version == 1 else 4
    shape = struct.unpack_from("<%dQ" % rank, body, start)
    most = struct.unpack_from("<%dQ" % rank, body, start + 8 * rank) if flags & 1 else shape
    if _UNDEFINED in shape:
        raise _Doubt
    return shape, tuple([None if length == _UNDEFINED else length for length in most])


def _reader_of(dtype: Any) -> Value:
    """Values whose bytes are as they are in memory."""
    code = _CODES.get(dtype.str[1:])
    one = struct.Struct((">" if dtype.str[0] == ">" else "<") + code) if code else None

    def value(data: bytes, shape: Tuple[int, ...]) -> Any:
        if one is not None and not shape:
            return value_json(one.unpack(data)[0])
        return value_json(np.frombuffer(data, dtype).reshape(shape)[()] if data else np.zeros(shape, dtype))

    return value


def _terminated(data: bytes, shape: Tuple[int, ...]) -> Any:
    """One text that ends at its first zero character."""
    if shape:
        raise _Doubt
    return value_json(data.partition(b"\0")[0])


def _padded(size: int) -> int:
    return size + -size % 8
