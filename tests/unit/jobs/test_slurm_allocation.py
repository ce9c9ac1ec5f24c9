"""The words in which an allocation is asked for, entered and looked at; what they do is tried on a real Slurm."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.errors import SubmissionRefusedError
from app.model.jobs import Resources
from app.model.site import AgentSettings, BatchSettings, SiteProfile, SshSettings
from app.remote.allocation import Allocation
from app.remote.scheduler.slurm_allocation import keeper_script, parse_steps, step_argv


def test_that_the_keeper_asks_for_one_node_and_is_a_valid_script() -> None:
    script = keeper_script(Resources("gpu", "mx1", 60, 8, 2048), "beamside-agent-1", 600)
    for line in ("--job-name=beamside-agent-1", "--nodes=1", "--ntasks=1", "--partition=gpu", "--account=mx1",
                 "--time=60", "--cpus-per-task=8", "--mem=2048M"):
        assert f"#SBATCH {line}\n" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0


def test_that_the_keeper_ends_when_nobody_shares_its_lock(tmp_path: Path) -> None:
    script = keeper_script(Resources(), "beamside-agent-1", 2).replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(["sh"], input=script, text=True, env={"SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin"},
                          timeout=30, check=False)
    assert done.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_that_the_keeper_does_not_take_a_folder_that_somebody_else_made(tmp_path: Path) -> None:
    (tmp_path / "beamside-7").mkdir()
    script = keeper_script(Resources(), "beamside-agent-1", 2).replace("/tmp/", f"{tmp_path}/")
    done = subprocess.run(["sh"], input=script, text=True, env={"SLURM_JOB_ID": "7", "PATH": "/usr/bin:/bin"},
                          stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 1
    assert (tmp_path / "beamside-7").is_dir()


@pytest.mark.parametrize("job", ["", "7;rm", "-1", "7.0"])
def test_that_only_numbers_are_jobs(job: str) -> None:
    with pytest.raises(ValueError, match="not a Slurm job id"):
        step_argv(job, 4, "--threads")


def test_that_only_numbered_steps_are_programs() -> None:
    assert parse_steps("12.batch\n12.extern\n12.0\n12.3\n\nnoise\n") == 2
    assert parse_steps("") == 0


def test_that_names_are_checked_before_they_are_written() -> None:
    with pytest.raises(SubmissionRefusedError):
        keeper_script(Resources(partition="a b"), "beamside-agent-1", 600)


def test_that_an_allocation_is_named_after_this_computer_and_asks_for_what_the_profile_says() -> None:
    profile = SiteProfile("x", ssh=SshSettings("h"), batch=BatchSettings("slurm", ("gpu", "cpu"), "mx1"),
                          agent=AgentSettings(run="batch", workers=3, memory_mb=1000, cores=8, time_min=0))
    one, other = Allocation(profile, print), Allocation(profile, print)
    assert one.name == other.name
    assert one.name.startswith("beamside-agent-")
    assert one._resources == Resources("gpu", "mx1", None, 8, 4000)
    assert one.job == ""
