"""OAuth error answers in sentences (RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707). Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.errors import BeamsideError, ProviderError, SignInRefusedError
from app.remote.signin.device_flow import expired
from app.remote.signin.https import host_of
from app.remote.signin.id_token import Provider


class ScopesRefusedError(ProviderError):
    """The provider does not allow all of what was asked for."""


def refusal(provider: Provider, client_id: str, scopes: Sequence[str], answer: dict[str, Any]) -> BeamsideError:
    """What an error answer means for the person."""
    error, words, host = str(answer.get("error")), said(answer), host_of(provider.issuer)
    if error == "access_denied":
        return SignInRefusedError("The sign-in was declined, by you or by your institution.", words,
                                  "Sign in again if that was not intended.")
    if error == "expired_token":
        return expired()
    if error in ("invalid_client", "unauthorized_client"):
        return ProviderError(f"{host} does not know the client “{client_id}”.", words,
                             "Ask the facility to register Beamside, or correct the site profile.")
    if error in ("invalid_scope", "invalid_target"):
        kind = ScopesRefusedError if error == "invalid_scope" else ProviderError
        return kind(f"{host} does not allow what Beamside asks for: {', '.join(scopes)}.", words,
                    "Correct scopes and audience in the site profile, or ask the facility to allow them to Beamside.")
    return ProviderError(f"{host} refused the sign-in ({error}).", words, "Try again, or tell the facility's support.")


def said(answer: dict[str, Any]) -> str:
    """The provider's own words, cut and on one line."""
    return " ".join(str(answer.get("error_description") or answer.get("error") or "").split())[:300]
