"""“Try on one frame”: from the click to a trial that is ready, and from a question to the curve, on real Slurm and SSH.

The Eiger 9M frame of the measured data ($BEAMSIDE_DATA, or ``../shared/data`` beside the checkout), pyFAI in the
recipe's environment, the answer read through the agent as the window does. Needs root. ``./run bench-trial``; alone:

    python -m benchmarks.trial [--rounds 5]
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko

from app.model.data import DataReference, ReadRequest, Selection
from app.model.jobs import JobSpec
from app.model.site import AgentSettings, BatchSettings, SiteProfile, SoftwareSettings
from app.model.trial import TrialAnswer, TrialPhase
from app.recipes.catalogue import shipped_recipes
from app.remote.connection import Connection
from app.remote.jobs.service import JobService
from app.remote.seams import DataService
from app.remote.ssh.transport import SshTransport
from app.remote.trials.session import TrialSession
from tests.peers.recipe_env import recipe_python
from tests.peers.slurm import SlurmFacility, slurm_facility

FRAME = "saxs/S2p5min_00070_00001.h5"
DATA = Path(os.environ.get("BEAMSIDE_DATA") or Path(__file__).parents[2] / "shared" / "data")
PONI = """poni_version: 2
Detector: Detector
Detector_config: {"pixel1": 7.5e-5, "pixel2": 7.5e-5, "max_shape": [3262, 3108]}
Distance: 1.99409
Poni1: 0.0156486
Poni2: 0.10777275
Rot1: 0
Rot2: 0
Rot3: 0
Wavelength: 9.3221202e-11
"""


@contextmanager
def connected(site: SlurmFacility, environment: str) -> Iterator[tuple[JobService, Connection]]:
    """The jobs and the files of a site."""
    user = site.users[0]

    def transport() -> SshTransport:
        link = paramiko.Transport(socket.create_connection((site.host, site.port), 10))
        link.start_client(timeout=10)
        link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(site.key(user))))
        return SshTransport(link, site.host)

    profile = SiteProfile("real", agent=AgentSettings(python=("/usr/bin/python3",)), batch=BatchSettings("slurm"),
                          software=SoftwareSettings(environments={"saxs": environment}))
    connection = Connection(profile, transport)
    connection.open().result(60)
    try:
        yield JobService(profile, lambda: connection.transport, shipped_recipes()), connection
    finally:
        connection.close()


def read_curve(data: DataService, answer: TrialAnswer) -> int:
    """Read what the window draws; the number of points."""
    reference = DataReference("real", PurePosixPath(answer.file), answer.data_path)
    description = data.show(reference, (600, 600)).result(60)[0]
    paths = [description.signal, description.errors, description.axes[-1] if description.axes else None]
    asked = [data.read(ReadRequest(DataReference("real", reference.file_path, path), Selection(), statistics=False))
             for path in paths if path]
    return max(int(future.result(60).values.shape[-1]) for future in asked)


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds by what was measured."""
    found: dict[str, list[float]] = {}

    def note(what: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        found.setdefault(what, []).append(time.perf_counter() - began)
        return result

    python = recipe_python()
    with slurm_facility(accounting=False) as site, connected(site, f'export PATH="{python.parent}:$PATH"') as (
            jobs, connection):
        home = site.home(site.users[0])
        frame, poni = home / Path(FRAME).name, home / "saxs.poni"
        shutil.copyfile(DATA / FRAME, frame)
        poni.write_text(PONI)
        for file in (frame, poni):
            file.chmod(0o644)
        recipe = shipped_recipes()["azimuthal-integration"]
        for _ in range(rounds):
            spec = JobSpec("real", recipe.name, (str(frame),), {})
            session = TrialSession(jobs, lambda: connection.transport, recipe, spec)
            note("click to ready", functools.partial(ready, session, {"poni": str(poni)}))

            def see(what: str, session: TrialSession = session, **more: Any) -> None:
                def ask() -> TrialAnswer:
                    answer = session.ask({"poni": str(poni), **more})
                    if answer.fault:
                        raise SystemExit(answer.fault)
                    read_curve(connection.data, answer)
                    return answer
                answer = note(f"{what}, to the curve", ask)
                found.setdefault(f"{what}, computed", []).append(answer.seconds)

            see("first question")
            see("nothing changed")
            see("mask of sentinels off", sentinels=False)
            see("another number of points", npt=500)
            session.end()
    return found


def ready(session: TrialSession, values: Mapping[str, Any]) -> None:
    session.begin(values)
    status = session.wait_until_ready(lambda _: None, threading.Event())
    if status.phase is not TrialPhase.READY:
        raise SystemExit(status.sentence)


def table(found: Mapping[str, list[float]]) -> str:
    """Medians, in Markdown."""
    lines = ["| trial of an Eiger 9M frame | median | least |", "|---|---:|---:|"]
    lines += [f"| {what} | {statistics.median(taken):.2f} s | {min(taken):.2f} s |" for what, taken in found.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("The peers need to switch users: run this as root.")
    if not (DATA / FRAME).exists():
        raise SystemExit(f"The measured frame {DATA / FRAME} is not there: set BEAMSIDE_DATA.")
    load = os.getloadavg()[0]
    print(f"load {load:.1f} on {os.cpu_count()} processors, Python {sys.version.split()[0]}")
    print(table(measure(chosen.rounds)))


if __name__ == "__main__":
    main()
