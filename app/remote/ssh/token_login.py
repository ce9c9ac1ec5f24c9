"""The access token as the answer to a server's "Access Token:" prompt, for the site's own hosts only.

Made for hosts that the site profile names, from the sign-in of that profile's issuer; used after the host key was
checked. Blocking. The token is handed to the server that asks and to its motley-cue, and not logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from app.errors import BeamsideError, LinkError, LoginRefusedError, ProviderError
from app.remote.seams import Interaction
from app.remote.ssh import motley_cue
from app.remote.ssh.authority.audience import require_audience
from app.remote.ssh.authority.holder import TokenSource
from app.remote.ssh.motley_cue import MotleyCue


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
            return service.ready_account(token).user
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
            account = service.ready_account(token)
            if account.user and account.user != user:
                raise LoginRefusedError(
                    f"Your account at {self.host} is called “{account.user}”, not “{user}”.",
                    remedy=f"Set user = \"{account.user}\" in the site profile, or leave it out.")
            return service.one_time_password(token) if len(token) >= motley_cue.LONG_TOKEN else token
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
            service = motley_cue.find(self.host, self.ca_file)
            self._service = service if service is not None and service.takes(self.issuer) else None
            self._looked = True
        return self._service
