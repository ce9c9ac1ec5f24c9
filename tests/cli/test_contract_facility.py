"""``facility start``, and every command that talks to a facility, over SSH with a sign-in by device code."""

from __future__ import annotations

import json
import os
import signal
import tomllib
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401   # the demo's data are compressed with its filters
import numpy as np
import pytest

from tests.cli.running import Shell, checked_error
from tests.peers.commands import Commands
from tests.peers.demo_facility import DemoFacility, running_facility

JOB_KEYS = {"id", "site", "scheduler_id", "name", "recipe", "version", "state", "reason", "exit_code", "signal",
            "submitted", "started", "ended", "folder", "outputs", "as_of"}
SPHERES = "data/visitor/sc5678/saxs/20261112/RAW_DATA/spheres/spheres_0001"


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), minute_s=2) as demo:
        yield demo


@pytest.fixture
def ada(facility: DemoFacility, tmp_path: Path) -> Commands:
    """A user at a computer that has been told of the facility."""
    robot = facility.robot()
    commands = Commands(tmp_path / "ada", lambda code: robot.approve(code.verification_uri, code.user_code))
    commands.ok("sites", "add", str(facility.profile))
    return commands


def remote(facility: DemoFacility, name: str) -> str:
    return "demo:" + str(facility.data.parent / name)


