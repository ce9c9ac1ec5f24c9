"""What a failed Moonshot sign-in means for a person: one sentence and a remedy for each way it can fail.

The mechanism's own texts and numbers go into ``detail`` (the log and the details of a report), never into a summary.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import (
    BeamsideError,
    LinkLostError,
    LoginRefusedError,
    ProviderError,
    SignInRefusedError,
    UnreachableError,
)
from app.remote.moonshot.ending import METHOD, ExchangeFailed
from app.remote.moonshot.process import HelperError, Trusted

# Minor codes of the mechanism's table; its messages are fixed English.
_TABLE = 2109382912
_REJECTED, _NO_FEDERATION, _BAD_ERROR_TOKEN, _OTHER_SERVER, _PEER_FAILED = 13, 16, 22, 28, 57
_FIRST_CERTIFICATE = 4      # steps before any certificate can have been shown
_DEFECTIVE_NAME = 0x20000
_LATER = "Try again in a few minutes. If it lasts, tell the facility's support."
_SUPPORT = "Tell the facility's support; the details say what they need to know."


class CertificateRefusedError(SignInRefusedError):
    """The sign-in server of the home institution is not the one expected. ``fingerprint``: SHA-256; empty: unknown."""

    def __init__(self, summary: str, detail: str = "", remedy: str = "", *, fingerprint: str = "") -> None:
        super().__init__(summary, detail, remedy)
        self.fingerprint = fingerprint


class PasswordRefusedError(SignInRefusedError):
    """Identity or password was not accepted: worth another try."""


class NotAvailableError(LoginRefusedError):
    """This computer has no Moonshot."""


class Attempt(NamedTuple):
    """Who tried what, for sentences."""

    host: str
    user: str
    identity: str
    trusted: Trusted = Trusted()

    @property
    def realm(self) -> str:
        return self.identity.rpartition("@")[2]


@dataclass(frozen=True)
class _Case:
    error: type[BeamsideError]
    summary: str
    remedy: str


_BY_STAGE = {
    "offer": _Case(LoginRefusedError, "{host} does not offer Moonshot for the account {user}.",
                   "Check the user name in the site profile, or sign in another way."),
    "exchange": _Case(LoginRefusedError,
                      "{host} broke off the sign-in with your home institution: its Moonshot service does not work.",
                      _SUPPORT),
    "account": _Case(LoginRefusedError,
                     "You are signed in as {identity}, but {host} does not let that identity use the account {user}.",
                     "Check the user name in the site profile, or ask the facility to enter you."),
    "link": _Case(LinkLostError, "{host} hung up during the sign-in with your home institution.",
                  "Try again. If it happens each time, tell the facility's support that its Moonshot service fails."),
    "silence": _Case(UnreachableError, "Your home institution ({realm}) did not answer in time.", _LATER),
    "client": _Case(LoginRefusedError, "The sign-in with your home institution failed on this computer.", _SUPPORT),
    "federation": _Case(LoginRefusedError, "{host} reported a fault in the sign-in with your home institution.",
                        _SUPPORT),
}
_BY_CODE = {
    _REJECTED: _Case(PasswordRefusedError,
                     "Your home institution ({realm}) did not accept this identity or password.",
                     "Check both and try again; if it lasts, ask your home institution about the account."),
    _NO_FEDERATION: _Case(UnreachableError,     # a reconnection tries again by itself
                          "{host} cannot reach the federation that leads to your home institution ({realm}).", _LATER),
    _BAD_ERROR_TOKEN: _Case(ProviderError,
                            "Your home institution ({realm}) cannot be reached through this facility's federation.",
                            "Check the part after the @. If it is right, ask the facility whether it takes part with "
                            "your institution."),
    _OTHER_SERVER: _Case(LoginRefusedError,
                         "The server calls itself something else than {host}, so the sign-in was broken off.",
                         "Use the server's full name in the site profile, or ask the facility for it."),
    _PEER_FAILED: _Case(SignInRefusedError,
                        "This computer cannot prove the password in the way your home institution ({realm}) asks for.",
                        "Tell your home institution's support; the details say what failed."),
}


def explain(failed: ExchangeFailed, attempt: Attempt) -> BeamsideError:
    """The error for a person."""
    cause = failed.cause
    detail = _detail(failed.stage, str(failed), cause)
    if failed.methods and METHOD not in failed.methods and failed.stage == "offer":
        return not_offered(attempt.host, failed.methods)
    if cause is not None and cause.kind == "gss":
        code = cause.minor - _TABLE
        if code == _REJECTED and _certificate_was_refused(cause, attempt.trusted):
            return _certificate_refused(cause, attempt, detail)
        if code in _BY_CODE:
            return _told(_BY_CODE[code], attempt, detail)
    elif cause is not None:
        return explain_helper(cause, attempt, "")
    return _told(_BY_STAGE[failed.stage], attempt, detail)


def explain_helper(error: HelperError, attempt: Attempt, others: str) -> BeamsideError:
    """The error for a helper that did not get as far as the server; ``others``: the other ways to log in."""
    if error.kind in ("no-mechanism", "no-gssapi"):
        return not_available(others, str(error))
    detail = _detail("client", str(error), error)
    if error.kind == "gss" and error.major == _DEFECTIVE_NAME:
        return SignInRefusedError(f"“{attempt.identity}” cannot be used as an identity.", detail,
                                  "It looks like name@institution.")
    if error.kind == "helper":
        return LoginRefusedError("The program that talks to your home institution ended unexpectedly.", detail,
                                 "Try again. If it happens each time, report it with the details.")
    return _told(_BY_STAGE["client"], attempt, detail)


def not_available(others: str, detail: str = "") -> NotAvailableError:
    """This computer has no Moonshot; ``others``: the other ways to log in there, for the sentence."""
    other = f"This facility also offers: {others}." if others else "Ask the facility for another way to sign in."
    if sys.platform != "linux":
        return NotAvailableError("Moonshot sign-in is available on Linux only.", detail, other)
    return NotAvailableError(
        "Moonshot sign-in needs the Moonshot mechanism for GSSAPI, which this computer does not have.", detail,
        f"Ask your IT support to install it (Debian and Ubuntu: the package moonshot-gss-eap). {other}")


def not_offered(host: str, methods: Sequence[str]) -> LoginRefusedError:
    """The server has no GSSAPI at all."""
    names = ", ".join(sorted(name for name in methods if name.isprintable() and len(name) < 40)) or "nothing"
    return LoginRefusedError(f"{host} does not offer Moonshot sign-in; it offers {names}.",
                             remedy="Name another login method in the site profile, or ask the facility.")


def written(fingerprint: str) -> str:
    """A fingerprint as people compare it: ``AB:CD:…`` as openssl has it, in four groups, so that lines can break."""
    upper = fingerprint.upper()
    groups = (upper[i:i + 16] for i in range(0, len(upper), 16))
    return " ".join(":".join(group[i:i + 2] for i in range(0, len(group), 2)) for group in groups)


def _certificate_was_refused(cause: HelperError, trusted: Trusted) -> bool:
    """Whether it was this side that said no. The mechanism does not tell; the order of events does."""
    if cause.refused:
        return True
    if not trusted.ca:
        return False
    if not cause.seen:      # a chain that leads to another authority is refused before we are asked
        return cause.rounds > _FIRST_CERTIFICATE
    return cause.rounds <= cause.seen_at + 1    # we agreed, and the name was refused right after it


def _certificate_refused(cause: HelperError, attempt: Attempt, detail: str) -> CertificateRefusedError:
    fingerprint = (*cause.refused, *cause.seen, "")[0]
    shown = f" It showed the certificate with SHA-256 {written(fingerprint)}." if fingerprint else ""
    return CertificateRefusedError(
        f"The server that answered for your home institution ({attempt.realm}) is not the one that is expected, so it "
        "was not given your password.", detail,
        f"Do not try again; tell the facility's support.{shown}", fingerprint=fingerprint)


def _told(case: _Case, attempt: Attempt, detail: str) -> BeamsideError:
    words = {"host": attempt.host, "user": attempt.user, "identity": attempt.identity, "realm": attempt.realm}
    return case.error(case.summary.format(**words), detail, case.remedy)


def _detail(stage: str, text: str, cause: HelperError | None) -> str:
    lines = [f"stage: {stage}", text]
    if cause is not None and cause.kind == "gss":
        lines.append(f"GSS status {cause.major:#x}, {cause.minor}; step {cause.rounds}")
    if cause is not None:
        lines += [f"certificate {written(print_)}{' refused' if print_ in cause.refused else ''}"
                  for print_ in dict.fromkeys(cause.seen)]
    return "\n".join(lines)
