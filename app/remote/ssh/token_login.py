"""The access token as the answer to a server's "Access Token:" prompt, for the site's own hosts only.

Made for hosts that the site profile names, from the sign-in of that profile's issuer; used after the host key was
checked. Blocking, but left at once when the person gives up. The token is handed to the server that asks and to its
motley-cue, and not logged.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TypeVar

from app.errors import BeamsideError, CancelledByUserError, LinkError, LoginRefusedError, ProviderError
from app.remote.seams import Interaction
from app.remote.ssh import motley_cue
from app.remote.ssh.authority.audience import require_audience
from app.remote.ssh.authority.holder import TokenSource
from app.remote.ssh.motley_cue import MotleyCue

_T = TypeVar("_T")


@dataclass
class TokenLogin:
    """Who may have the token.

    Attributes:
        host: as in the profile; its motley-cue, if it has one, gets the token too.
        issuer, ca_file: the profile's, to know whether and whom to trust.
        audience: the profile's; a token that is for others stays here.
        said_no: the facility told why nobody will be let in: nothing else need be tried.
    """

    tokens: TokenSource
    host: str
    issuer: str
    ca_file: str = ""
    audience: str = ""
    said_no: bool = False
    _service: MotleyCue | None = None
    _looked: bool = field(default=False, repr=False)

    def user(self, interaction: Interaction) -> str:
        """The account that the facility has for this person, made if need be; ``""``: it does not say.

        Raises:
            LoginRefusedError: it has none for them.
        """
        service = self._found(interaction)
        if service is None:
            return ""
        try:
            token = self._checked(self.tokens.access_token(interaction))
            interaction.say(f"Asking {service.where} for your account…")
            return _unless_cancelled(interaction, lambda: service.ready_account(token)).user
        except (ProviderError, LinkError) as error:
            interaction.say(error.summary)
            return ""

    def answer(self, user: str, interaction: Interaction) -> str:
        """What to give to the prompt: the token, or the one-time form of one that is too long.

        Raises:
            SignInError: there is none; if ``said_no``, that is the end of it.
        """
        token = self._checked(self.tokens.access_token(None))
        service = self._found(interaction)
        if service is None:
            if len(token) >= motley_cue.LONG_TOKEN:
                interaction.say(f"The access token is long ({len(token)} characters); {self.host} may not take it.")
            return token
        try:
            account = _unless_cancelled(interaction, lambda: service.ready_account(token))
            if account.user and account.user != user:
                raise LoginRefusedError(
                    f"Your account at {self.host} is called “{account.user}”, not “{user}”.",
                    remedy=f"Set user = \"{account.user}\" in the site profile, or leave it out.")
            if len(token) < motley_cue.LONG_TOKEN:
                return token
            return _unless_cancelled(interaction, lambda: service.one_time_password(token))
        except CancelledByUserError:
            raise
        except LoginRefusedError:
            self.said_no = True
            raise
        except BeamsideError as error:
            interaction.say(error.summary)
            return token

    def _checked(self, token: str) -> str:
        if self.audience:
            require_audience(token, self.audience)
        return token

    def _found(self, interaction: Interaction) -> MotleyCue | None:
        if not self._looked:
            interaction.say(f"Looking for the account service of {self.host}…")
            service = _unless_cancelled(interaction, lambda: motley_cue.find(self.host, self.ca_file))
            self._service = service if service is not None and service.takes(self.issuer) else None
            self._looked = True
        return self._service


def _unless_cancelled(interaction: Interaction, ask: Callable[[], _T]) -> _T:
    """What ``ask`` gives, on a thread that is left behind (it has deadlines) if the person gives up.

    Raises:
        CancelledByUserError: they did.
    """
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, name="motley-cue", daemon=True).start()
    while not wait((answer,), 0.1).done:
        if interaction.cancelled.is_set():
            raise CancelledByUserError("The login was cancelled.")
    return answer.result()
