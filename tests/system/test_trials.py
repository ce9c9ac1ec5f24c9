"""Trials on real Slurm over real SSH: answers, the newest wish, lost links, and every way in which a trial ends."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import paramiko
import pytest

from app.errors import LinkLostError
from app.model.jobs import Job, JobKind, JobSpec, JobState, Resources
from app.model.site import BatchSettings, DataSettings, SiteProfile, SoftwareSettings
from app.model.trial import TrialPhase, TrialStatus
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Recipe
from app.remote.jobs.service import JobService
from app.remote.ssh.transport import SshTransport
from app.remote.trials.session import TrialOverError, TrialSession
from app.resources import resource_path
from app.session.analysis_text import result_python
from tests.peers.gridengine import GridFacility
from tests.peers.need import missing
from tests.peers.recipe_env import recipe_python
from tests.peers.slurm import SlurmFacility
from tests.unit.jobs.trial_site import RECIPE

pytestmark = pytest.mark.system

PATIENCE_S = 240.0
NEVER = threading.Event()
EIGER = "S2p5min_00070_00001.h5"
COMMON = {source.name: source.read_text() for source in resource_path("recipes", "common").glob("*.py")}
DOUBLING = replace(RECIPE, files=COMMON)


class Client:
    """One running client: a connection that is made again when it is lost, and the jobs of the site."""

    def __init__(self, site: SlurmFacility | GridFacility, recipes: dict[str, Recipe], environments: dict[str, str],
                 system: str = "slurm", data: DataSettings | None = None) -> None:
        self._site = site
        self._link: SshTransport | None = None
        self._lock = threading.Lock()
        self.down = threading.Event()
        profile = SiteProfile("real", batch=BatchSettings(system), data=data or DataSettings(),
                              software=SoftwareSettings(environments=environments))
        self.jobs = JobService(profile, self.transport, recipes)

    def transport(self) -> SshTransport:
        with self._lock:
            if self.down.is_set():
                raise LinkLostError("The connection is lost.")
            if self._link is None or not self._link.alive:
                user = self._site.users[0]
                link = paramiko.Transport(socket.create_connection((self._site.host, self._site.port), 10))
                link.start_client(timeout=60)
                link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(self._site.key(user))))
                self._link = SshTransport(link, self._site.host)
            return self._link

    def cut(self) -> None:
        """Lose the connection on this side, and let none be made."""
        self.down.set()
        with self._lock:
            if self._link is not None:
                self._link.close()

    def close(self) -> None:
        with self._lock:
            if self._link is not None:
                self._link.close()

    def trial(self, recipe: Recipe, path: Path, **resources: object) -> TrialSession:
        spec = JobSpec("real", recipe.name, (str(path),), {}, Resources(**resources))      # type: ignore[arg-type]
        return TrialSession(self.jobs, self.transport, recipe, spec)


@pytest.fixture
def new_client(slurm: SlurmFacility) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(recipe: Recipe = DOUBLING, environment: str = "") -> Client:
        client = Client(slurm, {recipe.name: recipe}, {recipe.environment: environment} if environment else {})
        made.append(client)
        return client

    yield make
    close(made)


def close(clients: Iterable[Client]) -> None:
    """With the trials that they left."""
    for client in clients:
        client.down.clear()
        for job in client.jobs.jobs():
            if job.kind is JobKind.TRIAL and not job.state.ended:
                client.jobs.cancel(job.id)
        client.close()


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client()


@pytest.fixture
def scan(slurm: SlurmFacility, request: pytest.FixtureRequest) -> Path:
    """A file of the visitor's own, of another name in every test."""
    path = slurm.home(slurm.users[0]) / f"{request.node.name[:60].replace('[', '-').replace(']', '')}.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((2, 5, 6), "u4")
    account = pwd.getpwnam(slurm.users[0])
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


@pytest.fixture
def trial(client: Client, scan: Path) -> Iterator[TrialSession]:
    session = client.trial(DOUBLING, scan)
    ready(session)
    yield session
    client.down.clear()
    session.end()


def ready(session: TrialSession, parameters: dict[str, object] | None = None) -> list[TrialStatus]:
    told: list[TrialStatus] = []
    session.begin(parameters or {})
    assert session.wait_until_ready(told.append, NEVER).phase is TrialPhase.READY, told
    return told


def folder(session: TrialSession) -> Path:
    assert session.job is not None
    return Path(session.job.folder)


