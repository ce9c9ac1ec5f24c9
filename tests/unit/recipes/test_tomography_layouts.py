"""Whatever the files look like, the same measurement gives the same slice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from fabio.edfimage import EdfImage
from fabio.tifimage import TifImage

from tests.unit.recipes.tomography import Environment, Truth, Work, nxtomo

TRUTH = Truth()
PLAIN = {"rings": "none", "centre": TRUTH.centre, "value_unit": "1/pixel"}
EVEN = {"angle_stop": 180.0, "angle_stop_included": False}


@pytest.fixture(scope="module")
def expected(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """The volume from NXtomo, which the phantom itself confirms."""
    folder = tmp_path_factory.mktemp("expected")
    volume = Work(folder / "job", environment).run(nxtomo(folder / "scan.nx", TRUTH), PLAIN)
    assert_true(volume)
    return volume


def assert_true(volume: np.ndarray) -> None:
    """Every row is the phantom's, in its place, within 2 % (in the mean of each part 0.5 %)."""
    where, truth = TRUTH.flat_parts(), TRUTH.slice()
    for row, image in enumerate(volume):
        ratio = image[where] / (truth[where] * (1 + row / 10))
        assert ratio.mean() == pytest.approx(1, abs=0.005)
        assert ratio.std() < 0.02


def linked(folder: Path) -> tuple[str, dict[str, Any]]:
    """The frames are in a file of their own, the entry is a subentry, and only NXdata leads there."""
    frames = nxtomo(folder / "frames.h5", TRUTH)
    with h5py.File(folder / "scan.nxs", "w") as file:
        file.create_group("entry1").attrs["NX_class"] = "NXentry"
        tomo = file.create_group("entry1/tomo_entry")
        tomo.attrs["NX_class"] = "NXsubentry"
        data = tomo.create_group("data")
        data.attrs["NX_class"] = "NXdata"
        for key in ("data", "image_key_control"):
            data[key] = h5py.ExternalLink(frames.name, f"/entry/instrument/detector/{key}")
        data["rotation_angle"] = h5py.ExternalLink(frames.name, "/entry/sample/rotation_angle")
    return str(folder / "scan.nxs"), {}


def two_entries(folder: Path) -> tuple[str, dict[str, Any]]:
    other = Truth(centre=40.0)
    path = nxtomo(folder / "scan.nx", other, "entry0000")
    nxtomo(path, TRUTH, "entry0001", units="rad")
    return f"{path}::/entry0001/instrument/detector/data", {}


def data_exchange(folder: Path, units: str | None = "radians") -> tuple[str, dict[str, Any]]:
    with h5py.File(folder / "scan.h5", "w") as file:
        file["implements"] = "exchange"
        file["exchange/data"] = TRUTH.counts()
        file["exchange/data_white"] = np.stack([TRUTH.flat()] * 3)
        file["exchange/data_dark"] = TRUTH.dark()[None]
        file["exchange/theta"] = np.radians(TRUTH.angles)
        if units:
            file["exchange/theta"].attrs["units"] = units
    return str(folder / "scan.h5"), {}


def unitless(folder: Path) -> tuple[str, dict[str, Any]]:
    return data_exchange(folder, None)


def bliss(folder: Path) -> tuple[str, dict[str, Any]]:
    path = folder / "scan_0001.h5"
    with h5py.File(path, "w") as file:
        scans = (("1.1", "tomo:halfturn", None), ("2.1", "dark images", TRUTH.dark()[None]),
                 ("3.1", "reference images 0", TRUTH.flat()[None]), ("4.1", "projections 0 - 120", TRUTH.counts()),
                 ("5.1", "reference images 120", TRUTH.flat()[None]), ("6.1", "static images", TRUTH.counts()[:2]))
        for name, title, frames in scans:
            entry = file.create_group(name)
            entry.attrs["NX_class"] = "NXentry"
            entry["title"] = title
            if frames is None:
                entry["technique/scan/energy"] = 25.0
                entry["technique/scan/sample_detector_distance"] = 30.0
                entry["technique/optic/sample_pixel_size"] = 2.0
                continue
            detector = entry.create_group("instrument/pcolinux")
            detector.attrs["NX_class"] = "NXdetector"
            detector["data"] = frames
            entry["measurement/pcolinux"] = h5py.SoftLink(f"/{name}/instrument/pcolinux/data")
            entry["measurement/hrsrot"] = TRUTH.angles if title.startswith("proj") else np.zeros(len(frames))
            file.create_group(name.replace(".1", ".2")).attrs["NX_class"] = "NXentry"
    return str(path), {}


