"""Where Beamside keeps things on the user's computer: XDG folders, or what the environment or ``--config`` says."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import platformdirs

_NAME = "beamside"


def config_dir() -> Path:
    """Site profiles and settings (``BEAMSIDE_CONFIG_DIR`` or ``--config`` override)."""
    return _folder("BEAMSIDE_CONFIG_DIR", platformdirs.user_config_path(_NAME))


def cache_dir() -> Path:
    """What can be fetched again (``BEAMSIDE_CACHE_DIR`` overrides)."""
    return _folder("BEAMSIDE_CACHE_DIR", platformdirs.user_cache_path(_NAME))


def state_dir() -> Path:
    """Accepted host keys, locks, logs, window layout (``BEAMSIDE_STATE_DIR`` overrides)."""
    return _folder("BEAMSIDE_STATE_DIR", platformdirs.user_state_path(_NAME))


def _folder(variable: str, default: Path) -> Path:
    return Path(os.environ.get(variable) or default)


def write_whole(file: Path, contents: bytes) -> None:
    """Replace ``file``, readable by its owner only: whole or not at all, on the disk when this returns. Blocks.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(contents)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, file)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
