"""Trials on the demo facility's batch system, and on a computer without any: as on real ones (tests/system)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from app.model.jobs import JobKind, JobSpec, JobState
from app.model.site import BatchSettings, SiteProfile
from app.model.trial import TrialPhase
from app.remote.jobs.service import JobService
from app.remote.local_transport import LocalTransport
from app.remote.profiles import parse_profile
from app.remote.trials.session import TrialOverError, TrialSession
from app.resources import resource_path
from tests.peers.demo_facility import running_facility
from tests.unit.jobs.trial_site import RECIPE, eventually

NEVER = threading.Event()
DOUBLING = replace(RECIPE, files={s.name: s.read_text() for s in resource_path("recipes", "common").glob("*.py")})


@pytest.fixture(params=["demo", "direct"])
def service(request: pytest.FixtureRequest, tmp_path: Path, own_home: Path,
            monkeypatch: pytest.MonkeyPatch) -> Iterator[JobService]:
    if request.param == "direct":
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin")
        profile = SiteProfile("near", batch=BatchSettings("direct"))
        made = JobService(profile, LocalTransport, {"doubling": DOUBLING})
        yield made
        _end_all(made)
        return
    with running_facility(tmp_path / "demo", minute_s=2, slots=4) as facility:
        monkeypatch.setenv("PATH", f"{facility.addresses['bin']}:/usr/local/bin:/usr/bin:/bin")
        monkeypatch.setenv("HOME", str(facility.home))
        made = JobService(parse_profile(facility.profile.read_text(), "demo.toml"), LocalTransport,
                          {"doubling": DOUBLING})
        yield made
        _end_all(made)


def _end_all(service: JobService) -> None:
    for job in service.jobs():
        if not job.state.ended:
            service.cancel(job.id)
    eventually(lambda: all(job.state.ended for job in service.jobs()))


@pytest.fixture
def trial(service: JobService, tmp_path: Path) -> TrialSession:
    scan = tmp_path / "scan.h5"
    with h5py.File(scan, "w") as file:
        file["entry/data/data"] = [[1, 2], [3, 4]]
    session = TrialSession(service, LocalTransport, DOUBLING, JobSpec("near", "doubling", (str(scan),), {}))
    session.begin({})
    assert session.wait_until_ready(lambda _: None, NEVER).phase is TrialPhase.READY
    return session


def test_that_a_trial_is_a_job_that_answers_until_it_is_told_to_end(service: JobService, trial: TrialSession) -> None:
    answer = trial.ask({"factor": 21.0})
    with h5py.File(answer.file) as file:
        assert file[answer.data_path][()] == 42.0
    assert trial.ask({"factor": -1.0}).parameter == "factor"
    assert trial.job is not None
    job_id = trial.job.id
    job = service.job(job_id)
    assert (job.kind, job.state) == (JobKind.TRIAL, JobState.RUNNING)
    trial.end()
    eventually(lambda: service.job(job_id).state.ended)
    assert service.job(job_id).state is JobState.COMPLETED
    assert not Path(answer.file).exists()


def test_that_the_newest_question_wins_and_a_cancelled_job_is_told(service: JobService, trial: TrialSession) -> None:
    with ThreadPoolExecutor(2) as pool:
        old = pool.submit(trial.ask, {"factor": 1.0, "takes": 1.0})
        assert trial.job is not None
        eventually((Path(trial.job.folder) / "computed").exists)
        assert trial.ask({"factor": 2.0}).parameters["factor"] == 2.0
        with pytest.raises(CancelledError):
            old.result(60)
        asking = pool.submit(trial.ask, {"takes": 600.0})
        eventually(lambda: (Path(trial.job.folder) / "computed").read_text().count("\n") == 3)    # type: ignore[union-attr]
        service.cancel(trial.job.id)
        with pytest.raises(TrialOverError, match="was cancelled"):
            asking.result(120)
