"""A job submitted, and its end known: Beamside against ``sbatch`` typed in a terminal; and what a thousand jobs cost.

On real Slurm, with the emulated links of ``benchmarks.links`` between, both ways turn by turn in one run over standing
connections, medians. Needs root. ``./run bench-jobs``; alone:

    python -m benchmarks.jobs [--links home,far,near] [--rounds 7]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.clients.jobs import PROGRAM
from benchmarks.connecting import LINKS
from benchmarks.far import ROOT
from tests.peers.link import EmulatedLink, emulated_link
from tests.peers.slurm import SlurmFacility, slurm_facility

KNOWN = 1000
ROWS = (("terminal, sbatch", "`sbatch` typed in a terminal, to the id"),
        ("beamside, submit", "Beamside, from the click to the id"),
        ("beamside, prepare", "– before, while the form is open: everything checked, the script shown"),
        ("terminal, sbatch --wait", "`sbatch --wait` in a terminal, from the job's end"),
        ("beamside, end known", "Beamside, from the job's end to its results in the list"),
        ("terminal, squeue", "`squeue` typed in a terminal"),
        ("beamside, one look", "Beamside, one look at all jobs"))
# Joins a port in the facility's namespace to a socket file, since Slurm itself is outside of it.
_DOOR = """
import socket, sys, threading
server = socket.create_server((sys.argv[1], 2222))
print("ready", flush=True)
def carry(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for each in (source, sink):
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
while True:
    client, _ = server.accept()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    inner = socket.socket(socket.AF_UNIX)
    inner.connect(sys.argv[2])
    for way in ((client, inner), (inner, client)):
        threading.Thread(target=carry, args=way, daemon=True).start()
"""


@contextlib.contextmanager
def door(link: EmulatedLink, site: SlurmFacility) -> Iterator[tuple[str, int]]:
    """The site's SSH server at the facility's end of a link."""
    with tempfile.TemporaryDirectory(prefix="bs-door-") as name, contextlib.ExitStack() as stack:
        path = f"{name}/ssh"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(20)
        threading.Thread(target=_let_in, args=(listener, site.port), name="door", daemon=True).start()
        process = subprocess.Popen(link.at_the_facility([sys.executable, "-c", _DOOR, link.facility_address, path]),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        stack.callback(process.wait)
        stack.callback(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        yield link.facility_address, 2222


def _let_in(listener: socket.socket, port: int) -> None:
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        far = socket.create_connection(("127.0.0.1", port))
        far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=(source, sink), name="door", daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def measure(site: SlurmFacility, prefix: list[str], host: str, port: int, rounds: int,
            known: bool = False) -> list[dict[str, Any]]:
    """What the client measures, started with ``prefix``."""
    user = site.users[0]
    home = site.home(user)
    (home / "input.dat").write_bytes(b"")
    (home / "typed.sh").write_text("#!/bin/bash\n#SBATCH --time=5 --cpus-per-task=1 --mem=50M\n"
                                   f"exec python3 -c \"{PROGRAM}\"\n")
    order = {"host": host, "port": port, "user": user, "key": str(site.key(user)), "rounds": rounds, "known": known,
             "input": str(home / "input.dat"), "folder": str(home / "typed")}
    done = subprocess.run([*prefix, sys.executable, "-m", "benchmarks.clients.jobs", json.dumps(order)], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    shutil.rmtree(home / "typed", ignore_errors=True)
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def make_known(site: SlurmFacility) -> None:
    """A thousand jobs of an earlier day: folders, index, and held in the queue."""
    user = site.users[0]
    home = site.home(user)
    index = home / ".local/share/beamside/jobs"
    index.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(KNOWN):
        job_id = f"20261101-{number:06}-{number:06x}"
        folder = home / "beamside-jobs" / job_id
        folder.mkdir(parents=True)
        (index / job_id).write_text(f"{folder}\n")
        (folder / "job.json").write_text(json.dumps({"id": job_id, "name": "n", "recipe": "bench", "version": "1",
                                                     "created": time.time() - 500,
                                                     "steps": [{"name": "run", "tasks": 0, "resources": {}}]}))
        lines.append(f"sbatch --parsable --hold --mem=50M --job-name=beamside-{job_id} --wrap=true "
                     f">{folder}/submitted")
    script = home / "many.sh"
    script.write_text("\n".join(lines) + "\n")
    subprocess.run(["chown", "-R", user, str(home)], check=True)
    site.run("sh", str(script), user=user, timeout_s=600)


def table(found: dict[str, list[dict[str, Any]]], known: dict[str, Any]) -> str:
    """Medians in milliseconds, in Markdown."""
    lines = ["| | " + " | ".join(found) + " |", "|---|" + "---:|" * len(found)]
    for way, title in ROWS:
        cells = []
        for rows in found.values():
            taken = [row["s"] for row in rows if row["way"] == way]
            cells.append(f"{1000 * statistics.median(taken):.0f} ms" if taken else "")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if known:
        first, later = (f"{1000 * known[key]:.0f} ms" for key in ("first_look_s", "look_s"))
        words = (f"With {known['known']} jobs known and nothing new: {known['squeue_min']:.1f} calls of squeue"
                 f" and {known['sacct_min']:.1f} of sacct a minute; the first look takes {first}, later ones"
                 f" {later} (loopback).")
        lines += ["", words]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--links", default="home,far,near")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--without-many", action="store_true", help="leave the thousand jobs out")
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("Slurm and the emulated link need root.")
    found: dict[str, list[dict[str, Any]]] = {}
    known: dict[str, Any] = {}
    with slurm_facility(accounting=True) as site:
        for name in chosen.links.split(","):
            link = LINKS[name]
            with emulated_link(link.rate_mbit, link.round_trip_ms, queue_ms=link.queue_ms) as emulated, \
                    door(emulated, site) as (host, port):
                found[link.name] = measure(site, emulated.at_home([]), host, port, chosen.rounds)
        if not chosen.without_many:
            make_known(site)
            (known,) = measure(site, [], site.host, site.port, 0, known=True)
    print(table(found, known))


if __name__ == "__main__":
    main()
