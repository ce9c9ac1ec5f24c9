"""A real session with a real agent, both directions recorded: what streams of damaged frames are made from."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np

from app.model.data import DataReference, ReadRequest, Selection
from app.model.stack import PixelPoint, StackOperation
from app.protocol.framing import marker_line
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import agent_zip
from app.remote.local_transport import LocalTransport
from app.remote.seams import ByteStream

NONCE = "0f" * 16
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Recording:
    """What went over the wire. ``said`` begins behind the marker line."""

    said: bytes
    heard: bytes
    file: Path


class _Recorded:
    """A ByteStream that remembers."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.said, self.heard = bytearray(), bytearray()

    def read(self, limit: int) -> bytes:
        data = self._stream.read(limit)
        self.said += data
        return data

    def read_error(self, limit: int) -> bytes:
        return self._stream.read_error(limit)

    def write(self, data: bytes) -> None:
        self.heard += data
        self._stream.write(data)

    def close(self) -> None:
        self._stream.close()

    def exit_code(self, timeout_s: float) -> int | None:
        return self._stream.exit_code(timeout_s)


def ask_everything(client: AgentClient, file: Path) -> list[Future[Any]]:
    """One request of each kind, always in the same order, so that the streams have the same numbers."""
    here, parts = DataReference("site", PurePosixPath(file)), list[Any]()
    stack = DataReference("site", here.file_path, "/entry/data/counts")
    client.watch(here.file_path, lambda generation: None, (1, 1))
    return [
        client.list_folder(here.file_path.parent), client.stat(here.file_path), client.nodes(here), client.plot(here),
        client.read(ReadRequest(stack, Selection.frame((1,)), (60, 60), preview=(20, 20)), on_part=parts.append),
        client.read(ReadRequest(stack, Selection((2,)))),
        client.show(here, (50, 50), preview=(20, 20), on_part=parts.append),
        client.line(stack, (0,), (0, 0), (50, 70)), client.agent_status(),
        client.project(stack, StackOperation.MAX, fit=(50, 50), on_partial=parts.append),
        client.profile(stack, PixelPoint(3, 4)), client.read(ReadRequest(DataReference("site", PurePosixPath("/no"))))]


def record(folder: Path) -> Recording:
    """Run a session to its end."""
    file = folder / "data.h5"
    with h5py.File(file, "w") as out:
        out.attrs["default"] = "entry"
        data = out.create_group("entry/data")
        out["entry"].attrs.update(NX_class="NXentry", default="data")
        data.attrs.update(NX_class="NXdata", signal="counts")
        values = np.random.default_rng(3).normal(9, 1, (6, 200, 300)).astype("f4")     # which takes several fragments
        data.create_dataset("counts", data=values, chunks=(1, 200, 300), compression="gzip")
    program = folder / "agent.zip"
    program.write_bytes(agent_zip().data)
    transport = LocalTransport()
    stream = _Recorded(transport.start([sys.executable, "-I", "-X", "utf8", str(program), "--nonce", NONCE,
                                        "--readers", "1"]))
    client, ended = AgentClient("site"), threading.Event()
    session = AgentSession("record", stream, NONCE, client.receive, lambda _, reason: ended.set())
    session.start()
    session.hello.result(DEADLINE_S)
    client.attach(session)
    try:
        asked = ask_everything(client, file)
        wait(asked, DEADLINE_S)
        assert [future.exception(0) is None for future in asked] == [True] * (len(asked) - 1) + [False]
        session.ping()
        session.close()
        assert ended.wait(DEADLINE_S)
    finally:
        session.close()
        transport.close()
    said = bytes(stream.said)
    return Recording(said[said.index(marker_line(NONCE)) + len(marker_line(NONCE)):], bytes(stream.heard), file)


