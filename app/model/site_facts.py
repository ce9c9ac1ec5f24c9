"""Each value of a site profile with where it comes from, for people. Pure."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app.model.site import IdentityMethod, SiteProfile

PROBED = "probed"
_NO_FACTS = {"name", "title", "verified", "contact", "colour", "sources"}    # what a profile calls itself
_STATES = (("doc:", "documented"), ("third-party:", "third-party"), (PROBED, "probed"), ("unverified", "unverified"))


@dataclass(frozen=True)
class SiteFact:
    """One value of a profile.

    Attributes:
        key: as in the file: ``ssh.host``; ``ssh.hops[0].port`` for the first gateway's.
        value: as text; empty: not known.
        source: where it comes from, as the profile says; empty: nowhere said.
        state: ``documented``, ``third-party``, ``unverified``, ``probed``, ``own`` (the user's word), ``default``
            (nobody said it: what the program assumes) or ``unknown``.
    """

    key: str
    value: str
    source: str
    state: str


def source_of(profile: SiteProfile, key: str) -> str:
    """Where a value comes from: what is said of it, of the table around it, or of the whole profile."""
    plain = re.sub(r"\[\d+\]", "", key)
    while plain:
        if plain in profile.sources:
            return profile.sources[plain]
        plain = plain.rpartition(".")[0]
    return profile.verified


def state_of(source: str) -> str:
    """The word for a source; what has none was written by the user."""
    return next((state for begin, state in _STATES if source.startswith(begin)), "own")


def facts_of(profile: SiteProfile) -> list[SiteFact]:
    """All values in the order of the file; gateways one by one."""
    found = []
    for key, value, default in _values(profile, ""):
        if not _matters(profile, key):
            continue
        text = _text(value)
        if value == default and not _is_said(profile, key):
            found.append(SiteFact(key, text, "", "default" if text else "unknown"))
        else:
            source = source_of(profile, key)
            found.append(SiteFact(key, text, source, state_of(source) if text else "unknown"))
    return found


def _matters(profile: SiteProfile, key: str) -> bool:
    """Whether a value means anything at this site: settings of a sign-in it has not, do not."""
    method = profile.identity.method
    if key.startswith("identity.moonshot."):
        return method is IdentityMethod.MOONSHOT
    if key.startswith("identity.") and key != "identity.method":
        return method is IdentityMethod.OIDC
    return not (key == "ssh.hold_session" or (key.startswith("ssh.hops[") and key.endswith(".hops")))


def _is_said(profile: SiteProfile, key: str) -> bool:
    return key in profile.sources


def _values(part: Any, prefix: str) -> Iterator[tuple[str, Any, Any]]:
    """(key, value, default) of every value below a dataclass."""
    for item in dataclasses.fields(part):
        key, value = prefix + item.name, getattr(part, item.name)
        if key in _NO_FACTS:
            continue
        default = item.default if item.default is not dataclasses.MISSING else \
            item.default_factory() if item.default_factory is not dataclasses.MISSING else None
        if dataclasses.is_dataclass(value):
            yield from _values(value, f"{key}.")
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for number, inner in enumerate(value):
                yield from _values(inner, f"{key}[{number}].")
        else:
            yield key, value, default


def _text(value: Any) -> str:
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, dict):
        return ", ".join(f"{name}: {text}" for name, text in value.items())
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return str(value)
