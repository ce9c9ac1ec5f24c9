"""Site profiles as TOML text: what is not the default, in the order of docs/site-profile.md. Pure; reading is profiles.

``exported_text`` leaves out what is private or means something on this computer only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from enum import Enum
from typing import Any

from app.model.site import SiteProfile, SshSettings
from app.remote.profiles import SCHEMA

_ALWAYS = {"name", "title", "verified", "colour"}
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def profile_text(profile: SiteProfile, comment: str = "") -> str:
    """The profile as a file; ``comment`` stands on top, line by line."""
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    lines += [f"schema = {SCHEMA}"]
    for item in dataclasses.fields(profile):
        value = getattr(profile, item.name)
        if isinstance(value, str) and (value or item.name in _ALWAYS):
            lines.append(f"{item.name} = {_toml(value)}")
    for name in ("identity", "ssh", "agent", "batch", "data", "software"):
        lines += _section(name, getattr(profile, name), frozenset(profile.sources))
    if profile.sources:
        lines += ["", "[sources]", *(f"{_key(key)} = {_toml(text)}" for key, text in profile.sources.items())]
    return "\n".join(lines) + "\n"


def table_text(table: dict[str, Any]) -> str:
    """A table as TOML reads it, good profile or not, as text: values first, then the tables below."""
    return "\n".join(_table_lines(table, "")).strip("\n") + "\n"


def _table_lines(table: dict[str, Any], where: str) -> list[str]:
    below = {key: value for key, value in table.items() if _is_table(value)}
    lines = [f"{_key(key)} = {_toml(value)}" for key, value in table.items() if key not in below]
    for key, value in below.items():
        name = f"{where}.{_key(key)}" if where else _key(key)
        if isinstance(value, list):
            for inner in value:
                lines += ["", f"[[{name}]]", *_table_lines(inner, name)]
            continue
        inside = _table_lines(value, name)
        lines += ["", f"[{name}]", *inside] if not inside or inside[0] else inside
    return lines


def _is_table(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(isinstance(item, dict) for item in items)


def shareable(profile: SiteProfile) -> SiteProfile:
    """The profile without account names, and without paths of this computer."""
    ssh = _shareable_server(profile.ssh)
    return replace(profile, ssh=replace(ssh, hops=tuple(_shareable_server(hop) for hop in ssh.hops)),
                   identity=replace(profile.identity, ca_file=""), batch=replace(profile.batch, account=""),
                   sources={key: text for key, text in profile.sources.items()
                            if key not in ("ssh.user", "batch.account", "identity.ca_file")})


def exported_text(profile: SiteProfile) -> str:
    """What may be given to somebody else."""
    return profile_text(shareable(profile), f"A site profile of Beamside for {profile.label.splitlines()[0]}. "
                                            "It holds no account name.")


def line_of(text: str, key: str) -> int:
    """The line, from 1, where ``key`` (as an error names it) stands in a profile's text; its table's line if it has
    none of its own; 0: nowhere.
    """
    words = re.findall(r"[^.\[\]]+", key)
    number = next((int(word) for word in words if word.isdigit()), None)
    names = [word for word in words if not word.isdigit()]
    table, best, seen = [], 0, -1
    for count, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line)
        if head:
            table = [word.strip().strip("\"'") for word in head[1].split(".")]
            seen += line.lstrip().startswith("[[")
            if table == names[:-1] and (number is None or seen == number):
                best = best or count
            if table == names:
                return count
            continue
        here = re.match(r"\s*([A-Za-z0-9_\"'.-]+)\s*=", line)
        if here is None:
            continue
        path = [*table, *(word.strip("\"'") for word in here[1].split("."))]
        if path == names and (number is None or seen == number):
            return count
    return best


def commands_of(profile: SiteProfile) -> list[tuple[str, str]]:
    """(key, command) of everything a profile lets run at the site, beyond the program's own agent."""
    found = [("agent.python", command) for command in profile.agent.python if command != "python3"]
    found += [("software.setup", command) for command in profile.software.setup]
    found += [(f"software.environments.{name}", command) for name, command in profile.software.environments.items()]
    found += [(f"software.images.{name}", image) for name, image in profile.software.images.items()]
    found += [("software.recipes", folder) for folder in profile.software.recipes]
    return found


def _shareable_server(server: SshSettings) -> SshSettings:
    authority = server.certificate_authority
    return replace(server, user="", certificate_authority=replace(authority, ca_file="") if authority else None)


def _section(where: str, part: Any, said: frozenset[str], is_list: bool = False) -> list[str]:
    """``said``: keys that are written even if they are the default: their source is told."""
    own: list[str] = []
    below: list[str] = []
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        if value is None or (_is_default(item, value) and (is_list or f"{where}.{item.name}" not in said)):
            continue
        if dataclasses.is_dataclass(value):
            below += _section(f"{where}.{item.name}", value, said)
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for inner in value:
                below += _section(f"{where}.{item.name}", inner, said, is_list=True)
        elif isinstance(value, dict):
            below += ["", f"[{where}.{item.name}]", *(f"{_key(name)} = {_toml(text)}" for name, text in value.items())]
        else:
            own.append(f"{item.name} = {_toml(value)}")
    if own or is_list:
        own = ["", f"[[{where}]]" if is_list else f"[{where}]", *own]
    return own + below


def _is_default(item: dataclasses.Field[Any], value: Any) -> bool:
    if item.default is not dataclasses.MISSING:
        return bool(value == item.default)
    return item.default_factory is not dataclasses.MISSING and bool(value == item.default_factory())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return _toml(value.value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, str):
        return _text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _text(value: str) -> str:
    """A TOML basic string; JSON's differ by what TOML also wants escaped."""
    if "\n" in value and "'''" not in value and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value):
        return f"'''\n{value}'''"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
