"""Which servers a connection goes through, first to last: the profile's hops, else the user's own SSH configuration.

Pure: nothing is opened here. What the profile says wins over ``~/.ssh/config``; a command to run on this computer
(``ProxyCommand``) comes from there alone, and names that a shell would understand never get into one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from app.errors import UsageError
from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.ssh.ssh_config import (
    NO_HINTS,
    HostEntry,
    LoginHints,
    command_tokens,
    lookup,
    parse_jump,
    replace_tokens,
)
from app.remote.ssh.ssh_config_file import local_user

_MOST_STOPS = 12
_UNSAFE = re.compile(r"[\s'`\"$\\;&<>|(){}\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Stop:
    """One server on the way, or its end.

    Attributes:
        name: as the profile or the configuration calls it, for sentences; ``host`` and ``port`` are where it is.
        user: empty: from the certificate, or asked.
        authority: the certificate authority for this server; ``None``: the certificate of the site, if it has one.
        hold_session: an interactive session must stay open there (PSI).
        from_profile: the facility's profile names it, rather than the user's own configuration.
        known_hosts, key_name: where its key is looked up, under which name (``""``: host and port).
        command: run on this computer to reach it, ready for the shell; only for the first.
    """

    name: str
    host: str
    port: int = 22
    user: str = ""
    methods: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    authority: CertificateAuthority | None = None
    hold_session: bool = False
    from_profile: bool = True
    hints: LoginHints = NO_HINTS
    known_hosts: tuple[Path, ...] = ()
    key_name: str = ""
    command: str = ""
    family: str = "any"
    bind: str = ""

    @property
    def where(self) -> str:
        """For sentences: the name, with the port if it is not the usual one."""
        return self.name if self.port == 22 else f"{self.name}, port {self.port}"

    def settings(self) -> SshSettings:
        """As a profile's section: what a certificate authority is asked for."""
        return SshSettings(self.host, self.port, self.user, self.methods, self.host_keys, self.authority)


def plan(profile: SiteProfile) -> tuple[Stop, ...]:
    """The servers from this computer to the site's host, which is the last.

    Raises:
        UsageError: a line of the SSH configuration, a name or the way itself cannot be used.
    """
    ssh = profile.ssh
    target, entry = _stop(ssh)
    before: list[Stop] = []
    for index, hop in enumerate(ssh.hops):
        if not hop.host:
            raise UsageError(f"The profile “{profile.name}” has a gateway without a host.",
                             remedy="Name the host of each [[ssh.hops]] in the profile.")
        stop, its_entry = _stop(hop)
        before += _ahead(stop, its_entry, ()) if index == 0 else [stop]
    stops = [*before, target] if ssh.hops else _ahead(target, entry, ())
    if len(stops) > _MOST_STOPS:
        raise UsageError(f"The way to {target.name} leads over more than {_MOST_STOPS - 1} gateways.",
                         remedy="Check the gateways in the site profile and in ~/.ssh/config.")
    return tuple(stops)


def with_jump(stops: tuple[Stop, ...], jump: str, user: str) -> tuple[Stop, ...]:
    """``stops`` with the gateway that a certificate authority names, where nobody else names one.

    Args:
        jump: ``host[:port]``; empty: none.
        user: the certificate's account, which is the gateway's too.
    """
    if not jump or len(stops) > 1 or stops[0].command:
        return stops
    found = parse_jump(jump)
    if found is None:
        raise UsageError(f"The certificate authority names a gateway that cannot be used: {jump!r}.",
                         remedy="Tell the facility's support, or name the gateway in the site profile.")
    hop, _ = _stop(SshSettings(found.host, found.port or 22, found.user or user, ("certificate",)), from_profile=False)
    return (hop, *stops)


def _stop(ssh: SshSettings, from_profile: bool = True) -> tuple[Stop, HostEntry]:
    """One server with what the configuration adds. Port 22 in a profile is as good as not said."""
    name = _plain(ssh.host)
    _check(name, "host name")
    entry = lookup(name, 0 if ssh.port == 22 else ssh.port, ssh.user)
    host, port, user = _plain(entry.host_name), entry.port or ssh.port, entry.user
    if not user and (entry.named or not from_profile):
        user = local_user()   # as ssh does, for hosts that the person has set up for it
    _check(host, "host name")
    _check(user, "user name")
    return Stop(name, host, port, user, ssh.methods, ssh.host_keys, ssh.certificate_authority, ssh.hold_session,
                from_profile, entry.hints, entry.known_hosts, entry.host_key_alias, "", entry.family,
                entry.bind_address), entry


def _ahead(stop: Stop, entry: HostEntry, seen: tuple[str, ...]) -> list[Stop]:
    """``stop`` with the servers that the user's configuration puts before it."""
    if stop.name in seen or len(seen) > _MOST_STOPS:
        raise UsageError(f"The way to {seen[0]} leads in a circle: {' → '.join((*seen, stop.name))}.",
                         remedy="Correct ProxyJump in ~/.ssh/config.")
    if entry.proxy_command:
        tokens = command_tokens(stop.name, stop.host, stop.port, stop.user or local_user())
        return [replace(stop, command=replace_tokens(entry.proxy_command, tokens))]
    jumps = entry.proxy_jump
    if [jump.host for jump in jumps] == [stop.name]:   # “Host *” with a ProxyJump to itself
        return [stop]
    before: list[Stop] = []
    for index, jump in enumerate(jumps):
        settings = SshSettings(jump.host, jump.port or 22, jump.user)
        hop, its_entry = _stop(settings, from_profile=False)
        before += _ahead(hop, its_entry, (*seen, stop.name)) if index == 0 else [hop]
    return [*before, stop]


def _plain(host: str) -> str:
    """A literal IPv6 address without its brackets."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def _check(name: str, what: str) -> None:
    if name.startswith("-") or _UNSAFE.search(name):
        raise UsageError(f"{name!r} cannot be a {what}.", remedy="Correct the site profile, or ~/.ssh/config.")
