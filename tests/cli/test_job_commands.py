"""``submit`` with all its wishes, ``hold``, ``release``, ``resubmit``, ``job`` with its parts, at the demo facility."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.commands.job_text import job_json, job_line
from app.model.jobs import Job, JobKind, JobPart, JobState
from app.recipes.catalogue import shipped_recipes
from tests.cli.running import checked_error
from tests.peers.commands import Commands
from tests.peers.demo_facility import DemoFacility, running_facility
from tests.peers.need import need_module

SPHERES = "data/visitor/sc5678/saxs/20261112/RAW_DATA/spheres/spheres_0001"


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), minute_s=2) as demo:
        yield demo


@pytest.fixture
def ada(facility: DemoFacility, tmp_path: Path) -> Commands:
    robot = facility.robot()
    commands = Commands(tmp_path / "ada", lambda code: robot.approve(code.verification_uri, code.user_code))
    commands.ok("sites", "add", str(facility.profile))
    return commands


def submit(facility: DemoFacility, *more: str) -> list[str]:
    file = facility.data.parent / f"{SPHERES}.nxs"
    return ["submit", "azimuthal-integration", f"demo:{file}", "--set", f"poni={file.with_suffix('.poni')}",
            "--set", "npt=50", "--set", "frames=0:2", *more]


def test_that_a_job_is_held_released_chained_and_repeated(facility: DemoFacility, ada: Commands) -> None:
    first = ada.ok(*submit(facility, "--hold", "--name", "the first", "--time", "60"))
    assert (first["state"], first["name"]) == ("held", "the first")
    second = ada.ok(*submit(facility, "--after", first["id"], "--time", "60"))
    assert second["after"] == [first["id"]]
    assert ada.ok("job", f"demo:{second['id']}")["state"] in ("queued", "held")
    held = ada.ok("hold", f"demo:{second['id']}")
    assert held["state"] == "held"
    code, value = ada.run("hold", f"demo:{first['id']}")
    assert code == 6
    checked_error(code, value)
    assert ada.ok("release", f"demo:{second['id']}")["state"] in ("queued", "held")
    assert ada.ok("release", f"demo:{first['id']}")["state"] in ("queued", "running", "completed")
    again = ada.ok("resubmit", f"demo:{first['id']}", "--set", "npt=70", "--time", "60", "--wait")
    assert again["state"] == "completed"
    assert again["id"] != first["id"]
    plot = ada.ok("tree", again["outputs"][0].partition("::")[0])
    shapes = {tuple(node["shape"]) for node in plot["nodes"] if node.get("shape")}
    assert any(70 in shape for shape in shapes), "the value that was changed"
    assert ada.ok("job", f"demo:{second['id']}")["state"] in ("queued", "running", "completed")


def test_that_a_series_of_images_is_analysed_by_the_name_it_is_shown_with(
        facility: DemoFacility, ada: Commands) -> None:
    fabio = need_module("fabio")
    scan = facility.data.parent / f"{SPHERES}.nxs"
    folder = scan.parent / "as images"
    folder.mkdir()
    with h5py.File(scan) as file, h5py.File(folder / "plain.h5", "w") as plain:
        plain["data"] = file["entry/instrument/detector/data"][:3]
        for number, frame in enumerate(plain["data"], 9):
            fabio.edfimage.EdfImage(data=frame).write(str(folder / f"scan_{number}.edf"))
    series = f"demo:{folder}/scan_#.edf"
    assert 3 in {node["shape"][0] for node in ada.ok("tree", series)["nodes"] if node.get("shape")}
    wanted = ["--set", f"poni={scan.with_suffix('.poni')}", "--set", "npt=50"]
    job = ada.ok("submit", "azimuthal-integration", series, *wanted, "--wait")
    assert job["state"] == "completed"
    whole = ada.ok("submit", "azimuthal-integration", f"demo:{folder}/plain.h5::/data", *wanted, "--wait")
    curves = []
    for output in (job["outputs"][0], whole["outputs"][0]):
        with h5py.File(output.removeprefix("demo:").partition("::")[0]) as file:
            curves.append(file["entry/reduced/I"][()])
    np.testing.assert_array_equal(*curves)


def test_that_the_wishes_are_seen_before_anything_is_created(facility: DemoFacility, ada: Commands) -> None:
    draft = ada.ok(*submit(facility, "--dry-run", "--time", "7", "--tasks", "2"))
    assert draft["steps"][0]["tasks"] == 2
    assert draft["steps"][0]["time_limit_min"] == 7
    assert draft["warnings"] == []
    assert draft["parameters"]["npt"] == 50
    code, value = ada.run(*submit(facility, "--after", "demo:20200101-000000-none"))
    assert (code, checked_error(code, value)["kind"]) == (6, "unknown_job")


def test_that_data_that_does_not_fit_is_told_before_it_is_handed_in(facility: DemoFacility, ada: Commands) -> None:
    scan = facility.data.parent / f"{SPHERES}.nxs"
    tomo = scan.with_name("turned.nxs")
    with h5py.File(tomo, "w") as out:
        out["entry/data"] = np.zeros((5, 4, 4), np.uint16)
        out["entry/definition"] = "NXtomo"
        out["entry"].attrs["NX_class"] = "NXentry"
    argv = ["submit", "azimuthal-integration", f"demo:{tomo}::/entry/data", "--dry-run"]
    ada.ok(*submit(facility, "--dry-run"))
    assert not [told for told in warnings(ada) if "does not take" in told or "poni=" in told]
    code, value = ada.run(*argv)
    assert code != 0
    assert value["error"]["summary"].startswith("Give a PONI file, or set “Sample-detector distance”, “Beam centre, ")
    assert [told for told in warnings(ada) if "does not take NXtomo data" in told]
    calibration = scan.with_suffix(".poni")
    assert [told for told in warnings(ada) if told.endswith(f"is not used; add: --set poni={calibration}")]


def test_that_a_range_beyond_the_data_is_told_before_it_is_handed_in(facility: DemoFacility, ada: Commands) -> None:
    ada.ok(*submit(facility, "--dry-run", "--set", "frames=0:2"))
    assert not [told for told in warnings(ada) if told.startswith("The data has")]
    ada.ok(*submit(facility, "--dry-run", "--set", "frames=4:4000"))
    assert [told for told in warnings(ada) if told.startswith("The data has ") and "of “4:4000”, 4 to " in told]


def test_that_a_value_without_effect_is_told_and_not_kept_as_used(facility: DemoFacility, ada: Commands) -> None:
    draft = ada.ok(*submit(facility, "--dry-run"))
    assert not [told for told in warnings(ada) if "is not used: " in told], "what nobody set is not worth a word"
    draft = ada.ok(*submit(facility, "--dry-run", "--set", "beam_x=300", "--set", "npt_azimuth=90"))
    said = warnings(ada)
    assert "“Beam centre, horizontal” (beam_x) is not used: decided by the PONI file." in said
    assert "“Azimuthal points of a cake” (npt_azimuth) is not used: only where “Integrate to” is “2-D cakes”." in said
    assert (draft["parameters"]["beam_x"], draft["parameters"]["npt_azimuth"]) == (None, None)
    assert draft["parameters"]["npt"] == 50


def test_that_missing_software_is_told_before_a_job_is_handed_in(facility: DemoFacility, tmp_path: Path) -> None:
    whole = warned(facility, tmp_path / "whole", facility.profile)
    assert not [told for told in whole if "would probably fail" in told]
    profile = tmp_path / "demo.toml"
    lines = ['saxs = "python3() { command python3 -I -S \\"$@\\"; }"' if line.startswith("saxs = ") else line
             for line in facility.profile.read_text().splitlines()]
    assert "-I -S" in "\n".join(lines)
    profile.write_text("\n".join(lines))
    said = [told for told in warned(facility, tmp_path / "bare", profile) if "would probably fail" in told]
    assert len(said) == 1
    assert said[0].startswith("A job would probably fail: pyFAI, ")


def warned(facility: DemoFacility, home: Path, profile: Path) -> list[str]:
    robot = facility.robot()
    user = Commands(home, lambda code: robot.approve(code.verification_uri, code.user_code))
    user.ok("sites", "add", str(profile))
    user.ok(*submit(facility, "--dry-run"))
    return warnings(user)


def warnings(user: Commands) -> list[str]:
    return [event["summary"] for event in user.events if event.get("event") == "warning"]


def test_that_the_work_is_divided_by_the_number_of_frames(facility: DemoFacility, ada: Commands) -> None:
    file = facility.data.parent / f"{SPHERES}.nxs"
    many = file.with_name("many_frames.h5")
    with h5py.File(many, "w") as out:
        out["data"] = np.zeros((4500, 4, 4), np.uint16)
    draft = ada.ok("submit", "azimuthal-integration", f"demo:{many}::/data", "--set",
                   f"poni={file.with_suffix('.poni')}", "--dry-run")
    assert [(step["name"], step["tasks"]) for step in draft["steps"]] == [("integrate", 3), ("merge", 0)]


def test_that_a_part_and_its_log_are_named(facility: DemoFacility, ada: Commands) -> None:
    job = ada.ok(*submit(facility, "--tasks", "2", "--time", "60", "--wait"))
    told = ada.ok("job", f"demo:{job['id']}", "--details")
    assert job["state"] == "completed"
    assert {(part["step"], part["task"]) for part in told["parts"]} >= {("integrate", 1), ("integrate", 2)}
    assert all(part["state"] == "completed" for part in told["parts"])
    assert (told["ours"], told["kind"]) == (True, "run")
    assert {"memory_mb", "node", "partition", "progress", "last_lines"} <= set(told)
    log = ada.ok("job", f"demo:{job['id']}", "--step", "integrate", "--task", "2")["log"]
    assert isinstance(log, str)
    code, value = ada.run("job", f"demo:{job['id']}", "--step", "nowhere")
    assert (code, checked_error(code, value)["kind"]) == (2, "usage")


def test_that_a_job_object_says_only_what_there_is_to_say() -> None:
    plain = Job("j1", "far", "n", "reduce", "1.0", JobState.QUEUED, "7")
    assert set(job_json(plain)) == set(plain.as_json())
    by_hand = Job("9", "far", "script.sh", "", "", JobState.RUNNING, "9", ours=False)
    assert job_json(by_hand)["ours"] is False
    assert "started by hand" in job_line(by_hand)
    trial = Job("j2", "far", "n", "reduce", "1.0", JobState.RUNNING, kind=JobKind.TRIAL,
                parts=(JobPart("a", 1, JobState.FAILED, reason="exit code 7"), JobPart("a", 2, JobState.RUNNING)))
    value = job_json(trial)
    assert (value["kind"], value["parts"][0]["reason"], value["parts"][1]["task"]) == ("trial", "exit code 7", 2)
    assert "[1 failed, 1 running]" in job_line(trial)
    assert "trial of reduce 1.0  running" in job_line(trial)
    failed = replace(trial, state=JobState.FAILED, last_lines=("Traceback:", "The mask has 3 × 4 \x1b[2Jpixels."))
    assert job_line(failed).endswith("\n  The mask has 3 × 4 \\x1b[2Jpixels."), "the sentence says what to mend"
    assert "mask" not in job_line(replace(failed, state=JobState.RUNNING))
    assert "a.1  failed: exit code 7" in job_line(trial, parts=True)


def test_that_only_the_tasks_that_failed_run_again_and_the_result_is_whole(
        facility: DemoFacility, ada: Commands) -> None:
    scan = facility.data.parent / f"{SPHERES}.nxs"
    broken = scan.with_name("broken.h5")
    with h5py.File(scan) as source:
        frames = np.random.default_rng(1).poisson(9.0, (4, *source["entry/data/data"].shape[1:])).astype(np.uint32)
    with h5py.File(broken, "w") as out:
        data = out.create_dataset("data", data=frames, chunks=(1, *frames.shape[1:]), compression="gzip")
        _, whole = data.id.read_direct_chunk((3, 0, 0))
        data.id.write_direct_chunk((3, 0, 0), b"this is no frame")
    argv = ["submit", "azimuthal-integration", f"demo:{broken}::/data", "--set", f"poni={scan.with_suffix('.poni')}",
            "--set", "npt=50", "--set", "strict=true", "--tasks", "4", "--time", "60", "--wait"]
    code, half = ada.run(*argv)
    assert (code, half["state"]) == (6, "failed")
    assert [part["state"] for part in half["parts"]] == ["completed"] * 3 + ["failed", "cancelled"]
    code, value = ada.run("resubmit", f"demo:{half['id']}", "--failed", "--set", "npt=60")
    assert (code, checked_error(code, value)["kind"]) == (2, "usage")
    with h5py.File(broken, "r+") as out:
        out["data"].id.write_direct_chunk((3, 0, 0), whole)
    draft = ada.ok("resubmit", f"demo:{half['id']}", "--failed", "--dry-run", "--time", "30")
    assert [(step["name"], step["tasks"], step.get("only")) for step in draft["steps"]] == [
        ("integrate", 4, [4]), ("merge", 0, None)]
    assert draft["steps"][0]["time_limit_min"] == 30
    done = ada.ok("resubmit", f"demo:{half['id']}", "--failed", "--time", "60", "--wait")
    assert (done["state"], done["rest_of"]) == ("completed", half["id"])
    assert [(part["step"], part["task"]) for part in done["parts"]] == [("integrate", 4), ("merge", None)]
    at_once = ada.ok(*argv)
    with h5py.File(result_of(done)) as one, h5py.File(result_of(at_once)) as other:
        for name in ("I", "I_errors", "q", "frame"):
            np.testing.assert_array_equal(one[f"entry/reduced/{name}"][()], other[f"entry/reduced/{name}"][()])
    code, value = ada.run("resubmit", f"demo:{done['id']}", "--failed")
    assert "no failed parts beside completed ones" in checked_error(code, value)["summary"]


def result_of(job: dict[str, Any]) -> Path:
    return Path(job["outputs"][0].partition("::")[0].removeprefix("demo:"))


def test_that_submitting_again_warns_as_the_form_does(facility: DemoFacility, ada: Commands) -> None:
    job = ada.ok(*submit(facility, "--hold"))
    ada.ok("cancel", f"demo:{job['id']}")
    folder = Path(job["folder"])
    told = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps({**told, "version": "0.9"}))
    asked = json.loads((folder / "parameters.json").read_text())
    asked["parameters"] |= {"splines": 3, "unit": "furlong"}
    (folder / "parameters.json").write_text(json.dumps(asked))
    draft = ada.ok("resubmit", f"demo:{job['id']}", "--set", "poni=", "--set", "frames=0:99999", "--dry-run")
    assert draft["parameters"]["unit"] == "q_nm^-1"
    said = warnings(ada)
    version = shipped_recipes()["azimuthal-integration"].version
    assert f"Made with version 0.9, this is {version}: new parameters have their defaults." in said
    assert "Not known to this version and left out: splines." in said
    assert "No longer a value that is taken, so the default is there: Radial unit." in said
    assert [text for text in said if "lies beside the data and is not used" in text]
    assert [text for text in said if "“0:99999”" in text], "a range beyond the data"


def test_that_data_that_is_of_no_use_is_refused_unless_it_is_wanted_anyway(facility: DemoFacility,
                                                                          ada: Commands) -> None:
    folder = (facility.data.parent / f"{SPHERES}.nxs").parent
    line, cut = folder / "line.h5", folder / "cut.h5"
    with h5py.File(line, "w") as out:
        out["exchange/data"] = np.zeros(5, np.uint16)
    cut.write_bytes((facility.data.parent / f"{SPHERES}.nxs").read_bytes()[:100_000])
    for file, words in ((f"{line}::/exchange/data", "takes data of at least 2 dimensions; this has 1."),
                        (str(cut), "is shorter than it says it should be, as after an interrupted copy.")):
        argv = ["submit", "azimuthal-integration", f"demo:{file}", "--dry-run"]
        code, value = ada.run(*argv)
        error = checked_error(code, value)
        assert (code, words in error["summary"], "--anyway" in error["remedy"]) == (3, True, True), error
        ada.ok(*argv, "--anyway")
        assert [told for told in warnings(ada) if words in told]
