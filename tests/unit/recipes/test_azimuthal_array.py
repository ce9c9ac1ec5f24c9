"""Many tasks give what one gives, to the last bit; previews, text files, unreadable frames, and every fault told."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from tests.peers.need import need_module, need_root
from tests.peers.small_disk import small_disk
from tests.unit.recipes.azimuthal import SHAPE, Work, frames, nxmx, stack_file, write_poni

need_module("pyFAI", "of the extra “recipes”")

ONLY_OF_THE_RUN = ("date", "start_time", "end_time", "tasks")


def contents(path: Path) -> dict[str, Any]:
    """Every data set and attribute of a file, those that tell time and tasks left out."""
    found: dict[str, Any] = {}

    def note(name: str, node: Any) -> None:
        for key, value in node.attrs.items():
            found[f"{name}@{key}"] = value
        if isinstance(node, h5py.Dataset) and name.rpartition("/")[2] not in ONLY_OF_THE_RUN:
            found[name] = node[()]

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def same_files(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert sorted(one) == sorted(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("values", [
    {}, {"average": "groups", "group_size": 4, "outliers": 2.0}, {"azimuth": "-30:30,60:90"},
    {"integration": "2d", "npt_azimuth": 12, "average": "all"},
])
def test_that_many_tasks_give_the_same_file_as_one(work: Work, tmp_path: Path, poni: Path,
                                                   values: dict[str, Any]) -> None:
    inputs = [str(nxmx(tmp_path / f"scan{n}.h5", frames(6))) for n in (1, 2)]
    values = {"poni": str(poni), "npt": 80, "background": [str(tmp_path / "dark.h5")], **values}
    stack_file(tmp_path / "dark.h5", frames(2))
    assert work.run(inputs, values).returncode == 0
    alone = contents(work.folder / "result.h5")
    texts = {p.name: p.read_bytes() for p in work.folder.glob("dat/*")}
    (work.folder / "result.h5").unlink()
    work.run_as_array(inputs, values, 5)
    same_files(alone, contents(work.folder / "result.h5"))
    for name, text in texts.items():
        lines = zip(text.splitlines(), (work.folder / "dat" / name).read_bytes().splitlines(), strict=True)
        assert all(a == b for a, b in lines if not a.startswith(b"# date"))
    with h5py.File(work.folder / "result.h5") as file:
        assert file["entry/process/tasks"][()] == 5
    assert not (work.folder / "parts").exists()
    assert not list(work.folder.glob("preview*"))


def test_that_a_missing_part_is_told(work: Work, tmp_path: Path, poni: Path) -> None:
    path, values = str(stack_file(tmp_path / "a.h5", frames(6))), {"poni": str(poni), "npt": 50}
    for number in (1, 3):
        done = work.run([path], values, BEAMSIDE_STEP="integrate", BEAMSIDE_TASK=str(number), BEAMSIDE_TASKS="3")
        assert done.returncode == 0
    done = work.run([path], values, BEAMSIDE_STEP="merge")
    assert (done.returncode, done.stderr.strip()) == (
        1, "The result cannot be put together: 1 of 3 parts are missing (the first is 2); run the job again.")
    assert not (work.folder / "result.h5").exists()


def test_that_parts_of_an_input_that_grew_meanwhile_are_not_put_together(work: Work, tmp_path: Path,
                                                                         poni: Path) -> None:
    values = {"poni": str(poni), "npt": 50}
    for number, count in ((1, 4), (2, 6)):
        path = str(stack_file(tmp_path / "a.h5", frames(count)))
        done = work.run([path], values, BEAMSIDE_STEP="integrate", BEAMSIDE_TASK=str(number), BEAMSIDE_TASKS="2")
        assert done.returncode == 0
    done = work.run([path], values, BEAMSIDE_STEP="merge")
    assert (done.returncode, done.stderr.strip()) == (
        1, ("The result cannot be put together: frames were added to the input while its parts were made; run the "
            "whole job again."))
    assert not (work.folder / "result.h5").exists()


def test_that_more_tasks_than_frames_do_no_harm(work: Work, tmp_path: Path, poni: Path) -> None:
    path = str(stack_file(tmp_path / "a.h5", frames(2)))
    work.run_as_array([path], {"poni": str(poni), "npt": 50}, 4)
    assert work.result()["frame"].tolist() == [0, 1]


def test_that_the_preview_is_the_mean_of_the_frames_so_far(work: Work, tmp_path: Path, poni: Path) -> None:
    path, values = str(stack_file(tmp_path / "a.h5", frames(6))), {"poni": str(poni), "npt": 50}
    done = work.run([path], values, BEAMSIDE_STEP="integrate", BEAMSIDE_STEM=".1", BEAMSIDE_TASK="1",
                    BEAMSIDE_TASKS="2")
    assert done.returncode == 0
    said = json.loads((work.folder / "progress.1.json").read_text())
    assert (said["done"], said["total"], said["unit"]) == (3, 3, "frames")
    assert said["preview"] == "preview.1.h5::/entry/running"
    with h5py.File(work.folder / "preview.1.h5") as file, h5py.File(work.folder / "parts/part-00001.h5") as part:
        group = file["entry/running"]
        assert (group.attrs["signal"], list(group.attrs["axes"])) == ("I", ["q"])
        assert group["title"][()].decode() == "Mean of the first 1 frames"
        np.testing.assert_array_equal(group["I"][()], part["entry/frames/I"][0])


# -- Text files -------------------------------------------------------------------------------------------------------

def test_that_a_text_file_has_three_columns_and_a_header_that_says_everything(work: Work, tmp_path: Path,
                                                                             poni: Path) -> None:
    path = stack_file(tmp_path / "my scan.h5", frames(3), I0=np.array([1.0, 2, 4]))
    done = work.run([str(path)], {"poni": str(poni), "npt": 50, "monitor": "/I0", "frames": "1:"})
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(work.folder / "dat")) == ["my_scan_00001.dat", "my_scan_00002.dat"]
    text = (work.folder / "dat" / "my_scan_00002.dat").read_text()
    header = [line for line in text.splitlines() if line.startswith("#")]
    got, table = work.result(), np.loadtxt(work.folder / "dat" / "my_scan_00002.dat")
    there = np.isfinite(got["I"][1])
    np.testing.assert_allclose(table, np.stack([got["q"], got["I"][1], got["I_errors"][1]], axis=1)[there], rtol=1e-8)
    np.testing.assert_array_equal(table[:, 1].astype(np.float32), got["I"][1][there])
    for wanted in (f"# input: {path}", "# frame: 2", "# normalization_factor: 4", "# monitor: /I0", "# geometry: {",
                   "# recipe: azimuthal-integration 2.0, job 20261122-100000-abcdef", "# columns: q (1/nm)  I  error"):
        assert any(line.startswith(wanted) for line in header), wanted
    parameters = next(line for line in header if line.startswith("# parameters: "))
    assert json.loads(parameters[len("# parameters: "):])["npt"] == 50


def test_that_few_curves_are_files_and_many_one_archive_if_asked_for(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = np.repeat(frames(1), 101, axis=0)
    path, values = str(stack_file(tmp_path / "a.h5", stack)), {"poni": str(poni), "npt": 20}
    assert work.run([path], values).returncode == 0
    assert not (work.folder / "dat").exists()
    assert work.run([path], {**values, "dat": "yes"}).returncode == 0
    with zipfile.ZipFile(work.folder / "dat.zip") as archive:
        assert len(archive.namelist()) == 101
        assert archive.read("a_00100.dat").startswith(b"# Azimuthal integration of ")
    assert work.run([path], {**values, "average": "all", "error_model": "none"}).returncode == 0
    assert np.loadtxt(work.folder / "dat" / "a.dat").shape[1] == 3      # the error of the mean
    assert work.run([path], {**values, "frames": "0", "dat": "no"}).returncode == 0


def test_that_inputs_of_one_name_and_sectors_have_names_of_their_own(work: Work, tmp_path: Path, poni: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        stack_file(tmp_path / folder / "a.h5", frames(1))
    done = work.run([str(tmp_path / f / "a.h5") for f in ("one", "two")],
                    {"poni": str(poni), "npt": 20, "azimuth": "0:20,40:60"})
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(work.folder / "dat")) == [
        "a_00000_sector1.dat", "a_00000_sector2.dat", "a_2_00000_sector1.dat", "a_2_00000_sector2.dat"]
    assert "# azimuth: 40 to 60 deg\n" in (work.folder / "dat" / "a_00000_sector2.dat").read_text()


# -- What goes wrong --------------------------------------------------------------------------------------------------

def broken_stack(path: Path, count: int, bad: tuple[int, ...]) -> Path:
    """Bitshuffled frames some chunks of which are damaged."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("data", data=frames(count), chunks=(1, *SHAPE), **hdf5plugin.Bitshuffle())
        places = [data.id.get_chunk_info(n) for n in bad]
    with open(path, "r+b") as raw:
        for place in places:
            raw.seek(place.byte_offset)
            raw.write(b"\xff" * place.size)
    return path


