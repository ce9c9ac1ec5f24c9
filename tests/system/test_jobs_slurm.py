"""Jobs on real Slurm over real SSH: results, exactly one job whatever breaks, refusals, names.

How every end is told: test_states_slurm and test_states_without_accounting.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import paramiko
import pytest

from app.errors import LinkLostError, StorageFullError, SubmissionRefusedError
from app.model.jobs import Job, JobSpec, JobState, Resources
from app.model.site import BatchSettings, DataSettings, SiteProfile, SoftwareSettings
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Recipe
from app.remote.jobs import store as job_store
from app.remote.jobs.service import JobService
from app.remote.ssh.transport import SshTransport
from tests.peers.need import missing
from tests.peers.recipe_env import recipe_python
from tests.peers.slurm import SlurmFacility

PATIENCE_S = 240.0


class Client:
    """One running client: its own connection (made again when it is lost) and its own job service."""

    def __init__(self, site: SlurmFacility, profile: SiteProfile, recipes: dict[str, Recipe]) -> None:
        self._site = site
        self._transport: SshTransport | None = None
        self._lock = threading.Lock()
        self.jobs = JobService(profile, self.transport, recipes)

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

    def ends(self, job: Job) -> Job:
        return self.until(job, lambda j: j.state.ended)

    def until(self, job: Job, claim: Callable[[Job], bool]) -> Job:
        deadline = time.monotonic() + PATIENCE_S
        while not claim(seen := self.jobs.job(job.id)):
            assert time.monotonic() < deadline, f"{seen}\n{self.jobs.log(job.id)}\n{self._site.logs()}"
            time.sleep(0.2)
        return seen


def trial(program: str) -> Recipe:
    """A recipe whose program is ``program``: what a job may do, without pyFAI."""
    return Recipe("trial", "1.0", "Trial", program, resources=Resources(time_limit_min=5, cpus=1, memory_mb=300))


@pytest.fixture
def profile(slurm: SlurmFacility) -> SiteProfile:
    return SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"),
                       data=DataSettings(roots=(f"{slurm.home(slurm.users[0])}/visitor/{{proposal}}/{{beamline}}",)))


@pytest.fixture
def scan(slurm: SlurmFacility) -> Path:
    """A raw file of a visit that the visitor owns."""
    raw = slurm.home(slurm.users[0]) / "visitor/mx1/id30/RAW_DATA"
    raw.mkdir(parents=True, exist_ok=True)
    path = raw / "scan.h5"
    frames = np.random.default_rng(3).poisson(20, (4, 100, 120)).astype(np.uint32)
    frames[:, 40:44] = 2**32 - 1
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, 100, 120), **hdf5plugin.Bitshuffle())
    account = pwd.getpwnam(slurm.users[0])
    for place in (slurm.home(slurm.users[0]) / "visitor").rglob("*"):
        os.chown(place, account.pw_uid, account.pw_gid)
    os.chown(slurm.home(slurm.users[0]) / "visitor", account.pw_uid, account.pw_gid)
    return path


@pytest.fixture
def new_client(slurm: SlurmFacility, profile: SiteProfile) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def make(program: str = "pass", *, site: SlurmFacility = slurm, **changes: object) -> Client:
        clients.append(Client(site, replace(profile, **changes), {  # type: ignore[arg-type]
            "trial": trial(program), **shipped_recipes()}))
        return clients[-1]

    yield make
    for client in clients:
        client.cut()


def of(scan: Path, **resources: object) -> JobSpec:
    return JobSpec("real", "trial", (str(scan),), {}, Resources(**resources))  # type: ignore[arg-type]


def slurm_ids(slurm: SlurmFacility, job_id: str) -> list[str]:
    """What Slurm has under the job's name, ended ones included (it forgets them after five minutes)."""
    return slurm.run("squeue", "-h", "-t", "all", "-n", f"beamside-{job_id}", "-o", "%i").stdout.split()


def queue(slurm: SlurmFacility, states: str = "pending,running") -> set[str]:
    """The ids of all jobs that Slurm knows; an array has one. Among the ended (``all``) are some that it refused."""
    return set(slurm.run("squeue", "-h", "-t", states, "-o", "%F").stdout.split())


