"""HTTPS on 127.0.0.1 for the provider and the certificate endpoint. One thread that accepts, one per request.

Refuses every Host but its own (a web page cannot reach it under another name) and hands no request to a browser's
cache. The TLS handshake happens in the request's own thread, so that a connection that says nothing holds up nobody.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

log = logging.getLogger(__name__)

_HANDSHAKE_S = 20.0
_BODY_LIMIT = 64 * 1024


class HttpsServer:
    """One WSGI application behind TLS on a loopback port."""

    def __init__(self, name: str, context: ssl.SSLContext, port: int = 0) -> None:
        """Bind; another port is taken when the wished one is in use."""
        try:
            self._server = _Server(context, port)
        except OSError:
            if not port:
                raise
            self._server = _Server(context, 0)
        self.port: int = self._server.port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1},
                                        name=f"facility-{name}", daemon=True)

    @property
    def origin(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self, app: Any) -> None:
        """Begin to answer with a WSGI application."""
        self._server.app = GuardedApp(app, self.port)
        self._thread.start()

    def close(self) -> None:
        """Stop accepting; requests in work end with the process."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join(5)
        self._server.server_close()


class GuardedApp:
    """Checks Host and size before the application sees a request; adds the headers every answer has."""

    def __init__(self, app: Any, port: int) -> None:
        self._app = app
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_HOST") not in self._hosts:
            return Response("This is not the address of the demo facility.\n", 421)(environ, start_response)
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= _BODY_LIMIT or environ.get("HTTP_TRANSFER_ENCODING"):
            return Response("Too much.\n", 413)(environ, start_response)

        def answer(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            have = {name.lower() for name, _ in headers}
            for name, value in (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"),
                                ("Referrer-Policy", "same-origin"), ("X-Frame-Options", "DENY")):
                if name.lower() not in have:
                    headers.append((name, value))
            return start_response(status, headers, exc_info)
        result: Iterable[bytes] = self._app(environ, answer)
        return result


def _not_ready(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    return Response("Not ready yet.\n", 503)(environ, start_response)


class _Handler(WSGIRequestHandler):
    def version_string(self) -> str:
        return "beamside-demo"

    def log(self, type: str, message: str, *args: Any) -> None:
        log.debug(message, *args)


class _Server(ThreadedWSGIServer):
    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        listener = socket.socket()
        try:
            if os.name == "posix":
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            listener.listen(128)
            super().__init__("127.0.0.1", port, _not_ready, _Handler, fd=listener.fileno())
        finally:
            listener.close()
        self.ssl_context = context

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = self.socket.accept()
        connection.settimeout(_HANDSHAKE_S)
        assert self.ssl_context is not None
        return self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("request from %s failed", client_address, exc_info=True)
