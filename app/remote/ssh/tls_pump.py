"""A TLS connection as a plain socket: paramiko reads and writes on two threads at once, which a TLS socket may not.

One thread moves bytes both ways. It ends when either side closes.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading

_CHUNK = 65536


class TlsPump:
    """``sock`` is the plain end; closing it closes the TLS connection and ends the thread."""

    def __init__(self, secure: ssl.SSLSocket) -> None:
        self.sock, self._inner = socket.socketpair()
        self._secure = secure
        secure.setblocking(False)
        self._inner.setblocking(False)
        threading.Thread(target=self._run, name="tls-pump", daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            self._move()
        for end in (self._secure, self._inner):
            with contextlib.suppress(OSError):
                end.close()

    def _move(self) -> None:
        out, into = b"", b""      # towards the proxy, towards us
        with selectors.DefaultSelector() as selector:
            while True:
                moved = False
                if not into:
                    got = self._received()
                    if got == b"":
                        return
                    into, moved = got or b"", moved or bool(got)
                if into:
                    with contextlib.suppress(BlockingIOError):
                        into, moved = into[self._inner.send(into):], True
                if not out:
                    try:
                        out = self._inner.recv(_CHUNK)
                        if not out:
                            return
                        moved = True
                    except BlockingIOError:
                        out = b""
                if out:
                    with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                        out, moved = out[self._secure.send(out):], True
                if moved:
                    continue
                _await(selector, self._secure, reading=not into, writing=bool(out))
                _await(selector, self._inner, reading=not out, writing=bool(into))
                selector.select()

    def _received(self) -> bytes | None:
        """Bytes from the TLS side; ``None``: none at the moment; empty: it has ended."""
        try:
            return self._secure.recv(_CHUNK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except ssl.SSLError:
            return b""


def _await(selector: selectors.BaseSelector, sock: socket.socket, reading: bool, writing: bool) -> None:
    """Wake for these events of ``sock`` only; what cannot be taken in must not wake anybody."""
    with contextlib.suppress(KeyError):
        selector.unregister(sock)
    events = (selectors.EVENT_READ if reading else 0) | (selectors.EVENT_WRITE if writing else 0)
    if events:
        selector.register(sock, events)
