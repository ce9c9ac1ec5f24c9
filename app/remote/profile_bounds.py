"""What values of a site profile may be, beyond their types: one clear sentence for each fault. Pure."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable
from typing import Any

from app.model.site import IdentityMethod, MoonshotSettings, SiteProfile, SshSettings

Fault = Callable[[str, str, str], Exception]

PLACEHOLDERS = ("beamline", "beamtime", "cycle", "date", "eaccount", "experiment", "group", "instrument", "pgroup",
                "proposal", "run", "session", "user", "visit", "year")
SOURCE_WORDS = ("doc: …", "third-party: …", "unverified", "probed …")
_SOURCE = re.compile(r"(doc: \S|third-party: \S|probed \S|unverified)")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_ADDRESS_6 = re.compile(r"\[?[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(%[A-Za-z0-9]+)?\]?")
_USER = re.compile(r"[^\s@:/\\'\"`$;&|<>(){}-][^\s@:/\\'\"`$;&|<>(){}]*")
_OID = re.compile(r"1\.3\.6\.1\.5\.5\.15\.1\.1\.\d{1,3}")
_REDIRECT_PATH = re.compile(r"(/[A-Za-z0-9._~/-]{0,200})?")
_MOST_WORKERS = 64


def check_bounds(profile: SiteProfile, fault: Fault) -> None:
    """Raise the first fault; ``fault(key, what is wrong, what is expected)`` makes it."""
    if not _COLOUR.fullmatch(profile.colour):
        raise fault("colour", f"is {profile.colour!r}", "a colour such as #1f77b4")
    _identity(profile, fault)
    _server(profile.ssh, "ssh", fault)
    for number, hop in enumerate(profile.ssh.hops):
        _server(hop, f"ssh.hops[{number}]", fault)
        if not hop.host:
            raise fault(f"ssh.hops[{number}].host", "is missing", "the gateway's host name")
    _numbers(profile, fault)
    _roots(profile, fault)
    _software(profile, fault)
    for key, source in profile.sources.items():
        if not _is_key(key):
            raise fault("sources", f"names “{key}”, which is no key of a profile", "keys such as \"ssh.host\"")
        if not _SOURCE.match(source):
            raise fault("sources", f"says of {key}: {source!r}", f"one of {', '.join(SOURCE_WORDS)}")


def _identity(profile: SiteProfile, fault: Fault) -> None:
    identity = profile.identity
    if not 0 <= identity.redirect_port < 65536:
        raise fault("identity.redirect_port", f"is {identity.redirect_port}", "a number from 0 (any) to 65535")
    if not _REDIRECT_PATH.fullmatch(identity.redirect_path):
        raise fault("identity.redirect_path", f"is {identity.redirect_path!r}", "a path such as /cb, or an empty text")
    _moonshot(identity.moonshot, fault)
    servers = (profile.ssh, *profile.ssh.hops)
    if identity.method is IdentityMethod.MOONSHOT and not any("gssapi" in server.methods for server in servers):
        raise fault("ssh.methods", "has no “gssapi”, although identity.method is “moonshot”", "it among the methods")


def _moonshot(settings: MoonshotSettings, fault: Fault) -> None:
    if not _OID.fullmatch(settings.mechanism):
        raise fault("identity.moonshot.mechanism", f"is {settings.mechanism!r}",
                    "one of Moonshot's, such as 1.3.6.1.5.5.15.1.1.17")
    if settings.ca:
        from cryptography import x509  # slow to load, and rarely wanted

        try:
            x509.load_pem_x509_certificate(settings.ca.encode())
        except ValueError:
            raise fault("identity.moonshot.ca", "is no certificate",
                        "its text, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----") from None
        if not settings.subject:
            raise fault("identity.moonshot.subject", "is missing",
                        "the name in the RADIUS server's certificate, since ca alone trusts every server of it")
    for pin in settings.pins:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", pin.replace(":", "")):
            raise fault("identity.moonshot.pins", f"has {pin!r}", "SHA-256 fingerprints: 64 hexadecimal digits each")


def _server(server: SshSettings, where: str, fault: Fault) -> None:
    host = server.host
    if "@" in host:
        raise fault(f"{where}.host", f"is {host!r}", f"the host only; the name before @ belongs in {where}.user")
    if host and not _ADDRESS_6.fullmatch(host):
        if "://" in host or ":" in host:
            raise fault(f"{where}.host", f"is {host!r}", f"the host only; a port belongs in {where}.port")
        if not _HOST.fullmatch(host) or len(host) > 253:
            raise fault(f"{where}.host", f"is {host!r}", "a host name or an address")
    if server.user and not _USER.fullmatch(server.user):
        raise fault(f"{where}.user", f"is {server.user!r}", "an account's name, without spaces and signs")
    if server.hold_session and where == "ssh":
        raise fault("ssh.hold_session", "is for gateways", "it in a [[ssh.hops]] table")
    if not server.methods:
        raise fault(f"{where}.methods", "is empty", "at least one way to log in")


def _numbers(profile: SiteProfile, fault: Fault) -> None:
    agent = profile.agent
    for key, value, low, high in (("agent.workers", agent.workers, 1, _MOST_WORKERS),
                                  ("agent.threads", agent.threads, 1, 1024),
                                  ("agent.memory_mb", agent.memory_mb, 64, 4_000_000),
                                  ("agent.time_min", agent.time_min, 0, 100_000),
                                  ("agent.cores", agent.cores, 0, 4096),
                                  ("batch.poll_s", profile.batch.poll_s, 0.1, 86_400),
                                  ("batch.cpus", profile.batch.cpus, 0, 4096)):
        if not low <= value <= high:
            raise fault(key, f"is {value:g}", f"a number from {low} to {high}")
    batch = profile.batch
    for name, text in (("parallel_environment", batch.parallel_environment), ("gpu_resource", batch.gpu_resource),
                       ("memory_resource", batch.memory_resource or "none")):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", text):
            raise fault(f"batch.{name}", f"is {text!r}", "a name of the site's Grid Engine, such as \"smp\"")
    if not agent.python or not all(text.strip() for text in agent.python):
        raise fault("agent.python", "has no command", "one or more, such as \"python3\"")


def _roots(profile: SiteProfile, fault: Fault) -> None:
    for root in profile.data.roots:
        if not root.startswith(("/", "~")):
            raise fault("data.roots", f"has {root!r}", "whole paths, beginning with / or ~")
        for name in re.findall(r"\{([^{}]*)\}", root):
            if name not in PLACEHOLDERS:
                raise fault("data.roots", f"has the placeholder {{{name}}}",
                            f"one of {', '.join(f'{{{known}}}' for known in PLACEHOLDERS)}")
        if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", root)):
            raise fault("data.roots", f"has {root!r}", "placeholders in pairs of braces, such as {proposal}")


def _software(profile: SiteProfile, fault: Fault) -> None:
    software = profile.software
    for folder in software.recipes:
        if not folder.startswith(("/", "~/")) or ".." in folder.split("/") or not folder.isprintable():
            raise fault("software.recipes", f"has {folder!r}", "whole paths, beginning with / or ~/")
    for folder in software.binds:
        if not folder.startswith("/") or ".." in folder.split("/") or not folder.strip("/"):
            raise fault("software.binds", f"has {folder!r}", "whole paths of folders, beginning with /")
    for name, image in software.images.items():
        if not image.strip() or image.startswith("-") or not image.isprintable():
            raise fault(f"software.images.{name}", f"is {image!r}", "the path of an image, or its name for podman")
        if not image.startswith("/") and software.containers not in ("", "podman"):
            raise fault(f"software.images.{name}", f"is {image!r}", "a whole path, beginning with /")


def _is_key(key: str) -> bool:
    """Whether ``key`` names a value or a table of a profile."""
    part: Any = SiteProfile
    for word in key.split("."):
        if not (isinstance(part, type) and dataclasses.is_dataclass(part)):
            return typing.get_origin(part) is dict      # environments.saxs
        hints = typing.get_type_hints(part)
        if word not in hints:
            return False
        part = _inner(hints[word])
    return key not in ("name", "sources")


def _inner(hint: Any) -> Any:
    """The dataclass in ``tuple[X, ...]`` or ``X | None``; else the hint itself."""
    for inner in typing.get_args(hint):
        if isinstance(inner, type) and dataclasses.is_dataclass(inner):
            return inner
    return hint