def test_that_an_integration_in_three_tasks_has_the_numbers_of_one(
        slurm: SlurmFacility, new_client: Callable[..., Client], scan: Path) -> None:
    python = _recipe_python()
    client = new_client(software=SoftwareSettings(environments={"saxs": f"export PATH={python.parent}:$PATH"}))
    values = {"distance": 1.5, "beam_x": 60.0, "beam_y": 50.0, "pixel_size": 100.0, "wavelength": 1.0, "npt": 100,
              "average": "all"}
    found = []
    spec = JobSpec("real", "azimuthal-integration", (f"{scan}::/entry/data/data",), values)
    submitted = {tasks: client.jobs.submit(replace(spec, tasks=tasks)) for tasks in (3, None)}
    for tasks, job in submitted.items():
        done = client.ends(job)
        assert done.state is JobState.COMPLETED, client.jobs.log(done.id)
        assert len(done.parts) == (4 if tasks else 0)       # three tasks, and what puts them together
        assert f"real:{done.folder}/result.h5::/entry/frames" in done.outputs
        with h5py.File(f"{done.folder}/result.h5") as file:
            assert file["entry/process/tasks"][()] == (tasks or 1)
            found.append({name: file[f"entry/{name}"][()] for name in (
                "reduced/I", "reduced/I_errors", "reduced/q", "frames/I", "frames/frame")})
        assert not list(Path(done.folder).glob("parts/*"))
    for name, values_of_three in found[0].items():
        np.testing.assert_array_equal(values_of_three, found[1][name])


def test_that_the_integration_of_a_stack_ends_with_pyfais_numbers_in_the_visits_processed_data(
        slurm: SlurmFacility, new_client: Callable[..., Client], scan: Path) -> None:
    python = _recipe_python()
    software = SoftwareSettings(environments={"saxs": f"export PATH={python.parent}:$PATH"})
    client = new_client(software=software)
    geometry = {"distance": 1.5, "beam_x": 60.0, "beam_y": 50.0, "pixel_size": 100.0, "wavelength": 1.0, "npt": 100}
    job = client.jobs.submit(JobSpec("real", "azimuthal-integration", (f"{scan}::/entry/data/data",), geometry,
                                     Resources(cpus=2, memory_mb=3000)))
    seen: list[JobState] = []

    def over(now: Job) -> bool:
        seen.append(now.state)
        return now.state.ended
    done = client.until(job, over)
    assert done.state is JobState.COMPLETED, client.jobs.log(job.id)
    assert seen[-1] is JobState.COMPLETED
    assert {JobState.QUEUED, JobState.RUNNING} & set(seen)
    assert done.folder == f"{scan.parent.parent}/PROCESSED_DATA/beamside/{job.id}"
    assert done.outputs == (f"real:{done.folder}/result.h5::/entry/reduced",)
    assert (done.progress, done.exit_code) == (1.0, 0)
    check = subprocess.run([str(python), "-c", _DIRECT, str(scan), f"{done.folder}/result.h5"], capture_output=True,
                           text=True, timeout=120, check=False)
    assert check.stdout.strip() == "equal", check.stderr
    with h5py.File(f"{done.folder}/result.h5") as file:
        process = file["entry/process"]
        assert process["user"][()].decode() == slurm.users[0]
        assert process["scheduler_id"][()].decode() == done.scheduler_id


def test_that_a_partition_that_does_not_exist_or_is_closed_is_refused_in_one_sentence(
        slurm: SlurmFacility, new_client: Callable[..., Client], scan: Path) -> None:
    client, before = new_client(), queue(slurm)
    with pytest.raises(SubmissionRefusedError, match="“nope” does not exist") as caught:
        client.jobs.submit(of(scan, partition="nope"))
    assert "debug" in caught.value.remedy
    with pytest.raises(SubmissionRefusedError):
        client.jobs.submit(of(scan, account="nobodys"))
    with pytest.raises(SubmissionRefusedError, match="memory"):
        client.jobs.submit(of(scan, memory_mb=9_999_999))
    (closed,) = [p for p in client.jobs.partitions() if p.name == "closed"]
    assert (closed.up, closed.why_down) == (False, "“closed” is down")
    assert queue(slurm) <= before


