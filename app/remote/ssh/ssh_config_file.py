"""The language of OpenSSH's client configuration: lines, ``Host``, ``Match``, ``Include``; the first value wins.

Reads files and runs nothing: a ``Match exec`` never matches here. What the values mean is ``ssh_config``'s business.
"""

from __future__ import annotations

import fnmatch
import getpass
import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.errors import UsageError

SEVERAL = frozenset({"identityfile", "certificatefile"})   # every line counts; of the others the first
_VERBATIM = frozenset({"proxycommand", "localcommand", "remotecommand", "knownhostscommand"})
_LINE = re.compile(r"\s*\"?([A-Za-z0-9]+)\"?(?:\s*=\s*|\s+|$)(.*)$")
_WORD = re.compile(r"""\s+|("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s"'])""")
_DEEPEST = 16


@dataclass(frozen=True)
class Setting:
    """One line that applies: its words, the whole text after the keyword, and where it is written."""

    words: tuple[str, ...]
    text: str
    place: str


def fault(place: str, wrong: str) -> UsageError:
    """The one sentence about a line that cannot be used."""
    return UsageError(f"{place}: {wrong}.", remedy="Correct that line of your SSH configuration, then try again.")


def settings_for(file: Path, alias: str, user: str) -> tuple[dict[str, list[Setting]], bool]:
    """What ``file`` says about a host.

    Args:
        alias: the host as it was asked for.
        user: the account that was asked for; empty: none.

    Returns:
        Settings by keyword in lower case, in the order in which they were found; and whether a ``Host`` or ``Match
        host`` line that is more than a wildcard names the host.

    Raises:
        UsageError: a line or a file that cannot be used.
    """
    reader = _Reader(alias, user)
    reader.read(file, active=True, depth=0)
    if reader.wants_final_pass:
        reader.final_pass = True
        reader.read(file, active=True, depth=0)
    return reader.found, reader.named


class _Reader:
    """One look-up: goes through the files in order and keeps what applies."""

    def __init__(self, alias: str, user: str) -> None:
        self._alias = alias
        self._user = user
        self.found: dict[str, list[Setting]] = {}
        self.named = False
        self.wants_final_pass = False
        self.final_pass = False

    def read(self, file: Path, active: bool, depth: int) -> None:
        """Go through one file. ``active``: whether its lines apply until a ``Host`` or ``Match`` says otherwise."""
        if depth > _DEEPEST:
            raise fault(str(file), "it includes itself, or too many files include each other")
        enclosing = active
        for number, line in enumerate(_lines(file), 1):
            place = f"{file}, line {number}"
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            match = _LINE.match(line)
            if match is None:
                raise fault(place, "this is not a setting")
            keyword, text = match[1].lower(), match[2].strip()
            words = (text,) if keyword in _VERBATIM else tuple(_words(text, place))
            if not words or not words[0]:
                raise fault(place, f"{match[1]} has no value")
            if keyword == "host":
                active = enclosing and self._host(words)
            elif keyword == "match":
                active = enclosing and self._match(words, place)
            elif keyword == "include":
                if active:
                    for pattern in words:
                        for found in _included(pattern, place):
                            self.read(found, True, depth + 1)
            elif active:
                self._keep(keyword, Setting(words, text, place))

    def _keep(self, keyword: str, setting: Setting) -> None:
        kept = self.found.setdefault(keyword, [])
        if not kept or (keyword in SEVERAL and all(setting.words != other.words for other in kept)):
            kept.append(setting)

    def _host(self, patterns: Sequence[str]) -> bool:
        # the final pass looks at where the alias leads
        hit = matches(patterns, self._host_name() if self.final_pass else self._alias)
        self.named = self.named or (hit and _names(patterns, self._alias))
        return hit

    def _match(self, words: Sequence[str], place: str) -> bool:
        left = [part for word in words for part in (word.split("=", 1) if re.match(r"!?[a-z]+=", word) else (word,))]
        hit = True
        while left:
            test = left.pop(0).lower()
            wanted = not test.startswith("!")
            test = test.lstrip("!")
            if test == "all":
                holds = True
            elif test in ("canonical", "final"):
                self.wants_final_pass = self.wants_final_pass or test == "final"
                holds = self.final_pass
            elif not left:
                raise fault(place, f"Match {test} has no value")
            else:
                argument = left.pop(0)
                known = self._holds(test, argument.split(","))
                if known is None:    # a command, or a test that is not known here
                    return False
                holds = known
                if holds and wanted and test in ("host", "originalhost"):
                    self.named = self.named or _names(argument.split(","), self._alias)
            hit = hit and holds is wanted
        return hit

    def _holds(self, test: str, patterns: Sequence[str]) -> bool | None:
        if test == "host":
            return matches([pattern.lower() for pattern in patterns], self._host_name())
        if test == "originalhost":
            return matches([pattern.lower() for pattern in patterns], self._alias)
        if test == "user":
            said = self.found.get("user")
            return matches(patterns, self._user or (said[0].words[0] if said else local_user()))
        if test == "localuser":
            return matches(patterns, local_user())
        return None

    def _host_name(self) -> str:
        said = self.found.get("hostname")
        return said[0].words[0].replace("%h", self._alias) if said else self._alias


def local_user() -> str:
    """The account of this computer; empty where it has no name (a container's)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def matches(patterns: Sequence[str], name: str) -> bool:
    """Whether ``name`` fits a list of patterns with ``*``, ``?`` and ``!`` (which wins)."""
    hit = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.lstrip("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            hit = True
    return hit


def _names(patterns: Sequence[str], name: str) -> bool:
    return any(matches([pattern], name) and pattern.strip("*?") for pattern in patterns if not pattern.startswith("!"))


def _lines(file: Path) -> list[str]:
    """The lines of a file nobody else may write: it can hold commands.

    Raises:
        UsageError: others may write it, or it cannot be read.
    """
    try:
        info = file.stat()
        if os.name == "posix" and (info.st_uid not in (0, os.getuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
            raise UsageError(f"{file} is not used, since others may write it.",
                             remedy=f"Take their permission away: chmod go-w {file}")
        return file.read_text("utf-8", "surrogateescape").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"Your SSH configuration {file} cannot be read: {(error.strerror or str(error)).lower()}.",
                         remedy="Make it readable for you, then try again.") from None


def _words(text: str, place: str) -> Iterator[str]:
    """Words as OpenSSH takes them apart: quotes, backslashes before quotes, a comment at the end."""
    at, word = 0, None
    while at < len(text):
        if word is None and text[at] == "#":
            break
        match = _WORD.match(text, at)
        if match is None:
            raise fault(place, "a quotation mark is not closed")
        at = match.end()
        if match[1] is None:
            if word is not None:
                yield word
            word = None
        else:
            quoted = match[1][0] in "\"'" and len(match[1]) > 1
            word = (word or "") + (re.sub(r"\\([\"'\\])", r"\1", match[1][1:-1]) if quoted else match[1])
    if word is not None:
        yield word


def _included(pattern: str, place: str) -> list[Path]:
    path = os.path.expanduser(environment_in(pattern, place))
    if not os.path.isabs(path):
        path = str(Path.home() / ".ssh" / path)
    return [Path(name) for name in sorted(glob.glob(path))]


def environment_in(text: str, place: str) -> str:
    """``text`` with each ``${NAME}`` replaced.

    Raises:
        UsageError: there is no such variable.
    """
    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise fault(place, f"there is no environment variable {match[1]}")
        return found

    return re.sub(r"\$\{([^}]*)\}", value, text)
