"""A recipe with a container image runs inside it: Charliecloud's ch-run, in real Slurm jobs, as an ordinary user."""

from __future__ import annotations

import pwd
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import paramiko
import pytest

from app.errors import RecipeError, SubmissionRefusedError
from app.model.jobs import Job, JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile, SoftwareSettings
from app.recipes.availability import SoftwareState
from app.recipes.catalogue import common_files
from app.recipes.recipe import Recipe, Requirement
from app.remote.analyses.software_check import availability
from app.remote.jobs.service import JobService
from app.remote.seams import Transport
from app.remote.ssh.transport import SshTransport
from tests.peers.container_image import container_image
from tests.peers.need import missing, need_program
from tests.peers.slurm import SlurmFacility

PATIENCE_S = 60.0
WHERE = """
import os, sys
from beamside_job import main, whole_file

def run(task):
    import h5py, numpy
    with whole_file("result.h5") as part, h5py.File(part, "w") as out:
        out["sum"] = numpy.arange(5).sum()
        out["python"] = sys.version
        out["h5py"] = h5py.__version__
        out["runtime"] = os.environ.get("CH_RUNNING", "")
        out["root"] = os.path.exists("/etc/beamside-complete")
        out["folder"] = os.getcwd()
        out["threads"] = os.environ["OMP_NUM_THREADS"]
        out["step"] = os.environ["BEAMSIDE_STEP"]
        out["home"] = os.path.exists(os.path.expanduser("~/visible"))
        out["foreign"] = os.environ.get("PYTHONPATH", "")
        out["input"] = open(task.inputs[0]).read()

main({"run": run})
"""


@pytest.fixture(scope="module")
def image() -> Path:
    need_program("ch-run", "charliecloud-runtime")
    need_program("mmdebstrap", "mmdebstrap")
    try:
        return container_image()
    except RuntimeError as error:
        missing(f"a container image: {error}")


@pytest.fixture
def transport(slurm: SlurmFacility) -> Iterator[Transport]:
    user = slurm.users[0]
    link = paramiko.Transport(socket.create_connection((slurm.host, slurm.port), 10))
    link.start_client(timeout=60)
    link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(slurm.key(user))))
    made = SshTransport(link, slurm.host)
    yield made
    made.close()


@pytest.fixture
def note(slurm: SlurmFacility) -> Path:
    """A file of the visitor's, and one in the home."""
    user = slurm.users[0]
    path = slurm.home(user) / "it's a $(note).txt"
    for file in (path, slurm.home(user) / "visible"):
        file.write_text("seen")
    return path


def site(image: object, runtime: str = "ch-run") -> SiteProfile:
    return SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"), software=SoftwareSettings(
        setup=("export PYTHONPATH=/nowhere/of/the/node",), containers=runtime, images={"python": str(image)}))


def recipe(program: str) -> Recipe:
    return Recipe("where", "1.0", "Where", program, image="python", files=common_files(),
                  requires=(Requirement("h5py", "3.0"), Requirement("numpy"), Requirement(program="tar")),
                  resources=Resources(time_limit_min=5, cpus=2, memory_mb=500))


def submitted(transport: Transport, profile: SiteProfile, what: Recipe, note: Path) -> tuple[JobService, Job]:
    jobs = JobService(profile, lambda: transport, {what.name: what})
    return jobs, jobs.submit(JobSpec("real", what.name, (str(note),), {}))


def until(jobs: JobService, job: Job, claim: Callable[[Job], bool]) -> Job:
    deadline = time.monotonic() + PATIENCE_S
    while not claim(seen := jobs.job(job.id)):
        assert time.monotonic() < deadline, f"{seen}\n{jobs.log(job.id)}"
        time.sleep(0.2)
    return seen


def test_that_a_job_runs_in_its_image_as_its_user_and_leaves_its_result(
        slurm: SlurmFacility, transport: Transport, image: Path, note: Path) -> None:
    jobs, job = submitted(transport, site(image), recipe(WHERE), note)
    done = until(jobs, job, lambda j: j.state.ended)
    assert done.state is JobState.COMPLETED, jobs.log(job.id)
    result = Path(done.folder) / "result.h5"
    assert result.stat().st_uid == pwd.getpwnam(slurm.users[0]).pw_uid
    with h5py.File(result) as file:
        said = {key: value[()].decode() if file[key].dtype.kind in "OS" else value[()] for key, value in file.items()}
    assert said.pop("python").startswith("3.")
    assert said.pop("h5py").startswith("3.")
    assert said.pop("runtime")
    assert said == {"sum": 10, "root": True, "folder": done.folder, "threads": "2", "step": "run", "home": True,
                    "foreign": "", "input": "seen"}


def test_that_a_program_that_fails_in_an_image_is_told_as_anywhere(transport: Transport, image: Path,
                                                                   note: Path) -> None:
    program = "import sys; print('the disk of the image', file=sys.stderr); sys.exit(7)"
    jobs, job = submitted(transport, site(image), recipe(program), note)
    done = until(jobs, job, lambda j: j.state.ended)
    assert (done.state, done.exit_code) == (JobState.FAILED, 7)
    assert "the disk of the image" in done.last_lines


def test_that_a_job_in_an_image_is_cancelled_like_any_other(transport: Transport, image: Path, note: Path) -> None:
    program = "import time, pathlib; pathlib.Path('here').touch(); time.sleep(300)"
    jobs, job = submitted(transport, site(image), recipe(program), note)
    until(jobs, job, lambda j: j.state is JobState.RUNNING)
    until(jobs, job, lambda j: (Path(j.folder) / "here").exists())
    jobs.cancel(job.id)
    assert until(jobs, job, lambda j: j.state.ended).state is JobState.CANCELLED


def test_that_an_image_the_profile_cannot_run_is_refused_before_anything_exists(
        slurm: SlurmFacility, transport: Transport, image: Path, note: Path) -> None:
    before = {path.name for path in slurm.home(slurm.users[0]).rglob("*")}
    for profile, words in ((site(image, "none"), "runs no containers"), (site(image, ""), "does not say how"),
                           (replace(site(image), software=SoftwareSettings(containers="ch-run")),
                            "[software.images]")):
        with pytest.raises((RecipeError, SubmissionRefusedError)) as caught:
            submitted(transport, profile, recipe(WHERE), note)
        assert words in caught.value.summary
    assert {path.name for path in slurm.home(slurm.users[0]).rglob("*")} == before


def test_that_the_catalogue_looks_into_the_image(transport: Transport, image: Path) -> None:
    ready, = availability(transport, site(image), [recipe(WHERE)])
    assert (ready.state, ready.sentence) == (SoftwareState.READY, "")
    assert set(dict(ready.versions)) == {"h5py", "numpy", "tar"}
    lacking = replace(recipe(WHERE), requires=(Requirement("algotom"),))
    row, = availability(transport, site(image), [lacking])
    assert row.sentence == f"algotom is not installed in the container image {image}: ask the site to install it."
    row, = availability(transport, site(image.parent / "gone"), [recipe(WHERE)])
    assert "is not there" in row.sentence
