"""The words that start a program in a container: one idea in three spellings, every value quoted, the rest refused."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from app.recipes.containers import RUNTIMES, Bind, container_problem, container_words, image_path, job_binds, tree

FOLDER = PurePosixPath("/data/visitor/mx1/PROCESSED_DATA/beamside/20261122-100000-abcdef")
BINDS = job_binds(FOLDER, PurePosixPath("/home/anna"), [PurePosixPath("/data/visitor/mx1/RAW_DATA/scan.h5")])
IMAGE = "/srv/images/saxs.sif"


def test_that_apptainer_sees_inputs_read_only_and_the_jobs_folder_writable() -> None:
    assert container_words("apptainer", IMAGE, BINDS, FOLDER) == (
        "env -u PYTHONHOME -u PYTHONPATH -u PYTHONSTARTUP apptainer exec --bind /data:/data:ro "
        f"--bind /home/anna:/home/anna:rw --bind {FOLDER}:{FOLDER}:rw --pwd {FOLDER} {IMAGE}")


def test_that_ch_run_binds_folders_that_an_image_can_have() -> None:
    assert container_words("ch-run", "/srv/images/saxs", BINDS, FOLDER) == (
        'env -u PYTHONHOME -u PYTHONPATH -u PYTHONSTARTUP USER="$(id -un)" ch-run --unset-env=LD_LIBRARY_PATH '
        f"--bind /data --bind /home --cd={FOLDER} /srv/images/saxs --")


def test_that_podman_runs_as_the_user_with_the_jobs_environment() -> None:
    words = shlex.split(container_words("podman", "localhost/saxs:1", BINDS, FOLDER))
    assert words[-1] == "localhost/saxs:1"
    assert {"--rm", "--userns=keep-id", "--env=BEAMSIDE_*", "--env=OMP_NUM_THREADS"} <= set(words)
    assert words[words.index("--workdir") + 1] == str(FOLDER)
    assert [w for w in words if w.endswith((":ro", ":rw"))] == [
        "/data:/data:ro", "/home/anna:/home/anna:rw", f"{FOLDER}:{FOLDER}:rw"]


@pytest.mark.parametrize(("image", "words"), [("/srv/a.tar", "docker-archive:/srv/a.tar"),
                                              ("/srv/rootfs", "--rootfs /srv/rootfs")])
def test_that_podman_takes_archives_and_root_file_systems(image: str, words: str) -> None:
    assert container_words("podman", image, BINDS, FOLDER).endswith(words)


def test_that_graphics_processors_are_shown_only_when_they_were_asked_for() -> None:
    assert "--nv" in container_words("apptainer", IMAGE, BINDS, FOLDER, gpus=True).split()
    assert "--nv" not in container_words("apptainer", IMAGE, BINDS, FOLDER).split()
    assert "gpu" in container_words("podman", IMAGE, BINDS, FOLDER, gpus=True)


@pytest.mark.parametrize("name", ["it's", 'a"b', "$(touch owned)", "`touch owned`", "a b", "-n", "a;touch owned", "é%",
                                  "x" * 200, "a&&b", "*", "~", "#SBATCH"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_that_a_name_is_never_program_text(tmp_path: Path, runtime: str, name: str) -> None:
    folder = PurePosixPath("/data") / name
    binds = job_binds(folder, PurePosixPath("/home") / name, [PurePosixPath("/mnt") / name / "scan.h5"])
    if container_problem(runtime, f"/img/{name}", binds, folder):
        assert runtime != "ch-run"
        return
    (tmp_path / runtime).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / runtime).chmod(0o755)
    line = container_words(runtime, f"/img/{name}", binds, folder) + " python3 run.py parameters.json"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, timeout=20, check=False,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert f"/img/{name}" in done.stdout
    assert str(folder) in done.stdout
    assert done.stdout.splitlines()[-3:] == ["python3", "run.py", "parameters.json"]
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(("runtime", "image", "words"), [
    ("none", IMAGE, "runs no containers"), ("", IMAGE, "does not say how"), ("ch-run", "", "[software.images]"),
    ("podman", "--privileged", "no usable name"), ("ch-run", "/a\nb", "no usable name")])
def test_that_what_cannot_be_run_is_refused_in_one_sentence(runtime: str, image: str, words: str) -> None:
    problem = container_problem(runtime, image, BINDS, FOLDER)
    assert words in problem
    assert problem.count(". ") == 0
    with pytest.raises(ValueError, match="container"):
        container_words(runtime, image, BINDS, FOLDER)


@pytest.mark.parametrize(("runtime", "path"), [
    ("apptainer", "/data/a:b"), ("apptainer", "/data/a,b"), ("podman", "/data/a:b"), ("ch-run", "/a:b/c"),
    ("ch-run", "/data/a\nb"), ("apptainer", "/"), ("apptainer", "/data/../etc"), ("podman", "data")])
def test_that_folders_an_option_cannot_carry_are_refused(runtime: str, path: str) -> None:
    assert "cannot be shown to a container" in container_problem(runtime, IMAGE, [Bind(PurePosixPath(path))], FOLDER)


def test_that_ch_run_may_have_any_sign_below_a_mount_point() -> None:
    assert container_problem("ch-run", IMAGE, job_binds(PurePosixPath("/data/a:b,c"), PurePosixPath("/home/u"), []),
                             PurePosixPath("/data/a:b,c")) == ""


def test_that_outer_folders_come_first_and_the_jobs_folder_stays_writable() -> None:
    folder = PurePosixPath("/data/jobs/1")
    binds = job_binds(folder, PurePosixPath("/data"), [PurePosixPath("/data/x.h5")], ["/mnt/store", "/data/jobs/1"])
    assert [(str(b.path), b.writable) for b in binds] == [
        ("/data", True), ("/mnt/store", False), ("/data/jobs/1", True)]


def test_that_trees_leave_an_images_own_folders_alone() -> None:
    assert [str(tree(PurePosixPath(p))) for p in ("/data/a/b", "/srv/data/a", "/gpfs", "/opt/x")] == [
        "/data", "/srv/data", "/gpfs", "/opt/x"]


def test_that_an_image_is_a_name_of_the_profile_or_a_path() -> None:
    assert image_path("saxs", {"saxs": "/srv/saxs.sif"}) == "/srv/saxs.sif"
    assert image_path("/srv/b.sif", {}) == "/srv/b.sif"
    assert image_path("saxs", {}) == ""
