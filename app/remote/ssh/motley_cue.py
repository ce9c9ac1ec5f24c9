"""motley-cue, the service beside an SSH server that takes access tokens: finds or makes the account a token is for.

Blocking. The token goes to the host of the site profile only: over https (plain http on this very computer), never
after a redirect, and only if the service takes tokens of the profile's issuer. Nothing here logs a token.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from app.errors import LoginRefusedError, ProviderError, SignInError
from app.remote.signin.https import HttpsSession, host_of, network_error
from app.remote.ssh.authority.answers import said_in

PORTS = (443, 8443, 8080)
LONG_TOKEN = 1024          # OpenSSH's client and pam_oidc_token cut longer answers
_KNOCK_S = 2.0
_ANSWER_S = 30.0           # an account may have to be made
_MOST = 1 << 20
_Json = dict[str, Any]


@dataclass(frozen=True)
class Account:
    """The account that a token is for. ``state``: as the service says; ``user``: empty unless it is deployed."""

    state: str
    message: str = ""
    user: str = ""


class MotleyCue:
    """One service.

    Attributes:
        issuers: whose tokens it takes.
    """

    def __init__(self, url: str, ca_file: str) -> None:
        self.url = url.rstrip("/")
        self._ca_file = ca_file
        self.issuers: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return host_of(self.url)

    def recognise(self) -> bool:
        """Whether a motley-cue answers there; fills in ``issuers``."""
        status, answer = self._get("/info", "")
        if status != 200 or not isinstance(answer, dict) or "login_info" not in answer:
            return False
        issuers = answer.get("supported_OPs")
        if not isinstance(issuers, list):
            return False
        self.issuers = tuple(str(issuer) for issuer in issuers)
        return True

    def takes(self, issuer: str) -> bool:
        """Whether tokens of ``issuer`` are of any use there."""
        return bool(issuer) and issuer.rstrip("/") in {known.rstrip("/") for known in self.issuers}

    def account(self, token: str) -> Account:
        """The state of the account. Raises as ``ready_account``."""
        return self._account("/user/get_status", token)

    def ready_account(self, token: str) -> Account:
        """The account to log in to, made first if there is none.

        Raises:
            LoginRefusedError: there is none to be had; the sentence says why.
            ProviderError: the service does not work as it should.
        """
        account = self.account(token)
        if account.state == "not_deployed" or (account.state == "deployed" and not account.user):
            # the second changes nothing, but only that answer has the name
            account = self._account("/user/deploy", token)
        if account.state == "deployed":
            return account
        raise self._not_ready(account)

    def one_time_password(self, token: str) -> str:
        """What is typed in place of a token that is too long; good for one login.

        Raises:
            LoginRefusedError: the service has no such thing, or refuses.
        """
        status, answer = self._get("/user/generate_otp", token)
        found = self._object(status, answer, token)
        if not found.get("supported"):
            raise LoginRefusedError(f"Your access token is too long for the login at {self.where}, which has no "
                                    "short form for it.", f"{len(token)} characters; the service does not support "
                                    "one-time passwords.",
                                    "Ask the facility to allow one-time passwords (motley-cue: use_otp).")
        if not found.get("successful"):
            raise LoginRefusedError(f"{self.where} could not prepare a one-time password for your login.",
                                    str(found)[:200], "Try again in a moment, or tell the facility's support.")
        return hashlib.sha512(token.encode()).hexdigest()

    def _account(self, path: str, token: str) -> Account:
        status, answer = self._get(path, token)
        found = self._object(status, answer, token)
        credentials = found.get("credentials")
        user = credentials.get("ssh_user") if isinstance(credentials, dict) else ""
        said = said_in({"message": str(found.get("message") or "")}, (token,))
        state = said_in({"message": str(found.get("state") or "")}, (token,)) or "unknown"
        return Account(state, said, user if isinstance(user, str) else "")

    def _object(self, status: int, answer: object, token: str) -> _Json:
        said = said_in(answer, (token,))
        why = f": {said}." if said else "."
        detail = f"{self.where} answered HTTP {status}. {said}".strip()
        if status == 200 and isinstance(answer, dict):
            return answer
        if status == 401:
            return _raise(LoginRefusedError(
                f"{self.where} does not accept your sign-in{why}", detail, "Sign in again; if that does not help, ask "
                "the facility whether your account may use SSH with it."))
        if status == 403:
            return _raise(LoginRefusedError(
                f"{self.where} does not let you log in with this account{why}", detail,
                "Ask the facility whether your institution or group is admitted there."))
        if status >= 500:
            return _raise(ProviderError(f"The account service at {self.where} is out of order at the moment.", detail,
                                        "Try again in a few minutes, or tell the facility's support."))
        return _raise(ProviderError(f"The account service at {self.where} answered something Beamside does not "
                                    "understand.", detail, "Tell the facility's support."))

    def _not_ready(self, account: Account) -> LoginRefusedError:
        where, said = self.where, f": {account.message}." if account.message else "."
        detail = f"State: {account.state}. {account.message}".strip()
        if account.state == "pending":
            return LoginRefusedError(f"Your account at {where} waits for the facility's approval{said}", detail,
                                     "Connect again when it has been approved; the facility's support knows when.")
        if account.state == "suspended":
            return LoginRefusedError(f"Your account at {where} is suspended{said}", detail,
                                     "Ask the facility's support to open it again.")
        if account.state == "rejected":
            return LoginRefusedError(f"The facility rejected the request for your account at {where}{said}", detail,
                                     "Ask the facility's support why.")
        if account.state == "not_deployed":
            return LoginRefusedError(f"{where} did not make an account for you{said}", detail,
                                     "Ask the facility's support whether you may have one.")
        if account.state == "unknown":
            return LoginRefusedError(f"{where} does not know the state of your account{said}", detail,
                                     "Try again later, or tell the facility's support.")
        return LoginRefusedError(f"Your account at {where} is not usable ({account.state}){said}", detail,
                                 "Ask the facility's support what that means.")

    def _get(self, path: str, token: str) -> tuple[int, object]:
        parts = urlsplit(self.url)
        if parts.scheme != "https" and not _is_here(parts.hostname or ""):
            raise ProviderError(f"The account service at {self.where} is not reached over https, so it gets nothing.",
                                remedy="Tell the facility's support.")
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        what = f"the account service at {self.where}"
        content, until = b"", time.monotonic() + _ANSWER_S
        with HttpsSession(self._ca_file) as web:
            try:
                with web.request("GET", self.url + path, headers=headers, stream=True) as response:
                    while part := response.raw.read1(65536, decode_content=True):
                        content += part
                        if len(content) > _MOST or time.monotonic() > until:
                            raise requests.exceptions.ReadTimeout("the answer is too long or came too slowly")
            except (urllib3.exceptions.HTTPError, requests.RequestException) as error:
                raise network_error(error, what) from None
        try:
            return response.status_code, json.loads(content)
        except (ValueError, RecursionError):
            return response.status_code, None


def find(host: str, ca_file: str = "") -> MotleyCue | None:
    """The service of an SSH server, looked for on the usual ports of the same host; ``None``: there is none."""
    ca_file = ca_file if os.path.isfile(os.path.expanduser(ca_file)) else ""
    for port in _open_ports(host):
        name = f"[{host}]" if ":" in host else host
        place = name if port == 443 else f"{name}:{port}"
        for scheme in ("https", "http") if _is_here(host) else ("https",):
            service = MotleyCue(f"{scheme}://{place}", ca_file)
            try:
                if service.recognise():
                    return service
            except SignInError:    # something else is there
                continue
    return None


def _open_ports(host: str) -> list[int]:
    """Those of ``PORTS`` that take connections, in that order."""
    found: set[int] = set()

    def knock(port: int) -> None:
        try:
            socket.create_connection((host, port), _KNOCK_S).close()
            found.add(port)
        except OSError:
            return

    threads = [threading.Thread(target=knock, args=(port,), name=f"motley-cue-{port}", daemon=True) for port in PORTS]
    for thread in threads:
        thread.start()
    until = time.monotonic() + _KNOCK_S + 0.5
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [port for port in PORTS if port in found]


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _raise(error: SignInError) -> _Json:
    raise error
