"""Keeps the jobs of direct execution at the site: their state in files, and the processes that watch over them.

The first half of what ``python3 -I -c TEXT VERB …`` runs there (Linux, Python 3.8 or newer); the other is
:mod:`app.remote.scheduler.direct_commands`. It runs as the user and for that user alone. There is no daemon: every
running task has a keeper, a process of its own session that enforces the limits, writes down the end and, last of all,
starts what waits next; every command looks whether something can start, too. State is in
~/.local/share/beamside/direct/HOST: ``jobs`` (open) and ``ended`` (kept 90 days), one JSON file per job, changed under
one lock and renamed into place. Times: seconds since the epoch.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Job = dict[str, Any]

GRACE_S = 10.0          # between SIGTERM and SIGKILL
LOOK_S = 0.5            # how often memory is looked at
KEPT_S = 90 * 86400
KEPT_JOBS = 5000
_DEAF = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)   # ignored by a submission, to outlive its link


class RefusedError(Exception):
    """One sentence for the person."""


class Spool:
    """The state of all jobs; used under :meth:`locked`."""

    def __init__(self) -> None:
        self.root = os.path.join(os.path.expanduser("~"), ".local", "share", "beamside", "direct",
                                 os.uname().nodename.replace("/", "_"))
        for name in ("jobs", "ended"):
            os.makedirs(os.path.join(self.root, name), mode=0o700, exist_ok=True)
        self.lock = -1

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        self.lock = os.open(os.path.join(self.root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX)
            yield
        finally:
            fcntl.flock(self.lock, fcntl.LOCK_UN)
            os.close(self.lock)

    def ids(self, where: str) -> list[int]:
        names = os.listdir(os.path.join(self.root, where))
        return sorted(int(name[:-5]) for name in names if re.match(r"[0-9]+\.json$", name))

    def read(self, job_id: int) -> Job | None:
        for where in ("jobs", "ended"):
            with contextlib.suppress(OSError, ValueError), open(self.path(where, job_id), encoding="utf-8") as file:
                found = json.load(file)
                if isinstance(found, dict):
                    return found
        return None

    def path(self, where: str, job_id: int) -> str:
        return os.path.join(self.root, where, f"{job_id}.json")

    def write(self, job: Job) -> None:
        over = all(task["state"] == "ended" for task in job["tasks"].values())
        self._replace(self.path("ended" if over else "jobs", job["id"]), json.dumps(job))
        if over:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path("jobs", job["id"]))

    def open_jobs(self) -> list[Job]:
        found = [self.read(job_id) for job_id in self.ids("jobs")]
        return [job for job in found if job is not None]

    def next_id(self) -> int:
        path = os.path.join(self.root, "next")
        known = [0, *self.ids("jobs")[-1:], *self.ids("ended")[-1:]]
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            known.append(int(file.read()))
        self._replace(path, str(max(known) + 1))
        return max(known) + 1

    def prune(self) -> None:
        ids = self.ids("ended")
        for job_id in ids[:-1]:
            path = self.path("ended", job_id)
            with contextlib.suppress(OSError):
                if job_id in ids[:-KEPT_JOBS] or os.stat(path).st_mtime < time.time() - KEPT_S:
                    os.unlink(path)

    @staticmethod
    def _replace(path: str, text: str) -> None:
        new = f"{path}.{os.getpid()}"
        try:
            with open(new, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(new, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(new)
            raise


# -- What runs ---------------------------------------------------------------------------------------------------------

def boot() -> str:
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
    return ""


def stat_of(pid: int) -> tuple[int, str, str]:
    """Parent, start time and state of a process; -1 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return int(fields[1]), fields[19], fields[0]
    except (OSError, IndexError, ValueError):
        return -1, "", ""


def lives(task: dict[str, Any]) -> bool:
    """Whether a task's keeper runs: the same process, not another with its number."""
    _parent, born, state = stat_of(task.get("pid") or 0)
    return task.get("boot") == boot() and born == task.get("born") and state not in ("", "Z")


def key_of(job_id: int, number: str) -> str:
    """What the processes of one task carry in their environment."""
    return f"{job_id}.{number} {os.path.expanduser('~')}"


def end_strays(key: str) -> None:
    """End what a keeper that was killed left behind."""
    mark = b"BEAMSIDE_DIRECT_KEY=" + os.fsencode(key)
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/environ", "rb") as file:
                    found = mark in file.read().split(b"\0")
                if found:
                    os.kill(int(name), signal.SIGKILL)


