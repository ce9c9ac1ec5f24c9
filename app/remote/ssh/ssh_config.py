"""What the user's own ``~/.ssh/config`` says about a host. Read, never written; no command in it is run here.

Only the user's file counts (with what it includes), as typed values that OpenSSH's own ``ssh -G`` would give.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.remote.ssh.ssh_config_file import Setting, environment_in, fault, local_user, settings_for

_JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>.+)@)?(?P<host>\[[^\]]+\]|[^:@\[\]/\s]+)(?::(?P<port>\d+))?/?$")


@dataclass(frozen=True)
class LoginHints:
    """Which of the user's keys are meant for one host, as the SSH configuration says.

    Attributes:
        identity_files: private keys to try, in order; empty: those ``ssh`` tries by default, unless ``no_keys``.
        certificate_files: certificates that belong to some of them, or to keys of the agent.
        identities_only: keys of the agent count only if they are among ``identity_files``.
        agent_socket: the agent's socket; empty: the one of the environment; ``none``: no agent.
        no_keys: key files are not to be tried at all (``IdentityFile none``).
    """

    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent_socket: str = ""
    no_keys: bool = False


NO_HINTS = LoginHints()


@dataclass(frozen=True)
class Jump:
    """One host of ``ProxyJump``; ``port`` 0 and ``user`` empty: not said."""

    host: str
    port: int = 0
    user: str = ""


@dataclass(frozen=True)
class HostEntry:
    """What the configuration says about one host; 0 and empty: nothing.

    Attributes:
        named: a line that is more than a wildcard names the host.
        host_name: where it really is; the alias itself if nothing is said.
        proxy_jump: hosts to go through, first to last.
        proxy_command: the text as written, ``%h``, ``%p`` and ``%r`` not yet replaced.
        known_hosts: the user's files with host keys.
        host_key_alias: the name to look up there instead of the host's.
        family: ``any``, ``inet`` or ``inet6``.
    """

    named: bool
    host_name: str
    port: int = 0
    user: str = ""
    proxy_jump: tuple[Jump, ...] = ()
    proxy_command: str = ""
    hints: LoginHints = NO_HINTS
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str = ""
    family: str = "any"
    bind_address: str = ""


def config_file() -> Path:
    """The user's configuration; it need not be there."""
    return Path.home() / ".ssh" / "config"


def lookup(alias: str, port: int = 0, user: str = "") -> HostEntry:
    """What the configuration says about ``alias``; ``port`` and ``user`` are what was asked for beside it, if anything.

    Raises:
        UsageError: a line that cannot be used, in one sentence with file and line.
    """
    found, named = settings_for(config_file(), alias, user)
    first = {keyword: settings[0] for keyword, settings in found.items()}
    host_name = _expanded(first["hostname"], {"h": alias}) if "hostname" in first else alias
    real_port = port or _port(first.get("port"))
    real_user = user or (first["user"].words[0] if "user" in first else "")
    tokens = _tokens(alias, host_name, real_port or 22, real_user or local_user())
    jump, command = _proxy(first, tokens)
    agent = _expanded(first["identityagent"], tokens) if "identityagent" in first else ""
    if agent.startswith("$"):
        agent = os.environ.get(agent[1:], "none")
    keys = [file for setting in found.get("identityfile", []) if (file := _path(setting, tokens)) is not None]
    certificates = [file for setting in found.get("certificatefile", [])
                    if (file := _path(setting, tokens)) is not None]
    hints = LoginHints(tuple(keys), tuple(certificates), _yes(first.get("identitiesonly")),
                       "" if agent == "SSH_AUTH_SOCK" else agent, "identityfile" in found and not keys)
    family = first["addressfamily"].words[0].lower() if "addressfamily" in first else "any"
    if family not in ("any", "inet", "inet6"):
        raise fault(first["addressfamily"].place, f"AddressFamily is any, inet or inet6, not “{family}”")
    return HostEntry(named, host_name, real_port, real_user, jump, command, hints,
                     _known_hosts(first.get("userknownhostsfile"), tokens), _word(first.get("hostkeyalias")), family,
                     "" if _word(first.get("bindaddress")) == "*" else _word(first.get("bindaddress")))


