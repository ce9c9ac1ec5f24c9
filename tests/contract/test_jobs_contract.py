"""Jobs on the demo facility's batch system: the dialect spoken to real Slurm (tests/system) is understood there too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from app.errors import SubmissionRefusedError
from app.model.jobs import Job, JobSpec, JobState, Resources
from app.model.site import SiteProfile
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Recipe
from app.remote.jobs.service import JobService
from app.remote.local_transport import LocalTransport
from app.remote.profiles import parse_profile
from tests.peers.demo_facility import DemoFacility, running_facility
from tests.peers.need import need_module

PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), minute_s=2, slots=4) as running:
        yield running


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), accounting=False, min_job_age_s=1) as running:
        yield running


@pytest.fixture
def profile(facility: DemoFacility) -> SiteProfile:
    return parse_profile(facility.profile.read_text(), "demo.toml")


@pytest.fixture
def scan(facility: DemoFacility) -> Path:
    return next(iter(sorted(facility.data.rglob("spheres_0001.nxs"))))


@pytest.fixture
def new_client(facility: DemoFacility, profile: SiteProfile,
               monkeypatch: pytest.MonkeyPatch) -> Callable[..., JobService]:
    def make(program: str = "pass", on: DemoFacility = facility) -> JobService:
        monkeypatch.setenv("PATH", f"{on.addresses['bin']}:/usr/local/bin:/usr/bin:/bin")
        monkeypatch.setenv("HOME", str(on.home))
        trial = Recipe("trial", "1.0", "Trial", program, resources=Resources(time_limit_min=30, cpus=1, memory_mb=300))
        recipes: dict[str, Recipe] = {"trial": trial, **shipped_recipes()}
        return JobService(profile, LocalTransport, recipes)
    return make


def until(service: JobService, job: Job, claim: Callable[[Job], bool] = lambda j: j.state.ended) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while not claim(seen := service.job(job.id)):
        assert time.monotonic() < deadline, f"{seen}\n{service.log(job.id)}"
        time.sleep(0.1)
    return seen


def of(path: Path, **resources: object) -> JobSpec:
    return JobSpec("demo", "trial", (str(path),), {}, Resources(**resources))  # type: ignore[arg-type]


def test_that_the_demos_own_series_is_integrated_as_pyfai_does_it(
        new_client: Callable[..., JobService], scan: Path) -> None:
    pyfai = need_module("pyFAI")
    service, poni = new_client(), scan.with_suffix(".poni")
    job = service.submit(JobSpec("demo", "azimuthal-integration", (str(scan),),
                                 {"poni": str(poni), "mask": str(scan.parent / "mask.npy"), "frames": "0:3",
                                  "npt": 1000}))
    done = until(service, job)
    assert done.state is JobState.COMPLETED, service.log(job.id)
    visit = scan.parents[scan.parts[::-1].index("RAW_DATA")]
    assert Path(done.folder).parent == visit / "PROCESSED_DATA" / "beamside"
    file, _, node = done.outputs[0].removeprefix("demo:").partition("::")
    mask = np.load(scan.parent / "mask.npy") != 0
    with h5py.File(file) as result, h5py.File(scan) as raw:
        said = json.loads(result["entry/process/parameters"][()])
        assert said["poni"] == str(poni)
        frames = next(d for d in _datasets(raw) if d.ndim == 3)
        for row in range(3):
            frame = frames[row]
            gaps = frame == np.iinfo(frame.dtype).max if frame.dtype.kind == "u" else frame < 0
            integrator = pyfai.load(str(poni))
            integrator.empty = np.nan
            one = integrator.integrate1d_ng(
                frame, 1000, unit="q_nm^-1", mask=(mask | gaps).astype(np.int8), error_model="poisson",
                method=("no", "csr", "cython"), polarization_factor=0.99)
            np.testing.assert_array_equal(result[node]["I"][row], one.intensity)


@pytest.mark.parametrize(("program", "state", "code", "words"), [
    ("print('done')", JobState.COMPLETED, 0, ""), ("import sys; sys.exit(7)", JobState.FAILED, 7, "exit code 7")])
def test_that_ends_are_told_as_they_were(new_client: Callable[..., JobService], scan: Path, program: str,
                                         state: JobState, code: int, words: str) -> None:
    service = new_client(program)
    job = until(service, service.submit(of(scan)))
    assert (job.state, job.exit_code, job.reason) == (state, code, words)
    assert job.started is not None
    assert job.ended is not None


def test_that_cancelling_works_and_another_client_sees_it(new_client: Callable[..., JobService], scan: Path) -> None:
    service = new_client("import time; time.sleep(300)")
    job = until(service, service.submit(of(scan)), lambda j: j.state is JobState.RUNNING)
    assert job.time_limit_s
    other = new_client()
    other.cancel(job.id)
    assert until(service, job).state is JobState.CANCELLED
    assert until(other, job).reason == "cancelled"


def test_that_a_time_limit_is_the_reason_of_a_failure(new_client: Callable[..., JobService], scan: Path) -> None:
    service = new_client("import time; time.sleep(300)")
    job = until(service, service.submit(of(scan, time_limit_min=1)))
    assert (job.state, job.reason) == (JobState.FAILED, "the time limit was reached")


def test_that_partitions_are_listed_and_a_wrong_one_is_refused(new_client: Callable[..., JobService],
                                                               scan: Path) -> None:
    service = new_client()
    partitions = service.partitions()
    assert [p for p in partitions if p.default and p.up]
    with pytest.raises(SubmissionRefusedError, match="“nope” does not exist"):
        service.submit(of(scan, partition="nope"))


def test_that_a_job_the_facility_forgot_is_told_by_its_own_record(new_client: Callable[..., JobService], scan: Path,
                                                                  forgetful: DemoFacility) -> None:
    service = new_client("import sys; sys.exit(7)", forgetful)
    job = service.submit(of(scan))
    folder = Path(job.folder)
    deadline = time.monotonic() + PATIENCE_S
    while "ended" not in (folder / "status.json").read_text() if (folder / "status.json").exists() else True:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ended = until(new_client(on=forgetful), job)
    assert (ended.state, ended.exit_code, ended.reason) == (JobState.FAILED, 7, "exit code 7")


def _datasets(group: h5py.Group) -> list[h5py.Dataset]:
    out: list[h5py.Dataset] = []
    group.visititems(lambda _name, node: out.append(node) if isinstance(node, h5py.Dataset) else None)
    return out
