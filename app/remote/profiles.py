"""Reads site profiles (docs/site-profile.md): TOML text to :class:`SiteProfile`, one clear sentence per fault.

Pure functions; which files there are is ``remote.sites``' business.
"""

from __future__ import annotations

import copy
import dataclasses
import re
import tomllib
import typing
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from app.errors import UsageError
from app.model.site import (
    LOCAL_NAME,
    AgentSettings,
    BatchSettings,
    CertificateAuthority,
    DataSettings,
    IdentitySettings,
    MoonshotSettings,
    SiteProfile,
    SoftwareSettings,
    SshSettings,
)
from app.remote.profile_bounds import check_bounds

SCHEMA = 1
_NAME = re.compile(r"^[a-z0-9][a-z0-9-]+$")
_LOGIN_METHODS = {"certificate", "agent", "key", "keyboard-interactive", "gssapi"}
_CHOICES: dict[str, set[str]] = {
    "agent.run": {"login", "batch"},
    "identity.redirect_host": {"127.0.0.1", "localhost"},
    "batch.system": {"", "slurm", "gridengine", "pbs", "direct"},
    "software.containers": {"", "apptainer", "ch-run", "podman", "none"},
    "ssh.certificate_authority.kind": {"conch", "cscs", "step-ca", "oinit"},
}
_RESERVED = {LOCAL_NAME}
_MOST_FAULTS = 50
_TYPE_WORDS: dict[Any, str] = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
_T = typing.TypeVar("_T")


class ProfileError(UsageError):
    """A profile that cannot be used; the summary names file, key, what is wrong and what is expected.

    Attributes:
        key: the value at fault, ``ssh.port`` or ``ssh.hops[0].host``; empty: the text is no TOML.
        line: the line at fault, from 1, if the text is no TOML; else 0.
        sentence: the summary without the file.
    """

    def __init__(self, source: str, sentence: str, remedy: str, *, key: str = "", line: int = 0) -> None:
        super().__init__(f"{source}: {sentence}", remedy=remedy)
        self.key = key
        self.line = line
        self.sentence = sentence


def parse_profile(text: str, source: str) -> SiteProfile:
    """Read one profile.

    Args:
        text: the TOML text.
        source: the file's name, for the error sentence.

    Raises:
        ProfileError: the first fault found.
    """
    return _profile(_table(text, source), _Faults(source))


def faults_in(text: str, source: str) -> list[ProfileError]:
    """Every fault of a text, first to last; empty: it is a good profile.

    What is at fault is taken out and the rest read again, so that one fault hides no other.
    """
    try:
        table = _table(text, source)
    except ProfileError as error:
        return [error]
    found: list[ProfileError] = []
    while len(found) < _MOST_FAULTS:
        try:
            _profile(copy.deepcopy(table), _Faults(source))
            break
        except ProfileError as error:
            found.append(error)
            if not _without(table, error.key):
                break
    return found


def _without(table: dict[str, Any], key: str) -> bool:
    """Take what is at fault out of ``table``; whether reading on makes sense."""
    if key in ("schema", "name"):
        table[key] = SCHEMA if key == "schema" else "unnamed"
        return True
    part: Any = table
    path = [int(word) if word.isdigit() else word for word in re.findall(r"[^.\[\]]+", key)]
    for word in path[:-1]:
        try:
            part = part[word]
        except (KeyError, IndexError, TypeError):
            return False
    if path and path[-1] == "host" and "hops" in path and isinstance(part, dict) and part.get("host") != "a.host":
        part["host"] = "a.host"     # a gateway has to have one
        return True
    if isinstance(part, dict) and path and path[-1] in part:
        del part[path[-1]]
        return True
    return False


