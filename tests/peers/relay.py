"""A real TCP relay between a client and a server whose link can be made to fail in every way a link does."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

_CHUNK = 64 * 1024


@dataclass(eq=False)
class _Pair:
    """One connection through the relay."""

    client: socket.socket
    server: socket.socket
    flows: threading.Event
    silent: bool = False
    abrupt: bool = False
    threads: list[threading.Thread] = field(default_factory=list)

    def end(self) -> None:
        for sock in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Relay:
    """Listens on ``address``; what comes goes to ``target`` and back, until something is done to it."""

    def __init__(self, target: tuple[str, int], address: str = "127.0.0.1") -> None:
        self._target = target
        self._pairs: list[_Pair] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._ration: int | None = None
        self.rationed_out = False
        self._closed = False
        self._listener = socket.create_server((address, 0), family=socket.AF_INET)
        self._thread = threading.Thread(target=self._accept, name="relay-accept", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        return len(self._living())

    def cut(self) -> None:
        """Both ends are told in good order."""
        for pair in self._living():
            self._flows.set()
            pair.end()

    def reset(self) -> None:
        """Both ends get a RST."""
        for pair in self._living():
            pair.abrupt = True
            for sock in (pair.client, pair.server):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    sock.shutdown(socket.SHUT_RD)       # whoever reads from it wakes up, and closes it
            self._flows.set()

    def cut_after(self, count: int) -> None:
        """As :meth:`cut`, in the middle of what flows: once ``count`` more bytes went through, either way."""
        with self._lock:
            self._ration, self.rationed_out = count, False

    def stall(self, stalled: bool) -> None:
        """Nothing goes either way, until it does again; nothing is lost."""
        if stalled:
            self._flows.clear()
        else:
            self._flows.set()

    def fall_silent(self) -> None:
        """Half open: the server sees the end, and the client hears nothing any more, for ever. New ones are well."""
        for pair in self._living():
            pair.silent = True
            with contextlib.suppress(OSError):
                pair.server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed = True
        self._flows.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.end()
            for thread in pair.threads:
                thread.join(10)

    def _living(self) -> list[_Pair]:
        with self._lock:
            self._pairs = [pair for pair in self._pairs if any(thread.is_alive() for thread in pair.threads)]
            return [pair for pair in self._pairs if not pair.silent]

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, 5)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = _Pair(client, server, self._flows)
            pair.threads = [threading.Thread(target=self._carry, args=(pair, *way), name="relay-carry", daemon=True)
                            for way in ((client, server), (server, client))]
            with self._lock:
                self._pairs.append(pair)
            for thread in pair.threads:
                thread.start()

    def _carry(self, pair: _Pair, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                pair.flows.wait()
                passed = self._rationed(data)
                if not pair.silent:
                    sink.sendall(passed)
                if len(passed) < len(data):
                    self.cut()
        if pair.abrupt:
            source.close()
        elif not pair.silent or source is pair.client:
            pair.end()


    def _rationed(self, data: bytes) -> bytes:
        """As much of ``data`` as may still go through; that it is all used up is said once."""
        with self._lock:
            if self._ration is None:
                return data
            passed = data[:self._ration]
            self.rationed_out = len(passed) < len(data)
            self._ration = None if self.rationed_out else self._ration - len(passed)
            return passed


@contextlib.contextmanager
def relay(target: tuple[str, int], address: str = "127.0.0.1") -> Iterator[Relay]:
    """A relay that ends with the block, with every connection through it."""
    made = Relay(target, address)
    try:
        yield made
    finally:
        made.close()
