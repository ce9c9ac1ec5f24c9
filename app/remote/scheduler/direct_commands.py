"""The commands of direct execution at the site: the second half of the program that they carry.

Linux, Python 3.8 or newer. ``submit LIMIT SCRIPT [IDS]`` prints an id; ``list``, ``history ids|names WHAT …`` and
``machine LIMIT`` print lines of fields separated by 0x1F; ``cancel``, ``hold`` and ``release`` take ids. One sentence
on standard error and exit code 1 where it cannot be done.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from app.remote.scheduler.direct_keeper import RefusedError, Spool, fits, lives, machine, settle, verdict

if TYPE_CHECKING:
    Job = dict[str, Any]

US = "\x1f"
MOST_TASKS = 10000


def wish_of(script: str) -> Job:
    """What the script's line ``#DIRECT {…}`` asks for."""
    with open(script, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("#DIRECT "):
                wish = json.loads(line[8:])
                return {"name": str(wish["name"]), "log": str(wish["log"]), "cpus": int(wish.get("cpus", 1)),
                        "memory_mb": wish.get("memory_mb"), "time_s": wish.get("time_s"),
                        "gpus": int(wish.get("gpus", 0)), "at_once": int(wish.get("at_once", 0)),
                        "held": bool(wish.get("hold")), "count": int(wish.get("tasks", 0))}
            if not line.startswith("#"):
                break
    raise RefusedError("The script does not say what it asks for.")


def submit(spool: Spool, limit: int, script: str, after: str = "") -> None:
    job = wish_of(script)
    count = job.pop("count")
    if not 0 <= count <= MOST_TASKS:
        raise RefusedError(f"A job may have {MOST_TASKS} tasks at most on this machine.")
    fits(job, limit)
    job.update(folder=os.getcwd(), script=script, limit=limit, submitted=time.time(),
               after=[int(text) for text in after.split(",") if text],
               tasks={str(n): {"state": "waiting"} for n in (range(1, count + 1) if count else (0,))})
    with spool.locked():
        for other in job["after"]:
            if spool.read(other) is None:
                raise RefusedError(f"The job {other}, which this one is to wait for, does not exist.")
        job["id"] = spool.next_id()
        spool.prune()
        spool.write(job)
        settle(spool)
    print(job["id"])


def test(limit: int, script: str) -> None:
    job = wish_of(script)
    fits(job, limit)
    print("fits")


def tell(jobs: Sequence[Job]) -> None:
    for job in jobs:
        for number in sorted(job["tasks"], key=int):
            task = job["tasks"][number]
            why = task.get("why") or ""
            if task["state"] == "waiting":
                why = "held" if job["held"] else "after" if job["after"] and job.get("blocked") else "queue"
            fields = [job["id"], number, task["state"], task.get("how") or "", why, job["submitted"],
                      task.get("started"), task.get("ended"), job["time_s"], task.get("code"), task.get("signal"),
                      os.uname().nodename, job["name"]]
            print(US.join("" if field is None else str(field).replace("\n", " ") for field in fields))


def listing(spool: Spool) -> None:
    with spool.locked():
        settle(spool)
        jobs = spool.open_jobs()
        for job in jobs:
            job["blocked"] = any(verdict(spool, other) is None for other in job["after"])
    tell(jobs)


def history(spool: Spool, kind: str, wanted: Sequence[str]) -> None:
    if kind == "ids":
        found = [spool.read(int(text)) for text in wanted]
    else:
        found = [spool.read(job_id) for where in ("ended", "jobs") for job_id in spool.ids(where)]
    tell([job for job in found if job is not None and (kind == "ids" or job["name"] in wanted)])


def control(spool: Spool, verb: str, ids: Sequence[str]) -> None:
    missing = []
    with spool.locked():
        for text in ids:
            job = spool.read(int(text))
            if job is None or all(task["state"] == "ended" for task in job["tasks"].values()):
                missing.append(text)
                continue
            if verb == "cancel":
                cancel(job)
            else:
                job["held"] = verb == "hold"
            spool.write(job)
        settle(spool)
    if missing and verb != "cancel":
        raise RefusedError("it has ended already, or there is no such job")


def cancel(job: Job) -> None:
    for task in job["tasks"].values():
        if task["state"] == "waiting":
            task.update(state="ended", ended=time.time(), how="cancelled", why="cancelled")
        elif task["state"] == "running" and lives(task):
            os.kill(task["pid"], signal.SIGTERM)


def occupancy(spool: Spool, limit: int) -> None:
    with spool.locked():
        settle(spool)
        jobs = spool.open_jobs()
    cpus, _memory = machine()
    cpus = min(limit, cpus) if limit else cpus
    used = sum(job["cpus"] for job in jobs for task in job["tasks"].values() if task["state"] == "running")
    waiting = sum(any(task["state"] == "waiting" for task in job["tasks"].values()) for job in jobs)
    print(US.join(str(n) for n in (max(0, cpus - used), cpus, waiting)))


def main(argv: Sequence[str]) -> None:
    if not sys.platform.startswith("linux"):
        raise RefusedError("Direct execution needs Linux.")
    spool, verb, rest = Spool(), argv[0], list(argv[1:])
    if verb == "submit":
        submit(spool, int(rest[0]), *rest[1:])
    elif verb == "test":
        test(int(rest[0]), rest[1])
    elif verb == "list":
        listing(spool)
    elif verb == "history":
        history(spool, rest[0], rest[1:])
    elif verb == "machine":
        occupancy(spool, int(rest[0]))
    else:
        control(spool, verb, rest)


def run() -> NoReturn:
    try:
        main(sys.argv[1:])
    except (RefusedError, OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"direct: {error}\n")
        sys.exit(1)
    sys.exit(0)


if __name__ == "__main__":
    run()
