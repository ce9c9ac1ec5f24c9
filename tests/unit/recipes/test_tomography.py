"""Tomography gives the numbers it should: known phantoms, scikit-image's slices, analytic phase, slabs as the whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.unit.recipes.tomography import Environment, Truth, Work, correlation, nxtomo

TRUTH = Truth()
PLAIN = {"rings": "none", "centre": TRUTH.centre, "value_unit": "1/pixel"}


@pytest.fixture
def work(tmp_path: Path, environment: Environment) -> Work:
    return Work(tmp_path / "job", environment)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return nxtomo(tmp_path / "scan.nx", TRUTH)


@pytest.fixture
def tooth(beamside_data: Path) -> Path:
    return beamside_data / "tomo" / "tooth.h5"


def corrected(tooth: Path) -> tuple[np.ndarray, np.ndarray]:
    """(angles, rows, columns) float64 attenuation, and the angles in degrees, from the file directly."""
    with h5py.File(tooth) as file:
        exchange = file["exchange"]
        dark = exchange["data_dark"][()].mean(axis=0, dtype=float)
        white = exchange["data_white"][()].mean(axis=0, dtype=float)
        return -np.log((exchange["data"][()] - dark) / (white - dark)), exchange["theta"][()]


def assert_true(image: np.ndarray, truth: np.ndarray, where: np.ndarray, mean: float = 0.005, spread: float = 0.02) \
        -> None:
    ratio = image[where] / truth[where]
    assert ratio.mean() == pytest.approx(1, abs=mean)
    assert ratio.std() < spread


# -- The rotation axis ------------------------------------------------------------------------------------------------

def test_that_the_tooths_axis_is_within_half_a_pixel_of_independent_methods(work: Work, tooth: Path) -> None:
    work.run(tooth, {})
    found = float(work.process("centre"))
    attenuation, degrees = corrected(tooth)
    theta, columns = np.radians(degrees), np.arange(640)
    # the centre of mass of each projection goes round the axis on a circle
    mass = attenuation[:, 0].sum(axis=1)
    path = (attenuation[:, 0] * columns).sum(axis=1) / mass
    by_mass = np.linalg.lstsq(np.c_[np.ones_like(theta), np.cos(theta), np.sin(theta)], path, rcond=None)[0][0]
    # the first projection against the mirrored last ones, correlated in Fourier space, extrapolated to half a turn
    one, two = (_correlated(attenuation[0], attenuation[n, :, ::-1]) for n in (180, 179))
    by_correlation = one + (one - two) * (180 - degrees[180]) / (degrees[180] - degrees[179])
    assert found == pytest.approx(by_mass, abs=0.5)
    assert found == pytest.approx(by_correlation, abs=0.5)
    assert work.process("centre_by") == "auto"


def _correlated(a: np.ndarray, b: np.ndarray) -> float:
    size = a.shape[1]
    a, b = a - a.mean(), b - b.mean()
    peaks = np.fft.irfft((np.fft.rfft(a, 2 * size) * np.conj(np.fft.rfft(b, 2 * size))).sum(axis=0), 2 * size)
    at = int(np.argmax(peaks))
    left, top, right = (peaks[(at + d) % (2 * size)] for d in (-1, 0, 1))
    at = at - 2 * size if at > size else at
    return float((size - 1 + at + 0.5 * (left - right) / (left - 2 * top + right)) / 2)


@pytest.mark.parametrize(("method", "centre", "count", "accuracy"), [
    ("auto", 50.3, 120, 0.1), ("auto", 43.75, 240, 0.1), ("half-turn pairs", 52.2, 120, 0.15), ("vo", 47.6, 600, 0.3)])
def test_that_the_axis_of_a_phantom_is_found(work: Work, tmp_path: Path, method: str, centre: float, count: int,
                                             accuracy: float) -> None:
    truth = Truth(centre=centre, angles=np.arange(count) * 180 / count)
    work.prepare(nxtomo(tmp_path / "scan.nx", truth), {"centre_method": method, "rings": "none"})
    assert work.step("prepare").code == 0
    with h5py.File(work.folder / "prepare.h5") as file:
        assert float(file["centre"][()]) == pytest.approx(centre, abs=accuracy)


def test_that_the_axis_is_told_in_columns_of_the_detector_whatever_is_cropped_and_binned(work: Work, tmp_path: Path) \
        -> None:
    truth = Truth(columns=201, centre=112.0, angles=np.arange(240) * 0.75)
    work.run(nxtomo(tmp_path / "scan.nx", truth), {"columns": "61:161", "binning": 2})
    assert float(work.process("centre")) == pytest.approx(112.0, abs=0.3)
    assert work.volume().shape == (2, 50, 50)


def test_that_a_sweep_shows_one_slice_at_each_centre_and_is_sharpest_at_the_right_one(work: Work, scan: Path) -> None:
    work.prepare(scan, {**PLAIN, "centre": 51.3, "sweep": True, "sweep_range": 3.0, "sweep_step": 0.5})
    assert work.step("prepare").code == 0
    with h5py.File(work.folder / "sweep.h5") as file:
        group = file["entry/sweep"]
        assert file["entry"].attrs["default"] == "sweep"
        assert list(group.attrs["axes"]) == ["centre", "y", "x"]
        np.testing.assert_allclose(group["centre"][()], np.arange(48.3, 54.31, 0.5))
        assert json.loads(group.attrs["beamside_offer"]) == {"parameter": "centre", "off": "sweep"}
        stack = group["data"][()]
    truth = TRUTH.slice()
    best = np.argmax([correlation(image, truth) for image in stack])
    assert abs(48.3 + 0.5 * best - TRUTH.centre) < 0.3
    volume = Work(work.folder.parent / "same", work.environment).run(scan, {**PLAIN, "centre": 50.3})
    np.testing.assert_allclose(stack[4], volume[2], atol=1e-7)       # the middle row of four


# -- Slices -----------------------------------------------------------------------------------------------------------

def test_that_the_tooths_slice_correlates_with_scikit_images(work: Work, tooth: Path) -> None:
    values = {"rings": "none", "filter": "ramp", "columns": "0:639", "centre": 296.0}   # odd: both have the same middle
    volume = work.run(tooth, values)
    attenuation, degrees = corrected(tooth)
    np.save(work.folder / "sinogram.npy", attenuation[:, 0, :639])
    np.save(work.folder / "angles.npy", degrees)
    work.environment.evaluate(work.folder, """
