"""TARGET = ``[SITE:]FILE[::/data/path]`` (docs/cli.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_SITE = re.compile(r"^([a-z0-9][a-z0-9-]+):(.*)$", re.S)


@dataclass(frozen=True)
class Target:
    """The three parts as written; ``data_path`` is ``None`` when none was given."""

    site: str
    file: str
    data_path: str | None = None

    @classmethod
    def parse(cls, text: str, known_sites: frozenset[str] | set[str]) -> Target:
        """Split ``text``; a prefix that is no known site belongs to the file name (so ``C:\\x`` is a file)."""
        site, rest = "local", text
        match = _SITE.match(text)
        if match and match.group(1) in known_sites and not match.group(2).startswith(":/"):
            site, rest = match.group(1), match.group(2)
        file, separator, path = rest.partition("::/")
        return cls(site, file, "/" + path if separator else None)

    def __str__(self) -> str:
        text = self.file + (f"::{self.data_path}" if self.data_path is not None else "")
        return text if self.site == "local" else f"{self.site}:{text}"


def site_prefix(text: str) -> str:
    """What stands where a site's name would, in a text that was taken for a file; ``""``: nothing does."""
    match = _SITE.match(text)
    return match.group(1) if match and not match.group(2).startswith(":/") else ""
