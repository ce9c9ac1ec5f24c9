"""One link: start every way, give every case's order to all in turn, round by round, and look at the answers."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import truth
from benchmarks.cases import (
    BLOCKS,
    BOTH,
    DEBIAN,
    DOWNLOAD,
    GROVE,
    GROVE_C,
    ONE_THREAD,
    OURS,
    PLAIN,
    SSHFS,
    STRIDE,
    TILED,
    Case,
    Round,
)
from benchmarks.data import FOLDER, U16, U32_16M, Data
from benchmarks.far import GROVE_PORT, TILED_PORT, Facility, facility
from benchmarks.links import Link
from benchmarks.near import NearEnd
from tests.peers.link import emulated_link

TIMEOUT_S = 150.0
Say = Callable[[str], None]
Found = list[dict[str, Any]]


class Fresh:
    """Names that nobody has opened: hard links to the data, all made before the servers start."""

    def __init__(self, data: Data, cases: Sequence[Case], rounds: int) -> None:
        for name in ("served", "listed"):        # what a run that was killed left
            for old in data.folder.glob(f"{name}-*"):
                if not Path(f"/proc/{old.name.partition('-')[2]}").exists():
                    shutil.rmtree(old)
        self.folder = data.folder / f"served-{os.getpid()}"
        self.folder.mkdir()
        self._left: dict[tuple[str, int], Path] = {}
        for case in cases:
            for number in range(max(case.rounds, case.slow_rounds, rounds) if case.fresh else 0):
                path = self.folder / f"{case.name}_{number}.h5"
                os.link(data.file(case.data), path)
                self._left[case.name, number] = path
        for case in cases:
            path = self.folder / f"{case.data}.h5"
            if not path.exists() and case.data != FOLDER:
                os.link(data.file(case.data), path)
        self._listed = data.folder / f"listed-{os.getpid()}"        # beside what Tiled serves: it indexes every file
        self._listed.mkdir()
        if any(case.data == FOLDER for case in cases):
            copied = self._listed / "0"
            shutil.copytree(data.file(FOLDER), copied, copy_function=os.link)

    def of(self, case: Case, number: int) -> Path:
        if case.data == FOLDER:                  # the same folder under a name that nobody has listed
            target = self._listed / str(number)
            if not target.exists():
                next(self._listed.iterdir()).rename(target)
            return target
        return self._left.get((case.name, number), self.folder / f"{case.data}.h5")

    def close(self) -> None:
        shutil.rmtree(self.folder)
        shutil.rmtree(self._listed)


def measure(link: Link, data: Data, cases: Sequence[Case], ways: Sequence[str], python: Path, agent_python: str,
            say: Say, rounds: int = 0) -> Found:
    """Every measurement on one link.

    Args:
        ways: names of those to start.
        python: of the peers' environment.
        agent_python: the one of the way that is called Debian's.
        rounds: instead of the cases' own numbers; 0: those.
    """
    found: Found = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bs-bench-")))
        emulated = stack.enter_context(emulated_link(link.rate_mbit, link.round_trip_ms, queue_ms=link.queue_ms))
        far = stack.enter_context(facility(emulated, folder))
        fresh = Fresh(data, cases, rounds)
        stack.callback(fresh.close)
        ends = _start(link, ways, far, fresh, python, agent_python, stack, found, say)
        for case in cases:
            if not case.links(link):
                continue
            read_through(data.file(case.data))
            count = rounds or max(case.rounds, case.slow_rounds)
            for number in range(count):
                here = Round(data, link, number)
                turn = [way for way in (*case.quick, *case.slow) if way in ends
                        and (rounds or number < (case.rounds if way in case.quick else case.slow_rounds))]
                turn = turn[number % max(1, len(turn)):] + turn[:number % max(1, len(turn))]
                for way in turn:
                    answer = _ask(case, here, ends[way], fresh, data)
                    found.append({"link": link.name, "case": case.name, "way": way, "round": number, **answer})
                    say(f"{link.name} | {case.name} {number} | {way}: {_short(answer)}")
            if case.data == U32_16M:             # before the volumes, whose mapped pages count as resident too
                for row in agent_memory(far):
                    way = DEBIAN if row["python"] == agent_python else OURS
                    found.append({"link": link.name, "case": "memory", "way": way, "round": 0, **row})
    return found


def read_through(path: Path) -> None:
    """Bring a file into the page cache: what is measured is links and programs, not this machine's disk."""
    if path.is_file():
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                pass


