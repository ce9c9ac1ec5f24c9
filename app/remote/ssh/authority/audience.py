"""Whom an access token is for. Pure; nothing is verified here, that is the authority's business.

A token that is for everybody, or for another facility, can be replayed by whoever is shown it.
"""

from __future__ import annotations

import base64
import json

from app.errors import ProviderError


def require_audience(token: str, wanted: str) -> None:
    """Refuse a token that is not for ``wanted``. Tokens that cannot be read from here (not JWT) pass.

    Raises:
        ProviderError: it is for others, or for anybody.
    """
    found = _audiences(token)
    if found is None or wanted.rstrip("/") in (name.rstrip("/") for name in found):
        return
    for_whom = ", ".join(found) or "anybody"
    raise ProviderError(f"The sign-in service made a token for {for_whom}, not for {wanted}, so it is not shown to the "
                        "certificate authority.",
                        remedy="Correct audience in the site profile, or ask the facility whether its sign-in service "
                               "supports resource indicators (RFC 8707).")


def _audiences(token: str) -> list[str] | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    if not isinstance(claims, dict):
        return None
    named = claims.get("aud") or []
    return [named] if isinstance(named, str) else [str(name) for name in named] if isinstance(named, list) else []
