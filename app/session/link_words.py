"""What a connection says of itself, and what can be done about it. Pure."""

from __future__ import annotations

import math

from app.errors import SignInError
from app.session.site_link import SiteState


def attempt_words(left_s: float | None) -> str:
    """When it is tried again; ``None``: it is being tried."""
    if left_s is None or left_s <= 0:
        return "trying…"
    return f"next attempt in {math.ceil(left_s)} s"


def verb_words(state: SiteState, error: BaseException | None) -> str:
    """What a person can do about a connection, on a button; ``""``: nothing, it stands."""
    again = "Sign in again" if isinstance(error, SignInError) else "Connect again"
    return {SiteState.OPENING: "Cancel", SiteState.FAILED: again, SiteState.CLOSED: "Connect",
            SiteState.LOST: "Try now", SiteState.UNRESPONSIVE: "Connect anew"}.get(state, "")
