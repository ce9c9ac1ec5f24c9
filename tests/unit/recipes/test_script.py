"""The batch script runs as bash runs it, leaves its own record and takes nothing from the user as program text."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path, PurePosixPath

import pytest

from app.recipes.script import job_script

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the job script is for bash")
_HOSTILE = ["it's", 'a"b', "$(touch owned)", "`touch owned`", "a b", "-n", "a;touch owned", "é % \\", "x\ny"]


def make_job(folder: Path, program: str, setup: tuple[str, ...] = (), environment: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(program)
    (folder / "parameters.json").write_text("{}")
    script = folder / "job.sh"
    script.write_text(job_script("#SBATCH --nodes=1\n", PurePosixPath(folder), setup, environment))
    return script


def run(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=30, check=False,
                          env={**os.environ, "SLURM_JOB_ID": "42"}, cwd=script.parent)


@pytest.mark.parametrize(("program", "code"), [("pass", 0), ("import sys; sys.exit(7)", 7), ("syntax error", 1)])
def test_that_the_status_file_tells_the_programs_own_exit_code(tmp_path: Path, program: str, code: int) -> None:
    assert run(make_job(tmp_path, program)).returncode == code
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["rc"], status["scheduler_id"]) == ("ended", code, "42")
    assert status["started"] <= status["ended"]
    assert status["host"]


def test_that_a_running_job_says_started_and_a_terminated_one_143(tmp_path: Path) -> None:
    script = make_job(tmp_path, "import time, pathlib; pathlib.Path('here').touch(); time.sleep(60)")
    with subprocess.Popen(["bash", str(script)], cwd=tmp_path) as process:
        wait_for(tmp_path / "here")
        assert json.loads((tmp_path / "status.json").read_text())["state"] == "started"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == 143


@pytest.mark.parametrize("name", _HOSTILE)
def test_that_a_folders_name_is_never_program_text(tmp_path: Path, name: str) -> None:
    script = make_job(tmp_path / name, "open('done', 'w')")
    assert run(script).returncode == 0
    assert (tmp_path / name / "done").exists()
    assert not list(tmp_path.rglob("owned"))


def test_that_the_sites_lines_come_before_the_program_and_may_fail_loudly(tmp_path: Path) -> None:
    script = make_job(tmp_path, "import os; print(os.environ['MODULE'], os.environ['OMP_NUM_THREADS'])",
                      ("export MODULE=loaded",), "export OMP_NUM_THREADS=3")
    assert run(script).stdout.split() == ["loaded", "3"]


def test_that_an_exit_in_the_sites_lines_is_recorded(tmp_path: Path) -> None:
    assert run(make_job(tmp_path, "pass", ("exit 9",))).returncode == 9
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == 9


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
