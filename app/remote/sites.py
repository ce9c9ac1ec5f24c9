"""The sites a user knows, and everything that is opened for one of them.

Which there are is its ``catalogue``'s. ``Sites`` owns the sign-in sessions, one per ``session_key``,
each shared by all sites that use it. Blocking methods run on the caller's thread: a worker of the window's pool, or the
command line. No Qt.
"""

from __future__ import annotations

import functools
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import BeamsideError, LinkError, SignInError, UnreachableError, UsageError
from app.model.doctor import Report, Step
from app.model.findings import Findings, open_values
from app.model.identity import Identity, SignedOut
from app.model.site import CertificateAuthority, IdentityMethod, SiteProfile
from app.recipes.availability import Availability
from app.recipes.catalogue import shipped_recipes
from app.remote.allocation import place_of
from app.remote.analyses.recipe_shelf import RecipeShelf
from app.remote.analyses.software_check import availability
from app.remote.connection import USUAL, Connection, ConnectionState, Patience
from app.remote.jobs.service import JobService
from app.remote.local_transport import LocalTransport
from app.remote.moonshot.sites import MoonshotSessions, connected
from app.remote.noted_person import NotedPerson
from app.remote.private_python import remove
from app.remote.probing import probe
from app.remote.seams import Interaction, Transport
from app.remote.site_catalogue import DEMO_NAME, SiteCatalogue
from app.remote.ssh.user_names import UserNames

if TYPE_CHECKING:   # half a second of libraries that commands on this computer do without
    from app.remote.moonshot.session import MoonshotSession
    from app.remote.signin.oidc import OidcSession
    from app.remote.ssh.connect import Watcher


