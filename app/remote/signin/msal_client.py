"""OpenID Connect's exchanges, made by msal; the only importer of it. Blocking, and nothing is kept after an exchange.

msal is given a session that trusts, times out and refuses redirects as we want, a cache that forgets answers, and an
address it takes for path-less issuers. What it does not check (the issuer, the ID token) is checked in ``id_token``.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import logging
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import requests

from app.errors import CancelledByUserError, ProviderError
from app.model.site import IdentitySettings
from app.remote.signin.device_flow import NotNow, check_code
from app.remote.signin.https import (
    HttpsSession,
    OutOfOrder,
    Redirected,
    TooLong,
    host_of,
    hung_up,
    network_error,
    refuse_redirect,
)
from app.remote.signin.id_token import Provider, untrusted
from app.remote.signin.token_store import slim

if TYPE_CHECKING:
    import msal

_LASTING = "offline_access"
_RESERVED = ("openid", "profile", _LASTING)   # msal adds these itself
_SENSELESS = (ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError, AttributeError)
_TRIES, _PAUSE_S = 3, 1.0
_LOOK_S = 0.1
logging.getLogger("msal").setLevel(logging.CRITICAL)   # its debug lines hold claims, its errors whole token answers
T = TypeVar("T")


class MsalClient:
    """One conversation with a provider, beginning with the tokens of ``cache``.

    Attributes:
        scopes: what the profile asks for.
        lasting: whether ``offline_access`` is asked for too, a session that outlives the browser's.
    """

    def __init__(self, web: SignInWeb, settings: IdentitySettings, provider: Provider,
                 cache: dict[str, Any] | None = None, *, lasting: bool = True) -> None:
        import msal  # here, since it takes a while and most commands never sign in

        self._provider = provider
        self._settings = settings
        self.scopes = [scope for scope in settings.scopes if scope not in _RESERVED]
        self.lasting = lasting
        self._cache = msal.SerializableTokenCache()
        if cache is not None:
            self._cache.deserialize(json.dumps(cache))
        self._verifier = secrets.token_urlsafe(48)
        self._app: msal.PublicClientApplication = self._ask(lambda: msal.PublicClientApplication(
            settings.client_id, oidc_authority=provider.authority, http_client=_Challenging(web, self._verifier),
            http_cache=_NoStore(), token_cache=self._cache, app_name="beamside",
            exclude_scopes=None if lasting else [_LASTING]))

    @property
    def all_scopes(self) -> list[str]:
        """What is asked for, with what msal adds."""
        return [*_RESERVED[:2], *_RESERVED[2:] * self.lasting, *self.scopes]

    @property
    def cache(self) -> dict[str, Any]:
        """What of the tokens is worth keeping."""
        return slim(json.loads(self._cache.serialize()))

    def begin_code(self) -> dict[str, Any]:
        """Ask for a device code; an answer without ``user_code`` is a refusal."""
        flow: dict[str, Any] = self._ask(lambda: self._app.initiate_device_flow(self.scopes))
        if "user_code" in flow:
            self._ask(lambda: check_code(flow))
        return flow

    def poll(self, flow: dict[str, Any]) -> dict[str, Any]:
        """Ask once whether the code was approved.

        Raises:
            NotNow: no answer this time.
            ProviderError: there will not be one.
        """
        try:
            answer: dict[str, Any] = self._app.acquire_token_by_device_flow(
                flow, exit_condition=lambda _flow: True, data={"code_verifier": self._verifier})
            return answer
        except (Redirected, TooLong) as error:
            raise network_error(error, self._provider.name) from None
        except requests.exceptions.SSLError as error:
            if hung_up(error):
                raise NotNow("Waiting for the network…") from None
            raise network_error(error, self._provider.name) from None
        except (OutOfOrder, json.JSONDecodeError):
            raise NotNow("The sign-in service does not answer properly; still trying…") from None
        except requests.RequestException:
            raise NotNow("Waiting for the network…") from None
        except _SENSELESS as error:   # msal takes the answer and its ID token apart without checking them
            raise self._not_openid(error) from None

    def begin_browser(self, redirect_uri: str) -> dict[str, Any]:
        """Make an authorization request with PKCE, state and nonce; nothing is sent (``address_of`` finishes it)."""
        prompt = "consent" if self._provider.knows_consent else None
        return self._ask(lambda: self._app.initiate_auth_code_flow(
            self.scopes, redirect_uri=redirect_uri, response_mode="form_post", prompt=prompt))

    def trade_code(self, flow: dict[str, Any], answer: dict[str, str], cancelled: threading.Event) -> dict[str, Any]:
        """Trade the browser's code for tokens; tried again only while the code cannot have been used.

        Raises:
            ProviderError: no tokens, and why.
            CancelledByUserError: given up between two tries.
        """
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self._trade(flow, answer)
            except requests.RequestException as error:
                again = isinstance(error, OutOfOrder) or _never_arrived(error)
                if not left or not again:
                    raise network_error(error, self._provider.name) from None
                if cancelled.wait(_PAUSE_S):
                    raise CancelledByUserError("The sign-in was cancelled.") from None
        raise AssertionError("unreachable")

    def refresh(self) -> dict[str, Any] | None:
        """Trade the refresh token in; ``None``: there is none."""
        accounts = self._app.get_accounts()
        answer: dict[str, Any] | None = self._ask(lambda: self._app.acquire_token_silent_with_error(
            self.scopes, accounts[0], force_refresh=True) if accounts else None)
        return answer

    def _trade(self, flow: dict[str, Any], answer: dict[str, str]) -> dict[str, Any]:
        try:
            result: dict[str, Any] = self._app.acquire_token_by_auth_code_flow(dict(flow), answer)
            return result
        except Redirected as error:
            raise network_error(error, self._provider.name) from None
        except RuntimeError as error:          # how msal says that the nonce is another; its text holds both
            raise untrusted(self._provider, f"belongs to another sign-in (nonce, {type(error).__name__})") from None
        except _SENSELESS as error:
            if isinstance(error, requests.RequestException):
                raise
            raise self._not_openid(error) from None

    def _ask(self, call: Callable[[], T]) -> T:
        """One exchange, its failures in our words."""
        try:
            return call()
        except requests.RequestException as error:
            raise network_error(error, self._provider.name) from None
        except _SENSELESS as error:
            raise self._not_openid(error) from None

    def _not_openid(self, error: Exception) -> ProviderError:
        return ProviderError(f"The sign-in service {host_of(self._settings.issuer)} does not speak OpenID Connect.",
                             f"{type(error).__name__}: {error}",
                             "Check the issuer in the site profile, or tell the facility's support.")


def _unless(cancelled: threading.Event, send: Callable[[], requests.Response]) -> requests.Response:
    """The outcome of ``send``, on a thread of its own, unless the person gives up before."""
    outcome: Future[requests.Response] = Future()

    def work() -> None:
        try:
            outcome.set_result(send())
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, name="sign-in-request", daemon=True).start()
    while not cancelled.is_set():
        if wait([outcome], timeout=_LOOK_S).done:
            return outcome.result()
    raise CancelledByUserError("The sign-in was cancelled.")


def nonce_of(auth_uri: str) -> str:
    """The nonce that an authorization request carries; the ID token must repeat it."""
    return parse_qs(urlsplit(auth_uri).query)["nonce"][0]


def _never_arrived(error: requests.RequestException) -> bool:
    return isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in str(error) or (
        "NameResolutionError" in str(error))


class _NoStore(dict[str, Any]):
    """An HTTP cache that forgets: msal would replay one failed answer for a minute."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Keep nothing."""

    def update(self, *_args: Any, **_kwargs: Any) -> None:
        """Keep nothing."""