def parse_jump(text: str) -> Jump | None:
    """``[user@]host[:port]`` or the same as an ``ssh://`` address; ``None``: it is neither."""
    match = _JUMP.match(text)
    if match is None or not 0 < int(match["port"] or 22) < 65536:
        return None
    return Jump(match["host"].strip("[]"), int(match["port"] or 0), match["user"] or "")


def _proxy(first: Mapping[str, Setting], tokens: Mapping[str, str]) -> tuple[tuple[Jump, ...], str]:
    """``ProxyJump`` and ``ProxyCommand`` exclude each other: whichever comes first."""
    keyword = next((keyword for keyword in first if keyword in ("proxyjump", "proxycommand")), "")
    if not keyword:
        return (), ""
    setting = first[keyword]
    if setting.text.lower() == "none":
        return (), ""
    if keyword == "proxycommand":
        _check_tokens(setting, {*tokens})
        return (), setting.text
    jumps = []
    for text in _expanded(setting, {key: tokens[key] for key in "hnpr"}).split(","):
        jump = parse_jump(text.strip())
        if jump is None:
            raise fault(setting.place, f"ProxyJump expects [user@]host[:port], not “{text.strip()}”")
        jumps.append(jump)
    return tuple(jumps), ""


def _port(setting: Setting | None) -> int:
    if setting is None:
        return 0
    word = setting.words[0]
    if not word.isascii() or not word.isdigit() or not 0 < int(word) < 65536:
        raise fault(setting.place, f"Port is a number from 1 to 65535, not “{word}”")
    return int(word)


def _yes(setting: Setting | None) -> bool:
    if setting is None:
        return False
    word = setting.words[0].lower()
    if word not in ("yes", "no", "true", "false"):
        raise fault(setting.place, f"IdentitiesOnly is yes or no, not “{setting.words[0]}”")
    return word in ("yes", "true")


def _word(setting: Setting | None) -> str:
    return setting.words[0] if setting is not None else ""


def _path(setting: Setting, tokens: Mapping[str, str]) -> Path | None:
    text = _expanded(setting, tokens)
    return None if text.lower() == "none" else Path(text)


def _known_hosts(setting: Setting | None, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    if setting is None:
        return (Path.home() / ".ssh" / "known_hosts", Path.home() / ".ssh" / "known_hosts2")
    words = [_expanded(Setting((word,), word, setting.place), tokens) for word in setting.words]
    return tuple(Path(word) for word in words if word.lower() != "none")


def _tokens(alias: str, host: str, port: int, user: str) -> dict[str, str]:
    me = socket.gethostname()
    return {"d": str(Path.home()), "h": host, "i": str(os.getuid() if hasattr(os, "getuid") else 0), "k": alias,
            "L": me.split(".")[0], "l": me, "n": alias, "p": str(port), "r": user, "u": local_user()}


def _check_tokens(setting: Setting, known: set[str]) -> None:
    for token in re.findall(r"%(.|$)", setting.text):
        if token not in known and token != "%":
            raise fault(setting.place, f"%{token} means nothing there")


def _expanded(setting: Setting, tokens: Mapping[str, str]) -> str:
    """The first word with ``~``, ``${NAME}`` and its % tokens replaced."""
    word = setting.words[0]
    _check_tokens(Setting((word,), word, setting.place), {*tokens})
    return os.path.expanduser(environment_in(replace_tokens(word, tokens), setting.place))


def replace_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """``text`` with each ``%x`` replaced, and ``%%`` by ``%``."""
    return re.sub(r"%(.)", lambda match: "%" if match[1] == "%" else tokens[match[1]], text)


def command_tokens(alias: str, host: str, port: int, user: str) -> dict[str, str]:
    """What % tokens mean in ``ProxyCommand``."""
    return _tokens(alias, host, port, user)
