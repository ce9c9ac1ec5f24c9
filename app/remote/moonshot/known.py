"""What is remembered between runs: who signed in at a site last, and certificates that the person has vouched for.

One small file in the state folder, never a password. Blocking; any thread.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from app import paths

_LOG = logging.getLogger(__name__)


def known_file() -> Path:
    return paths.state_dir() / "moonshot.json"


def last_identity(site: str) -> str:
    """``name@realm`` that signed in at ``site`` last; empty: nobody."""
    found = _read().get("identities", {}).get(site, "")
    return found if isinstance(found, str) else ""


def remember_identity(site: str, identity: str) -> None:
    known = _read()
    if known.setdefault("identities", {}).get(site) != identity:
        known["identities"][site] = identity
        _write(known)


def confirmed_certificates(realm: str) -> tuple[str, ...]:
    """SHA-256 (lower-case hexadecimal) of the sign-in servers of ``realm`` that the person has vouched for."""
    found = _read().get("servers", {}).get(realm.lower(), [])
    return tuple(str(pin) for pin in found) if isinstance(found, list) else ()


def remember_certificate(realm: str, fingerprint: str) -> None:
    known = _read()
    known.setdefault("servers", {}).setdefault(realm.lower(), []).append(fingerprint)
    _write(known)


def _read() -> dict[str, Any]:
    try:
        known = json.loads(known_file().read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _LOG.warning("%s cannot be read: %s", known_file(), error)
        return {}
    parts = known.items() if isinstance(known, dict) else ()
    return {name: part for name, part in parts if isinstance(part, dict)}


def _write(known: dict[str, Any]) -> None:
    """Under a temporary name, then renamed; not being able to is no reason to refuse a sign-in."""
    file = known_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths.write_whole(file, json.dumps(known, indent=1, ensure_ascii=True).encode())
    except OSError as error:
        _LOG.warning("%s cannot be written: %s", file, error)