def test_that_the_facility_tells_its_addresses_and_stops_on_sigterm(shell: Shell, tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = shell.start("facility", "start", "--state", str(state), "--option", "data=small")
    assert process.stdout is not None
    line = process.stdout.readline()
    told = json.loads(line)
    profile = Path(told["profile"])
    assert tomllib.loads(profile.read_text(encoding="utf-8"))["name"]
    assert state in profile.parents
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out == b""
    assert b"Traceback" not in err
    assert not mentioning(str(state))


def mentioning(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) != os.getpid() and text.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_that_data_are_read_over_ssh_as_they_are_there(facility: DemoFacility, ada: Commands, tmp_path: Path) -> None:
    file = facility.data.parent / f"{SPHERES}.nxs"
    listing = ada.ok("ls", remote(facility, SPHERES.rpartition("/")[0]))
    assert {e["name"] for e in listing["entries"]} == {p.name for p in file.parent.iterdir()}
    code = next(e for e in ada.events if e.get("event") == "device_code")
    assert {"user_code", "verification_uri", "verification_uri_complete", "expires_at", "site"} <= set(code)
    texts = " ".join(e.get("text", "") for e in ada.events)
    assert "keyring" in texts, "without a keyring it says that the sign-in is for this command only"
    assert not [e for e in ada.events if e["event"] == "text"], "only JSON lines on standard error"
    local, there = (ada.ok("plot", target) for target in (str(file), f"demo:{file}"))
    assert local == there
    nodes = ada.ok("tree", f"demo:{file}")
    assert nodes["nodes"] == ada.ok("tree", str(file))["nodes"]
    out = tmp_path / "o.npy"
    value = ada.ok("get", f"demo:{file}::{there['signal']}", "--select", "-1,::2,:", "-o", str(out))
    with h5py.File(file) as h5:
        expected = h5[there["signal"]][-1, ::2]
    assert np.array_equal(np.load(out), expected)
    assert value["sum"] == int(expected.sum(dtype="u8"))
    assert 0 < value["bytes_received"] < expected.nbytes * 2


def test_that_paths_at_the_facility_start_in_the_home_directory(facility: DemoFacility, ada: Commands) -> None:
    (facility.home / "mine").mkdir(exist_ok=True)
    for target in ("demo:", "demo:~"):
        value = ada.ok("ls", target)
        assert "mine" in {e["name"] for e in value["entries"]}, target
    code, value = ada.run("tree", "demo:mine/nothing.h5")
    assert checked_error(code, value)["kind"] == "not_found"
    assert code == 3


def test_that_a_refused_code_is_a_sign_in_error(facility: DemoFacility, tmp_path: Path) -> None:
    robot = facility.robot("ben")
    commands = Commands(tmp_path, lambda code: robot.refuse(code.verification_uri, code.user_code))
    commands.ok("sites", "add", str(facility.profile))
    code, value = commands.run("sign-in", "demo")
    assert (code, checked_error(code, value)["kind"]) == (5, "sign_in_refused")


def test_that_unknown_host_keys_need_their_fingerprint(facility: DemoFacility, ada: Commands, tmp_path: Path) -> None:
    lines = facility.profile.read_text(encoding="utf-8").replace('name = "demo"', 'name = "unsure"').splitlines()
    profile = tmp_path / "unsure.toml"
    profile.write_text("\n".join(line for line in lines if not line.startswith("host_keys")), encoding="utf-8")
    ada.ok("sites", "add", str(profile))
    code, value = ada.run("ls", "unsure:")
    error = checked_error(code, value)
    assert (code, error["kind"]) == (4, "host_key_unknown")
    fingerprint = next(word.strip(".,“”") for word in " ".join(error.values()).split() if word.startswith("SHA256:"))
    another = fingerprint[:-1] + ("A" if fingerprint[-1] != "A" else "B")
    code, value = ada.run("ls", "unsure:", "--accept-host-key", another)
    assert code == 4
    ada.ok("ls", "unsure:", "--accept-host-key", fingerprint)


def test_that_a_job_runs_and_its_result_opens(facility: DemoFacility, ada: Commands) -> None:
    file = facility.data.parent / f"{SPHERES}.nxs"
    argv = ["submit", "azimuthal-integration", f"demo:{file}", "--set", f"poni={file.with_suffix('.poni')}",
            "--set", "npt=50", "--set", "frames=0:2", "--time", "10"]
    draft = ada.ok(*argv, "--dry-run")
    assert draft["state"] == "created"
    assert "#SBATCH" in draft["script"] or "pyFAI" in draft["script"] or draft["script"].startswith("#!")
    assert len(ada.codes) == 1
    job = ada.ok(*argv, "--wait")
    assert set(job) == JOB_KEYS
    assert (job["state"], job["exit_code"], job["site"]) == ("completed", 0, "demo")
    assert job["recipe"] == "azimuthal-integration"
    assert job["submitted"] <= job["started"] <= job["ended"]
    assert [e["state"] for e in ada.events if e.get("event") == "job_state"]
    again = ada.ok("job", f"demo:{job['id']}", "--log")
    assert set(again) == JOB_KEYS | {"log"}
    assert (again["state"], again["outputs"], again["folder"]) == ("completed", job["outputs"], job["folder"])
    assert [j["id"] for j in ada.ok("jobs")["jobs"]] == [job["id"]]
    plot = ada.ok("plot", job["outputs"][0])
    assert (plot["view"], plot["errors"] is not None, plot["x_scale"], plot["y_scale"]) == ("curve", True, "log", "log")


def test_that_the_batch_system_says_no_in_a_sentence(facility: DemoFacility, ada: Commands) -> None:
    file = facility.data.parent / f"{SPHERES}.nxs"
    argv = ["submit", "azimuthal-integration", f"demo:{file}", "--set", f"poni={file.with_suffix('.poni')}"]
    code, value = ada.run(*argv, "--partition", "no-such-partition")
    error = checked_error(code, value)
    assert (code, error["kind"]) == (6, "submission_refused")
    assert "partition" in (error["summary"] + error["detail"]).lower()
    code, value = ada.run("job", "demo:20200101-000000-none")
    assert (code, checked_error(code, value)["kind"]) == (6, "unknown_job")


def test_that_a_job_is_cancelled(facility: DemoFacility, ada: Commands) -> None:
    file = facility.data.parent / f"{SPHERES}.nxs"
    job = ada.ok("submit", "azimuthal-integration", f"demo:{file}", "--set", f"poni={file.with_suffix('.poni')}",
                 "--set", "npt=100000", "--set", "splitting=full")
    assert job["state"] in ("queued", "running", "held")
    assert job["scheduler_id"]
    cancelled = ada.ok("cancel", job["id"])
    assert set(cancelled) == JOB_KEYS
    state = cancelled["state"]
    for _ in range(5):
        if state in ("cancelled", "completed"):
            break
        state = ada.ok("job", f"demo:{job['id']}")["state"]
    assert state == "cancelled"


def test_that_the_browser_of_this_computer_does_as_well(facility: DemoFacility, tmp_path: Path) -> None:
    robot = facility.robot()
    commands = Commands(tmp_path, lambda _code: pytest.fail("no code was wanted"), robot.sign_in)
    commands.ok("sites", "add", str(facility.profile))
    value = commands.ok("sign-in", "demo", "--browser")
    assert set(value) == {"site", "issuer", "subject", "name", "email", "expires_at", "kept"}
    assert value["subject"] == "ada"
    page = next(event for event in commands.events if event["event"] == "browser")
    assert set(page) >= {"site", "url", "opened"}
    assert page["url"].startswith(value["issuer"])


def test_that_the_two_ways_exclude_each_other(shell: Shell) -> None:
    assert shell("sign-in", "local", "--browser", "--code", "--json").code == 2


def test_that_signing_out_everywhere_leads_to_the_providers_page(facility: DemoFacility, ada: Commands) -> None:
    ada.ok("sign-in", "demo", "--code")
    value = ada.ok("sign-out", "demo", "--everywhere")
    assert set(value) >= {"site", "signed_out", "sites", "revoked", "page"}
    assert value["sites"] == ["demo"]
    assert value["page"].endswith("/logout?client_id=beamside")
    assert ada.ok("sign-out", "demo")["page"] == ""


def test_that_ctrl_c_while_a_code_is_shown_is_130(facility: DemoFacility, shell: Shell) -> None:
    assert shell("sites", "add", str(facility.profile), "--json").code == 0
    process = shell.start("sign-in", "demo", "--json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line)["event"] == "device_code":
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert checked_error(130, json.loads(out))["kind"] == "cancelled"
    assert b"Traceback" not in err