import numpy as np
from scipy.ndimage import shift
from skimage.transform import iradon
sinogram = shift(np.load("sinogram.npy"), (0, 319 - 296.0), order=1, mode="nearest")
np.save("theirs.npy", iradon(sinogram.T, np.load("angles.npy"), filter_name="ramp", circle=True))
result = None
""")
    theirs = np.load(work.folder / "theirs.npy")
    assert correlation(volume[0], theirs) > 0.99


@pytest.mark.parametrize("method", ["fbp", "dfi"])
@pytest.mark.parametrize("name", ["half", "full turn", "uneven", "reversed"])
def test_that_a_phantom_is_reconstructed(work: Work, tmp_path: Path, method: str, name: str) -> None:
    angles = {"half": np.arange(180) * 1.0, "full turn": np.arange(360) * 1.0, "reversed": -np.arange(180) * 1.0,
              "uneven": np.delete(np.r_[np.arange(0, 90, 0.5), np.arange(90, 180.1, 1.5)], [30, 31, 90])}[name]
    truth = Truth(angles=angles, columns=98 if method == "dfi" else 97)
    volume = work.run(nxtomo(tmp_path / "scan.nx", truth), {**PLAIN, "method": method, "filter": "ramp"})
    flat = Truth(columns=volume.shape[2] - (method == "dfi"))      # of an even width, the axis is on a pixel
    image = volume[0][1:, 1:] if method == "dfi" else volume[0]
    assert_true(image, flat.slice(), flat.flat_parts(), 0.01, 0.05)
    with h5py.File(work.folder / "volume.h5") as file:
        x = file["entry/volume/x"][()]
        assert x[np.argmin(np.abs(x))] == 0.0


def test_that_methods_the_environment_lacks_are_told_and_none_is_replaced(work: Work, scan: Path) -> None:
    has = work.environment.evaluate(work.folder, """