def _ask(case: Case, here: Round, end: NearEnd, fresh: Fresh, data: Data) -> dict[str, Any]:
    original, file = data.file(case.data), fresh.of(case, here.number)
    if case.before == "warm":
        base = fresh.folder / f"{case.data}.h5"
        end.ask("warm", TIMEOUT_S, file=str(base), frames=[1, 2] if end.name in (*case.slow,) else [1, 2, 3, 2])
    elif case.before == "idle":
        if end.used == 0.0 or not hasattr(end, "opened"):
            end.ask("warm", TIMEOUT_S, file=str(fresh.folder / f"{U16}.h5"), frames=[0])   # imports are done
            end.opened = True  # type: ignore[attr-defined]
        time.sleep(max(0.0, here.idle_s - (time.monotonic() - end.used)))
    load = os.getloadavg()[0]
    answer = end.ask(case.do, TIMEOUT_S, **case.order(here, file))
    answer["load"] = load
    if "error" not in answer:
        answer["right"] = truth.right(answer, case.expected(here, original, end.name, answer))
    return answer


def _short(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return str(answer["error"])
    words = [f"{key} {1000 * answer[key]:.1f} ms" for key in ("s", "preview_s", "partial_s", "whole_s")
             if answer.get(key) is not None]
    if answer.get("done", 1) < 1:
        words.append(f"{100 * answer['done']:.1f} % done")
    words.append({True: "right", False: "WRONG", None: ""}[answer.get("right")])
    return ", ".join(word for word in words if word)


def _start(link: Link, ways: Sequence[str], far: Facility, fresh: Fresh, python: Path, agent_python: str,
           stack: contextlib.ExitStack, found: Found, say: Say) -> dict[str, NearEnd]:
    """The servers that are needed and one process a way."""
    ends: dict[str, NearEnd] = {}
    server, ports = json.dumps(far.server), itertools.count(18300)

    def near(name: str, argv: Sequence[str]) -> NearEnd:
        ends[name] = NearEnd(name, far.link.at_home(argv), far.home, far.folder / f"{name}.log")
        stack.callback(ends[name].close)
        return ends[name]

    for name, agent, threads in ((OURS, sys.executable, 2), (DEBIAN, agent_python, 2), (ONE_THREAD, sys.executable, 1)):
        if name in ways:
            end = near(name, [sys.executable, "-m", "benchmarks.clients.beamside", server, agent, str(threads)])
            for do in ("connect", *(["reconnect"] * 3 if name in BOTH else [])):
                answer = end.ask(do, TIMEOUT_S)
                if "error" in answer:
                    raise RuntimeError(f"{name}: {answer['error']}\n{(far.folder / f'{name}.log').read_text()[-3000:]}")
                found.append({"link": link.name, "case": do, "way": name, "round": 0, **answer})
                say(f"{name}: {do} {1000 * answer['s']:.0f} ms, sign-in {1000 * answer['sign_in_s']:.0f} ms")
    for name, how in ((PLAIN, "plain"), (BLOCKS, "blocks"), (DOWNLOAD, "plain")):
        if name in ways:
            near(name, [str(python), "-m", "benchmarks.clients.hdf5", how, server])
    if SSHFS in ways:
        mount = far.mount()
        near(SSHFS, [str(python), "-m", "benchmarks.clients.hdf5", "mounted", str(mount)])
    if TILED in ways or STRIDE in ways:
        far.run_far([str(python.with_name("tiled")), "serve", "directory", str(fresh.folder), "--public", "--port",
                     str(TILED_PORT)], "tiled", TILED_PORT)
        far.wait_for_text("tiled", "Indexing complete")
        for name in (TILED, STRIDE):
            if name in ways:
                near(name, [str(python), "-m", "benchmarks.clients.http", name, far.tunnel(TILED_PORT, next(ports))])
    if GROVE in ways or GROVE_C in ways:
        far.run_far([str(python), "-m", "benchmarks.clients.grove_server", str(GROVE_PORT)], "h5grove", GROVE_PORT)
        for name in (GROVE, GROVE_C):
            if name in ways:
                near(name, [str(python), "-m", "benchmarks.clients.http", "h5grove",
                            far.tunnel(GROVE_PORT, next(ports), compressed=name == GROVE_C)])
    say("started: " + ", ".join(ends))
    return ends


def agent_memory(far: Facility) -> Found:
    """What each process of an agent has needed at most, in bytes; agents are told by the zip they run from."""
    rows = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            if b"python" not in argv[0] or not any(
                    part == b"beamside-agent" or (b"agent-" in part and b".zip" in part) for part in argv) or (
                    os.readlink(folder / "ns/net") != os.readlink(f"/proc/{far.pid}/ns/net")):
                continue
            told = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            if "VmHWM" not in told:
                continue
            rows.append({"peak_bytes": int(told["VmHWM"].split()[0]) * 1024,
                         "now_bytes": int(told["VmRSS"].split()[0]) * 1024,
                         "anonymous_bytes": int(told["RssAnon"].split()[0]) * 1024,
                         "python": argv[0].decode(), "worker": b"--worker" in argv})
    return rows


ALL_WAYS = (OURS, DEBIAN, ONE_THREAD, SSHFS, TILED, STRIDE, GROVE, GROVE_C, PLAIN, BLOCKS, DOWNLOAD)
