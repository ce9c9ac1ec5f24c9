"""A person's session at an OpenID provider: sign in, stay signed in, sign out.

Blocking; thread-safe. ``msal_client`` makes the exchanges; what it does not check (the issuer, the ID token, who
answered in the browser) is checked before anything is kept. Access tokens stay in memory, the refresh token in
``token_store``. Nothing here logs a token.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests

from app.errors import (
    BeamsideError,
    CancelledByUserError,
    ProviderError,
    SignInNeededError,
)
from app.model.identity import Identity
from app.model.site import IdentitySettings
from app.remote import proxies
from app.remote.seams import Interaction
from app.remote.signin import expiry
from app.remote.signin.https import ProxyPasswordError, host_of
from app.remote.signin.id_token import Provider, discover, verify
from app.remote.signin.msal_client import MsalClient, SignInWeb
from app.remote.signin.new_sign_in import NewSignIn
from app.remote.signin.refusals import refusal, said
from app.remote.signin.token_store import StoredSession, TokenStore

_RENEW_LEFT_S = 60.0
_LOOK_S = 0.2
_TRY_AGAIN_S = 60.0
_LOG = logging.getLogger(__name__)


def session_key(settings: IdentitySettings) -> tuple[str, str, str, str]:
    """Profiles of which this is equal share a sign-in: a token for one facility is not shown to another, and whom a
    profile takes for the issuer is no other profile's business."""
    return settings.issuer, settings.client_id, settings.audience, settings.ca_file


