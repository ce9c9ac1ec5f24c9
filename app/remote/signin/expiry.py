"""When a sign-in ends by itself, as far as the provider lets that be known, and the sentence for it. Pure functions."""

from __future__ import annotations

from typing import Any

import jwt

from app.model.times import clock

_HINTS = ("refresh_expires_in", "refresh_token_expires_in")   # Keycloak's; others'. RFC 6749 has none
_EARLY = 0.5
_UNSAID_S, _LONGEST_ACCESS_S, _LONGEST_S = 300.0, 86400.0, 1e10


def session_end(answer: dict[str, Any], refresh_token: str, now: float) -> float | None:
    """When the person must sign in again if nothing is renewed until then.

    Args:
        answer: the token endpoint's.
        now: seconds since the epoch.

    Returns:
        Seconds since the epoch; ``None``: unknown, or never (Keycloak's offline sessions say 0).
    """
    if not refresh_token:
        return now + _seconds(answer.get("expires_in"), _UNSAID_S)
    for name in _HINTS:
        if name in answer:
            left = _seconds(answer[name], 0.0)
            return now + left if left > 0 else None
    return _jwt_end(refresh_token)


def renewal_due(end: float | None, now: float) -> float | None:
    """When to renew a session that ends at ``end``, well before; ``None``: it need not be."""
    return None if end is None else now + max(0.0, end - now) * _EARLY


def end_sentence(site: str, end: float | None, until: float, now: float) -> str:
    """``""``, or that a sign-in ends before ``until`` (all in seconds since the epoch)."""
    if end is None or end >= until:
        return ""
    if end <= now:
        return f"Your sign-in at {site} has ended. Sign in again before you go on."
    return (f"Your sign-in at {site} ends at {clock(end, now)}, before this is finished ({clock(until, now)}). "
            "Sign in again before then, or results wait until you do.")


def access_end(answer: dict[str, Any], now: float) -> float:
    """When an access token ends (seconds since the epoch): as the provider says, and within a day."""
    return now + min(max(0.0, _seconds(answer.get("expires_in"), 0.0) or _UNSAID_S), _LONGEST_ACCESS_S)


def _seconds(value: Any, otherwise: float) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    return seconds if abs(seconds) < _LONGEST_S else otherwise


def _jwt_end(token: str) -> float | None:
    """The end that a refresh token names, where it is a JWT at all. A hint to be shown; nothing is decided by it."""
    try:
        end = jwt.decode(token, options={"verify_signature": False}).get("exp")
    except jwt.PyJWTError:
        return None
    return float(end) if isinstance(end, (int, float)) and 0 < end < _LONGEST_S else None
