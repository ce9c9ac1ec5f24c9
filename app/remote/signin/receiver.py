"""Where the browser brings the provider's answer: a listener on this computer for one answer (RFC 8252).

Its own thread accepts, one more serves each connection (browsers open some that never speak); ``close`` ends them all.
It takes ``GET`` of its path with the state of this sign-in and nothing else: every other request gets a short page and
changes nothing. It never logs an address, since answers are in them.
"""

from __future__ import annotations

import contextlib
import errno
import hmac
import os
import queue
import socket
import threading
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.errors import ProviderError

PATH = "/cb"
HOST, BY_NAME = "127.0.0.1", "localhost"
_ADDRESSES = {HOST: ("127.0.0.1",), BY_NAME: ("127.0.0.1", "::1")}   # browsers take either for the name
_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_SILENT_S = 10.0
_LONGEST_ADDRESS = 16_384
_MOST_CONNECTIONS = 32
_STYLE = ("body{margin:0;min-height:100vh;display:grid;place-items:center;font:17px/1.5 system-ui,sans-serif;"
          "background:Canvas;color:CanvasText;color-scheme:light dark}main{max-width:30em;padding:2em}"
          "h1{font-size:1.4em;margin:0 0 .4em}p{margin:0}")


class Receiver:
    """Listens from the start until :meth:`close`; a context manager.

    Args:
        port: a fixed port, for providers that compare it; 0: any free one.
        host, path: how the redirect address calls this computer, and its path ("" or "/…").

    Raises:
        ProviderError: the fixed port is in use.
    """

    def __init__(self, port: int = 0, host: str = HOST, path: str = PATH) -> None:
        self.host, self.path = host, path
        self._answers: queue.Queue[dict[str, str]] = queue.Queue()
        self._state = ""
        self._taken = False
        self._lock = threading.Lock()
        self._servers: list[_Server] = []
        try:
            for address in _ADDRESSES[host]:
                self._listen(address, self.port if self._servers else port)
        except OSError as error:
            self.close()
            if not port:
                raise ProviderError("This computer does not let Beamside wait for the browser's answer.", str(error),
                                    "Sign in with a code instead.") from None
            raise ProviderError(f"Port {port} of this computer is in use, and the sign-in has to be answered there.",
                                str(error), "Close the other program (another Beamside that is signing in, perhaps), "
                                            "or sign in with a code.") from None

    def _listen(self, address: str, port: int) -> None:
        try:
            server = _Server(self, address, port)
        except OSError as error:
            if self._servers and error.errno in _NO_SUCH_ADDRESS:    # a computer without IPv6
                return
            raise
        self._servers.append(server)
        server.thread.start()

    def __enter__(self) -> Receiver:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    @property
    def port(self) -> int:
        return int(self._servers[0].server_address[1])

    @property
    def redirect_uri(self) -> str:
        """What the provider is told to send the browser to."""
        return f"http://{self.host}:{self.port}{self.path}"

    def expect(self, state: str) -> None:
        """From now on take the answer that carries ``state``."""
        with self._lock:
            self._state = state

    def wait(self, timeout_s: float) -> dict[str, str] | None:
        """The answer's parameters; ``None``: not yet."""
        try:
            return self._answers.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop listening and hang up on everybody; idempotent."""
        for server in self._servers:
            server.shutdown()
            server.thread.join(5)
            server.server_close()

    def judge(self, query: str) -> tuple[int, str, str, dict[str, str] | None]:
        """A connection's thread: status, title and text of the page to show; and the answer, if it is the one."""
        values = parse_qs(query, keep_blank_values=True, max_num_fields=50)
        if any(len(given) > 1 for given in values.values()):   # RFC 6749 §3.1: no parameter twice
            return 400, "This answer is not understood", "Go back to Beamside and open its page again.", None
        answer = {name: given[0] for name, given in values.items()}
        with self._lock:
            ours = bool(self._state) and hmac.compare_digest(answer.get("state", "").encode(), self._state.encode())
            if not ours or not (answer.get("code") or answer.get("error")):
                return (400, "This is not the sign-in that Beamside waits for",
                        "The tab is left over from an earlier one. Go back to Beamside and open its page again.", None)
            if self._taken:
                return 410, "This answer was taken already", "You may close this tab.", None
            self._taken = True
        if answer.get("error"):
            return 200, "Nobody was signed in", "Beamside says why. You may close this tab.", answer
        return 200, "Your answer has arrived", "Beamside goes on by itself. You may close this tab.", answer

    def deliver(self, answer: dict[str, str]) -> None:
        """A connection's thread: let :meth:`wait` return."""
        self._answers.put(answer)


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENT_S
    protocol_version = "HTTP/1.0"     # one request per connection
    server_version, sys_version = "Beamside", ""
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        receiver = self.server.receiver
        if self.headers.get("Host") != f"{receiver.host}:{receiver.port}":   # a name rebound to this computer
            self._page(421, "Wrong address", "This is not a web site.")
        elif parts.path != (receiver.path or "/") or len(self.path) > _LONGEST_ADDRESS:
            self._page(404, "Nothing is here", "Go back to Beamside.")
        else:
            status, title, text, answer = self.server.receiver.judge(parts.query)
            try:
                self._page(status, title, text)
            finally:                       # after the page: whoever waits closes this connection next
                if answer is not None:
                    self.server.receiver.deliver(answer)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Other methods and malformed requests."""
        self._page(code, "Nothing is here", "Go back to Beamside.")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the request line holds the code."""

    def _page(self, status: int, title: str, text: str) -> None:
        body = (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
                f"<style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1><p>{escape(text)}</p></main></body>"
                "</html>").encode()
        self.send_response(status)
        for name, value in (("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body))),
                            ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"),
                            ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
                            ("Content-Security-Policy",
                             "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
                            ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, receiver: Receiver, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="sign-in-receiver", daemon=True)
        self.receiver = receiver
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        if os.name == "posix":               # a fixed port can be used again at once
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif hasattr(socket, "SO_EXCLUSIVEADDRUSE"):   # on Windows that would let another program listen as well
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        self.socket.bind(self.server_address)           # no look-up of our own name, which may take seconds
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            if len(self._open) >= _MOST_CONNECTIONS:
                self.shutdown_request(request)
                return
            thread = threading.Thread(target=self.process_request_thread, args=(request, client_address),
                                      name="sign-in-answer", daemon=True)
            self._open[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        if threading.current_thread().name == "sign-in-answer":
            with self._guard:
                self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hung up; whoever waits for an answer goes on waiting."""

    def server_close(self) -> None:
        super().server_close()
        with self._guard:
            left = list(self._open.items())
        for connection, _ in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for _, thread in left:
            thread.join(5)
