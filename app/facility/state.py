"""The one folder in which everything of a demo facility lies. Main thread; never touches anything outside it.

Made with mode 0700, held by a lock while the facility runs, and removed at the end when it was temporary.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import IO

from app.errors import UsageError


class StateFolder:
    """Paths below the state directory, and its lock."""

    def __init__(self, path: Path | None = None) -> None:
        self.temporary = path is None
        self.path = Path(tempfile.mkdtemp(prefix="beamside-demo-")) if path is None else path.expanduser().absolute()
        self._lock: IO[str] | None = None
        self._short: Path | None = None

    @property
    def bin(self) -> Path:
        return self.path / "bin"

    @property
    def home(self) -> Path:
        return self.path / "home" / "visitor1"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def secrets(self) -> Path:
        """Keys and certificates."""
        return self.path / "keys"

    @property
    def batch(self) -> Path:
        return self.path / "batch"

    @property
    def pin_file(self) -> Path:
        return self.path / "pin"

    @property
    def ca_file(self) -> Path:
        return self.path / "ca.pem"

    @property
    def profile_file(self) -> Path:
        return self.path / "demo.toml"

    @property
    def addresses_file(self) -> Path:
        return self.path / "facility.json"

    def open(self) -> None:
        """Make the folder private and take its lock.

        Raises:
            UsageError: the folder cannot be used, or another demo facility has it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if sys.platform != "win32" and self.path.stat().st_uid != os.getuid():
                raise UsageError(f"The folder {self.path} belongs to somebody else.", remedy="Choose another --state.")
            os.chmod(self.path, 0o700)
            self._lock = _locked(self.path / "lock")
        except BlockingIOError:
            raise UsageError(f"A demo facility is already running in {self.path}.",
                             remedy="Stop it first, or choose another --state.") from None
        except OSError as error:
            raise UsageError(f"The folder {self.path} cannot be used for the demo facility.", detail=str(error),
                             remedy="Choose another --state.") from None
        for folder in (self.bin, self.home, self.data, self.secrets, self.batch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def socket_path(self) -> Path:
        """Where the batch system listens; a short path elsewhere when this one is too long for a socket."""
        path = self.batch / "socket"
        if len(os.fsencode(path)) <= 100:
            return path
        if self._short is None:
            self._short = Path(tempfile.mkdtemp(prefix="beamside-batch-"))
        return self._short / "socket"

    def close(self) -> None:
        """Remove what belongs to a running facility and what was temporary; nothing when it was never opened."""
        if self._lock is None:
            if self.temporary:
                shutil.rmtree(self.path, ignore_errors=True)
            return
        for name in (self.pin_file, self.addresses_file, self.batch / "socket", self.batch / "address"):
            name.unlink(missing_ok=True)
        self._lock.close()
        self._lock = None
        if self._short is not None:
            shutil.rmtree(self._short, ignore_errors=True)
        if self.temporary:
            shutil.rmtree(self.path, ignore_errors=True)


def write_private(path: Path, text: str | bytes) -> None:
    """Write a file only its owner can read, complete or not at all."""
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)


def _locked(path: Path) -> IO[str]:
    file = path.open("a+")
    try:
        _lock(file)
    except OSError:
        file.close()
        raise
    return file


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            raise BlockingIOError from None
    else:
        import fcntl
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
