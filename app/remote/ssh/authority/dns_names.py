"""TXT records, which the operating system's own interface does not give. Blocking; the only importer of dnspython."""

from __future__ import annotations

import logging

LOOKUP_S = 5.0
NAMESERVERS: list[str] = []   # [] : the system's
PORT = 53
_LOG = logging.getLogger(__name__)


def texts_of(name: str) -> list[str]:
    """The texts of a name; [] when it has none, or the name service cannot be asked."""
    import dns.exception
    import dns.resolver

    try:
        resolver = dns.resolver.Resolver(configure=not NAMESERVERS)
        if NAMESERVERS:
            resolver.nameservers, resolver.port = list(NAMESERVERS), PORT
        answer = resolver.resolve(name, "TXT", lifetime=LOOKUP_S, search=False)
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
    except (dns.exception.DNSException, OSError, ValueError) as error:
        _LOG.debug("no TXT records of %s: %s", name, type(error).__name__)
        return []
