"""The batch script runs as bash runs it, leaves its own record and takes nothing from the user as program text."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from app.recipes.script import Earlier, StepScript
from app.remote.scheduler.slurm import Slurm
from tests.peers.need import need_program

need_program("bash")
_VARIABLES = Slurm.variables
_HOSTILE = ["it's", 'a"b', "$(touch owned)", "`touch owned`", "a b", "-n", "a;touch owned", "é % \\", "x\ny"]


def make_job(folder: Path, program: str, setup: tuple[str, ...] = (), environment: str = "", **more: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(program)
    (folder / "parameters.json").write_text("{}")
    script = folder / "job.sh"
    step = StepScript("#SBATCH --nodes=1\n", PurePosixPath(folder), variables=_VARIABLES, setup=setup,
                      environment=environment, **more)
    script.write_text(step.text())
    return script


def run(script: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=120, check=False,
                          start_new_session=True, env={**os.environ, "SLURM_JOB_ID": "42", **environment},
                          cwd=script.parent)


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
        assert process.wait(120) == 143
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == 143


_V1 = {"cgroup": "4:memory:/slurm_n1/uid_7/job_3/step_batch/task_0\n0::/\n",
       "memory/slurm_n1/uid_7/job_3/step_batch/task_0/memory.limit_in_bytes": "9223372036854771712",
       "memory/slurm_n1/uid_7/job_3/step_batch/task_0/memory.max_usage_in_bytes": "104636416",
       "memory/slurm_n1/uid_7/job_3/step_batch/task_0/memory.oom_control": "under_oom 0\noom_kill 2",
       "memory/slurm_n1/uid_7/job_3/memory.limit_in_bytes": "104857600",
       "memory/slurm_n1/uid_7/job_3/memory.max_usage_in_bytes": "104857600"}
_V2 = {"cgroup": "0::/system.slice/slurmstepd.scope/job_3/step_batch/user/task_0\n",
       "system.slice/slurmstepd.scope/job_3/step_batch/user/task_0/memory.events": "max 9\noom 0\noom_kill 1",
       "system.slice/slurmstepd.scope/job_3/memory.events": "max 9\noom 1\noom_kill 1"}
_SPARE = {"memory/slurm_n1/uid_7/job_3/memory.max_usage_in_bytes": "50000000",
          "memory/slurm_n1/uid_7/job_3/step_batch/task_0/memory.max_usage_in_bytes": "50000000"}


@pytest.mark.parametrize(("files", "code", "kills"), [
    (_V1, 137, 2), (_V2, 137, 1), (_V1, 1, 2), (_V1, 0, 0), ({}, 137, 0),
    ({**_V1, **_SPARE}, 137, 0),        # the whole machine was short of memory
    ({**_V2, "system.slice/slurmstepd.scope/job_3/memory.events": "max 0\noom 0\noom_kill 1"}, 137, 0),
    ({**_V1, "cgroup": "4:memory:/user.slice\n0::/user.slice\n"}, 137, 0)])     # not the job's own group
def test_that_what_the_kernel_killed_at_the_memory_limit_is_counted(tmp_path: Path, files: dict[str, str], code: int,
                                                                    kills: int) -> None:
    """On real Slurm with v1: tests/system/test_slurm_admin.py."""
    for name, text in files.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(text + "\n")
    script = make_job(tmp_path / "job", f"import os; os._exit({code})")
    script.write_text(script.read_text().replace("/proc/self/cgroup", f"{tmp_path}/sys/cgroup")
                      .replace("/sys/fs/cgroup", f"{tmp_path}/sys"))
    done = run(script)
    assert (done.returncode, done.stderr) == (code, "")
    status = json.loads((tmp_path / "job" / "status.json").read_text())
    assert (status["rc"], status["oom_kills"]) == (code, kills)


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


BROKEN = "The environment “broken” could not be set up: its line “{}” {}.\n"


@pytest.mark.parametrize(("line", "code", "did"), [
    ("nosuchmodule load nothere/1.0", 127, "ended with exit code 127"), ("echo before; (exit 3)", 3, ""),
    ("set -e; false; true; (exit 4)", 4, ""), ("set -eu; (exit 5)", 5, ""), ("false # done", 1, ""),
    ("echo 'it''s' \"$(echo a)\" '\\\\'; false", 1, ""), ("exit 7", 7, ""), ("exit 0", 1, "ended the shell"),
    ("trap : TERM; eval false", 1, "")])
def test_that_a_job_ends_where_its_environment_cannot_be_set_up(tmp_path: Path, line: str, code: int, did: str) -> None:
    """It would run on with whatever python3 is found without it."""
    script = make_job(tmp_path, "open('done', 'w')", ("false",), line, environment_name="broken")
    ran = run(script)
    assert (ran.returncode, (tmp_path / "done").exists()) == (code, False)
    assert ran.stderr.endswith(BROKEN.format(line, did or f"ended with exit code {code}")), ran.stderr
    assert ran.stderr.count("could not be set up") == 1
    assert ("before" in ran.stdout) is ("before" in line), "what the line printed is in the log"
    status = json.loads((tmp_path / "status.json").read_text())
    assert (status["state"], status["rc"]) == ("ended", code)


@pytest.mark.parametrize("line", ["if", "echo 'open", "echo $(", "}", "f() {", "cat <<END; )"])
def test_that_a_line_that_is_no_program_text_ends_the_job_and_nothing_else(tmp_path: Path, line: str) -> None:
    script = make_job(tmp_path, "open('done', 'w')", (), line, environment_name="bro'ken")
    ran = run(script)
    assert (ran.returncode != 0, (tmp_path / "done").exists()) == (True, False)
    assert f"The environment “bro'ken” could not be set up: its line “{line}” ended with exit code" in ran.stderr
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == ran.returncode


@pytest.mark.parametrize("name", _HOSTILE)
def test_that_what_is_said_of_an_environment_is_never_program_text(tmp_path: Path, name: str) -> None:
    script = make_job(tmp_path, "pass", (), f"false {shlex.quote(name)}\nfalse", environment_name=name)
    ran = run(script)
    assert ran.returncode == 1
    (told,) = [told for told in ran.stderr.splitlines() if "could not be set up" in told]
    assert told.startswith("The environment “")
    assert told.endswith("false” ended with exit code 1.")
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize("line", ["set -eu; true", "module() { set -u; false; true; }; module load x", "false || true",
                                  "set -- a b c", "true &", "cd /"])
def test_that_what_an_environment_sets_in_the_shell_is_no_failure(tmp_path: Path, line: str) -> None:
    """Neither is the status of the lines for every job, nor what they set."""
    program = "import os, sys; open('done', 'w'); sys.exit(7)"
    ran = run(make_job(tmp_path, program, ("false", "set -u"), f"X=$UNSET_BY_ANYBODY; {line}"))
    assert ((tmp_path / "done").exists(), ran.returncode, ran.stderr) == (True, 7, "")
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == 7


def test_that_a_job_that_is_told_to_end_while_it_is_set_up_says_only_that(tmp_path: Path) -> None:
    script = make_job(tmp_path, "pass", (), "touch here; sleep 60 & wait", environment_name="slow")
    with subprocess.Popen(["bash", str(script)], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        wait_for(tmp_path / "here")
        os.killpg(process.pid, signal.SIGTERM)
        told = process.communicate(timeout=20)[1]
    assert (process.returncode, "could not be set up" in told) == (143, False)


def test_that_the_program_sees_which_part_of_the_job_it_is(tmp_path: Path) -> None:
    program = ("import os, json; told = {k: v for k, v in os.environ.items() if k.startswith('BEAMSIDE_')}\n"
               "told.pop('BEAMSIDE_TEST_RUN', None); told.pop('BEAMSIDE_DATA', None); print(json.dumps(told))")
    seen = json.loads(run(make_job(tmp_path, program, name="reduce", stem="-2", tasks=4), SLURM_ARRAY_TASK_ID="3",
                          SLURM_ARRAY_JOB_ID="40", SLURM_CPUS_PER_TASK="5").stdout)
    assert seen == {"BEAMSIDE_FOLDER": str(tmp_path), "BEAMSIDE_STEP": "reduce", "BEAMSIDE_STEM": "-2.3",
                    "BEAMSIDE_TASK": "3", "BEAMSIDE_TASKS": "4", "BEAMSIDE_JOB_ID": "40", "BEAMSIDE_CPUS": "5",
                    "BEAMSIDE_IMAGE": ""}
    assert json.loads((tmp_path / "status-2.3.json").read_text())["rc"] == 0
    alone = json.loads(run(make_job(tmp_path / "alone", program)).stdout)
    assert (alone["BEAMSIDE_TASK"], alone["BEAMSIDE_TASKS"], alone["BEAMSIDE_STEP"]) == ("", "1", "run")


def test_that_a_job_measures_its_memory_and_writes_down_what_it_ran_with(tmp_path: Path) -> None:
    program = ("import json, pathlib, time; block = b'x' * 150_000_000; usage = pathlib.Path('usage.json')\n"
               "while not usage.exists() or json.loads(usage.read_text())['most_mb'] < 150: time.sleep(0.1)")
    assert run(make_job(tmp_path, program)).returncode == 0
    assert 150 <= json.loads((tmp_path / "usage.json").read_text())["most_mb"] < 300
    record = json.loads((tmp_path / "environment.json").read_text())
    assert record["python"]["version"].count(".") == 2
    listing = ("import json; from importlib.metadata import distributions as found\n"
               "print(json.dumps(sorted({d.metadata['Name'] for d in found()})))")
    names = subprocess.run(["python3", "-c", listing], capture_output=True, text=True, check=True)
    assert sorted(record["packages"]) == json.loads(names.stdout)
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_that_only_the_first_task_writes_down_what_it_ran_with(tmp_path: Path) -> None:
    run(make_job(tmp_path, "pass", tasks=2), SLURM_ARRAY_TASK_ID="2")
    assert not (tmp_path / "environment.json").exists()
    run(make_job(tmp_path, "pass", tasks=2), SLURM_ARRAY_TASK_ID="1")
    assert (tmp_path / "environment.json").exists()


@pytest.mark.parametrize("sign", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
def test_that_a_warning_to_all_processes_of_a_job_leaves_the_program_time_to_clean_up(tmp_path: Path,
                                                                                     sign: signal.Signals) -> None:
    """As Grid Engine sends it; a program that knows nothing of it would be ended by it at once."""
    script = make_job(tmp_path, "import os, pathlib, signal, sys, time\n"
                      "signal.signal(signal.SIGTERM, lambda *_: sys.exit(pathlib.Path('cleaned').touch() or 0))\n"
                      "pathlib.Path('here').touch(); time.sleep(60)")
    with subprocess.Popen(["bash", str(script)], cwd=tmp_path, start_new_session=True) as process:
        wait_for(tmp_path / "here")
        os.killpg(process.pid, sign)
        assert process.wait(120) == 143
    assert (tmp_path / "cleaned").exists()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_that_a_warning_before_the_end_lets_the_program_finish_and_is_recorded(tmp_path: Path,
                                                                             sign: signal.Signals) -> None:
    program = ("import pathlib, signal, sys, time\n"
               "def end(*_): pathlib.Path('tidy').touch(); sys.exit(0)\n"
               "signal.signal(signal.SIGTERM, end); pathlib.Path('here').touch(); time.sleep(60)")
    with subprocess.Popen(["bash", str(make_job(tmp_path, program))], cwd=tmp_path) as process:
        wait_for(tmp_path / "here")
        process.send_signal(sign)
        assert process.wait(120) == 143
    assert (tmp_path / "tidy").exists()
    assert json.loads((tmp_path / "status.json").read_text())["rc"] == 143


def test_that_a_killed_job_that_was_told_to_end_says_so(tmp_path: Path) -> None:
    program = ("import pathlib, signal, time\n"
               "signal.signal(signal.SIGTERM, lambda *_: None); pathlib.Path('here').touch()\n"
               "while True: time.sleep(1)")
    with subprocess.Popen(["bash", str(make_job(tmp_path, program))], cwd=tmp_path, start_new_session=True) as process:
        wait_for(tmp_path / "here")
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 20
        while json.loads((tmp_path / "status.json").read_text())["state"] != "stopping":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "stopping"


@pytest.mark.parametrize(("states", "code"), [(("ended,0", "ended,0"), 0), (("ended,0", "ended,7"), 1)])
def test_that_a_step_looks_itself_whether_the_one_before_succeeded(tmp_path: Path, states: tuple[str, ...],
                                                                  code: int) -> None:
    for task, text in enumerate(states, 1):
        state, rc = text.split(",")
        (tmp_path / f"status.{task}.json").write_text(f'{{"state":"{state}","rc":{rc},"started":1}}')
    script = make_job(tmp_path, "open('done', 'w')", stem="-2",
                      earlier=(Earlier(PurePosixPath(tmp_path), "", len(states), "the step “it's 1”"),))
    ran = run(script)
    assert (ran.returncode, (tmp_path / "done").exists()) == (code, code == 0)
    assert json.loads((tmp_path / "status-2.json").read_text())["rc"] == code
    assert ran.stderr == ("" if code == 0 else
                          "This step was not run, since the step “it's 1” before it did not succeed.\n")


def test_that_the_program_runs_inside_the_container(tmp_path: Path) -> None:
    script = make_job(tmp_path, "import os; print(os.environ['INSIDE'])", container="env 'INSIDE=a b'", image="/img")
    assert run(script).stdout == "a b\n"
    assert json.loads((tmp_path / "environment.json").read_text())["image"] == "/img"


def test_that_a_folder_that_is_gone_ends_the_job(tmp_path: Path) -> None:
    script = make_job(tmp_path / "job", "pass")
    elsewhere = tmp_path / "job.sh"
    elsewhere.write_text(script.read_text())
    shutil.rmtree(tmp_path / "job")
    assert run(elsewhere).returncode == 1


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_that_nothing_of_a_script_that_was_killed_stays(tmp_path: Path, shell: str) -> None:
    script = make_job(tmp_path, "import pathlib, time; pathlib.Path('here').touch(); time.sleep(600)")
    text = script.read_text()
    assert text.count("beamside_pause=1 ") == 1
    script.write_text(text.replace("beamside_pause=1 ", "beamside_pause=600 "))     # as long after its first look
    with subprocess.Popen([shell, str(script)], cwd=tmp_path, start_new_session=True,
                          env={**os.environ, "SLURM_JOB_ID": "42"}) as process:
        wait_for(tmp_path / "here")
        wait_for(tmp_path / "usage.json")
        assert any("sleep" in words for words in session_of(process.pid).values()), "it is sampled"
        process.kill()
        process.wait(120)
        left = {pid: words for pid, words in session_of(process.pid).items() if "run.py" not in words}
        try:
            deadline = time.monotonic() + 60
            while left:
                assert time.monotonic() < deadline, left
                left = {pid: words for pid, words in session_of(process.pid).items() if "run.py" not in words}
                time.sleep(0.05)
        finally:
            for pid in session_of(process.pid):
                os.kill(pid, signal.SIGKILL)


def session_of(leader: int) -> dict[int, str]:
    """The processes of a session and their command lines."""
    out = subprocess.run(["ps", "-o", "pid=,args=", "-s", str(leader)], capture_output=True, text=True, check=False)
    lines = [line.split(None, 1) for line in out.stdout.splitlines()]
    return {int(pid): words for pid, words in lines if "<defunct>" not in words}
