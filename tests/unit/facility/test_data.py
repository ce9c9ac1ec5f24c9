"""The demo's data: where facilities would have it, whole, and meaning what it says."""

from __future__ import annotations

import stat
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
import pytest

from app.facility.data import layout, rotation, scattering, tomography
from app.resources import resource_path
from tests.peers.need import need_module


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    layout.make_data(root, "small", lambda text: None)
    return root / "visitor"


def default_signal(file: h5py.File) -> h5py.Dataset:
    """By the NeXus rule: the @default chain, then @signal."""
    node: h5py.Group = file
    while "signal" not in node.attrs:
        node = node[node.attrs["default"]]
        assert "NX_class" in node.attrs
    return node[node.attrs["signal"]]


def test_that_data_lie_as_facilities_lay_them_out(data: Path) -> None:
    for folder in layout.FOLDERS:
        proposal, beamline, date, raw, _ = folder.path.split("/")
        assert raw == "RAW_DATA"
        assert (data / proposal / beamline / date / "PROCESSED_DATA").is_dir()
        files = list((data / folder.path).iterdir())
        assert files
        assert all(stat.S_IMODE(f.stat().st_mode) == 0o444 for f in files)


def test_that_measured_files_are_unchanged_and_come_with_their_licence(data: Path) -> None:
    attribution = resource_path("demo", "ATTRIBUTION.md").read_text(encoding="utf-8")
    for folder in layout.FOLDERS:
        for name in folder.copied:
            assert name in attribution
            assert (data / folder.path / name).read_bytes() == resource_path("demo", name).read_bytes()
            assert (data / folder.path / "ATTRIBUTION.md").exists()


@pytest.mark.parametrize(("path", "frames"), [
    ("mx2345/mx/20261115/RAW_DATA/lysozyme/lysozyme_0001_master.h5", 4),
    ("sc5678/saxs/20261112/RAW_DATA/spheres/spheres_0001.nxs", 6),
    ("md1001/tomo/20261110/RAW_DATA/phantom/phantom_0001.nx", 36)])
def test_that_the_default_chain_leads_to_the_frames(data: Path, path: str, frames: int) -> None:
    with h5py.File(data / path) as file:
        signal = default_signal(file)
        assert signal.shape[0] == frames
        assert signal.ndim == 3


def test_that_a_thousand_scans_would_each_have_a_plot(data: Path) -> None:
    with h5py.File(data / "sc5678/saxs/20261112/RAW_DATA/alignment/alignment_0001.h5") as file:
        assert set(file) == {f"{n}.1" for n in range(1, 31)}
        for scan in file.values():
            plot = scan[scan.attrs["default"]]
            (axis,) = plot.attrs["axes"]
            assert plot[plot.attrs["signal"]].shape == plot[axis].shape
            assert scan["title"][()].decode().split()[0] in ("ascan", "loopscan")
            assert "T" in scan["start_time"][()].decode()


def test_that_gaps_of_the_rotation_series_are_the_sentinel_and_in_the_mask(data: Path) -> None:
    with h5py.File(data / "mx2345/mx/20261115/RAW_DATA/lysozyme/lysozyme_0001_master.h5") as file:
        frames = file["entry/data/data"]
        assert frames.is_virtual
        assert frames.dtype == "uint32"
        mask = file["entry/instrument/detector/pixel_mask"][()]
        assert (mask[514:551] & 1).all()
        for number in range(len(frames)):
            assert np.array_equal(frames[number] == rotation.SENTINEL, mask != 0)
        part = file["entry/data/data_000001"]
        assert part.chunks == (1, *frames.shape[1:])
        assert part.id.get_create_plist().get_filter(0)[0] == 32008
        assert np.array_equal(part[0], frames[0])
        assert not np.array_equal(frames[0], frames[1])


