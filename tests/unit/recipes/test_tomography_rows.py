"""Tomography reads only the rows of a file that a slice needs, and nothing twice; the numbers stay the job's."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest
from PIL import Image

from app.recipes.catalogue import shipped_recipes
from app.recipes.parameters import complete
from tests.unit.recipes.tomography import Environment, Truth, Work, nxtomo

TRUTH = Truth(rows=24)
VALUES = {"rings": "none", "value_unit": "1/pixel", "angle_stop": 178.5}
# Asks as `beamside_trial` does, in the environment's process: what was read of projections, and the slices.
ASK = """
import h5py, numpy as np, types
import tomo_rows, tomo_trial
from beamside_frames import Source
from beamside_task import Task
tomo_trial._KEPT.clear()
tomo_rows.AT_ONCE = 2 * 97 * 2
reads, images = [], []
read_rows, raw, plain = tomo_rows.read_rows, Source.raw, tomo_rows.Plain.rows
def counted(source, start, stop, first, last):
    if "FLAT" not in source.name and "DARK" not in source.name:
        reads.append((start, stop, first, last))
    return read_rows(source, start, stop, first, last)
tomo_rows.read_rows = counted
whole = []
def counted_raw(self, number):
    if self.dataset is None:
        whole.append(number)
    return raw(self, number)
Source.raw = counted_raw
counts, wholes = [], []
try:
    for values, files in zip(QUESTIONS, FILES):
        for name, text in files.items():
            open(name, "w").write(text)
        task = Task({"inputs": [SCAN], "parameters": values}, {"BEAMSIDE_STEP": "trial", "BEAMSIDE_CPUS": "1"})
        reads.clear(); whole.clear()
        with h5py.File("answer.h5", "w") as task.answer:
            path = tomo_trial.trial(task)
            images.append(task.answer[path + "/data"][()])
        counts.append([list(r) for r in reads]); wholes.append(len(whole))
finally:
    tomo_rows.read_rows, Source.raw = read_rows, raw
    tomo_trial._KEPT.clear()
