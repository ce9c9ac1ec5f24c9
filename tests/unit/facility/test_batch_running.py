"""What the batch contract cannot ask of every system: memory limits, slots, a closed cluster, no accounting."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.peers.demo_facility import DemoFacility, running_facility

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")


def ask(facility: DemoFacility, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([f"{facility.addresses['bin']}/{argv[0]}", *argv[1:]], input=stdin, capture_output=True,
                          text=True, cwd=facility.home, timeout=60, check=False)


def submit(facility: DemoFacility, body: str, *options: str) -> str:
    done = ask(facility, "sbatch", "--parsable", *options, stdin=f"#!/bin/sh\n{body}\n")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def state(facility: DemoFacility, number: str, fields: str = "State") -> str:
    return ask(facility, "sacct", "-nXP", "-j", number, "-o", fields).stdout.strip()


def wait_for_state(facility: DemoFacility, number: str, wanted: str) -> None:
    deadline = time.monotonic() + 30
    while not (found := state(facility, number)).startswith(wanted):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


@linux_only
def test_that_too_much_memory_ends_a_job_with_out_of_memory(demo_facility: DemoFacility) -> None:
    python = f"{demo_facility.addresses['bin']}/python3"
    number = submit(demo_facility, f"{python} -c 'import time; x = bytearray(300 << 20); time.sleep(60)'", "--mem=100",
                    "-t", "5", "-o", "memory.txt")
    wait_for_state(demo_facility, number, "OUT_OF_MEMORY")
    assert state(demo_facility, number, "ExitCode") == "0:125"
    assert "OOM Killed" in (demo_facility.home / "memory.txt").read_text()


def test_that_a_job_waits_for_a_free_slot_with_its_reason(demo_facility: DemoFacility) -> None:
    slots = ask(demo_facility, "sinfo", "-h", "-p", "demo", "-o", "%c").stdout.strip()
    first = submit(demo_facility, "sleep 60", "-c", slots, "-t", "50")
    second = submit(demo_facility, "true", "-c", slots)
    third = submit(demo_facility, "true")
    rows = ask(demo_facility, "squeue", "-h", "-j", f"{first},{second},{third}", "-o", "%i %T %r").stdout.splitlines()
    assert set(rows) == {f"{first} RUNNING None", f"{second} PENDING Resources", f"{third} PENDING Priority"}
    assert ask(demo_facility, "sinfo", "-h", "-p", "demo", "-o", "%t").stdout.strip() == "alloc"
    ask(demo_facility, "scancel", first)
    wait_for_state(demo_facility, third, "COMPLETED")


def test_that_a_job_whose_output_cannot_be_written_fails_as_slurms_does(demo_facility: DemoFacility) -> None:
    number = submit(demo_facility, "true", "-o", "/no/such/folder/out.txt")
    wait_for_state(demo_facility, number, "FAILED")
    assert state(demo_facility, number, "ExitCode") == "0:53"


def test_that_a_missing_interpreter_is_named(demo_facility: DemoFacility) -> None:
    done = ask(demo_facility, "sbatch", "--parsable", "-o", "interpreter.txt", stdin="#!/no/such/shell\ntrue\n")
    wait_for_state(demo_facility, done.stdout.strip(), "FAILED")
    assert "/no/such/shell" in (demo_facility.home / "interpreter.txt").read_text()


def test_that_what_a_script_leaves_in_the_background_ends_with_it(demo_facility: DemoFacility) -> None:
    number = submit(demo_facility, "sleep 300 & echo $! > left.txt", "-t", "50")
    wait_for_state(demo_facility, number, "COMPLETED")
    left = Path("/proc") / (demo_facility.home / "left.txt").read_text().strip()
    deadline = time.monotonic() + 10
    while left.exists() and "Z" not in (left / "stat").read_text().split(")")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_that_waiting_for_a_job_returns_its_exit_code(demo_facility: DemoFacility) -> None:
    assert ask(demo_facility, "sbatch", "--wait", stdin="#!/bin/sh\nexit 5\n").returncode == 5


def test_that_a_script_is_private_and_gone_when_the_job_has_ended(demo_facility: DemoFacility) -> None:
    spool = Path(demo_facility.addresses["state"]) / "batch" / "spool"
    number = submit(demo_facility, "true")
    wait_for_state(demo_facility, number, "COMPLETED")
    assert not (spool / f"job{int(number):05d}").exists()


def test_that_without_jobs_the_partitions_are_down_and_nothing_starts() -> None:
    with running_facility(jobs=False, accounting=False) as facility:
        assert ask(facility, "sinfo", "-h", "-p", "demo", "-o", "%a").stdout == "down\n"
        number = submit(facility, "true")
        row = ask(facility, "squeue", "-h", "-j", number, "-o", "%T %r").stdout
        assert row == "PENDING PartitionDown\n"
        done = ask(facility, "sacct", "-n")
        assert (done.returncode, done.stderr) == (1, "Slurm accounting storage is disabled\n")


def test_that_a_command_without_its_batch_system_says_so() -> None:
    with running_facility() as facility:
        address = Path(facility.addresses["state"]) / "batch" / "address"
        address.unlink()
        done = ask(facility, "squeue", "-h")
    assert done.returncode == 1
    assert done.stderr == "squeue: error: Unable to contact slurm controller (connect failure)\n"
