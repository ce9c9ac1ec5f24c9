"""A scan that is being written: its curve goes on, its table is read anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.viz.curve_view import CurveView
from app.viz.table_view import TableView
from tests.gui.local_window import open_local

PATIENCE_MS = 20_000


@pytest.fixture
def program(qtbot: Any, start: Any) -> Any:
    return open_local(qtbot, start)


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    file = tmp_path / "scan.h5"
    with h5py.File(file, "w") as out:
        entry = out.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "data"})
        data = entry.create_group("data")
        data.attrs.update({"NX_class": "NXdata", "signal": "counts", "axes": ["energy"]})
        data.create_dataset("counts", data=np.arange(10.0), maxshape=(None,), chunks=(64,))
        data.create_dataset("energy", data=np.arange(10.0) + 7, maxshape=(None,), chunks=(64,))
        entry["names"] = np.array([b"a", b"b"])
    return file


def grow(file: Path) -> None:
    with h5py.File(file, "a") as out:
        for name in ("counts", "energy"):
            data = out[f"entry/data/{name}"]
            data.resize((15,))
            data[10:] = np.arange(10.0, 15.0) + (7 if name == "energy" else 0)


def open_tab(qtbot: Any, program: Any, text: str) -> Any:
    program.window.navigator.go_to_text(text)
    qtbot.waitUntil(lambda: program.window.current_tab is not None, timeout=PATIENCE_MS)
    return program.window.current_tab


def test_that_a_growing_scan_goes_on(qtbot: Any, program: Any, scan: Path) -> None:
    tab = open_tab(qtbot, program, str(scan))
    qtbot.waitUntil(lambda: isinstance(tab.viewer, CurveView) and bool(tab.viewer.curves), timeout=PATIENCE_MS)
    assert tab.viewer.curves[0].y.size == 10
    viewer = tab.viewer
    qtbot.waitUntil(lambda: tab._follower.generation is not None, timeout=PATIENCE_MS)
    grow(scan)
    qtbot.waitUntil(lambda: tab.viewer.curves[0].y.size == 15, timeout=PATIENCE_MS)
    assert tab.viewer is viewer, "the same view, zoomed as it was"
    assert tab.viewer.curves[0].x[-1] == 21
    qtbot.waitUntil(lambda: tab.node is not None and tab.node.shape == (15,), timeout=PATIENCE_MS)


def test_that_a_table_of_a_replaced_file_is_read_anew(qtbot: Any, program: Any, scan: Path) -> None:
    tab = open_tab(qtbot, program, f"{scan}::/entry/names")
    qtbot.waitUntil(lambda: isinstance(tab.viewer, TableView), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: tab._follower.generation is not None, timeout=PATIENCE_MS)
    with h5py.File(scan, "a") as out:
        del out["entry/names"]
        out["entry/names"] = np.array([b"x", b"y", b"z"])
    qtbot.waitUntil(lambda: tab.description is not None and tab.description.shape == (3,), timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: isinstance(tab.viewer, TableView), timeout=PATIENCE_MS)
