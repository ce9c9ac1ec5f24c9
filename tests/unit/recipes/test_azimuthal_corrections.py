"""Cakes, sectors, dark, flat, monitor, transmission, background, errors and means: equal to pyFAI or numpy directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.peers.need import need_module
from tests.unit.recipes.azimuthal import GAP, SHAPE, Work, direct, frames, nxmx, stack_file, write_poni

pyFAI = need_module("pyFAI", "of the extra “recipes”")

NPT = 150


def plain(count: int = 3) -> np.ndarray:
    """(count, height, width) uint32 without gaps."""
    return np.random.default_rng(3).poisson(40, (count, *SHAPE)).astype(np.uint32)


def one(poni: Path, frame: np.ndarray, **more: Any) -> Any:
    """pyFAI's own result for one frame, all the way as the recipe's defaults."""
    keywords = {"unit": "q_nm^-1", "error_model": "poisson", "method": ("no", "csr", "cython"),
                "polarization_factor": 0.99, **more}
    integrator = pyFAI.load(str(poni))
    if "npt_azim" in keywords:
        return integrator.integrate2d_ng(frame, NPT, **keywords)
    if keywords.get("azimuth_range", (0, 0))[1] > 180:
        integrator.setChiDiscAtZero()
    return integrator.integrate1d_ng(frame, NPT, **keywords)


def holed(result: Any, values: np.ndarray) -> np.ndarray:
    """NaN where there is no pixel."""
    return np.where(result.count == 0, np.nan, values)


def run(work: Work, inputs: list[Path], poni: Path, **values: Any) -> dict[str, Any]:
    done = work.run([str(path) for path in inputs], {"poni": str(poni), "npt": NPT, **values})
    assert done.returncode == 0, done.stderr
    return work.result()


def same(got: dict[str, Any], results: list[Any]) -> None:
    for row, result in enumerate(results):
        np.testing.assert_array_equal(got["I"][row], holed(result, result.intensity))
        np.testing.assert_array_equal(got["I_errors"][row], holed(result, result.sigma))


def test_that_a_cake_is_pyfais_with_both_axes(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(2)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, integration="2d", npt_azimuth=90)
    expected = [one(poni, frame, npt_azim=90) for frame in stack]
    assert got["I"].shape == (2, 90, NPT)
    same(got, expected)
    np.testing.assert_array_equal(got["q"], expected[0].radial)
    np.testing.assert_array_equal(got["chi"], expected[0].azimuthal)
    assert list(got["attrs"]["axes"]) == ["frame", "chi", "q"]
    assert json.loads(got["attrs"]["SILX_style"])["axes_scale_types"] == ["linear", "linear"]
    assert not (work.folder / "dat").exists()


@pytest.mark.parametrize("sectors", [[(-30, 30), (150, 210)], [(150, 210), (-30, 30), (40, 50), (-200, -160)]])
def test_that_sectors_are_a_curve_each_also_across_the_jump_of_angles(work: Work, tmp_path: Path, poni: Path,
                                                                      sectors: list[tuple[int, int]]) -> None:
    stack = plain(2)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, azimuth=", ".join(f"{a}:{b}" for a, b in sectors))
    assert got["I"].shape == (2, len(sectors), NPT)
    assert list(got["attrs"]["axes"]) == ["frame", "sector", "q"]
    assert list(zip(got["azimuth_from"].tolist(), got["azimuth_to"].tolist(), strict=True)) == sectors
    for row, frame in enumerate(stack):
        for column, (first, last) in enumerate(sectors):
            expected = one(poni, frame, azimuth_range=(first % 360, last % 360) if first < -180 else (first, last))
            np.testing.assert_array_equal(got["I"][row, column], holed(expected, expected.intensity))
    # A sector over the jump holds the pixels that are there, counted without pyFAI's ranges.
    y, x = np.mgrid[:SHAPE[0], :SHAPE[1]] + 0.5
    angle = np.degrees(np.arctan2(y - 50, x - 70)) % 360
    assert one(poni, stack[0], azimuth_range=(150, 210)).count.sum() == ((angle >= 150) & (angle <= 210)).sum()


def test_that_one_sector_is_a_plain_curve_and_also_bounds_a_cake(work: Work, tmp_path: Path, poni: Path) -> None:
    stack, path = plain(1), tmp_path / "a.h5"
    stack_file(path, stack)
    got = run(work, [path], poni, azimuth="10:80")
    same(got, [one(poni, stack[0], azimuth_range=(10, 80))])
    got = run(work, [path], poni, azimuth="10:80", integration="2d", npt_azimuth=20)
    same(got, [one(poni, stack[0], azimuth_range=(10, 80), npt_azim=20)])


@pytest.mark.parametrize(("unit", "axis"), [("q_nm^-1", "q"), ("q_A^-1", "q"), ("2th_deg", "two_theta"), ("r_mm", "r")])
def test_that_every_unit_and_a_range_in_it_are_pyfais(work: Work, tmp_path: Path, poni: Path, unit: str,
                                                      axis: str) -> None:
    stack = plain(1)
    whole = one(poni, stack[0], unit=unit).radial
    bounds = (float(whole[20]), float(whole[90]))
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, unit=unit, radial_range=bounds)
    expected = one(poni, stack[0], unit=unit, radial_range=bounds)
    same(got, [expected])
    np.testing.assert_array_equal(got[axis], expected.radial)
    assert got["attrs"]["axes"][-1] == axis


def test_that_without_a_number_of_points_there_are_as_many_as_pixels_to_the_farthest_corner(
        work: Work, tmp_path: Path, poni: Path) -> None:
    done = work.run([str(stack_file(tmp_path / "a.h5", plain(1)))], {"poni": str(poni)})
    assert done.returncode == 0, done.stderr
    assert len(work.result()["q"]) == int(np.hypot(160 - 70, 120 - 50)) == pyFAI.load(str(poni)).guess_npt_rad()


@pytest.mark.parametrize("splitting", ["no", "bbox", "full"])
@pytest.mark.parametrize("algorithm", ["csr", "lut", "histogram"])
def test_that_every_splitting_and_algorithm_is_pyfais(work: Work, tmp_path: Path, poni: Path, splitting: str,
                                                      algorithm: str) -> None:
    stack = plain(1)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, splitting=splitting, algorithm=algorithm)
    expected = one(poni, stack[0], method=(splitting, algorithm, "cython"))
    np.testing.assert_allclose(got["I"][0], holed(expected, expected.intensity), rtol=1e-6)
    assert np.isfinite(got["I"]).sum() > NPT // 2


@pytest.mark.parametrize("model", ["azimuthal", "none"])
def test_that_other_error_models_are_pyfais(work: Work, tmp_path: Path, poni: Path, model: str) -> None:
    stack = plain(1)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, error_model=model)
    expected = one(poni, stack[0], error_model=None if model == "none" else model)
    np.testing.assert_array_equal(got["I"][0], holed(expected, expected.intensity))
    assert ("I_errors" in got) == (model != "none")
    if model == "azimuthal":
        np.testing.assert_array_equal(got["I_errors"][0], holed(expected, expected.sigma))


def test_that_solid_angle_and_polarization_can_be_left_off(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(1)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, solid_angle=False, correct_polarization=False)
    same(got, [one(poni, stack[0], correctSolidAngle=False, polarization_factor=None)])
    got = run(work, [tmp_path / "a.h5"], poni, polarization=-0.5)
    same(got, [one(poni, stack[0], polarization_factor=-0.5)])


def test_that_dark_and_flat_are_the_means_of_all_their_frames_and_bad_pixels_are_left_out(
        work: Work, tmp_path: Path, poni: Path) -> None:
    random = np.random.default_rng(5)
    stack, dark = plain(2), random.poisson(3, (5, *SHAPE)).astype(np.uint32)
    flat = random.normal(1, 0.05, SHAPE).astype(np.float32)
    dark[2, 7, 8] = GAP             # never measured
    flat[20, 30], flat[21, 31] = 0, np.nan
    with h5py.File(tmp_path / "dark.h5", "w") as file:
        file["entry/d"] = dark[:3]
    np.save(tmp_path / "dark.npy", dark[3:])
    np.save(tmp_path / "flat.npy", flat)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, flat=[str(tmp_path / "flat.npy")],
              dark=[f"{tmp_path / 'dark.h5'}::/entry/d", str(tmp_path / "dark.npy")])
    mask = np.zeros(SHAPE, np.int8)
    mask[7, 8] = mask[20, 30] = mask[21, 31] = 1
    mean = np.where(mask, 0, dark.astype(np.float64).mean(axis=0)).astype(np.float32)
    expected = [one(poni, f, dark=mean, flat=np.where(mask, 1, flat).astype(np.float32), mask=mask) for f in stack]
    for row, result in enumerate(expected):
        np.testing.assert_allclose(got["I"][row], holed(result, result.intensity), rtol=1e-6)
        np.testing.assert_allclose(got["I_errors"][row], holed(result, result.sigma), rtol=1e-6)
    # and by numpy alone, over one ring of pixels
    integrator = pyFAI.load(str(poni))
    omega, polar = integrator.solidAngleArray(SHAPE), integrator.polarization(SHAPE, 0.99)
    q = integrator.center_array(SHAPE, unit="q_nm^-1")
    edges = np.linspace(q.min(), q.max(), NPT + 1)
    ring = (q >= edges[70]) & (q < edges[71]) & (mask == 0)
    norm = (flat * omega * polar)[ring].astype(np.float64).sum()
    assert got["I"][0, 70] == pytest.approx((stack[0] - mean)[ring].astype(np.float64).sum() / norm, rel=1e-3)


def test_that_a_flat_field_in_counts_can_be_divided_by_its_mean(work: Work, tmp_path: Path, poni: Path) -> None:
    stack, flat = plain(1), (1000 * np.random.default_rng(5).normal(1, 0.05, SHAPE)).astype(np.float32)
    np.save(tmp_path / "flat.npy", flat)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, flat=[str(tmp_path / "flat.npy")],
              normalize_flat=True)
    result = one(poni, stack[0], flat=(flat / flat.mean(dtype=np.float64)).astype(np.float32))
    np.testing.assert_allclose(got["I"][0], holed(result, result.intensity), rtol=1e-6)
    done = work.run([str(tmp_path / "a.h5")], {"poni": str(poni), "npt": NPT, "flat": [str(tmp_path / "flat.npy")]})
    assert "the flat field's mean is" in done.stderr


def test_that_a_mask_of_the_other_polarity_dummies_and_limits_leave_pixels_out(
        work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(2)
    stack[0, 5, 5], stack[1, 9, 9], stack[1, 11, 11] = 7777, 10**6, 7779
    good = np.ones(SHAPE, np.uint8)
    good[:, 30:40] = 0
    np.save(tmp_path / "mask.npy", good)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, mask=str(tmp_path / "mask.npy"), mask_polarity="zero",
              dummy=7778, delta_dummy=1.5, valid_range=(0, 10000))
    masks = [(good == 0) | (frame > 7000) for frame in stack]
    same(got, [one(poni, frame, mask=mask.astype(np.int8)) for frame, mask in zip(stack, masks, strict=True)])


def test_that_sentinels_count_where_they_are_meant(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(1).astype(np.uint8)
    stack[0, 3, 3] = 255
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, sentinels=False)
    same(got, [one(poni, stack[0].astype(np.float32))])


def test_that_monitor_transmission_and_scale_divide_each_frame_and_are_kept(work: Work, tmp_path: Path,
                                                                           poni: Path) -> None:
    stack, monitor, transmission = plain(4), np.array([100.0, 200, 300, 400]), np.array([0.5, 0.6, 0.7, 0.8])
    path = stack_file(tmp_path / "a.h5", stack, I0=monitor, T=transmission)
    got = run(work, [path], poni, monitor="/I0", transmission=0.9, transmission_data="/T", scale=2.0, frames="1:4")
    factor = monitor * transmission * 0.9 / 2.0
    np.testing.assert_allclose(got["normalization_factor"], factor[1:], rtol=1e-15)
    assert got["monitor"].tolist() == [200, 300, 400]
    np.testing.assert_allclose(got["transmission"], 0.9 * transmission[1:])
    same(got, [one(poni, frame, normalization_factor=f) for frame, f in
               zip(stack[1:], got["normalization_factor"], strict=True)])
    got = run(work, [path], poni, monitor=f"{path}::/I0", monitor_scale="mean")
    np.testing.assert_allclose(got["normalization_factor"], monitor / 250)


def test_that_the_only_nxmonitor_is_found_and_several_are_told(work: Work, tmp_path: Path, poni: Path) -> None:
    master = nxmx(tmp_path / "scan.h5", frames(4))
    with h5py.File(master, "a") as file:
        group = file.create_group("entry/I0")
        group.attrs["NX_class"] = "NXmonitor"
        group["data"] = np.arange(1.0, 5)
    got = run(work, [master], poni, monitor="auto")
    assert got["normalization_factor"].tolist() == [1, 2, 3, 4]
    with h5py.File(master, "a") as file:
        file.create_group("entry/It").attrs["NX_class"] = "NXmonitor"
    (work.folder / "result.h5").unlink()
    assert "several NXmonitor groups: name one, for example /entry/I0" in work.fault(
        [str(master)], {"poni": str(poni), "monitor": "auto"})


def test_that_a_background_is_reduced_normalised_scaled_and_its_error_added(work: Work, tmp_path: Path,
                                                                            poni: Path) -> None:
    stack, below = plain(2), np.random.default_rng(9).poisson(8, (5, *SHAPE)).astype(np.uint32)
    path = stack_file(tmp_path / "a.h5", stack, I0=np.array([2.0, 4.0]))
    stack_file(tmp_path / "b.h5", below[:3], I0=np.array([1.0, 2.0, 3.0]))
    stack_file(tmp_path / "c.h5", below[3:], I0=np.array([4.0, 5.0]))
    got = run(work, [path], poni, monitor="/I0", transmission=0.5, background_factor=0.7, background_transmission=0.8,
              background=[str(tmp_path / "b.h5"), str(tmp_path / "c.h5")])
    backgrounds = [one(poni, f, normalization_factor=0.8 * (n + 1)) for n, f in enumerate(below)]
    mean = np.mean([b.intensity.astype(np.float64) for b in backgrounds], axis=0)
    error = np.sqrt(np.sum([b.sigma.astype(np.float64)**2 for b in backgrounds], axis=0)) / 5
    for row, monitor in enumerate((2.0, 4.0)):
        result = one(poni, stack[row], normalization_factor=0.5 * monitor)
        np.testing.assert_allclose(got["I"][row], holed(result, result.intensity - 0.7 * mean), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(got["I_errors"][row], holed(result, np.hypot(result.sigma, 0.7 * error)), rtol=1e-5)


def test_that_a_frame_of_the_background_can_be_chosen(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(3)
    path = stack_file(tmp_path / "a.h5", stack)
    got = run(work, [path], poni, background=[f"{path}::/data"], background_frames="2")
    assert np.nanmax(np.abs(got["I"][2])) == 0
    assert np.nanmax(np.abs(got["I"][1])) > 0


def test_that_the_mean_of_all_frames_has_the_error_of_the_mean(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = frames(7)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, average="all")
    results = direct(stack, poni, NPT)
    curves = np.array([holed(r, r.intensity) for r in results], np.float64)
    sigmas = np.array([holed(r, r.sigma) for r in results], np.float64)
    assert got["I"].shape == (NPT,)
    assert list(got["attrs"]["axes"]) == ["q"]
    count = np.isfinite(curves).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        np.testing.assert_allclose(got["I"], np.nansum(curves, axis=0) / count, rtol=1e-6)
        error = np.where(count, np.sqrt(np.nansum(sigmas**2, axis=0)) / count, np.nan)
        np.testing.assert_allclose(got["I_errors"], error, rtol=1e-6)
        scatter = np.sqrt(np.nansum((curves - np.nansum(curves, axis=0) / count)**2, axis=0) / (count - 1))
        np.testing.assert_allclose(got["I_standard_error"], scatter / np.sqrt(count), rtol=1e-5)
    np.testing.assert_array_equal(got["frames_used"], count)
    each = work.result("entry/frames")
    np.testing.assert_array_equal(each["I"], curves.astype(np.float32))


def test_that_means_of_groups_take_neighbours_and_a_shorter_last_one(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(7)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, average="groups", group_size=3, integration="2d",
              npt_azimuth=10, frames="::-1")
    results = [one(poni, frame, npt_azim=10) for frame in stack[::-1]]
    curves = np.array([holed(r, r.intensity) for r in results], np.float64)
    expected = [curves[:3].mean(axis=0), curves[3:6].mean(axis=0), curves[6]]
    np.testing.assert_allclose(got["I"], expected, rtol=1e-6)
    assert (got["first_frame"].tolist(), got["last_frame"].tolist()) == ([6, 3, 0], [4, 1, 0])
    assert list(got["attrs"]["axes"]) == ["group", "chi", "q"]
    with h5py.File(work.folder / "result.h5") as file:
        assert "frames" not in file["entry"]


def test_that_outliers_are_left_out_of_means(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(12)
    stack[4] += 4000        # a frame with the beam where it should not be
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, average="all", outliers=3.0)
    rest = [one(poni, frame) for n, frame in enumerate(stack) if n != 4]
    there = rest[0].count > 0
    assert (got["frames_used"][there] <= 11).all()
    assert np.median(got["frames_used"][there]) == 11
    mean = np.mean([r.intensity for r in rest], axis=0)
    most = there & (got["frames_used"] == 11)
    np.testing.assert_allclose(got["I"][most], mean[most], rtol=1e-5)


def test_that_equal_frames_are_no_outliers(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = np.repeat(plain(1), 5, axis=0)
    got = run(work, [stack_file(tmp_path / "a.h5", stack)], poni, average="all", outliers=1.0)
    assert set(np.unique(got["frames_used"])) <= {0, 5}
    np.testing.assert_array_equal(got["I"], work.result("entry/frames")["I"][0])


def test_that_the_energy_may_be_given_where_the_poni_file_says_none(work: Work, tmp_path: Path, poni: Path) -> None:
    stack, bare = plain(1), write_poni(tmp_path / "bare.poni", "")
    path = stack_file(tmp_path / "a.h5", stack)
    got = run(work, [path], bare, energy=12.3984198, energy_here=True)
    expected = one(poni, stack[0])
    np.testing.assert_allclose(got["q"], expected.radial, rtol=1e-7)
    got = run(work, [path], poni, energy=2 * 12.3984198, energy_here=True)       # made at another energy
    np.testing.assert_allclose(got["q"], 2 * expected.radial, rtol=1e-7)
    got = run(work, [path], poni, energy=2 * 12.3984198)
    np.testing.assert_allclose(got["q"], expected.radial, rtol=1e-7)
    told = json.loads(work.result("entry/process")["parameters"])
    assert (told["poni"], told["energy"]) == (str(poni), None)              # nobody takes it for used
    got = run(work, [path], bare, unit="r_mm")          # needs no wavelength
    np.testing.assert_array_equal(got["r"], one(poni, stack[0], unit="r_mm").radial)


def test_that_centre_distance_energy_and_pixel_size_make_a_geometry(work: Work, tmp_path: Path, poni: Path) -> None:
    stack = plain(1)
    done = work.run([str(stack_file(tmp_path / "a.h5", stack))],
                    {"npt": NPT, "distance": 1.5, "beam_x": 70, "beam_y": 50, "pixel_size": 100, "wavelength": 1.0})
    assert done.returncode == 0, done.stderr
    same(work.result(), [one(poni, stack[0])])


def test_that_the_header_of_an_edf_says_the_geometry(work: Work, tmp_path: Path, poni: Path) -> None:
    fabio = need_module("fabio")
    stack = plain(2).astype(np.float32)
    header = {"SampleDistance": "1.5", "Center_1": "70", "Center_2": "50", "PSize_1": "1e-4", "PSize_2": "1e-4",
              "WaveLength": "1e-10"}
    for number, frame in enumerate(stack):
        fabio.edfimage.EdfImage(data=frame, header=header).write(str(tmp_path / f"saxs_{number:04d}.edf"))
    for inputs in ([str(tmp_path / "saxs_0000.edf"), str(tmp_path / "saxs_0001.edf")], [str(tmp_path / "*.edf")]):
        done = work.run(inputs, {"npt": NPT})
        assert done.returncode == 0, done.stderr
        got = work.result()
        same(got, [one(poni, frame) for frame in stack])
        assert [name.decode() for name in got["file"]] == ["saxs_0000.edf", "saxs_0001.edf"]


def test_that_measured_cbf_images_tell_their_geometry(work: Work, beamside_data: Path) -> None:
    done = work.run([str(beamside_data / "mx" / f"l-cyst_01_0000{n}.cbf") for n in (1, 2)], {"npt": 500})
    assert done.returncode == 0, done.stderr
    with h5py.File(work.folder / "result.h5") as file:
        said = json.loads(file["entry/process/geometry"][()])
        assert file["entry/reduced/I"].shape == (2, 500)
    assert said["dist"] == pytest.approx(0.16, rel=0.2)
    assert 6e-11 < said["wavelength"] < 8e-11


def test_that_the_header_of_a_measured_tif_says_its_pixel_size(work: Work, beamside_data: Path) -> None:
    done = work.run([str(beamside_data / "xrd" / "CeO2_Pilatus1M.tif")],
                    {"npt": 500, "distance": 0.3, "beam_x": 500, "beam_y": 500, "energy": 40})
    assert done.returncode == 0, done.stderr
    with h5py.File(work.folder / "result.h5") as file:
        assert "0.000172" in file["entry/process/geometry"][()].decode()


def test_that_a_master_with_an_external_link_and_four_dimensions_needs_no_help(work: Work, beamside_data: Path) -> None:
    done = work.run([str(beamside_data / "saxs" / "i22-119583.nxs")], {"monitor": "/entry1/I0"})
    assert done.returncode == 0, done.stderr
    got = work.result()
    assert (got["frame_index"].tolist(), got["I"].shape[0]) == ([[0, 0]], 1)
    with h5py.File(beamside_data / "saxs" / "i22-119583.nxs") as file:
        assert got["normalization_factor"][0] == file["entry1/I0/data"][0]
