"""Trials on real Grid Engine over real SSH: answered, told to end, killed, and waiting in the queue."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from app.model.jobs import JobKind, JobState
from app.model.trial import TrialPhase, TrialStatus
from app.remote.trials.session import TrialOverError
from tests.peers.gridengine import GridFacility
from tests.system.test_trials import DOUBLING, NEVER, PATIENCE_S, Client, folder, ready, truth, until


@pytest.fixture
def client(gridengine: GridFacility) -> Iterator[Client]:
    made = Client(gridengine, {DOUBLING.name: DOUBLING}, {}, "gridengine")
    yield made
    for job in made.jobs.jobs():
        if job.kind is JobKind.TRIAL and not job.state.ended:
            made.jobs.cancel(job.id)
    made.close()


@pytest.fixture
def scan(gridengine: GridFacility) -> Path:
    path = gridengine.home(gridengine.users[0]) / "tried.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.ones((2, 5, 6), "u4")
    account = pwd.getpwnam(gridengine.users[0])
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


def test_that_a_trial_answers_and_ends_when_it_is_told_to(client: Client, scan: Path) -> None:
    session = client.trial(DOUBLING, scan)
    ready(session)
    answer = session.ask({"factor": 21.0})
    with h5py.File(answer.file) as file:
        assert file[answer.data_path][()] == 42.0
    session.end()
    assert truth(client, session).state is JobState.COMPLETED
    assert not Path(answer.file).exists()


def test_that_a_killed_trial_is_told(gridengine: GridFacility, client: Client, scan: Path) -> None:
    session = client.trial(DOUBLING, scan)
    ready(session)
    assert session.job is not None
    scheduler_id = client.jobs.job(session.job.id).scheduler_id
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(session.ask, {"takes": 600.0})
        until((folder(session) / "computed").exists)
        gridengine.run("qdel", str(scheduler_id), user=gridengine.users[0])
        with pytest.raises(TrialOverError, match=r"failed|cancelled"):
            asking.result(3 * PATIENCE_S)


def test_that_a_held_trial_says_so_and_goes_on(gridengine: GridFacility, client: Client, scan: Path) -> None:
    user = gridengine.users[0]
    gridengine.run("qmod", "-d", "*")
    session = client.trial(DOUBLING, scan)
    told: list[TrialStatus] = []
    try:
        session.begin({})

        def tell(status: TrialStatus) -> None:
            told.append(status)
            if status.phase is TrialPhase.QUEUED:
                gridengine.run("qmod", "-e", "*")

        assert session.wait_until_ready(tell, NEVER).phase is TrialPhase.READY, (told, gridengine.run(
            "qstat", "-f", user=user).stdout)
    finally:
        gridengine.run("qmod", "-e", "*")
        session.end()
    assert any(status.sentence.startswith("The trial job waits in the queue") for status in told), told
