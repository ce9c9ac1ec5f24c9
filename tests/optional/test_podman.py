"""Recipes in podman's containers, inside real Slurm jobs, as an ordinary user: the very words of ``containers.py``."""

from __future__ import annotations

import json
import pwd
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.model.jobs import JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile, SoftwareSettings
from app.model.trial import TrialPhase
from app.recipes.availability import SoftwareState
from app.recipes.recipe import Parameter, ParameterType, Recipe, Requirement, Trial
from app.remote.analyses.software_check import availability
from app.remote.trials.session import TrialSession
from app.resources import resource_path
from tests.peers.container_image import container_image
from tests.peers.job_client import JobClient, job_client, state_recipes, told, write_data
from tests.peers.kept import cannot_get
from tests.peers.podman import IMAGE, one_kind_of_cgroups, prepare, processes_of, tidy
from tests.peers.slurm import SlurmFacility, slurm_facility

pytestmark = pytest.mark.timeout(900)

PATIENCE_S = 60.0
TRIED = Parameter("frame", ParameterType.INTEGER, "Frame")
WANTED = Resources(time_limit_min=5, cpus=2, memory_mb=500)
COMMON = {source.name: source.read_text() for source in resource_path("recipes", "common").glob("*.py")}
WHERE = """
import errno, getpass, json, os
from beamside_job import main, whole_file

def run(task):
    import h5py, numpy
    name = task.inputs[0]
    try:
        open(name, "a").close()
        writable = True
    except OSError as error:
        writable = error.errno != errno.EROFS
    says = os.environ.get
    with whole_file("result.txt") as part, open(part, "w") as out:
        json.dump({"writable": writable, "input": open(name).read(), "folder": os.getcwd(), "image":
                   os.path.exists("/etc/beamside-complete"), "user": getpass.getuser(), "runtime": says("container"),
                   "threads": says("OMP_NUM_THREADS"), "step": says("BEAMSIDE_STEP"), "slurm": says("SLURM_JOB_ID"),
                   "home": os.path.exists(os.path.expanduser("~/scan.dat")), "foreign": says("PYTHONPATH")}, out)

def trial(task):
    task.answer["entry/doubled"] = 2
    return "/entry/doubled"

main({"run": run, "trial": trial})
"""


@pytest.fixture(scope="module")
def site() -> Iterator[SlurmFacility]:
    if shutil.which("podman") is None or shutil.which("crun") is None:
        cannot_get("podman", "it is not installed (podman, crun, uidmap)")
    try:
        root = container_image()
    except RuntimeError as error:
        cannot_get("a container image", str(error))
    with one_kind_of_cgroups(), slurm_facility(accounting=False, cgroups=True) as running:
        user = running.users[0]
        try:
            try:
                prepare(running, user, root, running.home(user) / "python.tar")
            except RuntimeError as error:
                cannot_get("podman", f"it does not work for ordinary users here: {error}")
            yield running
        finally:
            tidy(pwd.getpwnam(user).pw_uid)


def recipes() -> dict[str, Recipe]:
    made = {name: replace(recipe, image="python", resources=WANTED, steps=())
            for name, recipe in state_recipes().items() if name == "job"}
    where = replace(made["job"], name="where", program=WHERE, files=COMMON, parameters=(TRIED,),
                    trial=Trial("frame", "frame", "/entry/doubled"),
                    requires=(Requirement("h5py", "3.0"), Requirement("numpy"), Requirement(program="tar")))
    return {**made, "where": where}


def profile(image: object = IMAGE) -> SiteProfile:
    return SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"), software=SoftwareSettings(
        setup=("export PYTHONPATH=/nowhere/of/the/node XDG_RUNTIME_DIR=/run/user/of/the/login",), containers="podman",
        images={"python": str(image)}))


@pytest.fixture
def client(site: SlurmFacility) -> Iterator[JobClient]:
    write_data(site)
    with job_client(site, profile(), recipes()) as made:
        yield made


def gone(site: SlurmFacility, what: str) -> None:
    """Wait until no process of the visitor's has ``what`` in its command line."""
    user_id, deadline = pwd.getpwnam(site.users[0]).pw_uid, time.monotonic() + PATIENCE_S
    while left := [words for words in processes_of(user_id).values() if what in words]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["scan.txt", "it's a $(note) `x` #SBATCH.txt"])
