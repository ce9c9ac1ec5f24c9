"""The azimuthal integration gives pyFAI's own numbers, says how they were made, and names each fault."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.peers.need import need_module
from tests.unit.recipes.azimuthal import GAP, SHAPE, Work, assert_same, direct, frames, nxmx

need_module("pyFAI", "of the extra “recipes”")


def test_that_every_frame_of_a_virtual_stack_is_bit_equal_to_pyfai(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(5)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([f"{master}::/entry/data/data"], {"poni": str(poni), "npt": 200, "use_pixel_mask": False})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni))
    assert json.loads((work.folder / "progress.json").read_text())["done"] == 5


def test_that_the_geometry_and_pixel_mask_of_the_file_give_what_a_poni_file_gives(
        work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(2)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([str(master)], {"npt": 200})
    assert done.returncode == 0, done.stderr
    mask = np.zeros(SHAPE, np.int8)
    mask[10] = 1
    assert_same(work.folder / "result.h5", direct(stack, poni, mask=mask))


def test_that_an_external_link_and_a_choice_of_frames_are_followed(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(6)
    master = nxmx(tmp_path / "scan_master.h5", stack)
    done = work.run([f"{master}::/entry/linked"], {"poni": str(poni), "npt": 200, "frames": "2,0:2",
                                                   "use_pixel_mask": False, "unit": "2th_deg"})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack[[2, 0, 1]], poni, unit="2th_deg"), "two_theta")
    with h5py.File(work.folder / "result.h5") as file:
        assert file["entry/reduced/frame"][()].tolist() == [2, 0, 1]


def test_that_without_a_data_path_the_default_plot_or_the_largest_stack_is_taken(
        work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(3)
    plain, eiger = tmp_path / "plain.h5", tmp_path / "eiger_master.h5"
    with h5py.File(plain, "w") as file:
        file["instrument/pixel_mask"] = np.zeros((2000, 2000), np.uint32)
        file["instrument/curve"] = np.arange(5.0)
        file["raw/frames"] = stack
    assert work.run([str(plain)], {"npt": 200, "poni": str(poni)}).returncode == 0
    assert_same(work.folder / "result.h5", direct(stack, poni))
    with h5py.File(eiger, "w") as file:
        for number in (1, 2):
            file[f"entry/data/data_00000{number}"] = h5py.ExternalLink("plain.h5", "/raw/frames")
        file["entry/data"].attrs["NX_class"] = "NXdata"
    (work.folder / "result.h5").unlink()
    assert "in several parts" in work.fault([str(eiger)], {"poni": str(poni)})
    assert work.run([f"{eiger}::/entry/data/data_000002"], {"npt": 200, "poni": str(poni)}).returncode == 0
    assert_same(work.folder / "result.h5", direct(stack, poni))


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_that_any_leading_dimensions_are_frames(work: Work, tmp_path: Path, poni: Path, shape: tuple[int, ...]) -> None:
    count = int(np.prod(shape))
    stack = frames(count)
    path = tmp_path / "stack.h5"
    with h5py.File(path, "w") as file:
        file["data"] = stack.reshape(*shape, *SHAPE)
    done = work.run([str(path)], {"poni": str(poni), "npt": 200})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni))


@pytest.mark.parametrize("kind", ["npy", "edf", "tif", "h5"])
def test_that_masks_of_every_kind_are_used(work: Work, tmp_path: Path, poni: Path, kind: str) -> None:
    fabio = need_module("fabio")
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 30:40] = 1
    name = str(tmp_path / f"mask.{kind}")
    if kind == "npy":
        np.save(name, mask)
    elif kind == "h5":
        with h5py.File(name, "w") as file:
            file["entry/mask"] = mask
        name += "::/entry/mask"
    else:
        (fabio.edfimage.EdfImage if kind == "edf" else fabio.tifimage.TifImage)(data=mask).write(name)
    stack = frames(2)
    with h5py.File(tmp_path / "stack.h5", "w") as file:
        file["data"] = stack
    done = work.run([str(tmp_path / "stack.h5")], {"poni": str(poni), "npt": 200, "mask": name})
    assert done.returncode == 0, done.stderr
    assert_same(work.folder / "result.h5", direct(stack, poni, mask=mask.astype(np.int8)))


def test_that_a_measured_eiger_frame_is_bit_equal_to_pyfai(work: Work, tmp_path: Path, beamside_data: Path) -> None:
    import pyFAI
    source = beamside_data / "saxs" / "S2p5min_00070_00001.h5"
    with h5py.File(source) as file:
        frame = file["entry/data/data"][()]
    geometry = tmp_path / "saxs.poni"
    geometry.write_text("poni_version: 2\nDetector: Detector\n"
                        f'Detector_config: {{"pixel1": 7.5e-5, "pixel2": 7.5e-5, "max_shape": {list(frame.shape)}}}\n'
                        "Distance: 1.99409\nPoni1: 0.0156486\nPoni2: 0.10777275\nRot1: 0\nRot2: 0\nRot3: 0\n"
                        "Wavelength: 9.3221202e-11\n")
    done = work.run_alone([f"{source}::/entry/data/data"], {"poni": str(geometry), "npt": 1000})
    assert done.returncode == 0, done.stderr
    expected = pyFAI.load(str(geometry)).integrate1d_ng(
        frame, 1000, unit="q_nm^-1", mask=(frame == GAP).astype(np.int8), error_model="poisson",
        method=("no", "csr", "cython"), polarization_factor=0.99)
    assert_same(work.folder / "result.h5", [expected])


def test_that_the_result_says_how_it_was_made_and_how_to_show_it(work: Work, tmp_path: Path, poni: Path) -> None:
    master = nxmx(tmp_path / "scan_master.h5", frames(2))
    assert work.run([str(master)], {"npt": 200, "poni": str(poni)}).returncode == 0
    with h5py.File(work.folder / "result.h5") as file:
        process, data = file["entry/process"], file["entry/reduced"]
        said = {key: process[key][()] for key in process if process[key].shape == ()}
        said = {k: v.decode() if isinstance(v, bytes) else v for k, v in said.items()}
        assert (said["program"], said["recipe"], said["recipe_version"]) == ("pyFAI", "azimuthal-integration", "2.0")
        assert (said["job_id"], said["scheduler_id"]) == ("20261122-100000-abcdef", "17")
        assert json.loads(said["inputs"]) == [str(master)]
        assert json.loads(said["parameters"])["npt"] == 200
        assert json.loads(said["geometry"])["poni1"] == 0.005
        assert said["user"]
        assert said["host"]
        assert said["start_time"] <= said["end_time"]
        assert (data.attrs["signal"], list(data.attrs["axes"])) == ("I", ["frame", "q"])
        assert data["q"].attrs["units"] == "1/nm"
        assert json.loads(data.attrs["SILX_style"]) == {"axes_scale_types": ["linear", "log"],
                                                        "signal_scale_type": "log"}


def test_that_several_inputs_are_several_entries(work: Work, tmp_path: Path, poni: Path) -> None:
    inputs = [str(nxmx(tmp_path / f"scan{n}.h5", frames(2))) for n in (1, 2)]
    assert work.run(inputs, {"npt": 200, "poni": str(poni)}).returncode == 0
    with h5py.File(work.folder / "result.h5") as file:
        assert sorted(file) == ["entry", "entry_2"]


def test_that_each_fault_is_one_sentence(work: Work, tmp_path: Path, poni: Path) -> None:
    master = nxmx(tmp_path / "scan.h5", frames(4))
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "bad.poni").write_text("Distance: far\n")
    np.save(tmp_path / "small.npy", np.zeros((3, 4)))
    with h5py.File(tmp_path / "curve.h5", "w") as file:
        file["x"] = np.arange(5)
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = frames(1)
    good = {"poni": str(poni)}
    assert "is not there" in work.fault([str(tmp_path / "gone.h5")], good)
    assert "neither HDF5 nor an image" in work.fault([str(tmp_path / "text.h5")], good)
    assert "no readable node /entry/nothing" in work.fault([f"{master}::/entry/nothing"], good)
    assert "holds no frames" in work.fault([str(tmp_path / "curve.h5")], good)
    assert "does not say" in work.fault([str(tmp_path / "bare.h5")], {})
    assert "is not a PONI file" in work.fault([str(master)], {"poni": str(tmp_path / "bad.poni")})
    assert "small.npy has 3 × 4 pixels" in work.fault([str(master)], {**good, "mask": str(tmp_path / "small.npy")})
    assert "do not fit the 4 frames" in work.fault([str(master)], {**good, "frames": "9"})
    (tmp_path / "scan_data_1.h5").unlink()
    assert "its part" in work.fault([str(master)], good)


def test_that_a_python_without_pyfai_is_told_in_one_sentence(work: Work, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "pyFAI.py").write_text("raise ImportError('gone', name='pyFAI')")
    done = work.run_alone(["/none"], {}, PYTHONPATH=str(tmp_path / "empty"))
    assert done.returncode == 1
    assert "pyFAI is not installed" in done.stderr.strip().splitlines()[-1]
