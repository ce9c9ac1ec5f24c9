"""Starts the agent at a site for a moment, lets every worker read, and takes everything away again.

It runs in a temporary folder of its own at the site, made of what is in the cache folder if it is there, so that the
site is afterwards as it was before. Blocks; ``close`` may be called from another thread and ends every wait.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from app.errors import AgentError, BeamsideError, LinkError, StorageFullError, WorkerLostError
from app.model.data import DataReference, ReadRequest, Selection
from app.model.site import SiteProfile
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from app.remote.deploy import new_nonce, start_agent
from app.remote.doctor.board import Found, failed, passed, warned
from app.remote.doctor.far_side import at_home
from app.remote.seams import ByteStream, CommandResult, Transport

HELLO_S = 60.0
ANSWER_S = 60.0
_NAME = "beamside-doctor-"
_LOOK_S = 0.2
_TIDY_S = 10.0
_MAKE = ('umask 077; d=$(mktemp -d "${TMPDIR:-/tmp}/beamside-doctor-XXXXXXXX") || exit 1; '
         'for f in "$1"/agent-*.zip "$1"/plugins-*; do [ -e "$f" ] && cp -Rp "$f" "$d/"; done; '
         'for f in "$1"/private-*; do [ -d "$f" ] && ln -s "$f" "$d/"; done; '
         'cat > "$d/sample.h5"; printf "\\036%s\\037" "$d"')
_REMOVE = 'case "$1" in */beamside-doctor-*) rm -rf -- "$1";; esac'
_T = TypeVar("_T")


class AgentTrial:
    """One agent for one examination."""

    def __init__(self, transport: Transport, profile: SiteProfile) -> None:
        self._transport = transport
        self._profile = profile
        self._folder = ""
        self._client = AgentClient(profile.name)
        self._session: AgentSession | None = None
        self._recording = _Recording(transport)

    def look_at_agent(self) -> Found:
        """Start it and wait for its greeting."""
        began = time.monotonic()
        self._folder = self._make_folder()
        profile = replace(self._profile, agent=replace(self._profile.agent, cache=self._folder))
        nonce = new_nonce()
        stream = start_agent(self._recording, profile, nonce)
        session = AgentSession(f"{profile.name}-doctor", stream, nonce, self._client.receive, self._ended)
        self._session = session
        session.start()
        hello = self._wait(session.hello, HELLO_S, "The agent did not greet")
        self._client.attach(session)
        took = time.monotonic() - began
        facts = "\n".join(f"{name}: {value}" for name, value in sorted(hello.facts.items())
                          if isinstance(value, (str, int, float)))
        return passed(f"The agent started in {took:.1f} s and speaks protocol {hello.protocol}.", facts)

    def look_at_workers(self) -> Found:
        """Let every worker start, and read a small file as many times at once as there are workers."""
        wanted = max(1, self._profile.agent.workers)
        workers = self._started_workers()
        reference = DataReference(self._profile.name, PurePosixPath(self._folder) / "sample.h5", "/numbers")
        request = ReadRequest(reference, Selection(), statistics=False)
        began = time.monotonic()
        reads = [self._client.read(request, view=f"doctor-{number}") for number in range(wanted)]
        for read in reads:
            block = self._wait(read, ANSWER_S, "A worker did not answer")
            if not np.array_equal(block.values, SAMPLE):
                return failed(WorkerLostError("A worker at the site reads wrong numbers.", repr(block.values[:2]),
                                              "Name another Python under [agent] python in the site profile."))
        took = time.monotonic() - began
        lines = [", ".join(f"{key} {value}" for key, value in worker.items()) for worker in workers]
        bad = [worker for worker in workers if worker.get("error")]
        if bad and len(bad) == len(workers):
            return failed(AgentError(f"No worker starts at the site: {bad[0]['error']}", "\n".join(lines),
                                     "Too many processes may be running there under your name. Try another login "
                                     "node."))
        if bad:
            return warned(f"{len(bad)} of {len(workers)} workers did not start: {bad[0]['error']}", "\n".join(lines),
                          "It works, more slowly. Too many processes may be running there under your name.")
        return passed(f"All {len(workers)} workers run; {wanted} reads took {1000 * took:.0f} ms.", "\n".join(lines))

    def close(self) -> None:
        """End the agent, and whatever waits for it. Idempotent."""
        for stream in self._recording.started:
            stream.close()
        session, self._session = self._session, None
        if session is not None:
            self._client.close()
            session.close()

    def tidy(self) -> None:
        """Take the temporary folder away, as long as the connection stands."""
        folder, self._folder = self._folder, ""
        if folder and self._profile.is_local:
            shutil.rmtree(folder, ignore_errors=True)
        elif folder and self._transport.alive:
            with contextlib.suppress(BeamsideError):
                self._transport.run(["sh", "-c", _REMOVE, "doctor", folder], timeout_s=_TIDY_S)

    def _ended(self, _session: AgentSession, reason: BeamsideError) -> None:
        """On the reader's thread: whoever waits for an answer hears of it."""
        self._client.fail(reason)

    def _make_folder(self) -> str:
        if self._profile.is_local:
            folder = tempfile.mkdtemp(prefix=_NAME)
            (Path(folder) / "sample.h5").write_bytes(sample_file())
            return folder
        cache = at_home(self._profile.agent.cache, self._transport)
        result = self._transport.run(["sh", "-c", _MAKE, "doctor", cache], stdin=sample_file(), timeout_s=60.0)
        folder = result.text.rpartition("\x1e")[2].partition("\x1f")[0]
        if result.exit_code or _NAME not in folder:
            raise StorageFullError("No temporary folder can be made at the site.", result.error_text[-500:],
                                   "The folder for temporary files ($TMPDIR or /tmp) may be full. Ask the facility.")
        return folder

    def _started_workers(self) -> list[dict[str, Any]]:
        """What the agent says of its workers, once each has started or failed to."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            status = self._wait(self._client.agent_status(), ANSWER_S, "The agent did not answer")
            workers = [dict(worker) for worker in status.get("workers", []) if isinstance(worker, dict)]
            if all(worker.get("error") or len(worker) > 3 for worker in workers) or time.monotonic() > deadline:
                return workers
            time.sleep(_LOOK_S)

    def _wait(self, future: Future[_T], seconds: float, what: str) -> _T:
        try:
            return future.result(seconds)
        except FutureTimeoutError:
            if future.done():
                raise
            raise LinkError(f"{what} within {seconds:g} seconds.",
                            remedy="The facility may be busy. Try another login node.") from None


class _Recording:
    """A transport that knows the streams it started."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.started: list[ByteStream] = []

    @property
    def alive(self) -> bool:
        return self._transport.alive

    @property
    def home(self) -> PurePosixPath:
        return self._transport.home

    @property
    def user(self) -> str:
        return self._transport.user

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        return self._transport.run(argv, stdin=stdin, timeout_s=timeout_s)

    def start(self, argv: Sequence[str]) -> ByteStream:
        self.started.append(self._transport.start(argv))
        return self.started[-1]

    def close(self) -> None:
        self._transport.close()


SAMPLE = np.arange(12, dtype=np.int32).reshape(3, 4)


def sample_file() -> bytes:
    """A small HDF5 file with ``SAMPLE`` at ``/numbers``."""
    import h5py

    made = io.BytesIO()
    with h5py.File(made, "w") as file:
        file["numbers"] = SAMPLE
    return made.getvalue()