def _table(text: str, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else len(text.splitlines())
        raise ProfileError(source, f"this is not valid TOML: {error}.", "Mend the file and try again.",
                           line=line) from None


def _profile(table: dict[str, Any], fault: _Faults) -> SiteProfile:
    if table.pop("schema", None) != SCHEMA:
        raise fault("schema", f"must be {SCHEMA}", "the version of the profile's format")
    parts: dict[str, Any] = {
        "identity": _identity(table.pop("identity", {}), fault),
        "ssh": _ssh(table.pop("ssh", {}), fault, "ssh"),
        "agent": _section(AgentSettings, table.pop("agent", {}), "agent", fault),
        "batch": _section(BatchSettings, table.pop("batch", {}), "batch", fault),
        "data": _section(DataSettings, table.pop("data", {}), "data", fault),
        "software": _section(SoftwareSettings, table.pop("software", {}), "software", fault),
    }
    profile = _section(SiteProfile, table | parts, "", fault)
    if not _NAME.match(profile.name):
        raise fault("name", f"is {profile.name!r}", "two or more of a-z, 0-9 and -")
    if profile.name in _RESERVED:
        raise fault("name", f"is {profile.name!r}", "a name other than the built-in site's")
    check_bounds(profile, fault)
    return profile


class _Faults:
    def __init__(self, source: str) -> None:
        self._source = source

    def __call__(self, key: str, wrong: str, expected: str) -> ProfileError:
        return ProfileError(self._source, f"{key} {wrong}; expected {expected}.",
                            "Mend the profile, or ask the facility for a new one.", key=key)


def _identity(table: Any, fault: _Faults) -> IdentitySettings:
    if isinstance(table, dict) and "moonshot" in table:
        table = {**table, "moonshot": _section(MoonshotSettings, table["moonshot"], "identity.moonshot", fault)}
    identity = _section(IdentitySettings, table, "identity", fault)
    if identity.issuer and urlsplit(identity.issuer).scheme != "https":
        raise fault("identity.issuer", f"is {identity.issuer!r}", "an https address")
    return identity


def _ssh(table: Any, fault: _Faults, where: str) -> SshSettings:
    if not isinstance(table, dict):
        raise fault(where, "is not a table", "a table")
    table = dict(table)
    hops = table.pop("hops", [])
    if not isinstance(hops, list) or (hops and where != "ssh"):
        raise fault(f"{where}.hops", "is not a list of tables", "[[ssh.hops]] tables, not nested")
    table["hops"] = tuple(_ssh(hop, fault, f"{where}.hops[{i}]") for i, hop in enumerate(hops))
    authority = table.pop("certificate_authority", None)
    if authority is not None:
        where_ca = f"{where}.certificate_authority"
        table["certificate_authority"] = ca = _section(CertificateAuthority, authority, where_ca, fault)
        if urlsplit(ca.url).scheme != "https" and (ca.url or ca.kind != "oinit"):   # oinit's may be found by name
            raise fault(f"{where_ca}.url", f"is {ca.url!r}", "an https address")
    settings = _section(SshSettings, table, where, fault)
    if not 0 < settings.port < 65536:
        raise fault(f"{where}.port", f"is {settings.port}", "a number from 1 to 65535")
    for method in settings.methods:
        if method not in _LOGIN_METHODS:
            raise fault(f"{where}.methods", f"names {method!r}", f"some of {', '.join(sorted(_LOGIN_METHODS))}")
    for line in settings.host_keys:
        if len(line.split()) < 2:
            raise fault(f"{where}.host_keys", f"has the line {line!r}",
                        "known_hosts lines without the host: type and key")
    return settings


def _section(cls: type[_T], table: Any, where: str, fault: _Faults) -> _T:
    """Build a frozen dataclass from a TOML table, checking every key and type."""
    if not isinstance(table, dict):
        raise fault(where, "is not a table", "a table")
    hints = typing.get_type_hints(cls)
    prefix = f"{where}." if where else ""
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise fault(f"{prefix}{key}", "is not a known key", f"one of {', '.join(sorted(known))}")
        values[key] = _convert(value, hints[key], prefix + key, fault)
    if where == "" and "name" not in values:
        raise fault("name", "is missing", "two or more of a-z, 0-9 and -")
    return cls(**values)


def _convert(value: Any, hint: Any, key: str, fault: _Faults) -> Any:
    if dataclasses.is_dataclass(value):
        return value
    if isinstance(hint, type) and issubclass(hint, Enum):
        try:
            return hint(value)
        except ValueError:
            raise fault(key, f"is {value!r}", f"one of {', '.join(str(m.value) for m in hint)}") from None
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            raise fault(key, f"is {value!r}", "a list")
        inner = typing.get_args(hint)[0]
        return tuple(_convert(item, inner, key, fault) for item in value)
    if typing.get_origin(hint) is dict:
        if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
            raise fault(key, "is not a table of texts", "name = \"command\" lines")
        return dict(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    expected = _TYPE_WORDS.get(hint)
    if expected is not None and (not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool)):
        raise fault(key, f"is {value!r}", expected)
    if key in _CHOICES and value not in _CHOICES[key]:
        raise fault(key, f"is {value!r}", f"one of {', '.join(sorted(c for c in _CHOICES[key] if c))}")
    return value