import importlib.util
result = [name for name in ("tomopy", "astra") if importlib.util.find_spec(name)]""")
    for method, package in (("gridrec", "tomopy"), ("astra", "astra")):
        if package in has:
            volume = work.run(scan, {**PLAIN, "method": method, "filter": "ramp"})
            assert_true(volume[0], TRUTH.slice(), TRUTH.flat_parts(), 0.02, 0.05)
            (work.folder / "volume.h5").unlink()
        else:
            said = work.fault(scan, {**PLAIN, "method": method})
            assert f"needs {package}, which this job's Python does not have" in said
    assert "needs an Nvidia GPU, and this job sees none" in work.fault(scan, {**PLAIN, "method": "fbp-gpu"})


def test_that_half_acquisition_gives_the_whole_slice(work: Work, tmp_path: Path) -> None:
    truth = Truth(columns=60, centre=47.5, angles=np.arange(360) * 1.0)      # sees 12 pixels beyond the axis, of 36
    scan = nxtomo(tmp_path / "scan.nx", truth)
    with h5py.File(scan, "a") as file:
        file["entry/instrument/detector/field_of_view"] = "Half"
    volume = work.run(scan, {"rings": "none", "value_unit": "1/pixel", "filter": "ramp"})
    assert float(work.process("centre")) == pytest.approx(47.5, abs=0.5)
    assert json.loads(work.process("scan"))["half_acquisition"] is True
    assert volume.shape[2] > 90
    full = Truth(columns=volume.shape[2])
    assert_true(volume[0], full.slice(), full.flat_parts(), 0.02, 0.06)


def test_that_values_have_the_unit_that_is_asked_for(work: Work, scan: Path, tmp_path: Path, environment: Environment) \
        -> None:
    per_pixel = work.run(scan, PLAIN)
    for number, (unit, factor) in enumerate((("auto", 1e-2 / 2e-6), ("1/m", 1 / 2e-6), ("1/mm", 1e-3 / 2e-6))):
        other = Work(tmp_path / str(number), environment)
        np.testing.assert_allclose(other.run(scan, {**PLAIN, "value_unit": unit}), per_pixel * factor, rtol=1e-5)
        with h5py.File(other.folder / "volume.h5") as file:
            group = file["entry/volume"]
            assert group["data"].attrs["units"] == ("1/cm" if unit == "auto" else unit)
            assert group["x"].attrs["units"] == "um"
            assert np.diff(group["x"][()]) == pytest.approx(2.0)
            assert group["z"][()] == pytest.approx(np.arange(4) * 2.0)


def test_that_a_pixel_size_by_hand_keeps_how_much_higher_than_wide_a_pixel_is(work: Work, scan: Path) -> None:
    with h5py.File(scan, "a") as file:
        file["entry/instrument/detector/y_pixel_size"][()] = 6.0
    work.run(scan, {**PLAIN, "pixel_size": 4.0})
    with h5py.File(work.folder / "volume.h5") as file:
        assert np.diff(file["entry/volume/x"][()]) == pytest.approx(4.0)
        assert np.diff(file["entry/volume/z"][()]) == pytest.approx(12.0)


def test_that_reversing_the_rotation_mirrors_the_slices(work: Work, scan: Path, tmp_path: Path,
                                                        environment: Environment) -> None:
    normal = work.run(scan, PLAIN)
    reversed_ = Work(tmp_path / "other", environment).run(scan, {**PLAIN, "rotation": "reversed"})
    np.testing.assert_allclose(reversed_[0], normal[0][::-1], atol=2e-5)


def test_that_binning_and_cropping_give_the_same_object(work: Work, tmp_path: Path) -> None:
    truth = Truth(rows=8, columns=200, centre=101.0, angles=np.arange(240) * 0.75)
    volume = work.run(nxtomo(tmp_path / "scan.nx", truth),
                      {**PLAIN, "centre": 101.0, "binning": 2, "rows": "2:6", "columns": "50:150", "filter": "ramp"})
    assert volume.shape == (2, 50, 50)
    middle = volume[0][23:27, 23:27].mean()
    assert middle == pytest.approx(2 * 0.010 * 1.25, rel=0.03)      # per binned pixel, rows 2 and 3
    with h5py.File(work.folder / "volume.h5") as file:
        assert file["entry/volume/z"][()] == pytest.approx([5.0, 9.0])      # µm: middles of rows 2, 3 and 4, 5
        assert np.diff(file["entry/volume/x"][()]) == pytest.approx(4.0)


def test_that_uint16_stands_for_the_range_that_is_kept(work: Work, scan: Path, tmp_path: Path,
                                                       environment: Environment) -> None:
    exact = work.run(scan, PLAIN)
    other = Work(tmp_path / "other", environment)
    stored = other.run(scan, {**PLAIN, "dtype": "uint16"})
    assert stored.dtype == np.uint16
    with h5py.File(other.folder / "volume.h5") as file:
        group = file["entry/volume"]
        assert "units" not in group["data"].attrs, "the whole numbers themselves are in no unit"
        assert group["data"].attrs["long_name"].startswith("Attenuation, 0 to 65535 for ")
        step = float(group["scaling_factor"][()])
        np.testing.assert_allclose(stored * step + float(group["offset"][()]), exact, atol=0.51 * step)


# -- Corrections ------------------------------------------------------------------------------------------------------

def test_that_the_flat_is_interpolated_between_before_and_after(work: Work, tmp_path: Path,
                                                                environment: Environment) -> None:
    def fade(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        dark, place = TRUTH.dark().astype(float), np.arange(len(keys), dtype=float)
        first, last = 2.5, float(np.flatnonzero(keys == 1)[-1])
        beam = 1 - 0.8 * (place - first) / (last - first)
        beam[2:4] = 1.0
        light = keys < 2
        frames = frames.astype(float)
        frames[light] = dark + (frames[light] - dark) * beam[light, None, None]
        return np.rint(frames).astype("u2"), keys, rotation

    scan = nxtomo(tmp_path / "scan.nx", TRUTH, change=fade)
    good = work.run(scan, PLAIN)
    assert_true(good[0], TRUTH.slice(), TRUTH.flat_parts())
    bad = Work(tmp_path / "other", environment).run(scan, {**PLAIN, "interpolate_flats": False})
    assert np.abs(bad[0] - TRUTH.slice())[TRUTH.flat_parts()].mean() > \
        2 * np.abs(good[0] - TRUTH.slice())[TRUTH.flat_parts()].mean()


def test_that_the_median_leaves_out_what_one_flat_has(work: Work, tmp_path: Path) -> None:
    frames = np.stack([TRUTH.flat()] * 3)
    frames[1, :, 40:44] = 65000
    with h5py.File(tmp_path / "flats.h5", "w") as file:
        file["data"] = frames
    volume = work.run(nxtomo(tmp_path / "scan.nx", TRUTH),
                      {**PLAIN, "flats": f"{tmp_path}/flats.h5::/data", "average": "median"})
    assert_true(volume[0], TRUTH.slice(), TRUTH.flat_parts())


@pytest.mark.parametrize("method", ["sorting", "filtering", "fitting", "large", "all"])
def test_that_rings_go_and_the_object_stays(work: Work, tmp_path: Path, environment: Environment, method: str) -> None:
    truth = Truth(columns=257, centre=130.0, size=2.6, angles=np.arange(360) * 0.5, rows=1)

    def stripes(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        frames = frames.astype(float)
        gain = np.ones(truth.columns)
        gain[[60, 97, 155, 181]] = 1.06, 0.94, 1.05, 0.95
        frames[keys == 0] *= gain
        return np.rint(frames).astype("u2"), keys, rotation

    scan = nxtomo(tmp_path / "scan.nx", truth, change=stripes)
    plain = {**PLAIN, "centre": 130.0}
    without = Work(tmp_path / "other", environment).run(scan, plain)[0]
    cleaned = work.run(scan, {**plain, "rings": method, "ring_large_size": 21})[0]
    y, x = np.mgrid[:257, :257] - 128
    radii = np.abs(np.hypot(y, x)[..., None] - np.abs(np.array([60, 97, 155, 181]) - 130)).min(axis=-1)
    true, on_rings = truth.slice(), truth.flat_parts() & (radii < 0.7)
    beside = truth.flat_parts() & (radii > 3) & (radii < 5)
    step = [abs((image - true)[on_rings].std()) for image in (cleaned, without)]
    assert step[0] < 0.6 * step[1]
    assert cleaned[beside].mean() == pytest.approx(true[beside].mean(), rel=0.05)


def test_that_bright_outliers_are_removed(work: Work, tmp_path: Path, environment: Environment) -> None:
    def hit(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(3)
        for frame in np.flatnonzero(keys == 0):
            frames[frame, rng.integers(4), rng.integers(30, 70)] = 60000
        return frames, keys, rotation

    scan = nxtomo(tmp_path / "scan.nx", TRUTH, change=hit)
    where, true = TRUTH.flat_parts(), TRUTH.slice()
    without = Work(tmp_path / "other", environment).run(scan, PLAIN)[0]
    cleaned = work.run(scan, {**PLAIN, "zinger_threshold": 0.3})[0]
    assert np.std((cleaned - true)[where]) < 0.5 * np.std((without - true)[where])


# -- Phase ------------------------------------------------------------------------------------------------------------

def retrieved(work: Work, image: np.ndarray, length_pixels: float, margin: bool = False) -> Any:
    """Paganin's filter of the recipe on a transmission, with that length."""
    np.save(work.folder / "image.npy", image.astype("f4"))
    return np.array(work.environment.evaluate(work.folder, f"""
import numpy as np
from tomo_projections import Phase
from tomo_scan import Scan
class S: pass
scan = S()
scan.energy_kev, scan.distance_m, scan.pixel_m = 20.0, 0.1, (1e-6, 1e-6)
wavelength = 1.23984198433e-9 / 20.0
delta_beta = 4 * np.pi * ({length_pixels} * 1e-6)**2 / (wavelength * 0.1)
phase = Phase(scan, {{"delta_beta": delta_beta}}, 1)
assert abs(phase.lengths[0] - {length_pixels}) < 1e-9
result = phase.retrieve(np.load("image.npy")).tolist()
"""))