def groups(folder: Path) -> tuple[str, dict[str, Any]]:
    with h5py.File(folder / "scan.h5", "w") as file:
        file["scan/projections/data"] = TRUTH.counts()
        file["scan/flats/0"] = TRUTH.flat()
        file["scan/flats/119"] = TRUTH.flat()
        file["scan/darks/0"] = TRUTH.dark()
        file["scan/rotation_angle"] = TRUTH.angles
        file["scan/rotation_angle"].attrs["units"] = "deg"
    return str(folder / "scan.h5"), {}


def separate_files(folder: Path) -> tuple[str, dict[str, Any]]:
    for name, frames in (("proj", TRUTH.counts()), ("flats", TRUTH.flat()[None]), ("darks", TRUTH.dark()[None])):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["entry/data"] = frames
    return f"{folder}/proj.h5::/entry/data", {
        "flats": f"{folder}/flats.h5::/entry/data", "darks": f"{folder}/darks.h5", **EVEN}


def tiffs(folder: Path) -> tuple[str, dict[str, Any]]:
    (folder / "tiffs").mkdir()
    for number, frame in enumerate(TRUTH.counts()):
        TifImage(data=frame).write(str(folder / "tiffs" / f"raw_{number}.tif"))     # not padded: 10 is after 9
    TifImage(data=TRUTH.flat().astype("f4")).write(str(folder / "flat_00001.tif"))
    TifImage(data=TRUTH.dark().astype("f4")).write(str(folder / "dark_00001.tif"))
    return str(folder), EVEN


def tiff_folders(folder: Path) -> tuple[str, dict[str, Any]]:
    for name, frames in (("sample", TRUTH.counts()), ("flats", [TRUTH.flat()] * 2), ("darks", [TRUTH.dark()] * 2)):
        (folder / name).mkdir()
        for number, frame in enumerate(frames):
            TifImage(data=frame).write(str(folder / name / f"im_{number:04d}.tif"))
    (folder / "angles.txt").write_text("# degrees\n" + "".join(f"{n}, {a:.6f}\n" for n, a in enumerate(TRUTH.angles)))
    return str(folder / "sample" / "im_0000.tif"), {"angles_file": str(folder / "angles.txt")}


def edf(folder: Path) -> tuple[str, dict[str, Any]]:
    place = folder / "tooth_"
    place.mkdir()
    counts = TRUTH.counts()
    for number, frame in enumerate([*counts, counts[0], counts[60]]):       # two more after the scan, as ESRF took
        EdfImage(data=frame).write(str(place / f"tooth_{number:04d}.edf"))
    for number in (0, 120):
        EdfImage(data=TRUTH.flat()).write(str(place / f"refHST{number:04d}.edf"))
    EdfImage(data=TRUTH.dark().astype("u4") * 5).write(str(place / "darkend0000.edf"))
    (place / "tooth_.info").write_text("Prefix=tooth_\nEnergy= 25\nDistance= 30\nPixelSize= 2\nTOMO_N= 120\nDARK_N= 5\n"
                                       "ScanRange= 180\n")
    return str(place), {}


