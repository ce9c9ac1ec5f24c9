"""From a site profile to an open SSH connection: certificates, then server after server to the site's host.

Blocking, on a worker thread. Certificates come first, since a person may take longer to sign in than a server waits for
a login. At each server, in this order: reach it, check its key, log in. It never reconnects; the caller does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.errors import CancelledByUserError, LinkError, ProviderError, SignInError, UnreachableError
from app.model.site import SiteProfile
from app.remote import proxies
from app.remote.moonshot.session import MoonshotSession
from app.remote.seams import Interaction
from app.remote.ssh.authority.holder import TokenSource, holder_of
from app.remote.ssh.authority.offer import parted
from app.remote.ssh.dial import acknowledging, dial
from app.remote.ssh.first_command import Link
from app.remote.ssh.gateways import Gateway, UnresponsiveGatewayError
from app.remote.ssh.handshake import negotiate
from app.remote.ssh.host_keys import HostKeys
from app.remote.ssh.login import Credentials, log_in
from app.remote.ssh.route import Stop, plan, with_jump
from app.remote.ssh.shared_gateways import SHARED, Lease
from app.remote.ssh.token_login import TokenLogin
from app.remote.ssh.transport import Parent, SshTransport
from app.remote.ssh.tunnel import Command, through_proxy
from app.remote.ssh.user_names import UserNames

Watcher = Callable[[str, Stop], None]
_LOG = logging.getLogger(__name__)


def open_ssh(profile: SiteProfile, interaction: Interaction, identity: TokenSource | None,
             accepted_fingerprints: frozenset[str] = frozenset(), watcher: Watcher | None = None,
             moonshot: MoonshotSession | None = None, names: UserNames | None = None) -> SshTransport:
    """Connect and log in to a site, through its gateways if it has any.

    Args:
        identity: the sign-in session (``OidcSession``) for certificates; ``None``: the other login methods only.
        accepted_fingerprints: ``SHA256:…`` of host keys the caller vouches for, gateways' too.
        watcher: told of each thing that is done, at whose server: ``reached``, ``ssh`` (it speaks it), ``host_key``,
            ``login``, ``session`` (held open at a gateway).
        moonshot: the home institution's account, for servers that take it.
        names: what was typed when this connection was made before; names that are let in are added.

    Raises:
        LinkError: a server on the way cannot be reached, is not the one known, does not forward, or hung up.
        SignInError: one did not let us in, or no certificate could be had.
        UsageError: the profile or the user's SSH configuration has a fault.
        CancelledByUserError: the person gave up.
    """
    journey = _Journey(profile, interaction, identity, accepted_fingerprints, watcher or (lambda what, stop: None),
                       moonshot, names or UserNames())
    return journey.go()


@dataclass(frozen=True)
class _Leg:
    """A server with who we are there."""

    stop: Stop
    user: str
    credentials: Credentials


class _Journey:
    """One way to one site, from the first server to the last."""

    def __init__(self, profile: SiteProfile, interaction: Interaction, identity: TokenSource | None,
                 accepted: frozenset[str], watcher: Watcher, moonshot: MoonshotSession | None,
                 names: UserNames) -> None:
        self._profile = profile
        self._interaction = interaction
        self._identity = identity
        self._accepted = accepted
        self._watcher = watcher
        self._moonshot = moonshot
        self._names = names
        self._typed: tuple[str, str] | None = None
        self._legs: list[_Leg] = []

    def go(self) -> SshTransport:
        """To the end of the way."""
        self._legs = self._prepare()
        last = len(self._legs) - 1
        stop = self._legs[last].stop
        started = time.monotonic()
        link, parents = self._arrive(last)
        _LOG.info("connected to %s over %d gateways in %.0f ms (%s)", stop.name, last,
                  1000 * (time.monotonic() - started), link.remote_version)
        return SshTransport(link, stop.name, parents)

    def _prepare(self) -> list[_Leg]:
        """Certificates and user names for all servers, before the first of them begins to wait."""
        stops = plan(self._profile)
        mine = self._credentials(stops[-1], None)
        if mine.certificate is not None:
            host, port = parted(mine.certificate.hostname)
            if host:   # the profile calls it by the authority's alias
                stops = (*stops[:-1], replace(stops[-1], host=host, port=port or stops[-1].port))
            stops = with_jump(stops, mine.certificate.proxy_jump, mine.certificate.user)
        legs = []
        for stop in stops:
            credentials = mine if stop is stops[-1] else self._credentials(stop, mine)
            if self._moonshot is not None and stop.from_profile:
                credentials = replace(credentials, moonshot=self._moonshot.at(stop.host))
            legs.append(_Leg(stop, self._user(stop, credentials), credentials))
        return legs

    def _credentials(self, stop: Stop, of_site: Credentials | None) -> Credentials:
        """``of_site``: what gateways without an authority of their own use."""
        token = self._token_for(stop)
        if self._identity is None or "certificate" not in stop.methods:
            return Credentials(token=token)
        if stop.authority is None:
            return replace(of_site, token=token) if of_site is not None else Credentials(token=token)
        profile = replace(self._profile, ssh=stop.settings())
        try:
            self._identity.access_token(self._interaction)   # first: a new sign-in clears what ``derived`` held
            holder = holder_of(self._identity, profile)
            certificate = holder.certificate(profile, self._identity, self._interaction)
        except (SignInError, LinkError) as error:
            others = [method for method in stop.methods if method != "certificate"]
            if not others or not isinstance(error, ProviderError):
                raise
            self._interaction.say(f"{error.summary} Trying the other ways to log in.")
            return Credentials(problem=error, token=token)
        return Credentials(certificate, holder.login_key(certificate), token=token)

    def _token_for(self, stop: Stop) -> TokenLogin | None:
        """The access token for prompts of a server that the profile names; no other server gets it."""
        settings = self._profile.identity
        named = {ssh.host.strip("[]") for ssh in (self._profile.ssh, *self._profile.ssh.hops)}
        if self._identity is None or not settings.issuer or not stop.from_profile or stop.name not in named:
            return None
        return TokenLogin(self._identity, stop.name, settings.issuer, settings.ca_file, settings.audience)

    def _user(self, stop: Stop, credentials: Credentials) -> str:
        if stop.user:
            return stop.user
        if credentials.certificate is not None:
            return credentials.certificate.user
        if credentials.token is not None and "keyboard-interactive" in stop.methods:
            user = credentials.token.user(self._interaction)
            if user:
                return user
        return self._names.at(stop.host, stop.port) or self._ask_name(stop)

    def _ask_name(self, stop: Stop) -> str:
        """What the person calls themselves at a server; an empty answer: as at the gateway before it."""
        before, known = self._typed or ("", "")
        words = f"Leave it empty if you are “{known}” there too, as at {before}." if known else ""
        answers = self._interaction.answer_prompts(stop.name, f"Log in to {stop.name}", words, [("User name", True)])
        name = answers[0].strip() or known if answers else ""
        if not name:
            raise CancelledByUserError(f"The user name at {stop.name} is missing.",
                                       remedy="Write it into the site profile (ssh.user; a gateway's: user of its "
                                              "ssh.hops), or answer the question.")
        self._typed = (stop.name, name)
        return name

    def _arrive(self, index: int) -> tuple[Link, list[Parent]]:
        """Logged in at one server of the way; with what leads there, nearest first."""
        stop = self._legs[index].stop
        known = HostKeys(stop.host, stop.port, stop.host_keys, self._accepted, user_files=stop.known_hosts,
                         alias=stop.key_name, gateway=index < len(self._legs) - 1)
        link, parents = self._reach(index, known)
        began = time.monotonic()
        try:
            known.check(link.get_remote_server_key(), self._interaction)
            if not link.is_active():   # the server gave up while the person was comparing fingerprints
                _close(link, parents)
                link, parents = self._reach(index, known)
                began = time.monotonic()
                known.check(link.get_remote_server_key(), self._interaction)
            self._watcher("host_key", stop)
            leg = self._legs[index]
            log_in(link, stop.name, leg.user, stop.methods, leg.credentials, self._interaction, time.time(), stop.hints,
                   began)
            self._names.keep(stop.host, stop.port, leg.user)
            self._watcher("login", stop)
        except BaseException:
            _close(link, parents)
            raise
        return link, parents

    def _reach(self, index: int, known: HostKeys) -> tuple[Link, list[Parent]]:
        """SSH is spoken with a server, whose key is not yet checked."""
        stop = self._legs[index].stop
        sock, parents, via = self._socket(index)
        self._watcher("reached", stop)
        try:
            link = negotiate(sock, stop, known.preferred_types, self._interaction.cancelled, via)
        except BaseException as error:
            explained = parents[0].explain(error) if isinstance(error, LinkError) and parents \
                and isinstance(parents[0], Command) else error
            _close(None, parents)
            raise explained from None
        self._watcher("ssh", stop)
        return link, parents

    def _socket(self, index: int) -> tuple[Any, list[Parent], str]:
        """Bytes to and from a server; what they go through; the gateway's name for sentences."""
        stop = self._legs[index].stop
        what = "the gateway " if index < len(self._legs) - 1 else ""
        if index == 0:
            self._interaction.say(f"Connecting to {what}{stop.name}…")
            if stop.command:
                command = Command(stop.command, stop.name)
                return command.sock, [command], ""
            sock = self._out(stop)
            return acknowledging(sock) if what else sock, [], ""
        before = self._legs[index - 1].stop
        parent, shared = self._gateway(index - 1)
        self._interaction.say(f"Connecting to {what}{stop.name}…")
        try:
            return self._forward(parent, stop), [parent], f"the gateway {before.name}"
        except UnresponsiveGatewayError:
            if not shared or not isinstance(parent, Lease):
                parent.close()
                raise
            SHARED.drop(parent)   # it was left from before, and may have died without a word
        except BaseException:
            parent.close()
            raise
        parent, _ = self._gateway(index - 1)
        try:
            return self._forward(parent, stop), [parent], f"the gateway {before.name}"
        except BaseException:
            parent.close()
            raise

    def _forward(self, parent: Gateway | Lease, stop: Stop) -> Any:
        gateway = parent.gateway if isinstance(parent, Lease) else parent
        return gateway.forward(stop.host, stop.port, stop.where, self._interaction.cancelled)

    def _gateway(self, index: int) -> tuple[Gateway | Lease, bool]:
        """The gateway of one stop, and whether it is one that was there before."""
        stop = self._legs[index].stop
        if not stop.hold_session:
            return self._new_gateway(index), False
        key = tuple((leg.stop.host, leg.stop.port, leg.user, leg.stop.command) for leg in self._legs[:index + 1])
        lease, shared = SHARED.borrow(key, lambda: self._new_gateway(index), self._interaction.cancelled)
        if shared:   # opened for somebody else, who may have known another key
            try:
                HostKeys(stop.host, stop.port, stop.host_keys, self._accepted, user_files=stop.known_hosts,
                         alias=stop.key_name, gateway=True).check(lease.gateway.link.get_remote_server_key(),
                                                                  self._interaction)
            except BaseException:
                lease.close()
                raise
        return lease, shared

    def _new_gateway(self, index: int) -> Gateway:
        leg = self._legs[index]
        link, parents = self._arrive(index)
        gateway = Gateway(link, leg.stop, leg.credentials.certificate, parents)
        if leg.stop.hold_session:
            try:
                gateway.hold_session()
            except BaseException:
                gateway.close()
                raise
            self._watcher("session", leg.stop)
        return gateway

    def _out(self, stop: Stop) -> Any:
        """A connection from this computer: directly or through a proxy."""
        proxy = proxies.for_ssh(stop.host)
        if proxy is not None:
            return through_proxy(proxy, stop, self._interaction)
        try:
            return dial(stop.host, stop.port, where=stop.where, cancelled=self._interaction.cancelled,
                        family=stop.family, bind=stop.bind)
        except UnreachableError as error:
            proxy = proxies.fallback_for_ssh(stop.host)
            if proxy is None:
                raise
            self._interaction.say(f"{error.summary} Trying the proxy {proxy.name}.")
            try:
                return through_proxy(proxy, stop, self._interaction)
            except UnreachableError as other:
                raise UnreachableError(f"{error.summary} {other.summary}", f"{error.detail}\n{other.detail}".strip(),
                                       other.remedy) from None


def _close(link: Link | None, parents: Sequence[Parent]) -> None:
    if link is not None:
        link.close()
    for parent in parents:
        parent.close()
