"""The demo facility starts, keeps its things together, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import UsageError
from app.facility.leftovers import MARK
from app.facility.options import Options
from app.facility.state import StateFolder, write_private
from tests.peers.demo_facility import DemoFacility, running_facility

linux_only = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


def processes_of(state: str) -> list[int]:
    """Everything with the facility's mark, and the facility itself."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                told = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if state.encode() in told:
                found.append(int(entry.name))
    return found


def wait_until(what: str, met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def sbatch(facility: DemoFacility, body: str, *options: str) -> str:
    done = subprocess.run([f"{facility.addresses['bin']}/sbatch", "--parsable", "-D", str(facility.home), *options],
                          input=f"#!/bin/sh\n{body}\n", capture_output=True, text=True, check=True, timeout=30,
                          env={"PATH": "/usr/bin:/bin", MARK: facility.addresses["state"]})
    return done.stdout.strip()


def sacct(facility: DemoFacility, number: str) -> str:
    done = subprocess.run([f"{facility.addresses['bin']}/sacct", "-nXP", "-j", number, "-o", "State,ExitCode"],
                          capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def test_that_the_first_line_names_a_profile_with_the_addresses(demo_facility: DemoFacility) -> None:
    profile = tomllib.loads(demo_facility.profile.read_text(encoding="utf-8"))
    told = demo_facility.addresses
    assert (profile["schema"], profile["name"]) == (1, "demo")
    assert profile["identity"]["issuer"] == told["issuer"]
    assert profile["ssh"]["port"] == told["ssh_port"]
    assert profile["ssh"]["host_keys"] == [told["host_key"]]
    assert profile["ssh"]["certificate_authority"] == {"kind": "conch", "url": told["ca"], "ca_file": told["ca_file"]}
    assert profile["batch"]["system"] == "slurm"


def test_that_what_it_keeps_is_private(demo_facility: DemoFacility) -> None:
    state = Path(demo_facility.addresses["state"])
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    for secret in (state / "pin", state / "demo.toml", *(state / "keys").iterdir()):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600, secret


@linux_only
def test_that_it_listens_on_loopback_only(demo_facility: DemoFacility) -> None:
    inodes = {os.readlink(f)[8:-1] for f in Path(f"/proc/{demo_facility.process.pid}/fd").iterdir()
              if os.readlink(f).startswith("socket:")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                listening.append(words[1].split(":")[0])
    assert listening == ["0100007F"] * 3


@linux_only
def test_that_stopping_leaves_no_process_and_no_temporary_folder() -> None:
    with running_facility() as facility:
        state = facility.addresses["state"]
        sbatch(facility, "setsid sleep 300 & sleep 300")
        wait_until("the job runs", lambda: len(processes_of(state)) >= 4)
    assert facility.process.returncode == 0
    assert processes_of(state) == []
    assert not Path(state).exists()


@linux_only
def test_that_an_interrupt_stops_it_too() -> None:
    with running_facility() as facility:
        facility.process.send_signal(signal.SIGINT)
        assert facility.process.wait(20) == 0
    assert not Path(facility.addresses["state"]).exists()


@linux_only
def test_that_it_stops_with_whoever_holds_its_standard_input() -> None:
    process = subprocess.Popen([sys.executable, "-m", "app.facility", "--option", "data=small", "--until-input-closes"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()
    assert not Path(told["state"]).exists()


@linux_only
def test_that_after_a_crash_the_next_start_knows_the_jobs_and_ends_what_was_left(tmp_path: Path) -> None:
    with running_facility(tmp_path / "s") as facility:
        done = sbatch(facility, "exit 4")
        wait_until("first ended", lambda: sacct(facility, done) == "FAILED|4:0")
        lost = sbatch(facility, "setsid sleep 300 & sleep 300")
        waiting = sbatch(facility, "echo later > later.txt", "-d", f"afterany:{lost}")
        wait_until("second runs", lambda: sacct(facility, lost).startswith("RUNNING"))
        before = facility.addresses
        facility.process.kill()
        facility.process.wait(10)
    with running_facility(tmp_path / "s") as facility:
        assert sacct(facility, done) == "FAILED|4:0"
        assert sacct(facility, lost).startswith("NODE_FAIL")
        wait_until("third ran", lambda: sacct(facility, waiting) == "COMPLETED|0:0")
        assert (facility.home / "later.txt").read_text() == "later\n"
        assert facility.addresses["host_key"] == before["host_key"]
        assert facility.addresses["issuer"] == before["issuer"]
    assert processes_of(str(tmp_path / "s")) == []


def test_that_a_second_facility_in_the_same_folder_is_refused_in_one_sentence(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path / "s"), StateFolder(tmp_path / "s")
    first.open()
    with pytest.raises(UsageError, match="already running"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_that_the_refused_one_does_the_running_one_no_harm(demo_facility: DemoFacility) -> None:
    state = demo_facility.addresses["state"]
    before = {p.name for p in Path(state).iterdir()} | {p.name for p in (Path(state) / "batch").iterdir()}
    done = subprocess.run([sys.executable, "-m", "app.facility", "--state", state], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 2
    assert "already running" in done.stderr
    after = {p.name for p in Path(state).iterdir()} | {p.name for p in (Path(state) / "batch").iterdir()}
    assert after == before


def test_that_a_private_file_is_private_from_its_first_moment(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("old")
    write_private(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_that_options_are_read_by_kind() -> None:
    options = Options.parse(["pathless=true", "code-lifetime-s=3", "slots=1", "data=small"])
    assert (options.pathless, options.code_lifetime_s, options.slots, options.data) == (True, 3.0, 1, "small")


@pytest.mark.parametrize("pair", ["colour=red", "slots=many", "slots=0", "pathless=perhaps", "data=huge", "slots",
                                  "access_lifetime_s=nan"])
def test_that_a_wrong_option_is_one_sentence(pair: str) -> None:
    with pytest.raises(UsageError):
        Options.parse([pair])


def test_that_the_command_line_tells_a_wrong_option_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-m", "app.facility", "--option", "slots=many"], capture_output=True,
                          text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "“many” is not a number (option slots).\n"