LAYOUTS: dict[str, Callable[[Path], tuple[str, dict[str, Any]]]] = {
    made.__name__: made for made in (linked, two_entries, data_exchange, unitless, bliss, groups, separate_files, tiffs,
                                     tiff_folders, edf)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_that_every_layout_gives_the_same_slices(layout: str, tmp_path: Path, environment: Environment,
                                                 expected: np.ndarray) -> None:
    (tmp_path / "data").mkdir()
    scan, values = LAYOUTS[layout](tmp_path / "data")
    volume = Work(tmp_path / "job", environment).run(scan, {**PLAIN, **values})
    np.testing.assert_allclose(volume, expected, atol=2e-6)


@pytest.mark.parametrize("layout", ["nxtomo", "bliss", "edf"])
def test_that_energy_distance_and_pixel_size_are_taken_from_the_file(layout: str, tmp_path: Path,
                                                                     environment: Environment) -> None:
    (tmp_path / "data").mkdir()
    scan = str(nxtomo(tmp_path / "data" / "scan.nx", TRUTH)) if layout == "nxtomo" else \
        LAYOUTS[layout](tmp_path / "data")[0]
    work = Work(tmp_path / "job", environment)
    work.run(scan, {"centre": TRUTH.centre, "phase": "paganin", "delta_beta": 1.0})
    about = json.loads(work.process("scan"))
    assert about["energy_kev"] == pytest.approx(25.0)
    assert about["distance_m"] == pytest.approx(0.03)
    assert about["pixel_size_m"] == pytest.approx([2e-6, 2e-6])


def test_that_excluded_frames_and_angles_that_are_not_known_are_left_out_and_told(tmp_path: Path,
                                                                                  environment: Environment) -> None:
    def change(frames: np.ndarray, keys: np.ndarray, rotation: np.ndarray) -> tuple[np.ndarray, ...]:
        rotation[[20, 60]] = np.nan
        return frames, keys, rotation

    work = Work(tmp_path / "job", environment)
    volume = work.run(nxtomo(tmp_path / "scan.nx", TRUTH, change=change), PLAIN)
    about = json.loads(work.process("scan"))
    assert about["projections"] == 118
    assert any("2 of 120 projections have no angle" in note for note in about["notes"])
    assert any("2 of 127 frames are marked as excluded" in note for note in about["notes"])
    assert_true(volume)


def test_that_the_default_entry_is_taken_where_none_is_named(tmp_path: Path, environment: Environment,
                                                             expected: np.ndarray) -> None:
    scan = two_entries(tmp_path)[0].partition("::")[0]
    assert "name one, for example" in Work(tmp_path / "job", environment).fault(scan, PLAIN)
    with h5py.File(scan, "a") as file:
        file.attrs["default"] = "entry0001"
    np.testing.assert_allclose(Work(tmp_path / "again", environment).run(scan, PLAIN), expected, atol=2e-6)


def test_that_frames_which_share_chunks_are_read_once(tmp_path: Path, environment: Environment,
                                                     expected: np.ndarray) -> None:
    with h5py.File(nxtomo(tmp_path / "scan.nx", TRUTH), "a") as file:
        detector = file["entry/instrument/detector"]
        frames = detector["data"][()]
        del detector["data"]
        detector.create_dataset("data", data=frames, chunks=(16, 3, 20), compression="gzip")
    work = Work(tmp_path / "job", environment)
    np.testing.assert_allclose(work.run(tmp_path / "scan.nx", PLAIN), expected, atol=2e-6)
    reads = environment.evaluate(work.folder, f"""
from beamside_job import Source
from tomo_scan import Frames
class Counted:
    def __init__(self, dataset): self.dataset, self.reads = dataset, 0
    chunks = property(lambda self: self.dataset.chunks)
    id = property(lambda self: self.dataset.id)
    def __getitem__(self, what):
        self.reads += 1
        return self.dataset[what]
source = Source({str(tmp_path / "scan.nx") + "::/entry/instrument/detector/data"!r})
source.dataset = Counted(source.dataset)
frames = Frames.of(source, range(4, 124))
for number in range(120):
    frames.rows(number, 1, 3)
result = source.dataset.reads
""")
    assert reads == 8       # of 16 frames each


def test_that_the_measured_tiff_stack_is_reconstructed(tmp_path: Path, environment: Environment,
                                                       beamside_data: Path) -> None:
    work = Work(tmp_path / "job", environment)
    volume = work.run(beamside_data / "tomo" / "tiff_stack", {"angle_stop": 180.0, "rows": "60:64"})
    assert volume.shape == (4, 160, 160)
    assert np.isfinite(volume).all()
    assert volume.std() > 0
