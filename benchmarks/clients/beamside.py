"""Beamside's own client without its window: what the window asks, through the classes that ask it.

First pictures, regions and slices are asked of the data service as the window asks them; scrubbing, jumping and the
frame fetched ahead go through :class:`FrameSource`, which holds the client's strategy, in a Qt event loop without
a screen.

    python -m benchmarks.clients.beamside SERVER-AS-JSON PYTHON-OF-THE-AGENT THREADS
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from concurrent.futures import Future, wait
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QEventLoop, Qt, QTimer

from app.model.data import Block, DataReference, Exactness, ReadRequest, Selection
from app.model.plot import PlotDescription
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.model.stack import PixelPoint, StackOperation, StackProjection
from app.remote.agent_zip import agent_zip, libraries
from app.remote.connection import Connection
from app.remote.seams import Transport
from app.remote.ssh.connect import open_ssh
from app.session.frame_source import FrameSource
from app.session.link_pace import Quality
from app.session.streaming import Streaming
from benchmarks.clients.serving import digest, serve
from tests.peers.interaction import FakePerson

FIT = (1100, 1100)            # device pixels of the panel
PREVIEW = (300, 300)
DATA_PATH = "/entry/data/data"
DEADLINE_S = 300.0
_IN_FLIGHT = 4
_PLAYED_PER_S = 25
_PATIENCE_S = 45.0


class Beamside:
    """One connection."""

    def __init__(self, server: str, python: str, threads: str) -> None:
        told = json.loads(server)
        ssh = SshSettings(told["host"], told["port"], told["user"], ("key",), (told["host_key"],))
        profile = SiteProfile("far", ssh=ssh, agent=AgentSettings(python=(shlex.quote(python),), threads=int(threads)))
        self._signed_in = 0.0

        def transport() -> Transport:
            opened = open_ssh(profile, FakePerson(), None)
            self._signed_in = time.perf_counter()
            return opened

        self._application = QCoreApplication([])
        self._connection = Connection(profile, transport)

    def connect(self) -> dict[str, Any]:
        """Sign in and start the agent. ``s``: from signed in to the agent's answer; ``upload``: bytes of the files."""
        begun = time.perf_counter()
        self._connection.open().result(DEADLINE_S)
        now = time.perf_counter()
        return {"s": now - self._signed_in, "sign_in_s": self._signed_in - begun, "agent_bytes": len(agent_zip().sent),
                "library_bytes": sum(len(library.sent) for library in libraries())}

    def close(self) -> None:
        self._connection.close()

    def reconnect(self) -> dict[str, Any]:
        """The second time: the agent is there already."""
        self._connection.close()
        return self.connect()

    def warm(self, file: str, frames: list[int]) -> dict[str, Any]:
        for future in [self._read(file, frame) for frame in frames]:
            future.result(DEADLINE_S)
        return {}

    # -- pictures ---------------------------------------------------------------------------------------------------

    def first(self, file: str, frame: int) -> dict[str, Any]:
        """A file nobody opened: what it asks to be shown as, and the picture of the frame that it begins with."""
        del frame
        parts = Parts()
        described, block = self._connection.data.show(
            _reference(file, ""), FIT, preview=PREVIEW, on_description=parts.described,
            on_part=parts.add).result(DEADLINE_S)
        return {**parts.report(block), "frame": described.frame or 0}

    def frame(self, file: str, frame: int) -> dict[str, Any]:
        """A frame of an open file, with a preview."""
        parts = Parts()
        return parts.report(self._read(file, frame, parts=parts).result(DEADLINE_S))

    def roi(self, file: str, frame: int, region: list[int]) -> dict[str, Any]:
        y0, y1, x0, x1 = region
        parts = Parts()
        request = ReadRequest(_reference(file), Selection((frame, slice(y0, y1), slice(x0, x1))), statistics=False)
        return parts.report(self._connection.data.read(request, on_part=parts.add).result(DEADLINE_S))

    def slices(self, file: str, at: list[int], budget_s: float) -> dict[str, Any]:
        """Three orthogonal slices at once: a preview of all of them, then exact."""
        del budget_s
        everything = slice(None)
        begun, parts, futures = time.perf_counter(), [Parts() for _ in at], []
        for axis, place in enumerate(at):
            items: list[Any] = [everything] * 3
            items[axis] = place
            request = ReadRequest(_reference(file), Selection(tuple(items)), (2000, 2000), preview=PREVIEW)
            futures.append(self._connection.data.read(request, on_part=parts[axis].add))
        wait(futures, DEADLINE_S)
        reports = [part.report(future.result(0)) for part, future in zip(parts, futures, strict=True)]
        return {"s": max(part.final for part in parts) - begun,
                "preview_s": max(part.preview for part in parts) - begun, "done": 1.0,
                "exact": all(report["exactness"] == "exact" for report in reports),
                "digest": " ".join(report["digest"] for report in reports)}

    # -- stacks -----------------------------------------------------------------------------------------------------

    def profile(self, file: str, y: int, x: int) -> dict[str, Any]:
        begun = time.perf_counter()
        found = self._connection.data.profile(_reference(file), PixelPoint(y, x), priority=2).result(DEADLINE_S)
        seconds = time.perf_counter() - begun
        assert found.values is not None
        return {"s": seconds, "digest": digest(found.values)}

    def project(self, file: str) -> dict[str, Any]:
        """The maximum of all frames. ``partial_s``: the first picture of some of them, spread over the stack."""
        partial: list[float] = []
        begun = time.perf_counter()
        done = self._connection.data.project(
            _reference(file), StackOperation.MAX, fit=FIT,
            on_partial=lambda some: partial.append(time.perf_counter()) if _fair(some) else None).result(DEADLINE_S)
        seconds = time.perf_counter() - begun
        values = np.where(done.mask, 0, done.values) if done.mask is not None else done.values
        return {"s": seconds, "partial_s": (partial[0] - begun) if partial else None, "partials": len(partial),
                "frames": done.frames, "digest": digest(values)}

    # -- the client's strategy --------------------------------------------------------------------------------------

    def scrub(self, file: str, frames: list[int], budget_s: float, quality: str, per_s: float) -> dict[str, Any]:
        """Somebody who draws the slider through frames, so many wishes a second.

        ``s``: from one frame that was shown to the next, first to last; how long the first takes is measured as a jump.
        ``final``: the share of those that were shown as they stay, not coarser.
        """
        panel = Panel(self._connection, file, quality)
        try:
            panel.want(frames[0])
            last = panel.draw(frames[1:], budget_s, per_s)
            shown, final, seconds = len(panel.shown), len(panel.final), panel.shown_s
            panel.want(last)
            return {"s": seconds / max(shown - 1, 1), "frames": shown, "final": final / max(shown, 1),
                    "digest": panel.digest(), "last": last}
        finally:
            panel.close()

    def stream(self, file: str, frames: list[int], budget_s: float) -> dict[str, Any]:
        """Without the client's strategy: reads with some always in flight. What the agent and the wire can."""
        flying: list[Future[Block]] = []
        times: list[float] = []
        end = time.perf_counter() + budget_s
        for frame in frames:
            if len(flying) == _IN_FLIGHT:
                block = flying.pop(0).result(DEADLINE_S)
                times.append(time.perf_counter())
            if time.perf_counter() > end:
                break
            flying.append(self._read(file, frame))
        for future in flying:
            block = future.result(DEADLINE_S)
            times.append(time.perf_counter())
        return {"s": (times[-1] - times[0]) / (len(times) - 1), "bytes": block.bytes_received}

    def jump(self, file: str, start: int, to: int, playing_s: float) -> dict[str, Any]:
        """Play, then want a frame far away: ``preview_s`` until something of it is shown, ``s`` until its picture."""
        panel = Panel(self._connection, file)
        try:
            panel.want(start)
            panel.draw(list(range(start + 1, start + 1000)), playing_s, _PLAYED_PER_S)
            seconds = panel.want(to)
            return {"s": seconds, "preview_s": panel.first_s, "digest": panel.digest()}
        finally:
            panel.close()

    def ahead(self, file: str, start: int, rest_s: float) -> dict[str, Any]:
        """Two frames in one direction, a moment's rest, the next one."""
        panel = Panel(self._connection, file)
        try:
            panel.want(start)
            panel.want(start + 1)
            panel.rest(rest_s)
            return {"s": panel.want(start + 2), "digest": panel.digest()}
        finally:
            panel.close()

    # -- folders and trees ------------------------------------------------------------------------------------------

    def listing(self, folder: str) -> dict[str, Any]:
        begun = time.perf_counter()
        found = self._connection.data.list_folder(PurePosixPath(folder)).result(DEADLINE_S)
        seconds = time.perf_counter() - begun
        return {"s": seconds, "entries": len(found.entries), "bytes": sum(entry.size or 0 for entry in found.entries)}

    def tree(self, file: str, total: int, budget_s: float) -> dict[str, Any]:
        del total, budget_s
        begun = time.perf_counter()
        nodes = self._connection.data.nodes(_reference(file, "/"), None).result(DEADLINE_S)
        seconds = time.perf_counter() - begun
        below = [node for node in nodes if node.path != "/"]
        return {"s": seconds, "done": 1.0, "nodes": len(below), "attributes": sum(len(n.attributes) for n in below)}

    def _read(self, file: str, frame: int, parts: Parts | None = None) -> Future[Block]:
        request = ReadRequest(_reference(file), Selection.frame((frame,)), FIT,
                              preview=PREVIEW if parts is not None else None)
        return self._connection.data.read(request, on_part=parts.add if parts is not None else None)


