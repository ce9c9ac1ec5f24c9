"""step-ca with an OpenID Connect provisioner: the **ID token** buys the certificate, and each only once.

Its address usually has a certificate of its own private root (``ca_file``). It gives several names for one person, the
account's first: the sanitised first half of the e-mail address, that half itself, the whole address.
"""

from __future__ import annotations

import base64
import binascii

from app.errors import LoginRefusedError
from app.remote.ssh.authority.answers import AuthorityWeb, NotThereError
from app.remote.ssh.authority.certificate import read
from app.remote.ssh.authority.offer import Offer, Wish

revoke_all = None   # only administrators may


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate; principals, validity and key id are left to the authority, which takes no others from users."""
    base = wish.url.rstrip("/")
    body = {"publicKey": wish.public_line.split()[1], "ott": wish.id_token(), "certType": "user"}
    url = f"{base}/1.0/ssh/sign"
    try:
        try:
            answer = web.json("POST", url, body=body)
        except NotThereError:   # the name it had first; nobody has looked at the token yet
            url = f"{base}/1.0/sign-ssh"
            answer = web.json("POST", url, body=body)
    except LoginRefusedError as error:
        if "already used" in error.summary + error.detail:
            raise LoginRefusedError("The certificate authority takes each sign-in for one certificate only.",
                                    error.detail, "Sign out and in again, then connect.") from None
        raise
    wire = answer.get("crt")
    if not isinstance(wire, str):
        raise web.not_understood(url, "no crt")
    text = _line(wire)
    return [Offer(text, usual=next(iter(read(text).principals), ""))]


def _line(wire: str) -> str:
    """The certificate's text line from its base64: the type's name is its first string."""
    try:
        blob = base64.b64decode(wire, validate=True)
    except (ValueError, binascii.Error):
        return wire   # ``read`` says that it cannot be read
    length = int.from_bytes(blob[:4], "big")
    return f"{blob[4:4 + min(length, 64)].decode('ascii', 'replace')} {wire}"
