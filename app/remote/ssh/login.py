"""Being let in: the profile's login methods in order, and a clear reason when none of them works.

Runs on the connecting thread, after the host key was checked. Servers say nothing but "Authentication failed.", so
each refusal is diagnosed here from what is known locally. Passwords and tokens are passed on and never kept or logged.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from app.errors import BeamsideError, CancelledByUserError, LinkLostError, LoginRefusedError, SignInError
from app.remote.moonshot.login import with_moonshot
from app.remote.moonshot.refusals import CertificateRefusedError, not_offered
from app.remote.moonshot.session import MoonshotTarget
from app.remote.seams import Interaction
from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.authority.holder import TokenSource
from app.remote.ssh.key_files import LockedKeyError, files_to_try, load_keys
from app.remote.ssh.ssh_config import NO_HINTS, LoginHints

QUICK_S = 30.0
PERSON_S = 300.0
_MAX_AGENT_KEYS = 4   # servers hang up after six attempts in all
_MAX_DIALOGS = 3
_SSH_METHOD = {"certificate": "publickey", "agent": "publickey", "key": "publickey",
               "keyboard-interactive": "keyboard-interactive", "gssapi": "gssapi-with-mic"}
_TOKEN_PROMPT = re.compile(r"access token\s*:?\s*$", re.I)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Credentials:
    """What was prepared before connecting.

    Attributes:
        certificate, key: the checked certificate and the key it belongs to.
        problem: why there is none although the profile asks for one.
        tokens: the sign-in session, for servers that prompt for an access token.
        moonshot: the home institution's account, for the method ``gssapi``.
    """

    certificate: Certificate | None = None
    key: paramiko.PKey | None = None
    problem: BeamsideError | None = None
    tokens: TokenSource | None = None
    moonshot: MoonshotTarget | None = None


@dataclass
class _Attempt:
    """One login: the link, who, and what has been tried. ``stage`` counts methods passed where several are wanted."""

    link: paramiko.Transport
    host: str
    user: str
    interaction: Interaction
    hints: LoginHints = NO_HINTS
    allowed: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    problem: SignInError | None = None   # the last method's own sentence
    tried_certificate: bool = False
    stage: int = 0

    @property
    def done(self) -> bool:
        return self.link.is_authenticated()

    def passed(self, still_wanted: Sequence[str]) -> None:
        """The server took a method; ``still_wanted`` are those it wants next, if it is not content."""
        if still_wanted:
            self.allowed = list(still_wanted)
            self.stage += 1


def log_in(link: paramiko.Transport, host: str, user: str, methods: Sequence[str], credentials: Credentials,
           interaction: Interaction, now: float, hints: LoginHints = NO_HINTS) -> None:
    """Authenticate ``link``, trying ``methods`` in order; several in a row where the server asks for more than one.

    Args:
        hints: which of the user's keys are meant for this host.

    Raises:
        LoginRefusedError: the server let nobody in; says why as far as that can be known here.
        LinkLostError: the connection died meanwhile.
        CancelledByUserError: the person gave up.
    """
    attempt = _Attempt(link, host, user, interaction, hints)
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
                _try(attempt, method, credentials)
    if not attempt.done:
        if waiting == list(methods) and "gssapi" in waiting:
            raise not_offered(host, attempt.allowed)
        attempt.refusals += [f"{method}: the server does not accept it" if method in _SSH_METHOD else
                             f"{method}: not supported by this version" for method in waiting]
        raise _refused(attempt, credentials, now)
    _LOG.info("logged in to %s as %s", host, user)


def _accepted(attempt: _Attempt, method: str) -> bool:
    wanted = _SSH_METHOD.get(method)
    return wanted in attempt.allowed or (method == "keyboard-interactive" and "password" in attempt.allowed)


def _try(attempt: _Attempt, method: str, credentials: Credentials) -> None:
    attempt.problem = None
    if method == "certificate":
        _with_certificate(attempt, credentials)
    elif method == "agent":
        _with_agent(attempt)
    elif method == "key":
        _with_key_files(attempt)
    elif method == "gssapi":
        _with_home_institution(attempt, credentials.moonshot)
    else:
        _with_dialog(attempt, credentials.tokens)


def _ask_allowed(attempt: _Attempt) -> list[str]:
    attempt.link.auth_timeout = QUICK_S
    try:
        attempt.link.auth_none(attempt.user)
        return []
    except paramiko.BadAuthenticationType as error:
        return list(error.allowed_types)
    except paramiko.AuthenticationException:
        return list(_SSH_METHOD.values())
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise LinkLostError(f"{attempt.host} hung up before the login.", detail=str(error),
                            remedy="Try again in a moment.") from None


def _try_key(attempt: _Attempt, key: paramiko.PKey, name: str) -> bool:
    """One public-key attempt; True when the server took it (wholly, or as the first of several methods)."""
    attempt.link.auth_timeout = QUICK_S
    with _refusal(attempt, name):
        attempt.passed(attempt.link.auth_publickey(attempt.user, key))
        return True
    return False


@contextlib.contextmanager
def _refusal(attempt: _Attempt, name: str) -> Iterator[None]:
    try:
        yield
    except paramiko.BadAuthenticationType as error:
        attempt.allowed = list(error.allowed_types)
        attempt.refusals.append(f"{name}: the server does not accept this kind of login")
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not attempt.link.is_active():
            tries = len(attempt.refusals)
            said = f"after {tries} refused attempt{'s' if tries != 1 else ''}" if tries else "during the login"
            attempt.refusals.append(f"{name}: {error}")
            if tries:
                raise LoginRefusedError(f"{attempt.host} hung up {said}.", detail="\n".join(attempt.refusals),
                                        remedy="Name only the login methods that work there in the site profile.") \
                    from None
            raise LinkLostError(f"{attempt.host} hung up {said}.", detail=str(error),
                                remedy="Try again in a moment.") from None
        attempt.refusals.append(f"{name}: refused")


def _with_certificate(attempt: _Attempt, credentials: Credentials) -> None:
    if credentials.key is None:
        why = credentials.problem.summary if credentials.problem else "nobody is signed in"
        attempt.refusals.append(f"certificate: {why}")
        return
    attempt.tried_certificate = True
    _try_key(attempt, credentials.key, "certificate")


def _with_agent(attempt: _Attempt) -> None:
    try:
        agent = paramiko.Agent()
    except (paramiko.SSHException, OSError) as error:
        attempt.refusals.append(f"agent: {error}")
        return
    try:
        keys = sorted(agent.get_keys(), key=lambda key: "-cert-" not in key.get_name())
        if not keys:
            attempt.refusals.append("agent: no agent is running, or it holds no keys")
        for key in keys[:_MAX_AGENT_KEYS]:
            if _try_key(attempt, key, f"agent, key {key.comment or key.get_name()}"):
                return
    finally:
        agent.close()


def _with_home_institution(attempt: _Attempt, moonshot: MoonshotTarget | None) -> None:
    if moonshot is None:
        attempt.refusals.append("gssapi: it is not for this server")
        return
    try:
        attempt.passed(with_moonshot(attempt.link, attempt.host, attempt.user, moonshot, attempt.interaction))
    except SignInError as error:
        if isinstance(error, CertificateRefusedError) or not attempt.link.is_active():
            raise   # somebody may be listening in: nothing else is tried
        attempt.problem = error
        attempt.refusals.append(f"gssapi: {error.summary}")


def _with_key_files(attempt: _Attempt) -> None:
    files = files_to_try(attempt.hints)
    if not files:
        attempt.refusals.append("key: there is no key in ~/.ssh" if not attempt.hints.identity_files else
                                "key: the files named in ~/.ssh/config are not there")
    for file in files:
        for key in _read_keys(attempt, file):
            if _try_key(attempt, key, f"key {file.name}"):
                return


def _read_keys(attempt: _Attempt, file: Path) -> list[paramiko.PKey]:
    instructions, passphrase = "", None
    for _ in range(_MAX_DIALOGS + 1):
        try:
            return load_keys(file, passphrase, attempt.hints)
        except LockedKeyError:
            answers = attempt.interaction.answer_prompts(attempt.host, f"Unlock the key {file.name}", instructions,
                                                         [("Passphrase", False)])
            if not answers or not answers[0]:
                break
            passphrase, instructions = answers[0], "That passphrase is not the key's."
        except (paramiko.SSHException, ValueError, OSError, UnsupportedAlgorithm) as error:
            attempt.refusals.append(f"key {file.name}: cannot be read ({error})")
            return []
    attempt.refusals.append(f"key {file.name}: it is locked with a passphrase")
    return []


def _with_dialog(attempt: _Attempt, tokens: TokenSource | None) -> None:
    """Keyboard-interactive (or plain password): a wrong answer may be given again."""
    for _ in range(_MAX_DIALOGS):
        dialog = _Dialog(attempt, tokens)
        attempt.link.auth_timeout = PERSON_S
        before = len(attempt.refusals)
        with _refusal(attempt, "keyboard-interactive"):
            if "keyboard-interactive" in attempt.allowed:
                attempt.passed(attempt.link.auth_interactive(attempt.user, dialog.answer))
            else:
                password = dialog.answer("", "", [("Password", False)])
                if not dialog.gave_up:
                    attempt.passed(attempt.link.auth_password(attempt.user, password[0], fallback=False))
        if dialog.gave_up:
            raise CancelledByUserError(f"The login at {attempt.host} was cancelled.")
        if len(attempt.refusals) == before or not dialog.asked_person or not attempt.link.is_active():
            return


class _Dialog:
    """Answers the server's prompts: the access token where it asks for one, else the person. On paramiko's thread."""

    def __init__(self, attempt: _Attempt, tokens: TokenSource | None) -> None:
        self._attempt = attempt
        self._tokens = tokens
        self.gave_up = False
        self.asked_person = False

    def answer(self, title: str, instructions: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        """One round; a round without prompts is usual and gets no answers."""
        if not prompts:
            return []
        if len(prompts) == 1 and not prompts[0][1] and _TOKEN_PROMPT.search(prompts[0][0]):
            token = self._token()
            if token:
                return [token]
        self.asked_person = True
        answers = None if self.gave_up else self._attempt.interaction.answer_prompts(
            self._attempt.host, title, instructions, list(prompts))
        if answers is None:
            self.gave_up = True
        # paramiko has no way to abandon a dialog from here, so the server gets empty answers and refuses
        return list(answers or [])[:len(prompts)] + [""] * max(0, len(prompts) - len(answers or []))

    def _token(self) -> str:
        if self._tokens is None:
            return ""
        try:
            return self._tokens.access_token(None)
        except BeamsideError as error:
            _LOG.debug("no access token for the server's prompt: %s", error.summary)
            return ""


def _refused(attempt: _Attempt, credentials: Credentials, now: float) -> BeamsideError:
    detail = "\n".join(attempt.refusals)
    if attempt.problem is not None:
        return attempt.problem
    if attempt.tried_certificate and credentials.certificate is not None:
        why, remedy = credentials.certificate.diagnose(attempt.user, now)
        return LoginRefusedError(f"{attempt.host} did not let {attempt.user} in: {why}.", detail=detail, remedy=remedy)
    problem = credentials.problem
    if problem is not None:
        return type(problem)(problem.summary, "\n".join(filter(None, (problem.detail, detail))), problem.remedy)
    return LoginRefusedError(f"{attempt.host} did not let {attempt.user} in.", detail=detail,
                             remedy="Check user name and login methods in the site profile, or ask the facility.")
