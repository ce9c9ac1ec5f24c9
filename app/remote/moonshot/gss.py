"""A GSS initiator through ctypes on MIT Kerberos' library: no compiler, no further Python package.

Used in the helper process only: the mechanism reads the process environment, prints, and blocks. Not thread-safe.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_int, c_size_t, c_uint32, c_void_p
from typing import Any

_NT_USER = bytes.fromhex("2a864886f71201020101")
_NT_HOST_SERVICE = bytes.fromhex("2a864886f71201020104")
_COMPLETE = 0
_MUTUAL, _INTEGRITY = 2, 32
_ERROR_MASK = 0xFFFF0000
_NO_CONTEXT_FLAGS = 0xD0000     # GSS_S_FAILURE: the mechanism did not give what was asked for
_FOR_EVER = 0xFFFFFFFF
_INITIATE = 1


class _Buffer(ctypes.Structure):
    _fields_ = [("length", c_size_t), ("value", c_void_p)]

    memory: Any     # what ``value`` points to, kept as long as this is


class _Oid(ctypes.Structure):
    _fields_ = [("length", c_uint32), ("elements", c_void_p)]

    memory: Any


class _OidSet(ctypes.Structure):
    _fields_ = [("count", c_size_t), ("elements", POINTER(_Oid))]


_STATUS = POINTER(c_uint32)
_SIGNATURES: dict[str, list[Any]] = {
    "gss_import_name": [_STATUS, POINTER(_Buffer), POINTER(_Oid), POINTER(c_void_p)],
    "gss_release_name": [_STATUS, POINTER(c_void_p)],
    "gss_acquire_cred_with_password": [_STATUS, c_void_p, POINTER(_Buffer), c_uint32, POINTER(_OidSet), c_int,
                                       POINTER(c_void_p), c_void_p, c_void_p],
    "gss_init_sec_context": [_STATUS, c_void_p, POINTER(c_void_p), c_void_p, POINTER(_Oid), c_uint32, c_uint32,
                             c_void_p, POINTER(_Buffer), c_void_p, POINTER(_Buffer), _STATUS, _STATUS],
    "gss_get_mic": [_STATUS, c_void_p, c_uint32, POINTER(_Buffer), POINTER(_Buffer)],
    "gss_release_buffer": [_STATUS, POINTER(_Buffer)],
    "gss_release_cred": [_STATUS, POINTER(c_void_p)],
    "gss_delete_sec_context": [_STATUS, POINTER(c_void_p), c_void_p],
    "gss_display_status": [_STATUS, c_uint32, c_int, POINTER(_Oid), _STATUS, POINTER(_Buffer)],
    "gss_indicate_mechs": [_STATUS, POINTER(POINTER(_OidSet))],
}


def oid_elements(dotted: str) -> bytes:
    """The DER content of an object identifier, without tag and length.

    Raises:
        ValueError: it is none.
    """
    numbers = [int(part) for part in dotted.split(".")]
    if len(numbers) < 2 or min(numbers) < 0 or numbers[0] > 2 or (numbers[0] < 2 and numbers[1] > 39):
        raise ValueError(f"{dotted} is not an object identifier")
    out = bytearray()
    for number in (40 * numbers[0] + numbers[1], *numbers[2:]):
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        out += bytes(reversed(digits))
    return bytes(out)


def oid_der(dotted: str) -> bytes:
    """The whole DER encoding, as RFC 4462 wants it."""
    elements = oid_elements(dotted)
    return bytes((6, len(elements))) + elements


class GssError(Exception):
    """The mechanism failed. ``token``: what it wants the other side to be told, if anything."""

    def __init__(self, major: int, minor: int, text: str, token: bytes = b"") -> None:
        super().__init__(text)
        self.major = major
        self.minor = minor
        self.token = token


class GssLibrary:
    """The GSSAPI library of this computer.

    Raises:
        OSError: there is none.
    """

    def __init__(self) -> None:
        self._calls: Any = ctypes.CDLL("libgssapi_krb5.so.2")
        for name, arguments in _SIGNATURES.items():
            function = getattr(self._calls, name)
            function.argtypes, function.restype = arguments, c_uint32

    def mechanisms(self) -> set[bytes]:
        """The object identifiers (DER content) of the mechanisms that are installed."""
        minor, found = c_uint32(), POINTER(_OidSet)()
        self._calls.gss_indicate_mechs(byref(minor), byref(found))
        if not found:
            return set()
        oids = (found.contents.elements[i] for i in range(found.contents.count))
        return {ctypes.string_at(oid.elements, oid.length) for oid in oids}

    def take(self, buffer: _Buffer) -> bytes:
        """The content of a buffer that the library made, which is released."""
        content = ctypes.string_at(buffer.value, buffer.length) if buffer.length else b""
        minor = c_uint32()
        self._calls.gss_release_buffer(byref(minor), byref(buffer))
        return content

    def check(self, major: int, minor: int, mechanism: _Oid, token: bytes = b"") -> int:
        """``major`` if it is no error.

        Raises:
            GssError: it is one.
        """
        if major & _ERROR_MASK:
            texts = (self._text(major, 1, mechanism), self._text(minor, 2, mechanism))
            raise GssError(major, minor, "; ".join(filter(None, texts)), token)
        return major

    def _text(self, code: int, kind: int, mechanism: _Oid) -> str:
        minor, more, buffer, parts = c_uint32(), c_uint32(0), _Buffer(), []
        while True:
            if self._calls.gss_display_status(byref(minor), code, kind, byref(mechanism), byref(more),
                                              byref(buffer)) & _ERROR_MASK:
                break
            parts.append(self.take(buffer).decode("utf-8", "replace"))
            if not more.value:
                break
        return " ".join(parts)


class Initiator:
    """One security context with ``host@host`` for an identity and its password.

    Args:
        mechanism: DER content of its object identifier.

    Raises:
        GssError: the identity is no name, or the mechanism has no use for it.
    """

    def __init__(self, library: GssLibrary, mechanism: bytes, host: str, identity: str, password: str) -> None:
        self._library = library
        self._calls = library._calls
        self._mechanism = _oid(mechanism)
        self._context, self._credential, self._target = c_void_p(), c_void_p(), c_void_p()
        self.complete = False
        minor = c_uint32()
        name = self._name(identity.encode(), _NT_USER)
        wanted = _OidSet(1, ctypes.pointer(self._mechanism))
        major = self._calls.gss_acquire_cred_with_password(
            byref(minor), name, byref(_buffer(password.encode())), _FOR_EVER, byref(wanted), _INITIATE,
            byref(self._credential), None, None)
        library.check(major, minor.value, self._mechanism)
        self._calls.gss_release_name(byref(minor), byref(name))
        self._target = self._name(b"host@" + host.encode(), _NT_HOST_SERVICE)

    def step(self, token: bytes) -> bytes:
        """Take the other side's token (empty: the first step) and give ours (empty: none).

        Raises:
            GssError: it ended here.
        """
        minor, flags, seconds, out = c_uint32(), c_uint32(), c_uint32(), _Buffer()
        incoming = byref(_buffer(token)) if token else None
        major = self._calls.gss_init_sec_context(
            byref(minor), self._credential, byref(self._context), self._target, byref(self._mechanism),
            _MUTUAL | _INTEGRITY, 0, None, incoming, None, byref(out), byref(flags), byref(seconds))
        answer = self._library.take(out)
        self._library.check(major, minor.value, self._mechanism, answer)
        self.complete = major == _COMPLETE
        if self.complete and flags.value & (_MUTUAL | _INTEGRITY) != _MUTUAL | _INTEGRITY:
            raise GssError(_NO_CONTEXT_FLAGS, 0, "the mechanism offers no mutual authentication or no integrity")
        return answer

    def mic(self, data: bytes) -> bytes:
        """The integrity code over ``data``."""
        minor, out = c_uint32(), _Buffer()
        major = self._calls.gss_get_mic(byref(minor), self._context, 0, byref(_buffer(data)), byref(out))
        self._library.check(major, minor.value, self._mechanism)
        return self._library.take(out)

    def close(self) -> None:
        """Release everything."""
        minor = c_uint32()
        self._calls.gss_delete_sec_context(byref(minor), byref(self._context), None)
        self._calls.gss_release_cred(byref(minor), byref(self._credential))
        self._calls.gss_release_name(byref(minor), byref(self._target))

    def _name(self, text: bytes, kind: bytes) -> c_void_p:
        minor, name = c_uint32(), c_void_p()
        major = self._calls.gss_import_name(byref(minor), byref(_buffer(text)), byref(_oid(kind)),
                                            byref(name))
        self._library.check(major, minor.value, self._mechanism)
        return name


def _buffer(content: bytes) -> _Buffer:
    memory = ctypes.create_string_buffer(content, len(content))
    made = _Buffer(len(content), ctypes.cast(memory, c_void_p))
    made.memory = memory
    return made


def _oid(elements: bytes) -> _Oid:
    memory = ctypes.create_string_buffer(elements, len(elements))
    made = _Oid(len(elements), ctypes.cast(memory, c_void_p))
    made.memory = memory
    return made
