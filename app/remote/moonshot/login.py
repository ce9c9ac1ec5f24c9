"""The login method ``gssapi`` of a site profile: one server, the account of the home institution.

Blocking, on the connecting thread, after the host key was checked; called by ``remote.ssh.login`` for each server on
the way that wants it. Ends within half a second of a cancellation.
"""

from __future__ import annotations

import logging

import paramiko

from app.errors import BeamsideError, CancelledByUserError, LinkLostError
from app.remote.moonshot import known
from app.remote.moonshot.ending import ExchangeFailed
from app.remote.moonshot.exchange import Exchange
from app.remote.moonshot.process import Helper, HelperCancelled, HelperError
from app.remote.moonshot.refusals import (
    Attempt,
    CertificateRefusedError,
    PasswordRefusedError,
    explain,
    explain_helper,
    written,
)
from app.remote.moonshot.session import Account, MoonshotSession, MoonshotTarget
from app.remote.seams import Interaction

_MOST_TRIES = 3
_LOG = logging.getLogger(__name__)


def with_moonshot(link: paramiko.Transport, host: str, user: str, target: MoonshotTarget,
                  interaction: Interaction) -> list[str]:
    """Log in on ``link``; asks for identity and password if they are not known.

    Args:
        host: as sentences call it.

    Returns:
        ``[]`` when the server is content, else the login methods it wants next.

    Raises:
        SignInError: refused; the class says whether by the home institution, the facility or this computer.
        UnreachableError: the home institution cannot be reached at the moment.
        LinkLostError: the server hung up; ``session.answered_late`` if that was while the person was typing.
        CancelledByUserError: the person gave up.
    """
    session = target.session
    session.answered_late = False
    notice, tries = "", 0
    while True:
        account = session.account(interaction, notice)
        if not link.is_active():
            session.answered_late = True
            raise LinkLostError(f"{host} did not wait for the password.",
                                remedy="Connect again: what you typed is used then.")
        try:
            methods = _once(link, host, user, target, account, interaction)
        except PasswordRefusedError as error:
            session.refused(account)
            tries += 1
            if tries == _MOST_TRIES or not link.is_active():
                raise
            notice = error.summary
        except CertificateRefusedError as error:
            _ask_about_certificate(account.realm, error, session, interaction)
        else:
            session.accepted(account)
            _LOG.info("signed in to %s with Moonshot as %s", host, account.identity)
            return methods


def _once(link: paramiko.Transport, host: str, user: str, target: MoonshotTarget, account: Account,
          interaction: Interaction) -> list[str]:
    session = target.session
    trusted = session.trusted(account.realm)
    attempt = Attempt(host, user, account.identity, trusted)
    interaction.say(f"Signing in at your home institution ({account.realm})…")
    helper: Helper | None = None
    error: BeamsideError
    try:
        helper = Helper(session.settings, interaction.cancelled.is_set)
        helper.start(target.server, account.identity, account.password, trusted)
        return Exchange(link, user, helper, interaction.cancelled.is_set, lambda: interaction.say(
            f"Waiting for your home institution ({account.realm})…")).run()
    except HelperCancelled:
        error = CancelledByUserError(f"The sign-in at {session.title} was cancelled.")
    except HelperError as failed:
        error = explain_helper(failed, attempt, session.others)
    except ExchangeFailed as failed:
        error = explain(failed, attempt)
    finally:
        if helper is not None:
            helper.close()
    _LOG.info("Moonshot sign-in at %s: %s (%s)", host, error.summary, error.detail.replace("\n", "; "))
    raise error


def _ask_about_certificate(realm: str, error: CertificateRefusedError, session: MoonshotSession,
                           interaction: Interaction) -> None:
    """Ask about the first certificate of an institution that no list knows; another one later is refused.

    Raises:
        CertificateRefusedError: nobody vouched for it.
    """
    if not session.asks_about_certificates or not error.fingerprint:
        raise error
    shown = f"SHA-256 {written(error.fingerprint)}"
    if known.confirmed_certificates(realm):
        raise CertificateRefusedError(
            error.summary, error.detail, f"Ask your home institution whether its sign-in server has a new certificate "
            f"({shown}); if so, remove “{realm}” from {known.known_file()}.", fingerprint=error.fingerprint)
    if not interaction.confirm_host_key(f"the sign-in server of {realm}", "RADIUS", shown):
        raise CertificateRefusedError(
            f"The sign-in server of your home institution ({realm}) is not known yet, so it was not given your "
            "password.", error.detail, f"Compare its certificate ({shown}) with what your institution publishes, then "
            "confirm it, or add it to “pins” in the site profile.", fingerprint=error.fingerprint)
    known.remember_certificate(realm, error.fingerprint)