np.save("slices.npy", np.stack([i for i in images if i.shape == images[0].shape]))
result = {"reads": counts, "whole": wholes}
"""


@pytest.fixture(scope="module")
def volume(environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """What the job gives of the same scan."""
    folder = tmp_path_factory.mktemp("job")
    return Work(folder / "job", environment).run(nxtomo(folder / "scan.nx", TRUTH), VALUES)


def asked(environment: Environment, folder: Path, scan: Path, *questions: dict[str, Any]) -> tuple[Any, np.ndarray]:
    """What each question had to read, and its slice."""
    recipe = shipped_recipes()["tomography"]
    values = [dict(complete(recipe, {**VALUES, **question})) for question in questions]
    return _asked(environment, folder, scan, values, [{} for _ in values])


def _asked(environment: Environment, folder: Path, scan: Path, values: list[dict[str, Any]],
           files: list[dict[str, str]]) -> tuple[Any, np.ndarray]:
    told = environment.evaluate(folder, f"SCAN = {str(scan)!r}\nQUESTIONS = {values!r}\nFILES = {files!r}\n{ASK}")
    return told, np.load(folder / "slices.npy")


def stored(path: Path, chunks: tuple[int, ...] | None) -> Path:
    with h5py.File(nxtomo(path, TRUTH), "a") as file:
        detector = file["entry/instrument/detector"]
        frames = detector["data"][()]
        del detector["data"]
        detector.create_dataset("data", data=frames, chunks=chunks, compression="gzip" if chunks else None)
    return path


def rows_read(reads: list[list[int]]) -> int:
    return sum((stop - start) * (last - first) for start, stop, first, last in reads)


@pytest.mark.parametrize("chunks", [None, (1, 24, 97), (16, 4, 97)], ids=["contiguous", "frames", "blocks"])
def test_that_a_trial_reads_the_rows_of_its_slice_once_and_gives_the_jobs_slice(
        environment: Environment, tmp_path: Path, volume: np.ndarray, chunks: tuple[int, int, int] | None) -> None:
    scan = stored(tmp_path / "scan.nx", chunks)
    told, slices = asked(environment, tmp_path, scan, {"slice": 3}, {"slice": 3, "energy": 30.0}, {"slice": 2},
                         {"slice": 20}, {"slice": 20, "binning": 2}, {"slice": 20, "binning": 2, "method": "dfi"})
    for got, row in zip(slices, (3, 3, 2, 20), strict=False):
        np.testing.assert_allclose(got[:97, :97], volume[row], atol=1e-7)
    per_frame = [rows_read(reads) / len(TRUTH.angles) for reads in told["reads"]]
    # The rows of slice and axis with those that come along, and all rows of the few projections half a turn apart (and
    # of 15 more with each, where 16 frames share a chunk).
    assert per_frame[0] < {None: 6, (1, 24, 97): 27, (16, 4, 97): 40}[chunks], per_frame
    assert per_frame[1] == 0, "another energy reads nothing again"
    assert per_frame[2] == 0, "a neighbour slice came along"
    assert per_frame[3] <= {None: 2, (1, 24, 97): 0, (16, 4, 97): 4.3}[chunks], "the rows of another slice, if at all"
    assert per_frame[5] == 0, "another method reads nothing again"


@pytest.mark.parametrize("values", [
    {"zinger_threshold": 1.5, "binning": 2, "average": "median"},
    {"phase": "paganin", "delta_beta": 2.0, "rows": "4:20"}], ids=["binned", "phase"])
def test_that_corrections_that_need_neighbours_give_the_jobs_slice_too(
        environment: Environment, tmp_path: Path, values: dict[str, Any]) -> None:
    scan = stored(tmp_path / "scan.nx", None)
    job = Work(tmp_path / "job", environment).run(scan, {**VALUES, **values})
    _, slices = asked(environment, tmp_path, scan, {**values, "slice": 6}, {**values, "slice": 19})
    for got, row in zip(slices, (3, 9) if "binning" in values else (2, 15), strict=True):
        np.testing.assert_allclose(got, job[row], atol=1e-6)


def test_that_no_chunk_is_read_twice_for_slice_and_axis(environment: Environment, tmp_path: Path) -> None:
    scan = stored(tmp_path / "scan.nx", (1, 24, 97))
    told, _ = asked(environment, tmp_path, scan, {"slice": 1, "centre_method": "vo"})
    frames = [start for start, _, _, _ in told["reads"][0] if 4 <= start < 4 + len(TRUTH.angles)]
    assert sorted(frames) == sorted(set(frames))
    assert len(frames) == len(TRUTH.angles)


def test_that_rows_beyond_the_memory_are_not_kept_but_read(environment: Environment, tmp_path: Path,
                                                           volume: np.ndarray) -> None:
    scan = stored(tmp_path / "scan.nx", None)
    told = environment.evaluate(tmp_path, f"""
from tomo_layouts import open_scan
import numpy as np
scan = open_scan({str(scan)!r}, {{}})
frames = scan.projections
each = len(frames) * 97 * 2
frames.hold([(2, 4), (10, 11)], 3 * each - 1)
nothing = len(frames._bands)
frames.hold([(2, 4), (10, 11)], 3 * each)
one = [(a, b, v.nbytes) for a, b, v in frames._bands]
before = np.stack([frames.rows(n, 3, 4) for n in range(len(frames))])
frames._bands = []
result = [nothing, sum(n for _, _, n in one) <= 3 * each,
          bool((np.stack([frames.rows(n, 3, 4) for n in range(len(frames))]) == before).all())]
