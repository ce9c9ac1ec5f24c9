"""The sites a user knows, and everything that is opened for one of them.

Profiles come from ``resources/facilities``, the user's own (``sites/`` in the configuration folder) and those given at
start (the demo's). ``Sites`` owns the sign-in sessions, one per (issuer, client), shared by all sites that use it.
Blocking methods run on the caller's thread: a worker of the window's pool, or the command line. No Qt.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app import paths
from app.errors import DataError, LinkError, SignInError, UnreachableError, UsageError
from app.model.identity import Identity, SignedOut
from app.model.site import LOCAL, IdentityMethod, SiteProfile
from app.recipes.catalogue import shipped_recipes
from app.remote.allocation import place_of
from app.remote.connection import Connection
from app.remote.jobs import JobService
from app.remote.local_transport import LocalTransport
from app.remote.moonshot.sites import MoonshotSessions, connected
from app.remote.profiles import parse_profile
from app.remote.seams import Interaction, Transport
from app.resources import resource_path

if TYPE_CHECKING:   # half a second of libraries that commands on this computer do without
    from app.remote.moonshot.session import MoonshotSession
    from app.remote.signin.oidc import OidcSession

DEMO_NAME = "demo"


class Sites:
    """All known sites by name; ``local`` is always one."""

    def __init__(self, given: tuple[SiteProfile, ...] = (),
                 accepted_fingerprints: frozenset[str] = frozenset()) -> None:
        self._given = {profile.name: profile for profile in given}
        self._accepted = accepted_fingerprints
        self._sessions: dict[tuple[str, str], OidcSession] = {}
        self._moonshot = MoonshotSessions()
        self._lock = threading.Lock()
        self.faults: list[UsageError] = []
        self._profiles: dict[str, SiteProfile] = {}
        self._files: dict[str, Path] = {}
        self.reload()

    def reload(self) -> None:
        """Read all profiles again; a broken one is left out and its sentence kept in ``faults``."""
        self.faults = []
        found = {LOCAL.name: LOCAL}
        files: dict[str, Path] = {}
        for folder in (resource_path("facilities"), paths.config_dir() / "sites"):
            for file in sorted(folder.glob("*.toml")):
                try:
                    profile = read_profile(file)
                except UsageError as error:
                    self.faults.append(error)
                    continue
                found[profile.name], files[profile.name] = profile, file
        found.update(self._given)
        self._profiles, self._files = found, files

    def names(self) -> list[str]:
        """``local`` first, then by name."""
        return sorted(self._profiles, key=lambda name: (name != LOCAL.name, name))

    def profile(self, name: str) -> SiteProfile:
        """The profile called ``name``.

        Raises:
            UsageError: no such site.
        """
        try:
            return self._profiles[name]
        except KeyError:
            known = ", ".join(self.names())
            raise UsageError(f"There is no site called “{name}”.",
                             remedy=f"Known sites: {known}. Add one with: beamside sites add FILE") from None

    def file(self, name: str) -> Path | None:
        """The file a profile was read from; ``None`` for the built-in site and the demo's."""
        return self._files.get(name)

    def add(self, file: Path) -> SiteProfile:
        """Take a profile into the user's own.

        Raises:
            UsageError: what is wrong with it.
            DataError: the configuration folder cannot be written.
        """
        profile = read_profile(file)
        folder = paths.config_dir() / "sites"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{profile.name}.toml").write_text(file.read_text("utf-8"), "utf-8")
        except OSError as error:
            raise DataError(f"The site profile cannot be stored in {folder}: {error.strerror or error}.",
                            remedy="Name another configuration folder with --config.") from None
        self.reload()
        return profile

    def give(self, profile: SiteProfile) -> None:
        """Know a profile for this run only (the demo facility's)."""
        self._given[profile.name] = profile
        self.reload()

    def remove(self, name: str) -> None:
        """Forget one of the user's own profiles, a broken one too."""
        own = {file.stem: file for file in (paths.config_dir() / "sites").glob("*.toml")}
        if name not in own:
            self.profile(name)   # says so when there is no such site at all
            raise UsageError(f"“{name}” is not one of your own sites, so it cannot be removed.",
                             remedy="Those added with “beamside sites add” can be.")
        try:
            own[name].unlink()
        except OSError as error:
            raise DataError(f"The site profile {own[name]} cannot be removed: {error.strerror or error}.",
                            remedy="Remove the file yourself.") from None
        self.reload()

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
            raise UsageError(f"“{name}” has no sign-in of its own.", remedy="Just use it: beamside ls SITE:PATH")
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
        return SignedOut(tuple(p.name for p in self._profiles.values() if self._session(p) is session),
                         session.sign_out())

    def sign_out_everywhere(self, name: str) -> SignedOut:
        """End the person's sign-in at the provider of a site: for all sites that use it, whatever they call themselves
        there, and their certificates and keys. What remains is the provider's session in the browser: open ``page``.
        """
        profile = self.profile(name)
        asked = self._session(profile)
        if asked is None:
            return self.end_sign_in(name)
        users = [p for p in self._profiles.values() if self._session(p) is not None
                 and p.identity.issuer.rstrip("/") == profile.identity.issuer.rstrip("/")]
        sessions = {id(session): session for p in users if (session := self._session(p)) is not None}
        left = [text for session in sessions.values() for text in _revoke_certificates(
            session, [p for p in users if self._session(p) is session])]
        revoked = [session.sign_out() for session in sessions.values()]
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

    def open(self, name: str, interaction: Interaction) -> Connection:
        """A connection to a site, not yet opened: ``Connection.open()`` starts it."""
        profile = self.profile(name)
        return Connection(profile, lambda: self.transport(name, interaction), place=place_of(profile, interaction.say))

    def transport(self, name: str, interaction: Interaction) -> Transport:
        """Sign in if needed and connect. Blocks."""
        profile = self.profile(name)
        if profile.is_local:
            return LocalTransport()
        from app.remote.ssh.connect import open_ssh

        session = self._session(profile)
        moonshot = self._moonshot.of(profile)
        with _demo_is_up(profile):
            if moonshot is None:
                return open_ssh(profile, interaction, session, self._accepted)
            return connected(profile, moonshot, interaction, lambda: open_ssh(
                profile, interaction, session, self._accepted, moonshot=moonshot))

    def jobs(self, name: str, connection: Connection) -> JobService:
        """The batch system of a site, over an open connection."""
        return JobService(self.profile(name), lambda: connection.transport, shipped_recipes())

    def _sign_in_with(self, moonshot: MoonshotSession, name: str, interaction: Interaction) -> Identity:
        """Only a server can say whether the home institution's account is good."""
        if moonshot.identity is None:
            self.transport(name, interaction).close()
        if moonshot.identity is None:
            raise UsageError(f"“{name}” let you in without the account of your home institution.",
                             remedy="Just use it: beamside ls SITE:PATH")
        return moonshot.identity

    def _session(self, profile: SiteProfile) -> OidcSession | None:
        settings = profile.identity
        if settings.method is not IdentityMethod.OIDC or not settings.issuer:
            return None
        from app.remote.signin.oidc import OidcSession

        key = (settings.issuer, settings.client_id)
        with self._lock:
            if key not in self._sessions:
                self._sessions[key] = OidcSession(profile.name, settings)
            return self._sessions[key]


def _revoke_certificates(session: OidcSession, profiles: Iterable[SiteProfile]) -> list[str]:
    """Why certificates of a sign-in stay valid, one sentence for each authority that did not revoke them."""
    authorities = [ssh.certificate_authority for profile in profiles for ssh in (profile.ssh, *profile.ssh.hops)
                   if ssh.certificate_authority is not None]
    if session.identity is None or not authorities:
        return []
    from app.remote.ssh.authority.holder import revoke_certificates

    return revoke_certificates(authorities, session.access_token)


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


def read_profile(file: Path) -> SiteProfile:
    """Read one profile from a file.

    Raises:
        UsageError: it cannot be read, or has a fault.
    """
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise UsageError(f"There is no file {file}.", remedy="Check the path of the site profile.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The site profile {file} cannot be read.", detail=str(error),
                         remedy="It must be a text file (TOML, UTF-8) that you may read.") from None
    return parse_profile(text, file.name)
