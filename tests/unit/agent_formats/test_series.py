"""Numbered image files as one stack: what belongs together, what is missing, what another shape, what is new."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest

from app.agent import folders, pictures
from app.agent.service import Service
from app.protocol.errors import WireError
from app.protocol.series import frame_numbers, members_of, series_in, split_name, split_pattern

COUNTS = np.random.default_rng(2).poisson(30, (40, 30)).astype(np.int32)


def cbf(path: Path, values: Any) -> None:
    fabio.cbfimage.CbfImage(data=values).write(str(path))


def written(folder: Path, numbers: Any) -> str:
    for number in numbers:
        cbf(folder / f"scan_{number:04d}.cbf", COUNTS + number)
    return str(folder / "scan_####.cbf")


def asked(method: str, path: str, service: Service | None = None, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return (service or Service()).handle(method, {"file": path, "data_path": None, **params})


def test_that_names_with_one_number_before_the_suffix_belong_together() -> None:
    names = ["a_1.tif", "a_10.tif", "a_2.tif", "b_0001.cbf.gz", "b_0002.cbf.gz", "b_0003.cbf.gz", "b_0003.cbf", "c.tif",
             "x01.h5", "x02.h5", "x03.h5", "d_01.edf", "d_02.edf"]
    found = series_in(names)
    assert [(one.name, one.numbers) for one in found] == [("a_#.tif", (1, 2, 10)), ("b_####.cbf.gz", (1, 2, 3))]
    assert [names[place] for place in found[0].members] == ["a_1.tif", "a_2.tif", "a_10.tif"]
    assert found[0].gaps == 7
    assert series_in([f"s_{n:03d}.cbf" for n in (998, 999, 1000)])[0].name == "s_###.cbf"


def test_that_a_number_that_is_there_twice_makes_two_series() -> None:
    names = ["a1.tif", "a2.tif", "a3.tif", "a01.tif", "a02.tif", "a03.tif"]
    assert sorted(one.name for one in series_in(names)) == ["a##.tif", "a#.tif"]
    assert [name for _, name in members_of("a##.tif", names)] == ["a01.tif", "a02.tif", "a03.tif"]
    assert [name for _, name in members_of("a#.tif", names)] == ["a1.tif", "a2.tif", "a3.tif"]


def test_that_names_that_differ_in_digits_of_the_suffix_are_told_apart() -> None:
    names = [f"a_{n:02d}.{kind}" for n in range(4) for kind in ("mar345", "mar346", "tif.bz2", "tif.bz3")]
    assert [(one.name, one.members) for one in series_in(names)] == [
        ("a_##.mar345", (0, 4, 8, 12)), ("a_##.tif.bz2", (2, 6, 10, 14))]


def test_that_stems_with_numbers_are_series_of_their_own_in_any_order() -> None:
    names = [f"run{run}_{frame}.cbf" for frame in (9, 10, 11) for run in (2, 1)]
    assert [(one.name, one.numbers, one.members) for one in series_in(names)] == [
        ("run2_#.cbf", (9, 10, 11), (0, 2, 4)), ("run1_#.cbf", (9, 10, 11), (1, 3, 5))]


def test_that_the_number_of_signs_in_a_series_name_is_free() -> None:
    names = [f"scan_{n:04d}.cbf" for n in range(1, 5)]
    for pattern in ("scan_#.cbf", "scan_####.cbf", "scan_######.cbf"):
        assert len(members_of(pattern, names)) == 4
    assert members_of("scan_#.tif", names) == []


def test_that_what_is_no_numbered_image_is_left_alone() -> None:
    for name in ("scan.cbf", "scan_1.h5", "1", ".cbf", "scan_1.cbf.xz", "scan_1²3.cbf"[:6] + "x.cbf", ""):
        assert split_name(name) is None
        assert split_pattern(name) is None
    assert split_name("007.TIFF") == ("", "007", ".TIFF")
    assert split_pattern("a_##_#.cbf") == ("a_##_", 1, ".cbf")
    assert series_in([f"a{10 ** 30 + n}.tif" for n in range(5)]) == []


def test_that_gaps_are_frames_unless_most_are_missing() -> None:
    assert frame_numbers([1, 2, 5]) == [1, 2, 3, 4, 5]
    assert frame_numbers([10, 20, 30]) == [10, 20, 30]
    assert frame_numbers([]) == []


def test_that_a_series_is_one_stack(tmp_path: Path) -> None:
    path, service = written(tmp_path, range(1, 8)), Service()
    plot = asked("plot", path, service)[0]
    assert (plot["view"], plot["shape"], plot["axes"], plot["missing"]) == ("stack", [7, 40, 30],
                                                                         ["/number", None, None], [])
    nodes = asked("nodes", path, service, data_path="/", depth=None)[0]["nodes"]
    assert [(node["path"], node.get("shape")) for node in nodes] == [("/", None), ("/image", [7, 40, 30]),
                                                                     ("/number", [7])]
    assert asked("read", path, service, data_path="/number")[1][0].tolist() == list(range(1, 8))
    for frame in range(7):
        with fabio.open(str(tmp_path / f"scan_{frame + 1:04d}.cbf")) as image:
            assert np.array_equal(asked("read", path, service, selection=[frame, "..."])[1][0], image.data)
    assert np.array_equal(asked("read", path, service, selection=[[None, None, 3], 5, "..."])[1][0],
                          np.stack([COUNTS[5] + n for n in (1, 4, 7)]))
    assert np.array_equal(asked("project", path, service, op="max")[1][0], COUNTS + 7)
    assert asked("profile", path, service, point=[2, 3])[1][0].tolist() == [COUNTS[2, 3] + n for n in range(1, 8)]


def test_that_only_the_file_of_a_frame_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, service, read = written(tmp_path, range(1, 30)), Service(), []
    asked("plot", path, service)
    real = pictures.one_picture
    monkeypatch.setattr(pictures, "one_picture",
                        lambda name, kind: read.append(os.path.basename(name)) or real(name, kind))
    asked("read", path, service, selection=[20, "..."])
    assert read == ["scan_0021.cbf"]


def test_that_a_missing_frame_of_unsigned_counts_has_no_stored_numbers(tmp_path: Path) -> None:
    for number in (1, 2, 4):
        fabio.edfimage.EdfImage(data=(COUNTS + number).astype(np.uint16)).write(str(tmp_path / f"s_{number:04d}.edf"))
    path, service = str(tmp_path / "s_####.edf"), Service()
    found = asked("read", path, service, selection=[2, "..."])[0]
    assert found["missing"] == ["s_0003.edf is missing."]
    assert found["statistics"] == {"count": COUNTS.size, "masked": COUNTS.size, "non_finite": 0}
    there = asked("read", path, service, selection=[1, "..."])[0]["statistics"]
    assert (there["maximum"], there["total"]) == (int(COUNTS.max()) + 2, int(COUNTS.sum()) + 2 * COUNTS.size)
    some = asked("read", path, service, selection=["..."])[0]["statistics"]
    assert "maximum" not in some, "what stands for a missing value is no stored one"
    assert some["valid_maximum"] == int(COUNTS.max()) + 4


def test_that_a_missing_number_is_a_frame_without_values_and_told(tmp_path: Path) -> None:
    path = written(tmp_path, [1, 2, 4, 5])
    assert asked("plot", path)[0]["missing"] == ["scan_0003.cbf is missing; its frame has no values."]
    facts, arrays = asked("read", path, selection=[2, "..."])
    assert facts["missing"] == ["scan_0003.cbf is missing."]
    assert facts["mask"]
    assert (arrays[0] == -1).all()
    assert asked("read", path, selection=[3, "..."])[0]["missing"] == []
    valid = asked("profile", path, point=[2, 3])[1][1]
    assert valid.tolist() == [True, True, False, True, True]
    facts, arrays = asked("project", path, op="sum")
    assert np.array_equal(arrays[0], 4 * COUNTS.astype(np.int64) + 12)
    assert facts["missing"] == ["scan_0003.cbf is missing."]


def test_that_files_unlike_the_first_are_told_one_by_one(tmp_path: Path) -> None:
    path = written(tmp_path, range(1, 6))
    cbf(tmp_path / "scan_0002.cbf", COUNTS[:10])
    (tmp_path / "scan_0004.cbf").write_bytes((tmp_path / "scan_0003.cbf").read_bytes()[:-500])
    facts, arrays = asked("read", path)
    assert facts["missing"][0] == "scan_0002.cbf has another shape: 10×30 instead of 40×30."
    assert facts["missing"][1].startswith("scan_0004.cbf is damaged or incomplete")
    assert (arrays[0][[1, 3]] == -1).all()
    for frame in (0, 2, 4):
        assert np.array_equal(arrays[0][frame], COUNTS + frame + 1)


def test_that_new_files_are_noticed(tmp_path: Path) -> None:
    path, service = written(tmp_path, range(1, 4)), Service()
    before = folders.generation(path)
    assert asked("plot", path, service)[0]["shape"][0] == 3
    assert folders.stat(path)["generation"] == before
    cbf(tmp_path / "scan_0004.cbf", COUNTS)
    assert folders.generation(path) != before
    assert asked("plot", path, service)[0]["shape"][0] == 4


def test_that_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path, service = written(tmp_path, range(1, 4)), Service()
    first = asked("read", path, service, selection=[0, "..."])[1][0]
    cbf(tmp_path / "new", COUNTS + 500)
    os.replace(tmp_path / "new", tmp_path / "scan_0001.cbf")
    assert np.array_equal(asked("read", path, service, selection=[0, "..."])[1][0], COUNTS + 500)
    assert np.array_equal(first, COUNTS + 1)


def test_that_a_part_of_a_frame_that_was_overwritten_is_read_anew(tmp_path: Path) -> None:
    """In the middle of a series, whose own size and time stay as they are."""
    path, service, part = written(tmp_path, range(1, 4)), Service(), [1, [0, 10, None], [5, 9, None]]
    before = folders.generation(path)
    assert np.array_equal(asked("read", path, service, selection=part)[1][0], COUNTS[:10, 5:9] + 2)
    cbf(tmp_path / "scan_0002.cbf", COUNTS + 500)
    assert folders.generation(path) == before
    assert np.array_equal(asked("read", path, service, selection=part)[1][0], COUNTS[:10, 5:9] + 500)


def test_that_a_file_in_the_middle_that_is_replaced_is_told_to_who_watches(tmp_path: Path) -> None:
    path = written(tmp_path, range(1, 4))
    os.utime(tmp_path, ns=(10**18, 10**18))
    for number in range(1, 4):
        os.utime(tmp_path / f"scan_{number:04d}.cbf", ns=(10**18, 10**18))
    before = folders.generation(path)
    cbf(tmp_path / "new", COUNTS + 500)
    os.replace(tmp_path / "new", tmp_path / "scan_0002.cbf")
    assert folders.generation(path) != before


def test_that_a_frame_that_is_written_while_it_is_read_has_no_values(tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    path, service = written(tmp_path, range(1, 4)), Service()
    asked("read", path, service, selection=[0, "..."])
    straight = pictures.FilesFrames.frame

    def overwritten(self: Any, number: int) -> Any:
        values = straight(self, number)
        os.utime(tmp_path / "scan_0002.cbf", ns=(10**18, 10**18))
        return values

    with monkeypatch.context() as patch:
        patch.setattr(pictures.FilesFrames, "frame", overwritten)
        facts, arrays = asked("read", path, service, selection=[1, "..."])
    assert facts["missing"] == ["scan_0002.cbf is being written."]
    assert (arrays[0] == -1).all()
    assert np.array_equal(asked("read", path, service, selection=[1, "..."])[1][0], COUNTS + 2)


def test_that_a_last_file_that_is_written_on_is_noticed(tmp_path: Path) -> None:
    path, service = written(tmp_path, range(1, 4)), Service()
    whole = (tmp_path / "scan_0003.cbf").read_bytes()
    (tmp_path / "scan_0003.cbf").write_bytes(whole[:-300])
    before = folders.generation(path)
    assert asked("read", path, service, selection=[2, "..."])[0]["missing"]
    (tmp_path / "scan_0003.cbf").write_bytes(whole)
    assert folders.generation(path) != before
    facts, arrays = asked("read", path, service, selection=[2, "..."])
    assert facts["missing"] == []
    assert np.array_equal(arrays[0], COUNTS + 3)


def test_that_packed_and_other_images_are_series_too(tmp_path: Path) -> None:
    for number in range(3):
        cbf(tmp_path / "plain.cbf", COUNTS + number)
        (tmp_path / f"g{number}.cbf.gz").write_bytes(gzip.compress((tmp_path / "plain.cbf").read_bytes()))
        fabio.edfimage.EdfImage(data=COUNTS + number).write(str(tmp_path / f"e{number}.edf"))
        fabio.tifimage.TifImage(data=(COUNTS + number).astype(np.uint16)).write(str(tmp_path / f"t{number}.tif"))
    for pattern in ("g#.cbf.gz", "e#.edf", "t#.tif"):
        assert np.array_equal(asked("read", str(tmp_path / pattern))[1][0], np.stack([COUNTS + n for n in range(3)]))


def test_that_a_series_without_files_or_pictures_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WireError) as caught:
        asked("plot", str(tmp_path / "scan_####.cbf"))
    assert caught.value.kind == "not_found"
    for number in range(3):
        (tmp_path / f"scan_{number}.cbf").write_bytes(b"###CBF: nothing")
    with pytest.raises(WireError) as caught:
        asked("plot", str(tmp_path / "scan_####.cbf"))
    assert caught.value.kind == "damaged"
    assert "scan_0.cbf" in caught.value.summary
    assert caught.value.remedy


def test_that_a_file_named_like_a_series_is_that_file(tmp_path: Path) -> None:
    written(tmp_path, range(1, 4))
    cbf(tmp_path / "scan_####.cbf", COUNTS)
    assert asked("plot", str(tmp_path / "scan_####.cbf"))[0]["shape"] == [40, 30]


def test_that_too_much_at_once_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, range(1, 6))
    monkeypatch.setattr(pictures, "MOST_BYTES", 20000)
    with pytest.raises(WireError) as caught:
        asked("read", path)
    assert caught.value.kind == "selection"


@pytest.mark.parametrize("pattern", ["mx/l-cyst_01_#####.cbf", "tomo/tiff_stack/tiffs/raw_#####.tiff"])
def test_that_measured_series_are_what_fabio_reads(beamside_data: Path, pattern: str) -> None:
    path, service = beamside_data / pattern, Service()
    frames = asked("plot", str(path), service)[0]["shape"][0]
    names = sorted(path.parent.glob(path.name.replace("#####", "*")))
    assert frames == len(names)
    for number in {0, frames // 2, frames - 1}:
        with fabio.open(str(names[number])) as image:
            found = asked("read", str(path), service, selection=[number, "..."])[1][0]
            assert found.dtype == image.data.dtype
            assert np.array_equal(found, image.data)


def test_that_the_number_of_the_first_frame_is_told_where_the_others_follow(tmp_path: Path) -> None:
    def first(path: str) -> Any:
        return asked("nodes", path, data_path="/image")[0]["nodes"][0]["attributes"].get("image_nr_low")
    assert first(written(tmp_path, [3, 4, 6])) == 3
    (tmp_path / "sparse").mkdir()
    assert first(written(tmp_path / "sparse", [10, 20, 30])) is None


def test_that_several_threads_find_what_one_does(tmp_path: Path) -> None:
    path = written(tmp_path, range(1, 40))
    (tmp_path / "scan_0007.cbf").write_bytes(b"###CBF: nothing")
    for method, params in (("project", {"op": "sum"}), ("profile", {"point": [3, 4]})):
        one, many = (Service(threads=threads).handle(method, {"file": path, "data_path": None, **params})[1]
                     for threads in (1, 6))
        for ours, theirs in zip(one, many, strict=True):
            assert np.array_equal(ours, theirs)


def test_that_a_part_of_a_large_frame_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, service, read = written(tmp_path, range(1, 4)), Service(), []
    monkeypatch.setattr(pictures, "KEPT_BYTES", 10)
    asked("plot", path, service)
    real = pictures.one_picture
    monkeypatch.setattr(pictures, "one_picture", lambda name, kind: read.append(name) or real(name, kind))
    for row in range(5):
        found = asked("read", path, service, selection=[1, row, "..."])[1][0]
        assert np.array_equal(found, COUNTS[row] + 2)
    assert len(read) == 1