""")
    assert told == [0, True, True]


# -- Images -----------------------------------------------------------------------------------------------------------

def big_endian_tiff(path: Path, image: np.ndarray, strip: int, page_tags: dict[int, int] | None = None) -> None:
    """A TIFF in strips of ``strip`` rows, big-endian, its strips written from the last one to the first."""
    rows, columns = image.shape
    data = image.astype(">u2")
    starts = list(range(0, rows, strip))
    body, offsets = b"", {}
    for start in reversed(starts):
        offsets[start] = 8 + len(body)
        body += data[start:start + strip].tobytes()
    place = 8 + len(body)
    tags = {256: (4, columns), 257: (4, rows), 258: (3, 16), 259: (3, 1), 262: (3, 1), 277: (3, 1), 278: (4, strip),
            339: (3, 1), **{key: (3, value) for key, value in (page_tags or {}).items()}}
    entries = b""
    for tag in sorted({**tags, 273: (4, 0), 279: (4, 0)}):
        if tag in (273, 279):
            entries += tag.to_bytes(2, "big") + (4).to_bytes(2, "big") + len(starts).to_bytes(4, "big")
            entries += (place if tag == 273 else place + 4 * len(starts)).to_bytes(4, "big")
        else:
            kind, value = tags[tag]
            entries += tag.to_bytes(2, "big") + kind.to_bytes(2, "big") + (1).to_bytes(4, "big")
            entries += value.to_bytes(4, "big") if kind == 4 else value.to_bytes(2, "big") + b"\0\0"
    counts = b"".join((min(strip, rows - s) * columns * 2).to_bytes(4, "big") for s in starts)
    table = b"".join(offsets[s].to_bytes(4, "big") for s in starts) + counts
    directory = (len(tags) + 2).to_bytes(2, "big") + entries + b"\0\0\0\0"
    path.write_bytes(b"MM\0*" + (place + len(table)).to_bytes(4, "big") + body + table + directory)


def image_folder(folder: Path, kind: str) -> Path:
    folder.mkdir()
    images = {f"proj_{n:04d}": image for n, image in enumerate(TRUTH.counts())}
    images.update({f"flat_{n}": TRUTH.flat() for n in range(3)})
    images.update({f"dark_{n}": TRUTH.dark() for n in range(2)})
    for name, image in images.items():
        if kind == "edf":
            fabio.edfimage.EdfImage(data=image, header={"title": "scan = 5"}).write(str(folder / f"{name}.edf"))
        elif kind == "strips":
            big_endian_tiff(folder / f"{name}.tif", image, 5)
        elif kind == "tiff":
            fabio.tifimage.TifImage(data=image).write(str(folder / f"{name}.tif"))
        else:
            Image.fromarray(image).save(folder / f"{name}.tif", compression="tiff_lzw")
    return folder


@pytest.mark.parametrize("kind", ["tiff", "strips", "edf", "compressed"])
def test_that_of_images_only_the_needed_rows_are_read_where_they_are_not_compressed(
        environment: Environment, tmp_path: Path, volume: np.ndarray, kind: str) -> None:
    scan = image_folder(tmp_path / "images", kind)
    told, slices = asked(environment, tmp_path, scan, {"slice": 3}, {"slice": 20})
    for got, row in zip(slices, (3, 20), strict=True):
        np.testing.assert_allclose(got, volume[row], atol=2e-5)     # other flats: mean of three, not of two and one
    if kind == "compressed":
        assert told["whole"][1] == 0, "images that had to be read whole are not read again"
        assert told["whole"][0] < 2 * len(TRUTH.angles)
    else:
        assert max(told["whole"]) <= 3, "one image each of projections, flats and darks, to see that it is read rightly"


def test_that_pages_of_one_tiff_are_read_by_rows(environment: Environment, tmp_path: Path) -> None:
    counts = TRUTH.counts()[:9]
    first, *others = [Image.fromarray(image) for image in counts]
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    got = environment.evaluate(tmp_path, """
import tomo_rows
from beamside_job import Source
source = Source("pages.tif")
raw, calls = Source.raw, []
Source.raw = lambda self, n: calls.append(n) or raw(self, n)
try:
    rows = tomo_rows.read_rows(source, 2, 7, 5, 8)
finally:
    Source.raw = raw
result = [rows.tolist(), len(calls)]
""")
    np.testing.assert_array_equal(got[0], counts[2:7, 5:8])
    assert got[1] == 1


def test_that_an_inverted_image_is_left_to_fabio(environment: Environment, tmp_path: Path) -> None:
    image = TRUTH.counts()[0]
    big_endian_tiff(tmp_path / "whole.tif", image, 5)
    big_endian_tiff(tmp_path / "inverted.tif", image, 5, {262: 0})
    got = environment.evaluate(tmp_path, """
