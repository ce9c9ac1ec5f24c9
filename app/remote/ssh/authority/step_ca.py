"""step-ca with an OpenID Connect provisioner: the **ID token** buys the certificate, and each only once.

Its address usually has a certificate of its own private root (``ca_file``). It gives several names for one person, the
account's first: the sanitised first half of the e-mail address, that half itself, the whole address. What it refuses it
does not explain, so that a token is spent is known from here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from typing import Any

from app.errors import LoginRefusedError
from app.remote.ssh.authority.answers import AuthorityWeb, NotAcceptedError, NotThereError
from app.remote.ssh.authority.certificate import read
from app.remote.ssh.authority.offer import Offer, Wish

revoke_all = None   # only administrators may
_NEXT_SECOND_S = 1.1
_WITH_A_CODE = "with a code instead of the browser: such a sign-in is good for several certificates"


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate; principals, validity and key id are left to the authority, which takes no others from users."""
    base = wish.url.rstrip("/")
    token = wish.id_token()
    if _known_by(token) in wish.spent:
        time.sleep(_NEXT_SECOND_S)   # two ID tokens of one second are the same text
        token = wish.id_token()
        if _known_by(token) in wish.spent:
            raise LoginRefusedError("The certificate authority takes each sign-in for one certificate only.",
                                    "Renewed ID tokens still carry the nonce of the sign-in.",
                                    f"Sign out and in again, {_WITH_A_CODE}.")
    try:
        answer = _ask(web, base, {"publicKey": wish.public_line.split()[1], "ott": token, "certType": "user"})
    except NotAcceptedError as error:
        if not _nonce(token):
            raise
        raise NotAcceptedError(error.summary, error.detail, "It may have given a certificate for this sign-in before: "
                               f"sign out and in again, {_WITH_A_CODE}.") from None
    wire = answer.get("crt")
    if not isinstance(wire, str):
        raise web.not_understood(base, "no crt")
    wish.spent.add(_known_by(token))
    text = _line(wire)
    return [Offer(text, usual=next(iter(read(text).principals), ""))]


def _ask(web: AuthorityWeb, base: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return web.json("POST", f"{base}/1.0/ssh/sign", body=body)
    except NotThereError:   # the name it had first; nobody has looked at the token yet
        return web.json("POST", f"{base}/1.0/sign-ssh", body=body)


def _known_by(token: str) -> str:
    """By what step-ca knows a token again: its nonce, else the hash of it."""
    return _nonce(token) or hashlib.sha256(token.encode()).hexdigest()


def _nonce(token: str) -> str:
    """What a sign-in in the browser puts into its ID token and, with many providers, into all that follow; "": none."""
    try:
        payload = token.split(".")[1]
        nonce = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("nonce")
    except (IndexError, ValueError, AttributeError):
        return ""
    return f"nonce {nonce}" if nonce else ""


def _line(wire: str) -> str:
    """The certificate's text line from its base64: the type's name is its first string."""
    try:
        blob = base64.b64decode(wire, validate=True)
    except (ValueError, binascii.Error):
        return wire   # ``read`` says that it cannot be read
    length = int.from_bytes(blob[:4], "big")
    return f"{blob[4:4 + min(length, 64)].decode('ascii', 'replace')} {wire}"
