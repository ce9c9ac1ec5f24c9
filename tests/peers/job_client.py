"""A client of a facility's jobs for tests: its own SSH connection, made again when it is lost, and its own job service.

And recipes whose one parameter ``do`` says what the job does (:data:`PROGRAM`): end well, badly, by a signal, never …
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import paramiko

from app.errors import LinkLostError
from app.model.jobs import Job, JobSpec, JobState, Resources
from app.model.site import SiteProfile
from app.recipes.recipe import Output, Parameter, ParameterType, Recipe, RecipeStep, ResourceRule
from app.remote.jobs.service import JobService
from app.remote.ssh.transport import SshTransport

PATIENCE_S = 240.0
LONG_MIN = 30                   # what waits outlives all that other tests do meanwhile, on a busy machine, too
SMALL = Resources(time_limit_min=LONG_MIN, cpus=1, memory_mb=300)

PROGRAM = r'''
import json, os, pathlib, signal, sys, time

asked = json.load(open("parameters.json"))["parameters"]["do"]
task = int(os.environ.get("BEAMSIDE_TASK") or 0)
step = os.environ["BEAMSIDE_STEP"]
print("begun", asked, "step", step, "task", task, flush=True)


def wait():
    pathlib.Path("waits" + os.environ["BEAMSIDE_STEM"]).touch()
    time.sleep(3000)


def fail():
    print("ValueError: the seventh frame is empty", file=sys.stderr, flush=True)
    sys.exit(7)


def clean_up():
    def told(number, frame):
        pathlib.Path("cleaned").write_text("yes")
        print("cleaned up", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, told)
    wait()


def obey():
    """End well when the file “go” is there."""
    pathlib.Path("waits").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.2)


def once():
    """Wait the first time, end well the second."""
    first = pathlib.Path("first")
    if not first.exists():
        first.touch()
        wait()


def fill():
    pathlib.Path("waits").touch()
    with open("result.bin", "wb") as file:
        for _ in range(64):
            file.write(bytes(2**20))
            file.flush()


def half():
    if task % 2:
        print("RuntimeError: odd", file=sys.stderr, flush=True)
        sys.exit(3)


def report():
    pathlib.Path("progress" + os.environ["BEAMSIDE_STEM"] + ".json").write_text(
        json.dumps({"done": 3, "total": 4, "unit": "frames", "time": time.time()}))
    wait()


{
    "end": lambda: pathlib.Path("result" + os.environ["BEAMSIDE_STEM"] + ".txt").write_text("done"),
    "fail": fail, "wait": wait, "clean up": clean_up, "obey": obey, "once": once, "fill": fill, "half": half,
    "obey badly": lambda: (obey(), fail()), "report": report,
    "kill the program": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "kill the script": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "eat": lambda: (bytearray(600_000_000), wait()),
    "fail first": lambda: fail() if step == "first" else None,
    "wait first": lambda: wait() if step == "first" else None,
}[asked]()
'''


class Site(Protocol):
    """What a client needs of a facility."""

    host: str

    @property
    def port(self) -> int: ...
    @property
    def users(self) -> tuple[str, str]: ...
    def key(self, user: str) -> Path: ...
    def home(self, user: str) -> Path: ...
    def logs(self, lines: int = 20) -> str: ...


class JobClient:
    """One running client of the first user."""

    def __init__(self, site: Site, profile: SiteProfile, recipes: dict[str, Recipe] | None = None) -> None:
        self._site = site
        self._transport: SshTransport | None = None
        self._lock = threading.Lock()
        self.jobs = JobService(profile, self.transport, recipes or state_recipes())

    def transport(self) -> SshTransport:
        with self._lock:
            if self._transport is None or not self._transport.alive:
                user = self._site.users[0]
                link = paramiko.Transport(socket.create_connection((self._site.host, self._site.port), 10))
                try:
                    link.start_client(timeout=60)
                    link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(self._site.key(user))))
                except (paramiko.SSHException, EOFError, OSError) as error:
                    link.close()
                    raise LinkLostError("The connection is lost.") from error
                self._transport = SshTransport(link, self._site.host)
            return self._transport

    def cut(self) -> None:
        """Lose the connection on this side; what runs at the site is not told."""
        with self._lock:
            if self._transport is not None:
                self._transport.close()

    def spec(self, do: str, *, recipe: str = "job", data: str = "", **wishes: Any) -> JobSpec:
        """A job that does ``do``; ``wishes`` of a :class:`JobSpec`."""
        place = data or str(self._site.home(self._site.users[0]) / "scan.dat")
        return JobSpec("real", recipe, (place,), {"do": do}, **wishes)

    def submit(self, do: str, **wishes: Any) -> Job:
        """Submit :meth:`spec`."""
        return self.jobs.submit(self.spec(do, **wishes))

    def until(self, job: Job, claim: Callable[[Job], bool], patience_s: float = PATIENCE_S) -> Job:
        """Look until what is told of the job is so.

        Raises:
            AssertionError: it never was; with what was told last, and the facility's logs.
        """
        deadline = time.monotonic() + patience_s
        while not claim(seen := self.jobs.job(job.id)):
            assert time.monotonic() < deadline, f"{seen}\n{self.jobs.log(job.id)}\n{self._site.logs(5)}"
            time.sleep(0.3)
        return seen

    def ends(self, job: Job, patience_s: float = PATIENCE_S) -> Job:
        return self.until(job, lambda j: j.state.ended, patience_s)

    def waits_in(self, job: Job, stem: str = "") -> Job:
        """Until the job's program has begun to wait."""
        return self.until(job, lambda j: j.state is JobState.RUNNING and (Path(j.folder) / f"waits{stem}").exists())


