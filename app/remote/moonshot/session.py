"""Who is signed in at a site through Moonshot, and what makes signing in again need no click.

The password is kept in memory, for reconnecting, until it is refused or the person signs out. Any thread; methods that
ask the person block.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

from app.errors import CancelledByUserError, ProviderError, SignInRefusedError
from app.model.identity import Identity
from app.model.site import MoonshotSettings
from app.remote.moonshot import known
from app.remote.moonshot.process import Helper, HelperCancelled, HelperError, Secret, Trusted
from app.remote.moonshot.refusals import Attempt, explain_helper
from app.remote.seams import Interaction

TITLE = "Sign in with your home institution"
_IDENTITY = re.compile(r"[^@\s\x00-\x1f\x7f]{1,128}@[A-Za-z0-9\u0080-\U0010ffff-]+(\.[A-Za-z0-9\u0080-\U0010ffff-]+)+")
_PROMPTS = (("Identity: ", True), ("Password: ", False))
_MOST_DIALOGS = 3
_SLICE_S = 0.1


@dataclass(frozen=True)
class Account:
    """An identity (``name@realm``) and its password."""

    identity: str
    password: Secret

    @property
    def realm(self) -> str:
        return self.identity.rpartition("@")[2].lower()


class MoonshotSession:
    """One site's sign-in.

    Args:
        site: the profile's name; ``title`` for sentences.
        others: the other login methods of the site, for the sentence when this computer has no Moonshot.
    """

    def __init__(self, site: str, title: str, settings: MoonshotSettings, others: tuple[str, ...] = ()) -> None:
        self.site = site
        self.title = title
        self.settings = settings
        self.others = ", ".join(others)
        self._account: Account | None = None
        self._signed_in: Account | None = None
        self._typed = ""                # an identity that was typed in this run, good or not
        self._asking = threading.Lock()
        self.answered_late = False      # the server hung up while the person was typing: try once more

    def at(self, server: str) -> MoonshotTarget:
        """This sign-in at one server of the site, by the name it has in the network."""
        return MoonshotTarget(self, server)

    @property
    def identity(self) -> Identity | None:
        """Who signed in last in this run."""
        account = self._signed_in
        return Identity(account.realm, account.identity) if account is not None else None

    @property
    def knows_password(self) -> bool:
        """Whether connecting asks nothing, as far as is known."""
        return self._account is not None

    def sign_out(self) -> None:
        """Forget who it was, and the password."""
        self._account = self._signed_in = None

    def probe(self, interaction: Interaction) -> None:
        """Return if this computer has the mechanism.

        Raises:
            NotAvailableError: it has not.
            CancelledByUserError: the person gave up.
        """
        try:
            Helper(self.settings, interaction.cancelled.is_set).close()
        except HelperCancelled:
            raise CancelledByUserError("The sign-in was cancelled.") from None
        except HelperError as error:
            raise explain_helper(error, Attempt(self.title, "", ""), self.others) from None

    def trusted(self, realm: str) -> Trusted:
        """What the RADIUS server must show: what the profile says, else what the person has vouched for.

        Raises:
            ProviderError: the profile names an authority but not the server.
        """
        settings = self.settings
        if settings.ca and not settings.subject:
            raise ProviderError(f"The profile of {self.title} names a certificate authority for Moonshot, but not the "
                                "server it is for.",
                                remedy="Add the server's name as “subject” in [identity.moonshot], or ask the facility "
                                       "for a new profile.")
        pins = tuple(re.sub(r"[^0-9a-f]", "", pin.lower().removeprefix("sha256:")) for pin in settings.pins)
        if settings.ca or pins:
            return Trusted(settings.ca, settings.subject, pins)
        return Trusted(pins=known.confirmed_certificates(realm))

    @property
    def asks_about_certificates(self) -> bool:
        """Whether an unknown certificate is the person's to judge."""
        return not self.settings.ca and not self.settings.pins

    def account(self, interaction: Interaction, notice: str = "") -> Account:
        """The account to sign in with, asked from the person unless it is known.

        Raises:
            NotAvailableError: this computer has no Moonshot; nobody was asked.
            CancelledByUserError: the person gave up.
            SignInRefusedError: nothing usable was typed.
        """
        while not self._asking.acquire(timeout=_SLICE_S):
            if interaction.cancelled.is_set():
                raise CancelledByUserError("The sign-in was cancelled.")
        try:
            if self._account is None:
                self.probe(interaction)
                self._account = self._ask(interaction, notice)
            return self._account
        finally:
            self._asking.release()

    def accepted(self, account: Account) -> None:
        """The home institution said yes."""
        self._signed_in = account
        known.remember_identity(self.site, account.identity)

    def refused(self, account: Account) -> None:
        """The home institution said no: the password is not tried again."""
        if self._account is account:
            self._account = None
        if self._signed_in is account:
            self._signed_in = None

    def _ask(self, interaction: Interaction, notice: str) -> Account:
        last = self._typed or known.last_identity(self.site)
        form = f"leave the identity empty for {last}" if last else "its identity looks like name@institution"
        explained = (f"{self.title} takes the account of your home institution: {form}. Your password goes to that "
                     "institution only.")
        for _ in range(_MOST_DIALOGS):
            instructions = "\n".join(filter(None, (notice, explained)))
            answers = interaction.answer_prompts(self.title, TITLE, instructions, _PROMPTS)
            if answers is None:
                raise CancelledByUserError(f"The sign-in at {self.title} was cancelled.")
            typed, password = (*answers, "", "")[:2]
            identity = typed.strip() or last
            if not _IDENTITY.fullmatch(identity):
                notice = "An identity looks like name@institution, for example alice@university.example."
            elif not password:
                notice = "The password is missing."
            else:
                self._typed = identity
                return Account(identity, Secret(password))
        raise SignInRefusedError("No identity of the form name@institution was given.",
                                 remedy="Ask your home institution for your Moonshot identity; often it is the mail "
                                        "address.")


@dataclass(frozen=True)
class MoonshotTarget:
    """A sign-in at one server: ``server`` is what the mechanism calls ``host@server``."""

    session: MoonshotSession
    server: str