@pytest.mark.parametrize("how", ["client", "server"])
def test_that_a_link_lost_during_submission_leaves_exactly_one_job(
        slurm: SlurmFacility, new_client: Callable[..., Client], scan: Path, how: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's login script waits at a gate, so that the link is lost while the submission is under way."""
    monkeypatch.setattr(job_store, "_SUBMIT", job_store._SUBMIT.replace("-ge 25", "-ge 3"))   # who waits in vain
    home = slurm.home(slurm.users[0])
    gate, login = home / "gate", home / ".bash_profile"
    gate.unlink(missing_ok=True)
    client, other = new_client(batch=BatchSettings("slurm", login_shell=True)), new_client()
    draft = client.jobs.prepare(of(scan))
    login.write_text(f'while [ ! -e "{gate}" ]; do sleep 0.1; done\n')
    try:
        with ThreadPoolExecutor(1) as pool:
            submitted = pool.submit(client.jobs.submit, draft)
            _wait(lambda: (Path(draft.folder) / ".submit").exists(), "the submission")
            if how == "client":
                client.cut()
            else:
                slurm.sshd.cut()
            gate.touch()
            job = submitted.result(PATIENCE_S * 2)
    finally:
        login.unlink()
        gate.unlink(missing_ok=True)
    if how == "client":
        assert other.ends(job).scheduler_id == job.scheduler_id
        assert slurm_ids(slurm, draft.id) == [job.scheduler_id]
    else:
        # the submitter itself was killed before it spoke to Slurm: no job, and the record says so
        assert slurm_ids(slurm, draft.id) == []
        assert job.state is other.jobs.job(draft.id).state is JobState.CREATED


def test_that_a_job_whose_id_was_never_noted_is_found_by_its_name(new_client: Callable[..., Client], scan: Path,
                                                                  slurm: SlurmFacility) -> None:
    client, other = new_client("import time; time.sleep(300)"), new_client()
    job = client.jobs.submit(of(scan))
    (Path(job.folder) / "submitted").unlink()
    assert other.jobs.job(job.id).scheduler_id == job.scheduler_id
    assert (Path(job.folder) / "submitted").read_text().strip() == job.scheduler_id
    other.jobs.cancel(job.id)
    other.ends(job)


def test_that_a_full_disk_is_told_and_nothing_is_submitted(slurm: SlurmFacility, new_client: Callable[..., Client],
                                                           scan: Path) -> None:
    processed = scan.parent.parent / "PROCESSED_DATA"
    small = processed.with_name("small")
    small.mkdir(exist_ok=True)
    account = pwd.getpwnam(slurm.users[0])
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=8k,uid={account.pw_uid}", "none", str(small)],
                             capture_output=True, check=False)
    if mounted.returncode:
        missing("a small file system: " + mounted.stderr.decode(errors="replace").strip())
    try:
        client = new_client(data=DataSettings(
            roots=(f"{slurm.home(slurm.users[0])}/visitor/{{proposal}}/{{beamline}}",), processed="small"))
        before = queue(slurm, "all")
        with pytest.raises(StorageFullError, match="no space left"):
            client.jobs.submit(of(scan))
        assert not list(small.rglob("*.json"))
        assert queue(slurm, "all") <= before
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_that_hostile_folder_names_only_name_folders(slurm: SlurmFacility, new_client: Callable[..., Client],
                                                     scan: Path) -> None:
    home, account = slurm.home(slurm.users[0]), pwd.getpwnam(slurm.users[0])
    client, submitted = new_client("print('ran')"), {}
    for name in ("it's $(touch owned) a scan", 'say "hi"', "100 % %j", "back\\slash", "-n é"):
        raw = home / "visitor" / name / "id30" / "RAW_DATA"
        raw.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, raw / "scan.h5")
        for place in (raw, *raw.parents[:3]):
            os.chown(place, account.pw_uid, account.pw_gid)
        submitted[name] = raw, client.jobs.submit(of(raw / "scan.h5"))
    for name, (raw, job) in submitted.items():
        ended = client.ends(job)
        assert ended.state is JobState.COMPLETED, name
        assert ended.folder.startswith(str(home / "beamside-jobs" if {"%", "\\"} & set(name) else raw.parent)), name
        assert client.jobs.log(job.id) == "ran\n", name
    assert not list(home.rglob("owned"))


_DIRECT = """
import sys, h5py, hdf5plugin, numpy as np
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
import pyFAI.detectors
frames = h5py.File(sys.argv[1])['entry/data/data'][()]
result = h5py.File(sys.argv[2])['entry/reduced']
detector = pyFAI.detectors.Detector(1e-4, 1e-4, max_shape=frames.shape[1:])
ai = AzimuthalIntegrator(dist=1.5, poni1=50*1e-4, poni2=60*1e-4, detector=detector, wavelength=1e-10)
for frame, I, E in zip(frames, result['I'], result['I_errors']):
    r = ai.integrate1d_ng(frame, 100, unit='q_nm^-1', mask=(frame == 2**32-1).astype('i1'), error_model='poisson',
                          method=('no', 'csr', 'cython'), polarization_factor=0.99)
    assert np.array_equal(r.intensity, I) and np.array_equal(r.sigma, E) and np.array_equal(r.radial, result['q'])
print('equal')
"""


def _recipe_python() -> Path:
    try:
        return recipe_python()
    except RuntimeError as error:
        missing(str(error))


def _wait(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.1)