def test_that_a_full_eiger_has_its_real_shape_and_gaps() -> None:
    geometry = rotation.Geometry((4, 2), 200)
    gaps = geometry.gaps()
    assert geometry.shape == (2167, 2070)
    assert list(np.flatnonzero(gaps.all(axis=1))) == [*range(514, 551), *range(1065, 1102), *range(1616, 1653)]
    assert list(np.flatnonzero(gaps.all(axis=0))) == list(range(1030, 1040))


def test_that_azimuthal_integration_gives_the_form_factor_that_was_put_in(data: Path) -> None:
    pyfai = need_module("pyFAI")
    folder = data / "sc5678/saxs/20261112/RAW_DATA/spheres"
    integrator = pyfai.load(str(folder / "spheres_0001.poni"))
    mask = np.load(folder / "mask.npy")
    with h5py.File(folder / "spheres_0001.nxs") as file:
        for number, radius in ((0, 4.0), (5, 8.0)):
            assert file["entry/sample/radius"][number] == radius
            result = integrator.integrate1d(file["entry/data/data"][number], 100, unit="q_nm^-1", mask=mask,
                                            error_model="poisson", correctSolidAngle=False)
            kept = (result.radial > 0.3) & (result.sigma > 0)
            expected = scattering.curve(result.radial, radius)
            off = np.abs(result.intensity - expected)[kept] / (result.sigma[kept] + 0.02 * expected[kept])
            assert np.median(off) < 1.5


def test_that_the_masks_agree(data: Path) -> None:
    fabio = need_module("fabio")
    folder = data / "sc5678/saxs/20261112/RAW_DATA/spheres"
    mask = np.load(folder / "mask.npy")
    assert np.array_equal(fabio.open(str(folder / "mask.edf")).data, mask)
    with h5py.File(folder / "spheres_0001.nxs") as file:
        assert np.array_equal(file["entry/instrument/detector/pixel_mask"][()] != 0, mask == 1)
        assert (file["entry/data/data"][0][file["entry/instrument/detector/pixel_mask"][()] & 1 != 0] == -1).all()


def test_that_a_projection_is_the_integral_of_the_phantom() -> None:
    """The mass of each slice is the same from every side."""
    sums = [tomography.projection(angle, 40, 80).sum(axis=1) for angle in (0.0, 33.0, 90.0, 157.0)]
    for other in sums[1:]:
        assert np.allclose(other, sums[0], rtol=0.03, atol=0.5)


def test_that_tomography_frames_are_told_apart(data: Path) -> None:
    with h5py.File(data / "md1001/tomo/20261110/RAW_DATA/phantom/phantom_0001.nx") as file:
        detector = file["entry/instrument/detector"]
        keys = detector["image_key"][()]
        assert {int(k): int((keys == k).sum()) for k in np.unique(keys)} == {0: 30, 1: 3, 2: 3}
        assert detector["data"][0].mean() < 200 < detector["data"][10].mean() < detector["data"][4].mean()
        assert file["entry/sample/rotation_angle"].attrs["units"] == "degree"
        assert int(file["entry/data"].attrs["default_slice"][0]) == int(np.argmax(keys == 0))


def test_that_the_same_start_gives_the_same_bytes_of_data(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        tomography.make(tmp_path / name, small=True)
    with h5py.File(tmp_path / "a" / tomography.NAME) as a, h5py.File(tmp_path / "b" / tomography.NAME) as b:
        assert np.array_equal(a["entry/data/data"][()], b["entry/data/data"][()])


def test_that_what_is_there_is_not_made_again_and_results_are_kept(tmp_path: Path) -> None:
    said: list[str] = []
    layout.make_data(tmp_path, "small", said.append)
    assert len(said) == len(layout.FOLDERS)
    result = tmp_path / "visitor/sc5678/saxs/20261112/PROCESSED_DATA/mine.h5"
    result.write_bytes(b"x")
    layout.make_data(tmp_path, "small", said.append)
    assert len(said) == len(layout.FOLDERS)
    assert result.read_bytes() == b"x"
