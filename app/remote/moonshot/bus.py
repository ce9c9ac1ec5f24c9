"""The private D-Bus "bus" that answers the mechanism as Moonshot's identity service (org.janet.Moonshot).

The mechanism asks it who signs in (``GetIdentity``) and whether a RADIUS server's certificate is the right one
(``ConfirmCaCertificate``); without an answer it refuses every certificate. In the helper process only, one client: this
process itself. The socket is abstract, so nothing is left behind when the helper is killed.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from jeepney import HeaderFields, MessageType, new_error, new_method_return
from jeepney.low_level import Message, MessageFlag, Parser

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.S)
_BUS = "org.freedesktop.DBus"
_MOST_BYTES = 65536
_MOST_WORDS = 32        # lines of a client's introduction


@dataclass
class Trust:
    """Which RADIUS server may be shown the password, and what was met.

    Attributes:
        ca: PEM of the certificate authority; the chain is checked by the mechanism.
        subject: what the certificate must carry: a host name (one of its DNS names), or ``CN=…`` (in its subject).
        pins: SHA-256 of the certificate, lower-case hexadecimal.
        seen, refused: fingerprints the mechanism asked about, and those that were not trusted.
        rounds: how many tokens have been taken (counted by the helper); ``seen_at``: that number at the last question.
    """

    ca: str = ""
    subject: str = ""
    pins: frozenset[str] = frozenset()
    seen: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    rounds: int = 0
    seen_at: int = 0

    def confirm(self, fingerprint: str) -> bool:
        """Whether a certificate (that has passed the authority's check, if there is one) is trusted."""
        fingerprint = fingerprint.lower()
        self.seen.append(fingerprint)
        self.seen_at = self.rounds
        trusted = fingerprint in self.pins if self.pins else bool(self.ca and self.subject)
        if not trusted:
            self.refused.append(fingerprint)
        return trusted

    def constraints(self) -> tuple[str, str, str, str] | None:
        """Pin, CA (base64 DER), subject, alternative subject, for the mechanism to check; ``None``: we do it all."""
        found = _PEM.search(self.ca)
        if found is None or not self.subject:
            return None
        der = base64.b64encode(base64.b64decode(found[1])).decode()
        if "=" in self.subject:
            return "", der, self.subject, ""
        return "", der, "", f"DNS:{self.subject}"


class IdentityService:
    """Listens from its making until the process ends; ``address`` is for DBUS_SESSION_BUS_ADDRESS."""

    def __init__(self, identity: str, password: str, trust: Trust) -> None:
        self._identity = identity
        self._password = password
        self._trust = trust
        self._guid = secrets.token_hex(16)
        name = f"beamside-moonshot-{secrets.token_hex(16)}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"\0{name}")
        self._listener.listen(2)
        self.address = f"unix:abstract={name},guid={self._guid}"
        threading.Thread(target=self._accept, name="identity-service", daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            process = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            if process != os.getpid():
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), name="identity-client", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as incoming:
            if not self._introduced(client, incoming):
                return
            parser, serial = Parser(), 0
            while data := incoming.read1(_MOST_BYTES):
                parser.add_data(data)
                while (message := parser.get_next_message()) is not None:
                    if message.header.message_type is not MessageType.method_call:
                        continue
                    reply = self._answer(message)
                    if message.header.flags & MessageFlag.no_reply_expected:
                        continue
                    asked = message.header.fields.get(HeaderFields.destination)
                    reply.header.fields[HeaderFields.sender] = _BUS if asked == _BUS else ":1.0"
                    reply.header.fields[HeaderFields.destination] = ":1.1"
                    serial += 1
                    client.sendall(reply.serialise(serial=serial))

    def _introduced(self, client: socket.socket, incoming: BinaryIO) -> bool:
        """D-Bus' introduction; GLib sends a bare AUTH EXTERNAL and wants DATA before OK."""
        incoming.read(1)    # the credentials' NUL
        for _ in range(_MOST_WORDS):
            line = incoming.readline(1024).strip()
            if line == b"BEGIN":
                return True
            if not line:
                return False
            if line == b"AUTH EXTERNAL":
                client.sendall(b"DATA\r\n")
            elif line.startswith((b"AUTH EXTERNAL ", b"DATA")):
                client.sendall(b"OK " + self._guid.encode() + b"\r\n")
            elif line.startswith(b"AUTH"):
                client.sendall(b"REJECTED EXTERNAL\r\n")
            else:
                client.sendall(b"ERROR\r\n")
        return False

    def _answer(self, message: Message) -> Message:
        member = message.header.fields.get(HeaderFields.member)
        if member == "GetIdentity":
            constraints = self._trust.constraints()
            if constraints is not None:
                body: tuple[Any, ...] = (self._identity, self._password, *constraints, True)
                return new_method_return(message, "ssssssb", body)
        elif member == "ConfirmCaCertificate":
            return new_method_return(message, "ib", (int(self._trust.confirm(str(message.body[2]))), True))
        elif member in _BUS_ANSWERS:
            signature, body = _BUS_ANSWERS[member]
            return new_method_return(message, signature, body)
        return new_error(message, f"{_BUS}.Error.UnknownMethod", "s", (str(member),))


_BUS_ANSWERS: dict[str, tuple[str | None, tuple[Any, ...]]] = {
    "Hello": ("s", (":1.1",)), "AddMatch": (None, ()), "RemoveMatch": (None, ()), "GetNameOwner": ("s", (":1.0",)),
    "StartServiceByName": ("u", (2,)), "GetAll": ("a{sv}", ({},)),
}
