"""HTTPS as sign-in needs it: a chosen CA, deadlines, no redirects, and the server's clock.

Blocking. It never logs addresses' queries, headers or bodies: they hold codes and tokens.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from app.errors import ProviderError
from app.remote import proxies, trust

CONNECT_S, READ_S = 5.0, 20.0
MOST_BYTES, ANSWER_S = 1 << 20, 30.0   # of one answer, unpacked, and until it is there


class OutOfOrder(requests.RequestException):
    """The server answered that it cannot answer now (5xx, 429)."""


class Redirected(requests.RequestException):
    """The server sent us elsewhere, where nothing of ours may go."""


class ProxyPasswordError(ProviderError):
    """The proxy on the way wants a user name and a password, or others."""


class TooLong(requests.RequestException):
    """The answer is longer than any that is of use."""


class HttpsSession(requests.Session):
    """A ``requests`` session for one provider.

    Answers are read within bounds, unless ``stream`` leaves that to the caller.
    ``verify`` is set on every request: otherwise REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE silently win over it.

    Attributes:
        clock_skew_s: this computer's clock minus the server's, from the last ``Date`` header; ``None``: unknown.
    """

    def __init__(self, ca_file: str = "") -> None:
        super().__init__()
        self._ca_file = ca_file
        self.clock_skew_s: float | None = None
        self.auth = _as_it_is   # otherwise an entry in ~/.netrc replaces our Authorization header

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As in ``requests``, with our trust and deadlines."""
        kwargs["verify"] = trust.bundle(self._ca_file)
        kwargs["timeout"] = (CONNECT_S, READ_S)
        kwargs["proxies"] = proxies.for_https(urlsplit(str(url)).hostname or "")
        streamed = bool(kwargs.get("stream"))
        kwargs["stream"] = True
        kwargs["allow_redirects"] = False   # neither a secret nor a list of trusted keys may come from elsewhere
        try:
            response = super().request(method, url, *args, **kwargs)
            if not streamed:
                _take_in(response)
        finally:
            # No connection is used twice: the server may be closing a kept one at that very moment (Node does after the
            # 5 s between two polls of a device code), and a token request must not simply be sent again.
            self.close()
        self._compare_clocks(response)
        return response

    @property
    def clock_sentence(self) -> str:
        """``""``, or one sentence when the clocks differ by a minute or more."""
        skew = self.clock_skew_s
        if skew is None or abs(skew) < 60:
            return ""
        minutes = round(abs(skew) / 60)
        return (f"This computer's clock is {minutes} minute{'s' if minutes != 1 else ''} "
                f"{'fast' if skew > 0 else 'slow'}.")

    def _compare_clocks(self, response: requests.Response) -> None:
        try:
            self.clock_skew_s = time.time() - parsedate_to_datetime(response.headers["Date"]).timestamp()
        except (KeyError, ValueError, TypeError):
            self.clock_skew_s = None


def require_https(url: str, what: str) -> None:
    """Refuse an address that a secret must not be sent to.

    Raises:
        ProviderError: it is not an absolute https address without credentials.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ProviderError(f"The address of {what} must begin with https://.", detail=url,
                            remedy="Correct the site profile.")


def refuse_redirect(response: requests.Response) -> None:
    """Raise :class:`Redirected` for an answer that sends us elsewhere."""
    if 300 <= response.status_code < 400:
        where = host_of(response.headers.get("Location", ""))
        raise Redirected(f"HTTP {response.status_code} to {where}", response=response)


def network_error(error: Exception, what: str) -> ProviderError:
    """The sentence for a request that got no answer. ``what``: "the sign-in service at host"."""
    text = str(error)
    if isinstance(error, OutOfOrder):
        return ProviderError(f"{_capital(what)} is out of order at the moment.", text, "Try again in a few minutes.")
    if isinstance(error, TooLong):
        return ProviderError(f"The answer of {what} is too long.", text,
                             "Check the address in the site profile, or tell the facility's support.")
    if isinstance(error, Redirected):
        return ProviderError(f"{_capital(what)} sends Beamside to another address, which is refused.", text,
                             "Check the issuer with the facility. On a guest network, log in to that network first.")
    if isinstance(error, requests.exceptions.SSLError) and not hung_up(error):
        return ProviderError(f"The certificate of {what} is not trusted.", text,
                             "If the facility has its own certificate authority, name its file as ca_file in the site "
                             "profile; if your own organisation inspects connections, choose its CA file under "
                             "“Network…” in the menu. Otherwise somebody may be listening in.")
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_error(text, what)
    if "NameResolutionError" in text or "getaddrinfo" in text:
        return ProviderError(f"The address of {what} cannot be found.", text,
                             "Check the network connection and the address in the site profile.")
    if isinstance(error, requests.exceptions.Timeout):
        return ProviderError(f"{_capital(what)} did not answer in time.", text, "Try again in a moment.")
    return ProviderError(f"{_capital(what)} cannot be reached.", text, "Check the network connection, then try again.")


def _proxy_error(text: str, what: str) -> ProviderError:
    if "407" in text:
        return ProxyPasswordError(f"The proxy wants a user name and a password before it lets Beamside ask {what}.",
                                  text, "Enter them under “Network…” in the menu, or in HTTPS_PROXY "
                                        "(http://user:password@host:port).")
    if "403" in text:
        return ProviderError(f"The proxy does not let Beamside ask {what}.", text,
                             "Ask whoever runs it to allow that, or choose another one under “Network…” in the menu.")
    return ProviderError(f"{_capital(what)} cannot be reached through the proxy.", text,
                         "Check the proxy under “Network…” in the menu and in the environment (HTTPS_PROXY).")


def hung_up(error: Exception) -> bool:
    """Whether the other end closed the connection in the middle of TLS, which says nothing about its certificate."""
    return "EOF occurred" in str(error)


def _take_in(response: requests.Response) -> None:
    """Read the answer, as ``requests`` would, but not for ever."""
    content, until = b"", time.monotonic() + ANSWER_S
    with response:
        try:
            while part := response.raw.read1(65536, decode_content=True):   # iter_content waits for all
                content += part
                if len(content) > MOST_BYTES:
                    raise TooLong("the answer is too long")
                if time.monotonic() > until:
                    raise requests.exceptions.ReadTimeout("the answer came too slowly")
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.exceptions.ReadTimeout(str(error)) from None
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(str(error)) from None
    response._content, response._content_consumed = content, True  # type: ignore[attr-defined]


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def host_of(url: str) -> str:
    """The host and port of an address, for sentences."""
    return urlsplit(url).netloc or url


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
