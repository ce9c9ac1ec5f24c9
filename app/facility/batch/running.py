"""One running job: starts its step process, watches time and memory, and says how it ended. Asyncio thread."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from app.facility.batch import step
from app.facility.batch.cluster import NODE, Cluster
from app.facility.batch.records import Record, State
from app.facility.batch.times import stamp

log = logging.getLogger(__name__)

_MEMORY_POLL_S = 0.5
_PATTERN = re.compile(r"%(\d{0,2})([%AajJNnstux])")


class Ending(Enum):
    """Why a job is made to end, with the words Slurm writes into its error file."""

    CANCELLED = ""
    TIME = " DUE TO TIME LIMIT"
    MEMORY = " DUE TO MEMORY LIMIT"
    REQUEUED = " DUE TO JOB REQUEUE"
    FACILITY_STOPPED = " DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS"


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    state: State
    reason: str = "None"
    exit_code: int = 0
    signal: int = 0
    max_rss_kb: int = 0


class RunningJob:
    """A job from start to end; ``run`` is awaited once."""

    def __init__(self, record: Record, environment: dict[str, str], script: Path, cluster: Cluster) -> None:
        self.record = record
        self._environment = environment
        self._script = script
        self._cluster = cluster
        self._process: asyncio.subprocess.Process | None = None
        self._pid = 0
        self._asked: Ending | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._peak_kb = 0

    async def run(self) -> Result:
        """Run the script to its end."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", step.__file__, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            start_new_session=True, env=self._environment)
        watch: asyncio.Task[None] | None = None
        try:
            self._tell(json.dumps(self._specification()))
            told = await self._hear()
            if "failed" in told:
                return self._not_started(told)
            self._pid = told["pid"]
            self._watch_time()
            if self.record.memory_mb is not None and Path("/proc/self/stat").exists():
                watch = asyncio.create_task(self._watch_memory(self.record.memory_mb))
            if self._asked is not None:
                self._end_now()
            end = await self._hear()
            return self._result(end)
        finally:
            for timer in self._timers:
                timer.cancel()
            if watch is not None:
                watch.cancel()
                await asyncio.gather(watch, return_exceptions=True)
            if self._process.stdin is not None:
                self._process.stdin.close()
            await self._process.wait()

    def end(self, why: Ending) -> None:
        """Make it end: SIGTERM now, SIGKILL after the kill wait. The first reason counts."""
        if self._asked is None:
            self._asked = why
            if self._pid:
                self._end_now()

    def signal(self, number: int) -> None:
        if self._pid:
            self._tell(str(number))

    @property
    def output_paths(self) -> tuple[str, str]:
        """Standard output and error, names filled in, absolute."""
        paths = tuple(os.path.join(self.record.workdir, expand(p, self.record))
                      for p in (self.record.stdout, self.record.stderr))
        return paths[0], paths[1]

    def _specification(self) -> dict[str, Any]:
        stdout, stderr = self.output_paths
        first = self._script.read_text(encoding="utf-8", errors="surrogateescape").splitlines()[0]
        return {"argv": [str(self._script), *self.record.arguments], "cwd": self.record.workdir, "stdout": stdout,
                "stderr": stderr, "append": self.record.append, "env": self._environment,
                "interpreter": first.removeprefix("#!").strip()}

    def _tell(self, line: str) -> None:
        assert self._process is not None
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(line.encode() + b"\n")

    async def _hear(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"signal": int(signal.SIGKILL), "exit_code": 0, "max_rss_kb": 0}

    def _not_started(self, told: dict[str, Any]) -> Result:
        log.info("job %s did not start: %s", self.record.label, told["text"])
        if told["failed"] == "output":
            return Result(State.FAILED, "NonZeroExitCode", 0, 53)
        return Result(State.FAILED, "NonZeroExitCode", 127)

    def _result(self, end: dict[str, Any]) -> Result:
        peak = max(self._peak_kb, int(end["max_rss_kb"]))
        if self._asked is Ending.CANCELLED:
            return Result(State.CANCELLED, max_rss_kb=peak)
        if self._asked is Ending.TIME:
            return Result(State.TIMEOUT, "TimeLimit", max_rss_kb=peak)
        if self._asked is Ending.MEMORY:
            return Result(State.OUT_OF_MEMORY, "OutOfMemory", 0, 125, peak)
        if self._asked is Ending.REQUEUED:
            return Result(State.PENDING, "BeginTime", max_rss_kb=peak)
        if self._asked is Ending.FACILITY_STOPPED:
            return Result(State.NODE_FAIL, "NodeDown", max_rss_kb=peak)
        if end["signal"]:
            number = int(end["signal"])
            return Result(State.FAILED, "JobLaunchFailure", 0, number, peak)          # 22.05 says it so
        code = int(end["exit_code"])
        return Result(State.FAILED if code else State.COMPLETED, "NonZeroExitCode" if code else "None", code, 0, peak)

    def _watch_time(self) -> None:
        if self.record.limit_min != float("inf"):
            loop = asyncio.get_running_loop()
            self._timers.append(loop.call_later(self.record.limit_min * self._cluster.minute_s, self.end, Ending.TIME))

    async def _watch_memory(self, limit_mb: int) -> None:
        while True:
            self._peak_kb = max(self._peak_kb, session_memory_kb(self._pid))
            if self._peak_kb > limit_mb * 1024:
                self.end(Ending.MEMORY)
                return
            await asyncio.sleep(_MEMORY_POLL_S)

    def _end_now(self) -> None:
        assert self._asked is not None
        self._write_notice(self._asked)
        if self._asked is Ending.MEMORY:
            self._tell(str(int(signal.SIGKILL)))
            return
        self._tell(str(int(signal.SIGCONT)))
        self._tell(str(int(signal.SIGTERM)))
        self._timers.append(asyncio.get_running_loop().call_later(
            self._cluster.kill_wait_s, self._tell, str(int(signal.SIGKILL))))

    def _write_notice(self, why: Ending) -> None:
        number = self.record.raw_id
        text = (f"slurmstepd: error: Detected 1 oom_kill event in StepId={number}.batch. Some of the step tasks have "
                "been OOM Killed.\n" if why is Ending.MEMORY else
                f"slurmstepd: error: *** JOB {number} ON {NODE} CANCELLED AT {stamp(time.time(), '')}{why.value} ***\n")
        try:
            with open(self.output_paths[1], "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            log.info("job %s: no notice written: %s", self.record.label, error)


def expand(pattern: str, record: Record) -> str:
    """An output file's name with sbatch's ``filename pattern`` filled in."""
    values: dict[str, object] = {
        "%": "%", "A": record.id, "a": record.task if record.task is not None else 4294967294, "j": record.raw_id,
        "J": record.raw_id, "N": NODE, "n": 0, "s": "batch", "t": 0, "u": record.user, "x": record.name}

    def one(match: re.Match[str]) -> str:
        value = values[match[2]]
        return str(value).zfill(min(10, int(match[1] or 0))) if isinstance(value, int) else str(value)
    return _PATTERN.sub(one, pattern)


def session_memory_kb(session: int) -> int:
    """Resident memory of all processes of a session, from /proc."""
    page_kb = os.sysconf("SC_PAGE_SIZE") // 1024
    total = 0
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                values = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(values[3]) == session:
            total += int(values[21]) * page_kb
    return total