def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def truth(client: Client, session: TrialSession) -> Job:
    """The trial's job once it has ended."""
    assert session.job is not None
    job_id = session.job.id
    until(lambda: client.jobs.job(job_id).state.ended)
    return client.jobs.job(job_id)


def test_that_a_question_is_answered_by_a_file_of_the_job(client: Client, trial: TrialSession) -> None:
    answer = trial.ask({"factor": 21.0})
    with h5py.File(answer.file) as file:
        assert file[answer.data_path][()] == 42.0
    assert trial.job is not None
    job = client.jobs.job(trial.job.id)
    assert (job.kind, job.state, job.recipe) == (JobKind.TRIAL, JobState.RUNNING, "doubling")
    assert job.name.startswith("Trial of Doubling of ")


def test_that_the_newest_of_twenty_quick_questions_wins(trial: TrialSession) -> None:
    questions = [trial.question({"factor": float(number), "takes": 0.3}) for number in range(20)]
    answers: dict[int, float] = {}

    def ask(number: int) -> None:
        try:
            answers[number] = trial.ask(questions[number]).parameters["factor"]
        except CancelledError:
            answers[number] = -1.0

    with ThreadPoolExecutor(8) as pool:                  # as many channels as a server lets one connection have
        for number in range(20):
            pool.submit(ask, number)
    assert answers[19] == 19.0
    assert all(value in (-1.0, float(number)) for number, value in answers.items())
    computed = (folder(trial) / "computed").read_text().split()
    assert float(computed[-1]) == 19.0


def test_that_a_trial_outlives_the_link(client: Client, trial: TrialSession) -> None:
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"factor": 5.0, "takes": 2.0})
        until((folder(trial) / "computed").exists)
        client.cut()
        time.sleep(1)                                    # the job computes on, nobody hears of it
        assert not asking.done()
        client.down.clear()
        assert asking.result(PATIENCE_S).parameters["factor"] == 5.0
    assert len((folder(trial) / "trial/questions").read_text().splitlines()) == 1
    assert trial.ask({"factor": 6.0}).fault == ""


def test_that_a_trial_that_is_told_to_ends_well(client: Client, trial: TrialSession) -> None:
    answer = trial.ask({"factor": 1.0})
    trial.end()
    job = truth(client, trial)
    assert (job.state, job.exit_code) == (JobState.COMPLETED, 0)
    assert not Path(answer.file).exists()


def test_that_a_trial_nobody_asks_ends_by_itself(new_client: Callable[..., Client], scan: Path) -> None:
    assert DOUBLING.trial is not None
    hasty = replace(DOUBLING, trial=replace(DOUBLING.trial, idle_min=0.05))      # type: ignore[arg-type]
    client = new_client(hasty)
    session = client.trial(hasty, scan)
    session.begin({})
    session.wait_until_ready(lambda status: None, NEVER)        # or over already, on a busy machine
    job = truth(client, session)
    assert job.state is JobState.COMPLETED
    with pytest.raises(TrialOverError, match="as nothing was asked"):
        session.ask({})


def test_that_the_time_limit_is_told(slurm: SlurmFacility, client: Client, trial: TrialSession) -> None:
    assert trial.job is not None
    scheduler_id = client.jobs.job(trial.job.id).scheduler_id
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"takes": 600.0})
        until((folder(trial) / "computed").exists)
        done = slurm.run("scontrol", "update", f"jobid={scheduler_id}", "EndTime=now")
        assert done.returncode == 0, done.stderr
        with pytest.raises(TrialOverError, match="reached its time limit"):
            asking.result(3 * PATIENCE_S)


def test_that_a_killed_trial_is_told_and_another_can_be_started(slurm: SlurmFacility, client: Client,
                                                                trial: TrialSession, scan: Path) -> None:
    assert trial.job is not None
    job_id = trial.job.id
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"takes": 600.0})
        until((folder(trial) / "computed").exists)
        slurm.run("scancel", "--signal=KILL", "--full", str(client.jobs.job(job_id).scheduler_id))
        with pytest.raises(TrialOverError, match=r"failed|cancelled"):
            asking.result(3 * PATIENCE_S)
    again = client.trial(DOUBLING, scan)
    ready(again)
    assert again.job is not None
    assert again.job.id != job_id
    again.end()


