"""What the program remembers of its user: one typed value with defaults, a schema version and one JSON file.

Read before the window opens, written on a worker. Never a secret: those live in the OS keyring. Unknown keys of a newer
version are kept; a file that cannot be read is set aside, not overwritten.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import paths

log = logging.getLogger(__name__)

SCHEMA = 1
THEMES = ("automatic", "light", "dark")
QUALITIES = ("automatic", "save", "full")
SIGN_IN_WAYS = ("browser", "code")


@dataclass(frozen=True)
class Settings:
    """All settings; ``with_`` makes a changed copy.

    Attributes:
        window_geometry, window_state: Qt's own blobs, base64.
        jobs_folded: the Jobs dock shows only its head.
        recent: targets, newest first.
        job_notices: the desktop tells when a job starts or ends.
        sign_in_way: how the person signed in the last time: in the ``browser``, or with a ``code``.
        quality: how much links may be used: ``automatic``, ``save``, ``full``.
        prefetch_mb_per_hour: what may be fetched before anybody asks for it; 0: nothing.
        cache_mb: what may be kept of the sites' data on this computer's disk; 0: nothing.
        proxy: the way out of this network: empty for automatic, ``none``, or ``http://host:port``; never a password.
        ca_file: a file of certificate authorities that are believed beside the usual ones; empty: none.
        choices: how data was looked at (``ViewChoices`` as JSON), by :func:`app.session.memory.choices_key`.
    """

    theme: str = "automatic"
    window_geometry: str = ""
    window_state: str = ""
    jobs_folded: bool = True
    job_notices: bool = True
    recent: tuple[str, ...] = ()
    sign_in_way: str = "browser"
    quality: str = "automatic"
    prefetch_mb_per_hour: int = 200
    cache_mb: int = 1000
    proxy: str = ""
    ca_file: str = ""
    choices: dict[str, dict[str, Any]] = field(default_factory=dict)
    other: dict[str, Any] = field(default_factory=dict)

    def with_(self, **changes: Any) -> Settings:
        return dataclasses.replace(self, **changes)


def settings_file() -> Path:
    return paths.config_dir() / "settings.json"


def load(file: Path | None = None) -> Settings:
    """The settings; defaults where the file says nothing usable."""
    file = file or settings_file()
    try:
        raw = json.loads(file.read_text("utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not an object")
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        log.warning("settings %s unreadable (%s): using defaults", file, error)
        with contextlib.suppress(OSError):
            file.replace(file.with_suffix(".unreadable.json"))
        return Settings()
    return from_json(raw)


def from_json(raw: dict[str, Any]) -> Settings:
    """Take what fits, field by field; what does not is left at its default."""
    defaults = Settings()
    known: dict[str, Any] = {}
    for item in dataclasses.fields(Settings):
        value = raw.get(item.name)
        default = getattr(defaults, item.name)
        if item.name == "other" or value is None:
            continue
        if isinstance(default, tuple):
            value = tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else None
        if isinstance(value, type(default)):
            known[item.name] = value
    for name, allowed in (("theme", THEMES), ("quality", QUALITIES), ("sign_in_way", SIGN_IN_WAYS)):
        if known.get(name) not in allowed:
            known.pop(name, None)
    for name in ("prefetch_mb_per_hour", "cache_mb"):
        if isinstance(known.get(name), bool) or known.get(name, 0) < 0:
            known.pop(name, None)
    names = {item.name for item in dataclasses.fields(Settings)} | {"schema"}
    known["other"] = {key: value for key, value in raw.items() if key not in names}
    return Settings(**known)


def save(settings: Settings, file: Path | None = None) -> None:
    """Write under a temporary name and rename. Blocks: call on a worker."""
    file = file or settings_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {item.name: getattr(settings, item.name) for item in dataclasses.fields(settings) if item.name != "other"}
    text = json.dumps({"schema": SCHEMA, **settings.other, **values}, indent=1, ensure_ascii=True)
    paths.write_whole(file, text.encode())