import tomo_rows
result = [tomo_rows.plain_image("whole.tif", 0) is not None, tomo_rows.plain_image("inverted.tif", 0) is None]
""")
    assert got == [True, True]


def little_endian_tiff(*tags: tuple[int, int, int, int], big: bool = False) -> bytes:
    """A TIFF of 4 x 4 pixels of uint16 behind its only page; ``tags``: (number, type, count, value) instead of, or
    beside, those that belong there."""
    usual = {256: (4, 1, 4), 257: (4, 1, 4), 258: (3, 1, 16), 273: (4, 1, 400), 278: (4, 1, 4)}
    usual.update({number: (kind, count, value) for number, kind, count, value in tags})
    wide, place = ("<HHQQ", "Q") if big else ("<HHII", "I")
    head = b"II" + (struct.pack("<HHHQ", 43, 8, 0, 16) if big else struct.pack("<HI", 42, 8))
    page = struct.pack("<Q" if big else "<H", len(usual)) + b"".join(
        struct.pack(wide, number, *rest) for number, rest in sorted(usual.items())) + struct.pack("<" + place, 0)
    return (head + page).ljust(400, b"\0") + np.arange(16, dtype="<u2").tobytes()


ODD = {
    "cut.tif": little_endian_tiff()[:-1], "strips beyond.tif": little_endian_tiff((273, 4, 0xFFFFFFFF, 8)),
    "no width.tif": little_endian_tiff((256, 4, 0, 0)), "empty strips.tif": little_endian_tiff((278, 4, 1, 0)),
    "too few strips.tif": little_endian_tiff((278, 4, 1, 2)),
    "many strips.tif": little_endian_tiff((273, 16, 2**61, 8), big=True),
    "far.tif": little_endian_tiff((273, 16, 1, 2**64 - 16), big=True),
    "many tags.tif": b"II" + struct.pack("<HHHQQ", 43, 8, 0, 16, 2**64 - 1),
    "no rows.edf": b"{\nDataType = UnsignedShort ;\nDim_1 = 4 ;\n}\n" + bytes(8),
    "negative.edf": b"{\nDataType = UnsignedShort ;\nDim_1 = -4 ;\nDim_2 = -4 ;\n}\n" + bytes(32),
    "long words.edf": b"{\nDataType = UnsignedShort ;\n" + b"a" * 500_000 + b"a=" * 200_000 + b"\n}\n" + bytes(32),
}


def test_that_images_that_lie_about_themselves_are_left_to_fabio(environment: Environment, tmp_path: Path) -> None:
    """None is read past its end or as what happened to be in memory, nor takes memory for what is not there."""
    good = {"right.tif": little_endian_tiff(), "right big.tif": little_endian_tiff(big=True)}
    for name, content in {**ODD, **good}.items():
        (tmp_path / name).write_bytes(content)
    got = environment.evaluate(tmp_path, """
import os, types
import numpy as np
import tomo_rows
result = {}
for name in sorted(n for n in os.listdir(".") if n.endswith((".tif", ".edf"))):
    source = types.SimpleNamespace(plain=True, shape=(4, 4), dtype=np.dtype("u2"), dataset=None,
                                   place=lambda number, name=name: (name, 0), raw=lambda number: np.zeros((4, 4), "u2"))
    result[name] = tomo_rows._image_rows(source, 0, 0, 4).tolist()
""")
    right = np.arange(16).reshape(4, 4).tolist()
    assert [name for name, rows in got.items() if rows == right] == ["right big.tif", "right.tif"]
    assert all(rows == np.zeros((4, 4)).tolist() for name, rows in got.items() if name in ODD)


def test_that_a_frame_that_was_never_written_is_told_by_a_trial(environment: Environment, tmp_path: Path) -> None:
    path = nxtomo(tmp_path / "scan.nx", TRUTH)
    with h5py.File(path, "a") as file:
        detector = file["entry/instrument/detector"]
        frames = detector["data"][()]
        del detector["data"]
        data = detector.create_dataset("data", frames.shape, frames.dtype, chunks=(1, 24, 97))
        data[:50] = frames[:50]
        data[60:] = frames[60:]
    said = environment.ask(tmp_path, {}, evaluate=f"""
from tomo_layouts import open_scan
from beamside_job import Fault
try:
    open_scan({str(path)!r}, {{}}).projections.hold([(2, 3)], 10**9)
    result = ""
except Fault as fault:
    result = str(fault)
""").result
    assert said.endswith("scan.nx::/entry/instrument/detector/data was never written: the scan may have been stopped.")
    assert said.startswith("Frame 50 ")


def test_that_a_file_of_angles_that_was_written_anew_is_read_anew(environment: Environment, tmp_path: Path) -> None:
    recipe, scan = shipped_recipes()["tomography"], nxtomo(tmp_path / "scan.nx", TRUTH)
    angles = str(tmp_path / "angles.txt")
    values = dict(complete(recipe, {**VALUES, "angles_file": angles, "centre": 45.0}))
    texts = ["\n".join(f"{angle}" for angle in sign * np.asarray(TRUTH.angles)) for sign in (1, -1)]
    _, slices = _asked(environment, tmp_path, scan, [values] * 4,
                       [{angles: texts[0]}, {angles: texts[1]}, {}, {angles: texts[0]}])
    assert not np.allclose(slices[0], slices[1], atol=1e-3)
    assert np.array_equal(slices[1], slices[2])
    assert np.array_equal(slices[0], slices[3])