def machine() -> tuple[int, int]:
    """CPUs this user may have, and memory in MB."""
    with open("/proc/meminfo", encoding="ascii") as file:
        memory = int(file.read().split("MemTotal:")[1].split()[0]) // 1024
    return len(os.sched_getaffinity(0)), memory


def fits(job: Job, limit: int) -> None:
    cpus, memory = machine()
    cpus = min(limit, cpus) if limit else cpus
    if job["cpus"] > cpus:
        raise RefusedError(f"The job asks for {job['cpus']} CPUs, but jobs may have {cpus} on this machine.")
    if (job["memory_mb"] or 0) > memory:
        raise RefusedError(f"The job asks for {job['memory_mb']} MB of memory, but this machine has {memory} MB.")


def settle(spool: Spool) -> None:
    """Write down what ended without a word, give up what waits in vain, and start what can start (under the lock)."""
    jobs = spool.open_jobs()
    for job in jobs:
        changed = False
        for number, task in job["tasks"].items():
            if task["state"] == "running" and not lives(task):
                restarted = task.get("boot") != boot()
                end_strays(key_of(job["id"], number))
                task.update(state="ended", ended=time.time(), how="failed",
                            why="restarted" if restarted else "lost")
                changed = True
        changed = waits_in_vain(spool, job) or changed
        if changed:
            spool.write(job)
    start_some(spool, spool.open_jobs())


def waits_in_vain(spool: Spool, job: Job) -> bool:
    waiting = [task for task in job["tasks"].values() if task["state"] == "waiting"]
    if not waiting or not any(verdict(spool, other) is False for other in job["after"]):
        return False
    for task in waiting:
        task.update(state="ended", ended=time.time(), how="cancelled", why="dependency")
    return True


def verdict(spool: Spool, job_id: int) -> bool | None:
    """Whether a job succeeded; None: it has not ended."""
    job = spool.read(job_id)
    if job is None:
        return False
    ends = [task.get("how") if task["state"] == "ended" else None for task in job["tasks"].values()]
    if any(how not in (None, "completed") for how in ends):
        return False
    return None if None in ends else True


def start_some(spool: Spool, jobs: Sequence[Job]) -> None:
    """First come, first served: what does not fit makes all behind it wait, too."""
    running = [(job, task) for job in jobs for task in job["tasks"].values() if task["state"] == "running"]
    cpus, memory = machine()
    limit = jobs[-1].get("limit") or 0 if jobs else 0
    free = (min(limit, cpus) if limit else cpus) - sum(job["cpus"] for job, _ in running)
    room = memory - sum(job["memory_mb"] or 0 for job, _ in running)
    gpu_is_free = not any(job["gpus"] for job, _ in running)
    for job in jobs:
        if job["held"] or any(verdict(spool, other) is not True for other in job["after"]):
            continue
        at_once = sum(task["state"] == "running" for task in job["tasks"].values())
        started = []
        for number in sorted(job["tasks"], key=int):
            task = job["tasks"][number]
            if task["state"] != "waiting":
                continue
            if job["at_once"] and at_once >= job["at_once"]:
                break
            if job["cpus"] > free or (job["memory_mb"] or 0) > room or (job["gpus"] and not gpu_is_free):
                free = -1
                break
            started.append(start(spool, job, number))
            free, room, at_once = free - job["cpus"], room - (job["memory_mb"] or 0), at_once + 1
            gpu_is_free = gpu_is_free and not job["gpus"]
        if started:
            spool.write(job)
            for gate in started:
                os.write(gate, b"g")
                os.close(gate)
        if free < 0:
            return


