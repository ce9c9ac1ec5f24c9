"""The secrets that tests and their peers use, and the search for them in what was written or said.

Peers ``register`` every token, password, one-time password and private key they give out or take; ``found_in`` then
looks for each of them, also in base64, hexadecimal, quoted and JSON form. Any thread; needs no pytest.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections import defaultdict
from collections.abc import Sequence
from urllib.parse import quote, quote_plus

import numpy as np
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

LEAST = 6                  # shorter ones are words that stand everywhere
_WINDOW = 8                # bytes of a secret that are looked for first; shorter secrets only count as whole words
_TABLE_BITS = 20
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_CHUNK = 1 << 22
_PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.+?-----END [A-Z ]*PRIVATE KEY-----\n?", re.S)


class Secrets:
    """A register of secrets, each with what it is; the search costs some nanoseconds a byte, however many there are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: dict[bytes, str] = {}
        self._by_beginning: defaultdict[int, list[tuple[bytes, str]]] = defaultdict(list)
        self._table = np.zeros(1 << _TABLE_BITS, bool)
        self._short: dict[str, str] = {}

    def register(self, value: str | bytes, what: str) -> None:
        """Let ``value`` be found nowhere from now on. Values below six characters are not looked for."""
        data = value.encode() if isinstance(value, str) else value
        with self._lock:
            if len(data) < LEAST or data in self._names:
                return
            self._names[data] = what
            if len(data) < _WINDOW:
                self._short[data.decode("latin-1")] = what
            for form in _forms(data):
                beginning = np.frombuffer(form, "<u8", 1)
                self._by_beginning[int(beginning[0])].append((form, what))
                self._table[_hashed(beginning)] = True

    def register_key(self, file_content: bytes, what: str) -> None:
        """Register a private key file: its lines of base64, and the number in it."""
        for pem in _PEM.findall(file_content):
            for line in pem.splitlines()[1:-1]:
                if len(line) >= 32 and len(set(line)) > 8 and b"AAAAA" not in line:   # not the common beginning
                    self.register(line, what)
            try:
                key = (load_ssh_private_key if b"OPENSSH" in pem else load_pem_private_key)(pem, None)
                self.register(key.private_bytes_raw(), what)   # type: ignore[union-attr]
            except (ValueError, TypeError, AttributeError):
                continue                    # encrypted, or of a kind whose number is not 32 bytes

    def __len__(self) -> int:
        return len(self._names)

    def found_in(self, data: bytes, words: bool = True) -> list[str]:
        """What of the registered is in ``data``. ``words``: it is text, where short secrets count as whole words."""
        found = dict.fromkeys(self._long_ones(data))
        if words:
            text = data.decode("latin-1")
            found |= dict.fromkeys(what for value, what in list(self._short.items())
                                   if value in text and re.search(rf"(?<![\w.:]){re.escape(value)}(?![\w.:])", text))
        return list(found)

    def _long_ones(self, data: bytes) -> list[str]:
        found = []
        for begin in range(0, len(data), _CHUNK):
            for shift in range(_WINDOW):
                offset = begin + shift
                count = min(_CHUNK, len(data) - offset) // _WINDOW
                if count <= 0:
                    break
                windows = np.frombuffer(data, "<u8", count, offset)
                for index in np.flatnonzero(self._table[_hashed(windows)]):
                    place = offset + int(index) * _WINDOW
                    found += [what for form, what in self._by_beginning.get(int(windows[index]), ())
                              if data.startswith(form, place)]
        return found


def _hashed(windows: np.ndarray) -> np.ndarray:
    return (windows * _SPREAD) >> np.uint64(64 - _TABLE_BITS)


def _forms(value: bytes) -> Sequence[bytes]:
    """``value`` as it may be written, each at least eight bytes long."""
    forms = [value, value.hex().encode(), value.hex().upper().encode()]
    text = value.decode("utf-8", "replace")
    if text.encode() == value:
        forms += [each.encode() for each in (quote(text), quote(text, safe=""), quote_plus(text),
                                             json.dumps(text)[1:-1])] + [text.encode("utf-16-le")]
    for before in range(3):                  # base64 of something that holds it, at each of the three alignments
        whole = base64.b64encode(b"\0" * before + value).rstrip(b"=")
        part = whole[(0, 2, 3)[before]:len(whole) - bool((before + len(value)) % 3)]
        forms += [part, part.translate(bytes.maketrans(b"+/", b"-_"))]
    return [form for form in dict.fromkeys(forms) if len(form) >= _WINDOW]


KNOWN = Secrets()
"""Of this run (of this worker, if there are several)."""


def register(value: str | bytes, what: str) -> None:
    """Tell that ``value`` is a secret, and ``what`` it is for the report (never its value)."""
    KNOWN.register(value, what)


def register_key(file_content: bytes, what: str) -> None:
    """Tell that this private key is a secret."""
    KNOWN.register_key(file_content, what)