class Sites:
    """All known sites by name; ``local`` is always one."""

    def __init__(self, given: tuple[SiteProfile, ...] = (),
                 accepted_fingerprints: frozenset[str] = frozenset()) -> None:
        self.catalogue = SiteCatalogue(given)
        self._accepted = accepted_fingerprints
        self._sessions: dict[tuple[str, ...], OidcSession] = {}
        self._moonshot = MoonshotSessions()
        self._shelves: dict[str, tuple[Connection, RecipeShelf]] = {}
        self._software: dict[str, tuple[Transport, object, list[Availability]]] = {}
        self._lock = threading.Lock()

    @property
    def faults(self) -> list[UsageError]:
        """What is wrong with profiles that were left out."""
        return self.catalogue.faults

    def names(self) -> list[str]:
        """``local`` first, then by name; shipped facilities too."""
        return self.catalogue.names()

    def yours(self) -> list[str]:
        """Those of the user: ``local``, given, own, and facilities that were connected to before."""
        return self.catalogue.yours()

    def profile(self, name: str) -> SiteProfile:
        """The profile called ``name``.

        Raises:
            UsageError: no such site.
        """
        return self.catalogue.profile(name)

    def add(self, file: Path) -> SiteProfile:
        """As :meth:`SiteCatalogue.add`."""
        return self.catalogue.add(file)

    def give(self, profile: SiteProfile) -> None:
        """As :meth:`SiteCatalogue.give`."""
        self.catalogue.give(profile)

    def remove(self, name: str) -> None:
        """As :meth:`SiteCatalogue.remove`."""
        self.catalogue.remove(name)

    def identity(self, name: str) -> Identity | None:
        """Who is signed in at a site, as far as is known without asking; ``None``: nobody, or no sign-in there."""
        session = self._session(self.profile(name)) or self._moonshot.of(self.profile(name))
        return session.identity if session else None

    def sign_in(self, name: str, interaction: Interaction) -> Identity:
        """Make sure somebody is signed in, asking the person if needed.

        Raises:
            SignInError: refused, expired, or the provider cannot be used.
            UsageError: the site has no sign-in of its own.
        """
        session = self._session(self.profile(name))
        moonshot = self._moonshot.of(self.profile(name))
        if session is None and moonshot is not None:
            return self._sign_in_with(moonshot, name, interaction)
        if session is None:
            raise UsageError(f"“{name}” has no sign-in of its own.", remedy=f"Just use it: beamside ls {name}:PATH")
        with _demo_is_up(self.profile(name)):
            return session.sign_in(interaction)

    def sign_out(self, name: str) -> None:
        """Revoke and forget the tokens; without a session nothing happens."""
        self.end_sign_in(name)

    def end_sign_in(self, name: str) -> SignedOut:
        """As :meth:`sign_out`, and tell what came of it. Sites that share the sign-in are signed out with it."""
        profile = self.profile(name)
        session = self._session(profile)
        moonshot = self._moonshot.of(profile)
        if moonshot is not None:
            moonshot.sign_out()
        if session is None:
            return SignedOut((name,) if moonshot is not None else ())
        _leave_gateways()
        return SignedOut(tuple(p.name for p in self._all() if self._session(p) is session),
                         session.sign_out())

    def sign_out_everywhere(self, name: str) -> SignedOut:
        """End the person's sign-in at the provider of a site: for all sites that use it, whatever they call themselves
        there, and their certificates and keys. What remains is the provider's session in the browser: open ``page``.

        Raises:
            ProviderError: a keyring may still hold a token that is good.
        """
        profile = self.profile(name)
        asked = self._session(profile)
        if asked is None:
            return self.end_sign_in(name)
        _leave_gateways(locks_keys=True)
        users = [p for p in self._all() if self._session(p) is not None
                 and p.identity.issuer.rstrip("/") == profile.identity.issuer.rstrip("/")]
        sessions = {id(session): session for p in users if (session := self._session(p)) is not None}
        left = [text for session in sessions.values() for text in _revoke_certificates(
            session, [p for p in users if self._session(p) is session])]
        revoked, failed = [], []
        for session in sessions.values():
            try:
                revoked.append(session.sign_out())
            except BeamsideError as error:      # the others all the same
                failed.append(error)
        if failed:
            raise failed[0]
        return SignedOut(tuple(p.name for p in users), all(revoked), asked.end_page(), tuple(left))

    def outlives(self, name: str, until: float) -> str:
        """``""``, or one sentence if a site's sign-in is known to end before ``until`` (seconds since the epoch)."""
        session = self._session(self.profile(name))
        return session.outlives(until) if session is not None else ""

    def keep_signed_in(self) -> None:
        """Renew what would end by itself, well before it does. Call it about once a minute; blocks, and asks nobody."""
        with self._lock:
            sessions = list(self._sessions.values())
        for session in sessions:
            session.keep()

    def open(self, name: str, interaction: Interaction, patience: Patience = USUAL) -> Connection:
        """A connection to a site, not yet opened: ``Connection.open()`` starts it."""
        profile = self.profile(name)
        _check_host(profile)
        person, names = NotedPerson(interaction), UserNames()
        connection = Connection(profile, lambda: self.transport(name, person, names), patience=patience,
                                place=place_of(profile, interaction.say), person=person)
        connection.add_listener(functools.partial(self._note_use, name))
        return connection

    def transport(self, name: str, interaction: Interaction, names: UserNames | None = None) -> Transport:
        """Sign in if needed and connect. Blocks. ``names``: who the person was there before."""
        return self._connect(self.profile(name), interaction, names=names)

    def _connect(self, profile: SiteProfile, interaction: Interaction, watcher: Watcher | None = None,
                 names: UserNames | None = None) -> Transport:
        if profile.is_local:
            return LocalTransport()
        _check_host(profile)
        from app.remote.ssh.connect import open_ssh

        session = self._session(profile)
        moonshot = self._moonshot.of(profile)
        with _demo_is_up(profile):
            if moonshot is None:
                return open_ssh(profile, interaction, session, self._accepted, watcher, names=names)
            return connected(profile, moonshot, interaction, lambda: open_ssh(
                profile, interaction, session, self._accepted, watcher, moonshot, names))

    def examine(self, name: str, interaction: Interaction, tell: Callable[[Step], None]) -> Report:
        """What the connection doctor finds about a site; blocks. ``tell`` is called with each step as it changes."""
        from app.remote.doctor.examination import Patient, examine

        profile = self.profile(name)
        patient = Patient(profile, self._session(profile), functools.partial(self._connect, profile))
        return examine(patient, interaction, tell)

    def remove_private_python(self, name: str, transport: Transport) -> list[str]:
        """Take away the packages that Beamside put at a site; the names of their folders. Blocks.

        Raises:
            AgentError: they could not be removed.
            LinkError: the site did not answer.
        """
        return remove(transport, self.profile(name))

    def jobs(self, name: str, connection: Connection) -> JobService:
        """The batch system of a site, over an open connection."""
        return JobService(self.profile(name), lambda: connection.transport, self.recipes(name, connection))

    def recipes(self, name: str, connection: Connection) -> RecipeShelf:
        """The recipes of a site: the shipped ones and its own. Looking into it blocks."""
        folders = self.profile(name).software.recipes
        with self._lock:
            known = self._shelves.get(name)
            if known is None or known[0] is not connection or known[1].folders != folders:
                known = (connection, RecipeShelf(folders, lambda: connection.transport, shipped_recipes()))
                self._shelves[name] = known
        return known[1]

    def software(self, name: str, connection: Connection, *, again: bool = False) -> list[Availability]:
        """What an open site has of the software that its recipes need, a row for each recipe. Blocks.

        Args:
            again: look, even if nothing changed since the last look over this connection, and read the site's own
                recipes again.

        Raises:
            LinkError: the site did not answer.
        """
        profile, recipes, transport = self.profile(name), self.recipes(name, connection), connection.transport
        if again:
            recipes.read_again()
        asked = (profile.software, profile.batch.login_shell, tuple(recipes.values()))
        with self._lock:
            known = self._software.get(name)
        if known is None or known[0] is not transport or known[1] != asked or again:
            known = (transport, asked, availability(transport, profile, recipes.values()))
            with self._lock:
                self._software[name] = known
        return known[2]

    def look_around(self, name: str, connection: Connection, *, always: bool = False) -> Findings | None:
        """What an open site has that its profile leaves open; ``None``: it leaves nothing open. Blocks.

        ``always``: look, whatever the profile says.

        Raises:
            LinkError: the site did not answer.
        """
        profile = self.catalogue.site(name).profile
        return probe(connection.transport, profile) if always or open_values(profile) else None

    def learn(self, name: str, found: Findings) -> None:
        """As :meth:`SiteCatalogue.learn`."""
        self.catalogue.learn(name, found)

    def _note_use(self, name: str, state: ConnectionState, _reason: BeamsideError | None) -> None:
        if state is ConnectionState.CONNECTED:
            self.catalogue.note_use(name)

    def _all(self) -> list[SiteProfile]:
        return [self.catalogue.profile(name) for name in self.catalogue.names()]

    def _sign_in_with(self, moonshot: MoonshotSession, name: str, interaction: Interaction) -> Identity:
        """Only a server can say whether the home institution's account is good."""
        if moonshot.identity is None:
            self.transport(name, interaction).close()
        if moonshot.identity is None:
            raise UsageError(f"“{name}” let you in without the account of your home institution.",
                             remedy=f"Just use it: beamside ls {name}:PATH")
        return moonshot.identity

    def _session(self, profile: SiteProfile) -> OidcSession | None:
        settings = profile.identity
        if settings.method is not IdentityMethod.OIDC or not settings.issuer:
            return None
        from app.remote.signin.oidc import OidcSession, session_key

        key = session_key(settings)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = OidcSession(profile.name, settings)
            session = self._sessions[key]
            session.only_by_code |= any(authority.kind == "step-ca" for authority in _authorities([profile]))
            return session


