"""The SSH service of CSCS: a certificate for a day, a few a day; they can be listed and revoked.

Who it is for is not in the answer but in the certificate's principals.
"""

from __future__ import annotations

from typing import Any

from app.errors import ProviderError
from app.remote.ssh.authority.answers import AuthorityWeb, NotThereError, said_in
from app.remote.ssh.authority.offer import Offer, Wish

_KEYS = "/api/v1/ssh-keys"
_CLIENT = {"X-Client-Type": "cli"}
_DURATION = "1d"   # the other one, "1min", counts as much against the few a day


def offers(web: AuthorityWeb, wish: Wish) -> list[Offer]:
    """One certificate for every host of the centre."""
    url = f"{_base(wish.url)}/sign"
    answer = web.json("POST", url, bearer=wish.access_token(), headers=_CLIENT,
                      body={"publicKey": f"{wish.public_line} beamside\n", "duration": _DURATION})
    key = answer.get("sshKey")
    if not isinstance(key, dict) or not isinstance(key.get("publicKey"), str):
        raise web.not_understood(url, "no sshKey")
    return [Offer(key["publicKey"].strip())]


def revoke_all(web: AuthorityWeb, url: str, token: str) -> int:
    """Revoke every certificate of this person that is still valid; returns how many.

    Raises:
        ProviderError, LoginRefusedError: the service did not do it.
    """
    answer = web.json("GET", _base(url), bearer=token, headers=_CLIENT,
                      params={"include_revoked": "false", "include_expired": "false"})
    keys = answer.get("sshKeys")
    if not isinstance(keys, list):
        raise web.not_understood(url, "no sshKeys")
    valid = [key for key in keys if isinstance(key, dict) and not key.get("revocationTime")]
    for key in valid:
        body = {"serialNumber": str(key.get("serialNumber") or ""), "reason": "user request"}
        done = _revoke(web, f"{_base(url)}/revoke", token, body)
        if done.get("revoked") is False:
            raise ProviderError("The facility did not revoke all your SSH certificates.",
                                detail=said_in(done),
                                remedy="They end by themselves within a day; ask the facility if that is too long.")
    return len(valid)


def _revoke(web: AuthorityWeb, url: str, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """The service's own client uses PUT; POST is what its interface was described with."""
    try:
        return web.json("PUT", url, bearer=token, headers=_CLIENT, body=body)
    except NotThereError:
        return web.json("POST", url, bearer=token, headers=_CLIENT, body=body)


def _base(url: str) -> str:
    """From the service's address, with or without the path of its interface."""
    base = url.rstrip("/")
    return base if base.endswith(_KEYS) else base + _KEYS
