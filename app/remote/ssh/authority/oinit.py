"""oinit (KIT, Helmholtz): one authority for many hosts, found by name; it asks each host's motley-cue for the account.

The certificate logs in as the user ``oinit``, whose forced command switches to the person's account; it allows no
forwarding, so such a host is no gateway. The token goes nowhere before the authority has said that it takes our issuer.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from app.errors import CancelledByUserError, LoginRefusedError, ProviderError
from app.model.text import visible
from app.remote.signin.https import host_of
from app.remote.ssh.authority.answers import AuthorityWeb, NotThereError
from app.remote.ssh.authority.certificate import read
from app.remote.ssh.authority.dns_names import texts_of
from app.remote.ssh.authority.offer import Offer, Wish

revoke_all = None
LOGIN = "oinit"
_PATHS = ("/oinit/api/v1", "/api/v1", "")   # as it is served now, as it was, and behind a proxy of its own
_RECORD = "_oinit-ca."


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate for the host."""
    url = wish.url or _found(wish)
    base, issuers = _interface(web, url, wish.host)
    if not any(issuer.rstrip("/") == wish.issuer.rstrip("/") for issuer in issuers):
        raise LoginRefusedError(f"The certificate authority at {host_of(url)} does not take sign-ins of "
                                f"{wish.issuer or 'this site'} for {wish.host}.",
                                f"It takes: {visible(', '.join(issuers)) or 'none'}.",
                                "Name one of those as issuer in the site profile.")
    answer = web.json("POST", f"{base}/certificate", body={"publickey": wish.public_line, "token": wish.access_token()})
    text = answer.get("certificate")
    if not isinstance(text, str):
        raise web.not_understood(base, "no certificate")
    return [Offer(text.strip(), usual=LOGIN if LOGIN in read(text).principals else "")]


def discover(host: str) -> str:
    """The authority that the host's domain names in its TXT records; ``""``: none. Blocks; see ``dns_names``.

    Anyone who can forge DNS answers can forge this: a person is asked before a token goes there.
    """
    parent = host.partition(".")[2]
    for name in (host, parent if "." in parent else ""):
        for text in texts_of(_RECORD + name) if name else []:
            if urlsplit(text.strip()).scheme == "https" and urlsplit(text).hostname:
                return text.strip()
    return ""


def _found(wish: Wish) -> str:
    url = discover(wish.host)
    if not url:
        raise ProviderError(f"No certificate authority is published for {wish.host}.",
                            f"There is no TXT record {_RECORD}{wish.host} with an https address.",
                            "Write its address into the site profile ([ssh.certificate_authority], url).")
    if not wish.agreed(url):
        raise CancelledByUserError(f"The certificate authority {host_of(url)} was not trusted with the sign-in.",
                                   remedy="Write the right one's address into the site profile.")
    return url


def _interface(web: AuthorityWeb, url: str, host: str) -> tuple[str, list[str]]:
    """The host's address at the authority, and the issuers it takes there. Sends no token."""
    base, quoted = url.rstrip("/"), quote(host.lower(), safe="")
    places = [f"{base}{path}/{quoted}" for path in (("",) if base.endswith("/api/v1") else _PATHS)]
    for place in places:
        try:
            answer = web.json("GET", place)
        except NotThereError as error:
            if error.said or place == places[-1]:   # it is there, but does not know the host
                raise
            continue
        providers = answer.get("providers")
        if isinstance(providers, list):
            return place, [str(p["url"]) for p in providers if isinstance(p, dict) and isinstance(p.get("url"), str)]
    raise web.not_understood(url, "no providers")
