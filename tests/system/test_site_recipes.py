"""Recipes kept at a site with several accounts: what somebody else could have written is not used; the rest runs."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import paramiko
import pytest

from app.model.jobs import JobSpec, JobState
from app.model.site import BatchSettings, SiteProfile
from app.recipes.catalogue import shipped_recipes
from app.remote.analyses.recipe_shelf import RecipeShelf
from app.remote.analyses.site_recipes import SiteRecipes, recipes_at
from app.remote.jobs.service import JobService
from app.remote.seams import Transport
from app.remote.ssh.transport import SshTransport
from tests.peers.slurm import SlurmFacility

PATIENCE_S = 240.0
TOML = ('schema = 1\nname = "{}"\nversion = "7.1"\ntitle = "The site\'s own"\n'
        '[[outputs]]\ntitle = "Sum"\nfile = "result.h5"\n')
PROGRAM = """
from beamside_job import Source, main, whole_file

def run(task):
    import h5py
    source = Source(task.inputs[0])
    progress = task.progress(len(source), "frames")
    with whole_file("result.h5") as part, h5py.File(part, "w") as out:
        out["sum"] = float(sum(frame.sum() for _, frame in source.frames(range(len(source)))))
        progress.step(len(source))

main({"run": run})
"""


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
def folder(slurm: SlurmFacility) -> Iterator[Path]:
    """Root's folder of recipes, with a good one that takes the place of a shipped one."""
    made = slurm.layout.root / "recipes"
    write(made / "azimuthal-integration")
    yield made
    shutil.rmtree(made)


def write(made: Path) -> Path:
    made.mkdir(parents=True)
    (made / "recipe.toml").write_text(TOML.format(made.name))
    (made / "run.py").write_text(PROGRAM)
    for place in (made.parent, made, *made.iterdir()):
        place.chmod(0o755 if place.is_dir() else 0o644)
    return made


def read(transport: Transport, folder: Path) -> SiteRecipes:
    return recipes_at(transport, [str(folder)], shipped_recipes())


def give(path: Path, user: str, group: str = "") -> None:
    os.chown(path, pwd.getpwnam(user).pw_uid, pwd.getpwnam(group or user).pw_gid)


def test_that_a_sites_recipe_takes_the_place_of_a_shipped_one_and_runs(slurm: SlurmFacility, transport: Transport,
                                                                       folder: Path) -> None:
    scan = slurm.home(slurm.users[0]) / "scan.h5"
    with h5py.File(scan, "w") as file:
        file["entry/data"] = np.full((3, 4, 5), 2.0)
    shelf = RecipeShelf((str(folder),), lambda: transport, shipped_recipes())
    jobs = JobService(SiteProfile("real", batch=BatchSettings("slurm")), lambda: transport, shelf)
    job = jobs.submit(JobSpec("real", "azimuthal-integration", (f"{scan}::/entry/data",), {}))
    deadline = time.monotonic() + PATIENCE_S
    while not (job := jobs.job(job.id)).state.ended:
        assert time.monotonic() < deadline, jobs.log(job.id)
        time.sleep(0.2)
    assert (job.state, job.version) == (JobState.COMPLETED, "7.1"), jobs.log(job.id)
    with h5py.File(Path(job.folder) / "result.h5") as file:
        assert file["sum"][()] == 120.0


@pytest.mark.parametrize(("what", "words"), [
    ("azimuthal-integration/run.py", "belongs to the user"), ("azimuthal-integration", "belongs to the user")])
def test_that_what_belongs_to_somebody_else_is_not_used(slurm: SlurmFacility, transport: Transport, folder: Path,
                                                        what: str, words: str) -> None:
    write(folder / "good")
    give(folder / what, slurm.users[1])
    found = read(transport, folder)
    assert found.recipes["good"].version == "7.1"
    assert found.recipes["azimuthal-integration"].origin == "shipped"
    assert words in found.faults[0].sentence
    assert str(folder / what) in found.faults[0].sentence


def test_that_a_folder_above_that_belongs_to_somebody_else_is_no_way(slurm: SlurmFacility, transport: Transport,
                                                                     folder: Path) -> None:
    theirs = slurm.home(slurm.users[1])
    theirs.chmod(0o755)
    shutil.copytree(folder, theirs / "recipes")
    try:
        found = read(transport, theirs / "recipes")
        assert found.recipes["azimuthal-integration"].origin == "shipped"
        assert f"{theirs} belongs to the user" in found.faults[0].sentence
    finally:
        shutil.rmtree(theirs / "recipes")


def test_that_a_group_of_others_may_not_write_but_a_service_account_may_own(slurm: SlurmFacility, transport: Transport,
                                                                            folder: Path) -> None:
    made = folder / "azimuthal-integration"
    for place in (folder, made, *made.iterdir()):
        give(place, "daemon")
    assert read(transport, folder).recipes["azimuthal-integration"].origin == str(made)
    made.chmod(0o775)
    assert "can write to" in read(transport, folder).faults[0].sentence
    give(made, "daemon", slurm.users[0])      # the person's own private group
    assert read(transport, folder).recipes["azimuthal-integration"].origin == str(made)
    give(made, "daemon", slurm.users[1])
    assert "can write to" in read(transport, folder).faults[0].sentence


def test_that_what_may_not_be_read_is_told(slurm: SlurmFacility, transport: Transport, folder: Path) -> None:
    write(folder / "good")
    (folder / "azimuthal-integration/run.py").chmod(0o600)
    found = read(transport, folder)
    assert "run.py cannot be read; ask whoever keeps the recipes" in found.faults[0].sentence
    (folder / "azimuthal-integration").chmod(0o700)
    found = read(transport, folder)
    assert "azimuthal-integration may not be looked into" in found.faults[0].sentence
    assert "good" in found.recipes
    folder.chmod(0o700)
    found = read(transport, folder)
    assert set(found.recipes) == set(shipped_recipes())
    assert "you may not look into it" in found.faults[0].sentence
