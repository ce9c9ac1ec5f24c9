"""The person's two words about the network, applied: through which proxy, and which authorities are believed too."""

from __future__ import annotations

from app.errors import UsageError
from app.remote import proxies, trust


def apply(proxy: str, ca_file: str) -> list[UsageError]:
    """Use these from here on; each that cannot be used is left as it was and told.

    Args:
        proxy: as :func:`app.remote.proxies.choose` takes it.
        ca_file: as :func:`app.remote.trust.choose` takes it; read here.
    """
    faults = []
    for choose, value in ((proxies.choose, proxy), (trust.choose, ca_file)):
        try:
            choose(value)
        except UsageError as error:
            faults.append(error)
    return faults
