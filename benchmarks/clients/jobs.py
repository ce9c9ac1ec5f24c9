"""Beamside and a terminal turn by turn: a job submitted, and its end known. One order as JSON; results on stdout."""

from __future__ import annotations

import json
import re
import socket
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import paramiko

from app.model.jobs import JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile
from app.recipes.recipe import Recipe
from tests.peers.submitting import Address, Client

PROGRAM = "import time, pathlib; time.sleep(2); pathlib.Path('ended_at').write_text(repr(time.time()))"
RECIPE = Recipe("bench", "1", "Bench", PROGRAM, resources=Resources(time_limit_min=5, cpus=1, memory_mb=50))
_LOOKS_S = 90.0


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    client = Client(Address(order["host"], order["port"], order["user"], order["key"]),
                    SiteProfile("bench", batch=BatchSettings("slurm")), {RECIPE.name: RECIPE})
    rows = many_known(client) if order["known"] else side_by_side(client, order)
    client.close()
    print(json.dumps(rows))


def side_by_side(client: Client, order: dict[str, Any]) -> list[dict[str, Any]]:
    link = paramiko.Transport(socket.create_connection((order["host"], order["port"]), 10))
    link.connect(username=order["user"], pkey=paramiko.Ed25519Key.from_private_key_file(order["key"]))
    shell = link.open_session()
    shell.get_pty()
    shell.invoke_shell()
    shell.settimeout(180)
    _typed(shell, "bind 'set enable-bracketed-paste off'; PS1='ready> '", r"ready> $")
    spec = JobSpec("bench", RECIPE.name, (order["input"],), {})
    rows: list[dict[str, Any]] = []
    for number in range(order["rounds"] + 1):
        now = [*_beamside(client, spec), *_terminal(shell, Path(order["folder"]) / f"typed-{number}")]
        rows += [{"round": number, **row} for row in now if number]      # the first round warms up
    link.close()
    return rows


def many_known(client: Client) -> list[dict[str, Any]]:
    """Scheduler calls while a thousand jobs are known and nothing changes, at the pace the service proposes."""
    calls: list[str] = []
    transport = client.transport()
    run = transport.run

    def counting(argv: Any, **more: Any) -> Any:
        calls.extend(word for word in ("squeue", "sacct") if word in argv)
        return run(argv, **more)
    transport.run = counting  # type: ignore[method-assign]
    began, looks = time.monotonic(), []
    while time.monotonic() - began < _LOOKS_S:
        time.sleep(min(client.jobs.next_look_s, max(0.0, began + _LOOKS_S - time.monotonic())))
        start = time.monotonic()
        known = len(client.jobs.jobs())
        looks.append(time.monotonic() - start)
    minutes = (time.monotonic() - began) / 60
    return [{"way": "1,000 known", "known": known, "squeue_min": calls.count("squeue") / minutes,
             "sacct_min": calls.count("sacct") / minutes, "first_look_s": looks[0],
             "look_s": statistics.median(looks[1:])}]


def _beamside(client: Client, spec: JobSpec) -> list[dict[str, Any]]:
    start = time.monotonic()
    draft = client.jobs.prepare(spec)
    prepared = time.monotonic()
    job = client.jobs.submit(draft)
    submitted = time.monotonic()
    assert job.scheduler_id, job
    seen = job
    while not seen.state.ended:
        time.sleep(client.jobs.next_look_s)
        seen = client.jobs.job(job.id)
    known = time.time()
    assert seen.state is JobState.COMPLETED, seen
    ended = float((Path(job.folder) / "ended_at").read_text())
    look = time.monotonic()
    client.jobs.jobs()
    return [{"way": "beamside, prepare", "s": prepared - start}, {"way": "beamside, submit", "s": submitted - prepared},
            {"way": "beamside, end known", "s": known - ended},
            {"way": "beamside, one look", "s": time.monotonic() - look}]


def _terminal(shell: paramiko.Channel, folder: Path) -> list[dict[str, Any]]:
    _typed(shell, f"mkdir -p {folder} && cd {folder} && cp ~/typed.sh job.sh", r"ready> $")
    start = time.monotonic()
    shell.sendall(b"sbatch --parsable --wait job.sh\n")
    _until(shell, r"(?:^|[\r\n])\d+\r?\n")
    submitted = time.monotonic()
    _until(shell, r"ready> $", echoed=False)
    known = time.time()
    ended = float((folder / "ended_at").read_text())
    start_squeue = time.monotonic()
    _typed(shell, "squeue --me; echo", r"ready> $")
    return [{"way": "terminal, sbatch", "s": submitted - start}, {"way": "terminal, sbatch --wait", "s": known - ended},
            {"way": "terminal, squeue", "s": time.monotonic() - start_squeue}]


def _typed(shell: paramiko.Channel, line: str, answer: str) -> None:
    shell.sendall(line.encode() + b"\n")
    _until(shell, answer)


def _until(shell: paramiko.Channel, pattern: str, *, echoed: bool = True) -> None:
    """Wait until the terminal shows what matches, after the line that was typed (``echoed``)."""
    text = ""
    while not re.search(pattern, text.partition("\n")[2] if echoed else text):
        text += shell.recv(4096).decode("utf-8", "replace")


if __name__ == "__main__":
    main()
