"""step-ca with an OpenID Connect provisioner: the **ID token** buys the certificate, and each only once.

Its address usually has a certificate of its own private root (``ca_file``). It gives several names for one person, the
account's first: the sanitised first half of the e-mail address, that half itself, the whole address.
"""

from __future__ import annotations

import base64
import binascii
import time
from typing import Any

from app.errors import LoginRefusedError
from app.remote.ssh.authority.answers import AuthorityWeb, NotThereError
from app.remote.ssh.authority.certificate import read
from app.remote.ssh.authority.offer import Offer, Wish

revoke_all = None   # only administrators may
_NEXT_SECOND_S = 1.1


class _UsedUpError(LoginRefusedError):
    """The authority has seen this ID token before."""


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate; principals, validity and key id are left to the authority, which takes no others from users."""
    try:
        answer = _ask(web, wish)
    except _UsedUpError:
        time.sleep(_NEXT_SECOND_S)   # two ID tokens of one second are the same text
        try:
            answer = _ask(web, wish)
        except _UsedUpError as error:   # they carry the sign-in's nonce, by which the authority knows them again
            raise LoginRefusedError("The certificate authority takes each sign-in for one certificate only.",
                                    error.detail, "Sign out and in again, then connect.") from None
    wire = answer.get("crt")
    if not isinstance(wire, str):
        raise web.not_understood(wish.url, "no crt")
    text = _line(wire)
    return [Offer(text, usual=next(iter(read(text).principals), ""))]


def _ask(web: AuthorityWeb, wish: Wish) -> dict[str, Any]:
    base = wish.url.rstrip("/")
    body = {"publicKey": wish.public_line.split()[1], "ott": wish.id_token(), "certType": "user"}
    try:
        try:
            return web.json("POST", f"{base}/1.0/ssh/sign", body=body)
        except NotThereError:   # the name it had first; nobody has looked at the token yet
            return web.json("POST", f"{base}/1.0/sign-ssh", body=body)
    except LoginRefusedError as error:
        if "already used" in error.detail:
            raise _UsedUpError(error.summary, error.detail, error.remedy) from None
        raise


def _line(wire: str) -> str:
    """The certificate's text line from its base64: the type's name is its first string."""
    try:
        blob = base64.b64decode(wire, validate=True)
    except (ValueError, binascii.Error):
        return wire   # ``read`` says that it cannot be read
    length = int.from_bytes(blob[:4], "big")
    return f"{blob[4:4 + min(length, 64)].decode('ascii', 'replace')} {wire}"
