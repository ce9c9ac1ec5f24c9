"""Signing in with this computer's browser: what to open there, and the wait for its answer (RFC 8252, RFC 9207).

Runs on a worker thread. It knows nothing of msal, and opens nothing itself: the interaction shows the page.
"""

from __future__ import annotations

import threading
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from app.errors import CancelledByUserError, CodeExpiredError, ProviderError
from app.model.site import IdentitySettings
from app.remote.seams import Interaction
from app.remote.signin.https import host_of
from app.remote.signin.id_token import Provider
from app.remote.signin.receiver import Receiver

ANSWER_WITHIN_S = 300.0
_LOOK_S = 0.1


def address_of(auth_uri: str, settings: IdentitySettings) -> str:
    """The page to open: msal's, with what msal has no argument for (identity provider hint, audience)."""
    parts = urlsplit(auth_uri)
    query = [(name, value if name != "response_mode" else "query")   # asked of msal as form_post: it warns of all else
             for name, value in parse_qsl(parts.query, keep_blank_values=True)]
    if settings.idp_hint:
        query.append(("kc_idp_hint", settings.idp_hint))
    if settings.audience:
        query.append(("resource", settings.audience))
    return urlunsplit(parts._replace(query=urlencode(query)))


def wait_for_answer(receiver: Receiver, interaction: Interaction, use_code: threading.Event,
                    within_s: float = ANSWER_WITHIN_S) -> dict[str, str] | None:
    """The answer's parameters; ``None``: the person wants a code instead.

    Raises:
        CancelledByUserError: ``interaction.cancelled`` was set.
        CodeExpiredError: nobody answered in the browser.
    """
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        answer = receiver.wait(_LOOK_S)
        if interaction.cancelled.is_set():
            raise CancelledByUserError("The sign-in was cancelled.")
        if answer is not None:
            return answer
        if use_code.is_set():
            return None
    raise CodeExpiredError(f"The sign-in was not answered in the browser within {within_s / 60:.0f} minutes.",
                           remedy="Sign in again.")


def check_sender(provider: Provider, answer: dict[str, str]) -> None:
    """Refuse an answer of another provider than the one that was asked (mix-up, RFC 9207 §2.4).

    Raises:
        ProviderError: it names another issuer, or none where the provider promised to.
    """
    said: Any = answer.get("iss")
    if said is None and not provider.names_itself_in_answers:
        return
    if said != provider.issuer:
        raise ProviderError(f"The browser brought an answer that is not from {host_of(provider.issuer)}, so it is "
                            "refused.", f"asked: {provider.issuer}\nanswered: {said or 'nobody named'}",
                            "Sign in again, and tell the facility's support if it happens once more.")
