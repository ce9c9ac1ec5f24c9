"""A file that only the holder of its key can read or change: AES-256-GCM, mode 0600, replaced in one step.

For sessions that are too long for a keyring. The key is random, belongs to one file and is kept in the keyring; every
writing takes a new nonce. ``name`` is bound to the contents, so one file cannot stand in for another. Blocking.
"""

from __future__ import annotations

import logging
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app import paths

KEY_BYTES = 32
_MAGIC = b"beamside-sealed-1\n"
_NONCE = 12
_LOG = logging.getLogger(__name__)


def new_key() -> bytes:
    """A key for one file."""
    return secrets.token_bytes(KEY_BYTES)


def write(file: Path, text: str, key: bytes, name: str) -> None:
    """Replace ``file``.

    Raises:
        OSError: it cannot be written.
    """
    nonce = secrets.token_bytes(_NONCE)
    contents = _MAGIC + nonce + AESGCM(key).encrypt(nonce, text.encode(), name.encode())
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths.write_whole(file, contents)


def read(file: Path, key: bytes, name: str) -> str | None:
    """The text; ``None`` (and a line in the log) if the file is gone, was changed, or belongs to another key."""
    try:
        contents = file.read_bytes()
        if not contents.startswith(_MAGIC):
            raise ValueError("not a sealed file")
        nonce, rest = contents[len(_MAGIC):][:_NONCE], contents[len(_MAGIC) + _NONCE:]
        return AESGCM(key).decrypt(nonce, rest, name.encode()).decode()
    except (OSError, ValueError, InvalidTag) as error:
        _LOG.warning("the sealed sign-in cannot be read (%s); signing in replaces it", type(error).__name__)
        return None


def remove(file: Path) -> None:
    """Have no such file any more."""
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        _LOG.warning("the sealed sign-in cannot be removed: %s", error.strerror)