def test_that_a_damaged_frame_is_left_out_named_and_the_others_are_reduced(work: Work, tmp_path: Path,
                                                                          poni: Path) -> None:
    path, values = str(broken_stack(tmp_path / "a.h5", 5, (2, 4))), {"poni": str(poni), "npt": 50, "average": "all"}
    done = work.run([path], values)
    assert done.returncode == 0, done.stderr
    with h5py.File(work.folder / "result.h5") as file:
        assert file["entry/process/unreadable_frames"][()].tolist() == [2, 4]
        each, used = file["entry/frames/I"][()], file["entry/reduced/frames_used"][()]
    assert np.isnan(each[[2, 4]]).all()
    assert np.isfinite(each[[0, 1, 3]]).any(axis=1).all()
    assert used.max() == 3
    alone = contents(work.folder / "result.h5")
    (work.folder / "result.h5").unlink()
    work.run_as_array([path], values, 5)
    same_files(alone, contents(work.folder / "result.h5"))


def test_that_a_damaged_frame_is_named_when_it_has_to_stop_the_job_or_none_is_left(work: Work, tmp_path: Path,
                                                                                  poni: Path) -> None:
    path = str(broken_stack(tmp_path / "a.h5", 3, (1,)))
    assert f"Frame 1 of {path} cannot be read" in work.fault([path], {"poni": str(poni), "npt": 50, "strict": True})
    assert f"Frame 1 of {path} cannot be read" in work.fault([path], {"poni": str(poni), "npt": 50, "frames": "1"})


