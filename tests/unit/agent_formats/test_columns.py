"""Text with columns of numbers: every number as numpy reads it, names from the header, nothing guessed away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.agent import tables
from app.agent.columns import parse
from app.agent.service import Service
from app.protocol.errors import WireError


def asked(method: str, path: Path, service: Service | None = None, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return (service or Service()).handle(method, {"file": str(path), "data_path": None, **params})


def file_of(folder: Path, text: str, name: str = "a.dat") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def names_in(text: str, is_chi: bool = False) -> list[tuple[str, str]]:
    return [(column.name, column.units) for column in parse(text, is_chi).tables[0].columns]


@pytest.mark.parametrize("name", ["saxs/secsaxs_series/GI2_A9_19_001_0000.dat", "spectro/cu_metal_10K.xdi",
                                  "spectro/XRFSpectrum.mca"])
def test_that_every_measured_number_is_numpys(beamside_data: Path, name: str) -> None:
    path, service = beamside_data / name, Service()
    expected = np.loadtxt(path, ndmin=2)
    nodes = asked("nodes", path, service, data_path="/columns", depth=1)[0]["nodes"]
    columns = {node["path"]: asked("read", path, service, data_path=node["path"])[1][0]
               for node in nodes if node["kind"] == "dataset"}
    assert len(columns) == expected.shape[1]
    for column in expected.T:
        assert any(np.array_equal(column, found) for found in columns.values())
        assert all(found.dtype == np.float64 for found in columns.values())


def test_that_columns_are_called_as_the_header_says() -> None:
    assert names_in("# q I err\n1 2 3\n4 5 6\n") == [("q", ""), ("I", ""), ("err", "")]
    assert names_in("#  q (1/nm)   I(Q)   sigma [cm^-1]\n1 2 3\n4 5 6\n") == [("q", "1/nm"), ("I(Q)", ""),
                                                                              ("sigma", "cm^-1")]
    assert names_in('time,"count, raw"\n1,2\n3,4\n') == [("time", ""), ("count, raw", "")]
    assert names_in("1 2\n3 4\n") == [("column_1", ""), ("column_2", "")]
    assert names_in("a a\n1 2\n3 4\n") == [("a", ""), ("a_2", "")]
    assert names_in("t.mca\n2-Theta Angle (Degrees)\nIntensity\n   2\n 1 2\n 3 4\n", True) == [
        ("2-Theta Angle", "Degrees"), ("Intensity", "")]
    assert names_in("# Column.1: energy eV\n# Column.2: i0\n1 2\n3 4\n") == [("energy", "eV"), ("i0", "")]
    assert names_in("some words about what was measured here\n1\n2\n") == [("column_1", "")]


@pytest.mark.parametrize("line", ["1,2,3", "1;2;3", "1\t2\t3", "1 2 3", " 1.0D0 , +2 , .3e1 ", "1,2,3,"])
def test_that_numbers_may_be_separated_as_usual(line: str) -> None:
    parsed = parse(f"{line}\n{line}\n")
    assert [column.values.tolist() for column in parsed.tables[0].columns] == [[1, 1], [2, 2], [3, 3]]


def test_that_empty_fields_are_no_numbers_and_no_zeros() -> None:
    values = parse("a,b,c\n1,,3\n4,5,\n6,7,8\n").tables
    assert len(values) == 1
    assert np.isnan(values[0].columns[1].values[0])


def test_that_a_text_may_hold_several_tables_and_comments_do_not_break_one() -> None:
    parsed = parse("head\n1 2\n\n# note\n3 4\nwords\n5 6 7\n8 9 10\n11 12 13\n")
    assert [(table.rows, len(table.columns), table.first_line) for table in parsed.tables] == [(2, 2, 2), (3, 3, 7)]


def test_that_lines_that_belong_to_no_table_are_told() -> None:
    assert parse("1 2\n3 4\n5\n6 7\n8 9\n").left_out == (3,)


@pytest.mark.parametrize("text", ["", "words only\n", "1 2\n", "1_000 2\n3_0 4\n", "1,5 2,5\n3,5 4,5\n", "a 1\nb 2\n"])
def test_that_what_may_mean_something_else_is_no_table(text: str) -> None:
    assert parse(text).tables == ()


def test_that_a_row_cut_in_its_last_number_is_left_out() -> None:
    parsed = parse("1.00 2.00\n3.00 4.00\n5.00 6.0")
    assert parsed.tables[0].rows == 2
    assert parsed.left_out == (3,)
    assert parse("1.00 2.00\n3.00 4.00\n5.00 6.00").tables[0].rows == 3


def test_that_integers_too_large_for_a_float_stay_exact() -> None:
    large = 2 ** 63 + 12345
    columns = parse(f"{large} {2 ** 60 + 1}\n{large + 1} -{2 ** 60 + 3}\n").tables[0].columns
    assert columns[0].values.dtype == np.uint64
    assert columns[0].values.tolist() == [large, large + 1]
    assert columns[1].values.tolist() == [2 ** 60 + 1, -(2 ** 60 + 3)]


def test_that_a_text_shows_its_second_column_over_its_first(tmp_path: Path) -> None:
    path = file_of(tmp_path, "q (1/nm)  I  sigma\n" + "".join(f"{n} {n * n} 0.5\n" for n in range(1, 9)))
    service = Service()
    plot = asked("plot", path, service)[0]
    assert (plot["view"], plot["signal"], plot["axes"], plot["errors"]) == (
        "curve", "/columns/I", ["/columns/q"], "/columns/sigma")
    assert plot["x_scale"] == "log"
    assert plot["axes_units"] == ["1/nm"]
    assert plot["title"] == "a.dat"
    assert asked("read", path, service)[1][0].tolist() == [n * n for n in range(1, 9)]
    assert asked("read", path, service, data_path="/columns/q", selection=[[1, 3, None]])[1][0].tolist() == [2.0, 3.0]
    assert asked("plot", path, service, data_path="/columns/sigma")[0]["axes"] == ["/columns/q"]
    assert asked("read", path, service, data_path="/header")[1][0].item().startswith("q (1/nm)")


def test_that_the_largest_of_several_tables_is_shown(tmp_path: Path) -> None:
    path = file_of(tmp_path, "1 2\n3 4\nthen\n" + "5 6\n" * 5)
    plot = asked("plot", path)[0]
    assert plot["signal"] == "/columns_2/column_2"
    assert plot["missing"] == ["The text holds 2 tables; the largest is shown."]


def test_that_numbers_that_are_not_shown_are_told(tmp_path: Path) -> None:
    path = file_of(tmp_path, "1.00 2.00\n3.00 4.00\n5.00 6.0")
    assert asked("plot", path)[0]["missing"] == ["Line 3 holds numbers that belong to no table."]
    assert asked("plot", file_of(tmp_path, "1 2\n3 4\n", "b.txt"))[0]["missing"] == []


def test_that_a_text_that_grew_is_read_anew(tmp_path: Path) -> None:
    path, service = file_of(tmp_path, "1 2\n3 4\n"), Service()
    assert asked("read", path, service)[1][0].tolist() == [2, 4]
    with path.open("a") as more:
        more.write("5 6\n")
    assert asked("read", path, service)[1][0].tolist() == [2, 4, 6]


def test_that_a_slash_in_a_name_is_a_percent_sign(tmp_path: Path) -> None:
    path = file_of(tmp_path, "a/b .\n1 2\n3 4\n")
    nodes = asked("nodes", path, data_path="/columns", depth=1)[0]["nodes"]
    assert [node["path"] for node in nodes[1:]] == ["/columns/_.", "/columns/a%b"]
    assert nodes[2]["attributes"]["long_name"] == "a/b"


def test_that_no_table_is_one_sentence_and_nothing_is_left_behind(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("some notes\nof a night\n", ""):
        with pytest.raises(WireError) as caught:
            asked("plot", file_of(tmp_path, text, "notes.txt"))
        assert caught.value.kind == "not_hdf5"
    path = file_of(tmp_path, "1 2\n3 4\n")
    asked("plot", path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.dat", "notes.txt"]
    monkeypatch.setattr(tables, "MOST_BYTES", 4)
    with pytest.raises(WireError) as caught:
        asked("plot", path)
    assert caught.value.remedy


def test_that_latin_text_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("# Énergie Å\n1 2\n3 4\n".encode("latin-1"))
    assert asked("plot", tmp_path / "a.txt")[0]["signal"] == "/columns/Å"
    (tmp_path / "b.csv").write_bytes(b"\xef\xbb\xbfx,y\n1,2\n3,4\n")
    assert asked("plot", tmp_path / "b.csv")[0]["axes"] == ["/columns/x"]
