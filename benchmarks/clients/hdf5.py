"""h5py on the near side: over an sshfs mount, over paramiko's SFTP as it is, and over SFTP with blocks asked together.

    python -m benchmarks.clients.hdf5 mounted MOUNT
    python -m benchmarks.clients.hdf5 plain|blocks SERVER-AS-JSON
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np
import paramiko

from benchmarks.clients.nexus import signal
from benchmarks.clients.serving import digest, picture, serve, timed, until

BLOCK = 256 * 1024
_ROWS = 32                    # of 4 kB: what a file system reads ahead


class Hdf5Way:
    """What one does with h5py; ``open`` is the difference."""

    def open(self, file: str) -> contextlib.AbstractContextManager[h5py.File]:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def warm(self, file: str, frames: list[int]) -> dict[str, Any]:
        with self.open(file) as opened:
            for frame in frames:
                signal(opened)[frame]
        return {}

    def first(self, file: str, frame: int) -> dict[str, Any]:
        def look() -> np.ndarray:
            with self.open(file) as opened:
                return picture(signal(opened)[frame])
        seconds, shown = timed(look)
        return {"s": seconds, "digest": digest(shown)}

    def scrub(self, file: str, frames: list[int], budget_s: float, **_ours: Any) -> dict[str, Any]:
        shown: list[np.ndarray] = []
        with self.open(file) as opened:
            data = signal(opened)
            seconds, _, count = until(budget_s, (lambda i=i: shown.append(picture(data[i])) for i in frames), 1)
        return {"s": seconds, "digest": digest(shown[-1]), "last": frames[count - 1]}

    def roi(self, file: str, frame: int, region: list[int]) -> dict[str, Any]:
        y0, y1, x0, x1 = region
        with self.open(file) as opened:
            data = signal(opened)
            seconds, values = timed(lambda: data[frame, y0:y1, x0:x1])
        return {"s": seconds, "digest": digest(values)}

    def slices(self, file: str, at: list[int], budget_s: float) -> dict[str, Any]:
        """Three orthogonal slices, in the pieces in which the file holds them; each may be stopped."""
        seconds, done, whole = 0.0, 0.0, []
        with self.open(file) as opened:
            data = signal(opened)
            for axis in range(3):
                out = np.empty([n for i, n in enumerate(data.shape) if i != axis], data.dtype)
                pieces = list(pieces_of(data, axis, at[axis], out))
                spent, share, _ = until(budget_s / 3, pieces, len(pieces))
                seconds, done = seconds + spent, done + share / 3
                whole.append(out)
        complete = done > 1 - 1e-9
        return {"s": seconds, "done": done, "digest": " ".join(digest(out) for out in whole) if complete else ""}

    def tree(self, file: str, total: int, budget_s: float) -> dict[str, Any]:
        found = {"nodes": 0, "attributes": 0}
        end = time.perf_counter() + budget_s

        def visit(_name: str, node: h5py.HLObject) -> bool | None:
            found["nodes"] += 1
            found["attributes"] += len(dict(node.attrs))
            return True if time.perf_counter() > end else None

        def walk() -> None:
            with self.open(file) as opened:
                opened.visititems(visit)
        seconds, _ = timed(walk)
        return {"s": seconds * total / found["nodes"], "done": found["nodes"] / total, **found}


class Mounted(Hdf5Way):
    """sshfs: the file is below a folder of this computer."""

    def __init__(self, mount: str) -> None:
        self._mount = Path(mount)

    def open(self, file: str) -> contextlib.AbstractContextManager[h5py.File]:
        return h5py.File(self._here(file), "r")

    def listing(self, folder: str) -> dict[str, Any]:
        def look() -> list[tuple[str, int]]:
            with os.scandir(self._here(folder)) as entries:
                return [(entry.name, entry.stat().st_size) for entry in entries]
        seconds, entries = timed(look)
        return {"s": seconds, "entries": len(entries), "bytes": sum(size for _, size in entries)}

    def _here(self, file: str) -> str:
        return str(self._mount / file.lstrip("/"))


class OverSftp(Hdf5Way):
    """paramiko's SFTP client."""

    def __init__(self, server: str) -> None:
        told = json.loads(server)
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.AutoAddPolicy())   # our own emulated link
        self._client.connect(told["host"], told["port"], told["user"], look_for_keys=False, allow_agent=False,
                             key_filename=told["key"])
        self._sftp = self._client.open_sftp()

    def close(self) -> None:
        self._client.close()

    @contextlib.contextmanager
    def open(self, file: str) -> Iterator[h5py.File]:
        with self._sftp.open(file, "rb") as remote, h5py.File(remote, "r") as opened:
            yield opened

    def listing(self, folder: str) -> dict[str, Any]:
        seconds, entries = timed(self._sftp.listdir_attr, folder)
        return {"s": seconds, "entries": len(entries), "bytes": sum(entry.st_size or 0 for entry in entries)}

    def download(self, file: str, budget_s: float) -> dict[str, Any]:
        """The whole file with requests in flight, as ``get`` does; then nothing is easier than opening it."""
        size, got = self._sftp.stat(file).st_size or 0, 0
        begun = time.perf_counter()
        with self._sftp.open(file, "rb") as remote:
            remote.prefetch(size, max_concurrent_requests=64)
            while got < size and time.perf_counter() - begun < budget_s:
                got += len(remote.read(32768))
            spent = time.perf_counter() - begun
        return {"s": spent * size / got, "done": got / size}


class InBlocks(OverSftp):
    """The same, with a file object of one's own: blocks of 256 KiB, all that a read needs asked at once (readv)."""

    @contextlib.contextmanager
    def open(self, file: str) -> Iterator[h5py.File]:
        size = self._sftp.stat(file).st_size or 0
        with self._sftp.open(file, "rb") as remote, h5py.File(Blocks(remote, size), "r") as opened:
            yield opened


class Blocks(io.RawIOBase):
    """A file read in blocks that are kept."""

    def __init__(self, remote: paramiko.SFTPFile, size: int) -> None:
        self._remote, self._size, self._place = remote, size, 0
        self._kept: dict[int, bytes] = {}

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = offset + (0, self._place, self._size)[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        length = min(len(buffer), self._size - self._place)
        if length <= 0:
            return 0
        first, last = self._place // BLOCK, (self._place + length - 1) // BLOCK
        missing = [i for i in range(first, last + 1) if i not in self._kept]
        if missing:
            wanted = [(i * BLOCK, min(BLOCK, self._size - i * BLOCK)) for i in missing]
            for i, data in zip(missing, self._remote.readv(wanted), strict=True):
                self._kept[i] = data
        joined = b"".join(self._kept[i] for i in range(first, last + 1))
        start = self._place - first * BLOCK
        buffer[:length] = joined[start:start + length]
        self._place += length
        return length


def pieces_of(data: h5py.Dataset, axis: int, at: int, out: np.ndarray) -> Iterator[Callable[[], None]]:
    """Reads that together fill ``out`` with the slice, each of about what the file holds in one place."""
    rows, columns = out.shape
    if data.chunks:
        height, width = (n for i, n in enumerate(data.chunks) if i != axis)
    else:
        height, width = ((64, columns), (1, columns), (1, _ROWS))[axis]
    for i in range(0, rows, height):
        for j in range(0, columns, width):
            place: list[Any] = [slice(i, min(i + height, rows)), slice(j, min(j + width, columns))]
            index = (*place[:axis], at, *place[axis:])
            yield lambda place=tuple(place), index=index: out.__setitem__(place, data[index])


WAYS = {"mounted": Mounted, "plain": OverSftp, "blocks": InBlocks}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]](sys.argv[2]))
