"""Where a sign-in outlives the program: one entry in the operating system's keyring per (issuer, client).

The entry holds the refresh token and who it belongs to, never an access token or a key. Windows and commands share it:
every reader that may change it holds the cross-process ``turn`` and reads again first. Without a keyring the session is
kept in memory for this run; it is never written to a plain file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import filelock
import keyring
import keyring.errors

from app import paths
from app.errors import ProviderError

SERVICE = "beamside"
_TURN_S = 60.0
_SLIM = ("Account", "RefreshToken", "AppMetadata")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)   # no repr: it holds a refresh token
class StoredSession:
    """A sign-in as it is kept: who, and the part of msal's cache that renews it."""

    issuer: str
    subject: str
    name: str
    email: str
    cache: dict[str, Any]

    @property
    def refresh_token(self) -> str:
        """The newest refresh token; ``""``: none."""
        entries = list(self.cache.get("RefreshToken", {}).values())
        return str(max(entries, key=lambda e: int(e.get("last_modification_time", 0)))["secret"]) if entries else ""


def slim(cache: dict[str, Any]) -> dict[str, Any]:
    """What of msal's cache is worth keeping; small enough for every system's keyring."""
    return {name: cache[name] for name in _SLIM if cache.get(name)}


class TokenStore:
    """The keyring entry of one (issuer, client). Thread-safe; calls may block while the keyring is being unlocked."""

    def __init__(self, issuer: str, client_id: str) -> None:
        self._account = f"{issuer.rstrip('/')} {client_id}"
        self._memory: StoredSession | None = None
        self._turn = threading.RLock()
        self._why_not: str | None = None
        name = hashlib.sha256(self._account.encode()).hexdigest()[:16]
        self._lock_file = paths.state_dir() / "locks" / f"sign-in-{name}.lock"
        self._file_lock: filelock.FileLock | None = None
        self._depth = 0

    @property
    def kept(self) -> bool:
        """Whether the session outlives this program."""
        return not self.why_not_kept

    @property
    def why_not_kept(self) -> str:
        """``""``, or why there is no keyring to use."""
        if self._why_not is None:
            backend = keyring.get_keyring()
            priority = getattr(backend, "priority", 0)
            # below 1 are the backends that keep nothing, fail, or write plain files
            self._why_not = "" if priority >= 1 else "no keyring was found on this computer"
        return self._why_not

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one, in all windows and commands, who renews or changes this session.

        Raises:
            ProviderError: another program held it for a minute.
        """
        with self._turn:
            if self._depth == 0:
                self._lock_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = filelock.FileLock(self._lock_file)
                try:
                    lock.acquire(timeout=_TURN_S)
                except filelock.Timeout:
                    raise ProviderError("Another Beamside is still renewing this sign-in.", detail=str(self._lock_file),
                                        remedy="Try again in a moment.") from None
                self._file_lock = lock
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0 and self._file_lock is not None:
                    self._file_lock.release()
                    self._file_lock = None

    def load(self) -> StoredSession | None:
        """The session as it is now, perhaps renewed by another program; ``None``: nobody is signed in."""
        if not self.kept:
            return self._memory
        try:
            text = keyring.get_password(SERVICE, self._account)
        except keyring.errors.KeyringError as error:
            self._give_up(error)
            return self._memory
        return _parse(text) if text else None

    def save(self, session: StoredSession) -> None:
        """Keep ``session``; in memory if the keyring will not have it."""
        self._memory = session
        if self.kept:
            try:
                keyring.set_password(SERVICE, self._account, json.dumps(asdict(session), separators=(",", ":")))
            except keyring.errors.KeyringError as error:
                self._give_up(error)

    def forget(self) -> None:
        """Remove the session everywhere."""
        self._memory = None
        if self.kept:
            try:
                keyring.delete_password(SERVICE, self._account)
            except keyring.errors.PasswordDeleteError:
                _LOG.debug("there was no session to forget")
            except keyring.errors.KeyringError as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        _LOG.warning("the keyring cannot be used: %s", type(error).__name__)
        self._why_not = "the keyring of this computer is locked or does not answer"


def _parse(text: str) -> StoredSession | None:
    try:
        entry = json.loads(text)
        return StoredSession(str(entry["issuer"]), str(entry["subject"]), str(entry["name"]), str(entry["email"]),
                             dict(entry["cache"]))
    except (ValueError, KeyError, TypeError):
        _LOG.warning("the keyring's entry cannot be read; signing in replaces it")
        return None
