"""Tomography on real Slurm over real SSH: the measured tooth in three steps, opened from one file; a slice tried."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import paramiko
import pytest

from app.agent import default_plot
from app.agent.links import Place
from app.model.jobs import Job, JobSpec, JobState
from app.model.site import BatchSettings, DataSettings, SiteProfile, SoftwareSettings
from app.model.trial import TrialPhase
from app.recipes.catalogue import shipped_recipes
from app.remote.jobs.service import JobService
from app.remote.ssh.transport import SshTransport
from app.remote.trials.session import TrialSession
from tests.peers.need import missing
from tests.peers.recipe_env import recipe_python
from tests.peers.slurm import SlurmFacility

pytestmark = pytest.mark.system

PATIENCE_S = 240.0
NEVER = threading.Event()


class Client:
    """One client of the facility, whose profile names the environment that has algotom."""

    def __init__(self, site: SlurmFacility, python: Path) -> None:
        self._site, self.recipe = site, shipped_recipes()["tomography"]
        user = site.users[0]
        link = paramiko.Transport(socket.create_connection((site.host, site.port), 10))
        link.start_client(timeout=60)
        link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(site.key(user))))
        self._link = SshTransport(link, site.host)
        self.jobs = JobService(SiteProfile(
            "real", batch=BatchSettings("slurm"), software=SoftwareSettings(
                environments={"tomography": f"export PATH={python.parent}:$PATH"}),
            data=DataSettings(roots=(f"{site.home(user)}/visitor/{{proposal}}/{{beamline}}",))),
            lambda: self._link, {"tomography": self.recipe})

    def spec(self, scan: Path, tasks: int | None = None, **parameters: object) -> JobSpec:
        return JobSpec("real", "tomography", (str(scan),), parameters, tasks=tasks)

    def ends(self, job: Job, seen: list[Job]) -> Job:
        deadline = time.monotonic() + PATIENCE_S
        while not (now := self.jobs.job(job.id)).state.ended:
            seen.append(now)
            assert time.monotonic() < deadline, f"{now}\n{self.jobs.log(job.id)}\n{self._site.logs()}"
            time.sleep(0.2)
        return now

    def trial(self, scan: Path) -> TrialSession:
        return TrialSession(self.jobs, lambda: self._link, self.recipe, self.spec(scan))

    def close(self) -> None:
        self._link.close()


@pytest.fixture
def client(slurm: SlurmFacility) -> Iterator[Client]:
    try:
        python = recipe_python("tomography")
    except RuntimeError as error:
        missing(f"the environment for tomography: {error}")
    made = Client(slurm, python)
    yield made
    made.close()


@pytest.fixture
def tooth(slurm: SlurmFacility, beamside_data: Path) -> Path:
    """The measured scan among the raw data of a visit that the visitor owns."""
    home = slurm.home(slurm.users[0])
    raw = home / "visitor/md1/bm05/RAW_DATA"
    raw.mkdir(parents=True, exist_ok=True)
    shutil.copy(beamside_data / "tomo" / "tooth.h5", raw / "tooth.h5")
    (raw / "tooth.h5").chmod(0o444)
    account = pwd.getpwnam(slurm.users[0])
    for place in (home / "visitor", *(home / "visitor").rglob("*")):
        os.chown(place, account.pw_uid, account.pw_gid)
    return raw / "tooth.h5"


def test_that_the_tooth_is_reconstructed_in_three_steps_and_opens_from_one_file(client: Client, tooth: Path) -> None:
    seen: list[Job] = []
    job = client.jobs.submit(client.spec(tooth, tasks=2, sweep=True, sweep_range=1.0))
    done = client.ends(job, seen)
    assert done.state is JobState.COMPLETED, client.jobs.log(job.id)
    assert {(part.step, part.task) for part in done.parts} == {
        ("prepare", None), ("reconstruct", 1), ("reconstruct", 2), ("merge", None)}
    assert all(part.state is JobState.COMPLETED for part in done.parts)
    folder = Path(done.folder)
    assert set(done.outputs) == {f"real:{folder}/volume.h5::/entry/volume", f"real:{folder}/sweep.h5::/entry/sweep"}
    with h5py.File(folder / "volume.h5") as file:
        found = default_plot.find(Place(file, str(folder / "volume.h5"), "/"))
        assert (found.rule, found.name, found.missing) == ("default", "data", ())
        assert found.group is not None
        assert found.group.data_path == "/entry/volume"
        data = file["entry/volume/data"]
        assert data.shape == (2, 640, 640)
        assert data.is_virtual
        volume = data[()]
        process = file["entry/process"]
        assert float(process["centre"][()]) == pytest.approx(296.0, abs=0.5)
        assert json.loads(process["scan"][()])["layout"] == "Data Exchange"
        assert process["job_id"][()].decode() == job.id
    with h5py.File(tooth) as file:
        assert volume[0].std() > 0
        assert np.corrcoef(volume[0].ravel(), volume[1].ravel())[0, 1] > 0.95      # rows beside each other
    assert sorted(p.name for p in tooth.parent.iterdir()) == ["tooth.h5"]


def test_that_a_small_scan_is_one_task_without_a_merge(client: Client, tooth: Path) -> None:
    done = client.ends(client.jobs.submit(client.spec(tooth, centre=296.0, binning=2)), [])
    assert done.state is JobState.COMPLETED, client.jobs.log(done.id)
    assert "merge" not in {part.step for part in done.parts}
    with h5py.File(Path(done.folder) / "volume.h5") as file:
        assert not file["entry/volume/data"].is_virtual


def test_that_a_fault_of_the_first_step_is_the_jobs_reason(client: Client, tooth: Path) -> None:
    done = client.ends(client.jobs.submit(client.spec(tooth, tasks=2, centre=5000.0)), [])
    assert done.state is JobState.FAILED
    assert "The centre of rotation is outside the columns" in f"{done.reason}\n{done.last_lines}"


def test_that_a_tried_slice_is_the_jobs_slice(client: Client, tooth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = client.trial(tooth)
    session.begin({})
    assert session.wait_until_ready(lambda _: None, NEVER).phase is TrialPhase.READY
    first = session.ask({"slice": 0})
    assert first.fault == ""
    answers = [session.ask({"slice": 0, "rings": rings}) for rings in ("none", "filtering", "all")]
    wrong = session.ask({"centre": -5.0})
    assert wrong.fault.startswith("The centre of rotation is outside")
    with h5py.File(answers[1].file) as file:
        tried = file[answers[1].data_path]["data"][()]
    session.end()
    job = client.ends(client.jobs.submit(client.spec(tooth, rings="filtering")), [])
    with h5py.File(Path(job.folder) / "volume.h5") as file:
        np.testing.assert_allclose(file["entry/volume/data"][0], tried, atol=1e-8)
    with capsys.disabled():
        print(f"\nTooth: first slice {first.waited_s:.2f} s (computed {first.seconds:.2f}), then "
              f"{', '.join(f'{a.waited_s:.2f} ({a.seconds:.2f})' for a in answers)} s")
