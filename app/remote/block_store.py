"""Blocks in a folder of this computer: bounded, the least recently used go first, damaged ones are dropped.

Every method returns at once; one thread, ``disk-cache``, does what touches the disk. The folder is for its owner only
(0700); files appear complete or not at all. Two programs may share the folder: what the other removed is not there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

SUFFIX = ".block"
MOST_WAITING_BYTES = 128 * 2**20
T = TypeVar("T")


class BlockStore:
    """Bytes by name. ``limit_bytes`` 0: nothing is kept."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()     # least recently used first
        self._held = 0
        self._waiting = 0
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "disk-cache")
        self._submit(self._look)

    @property
    def held_bytes(self) -> int:
        """On disk, as far as is known now."""
        return self._held

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._sizes

    def set_limit(self, limit_bytes: int) -> None:
        """Another bound; what is too much goes now."""
        self._limit = limit_bytes
        self._submit(self._shrink)

    def load(self, name: str) -> Future[bytes | None]:
        """The bytes; ``None``: they are not there any more."""
        return self._submit(self._load, name)

    def put(self, name: str, size: int, make: Callable[[], bytes | None]) -> None:
        """Keep what ``make`` gives (called on the disk's thread); dropped when too much of it waits already.

        Args:
            size: about how much memory waits with it.
        """
        with self._lock:
            if self._limit <= 0 or name in self._sizes or self._waiting + size > MOST_WAITING_BYTES:
                return
            self._waiting += size
        if self._submit(self._put, name, size, make).cancelled():
            with self._lock:
                self._waiting -= size

    def drop(self, name: str) -> None:
        """It is damaged."""
        self._submit(self._remove, name)

    def clear(self) -> Future[None]:
        """Remove everything."""
        return self._submit(self._clear)

    def close(self) -> None:
        """Write what is being written, drop what waits. Blocks for that long."""
        self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)

    # -- on the disk's thread ---------------------------------------------------------------------------------------

    def _submit(self, work: Callable[..., T], *args: object) -> Future[T]:
        try:
            return self._thread.submit(work, *args)
        except RuntimeError:                       # closed
            gone: Future[T] = Future()
            gone.cancel()
            return gone

    def _look(self) -> None:
        """Take in what earlier runs left."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._folder.chmod(0o700)
            found = []
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(SUFFIX):
                        status = entry.stat()
                        found.append((status.st_mtime, entry.name[:-len(SUFFIX)], status.st_size))
                    elif entry.name.startswith(".part-"):
                        os.unlink(entry.path)      # of a run that ended while it wrote
        except OSError as error:
            log.warning("the data cache %s cannot be used: %s", self._folder, error)
            self._limit = 0
            return
        with self._lock:
            for _, name, size in sorted(found):
                self._sizes[name] = size
            self._held = sum(self._sizes.values())
        self._shrink()

    def _load(self, name: str) -> bytes | None:
        file = self._file(name)
        try:
            data = file.read_bytes()
            os.utime(file)
        except OSError:
            self._forget(name)
            return None
        with self._lock:
            if name in self._sizes:
                self._sizes.move_to_end(name)
        return data

    def _put(self, name: str, size: int, make: Callable[[], bytes | None]) -> None:
        try:
            data = make() if not self._closed else None
            if data is not None and len(data) <= self._limit // 4:
                self._write(name, data)
        except OSError as error:
            log.warning("not kept in the data cache: %s", error)
        finally:
            with self._lock:
                self._waiting -= size

    def _write(self, name: str, data: bytes) -> None:
        handle, temporary = tempfile.mkstemp(prefix=".part-", dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(data)
            os.replace(temporary, self._file(name))
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        with self._lock:
            self._held += len(data) - self._sizes.pop(name, 0)
            self._sizes[name] = len(data)
        self._shrink()

    def _shrink(self) -> None:
        while self._held > self._limit and self._sizes:
            self._remove(next(iter(self._sizes)))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._file(name).unlink()
        self._forget(name)

    def _clear(self) -> None:
        with contextlib.suppress(OSError):
            for file in self._folder.glob("*" + SUFFIX):
                file.unlink(missing_ok=True)
        with self._lock:
            self._sizes.clear()
            self._held = 0

    def _forget(self, name: str) -> None:
        with self._lock:
            self._held -= self._sizes.pop(name, 0)

    def _file(self, name: str) -> Path:
        return self._folder / (name + SUFFIX)