def test_that_phase_retrieval_weakens_a_wave_as_the_formula_says(work: Work) -> None:
    x = np.arange(256)
    for period, length in ((16, 3.0), (32, 5.0)):
        image = np.broadcast_to(1 + 0.2 * np.cos(2 * np.pi * x / period), (64, 256))
        out = retrieved(work, image, length)
        expected = 1 + 0.2 / (1 + (2 * np.pi * length / period) ** 2) * np.cos(2 * np.pi * x / period)
        inside = slice(int(16 * length), -int(16 * length))
        np.testing.assert_allclose(out[32][inside], expected[inside], atol=2e-6)


def test_that_phase_retrieval_blurs_an_edge_into_exponentials(work: Work) -> None:
    """(1 - L² ∇²) u = step has the solution 1 - ½ e^(-x/L) on one side and ½ e^(x/L) on the other."""
    x, length = np.arange(400) - 199.5, 8.0
    out = retrieved(work, np.broadcast_to((x > 0) * 1.0, (120, 400)), length)
    expected = np.where(x > 0, 1 - 0.5 * np.exp(-np.abs(x) / length), 0.5 * np.exp(-np.abs(x) / length))
    np.testing.assert_allclose(out[60], expected, atol=1e-3)       # of the sampled step


@pytest.mark.parametrize("values", [{}, {"phase": "paganin", "delta_beta": 3.0, "zinger_threshold": 0.3},
                                    {"binning": 2, "zinger_threshold": 0.2, "rows": "3:265"}])