def test_that_waiting_in_the_queue_says_why(slurm: SlurmFacility, client: Client, scan: Path) -> None:
    user = slurm.users[0]
    blocker = slurm.run("sbatch", "--parsable", "--exclusive", "--time=10", "--output=/dev/null", "--wrap",
                        "sleep 600", user=user).stdout.strip()
    assert blocker
    until(lambda: slurm.run("squeue", "-h", "-j", blocker, "-o", "%T").stdout.strip() == "RUNNING")
    session = client.trial(DOUBLING, scan)
    told: list[TrialStatus] = []
    try:
        session.begin({})

        def tell(status: TrialStatus) -> None:
            told.append(status)
            if status.phase is TrialPhase.QUEUED and ":" in status.sentence:
                slurm.run("scancel", blocker)

        assert session.wait_until_ready(tell, NEVER).phase is TrialPhase.READY
    finally:
        slurm.run("scancel", blocker)
        session.end()
    waiting = [status for status in told if status.phase is TrialPhase.QUEUED]
    assert any(status.sentence.startswith("The trial job waits in the queue: ") for status in waiting), told
    assert all(status.remedy for status in waiting)


def test_that_a_trial_that_is_left_in_the_queue_is_cancelled(slurm: SlurmFacility, client: Client,
                                                             scan: Path) -> None:
    blocker = slurm.run("sbatch", "--parsable", "--exclusive", "--time=10", "--output=/dev/null", "--wrap",
                        "sleep 600", user=slurm.users[0]).stdout.strip()
    until(lambda: slurm.run("squeue", "-h", "-j", blocker, "-o", "%T").stdout.strip() == "RUNNING")
    try:
        session = client.trial(DOUBLING, scan)
        session.begin({})
        session.look()
        session.end()
        assert truth(client, session).state is JobState.CANCELLED
    finally:
        slurm.run("scancel", blocker)


def test_that_what_was_tried_on_an_eiger_frame_is_what_the_run_gives(
        slurm: SlurmFacility, new_client: Callable[..., Client], beamside_data: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    try:
        python = recipe_python()
    except RuntimeError as error:
        missing(str(error))
    recipe = shipped_recipes()["azimuthal-integration"]
    client = new_client(recipe, f'export PATH="{python.parent}:$PATH"')
    home = slurm.home(slurm.users[0])
    path, poni = home / EIGER, home / "saxs.poni"
    shutil.copyfile(beamside_data / "saxs" / EIGER, path)
    poni.write_text("poni_version: 2\nDetector: Detector\n"
                    'Detector_config: {"pixel1": 7.5e-5, "pixel2": 7.5e-5, "max_shape": [3262, 3108]}\n'
                    "Distance: 1.99409\nPoni1: 0.0156486\nPoni2: 0.10777275\nRot1: 0\nRot2: 0\nRot3: 0\n"
                    "Wavelength: 9.3221202e-11\n")
    for file in (path, poni):
        file.chmod(0o644)
    geometry = {"poni": str(poni)}
    session = client.trial(recipe, path)
    began = time.monotonic()
    ready(session, geometry)
    until_ready = time.monotonic() - began
    first = session.ask(geometry)
    assert first.fault == ""
    warm = [session.ask({**geometry, "npt": npt}) for npt in (500, 600, 700)]
    with h5py.File(warm[-1].file) as file:
        tried = file[warm[-1].data_path]["I"][()].ravel()
    wrong = session.ask({"poni": str(path)})
    assert wrong.parameter == "poni"
    session.end()
    job = client.jobs.submit(JobSpec("real", recipe.name, (str(path),), {**geometry, "npt": 700}))
    until(lambda: client.jobs.job(job.id).state.ended)
    with h5py.File(Path(job.folder) / "result.h5") as file:
        np.testing.assert_array_equal(file["entry/reduced/I"][()].ravel(), tried)
    asked = client.jobs.spec_of(job.id)
    script = home / "copied.py"
    script.write_text(result_python(recipe, asked.inputs, asked.parameters))
    done = subprocess.run([str(python), str(script)], cwd=Path(job.folder), capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr
    with np.load(Path(job.folder) / "result.npz") as copied:
        np.testing.assert_array_equal(copied["I_1"].ravel(), tried)
    with capsys.disabled():
        print(f"\nEiger 9M: ready {until_ready:.1f} s, first {first.waited_s:.2f} s (computed {first.seconds:.2f}), "
              f"warm {min(a.waited_s for a in warm):.2f} to {max(a.waited_s for a in warm):.2f} s "
              f"(computed {max(a.seconds or 0 for a in warm):.2f})")
