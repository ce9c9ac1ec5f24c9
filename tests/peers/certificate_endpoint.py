"""An SSH certificate endpoint of the conch shape: checks the access token, signs with a test authority."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import jwt

from tests.peers.openid_provider import OpenIdProvider
from tests.peers.sshd import UserAuthority


@contextlib.contextmanager
def certificate_endpoint(provider: OpenIdProvider, authority: UserAuthority, accounts: Mapping[str, str],
                         host: str, valid_for_s: float = 3600) -> Iterator[str]:
    """Serve ``GET /sign``; yields the base address.

    Args:
        accounts: the local user of each subject; others are refused.
        host: what the answer names as the host to log in to.
    """
    context = ssl.create_default_context(cafile=str(provider.pki.ca))
    keys = jwt.PyJWKClient(f"{provider.issuer}/jwks", ssl_context=context)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                claims = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["RS256", "ES256"],
                                    audience="ssh-ca", issuer=provider.issuer, leeway=30)
            except jwt.PyJWTError as error:
                return self._answer(401, {"message": str(error)})
            user = accounts.get(claims["sub"])
            if user is None:
                return self._answer(403, {"message": f"no account for {claims['sub']}"})
            query = dict(parse_qsl(urlsplit(self.path).query))
            certificate = authority.sign(query["public_key"], [user], valid_for_s=valid_for_s)
            self._answer(200, {
                "resources": {"slurm": {"alias": "slurm", "hostname": host, "proxy_jump": None}},
                "associations": {"resources": {"slurm": {"username": user, "certificate": certificate}}},
                "user": claims.get("email", ""), "version": 3})

        def _answer(self, status: int, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(provider.pki.certificate, provider.pki.key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="certificate-endpoint")
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