def test_that_a_job_runs_in_its_image_as_its_user(site: SlurmFacility, client: JobClient, name: str) -> None:
    raw = Path("/srv") / site.layout.root.name / name
    raw.parent.mkdir()
    try:
        raw.write_text("seen")
        raw.chmod(0o666)
        job = client.jobs.submit(JobSpec("real", "where", (str(raw),), {}, name=f"Where is {name}"))
        done = client.ends(job)
    finally:
        shutil.rmtree(raw.parent)
    assert done.state is JobState.COMPLETED, client.jobs.log(job.id)
    result = Path(done.folder) / "result.txt"
    assert result.stat().st_uid == pwd.getpwnam(site.users[0]).pw_uid
    assert json.loads(result.read_text()) == {
        "writable": False, "input": "seen", "folder": done.folder, "image": True, "user": site.users[0],
        "runtime": "podman", "threads": "2", "step": "run", "slurm": str(done.scheduler_id), "home": True,
        "foreign": None}
    record = json.loads((Path(done.folder) / "environment.json").read_text())
    assert IMAGE in record["image"]
    assert "numpy" in record["packages"]


def test_that_an_archive_is_an_image_too(site: SlurmFacility, client: JobClient) -> None:
    archive = site.home(site.users[0]) / "python.tar"
    with job_client(site, profile(archive), recipes()) as other:
        done = other.ends(other.submit("end"))
    assert told(done) == (JobState.COMPLETED, "", 0, None), client.jobs.log(done.id)
    assert "Copying" not in client.jobs.log(done.id)


@pytest.mark.parametrize(("do", "reason"), [
    ("fail", "exit code 7"), ("crash", "exit code 139 (segmentation fault)"),
    ("kill the program", "exit code 137 (killed)"), ("eat", "the memory limit was exceeded")])
def test_that_every_bad_end_is_told_as_anywhere(client: JobClient, do: str, reason: str) -> None:
    done = client.ends(client.submit(do))
    assert done.state is JobState.FAILED
    assert done.reason.startswith(reason), (done, client.jobs.log(done.id))


def test_that_the_programs_last_words_are_shown(client: JobClient) -> None:
    assert "ValueError: the seventh frame is empty" in client.ends(client.submit("fail")).last_lines


@pytest.mark.parametrize("do", ["clean up", "wait"])
def test_that_a_program_is_told_that_its_job_was_cancelled_and_its_container_is_gone(
        site: SlurmFacility, client: JobClient, do: str) -> None:
    job = client.waits_in(client.submit(do))
    client.jobs.cancel(job.id)
    ended = client.ends(job)
    assert ended.state is JobState.CANCELLED
    gone(site, "run.py")
    assert (Path(ended.folder) / "cleaned").exists() is (do == "clean up")


def test_that_a_container_ends_at_the_time_limit(site: SlurmFacility, client: JobClient) -> None:
    job = client.waits_in(client.submit("wait"))
    site.admin.control("update", f"jobid={job.scheduler_id}", "EndTime=now")
    ended = client.ends(job)
    assert "time limit" in ended.reason
    gone(site, "run.py")


def test_that_parameters_are_tried_in_a_container(site: SlurmFacility, client: JobClient) -> None:
    scan = site.home(site.users[0]) / "scan.dat"
    spec = JobSpec("real", "where", (str(scan),), {})
    session = TrialSession(client.jobs, client.transport, recipes()["where"], spec)
    session.begin({})
    assert session.wait_until_ready(lambda _: None, threading.Event()).phase is TrialPhase.READY
    answer = session.ask({"frame": 1})
    assert (answer.fault, answer.data_path) == ("", "/entry/doubled")
    session.end()
    gone(site, "run.py")


def test_that_the_catalogue_looks_into_the_image(client: JobClient) -> None:
    where = recipes()["where"]
    ready, = availability(client.transport(), profile(), [where])
    assert (ready.state, ready.sentence) == (SoftwareState.READY, "")
    lacking, = availability(client.transport(), profile(), [replace(where, requires=(Requirement("algotom"),))])
    assert lacking.sentence == f"algotom is not installed in the container image {IMAGE}: ask the site to install it."