class Parts:
    """When what came of one picture."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.description = self.preview = self.final = 0.0
        self._came: list[tuple[float, Block]] = []

    def described(self, _description: PlotDescription) -> None:
        self.description = time.perf_counter()

    def add(self, block: Block) -> None:
        self._came.append((time.perf_counter(), block))

    def report(self, block: Block | None) -> dict[str, Any]:
        """``s``: the picture; ``preview_s``: the first of it; ``whole_s``: with its statistics; bytes until each."""
        whole = time.perf_counter()
        assert block is not None
        self._came.append((whole, block))
        self.preview, first = self._came[0]
        self.final, picture = next((at, b) for at, b in self._came
                                   if b.factor == block.factor and b.exactness is block.exactness)
        pooled = block.mask is not None and block.factor != (1, 1)
        values = np.where(block.mask, 0, block.values) if pooled else block.values  # type: ignore[arg-type]
        return {"s": self.final - self.begun, "preview_s": self.preview - self.begun, "whole_s": whole - self.begun,
                "description_s": self.description - self.begun if self.description else None,
                "bytes": block.bytes_received, "preview_bytes": first.bytes_received,
                "final_bytes": picture.bytes_received, "exactness": block.exactness.value,
                "factor": list(block.factor), "digest": digest(values)}


class Panel:
    """A viewer without a screen."""

    def __init__(self, connection: Connection, file: str, quality: str = Quality.AUTOMATIC.value) -> None:
        described = connection.data.plot(_reference(file)).result(DEADLINE_S)
        self._streaming = Streaming(quality)
        self.source = FrameSource(connection.data, _reference(file), described, streaming=self._streaming)
        self.source.block_ready.connect(self._ready)
        self.source.failed.connect(self._failed)
        height, width = described.shape[-2:]
        self._loop = QEventLoop()
        self._wanted: tuple[int, ...] | None = None
        self._begun = self.first_s = self._first_at = self._last_at = 0.0
        self._error: BaseException | None = None
        self._block: Block | None = None
        self._on_screen: int | None = None       # the frame whose picture, as it stays, was handed over last
        self.shown: set[int] = set()             # while the slider is drawn
        self.final: set[int] = set()
        self.source.see_region(0, height, 0, width, *FIT)

    def want(self, frame: int) -> float:
        """Seconds until the picture of this frame, as it stays, is handed to the view."""
        self._wanted, self.first_s, self._loop = (frame,), 0.0, QEventLoop()
        if self._on_screen != frame:             # the same picture is not handed over twice
            self._block = None
        self._begun = time.perf_counter()
        self.source.show_frame((frame,))
        if self._block is None:
            QTimer.singleShot(int(1000 * _PATIENCE_S), self._loop, self._loop.quit)
            self._loop.exec()
        if self._error is not None:
            raise self._error
        if self._block is None:
            raise TimeoutError(f"frame {frame} was not shown within {_PATIENCE_S:.0f} s")
        return time.perf_counter() - self._begun

    @property
    def shown_s(self) -> float:
        """Seconds from the first frame that was shown to the last, of the last :meth:`draw`."""
        return self._last_at - self._first_at

    def draw(self, frames: list[int], seconds: float, per_s: float) -> int:
        """Want these frames one after the other at a steady pace; the last one wanted."""
        self._wanted, wishes, last = None, iter(frames), frames[0]
        self._loop = QEventLoop()                # timers of earlier waiting end earlier loops
        self.shown, self.final = set(), set()
        begun = self._first_at = self._last_at = time.perf_counter()

        def wish() -> None:
            nonlocal last
            frame = next(wishes, None)
            if frame is None or time.perf_counter() - begun > seconds or self._error is not None:
                self._loop.quit()
            else:
                last = frame
                self.source.show_frame((frame,))
        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(round(1000 / per_s))
        timer.timeout.connect(wish)
        timer.start()
        self._loop.exec()
        timer.stop()
        if self._error is not None:
            raise self._error
        return last

    def rest(self, seconds: float) -> None:
        """Let the client do what it does when nothing is asked of it."""
        self._loop = QEventLoop()
        QTimer.singleShot(int(1000 * seconds), self._loop, self._loop.quit)
        self._loop.exec()

    def digest(self) -> str:
        assert self._block is not None
        values = self._block.values
        return digest(np.where(self._block.mask, 0, values) if self._block.mask is not None else values)

    def close(self) -> None:
        self.source.close()

    def _ready(self, block: Block, leading: tuple[int, ...], _region: object) -> None:
        stays = block.factor[0] <= 2 and block.exactness in (Exactness.EXACT, Exactness.POOLED)
        self._on_screen = leading[0] if stays else None
        if self._wanted is None:
            if leading[0] not in self.shown:
                self._last_at = time.perf_counter()
                self._first_at = self._first_at if self.shown else self._last_at
            self.shown.add(leading[0])
            if stays:
                self.final.add(leading[0])
                self._block = block
        elif tuple(leading) == self._wanted:
            self.first_s = self.first_s or time.perf_counter() - self._begun
            if stays:
                self._block = block
                self._loop.quit()

    def _failed(self, error: BaseException) -> None:
        self._error = error
        self._loop.quit()


def _fair(some: StackProjection) -> bool:
    return some.partial and some.frames > 0


def _reference(file: str, data_path: str = DATA_PATH) -> DataReference:
    return DataReference("far", PurePosixPath(file), data_path)


if __name__ == "__main__":
    serve(Beamside(*sys.argv[1:]))
