"""The one-machine facility is what the other system tests take it for."""

from __future__ import annotations

import subprocess
import time

from tests.peers.slurm import SlurmFacility


def ssh(site: SlurmFacility, user: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-F", "none", "-p", str(site.port), "-i", str(site.key(user)), "-o", "IdentitiesOnly=yes",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
         f"{user}@{site.host}", *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=240,
        check=False)


def job_ran(site: SlurmFacility) -> bool:
    user = site.users[0]
    done = ssh(site, user, "srun --partition=debug --time=1 id -un")
    return (done.stdout.strip(), done.returncode) == (user, 0)


def test_that_a_visitor_can_submit_over_ssh_and_accounting_keeps_the_end(slurm: SlurmFacility) -> None:
    assert job_ran(slurm)
    deadline = time.monotonic() + 120
    while "COMPLETED" not in ssh(slurm, slurm.users[0], "sacct -nX -o State").stdout:
        assert time.monotonic() < deadline, slurm.logs()


def test_that_without_accounting_sacct_says_so(slurm_without_accounting: SlurmFacility) -> None:
    assert job_ran(slurm_without_accounting)
    past = ssh(slurm_without_accounting, slurm_without_accounting.users[0], "sacct -nX -o State")
    assert past.returncode != 0
    assert "disabled" in past.stderr


def test_that_each_visitor_has_only_their_own_key(slurm: SlurmFacility) -> None:
    first, second = slurm.users
    assert ssh(slurm, first, "pwd").stdout.strip() == str(slurm.home(first))
    refused = subprocess.run(
        ["ssh", "-F", "none", "-p", str(slurm.port), "-i", str(slurm.key(first)), "-o", "IdentitiesOnly=yes",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
         f"{second}@{slurm.host}", "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
        check=False)
    assert "Permission denied" in refused.stderr