class OidcSession:
    """One person at one sign-in service (``session_key``), shared by all sites that use it.

    Args:
        site: the name shown with a device code.
        settings: the profile's ``[identity]``.

    Attributes:
        derived: credentials made from this sign-in, in memory; cleared with it.
        only_by_code: sign in with a code, for authorities to which one sign-in in the browser is worth one certificate.
    """

    def __init__(self, site: str, settings: IdentitySettings, store: TokenStore | None = None) -> None:
        self._site = site
        self._settings = settings
        self._store = store or TokenStore(*session_key(settings))
        self._web = SignInWeb(settings.ca_file, settings.audience)
        self._provider: Provider | None = None
        self._who: Identity | None = None
        self._looked = False
        self._access: tuple[str, float] | None = None
        self._id_token = ""
        self._due: float | None = None
        self._signing_in = threading.Lock()
        self.derived: dict[str, object] = {}
        self.only_by_code = False

    @property
    def identity(self) -> Identity | None:
        """Who is signed in, from the keyring and without the network; the first call may block on the keyring."""
        if not self._looked:
            stored = self._store.load()
            self._who = self._known(stored) if stored else None
            self._due = time.time() if stored and stored.expires_at is not None else None
            self._looked = True
        return self._who

    @property
    def why_not_kept(self) -> str:
        """``""``, or why the session ends with this program."""
        return self._store.why_not_kept

    @property
    def clock_sentence(self) -> str:
        """``""``, or how far this computer's clock is from the provider's."""
        return self._web.clock_sentence

    def sign_in(self, interaction: Interaction) -> Identity:
        """Use the session that is there, else let the person sign in: in this computer's browser or on any device.

        Raises:
            SignInError: refused, expired, or the provider cannot be used.
            CancelledByUserError: the person gave up.
        """
        with self._one_at_a_time(interaction), self._web.given_up_with(interaction.cancelled):
            try:
                self._signed_in(interaction)
            except ProxyPasswordError:
                proxy = proxies.https_proxy(urlsplit(self._settings.issuer).hostname or "")
                if proxy is None:
                    raise
                proxies.ask_password(proxy, interaction, again=bool(proxy.user))
                try:
                    self._signed_in(interaction)
                except ProxyPasswordError:
                    proxies.keep_password(proxy, "", "")     # the next attempt asks again
                    raise
            who = self.identity
            assert who is not None
            return who

    def _signed_in(self, interaction: Interaction) -> None:
        try:
            self.access_token()
        except SignInNeededError as reason:
            _LOG.debug("a new sign-in is needed: %s", reason.summary)
            self._sign_in_anew(interaction)

    @contextlib.contextmanager
    def _one_at_a_time(self, interaction: Interaction) -> Iterator[None]:
        """Two connections that need the person ask once; the second waits for the first, unless it is cancelled."""
        while not self._signing_in.acquire(timeout=_LOOK_S):
            if interaction.cancelled.is_set():
                raise CancelledByUserError("The sign-in was cancelled.")
        try:
            yield
        finally:
            self._signing_in.release()

    def access_token(self, interaction: Interaction | None = None) -> str:
        """A token with at least a minute left, renewed if need be.

        Args:
            interaction: how to ask the person to sign in if that is needed; ``None``: do not.

        Raises:
            SignInNeededError: nobody is signed in any more, and there is nobody to ask.
            SignInError: the provider cannot be used.
        """
        access = self._access
        if access is not None and time.time() < access[1] - _RENEW_LEFT_S:
            return access[0]
        try:
            with self._store.turn():
                access = self._access
                if access is None or time.time() >= access[1] - _RENEW_LEFT_S:
                    access = self._renew()
                return access[0]
        except (SignInNeededError, ProxyPasswordError):
            if interaction is None:
                raise
        self.sign_in(interaction)
        return self.access_token()

    def id_token(self) -> str:
        """A freshly issued ID token, for certificate authorities that take that instead; each is used once."""
        with self._store.turn():
            self._renew()
            return self._id_token

    def outlives(self, until: float) -> str:
        """``""``, or one sentence if the sign-in is known to end before ``until`` (seconds since the epoch)."""
        who = self.identity
        return expiry.end_sentence(self._site, who.expires_at, until, time.time()) if who is not None else ""

    def keep(self) -> None:
        """Renew a session that ends by itself well before it does; call it now and then. Says nothing, asks nobody."""
        if self.identity is None or self._due is None or time.time() < self._due:
            return
        try:
            with self._store.turn():
                self._renew()
        except BeamsideError as error:
            _LOG.info("the sign-in was not renewed early: %s", error.summary)
            self._due = time.time() + _TRY_AGAIN_S if self._who is not None else None

    def sign_out(self) -> bool:
        """Revoke the tokens and forget everything, also when the provider cannot be reached.

        Returns:
            Whether the provider confirmed that the refresh token is void.

        Raises:
            ProviderError: the keyring may still hold a refresh token that is good.
        """
        with self._store.turn():
            stored, access = self._store.load(), self._access
            gone = self._forget()
            revoked = stored is None or self._revoke(stored.refresh_token, "refresh_token")
            if not gone and not (stored is not None and revoked):
                raise ProviderError("You may still be signed in: the keyring of this computer does not answer, so the "
                                    "sign-in in it could not be removed.",
                                    remedy="Unlock the keyring, then sign out again; or remove its entry “beamside”.")
            if stored is None:
                return True
            if access is not None and revoked:
                self._revoke(access[0], "access_token")
            return revoked

    def end_page(self) -> str:
        """The provider's page that ends its own session in the browser; ``""``: it has none, or is not reachable.

        The ID token is not given along as a hint: addresses end up in histories and in arguments of programs.
        """
        try:
            endpoint = self._discover().end_session_endpoint
        except BeamsideError as error:
            _LOG.info("the provider's sign-out page is not known: %s", error.summary)
            return ""
        joint = "&" if urlsplit(endpoint).query else "?"
        return f"{endpoint}{joint}{urlencode({'client_id': self._settings.client_id})}" if endpoint else ""

    def _sign_in_anew(self, interaction: Interaction) -> None:
        provider = self._discover()

        def take(client: MsalClient, answer: dict[str, Any], nonce: str) -> None:
            with self._store.turn():
                self._accept(provider, client, answer, None, nonce)

        NewSignIn(self._site, self._web, self._settings, provider, interaction, take, self.only_by_code).ask()
        if not self._store.kept:
            interaction.say(f"The sign-in lasts until Beamside is closed, since {self._store.why_not_kept}.")

    def _renew(self) -> tuple[str, float]:
        """Trade the refresh token in. The caller has the turn."""
        stored = self._store.load()
        if stored is None:
            self._drop()
            raise SignInNeededError("You are not signed in.", remedy=f"Sign in: beamside sign-in {self._site}")
        provider = self._discover()
        client = MsalClient(self._web, self._settings, provider, stored.cache, lasting=stored.lasting)
        answer = client.refresh()
        if answer is None or answer.get("error") in ("invalid_grant", "interaction_required"):
            self._forget()
            raise SignInNeededError("Your sign-in has ended.", detail=said(answer or {}),
                                    remedy=f"Sign in again: beamside sign-in {self._site}")
        if "access_token" not in answer:
            raise refusal(provider, self._settings.client_id, client.all_scopes, answer)
        return self._accept(provider, client, answer, stored)

    def _accept(self, provider: Provider, client: MsalClient, answer: dict[str, Any], before: StoredSession | None,
                nonce: str = "") -> tuple[str, float]:
        """Check whose tokens these are and keep them, the rotated refresh token first of all."""
        now, cache = time.time(), client.cache
        if before is not None:   # a rotated token is void if it is lost, so it is saved before anything can fail
            before = dataclasses.replace(before, cache=cache)
            before = dataclasses.replace(before, expires_at=expiry.session_end(answer, before.refresh_token, now))
            self._store.save(before)
        token = str(answer.get("id_token") or "")
        if token:
            claims = verify(self._web, provider, token, self._settings.client_id, nonce)
            name, email = claims.get("name"), claims.get("email")
            if before is not None:
                name, email = name or before.name, email or before.email
            session = StoredSession(provider.issuer, claims["sub"], str(name or ""), str(email or ""), cache,
                                    lasting=client.lasting)
            session = dataclasses.replace(session, expires_at=expiry.session_end(answer, session.refresh_token, now))
        elif before is not None:
            session = before
        else:
            raise ProviderError(f"{host_of(provider.issuer)} did not say who you are (no ID token).",
                                remedy="Ask the facility to allow the scope openid for Beamside.")
        if before is not None and (session.issuer.rstrip("/"), session.subject) != (
                before.issuer.rstrip("/"), before.subject):
            self._forget()
            raise ProviderError("The sign-in service renewed the sign-in for somebody else, so it is refused.",
                                remedy="Sign in again, and tell the facility's support.")
        self._store.save(session)
        who = self._known(session)
        if self._who is not None and (self._who.issuer, self._who.subject) != (who.issuer, who.subject):
            self.derived.clear()
        self._who, self._looked = who, True
        self._id_token = token or self._id_token
        self._due = expiry.renewal_due(session.expires_at, now)
        self._access = (str(answer["access_token"]), expiry.access_end(answer, now))
        return self._access

    def _known(self, stored: StoredSession) -> Identity:
        return Identity(stored.issuer, stored.subject, stored.name, stored.email, stored.expires_at, self._store.kept)

    def _forget(self) -> bool:
        gone = self._store.forget()
        self._drop()
        return gone

    def _drop(self) -> None:
        self._access, self._id_token, self._who, self._looked, self._due = None, "", None, True, None
        self.derived.clear()

    def _revoke(self, token: str, kind: str) -> bool:
        if not token:
            return True
        try:
            endpoint = self._discover().revocation_endpoint
            if not endpoint:
                return False
            response = self._web.post(endpoint, data={"client_id": self._settings.client_id, "token": token,
                                                      "token_type_hint": kind})
            return response.ok
        except (BeamsideError, requests.RequestException) as error:
            _LOG.warning("a token could not be revoked: %s", type(error).__name__)
            return False

    def _discover(self) -> Provider:
        if not self._settings.issuer:
            raise ProviderError("The site profile names no sign-in service.",
                                remedy="Ask the facility for its issuer and write it into the profile.")
        if self._provider is None:
            self._provider = discover(self._web, self._settings.issuer)
        return self._provider
