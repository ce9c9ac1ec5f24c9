"""A small real HTTP proxy: ``CONNECT`` only, with a password, a list of ports and TLS if wanted.

    with http_proxy(user="ada", password="secret", ports={443}) as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.checks.secrets import register


@dataclass
class HttpProxy:
    """A running proxy. ``asked``: what it was asked to connect to; ``carried``: bytes it moved."""

    port: int
    user: str = ""
    password: str = ""
    ports: frozenset[int] = frozenset()   # empty: all
    scheme: str = "Basic"
    answer: bytes = b""                   # said in place of everything
    asked: list[str] = field(default_factory=list)
    carried: int = 0
    connections: list[socket.socket] = field(default_factory=list)

    def cut(self) -> None:
        """Drop every connection."""
        for sock in self.connections:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def http_proxy(context: ssl.SSLContext | None = None, **options: object) -> Iterator[HttpProxy]:
    """Start a proxy and stop it with its threads.

    Args:
        context: speak TLS with this.
        options: of :class:`HttpProxy`.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = HttpProxy(listener.getsockname()[1], **options)  # type: ignore[arg-type]
    register(proxy.password, "the password of a proxy")
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = listener.accept()
                proxy.connections.append(sock)
                threads.append(threading.Thread(target=_serve, args=(proxy, sock, context), name="http-proxy-link"))
                threads[-1].start()

    acceptor = threading.Thread(target=accept, name="http-proxy")
    acceptor.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join(10)
        proxy.cut()
        for thread in threads:
            thread.join(10)


def _serve(proxy: HttpProxy, raw: socket.socket, context: ssl.SSLContext | None) -> None:
    with contextlib.suppress(OSError), raw:
        sock = context.wrap_socket(raw, server_side=True) if context else raw
        with sock:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                got = sock.recv(1)
                if not got:
                    return
                head += got
            method, target, *_ = head.decode("latin-1").split(" ")
            proxy.asked.append(f"{method} {target}")
            if proxy.answer:
                sock.sendall(proxy.answer)
                return
            secret = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
            if proxy.user and f"\r\nproxy-authorization: basic {secret}\r\n".lower() not in head.decode().lower():
                sock.sendall(f"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: {proxy.scheme} "
                             "realm=\"office\"\r\nContent-Length: 0\r\n\r\n".encode())
                return
            host, _, port = target.rpartition(":")
            if proxy.ports and int(port) not in proxy.ports:
                sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            try:
                other = socket.create_connection((host.strip("[]"), int(port)), 10)
            except OSError:
                sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with other:
                proxy.connections.append(other)
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _carry(proxy, sock, other)


def _carry(proxy: HttpProxy, one: socket.socket, two: socket.socket) -> None:
    while True:
        pending = [one] if isinstance(one, ssl.SSLSocket) and one.pending() else select.select([one, two], [], [])[0]
        for sock in pending:
            data = sock.recv(65536)
            if not data:
                return
            (two if sock is one else one).sendall(data)
            proxy.carried += len(data)