def test_that_each_further_fault_is_one_sentence(work: Work, tmp_path: Path, poni: Path) -> None:
    path = str(stack_file(tmp_path / "a.h5", frames(4), I0=np.array([1.0, 0, 0, 1]), short=np.ones(3),
                          far=np.array([1.0, 2, 3, np.nan])))
    np.save(tmp_path / "small.npy", np.ones((3, 4)))
    np.save(tmp_path / "ones.npy", np.ones(SHAPE))
    np.save(tmp_path / "zeros.npy", np.zeros(SHAPE))
    other = write_poni(tmp_path / "other.poni")
    other.write_text(other.read_text().replace("[120, 160]", "[130, 160]"))
    (tmp_path / "notes.txt").write_text("not a geometry\n")
    far = nxmx(tmp_path / "far.h5", frames(2))
    with h5py.File(far, "a") as file:
        del file["entry/instrument/detector/distance"].attrs["units"]
    assert "far.h5 says a distance of 1500 m, which may lack its unit: set the distance" in work.fault([str(far)], {})
    for values, said in (
            ({"poni": str(tmp_path / "notes.txt")}, "{}/notes.txt says no detector and no pixel size"),
            ({"poni": str(tmp_path / "notes.txt"), "npt": None, "energy": 12}, "notes.txt says no detector"),
            ({"dark": [str(tmp_path / "small.npy")]}, "The dark {}/small.npy has 3 × 4 pixels, but the frames"),
            ({"flat": [str(tmp_path / "small.npy")]}, "The flat field {}/small.npy has 3 × 4 pixels"),
            ({"flat": [str(tmp_path / "zeros.npy")]}, "leaves no pixel"),
            ({"mask": str(tmp_path / "ones.npy")}, "The mask {0}/ones.npy leaves no pixel of {0}/a.h5: check"),
            ({"mask": str(tmp_path / "gone.npy")}, "The mask {}/gone.npy cannot be read"),
            ({"dark": [str(tmp_path / "gone.h5")]}, "The dark cannot be used: the input {}/gone.h5 is not there."),
            ({"background": [str(tmp_path / "gone.h5")]}, "The background cannot be used: The input {}/gone.h5"),
            ({"poni": str(other)}, "The PONI file is for frames of 130 × 160 pixels, but those of"),
            ({"poni": str(tmp_path / "gone.poni")}, "The PONI file {}/gone.poni is not there."),
            ({"poni": str(write_poni(tmp_path / "dark.poni", ""))}, "does not say the wavelength or energy: set one"),
            ({"poni": str(tmp_path / "dark.poni"), "energy": 12, "wavelength": 2, "energy_here": True},
             "contradict each other"),
            ({"poni": None, "wavelength": 1.0, "distance": 1.0}, ("does not say the beam centre (beam_x) and"
             " the beam centre (beam_y) and the pixel size (pixel_size): give a PONI file or set it.")),
            ({"monitor": "/I0"}, "The monitor /I0 is 0 at frame 1 and of 1 more frames of"),
            ({"monitor": "/far"}, "The monitor /far is nan at frame 3"),
            ({"monitor": "/short"}, "The monitor /short has 3 values, but {}/a.h5 has 4 frames."),
            ({"monitor": "/nothing"}, "The monitor /nothing is not in {}/a.h5"),
            ({"monitor": "auto"}, "{}/a.h5 has no NXmonitor group"),
            ({"transmission_data": "/I0"}, "The transmission of frame 1 of {}/a.h5 is 0"),
            ({"azimuth": "-100:200"}, "crosses both 0° and 180°: divide it into two."),
            ({"azimuth": "30:30"}, "The azimuthal range “30:30” is empty: write the smaller angle first"),
            ({"azimuth": "0:10,20:30", "integration": "2d"}, "A cake has one azimuthal range"),
            ({"frames": "7:9"}, "select nothing of the 4 frames"),
            ({"background": [str(tmp_path / "a.h5")], "background_frames": "9"}, "do not fit the 4 frames"),
    ):
        told = work.fault([path], {"poni": str(poni), "npt": 50, **values})
        assert said.format(tmp_path) in told
        assert told.endswith(".")


def test_that_a_zero_monitor_of_a_frame_that_is_not_chosen_does_not_matter(work: Work, tmp_path: Path,
                                                                          poni: Path) -> None:
    path = str(stack_file(tmp_path / "a.h5", frames(4), I0=np.array([1.0, 0, 0, 2])))
    assert work.run([path], {"poni": str(poni), "npt": 50, "monitor": "/I0", "frames": "::3"}).returncode == 0
    assert work.result()["normalization_factor"].tolist() == [1, 2]


def test_that_a_full_disk_is_one_sentence_and_leaves_no_result(tmp_path: Path, poni: Path) -> None:
    need_root("a small disk")
    stack = np.repeat(frames(1), 40, axis=0)
    path = str(stack_file(tmp_path / "a.h5", stack))
    with small_disk(tmp_path / "disk", kib=600) as disk:
        work = Work(disk)
        done = work.run_alone([path], {"poni": str(poni), "npt": 5000, "dat": "no"}, PYTHONDONTWRITEBYTECODE="1")
        left = [p.name for p in disk.rglob("*") if p.suffix in (".h5", ".part") and p.name != "preview.h5"]
    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("The disk is full (")
    assert "Traceback" not in done.stderr
    assert left == []