def start(spool: Spool, job: Job, number: str) -> int:
    """Make a task's keeper, which waits until something is written to what is given back: then it is in the record."""
    answer, tell = os.pipe()
    gate, opener = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    between = os.fork()
    if between == 0:
        os.setsid()
        keeper = os.fork()
        if keeper:
            os.write(tell, str(keeper).encode())
            os._exit(0)
        code = 1
        with contextlib.suppress(BaseException):
            os.close(opener)
            os.close(spool.lock)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for number_of_file in (0, 1, 2):
                os.dup2(nowhere, number_of_file)
            if os.read(gate, 1) == b"g":
                Keeper(spool, job, number).run()
            code = 0
        os._exit(code)
    os.waitpid(between, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(tell)
    os.close(gate)
    pid = int(os.read(answer, 20) or b"0")
    os.close(answer)
    job["tasks"][number].update(state="running", pid=pid, born=stat_of(pid)[1], boot=boot(), started=time.time())
    return opener


class Keeper:
    """Runs one task: SIGTERM means that it was cancelled."""

    def __init__(self, spool: Spool, job: Job, number: str) -> None:
        self.spool, self.job, self.number = spool, job, number
        stem = job["log"] + (f".{number}" if number != "0" else "") + ".log"
        self.log = os.path.join(job["folder"], stem)
        self.why = ""
        self.most_mb = 0.0

    def run(self) -> None:
        with contextlib.suppress(Exception):    # what leaves the job's session stays a descendant, and is found
            ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0)
        began = time.monotonic()
        try:
            child = self.begin()
            status = self.watch(child, began)
        except OSError as error:
            status, self.why = 1 << 8, "start"
            self.say(f"The job could not be started: {error}")
        self.end_all(signal.SIGKILL)
        self.keep_end(status)

    def begin(self) -> int:
        log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        script = os.path.join(self.job["folder"], self.job["script"])
        shell = shutil.which("bash") or "/bin/sh"
        kept = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TMPDIR", "TZ")
        words = {key: value for key, value in os.environ.items() if key in kept or key.startswith("LC_")}
        words.update(BEAMSIDE_DIRECT_ID=str(self.job["id"]), BEAMSIDE_DIRECT_CPUS=str(self.job["cpus"]),
                     BEAMSIDE_DIRECT_TASK=self.number if self.number != "0" else "",
                     BEAMSIDE_DIRECT_KEY=key_of(self.job["id"], self.number))
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os.setsid()
                os.nice(10)
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.chdir(self.job["folder"])
                for number in (*_DEAF, signal.SIGPIPE, signal.SIGXFSZ):
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, set())
                os.execve(shell, [shell, script], words)
            os._exit(127)
        os.close(log)
        return child

    def watch(self, child: int, began: float) -> int:
        """Wait for the end, and bring it about where it is due. The status is waitpid's."""
        kill_at = float("inf")
        while True:
            with contextlib.suppress(ChildProcessError):
                while True:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                    if pid == 0:
                        break
                    if pid == child:
                        return status
            told = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, LOOK_S if self.job["memory_mb"] else 1.0)
            now = time.monotonic()
            if told is not None and told.si_signo == signal.SIGTERM and not self.why:
                self.why, kill_at = "cancelled", now + GRACE_S
                self.end_all(signal.SIGTERM)
            if self.job["time_s"] and now - began > self.job["time_s"] and not self.why:
                self.why, kill_at = "time", now + GRACE_S
                self.say(f"The time limit of {self.job['time_s']} s was reached.")
                self.end_all(signal.SIGTERM)
            used = memory_mb(descendants(os.getpid()))
            self.most_mb = max(self.most_mb, used)
            if self.job["memory_mb"] and used > self.job["memory_mb"] and not self.why:
                self.why, kill_at = "memory", now
                self.say(f"The memory limit of {self.job['memory_mb']} MB was exceeded: {used:.0f} MB.")
            if now >= kill_at:
                self.end_all(signal.SIGKILL)

    def end_all(self, number: int) -> None:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                os.kill(pid, number)

    def say(self, text: str) -> None:
        with contextlib.suppress(OSError), open(self.log, "a", encoding="utf-8") as log:
            log.write(f"\nbeamside: {text}\n")

    def keep_end(self, status: int) -> None:
        """Write down the end; on a full disk again and again, for an hour."""
        ended = time.time()
        for _attempt in range(120):
            try:
                with self.spool.locked():
                    job = self.spool.read(self.job["id"])
                    if job is None:
                        return
                    task = job["tasks"][self.number]
                    failed = status != 0 or self.why in ("time", "memory", "start")
                    task.update(
                        state="ended", ended=ended, most_mb=int(self.most_mb), why=self.why,
                        how="cancelled" if self.why == "cancelled" else "failed" if failed else "completed",
                        code=os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
                        signal=os.WTERMSIG(status) if os.WIFSIGNALED(status) else None)
                    self.spool.write(job)
                    settle(self.spool)
                return
            except OSError:
                time.sleep(30)


def descendants(pid: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(stat_of(int(name))[0], []).append(int(name))
    found: set[int] = set()
    below = [pid]
    while below:
        for child in children.get(below.pop(), ()):
            if child not in found:
                found.add(child)
                below.append(child)
    return found


def memory_mb(pids: set[int]) -> float:
    """The resident memory of processes together; pages that they share count for each."""
    pages = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:
            pages += int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
