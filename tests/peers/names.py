"""A DNS server on a loopback port that knows a few TXT records, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


@dataclass
class Names:
    """A running server. ``texts``: name → its TXT strings; ``asked``: what was looked up."""

    port: int
    texts: dict[str, list[str]]
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def name_server(texts: Mapping[str, list[str]]) -> Iterator[Names]:
    """Serve TXT records over UDP; other names do not exist."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.1)
    ended = threading.Event()
    names = Names(sock.getsockname()[1], dict(texts))

    def serve() -> None:
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                wire, sender = sock.recvfrom(4096)
                sock.sendto(_answer(names, wire), sender)

    thread = threading.Thread(target=serve, name="name-server")
    thread.start()
    try:
        yield names
    finally:
        ended.set()
        thread.join(10)
        sock.close()


def _answer(names: Names, wire: bytes) -> bytes:
    query = dns.message.from_wire(wire)
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.RA
    name = query.question[0].name.to_text(omit_final_dot=True)
    names.asked.append(name)
    if name in names.texts:
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT",
                                                 *(f'"{text}"' for text in names.texts[name])))
    else:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer.to_wire()
