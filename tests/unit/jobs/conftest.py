"""A site whose batch system is played by the test, and whose connection breaks on demand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import LinkLostError
from app.model.jobs import Job, JobSpec, Resources
from app.model.site import BatchSettings, DataSettings, SiteProfile, SoftwareSettings
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Output, Recipe, RecipeStep, ResourceRule, Trial
from app.remote.jobs.service import JobService
from app.remote.local_transport import LocalTransport
from app.remote.seams import CommandResult
from tests.unit.jobs.fake_slurm import FakeSlurm

PATIENCE_S = 120.0


class FakeLink(LocalTransport):
    """This computer as a site whose connection breaks on demand: ``before`` or ``after`` a command has run."""

    def __init__(self) -> None:
        super().__init__()
        self.breaks: list[str] = []
        self.commands = 0

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        self.commands += 1
        fault = self.breaks.pop(0) if self.breaks else ""
        if fault == "before":
            raise LinkLostError("The connection is lost.")
        if fault == "within":
            stdin = stdin[:len(stdin) // 2]
        result = super().run(argv, stdin=stdin, timeout_s=timeout_s)
        if fault:
            raise LinkLostError("The connection is lost.")
        return result


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    fake = FakeSlurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{fake.root / 'bin'}:/usr/bin:/bin")
    return fake


@pytest.fixture
def link() -> FakeLink:
    return FakeLink()


@pytest.fixture
def profile(tmp_path: Path) -> SiteProfile:
    return SiteProfile(
        "near", title="Near Site", batch=BatchSettings("slurm"),
        data=DataSettings(roots=(f"{tmp_path}/visitor/{{proposal}}/{{beamline}}",)),
        software=SoftwareSettings(setup=("module load x",), environments={"saxs": "module load pyfai"}))


@pytest.fixture
def chain() -> Recipe:
    """A recipe of an array step and one that merges, and a trial."""
    return Recipe(
        "chain", "1.2", "Chain", "print('ran')", outputs=(Output("sum", "result.h5", "/entry/sum"),),
        steps=(RecipeStep("each", "Each frame", ResourceRule(Resources(time_limit_min=10, cpus=2, memory_mb=1000),
                                                             60.0, 100.0), frames_per_task=10, at_once=3),
               RecipeStep("merge", "Merge", ResourceRule(Resources(time_limit_min=5, cpus=1, memory_mb=500)),
                          only_after_array=True)),
        trial=Trial("frame", "frame", "/entry/one", rule=ResourceRule(Resources(time_limit_min=15, cpus=1))))


@pytest.fixture
def new_client(profile: SiteProfile, link: FakeLink, slurm: FakeSlurm, chain: Recipe) -> Callable[[], JobService]:
    return lambda: JobService(profile, lambda: link, {**shipped_recipes(), "chain": chain})


@pytest.fixture
def service(new_client: Callable[[], JobService]) -> JobService:
    return new_client()


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    raw = tmp_path / "visitor/mx1/id30/RAW_DATA"
    raw.mkdir(parents=True)
    (raw / "scan.h5").write_bytes(b"")
    return raw / "scan.h5"


@pytest.fixture
def simple(chain: Recipe) -> Recipe:
    return replace(chain, name="simple", steps=(), trial=None)


def status(job: Job, state: str, code: int | None, scheduler_id: str = "", stem: str = "") -> None:
    """What the job says of itself."""
    (Path(job.folder) / f"status{stem}.json").write_text(json.dumps(
        {"state": state, "rc": code, "started": 1795343001, "ended": 1795343009 if code is not None else None,
         "host": "cn7", "scheduler_id": scheduler_id or job.scheduler_id}))


def until(service: JobService, job: Job, claim: Callable[[Job], bool]) -> Job:
    """The job once something is true of it: the history is not asked at every look."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim(seen := service.job(job.id)):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def with_extent(spec: JobSpec, frames: int) -> JobSpec:
    from app.model.jobs import InputExtent
    return replace(spec, extents=(InputExtent((frames, 100, 100), 4),))