@contextlib.contextmanager
def job_client(site: Site, profile: SiteProfile, recipes: dict[str, Recipe] | None = None) -> Iterator[JobClient]:
    client = JobClient(site, profile, recipes)
    try:
        yield client
    finally:
        client.cut()


def state_recipes(*more: Parameter) -> dict[str, Recipe]:
    """``job`` of one step, ``chain`` of two, arrays ``array`` and ``serial`` (one task at a time): :data:`PROGRAM`."""
    rule = ResourceRule(SMALL)
    steps = {"job": (), "chain": (RecipeStep("first", "Prepare", rule), RecipeStep("second", "Finish", rule)),
             "array": (RecipeStep("tasks", "Tasks", rule, frames_per_task=1),),
             "serial": (RecipeStep("tasks", "Tasks", rule, frames_per_task=1, at_once=1),)}
    do = Parameter("do", ParameterType.TEXT, "What to do", required=True)
    return {name: Recipe(name, "1.0", f"The {name}", PROGRAM, parameters=(do, *more), resources=SMALL, steps=made,
                         outputs=(Output("Result", "result.txt"),) if name == "job" else ())
            for name, made in steps.items()}


def submitted_earlier(job: Job, seconds: float) -> None:
    """Let its record say so: what vanishes soon after its submission is given a minute to turn up again."""
    record = Path(job.folder) / "job.json"
    said = json.loads(record.read_text("utf-8"))
    record.write_text(json.dumps({**said, "created": said["created"] - seconds}), "utf-8")


def told(job: Job) -> tuple[JobState, str, int | None, int | None]:
    """What counts of an end."""
    return job.state, job.reason, job.exit_code, job.signal


def parts_told(job: Job) -> list[tuple[str, int | None, JobState, str, int | None]]:
    """What counts of its parts; their times come from a history that may be a second off what they say themselves."""
    return [(part.step, part.task, part.state, part.reason, part.exit_code) for part in job.parts]


def write_data(site: Site) -> Path:
    """The input of every such job, in the first user's home."""
    place = site.home(site.users[0]) / "scan.dat"
    place.write_bytes(b"raw")
    return place