def _leave_gateways(locks_keys: bool = False) -> None:
    """Log out of gateways that are only kept for the next connection. ``locks_keys``: forget unlocked keys as well."""
    if "app.remote.ssh.shared_gateways" in sys.modules:      # else there was no connection
        from app.remote.ssh.shared_gateways import SHARED
        from app.remote.ssh.unlocked_keys import UNLOCKED

        SHARED.close_idle()
        if locks_keys:
            UNLOCKED.forget()


def _authorities(profiles: Iterable[SiteProfile]) -> list[CertificateAuthority]:
    return [ssh.certificate_authority for profile in profiles for ssh in (profile.ssh, *profile.ssh.hops)
            if ssh.certificate_authority is not None]


def _revoke_certificates(session: OidcSession, profiles: Iterable[SiteProfile]) -> list[str]:
    """Why certificates of a sign-in stay valid, one sentence for each authority that did not revoke them."""
    authorities = _authorities(profiles)
    if session.identity is None or not authorities:
        return []
    from app.remote.ssh.authority.holder import revoke_certificates

    return revoke_certificates(authorities, session.access_token)


def _check_host(profile: SiteProfile) -> None:
    """A facility of which no host is known is no network that fails."""
    if profile.needs_host:
        raise UsageError(f"On which host {profile.label} lets you log in is not publicly known.",
                         remedy=f"Ask the facility. Then: beamside sites export {profile.name} -o {profile.name}.toml, "
                                f"write host = \"…\" under [ssh] there, and: beamside sites add {profile.name}.toml")


@contextmanager
def _demo_is_up(profile: SiteProfile) -> Iterator[None]:
    """A demo facility that nobody started is told as such, instead of as a network that failed."""
    try:
        yield
    except (SignInError, LinkError) as error:
        if profile.name != DEMO_NAME or _listens(profile.ssh.host, profile.ssh.port):
            raise
        raise UnreachableError("The demo facility is not running.", error.detail or error.summary,
                               "Start it with “beamside demo”, or “beamside facility start”.") from error


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2.0).close()
    except OSError:
        return False
    return True
