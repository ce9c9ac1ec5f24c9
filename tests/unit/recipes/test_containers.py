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
    assert words[words.index("sh") - 1] == "localhost/saxs:1"
    assert {"--rm", "--userns=keep-id", "--env=BEAMSIDE_*", "--env=OMP_NUM_THREADS", "--cgroups=disabled"} <= set(words)
    assert words[words.index("--workdir") + 1] == str(FOLDER)
    assert [w for w in words if w.endswith((":ro", ":rw"))] == [
        "/data:/data:ro", "/home/anna:/home/anna:rw", f"{FOLDER}:{FOLDER}:rw"]


def test_that_podman_takes_archives_but_no_root_file_systems() -> None:
    assert "docker-archive:/srv/a.tar" in container_words("podman", "/srv/a.tar", BINDS, FOLDER).split()
    for image in ("/srv/rootfs", "/srv/saxs.sif", "/srv/a:b.tar"):
        assert f"podman cannot run {image}: name an image" in container_problem("podman", image, BINDS, FOLDER)


def test_that_podman_keeps_a_runtime_folder_only_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "podman").write_text('#!/bin/sh\necho "runtime: $XDG_RUNTIME_DIR"\n')
    (tmp_path / "podman").chmod(0o755)
    line = container_words("podman", "localhost/saxs:1", BINDS, FOLDER) + " python3 run.py"
    for folder, told in ((str(tmp_path), str(tmp_path)), ("/run/user/of/the login", ""), (None, "")):
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", **({"XDG_RUNTIME_DIR": folder} if folder else {})}
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, timeout=20,
                              check=False, env=environment)
        assert done.stdout == f"runtime: {told}\n"


@pytest.mark.parametrize(("program", "code"), [
    ("import sys; sys.exit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137), ("print(open('/none'))", 1),
    ("import signal, time; print('on', flush=True); time.sleep(60)", 143),
    ("import os, signal, time; signal.signal(15, lambda *_: os._exit(5)); print('on', flush=True); time.sleep(60)", 5)])
def test_that_the_first_process_of_a_podman_container_passes_signals_and_codes_on(tmp_path: Path, program: str,
                                                                                  code: int) -> None:
    (tmp_path / "podman").write_text('#!/bin/sh\nwhile [ "$1" != sh ]; do shift; done; exec "$@"\n')
    (tmp_path / "podman").chmod(0o755)
    line = f"exec {container_words('podman', 'localhost/saxs:1', BINDS, FOLDER)} python3 -c {shlex.quote(program)}"
    with subprocess.Popen(["bash", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=tmp_path,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin"}) as process:
        assert process.stdout is not None
        if "on" in program.split("'"):
            assert process.stdout.readline() == b"on\n"
            process.terminate()
        assert process.wait(20) == code


@pytest.mark.parametrize("state", ["stopping", "ended"])
def test_that_a_podman_container_ends_with_its_job_when_podman_was_killed(tmp_path: Path, state: str) -> None:
    (tmp_path / "podman").write_text('#!/bin/sh\nwhile [ "$1" != sh ]; do shift; done; exec "$@"\n')
    (tmp_path / "podman").chmod(0o755)
    status = tmp_path / "status-2.json"
    status.write_text('{"state":"started","rc":null}\n')
    line = f"exec {container_words('podman', 'localhost/saxs:1', BINDS, FOLDER)} sleep 60"
    with subprocess.Popen(["bash", "-c", line], cwd=tmp_path, env={
            "PATH": f"{tmp_path}:/usr/bin:/bin", "BEAMSIDE_FOLDER": str(tmp_path), "BEAMSIDE_STEM": "-2"}) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2.5)
        status.write_text(f'{{"state":"{state}","rc":null}}\n')
        assert process.wait(20) == 143


def test_that_graphics_processors_are_shown_only_when_they_were_asked_for() -> None:
    assert "--nv" in container_words("apptainer", IMAGE, BINDS, FOLDER, gpus=True).split()
    assert "--nv" not in container_words("apptainer", IMAGE, BINDS, FOLDER).split()
    assert "gpu" in container_words("podman", "saxs:1", BINDS, FOLDER, gpus=True)


@pytest.mark.parametrize("name", ["it's", 'a"b', "$(touch owned)", "`touch owned`", "a b", "-n", "a;touch owned", "é%",
                                  "x" * 200, "a&&b", "*", "~", "#SBATCH"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_that_a_name_is_never_program_text(tmp_path: Path, runtime: str, name: str) -> None:
    folder = PurePosixPath("/data") / name
    binds = job_binds(folder, PurePosixPath("/home") / name, [PurePosixPath("/mnt") / name / "scan.h5"])
    image = f"/img/{name}" + (".tar" if runtime == "podman" else "")
    if container_problem(runtime, image, binds, folder):
        assert runtime != "ch-run"
        return
    (tmp_path / runtime).write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / runtime).chmod(0o755)
    line = container_words(runtime, image, binds, folder) + " python3 run.py parameters.json"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tmp_path, timeout=20, check=False,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert image in done.stdout
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