def test_that_slabs_give_what_the_whole_gives(work: Work, tmp_path: Path, environment: Environment,
                                              values: dict[str, Any]) -> None:
    truth = Truth(rows=270, columns=49, centre=24.5, size=0.5, angles=np.arange(20) * 9.0, slope=0.001)

    def uneven(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        rng = np.random.default_rng(5)
        frames[keys == 0] -= rng.integers(0, 900, (20, 270, 49)).astype("u2")
        return frames, keys, rotation

    scan = nxtomo(tmp_path / "scan.nx", truth, change=uneven)
    values = {**PLAIN, "centre": 24.5, **values}
    whole = work.run(scan, values)
    slabs = Work(tmp_path / "slabs", environment).run(scan, values, tasks=3)
    np.testing.assert_allclose(slabs, whole, atol=2e-5 * np.abs(whole).max())


def test_that_phase_retrieval_keeps_a_wide_objects_attenuation(work: Work, tmp_path: Path) -> None:
    truth = Truth(rows=24, angles=np.arange(180) * 1.0)
    volume = work.run(nxtomo(tmp_path / "scan.nx", truth), {**PLAIN, "phase": "paganin", "delta_beta": 3.0})
    where = truth.flat_parts(8)
    row = volume[12][where] / (truth.slice()[where] * 2.2)
    assert row.mean() == pytest.approx(1, abs=0.03)
