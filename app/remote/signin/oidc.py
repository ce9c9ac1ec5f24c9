"""A person's session at an OpenID provider: sign in, stay signed in, sign out. The only importer of msal.

Blocking; thread-safe. msal makes the requests and keeps the cache; what it does not check (the issuer, the ID token) is
checked in ``id_token``. Access tokens stay in memory, the refresh token in ``token_store``. Nothing here logs a token.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import requests

from app.errors import (
    BeamsideError,
    CancelledByUserError,
    ProviderError,
    SignInNeededError,
)
from app.model.identity import Identity
from app.model.site import IdentitySettings
from app.remote.seams import Interaction
from app.remote.signin import device_flow
from app.remote.signin.https import HttpsSession, OutOfOrder, host_of, hung_up, network_error
from app.remote.signin.id_token import Provider, discover, verify
from app.remote.signin.refusals import refusal, said
from app.remote.signin.token_store import StoredSession, TokenStore, slim

if TYPE_CHECKING:
    import msal

_RESERVED = {"openid", "profile", "offline_access"}   # msal adds these itself
_RENEW_LEFT_S = 60.0
_LOOK_S = 0.2
_LOG = logging.getLogger(__name__)
logging.getLogger("msal").setLevel(logging.WARNING)   # its debug lines hold claims
T = TypeVar("T")


class OidcSession:
    """One person at one (issuer, client), shared by all sites that use it.

    Args:
        site: the name shown with a device code.
        settings: the profile's ``[identity]``.

    Attributes:
        derived: credentials made from this sign-in, in memory; cleared with it.
    """

    def __init__(self, site: str, settings: IdentitySettings, store: TokenStore | None = None) -> None:
        self._site = site
        self._settings = settings
        self._scopes = [scope for scope in settings.scopes if scope not in _RESERVED]
        self._store = store or TokenStore(settings.issuer, settings.client_id)
        self._web = _Web(settings.ca_file, settings.audience)
        self._provider: Provider | None = None
        self._who: Identity | None = None
        self._looked = False
        self._access: tuple[str, float] | None = None
        self._id_token = ""
        self._signing_in = threading.Lock()
        self.derived: dict[str, object] = {}

    @property
    def identity(self) -> Identity | None:
        """Who is signed in, from the keyring and without the network; the first call may block on the keyring."""
        if not self._looked:
            stored = self._store.load()
            self._who = self._known(stored) if stored else None
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
        """Use the session that is there, else let the person sign in on any device.

        Raises:
            SignInError: refused, expired, or the provider cannot be used.
            CancelledByUserError: the person gave up.
        """
        with self._one_at_a_time(interaction):
            try:
                self.access_token()
            except SignInNeededError as reason:
                _LOG.debug("a new sign-in is needed: %s", reason.summary)
                self._sign_in_by_device(interaction)
            who = self.identity
            assert who is not None
            return who

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
        except SignInNeededError:
            if interaction is None:
                raise
        self.sign_in(interaction)
        return self.access_token()

    def id_token(self) -> str:
        """A freshly issued ID token, for certificate authorities that take that instead; each is used once."""
        with self._store.turn():
            self._renew()
            return self._id_token

    def sign_out(self) -> bool:
        """Revoke the refresh token and forget everything, also when the provider cannot be reached.

        Returns:
            Whether the provider confirmed that the token is void.
        """
        with self._store.turn():
            stored = self._store.load()
            self._forget()
            return self._revoke(stored.refresh_token) if stored else True

    def _sign_in_by_device(self, interaction: Interaction) -> None:
        provider = self._discover()
        if not provider.has_device_flow:
            raise ProviderError(f"{host_of(provider.issuer)} does not offer sign-in with a code.",
                                remedy="Ask the facility to switch on the device authorization grant for Beamside.")
        client = self._client(provider, None)
        flow = self._ask(provider, lambda: client.initiate_device_flow(self._scopes))
        if "user_code" not in flow:
            raise refusal(provider, self._settings.client_id, self._scopes, flow)
        flow.setdefault("interval", 5)
        interaction.show_device_code(self._site, device_flow.code_of(flow))
        try:
            answer = device_flow.wait_for_approval(flow, lambda: self._poll(client, flow), interaction)
            if "access_token" not in answer:
                raise refusal(provider, self._settings.client_id, self._scopes, answer)
            with self._store.turn():
                self._accept(provider, client, answer, None)
        finally:
            interaction.device_code_settled(self._site)
        if not self._store.kept:
            interaction.say(f"The sign-in lasts until Beamside is closed, since {self._store.why_not_kept}.")

    def _poll(self, client: msal.PublicClientApplication, flow: dict[str, Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = client.acquire_token_by_device_flow(flow, exit_condition=lambda _flow: True)
            return answer
        except requests.exceptions.SSLError as error:
            if hung_up(error):
                raise device_flow.NotNow("Waiting for the network…") from None
            raise network_error(error, f"the sign-in service {host_of(self._settings.issuer)}") from None
        except (OutOfOrder, ValueError):
            raise device_flow.NotNow("The sign-in service does not answer properly; still trying…") from None
        except requests.RequestException:
            raise device_flow.NotNow("Waiting for the network…") from None
        except (KeyError, IndexError, TypeError) as error:   # msal takes the ID token apart without checking it
            raise self._not_openid(f"{type(error).__name__}: {error}") from None

    def _renew(self) -> tuple[str, float]:
        """Trade the refresh token in. The caller has the turn."""
        stored = self._store.load()
        if stored is None:
            self._drop()
            raise SignInNeededError("You are not signed in.", remedy=f"Sign in: beamside sign-in {self._site}")
        provider = self._discover()
        client = self._client(provider, stored)
        accounts = client.get_accounts()
        answer = self._ask(provider, lambda: client.acquire_token_silent_with_error(
            self._scopes, accounts[0], force_refresh=True) if accounts else None)
        if answer is None or answer.get("error") in ("invalid_grant", "interaction_required"):
            self._forget()
            raise SignInNeededError("Your sign-in has ended.", detail=said(answer or {}),
                                    remedy=f"Sign in again: beamside sign-in {self._site}")
        if "access_token" not in answer:
            raise refusal(provider, self._settings.client_id, self._scopes, answer)
        return self._accept(provider, client, answer, stored)

    def _accept(self, provider: Provider, client: msal.PublicClientApplication, answer: dict[str, Any],
                before: StoredSession | None) -> tuple[str, float]:
        """Check whose tokens these are and keep them, the rotated refresh token first of all."""
        cache = slim(json.loads(client.token_cache.serialize()))
        if before is not None:   # a rotated token is void if it is lost, so it is saved before anything can fail
            self._store.save(StoredSession(before.issuer, before.subject, before.name, before.email, cache))
        token = str(answer.get("id_token") or "")
        if token:
            claims = verify(self._web, provider, token, self._settings.client_id)
            name, email = claims.get("name"), claims.get("email")
            if before is not None:
                name, email = name or before.name, email or before.email
            session = StoredSession(provider.issuer, claims["sub"], str(name or ""), str(email or ""), cache)
        elif before is not None:
            session = StoredSession(before.issuer, before.subject, before.name, before.email, cache)
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
        self._access = (str(answer["access_token"]), time.time() + float(answer.get("expires_in") or 300))
        return self._access

    def _known(self, stored: StoredSession) -> Identity:
        return Identity(stored.issuer, stored.subject, stored.name, stored.email, kept=self._store.kept)

    def _forget(self) -> None:
        self._store.forget()
        self._drop()

    def _drop(self) -> None:
        self._access, self._id_token, self._who, self._looked = None, "", None, True
        self.derived.clear()

    def _revoke(self, token: str) -> bool:
        if not token:
            return True
        try:
            endpoint = self._discover().revocation_endpoint
            if not endpoint:
                return False
            response = self._web.post(endpoint, data={"client_id": self._settings.client_id, "token": token,
                                                      "token_type_hint": "refresh_token"})
            return response.ok
        except (BeamsideError, requests.RequestException) as error:
            _LOG.warning("the refresh token could not be revoked: %s", type(error).__name__)
            return False

    def _discover(self) -> Provider:
        if not self._settings.issuer:
            raise ProviderError("The site profile names no sign-in service.",
                                remedy="Ask the facility for its issuer and write it into the profile.")
        if self._provider is None:
            self._provider = discover(self._web, self._settings.issuer)
        return self._provider

    def _client(self, provider: Provider, stored: StoredSession | None) -> msal.PublicClientApplication:
        import msal  # here, since it takes a while and most commands never sign in

        cache = msal.SerializableTokenCache()
        if stored is not None:
            cache.deserialize(json.dumps(stored.cache))
        return self._ask(provider, lambda: msal.PublicClientApplication(
            self._settings.client_id, oidc_authority=provider.authority, http_client=self._web, http_cache=_NoStore(),
            token_cache=cache, app_name="beamside"))

    def _ask(self, provider: Provider, call: Callable[[], T]) -> T:
        """One exchange through msal, its failures in our words."""
        try:
            return call()
        except requests.RequestException as error:
            raise network_error(error, provider.name) from None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise self._not_openid(f"{type(error).__name__}: {error}") from None

    def _not_openid(self, why: str) -> ProviderError:
        return ProviderError(f"The sign-in service {host_of(self._settings.issuer)} does not speak OpenID Connect.",
                             why, "Check the issuer in the site profile, or tell the facility's support.")


class _NoStore(dict[str, Any]):
    """An HTTP cache that forgets: msal would replay one failed answer for a minute."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep nothing."""

    def update(self, *_args: Any, **_kwargs: Any) -> None:
        """Keep nothing."""


class _Web(HttpsSession):
    """Adds the audience to token requests (RFC 8707), for which msal has no argument, and raises ``OutOfOrder``."""

    def __init__(self, ca_file: str, audience: str) -> None:
        super().__init__(ca_file)
        self._audience = audience

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        data = kwargs.get("data")
        if self._audience and isinstance(data, dict) and "client_id" in data and "token" not in data:
            kwargs["data"] = {**data, "resource": self._audience}
        response = super().request(method, url, *args, **kwargs)
        if response.status_code >= 500 or response.status_code == 429:   # msal would take an error page for JSON
            raise OutOfOrder(f"HTTP {response.status_code}", response=response)
        return response
