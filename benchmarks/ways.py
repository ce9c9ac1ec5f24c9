"""The ways to a remote picture that are compared. Each is used as its users use it, over one warm SSH connection."""

from __future__ import annotations

import shlex
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import h5py
import numpy as np
import paramiko

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.connection import Connection
from app.remote.ssh.connect import open_ssh
from benchmarks.stack import DATA_PATH, max_pooled
from tests.peers.interaction import FakePerson

FACTOR = 2
FIT = (1100, 1100)            # device pixels of the panel: the frame is reduced by two
DEADLINE_S = 600.0


@dataclass(frozen=True)
class Server:
    """Where to connect to."""

    host: str
    port: int
    user: str
    host_key: str
    python: str


class Way(Protocol):
    """A way to pictures. ``first_image`` opens a file that it has not seen before."""

    name: str

    def connect(self, server: Server) -> None: ...
    def first_image(self, file: Path, frame: int) -> np.ndarray: ...
    def scrub(self, file: Path, frames: Sequence[int]) -> None: ...
    def close(self) -> None: ...


class Beamside:
    """Our agent, asked as the window asks: the default plot, then frames, ``in_flight`` of them at a time."""

    def __init__(self, in_flight: int = 1) -> None:
        self.name = "Beamside" if in_flight == 1 else f"Beamside, {in_flight} in flight"
        self._in_flight = in_flight
        self._connection: Connection | None = None

    def connect(self, server: Server) -> None:
        ssh = SshSettings(server.host, server.port, server.user, ("key",), (server.host_key,))
        profile = SiteProfile("far", ssh=ssh, agent=AgentSettings(python=(shlex.quote(server.python),)))
        self._connection = Connection(profile, lambda: open_ssh(profile, FakePerson(), None))
        self._connection.open().result(DEADLINE_S)

    def first_image(self, file: Path, frame: int) -> np.ndarray:
        assert self._connection is not None
        description = self._connection.data.plot(self._reference(file, "")).result(DEADLINE_S)
        assert description.signal == DATA_PATH, description
        block: Block = self._connection.data.read(self._request(file, frame)).result(DEADLINE_S)
        assert block.factor == (FACTOR, FACTOR), block.factor
        return block.values

    def scrub(self, file: Path, frames: Sequence[int]) -> None:
        assert self._connection is not None
        flying: deque[Any] = deque()
        for frame in frames:
            if len(flying) == self._in_flight:
                flying.popleft().result(DEADLINE_S)
            flying.append(self._connection.data.read(self._request(file, frame)))
        for future in flying:
            future.result(DEADLINE_S)

    def exact(self, file: Path, selection: Selection) -> np.ndarray:
        """A region at 1:1, to be compared with the file."""
        assert self._connection is not None
        values: np.ndarray = self._connection.data.read(
            ReadRequest(self._reference(file), selection)).result(DEADLINE_S).values
        return values

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _reference(self, file: Path, data_path: str = DATA_PATH) -> DataReference:
        return DataReference("far", PurePosixPath(file), data_path)

    def _request(self, file: Path, frame: int) -> ReadRequest:
        return ReadRequest(self._reference(file), Selection.frame((frame,)), FIT)


@dataclass
class _OverSftp:
    client: paramiko.SSHClient = field(default_factory=paramiko.SSHClient)
    sftp: paramiko.SFTPClient | None = None

    def connect(self, server: Server) -> None:
        kind, text = server.host_key.split()[:2]
        entry = paramiko.hostkeys.HostKeyEntry.from_line(f"[{server.host}]:{server.port} {kind} {text}")
        assert entry is not None
        assert entry.key is not None
        self.client.get_host_keys().add(f"[{server.host}]:{server.port}", kind, entry.key)
        self.client.connect(server.host, server.port, server.user, look_for_keys=False, allow_agent=False,
                            key_filename=str(Path.home() / ".ssh" / "id_ed25519"))
        self.sftp = self.client.open_sftp()

    def close(self) -> None:
        self.client.close()


@dataclass
class WholeFile(_OverSftp):
    """Download the file, then look at it."""

    name: str = "download by SFTP"
    _folder: Any = field(default_factory=lambda: tempfile.TemporaryDirectory(prefix="bs-download-"))

    def first_image(self, file: Path, frame: int) -> np.ndarray:
        assert self.sftp is not None
        self.sftp.get(str(file), str(self._copy(file)), max_concurrent_prefetch_requests=64)
        with h5py.File(self._copy(file)) as copy:
            return max_pooled(copy[DATA_PATH][frame], FACTOR)

    def scrub(self, file: Path, frames: Sequence[int]) -> None:
        """From the copy: the link has been paid for."""
        with h5py.File(self._copy(file)) as copy:
            for frame in frames:
                max_pooled(copy[DATA_PATH][frame], FACTOR)

    def close(self) -> None:
        super().close()
        self._folder.cleanup()

    def _copy(self, file: Path) -> Path:
        return Path(self._folder.name) / file.name


@dataclass
class H5pyOverSftp(_OverSftp):
    """h5py on a file object of paramiko's SFTP client, as scripts do it."""

    name: str = "h5py over SFTP"

    def first_image(self, file: Path, frame: int) -> np.ndarray:
        assert self.sftp is not None
        with self.sftp.open(str(file), "rb") as remote, h5py.File(remote, "r") as opened:
            return max_pooled(opened[DATA_PATH][frame], FACTOR)

    def scrub(self, file: Path, frames: Sequence[int]) -> None:
        assert self.sftp is not None
        with self.sftp.open(str(file), "rb") as remote, h5py.File(remote, "r") as opened:
            data = opened[DATA_PATH]
            for frame in frames:
                max_pooled(data[frame], FACTOR)


def timed(work: Any, *arguments: Any) -> tuple[float, Any]:
    """Seconds and result of a call."""
    begun = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - begun, result
