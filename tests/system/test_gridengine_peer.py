"""The one-machine Grid Engine is what the other system tests take it for."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.peers.gridengine import GridFacility


def ssh(site: GridFacility, user: str, command: str, key_of: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh", "-F", "none", "-p", str(site.port), "-i", str(site.key(key_of or user)), "-o", "IdentitiesOnly=yes",
         "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
         "-o", "LogLevel=ERROR", f"{user}@{site.host}", command], capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=60, check=False)


def wait_for(site: GridFacility, what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"{what} never came\n{site.logs()}"
        time.sleep(0.2)


def submitted(site: GridFacility, body: str, *options: str) -> str:
    user = site.users[0]
    done = site.run("qsub", "-terse", "-S", "/bin/sh", "-o", "/dev/null", "-j", "y", *options, user=user, stdin=body)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().partition(".")[0]


def test_that_a_visitor_can_submit_over_ssh_and_the_accounting_keeps_the_end(gridengine: GridFacility) -> None:
    user = gridengine.users[0]
    done = ssh(gridengine, user, "echo 'id -un >who.txt; exit 7' | qsub -terse -cwd -S /bin/sh -o /dev/null -j y")
    assert done.returncode == 0, done.stderr
    number = done.stdout.strip()
    wait_for(gridengine, "the end", lambda: "exit_status  7" in ssh(gridengine, user, f"qacct -j {number}").stdout)
    assert ssh(gridengine, user, "cat who.txt").stdout == f"{user}\n"


def test_that_each_visitor_has_only_their_own_key(gridengine: GridFacility) -> None:
    first, second = gridengine.users
    assert ssh(gridengine, first, "pwd").stdout.strip() == str(gridengine.home(first))
    assert "Permission denied" in ssh(gridengine, second, "true", key_of=first).stderr


def test_that_grid_engine_listens_in_its_own_namespace_only(gridengine: GridFacility) -> None:
    inside = gridengine.run("ss", "-ltn").stdout
    assert ":6444 " in inside
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 6444), 2).close()


def test_that_memory_is_shared_out_and_limits_are_kept(gridengine: GridFacility) -> None:
    number = submitted(gridengine, "sleep 60", "-l", "h_rt=1,h_vmem=2G")
    user = gridengine.users[0]
    wait_for(gridengine, "the time limit", lambda: "failed       37" in gridengine.run("qacct", "-j", number).stdout)
    greedy = submitted(gridengine, "true", "-l", "h_vmem=9G")
    wait_for(gridengine, "a reason",
             lambda: "because it offers only" in gridengine.run("qstat", "-j", greedy, user=user).stdout)
    gridengine.run("qdel", greedy, user=user)


def test_that_the_master_can_be_stopped_and_comes_back_with_its_jobs(gridengine: GridFacility) -> None:
    user = gridengine.users[0]
    number = submitted(gridengine, "sleep 60", "-h")
    with gridengine.master_away():
        assert gridengine.run("qstat", user=user).returncode != 0
    assert f"<JB_job_number>{number}<" in gridengine.run("qstat", "-xml", user=user).stdout
    gridengine.run("qdel", number, user=user)
