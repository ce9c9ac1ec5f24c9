"""SPEC files: the tree and every number as silx has them, a scan at a time, damage as one sentence."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import silx.io

from app.agent.service import Service
from app.agent.spec import SpecFile
from app.protocol.errors import WireError

HEADER = "#F /tmp/a.spec\n#E 1700000000\n#D Tue Nov 14 22:13:20 2023\n#O0 th  tth  phi\n\n"
SCANS = "".join(f"#S {number} ascan th 0 1 3 1\n#D Tue Nov 14 22:13:2{number} 2023\n#P0 1.5 2.5 {number}\n#N 3\n"
                f"#L th  Monitor  det\n0 100 {number}\n0.5 101 7\n1 102 9\n\n" for number in range(1, 4))


def asked(method: str, path: Path, service: Service | None = None, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return (service or Service()).handle(method, {"file": str(path), "data_path": None, **params})


def spec_file(folder: Path, text: str = HEADER + SCANS) -> Path:
    path = folder / "a.spec"
    path.write_text(text)
    return path


def datasets_of(group: Any, path: str = "") -> dict[str, Any]:
    found = {}
    for name in group:
        node = group[name]
        if hasattr(node, "dtype"):
            found[f"{path}/{name}"] = node[()]
        else:
            found.update(datasets_of(node, f"{path}/{name}"))
    return found


def compare(path: Path) -> int:
    service = Service()
    with silx.io.open(str(path)) as file:
        expected = datasets_of(file)
        nodes = asked("nodes", path, service, data_path="/", depth=None)[0]["nodes"]
        listed = {node["path"] for node in nodes if node["kind"] == "dataset"}
        assert listed <= set(expected)
        assert all("/measurement/mca_" in name for name in set(expected) - listed)  # listed under their first path
        for name, values in expected.items():
            found = asked("read", path, service, data_path=name, statistics=False)[1][0]
            if np.asarray(values).dtype.kind in "OSU":
                assert found.tolist() == np.asarray(values).astype(str).tolist()
            else:
                assert found.dtype == values.dtype
                assert np.array_equal(found, values)
    return len(expected)


def test_that_a_measured_file_is_what_silx_has(beamside_data: Path) -> None:
    assert compare(beamside_data / "spectro" / "APS_spec_data.dat") > 1000


def test_that_a_written_file_with_spectra_is_what_silx_has(tmp_path: Path) -> None:
    mca = "".join(f"{n} 10 {n}\n@A {n} 1 2 3\\\n 4 5 6 7\n" for n in range(4))
    path = spec_file(tmp_path, HEADER + SCANS + "#S 4 mca 1\n#@MCA 8C\n#@CHANN 8 0 7 1\n#N 3\n#L a  b  c\n" + mca)
    assert compare(path) > 20
    service = Service()
    plot = asked("plot", path, service, data_path="/4.1/instrument/mca_0/data")[0]
    assert plot["shape"] == [4, 8]
    assert asked("read", path, service, data_path="/4.1/measurement/mca_0/data")[1][0].shape == (4, 8)


def test_that_a_scan_shows_its_last_counter_over_its_first_column(tmp_path: Path) -> None:
    path, service = spec_file(tmp_path), Service()
    plot = asked("plot", path, service)[0]
    assert (plot["view"], plot["signal"], plot["axes"]) == ("curve", "/1.1/measurement/det", ["/1.1/measurement/th"])
    plot = asked("plot", path, service, data_path="/3.1")[0]
    assert (plot["signal"], plot["title"]) == ("/3.1/measurement/det", "ascan th 0 1 3 1")
    assert asked("read", path, service, data_path="/3.1/measurement/det")[1][0].tolist() == [3, 7, 9]
    assert asked("read", path, service, data_path="/2.1/instrument/positioners/phi")[1][0].item() == 2.0


def test_that_scans_without_points_are_passed_over(tmp_path: Path) -> None:
    empty = "#S 1 ascan th 0 1 3 1\n#N 2\n#L th  det\n\n"
    path = spec_file(tmp_path, HEADER + empty + SCANS.replace("#S 1 ", "#S 5 "))
    assert asked("plot", path)[0]["signal"] == "/5.1/measurement/det"


def test_that_only_scans_that_are_looked_at_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, service, filled = spec_file(tmp_path), Service(), []
    real = SpecFile._fill
    monkeypatch.setattr(SpecFile, "_fill", lambda self, name: filled.append(name) or real(self, name))
    children = asked("nodes", path, service, data_path="/", depth=1, expand=True)[0]["nodes"]
    assert [(node["path"], node["title"], node["has_children"]) for node in children] == [
        (f"/{n}.1", "ascan th 0 1 3 1", True) for n in (1, 2, 3)]
    asked("nodes", path, service, data_path="/2.1", depth=1, expand=True)
    assert "3.1" not in filled
    assert "2.1" in filled


def test_that_without_silx_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silx.io.spech5", None)
    monkeypatch.delattr(silx.io, "spech5", raising=False)
    with pytest.raises(WireError, match="is a SPEC text file, and the facility's Python has no silx") as caught:
        asked("plot", spec_file(tmp_path))
    assert "silx" in caught.value.remedy


def test_that_a_row_that_ends_too_early_is_not_filled_up(tmp_path: Path) -> None:
    for cut in (1, 3, 6, 40, 90):
        path = spec_file(tmp_path, (HEADER + SCANS).rstrip()[:-cut])
        found: list[float] = []
        with contextlib.suppress(WireError):
            found = asked("read", path, data_path="/3.1/measurement/det")[1][0].tolist()
        assert found in ([3, 7, 9], [3, 7], [3], [])


def test_that_a_path_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(WireError) as caught:
        asked("plot", spec_file(tmp_path), data_path="/9.1")
    assert caught.value.kind == "not_found"
