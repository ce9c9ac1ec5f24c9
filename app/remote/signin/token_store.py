"""Where a sign-in outlives the program: one entry in the operating system's keyring per sign-in (``session_key``).

The entry holds the refresh token and who it belongs to, never an access token or a key. Windows' keyring takes 2560
bytes, so a longer session is in a file beside the locks, sealed with a random key that is in the keyring (``sealed``).
Windows and commands share it: every reader that may change it holds the cross-process ``turn`` and reads again first.
Without a keyring the session is kept in memory for this run; it is never written to a plain file.
"""

from __future__ import annotations

import base64
import binascii
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
from app.remote.signin import sealed

SERVICE = "beamside"
ENTRY_LIMIT = 1200   # characters: Windows keeps 2560 bytes, as UTF-16
_TURN_S = 60.0
_SLIM = ("Account", "RefreshToken", "AppMetadata")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)   # no repr: it holds a refresh token
class StoredSession:
    """A sign-in as it is kept: who, until when (``None``: unknown), and the part of msal's cache that renews it.

    ``lasting``: whether ``offline_access`` was granted, and is asked for again at each renewal.
    """

    issuer: str
    subject: str
    name: str
    email: str
    cache: dict[str, Any]
    expires_at: float | None = None
    lasting: bool = True

    @property
    def refresh_token(self) -> str:
        """The newest refresh token; ``""``: none."""
        entries = list(self.cache.get("RefreshToken", {}).values())
        return str(max(entries, key=lambda e: int(e.get("last_modification_time", 0)))["secret"]) if entries else ""


def slim(cache: dict[str, Any]) -> dict[str, Any]:
    """What of msal's cache is worth keeping; small enough for every system's keyring."""
    return {name: cache[name] for name in _SLIM if cache.get(name)}


class TokenStore:
    """The keyring entry of one sign-in. Thread-safe; calls may block while the keyring is being unlocked."""

    def __init__(self, issuer: str, client_id: str, audience: str = "", ca_file: str = "") -> None:
        self._account = " ".join(filter(None, (issuer.rstrip("/"), client_id, audience, ca_file)))
        self._memory: StoredSession | None = None
        self._turn = threading.RLock()
        self._why_not: str | None = None
        self._silent = False      # there is a keyring, and it does not answer
        name = hashlib.sha256(self._account.encode()).hexdigest()[:16]
        self._lock_file = paths.state_dir() / "locks" / f"sign-in-{name}.lock"
        self._sealed_file = paths.state_dir() / "sign-in" / f"{name}.sealed"
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
        text = self._entry()
        if text is None:
            return self._memory if not self.kept else None
        key = _key_in(text)
        if key is not None:
            text = sealed.read(self._sealed_file, key, self._account) or ""
        return _parse(text)

    def save(self, session: StoredSession) -> None:
        """Keep ``session``; in memory if the keyring will not have it."""
        self._memory = session
        if not self.kept:
            return
        text = json.dumps(asdict(session), separators=(",", ":"))
        if len(text) <= ENTRY_LIMIT:
            if self._set(text):
                sealed.remove(self._sealed_file)
            return
        before = _key_in(self._entry() or "")   # the same key: then the file alone changes, in one step
        if not self.kept:
            return
        key = before or sealed.new_key()
        try:
            sealed.write(self._sealed_file, text, key, self._account)
        except OSError as error:
            self._give_up(error, "the sign-in is long, and the folder for its sealed file cannot be written")
            return
        if before is None:
            self._set(json.dumps({"key": base64.b64encode(key).decode()}, separators=(",", ":")))

    def forget(self) -> bool:
        """Remove the session everywhere; False: the keyring may still hold it, since it does not answer."""
        self._memory = None
        gone = True
        if self.kept or self._silent:   # one that was locked may be open by now
            try:
                keyring.delete_password(SERVICE, self._account)
                self._silent = False
            except keyring.errors.PasswordDeleteError:
                gone = self._holds_nothing()
            except Exception as error:   # each system's keyring has errors of its own
                self._give_up(error)
                gone = False
        sealed.remove(self._sealed_file)
        return gone

    def _holds_nothing(self) -> bool:
        """Whether an entry that could not be removed is not there in the first place."""
        try:
            return keyring.get_password(SERVICE, self._account) is None
        except Exception as error:       # each system's keyring has errors of its own
            self._give_up(error)
            return False

    def _entry(self) -> str | None:
        try:
            return keyring.get_password(SERVICE, self._account)
        except Exception as error:       # each system's keyring has errors of its own
            self._give_up(error)
            return None

    def _set(self, text: str) -> bool:
        try:
            keyring.set_password(SERVICE, self._account, text)
        except Exception as error:       # each system's keyring has errors of its own
            self._give_up(error)
        return self.kept

    def _give_up(self, error: Exception,
                 why: str = "the keyring of this computer is locked or does not answer") -> None:
        _LOG.warning("the keyring cannot be used: %s", type(error).__name__)
        self._why_not = why
        self._silent = not isinstance(error, OSError)


def _key_in(text: str) -> bytes | None:
    """The key of the sealed file, where the entry holds that instead of the session."""
    try:
        entry = json.loads(text)
        key = base64.b64decode(entry["key"], validate=True) if isinstance(entry, dict) and "key" in entry else b""
        return key if len(key) == sealed.KEY_BYTES else None
    except (ValueError, TypeError, binascii.Error):
        return None


def _parse(text: str) -> StoredSession | None:
    try:
        entry = json.loads(text)
        if not isinstance(entry, dict):
            raise TypeError("not an object")
        end = entry.get("expires_at")
        return StoredSession(str(entry["issuer"]), str(entry["subject"]), str(entry["name"]), str(entry["email"]),
                             dict(entry["cache"]), float(end) if isinstance(end, (int, float)) else None,
                             entry.get("lasting") is not False)
    except (ValueError, KeyError, TypeError):
        _LOG.warning("the keyring's entry cannot be read; signing in replaces it")
        return None
