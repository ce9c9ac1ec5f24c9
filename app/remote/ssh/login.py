"""Being let in: the profile's login methods in order, and a clear reason when none of them works.

Runs on the connecting thread, after the host key was checked. Servers say nothing but "Authentication failed.", so
each refusal is diagnosed here from what is known locally. Passwords and tokens are passed on and never kept or logged.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from app.errors import (
    BeamsideError,
    CancelledByUserError,
    LinkLostError,
    LoginRefusedError,
    SignInError,
    UnreachableError,
)
from app.remote.moonshot.login import with_moonshot
from app.remote.moonshot.refusals import CertificateRefusedError, not_offered
from app.remote.moonshot.session import MoonshotTarget
from app.remote.seams import Interaction
from app.remote.ssh.agent_keys import agent_keys
from app.remote.ssh.attempt import Attempt, refusal
from app.remote.ssh.auth_exchange import AuthExchange
from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.key_files import LockedKeyError, files_to_try, load_keys, public_blob
from app.remote.ssh.prompts import MOST_DIALOGS, ask, conversation_of, with_prompts
from app.remote.ssh.ssh_config import NO_HINTS, LoginHints
from app.remote.ssh.token_login import TokenLogin
from app.remote.ssh.unlocked_keys import UNLOCKED

QUICK_S = 30.0
_AGENT_ASKS_S = 120.0   # an agent may ask the person before it signs
_SSH_METHOD = {"certificate": "publickey", "agent": "publickey", "key": "publickey",
               "keyboard-interactive": "keyboard-interactive", "gssapi": "gssapi-with-mic"}
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """What was prepared before connecting.

    Attributes:
        certificate, key: the checked certificate and the key it belongs to.
        problem: why there is none although the profile asks for one.
        token: the access token for a server that prompts for one; ``None``: this server does not get any.
        moonshot: the home institution's account, for the method ``gssapi``.
    """

    certificate: Certificate | None = None
    key: paramiko.PKey | None = None
    problem: BeamsideError | None = None
    token: TokenLogin | None = None
    moonshot: MoonshotTarget | None = None


def log_in(link: paramiko.Transport, host: str, user: str, methods: Sequence[str], credentials: Credentials,
           interaction: Interaction, now: float, hints: LoginHints = NO_HINTS, began: float | None = None) -> None:
    """Authenticate ``link``, trying ``methods`` in order; several in a row where the server asks for more than one.

    Args:
        hints: which of the user's keys are meant for this host.
        began: ``time.monotonic()`` when the connection was made; ``None``: now.

    Raises:
        LoginRefusedError: the server let nobody in; says why as far as that can be known here.
        LinkLostError: the connection died meanwhile.
        CancelledByUserError: the person gave up.
    """
    attempt = Attempt(link, host, user, interaction, hints, time.monotonic() if began is None else began)
    attempt.allowed = _ask_allowed(attempt)
    waiting, stage = list(methods), -1
    while not attempt.done and stage != attempt.stage:   # again from the front after each stage that was passed
        stage = attempt.stage
        for method in tuple(waiting):
            if attempt.done:
                break
            if interaction.cancelled.is_set():
                raise CancelledByUserError("The login was cancelled.")
            if _accepted(attempt, method):
                waiting.remove(method)
                _try(attempt, method, credentials, "key" in waiting)
    if not attempt.done:
        if waiting == list(methods) and "gssapi" in waiting:
            raise not_offered(host, attempt.allowed)
        attempt.refusals += [f"{method}: the server does not accept it" if method in _SSH_METHOD else
                             f"{method}: not supported by this version" for method in waiting]
        raise _refused(attempt, credentials, now)
    _LOG.info("logged in to %s as %s", host, user)


def _accepted(attempt: Attempt, method: str) -> bool:
    wanted = _SSH_METHOD.get(method)
    return wanted in attempt.allowed or (method == "keyboard-interactive" and "password" in attempt.allowed)


def _try(attempt: Attempt, method: str, credentials: Credentials, files_follow: bool) -> None:
    attempt.problem = None
    if method == "certificate":
        _with_certificate(attempt, credentials)
    elif method == "agent":
        _with_agent(attempt, leave=1 if files_follow and files_to_try(attempt.hints) else 0)
    elif method == "key":
        _with_key_files(attempt)
    elif method == "gssapi":
        _with_home_institution(attempt, credentials.moonshot)
    else:
        with_prompts(attempt, credentials.token, credentials.problem)


def _ask_allowed(attempt: Attempt) -> list[str]:
    attempt.link.auth_timeout = QUICK_S
    try:
        attempt.link.auth_none(attempt.user)
        return []
    except paramiko.BadAuthenticationType as error:
        return list(error.allowed_types)
    except paramiko.AuthenticationException:
        return list(_SSH_METHOD.values())
    except (paramiko.SSHException, EOFError, OSError) as error:
        said = str(getattr(attempt.link, "farewell", ""))
        raise LinkLostError(f"{attempt.host} hung up before the login{': ' + said[:200] if said else '.'}",
                            detail=str(error), remedy="Try again in a moment.") from None


def _try_key(attempt: Attempt, key: paramiko.PKey, name: str, within_s: float = QUICK_S) -> bool:
    """One public-key attempt; True when the server took it (wholly, or as the first of several methods)."""
    attempt.link.auth_timeout = within_s
    with refusal(attempt, name):
        attempt.passed(attempt.link.auth_publickey(attempt.user, key))
        return True
    return False


def _blob(key: paramiko.PKey) -> bytes:
    """What the server is shown: the certificate, or the bare key."""
    certificate = getattr(key, "public_blob", None)
    if certificate is not None:
        return bytes(certificate.key_blob)
    return bytes(getattr(key, "blob", None) or key.asbytes())


def _with_certificate(attempt: Attempt, credentials: Credentials) -> None:
    if credentials.key is None:
        why = credentials.problem.summary if credentials.problem else "nobody is signed in"
        attempt.refusals.append(f"certificate: {why}")
        return
    attempt.tried_certificate = True
    attempt.keys.add(_blob(credentials.key))
    _try_key(attempt, credentials.key, "certificate")


def _with_agent(attempt: Attempt, leave: int) -> None:
    """``leave``: how many refusals the methods after this one need."""
    try:
        with agent_keys(attempt.hints) as keys:
            if not keys:
                attempt.refusals.append(
                    "agent: none of its keys is named for this host in ~/.ssh/config" if attempt.hints.identities_only
                    else "agent: no agent is running, or it holds no keys")
            for key in keys:
                kind = "certificate" if "-cert-" in key.get_name() or getattr(key, "public_blob", None) else "key"
                name = f"agent, {kind} {getattr(key, 'comment', '') or key.get_name()}"
                if attempt.may_offer(_blob(key), name, leave) and _try_key(attempt, key, name, _AGENT_ASKS_S):
                    return
    except (paramiko.SSHException, OSError) as error:
        attempt.refusals.append(f"agent: {error}")


def _with_home_institution(attempt: Attempt, moonshot: MoonshotTarget | None) -> None:
    if moonshot is None:
        attempt.refusals.append("gssapi: it is not for this server")
        return
    try:
        attempt.passed(with_moonshot(attempt.link, attempt.host, attempt.user, moonshot, attempt.interaction))
    except (SignInError, UnreachableError) as error:
        if isinstance(error, CertificateRefusedError) or not attempt.link.is_active():
            raise   # somebody may be listening in: nothing else is tried
        attempt.problem = error
        attempt.refusals.append(f"gssapi: {error.summary}")


def _with_key_files(attempt: Attempt) -> None:
    files = files_to_try(attempt.hints)
    if not files:
        attempt.refusals.append("key: there is no key in ~/.ssh" if not attempt.hints.identity_files else
                                "key: the files named in ~/.ssh/config are not there")
    for file in files:
        for key in _read_keys(attempt, file):
            kind = "certificate of key" if getattr(key, "public_blob", None) else "key"
            name = f"{kind} {file.name}"
            if attempt.may_offer(_blob(key), name) and _try_key(attempt, key, name):
                return


def _read_keys(attempt: Attempt, file: Path) -> list[paramiko.PKey]:
    unlocked = UNLOCKED.get(file)
    if unlocked:
        return unlocked
    try:
        return load_keys(file, None, attempt.hints)
    except LockedKeyError:
        beside = file.with_name(file.name + "-cert.pub")
        if public_blob(file) in attempt.keys and not beside.exists() and not attempt.hints.certificate_files:
            return []   # the agent's, and refused: not worth a passphrase
        if not attempt.has_room():
            attempt.refusals.append(f"key {file.name}: not tried, since servers hang up after six refusals")
            return []
        return _unlock(attempt, file)
    except (paramiko.SSHException, ValueError, OSError, UnsupportedAlgorithm) as error:
        attempt.refusals.append(f"key {file.name}: cannot be read ({error})")
        return []


def _unlock(attempt: Attempt, file: Path) -> list[paramiko.PKey]:
    """The keys in a file that a passphrase protects; giving it up leaves the other ways to log in."""
    with conversation_of(attempt) as conversation:
        exchange = AuthExchange(attempt.link, attempt.user, lambda: None,
                                lambda: conversation.end(f"{attempt.host} did not wait for your answer."), lambda: None)
        for _ in range(MOST_DIALOGS):
            try:
                answers = exchange.watched(lambda: ask(attempt, conversation, f"Unlock the key {file.name}", "",
                                                       [("Passphrase", False)], closes=False))
                if not answers or not answers[0]:
                    break
                keys = load_keys(file, answers[0], attempt.hints)
                UNLOCKED.put(file, keys)
                return keys
            except LockedKeyError:
                conversation.say("That passphrase is not the key's.", warns=True)
    attempt.refusals.append(f"key {file.name}: it is locked with a passphrase")
    return []


def _refused(attempt: Attempt, credentials: Credentials, now: float) -> BeamsideError:
    detail = "\n".join(attempt.refusals)
    if attempt.problem is not None:
        return attempt.problem
    if attempt.typed:
        return LoginRefusedError(f"{attempt.host} did not accept what was typed for the account {attempt.user}.",
                                 detail, "Check user name and password; a one-time code works once and for half a "
                                 "minute. After many failures some facilities close an account for a while.")
    if attempt.tried_certificate and credentials.certificate is not None:
        why, remedy = credentials.certificate.diagnose(attempt.user, now)
        return LoginRefusedError(f"{attempt.host} did not let {attempt.user} in: {why}.", detail=detail, remedy=remedy)
    if attempt.token:
        return LoginRefusedError(f"{attempt.host} did not accept your access token for the account {attempt.user}.",
                                 detail, "Check the user name in the site profile, sign in again, or ask the facility "
                                 "whether your account may log in with tokens.")
    problem = credentials.problem
    if problem is not None:
        return type(problem)(problem.summary, "\n".join(filter(None, (problem.detail, detail))), problem.remedy)
    return LoginRefusedError(f"{attempt.host} did not let {attempt.user} in.", detail=detail,
                             remedy="Check user name and login methods in the site profile, or ask the facility.")
