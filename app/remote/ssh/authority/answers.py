"""One HTTPS exchange with a certificate authority, and a sentence for each way it can go wrong.

Blocking. A secret goes to exactly the address it was meant for: https only, redirects refused, ``~/.netrc`` ignored.
Nothing here logs or quotes headers and bodies that were sent. No request is sent twice by itself.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import requests
import urllib3

from app.errors import BeamsideError, LoginRefusedError, ProviderError
from app.model.text import visible
from app.remote.signin.https import HttpsSession, host_of, network_error, require_https

MAX_ANSWER = 1 << 20
ANSWER_S = 30.0
_Json = dict[str, Any]
_SECRETS = ("token", "ott")   # members of bodies that hold one


class NotAcceptedError(LoginRefusedError):
    """The authority does not take the token (401)."""


class NotThereError(ProviderError):
    """Nothing of that kind is at the address; ``said``: the authority's own words, if it gave any."""

    def __init__(self, summary: str, detail: str = "", remedy: str = "", said: str = "") -> None:
        super().__init__(summary, detail, remedy)
        self.said = said


@dataclass
class AuthorityWeb:
    """The way to one authority: what to trust, how it is named in sentences, and its clock."""

    ca_file: str = ""
    kind: str = ""
    session: HttpsSession = field(init=False)

    def __post_init__(self) -> None:
        file = os.path.expanduser(self.ca_file)
        if file and not os.path.isfile(file):
            raise ProviderError(f"The file {file} with the certificate authority's root cannot be read.",
                                remedy="Correct ca_file in the site profile.")
        self.session = HttpsSession(self.ca_file)

    def close(self) -> None:
        self.session.close()

    @property
    def clock_sentence(self) -> str:
        """``""``, or how far this computer's clock is from the authority's."""
        return self.session.clock_sentence

    @property
    def clock_skew_s(self) -> float:
        """This computer's clock minus the authority's; 0: unknown."""
        return self.session.clock_skew_s or 0.0

    def json(self, method: str, url: str, *, bearer: str = "", body: _Json | None = None,
             params: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> _Json:
        """The JSON object that a request is answered with.

        Args:
            bearer: the access token, if the request needs one.
            body: sent as JSON.

        Raises:
            NotThereError: nothing is at that address.
            ProviderError: the authority is not trusted, out of order, or something else answers.
            LoginRefusedError: it does not give this person a certificate.
        """
        status, content, retry_after = self._exchange(method, url, bearer, body, params, headers)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if 200 <= status < 300 and status != 202 and isinstance(answer, dict):
            return answer
        secrets = [bearer, *(str((body or {}).get(name) or "") for name in _SECRETS)]
        raise self._refusal(url, status, answer, content, retry_after, [secret for secret in secrets if secret])

    def not_understood(self, url: str, what: str) -> ProviderError:
        """The error for JSON of another shape. ``what``: which member is missing or odd."""
        return ProviderError(f"{host_of(url)} answered something Beamside does not understand ({what}).",
                             remedy="Check the kind of the certificate authority in the site profile.")

    def _exchange(self, method: str, url: str, bearer: str, body: _Json | None, params: dict[str, str] | None,
                  headers: dict[str, str] | None) -> tuple[int, bytes, str]:
        require_https(url, "the certificate authority")
        wanted = {"Accept": "application/json", **(headers or {})}
        if bearer:
            wanted["Authorization"] = f"Bearer {bearer}"
        until = time.monotonic() + ANSWER_S
        content = b""
        try:
            with self.session.request(method, url, headers=wanted, json=body, params=params, stream=True) as response:
                while part := response.raw.read1(65536, decode_content=True):   # iter_content waits for all
                    content += part
                    if len(content) > MAX_ANSWER:
                        raise ProviderError(f"The answer of {_named(url)} is too long.",
                                            remedy="Check its address in the site profile, or tell the facility.")
                    if time.monotonic() > until:
                        raise requests.exceptions.ReadTimeout("the answer came too slowly")
        except urllib3.exceptions.HTTPError as error:
            raise network_error(requests.ConnectionError(str(error)), _named(url)) from None
        except requests.RequestException as error:
            raise network_error(error, _named(url)) from None
        if response.is_redirect or 300 <= response.status_code < 400:
            raise ProviderError(f"{_capital(_named(url))} sends Beamside elsewhere, which is refused.",
                                f"HTTP {response.status_code}.", "Correct its address in the site profile.")
        return response.status_code, content, response.headers.get("Retry-After", "")

    def _refusal(self, url: str, status: int, answer: object, content: bytes, retry_after: str,
                 secrets: list[str]) -> BeamsideError:
        said = said_in(answer, secrets)
        why = f": {said}." if said else "."
        who = _named(url)
        detail = " ".join(filter(None, (f"HTTP {status}.", said and f"{said}.", self.clock_sentence)))
        if status == 401:
            return NotAcceptedError(f"{_capital(who)} does not accept your sign-in{why}", detail,
                                    "Sign in again; if that does not help, ask the facility whether it expects this "
                                    "client and audience.")
        if status == 403:
            return LoginRefusedError(f"The facility does not give you an SSH certificate{why}", detail,
                                     "Ask the facility whether your account is linked, or sign in with another one.")
        if status == 202:
            return LoginRefusedError(f"Your account is not ready yet{why}", detail,
                                     "Wait until the facility has approved it, then connect again.")
        if status in (404, 405):
            kind = f" of the kind “{self.kind}”" if self.kind else ""
            return NotThereError(f"There is no certificate authority{kind} at {host_of(url)}{why}", detail,
                                 "Check address and kind of the certificate authority in the site profile.", said)
        if status == 429:
            return ProviderError(f"{_capital(who)} has given out too many certificates for now{why}", detail,
                                 _wait(retry_after))
        if answer is None and (status < 300 or _is_page(content)):
            if status >= 500:
                return ProviderError(f"{_capital(who)} is out of order at the moment.", detail,
                                     "Try again in a few minutes, or tell the facility's support.")
            return ProviderError(f"Something other than a certificate authority answers at {host_of(url)}.", detail,
                                 "Check its address in the site profile, and whether the network asks for a login in "
                                 "the browser first.")
        if 200 <= status < 300:
            return self.not_understood(url, "not a JSON object")
        return ProviderError(f"{_capital(who)} could not make a certificate{why}", detail,
                             "Try again later, or tell the facility's support.")


def said_in(answer: object, secrets: Iterable[str] = ()) -> str:
    """What an answer gives as the reason: cut, on one line, without full stop and ``secrets``; ``""``: nothing."""
    if isinstance(answer, dict):
        for name in ("message", "error_description", "error", "detail"):
            value = answer.get(name)
            if isinstance(value, str) and value.strip():
                for secret in secrets:   # some quote what they were given
                    value = value.replace(secret, "…")
                return visible(" ".join(value.split()))[:200].rstrip(". ")
    return ""


def _wait(retry_after: str) -> str:
    if retry_after.isdecimal() and 0 < int(retry_after) < 10**6:
        minutes = -(-int(retry_after) // 60)
        return f"Connect again in {minutes} minute{'s' if minutes != 1 else ''}."
    return "Connect again later; some facilities allow only a few certificates a day."


def _is_page(content: bytes) -> bool:
    return content.lstrip()[:1] == b"<"


def _named(url: str) -> str:
    return f"the certificate authority at {host_of(url)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