class _Challenging:
    """msal's way to the network. It adds PKCE to requests for a device code, which msal knows for the browser only:
    Keycloak demands it there too of a client that must use it."""

    def __init__(self, web: SignInWeb, verifier: str) -> None:
        self._web = web
        digest = hashlib.sha256(verifier.encode()).digest()
        self._challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def get(self, url: str, **kwargs: Any) -> requests.Response:
        return self._web.get(url, **kwargs)

    def post(self, url: str, data: Any = None, **kwargs: Any) -> requests.Response:
        if isinstance(data, dict) and "grant_type" not in data:
            data = {**data, "code_challenge": self._challenge, "code_challenge_method": "S256"}
        return self._web.post(url, data=data, **kwargs)

    def close(self) -> None:
        self._web.close()


class SignInWeb(HttpsSession):
    """Adds the audience to token requests (RFC 8707), for which msal has no argument; an answer that sends us elsewhere
    or says "not now" raises :class:`Redirected` or :class:`OutOfOrder`."""

    def __init__(self, ca_file: str, audience: str) -> None:
        super().__init__(ca_file)
        self._audience = audience
        self._asking = threading.local()

    @contextlib.contextmanager
    def given_up_with(self, cancelled: threading.Event) -> Iterator[None]:
        """Until the end of the block, requests of this thread are given up when ``cancelled`` is set.

        A request then raises CancelledByUserError at once; what the network still does ends by its own deadlines. Not
        so the trade of a refresh token: its answer holds the only token that is good afterwards.
        """
        self._asking.cancelled = cancelled
        try:
            yield
        finally:
            self._asking.cancelled = None

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        data = kwargs.get("data")
        if self._audience and isinstance(data, dict) and "client_id" in data and "token" not in data:
            kwargs["data"] = {**data, "resource": self._audience}
        rotates = isinstance(data, dict) and data.get("grant_type") == "refresh_token"
        cancelled: threading.Event | None = None if rotates else getattr(self._asking, "cancelled", None)
        send = functools.partial(super().request, method, url, *args, **kwargs)
        response = send() if cancelled is None else _unless(cancelled, send)
        refuse_redirect(response)
        if response.status_code >= 500 or response.status_code == 429:   # msal would take an error page for JSON
            raise OutOfOrder(f"HTTP {response.status_code}", response=response)
        return response

