"""Images, series of them, SPEC and text in the window, through the real agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from PySide6.QtCore import QModelIndex

from app.model.plot import View
from app.session.file_rows import RowKind
from app.session.files_model import Role
from app.viz.curve_view import CurveView
from app.viz.stack_view import StackView
from tests.gui.local_window import PATIENCE_MS, go, open_local

COUNTS = np.random.default_rng(5).poisson(30, (40, 30)).astype(np.int32)
SPEC = "#F a\n#E 1700000000\n#D x\n\n" + "".join(
    f"#S {number} ascan th 0 1 2 1\n#N 2\n#L th  det\n0 {number}\n1 7\n2 9\n\n" for number in (1, 2))


def frame(folder: Path, number: int) -> None:
    fabio.cbfimage.CbfImage(data=COUNTS + number).write(str(folder / f"scan_{number:04d}.cbf"))


@pytest.fixture
def program(qtbot: Any, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "data"
    folder.mkdir()
    for number in (1, 2, 4, 5):
        frame(folder, number)
    (folder / "a.spec").write_text(SPEC)
    (folder / "b.txt").write_text("q I\n1 2\n3 4\n5 6\n")
    monkeypatch.chdir(folder)
    program = open_local(qtbot, start)
    qtbot.waitUntil(lambda: program.window.files.rowCount() == 3, timeout=PATIENCE_MS)
    return program


def test_that_a_series_in_the_tree_opens_as_one_stack(qtbot: Any, program: Any) -> None:
    model, panel = program.window.files, program.window.files_panel
    series = model.child_named(QModelIndex(), "scan_####.cbf")
    assert series.data(Role.KIND) is RowKind.SERIES
    assert series.siblingAtColumn(1).data() == "1–5"
    panel._activated(panel._proxy.mapFromSource(series))
    qtbot.waitUntil(lambda: getattr(program.window.current_tab, "description", None) is not None, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    assert isinstance(tab.viewer, StackView)
    assert tab.description.shape == (5, 40, 30)
    row = tab.viewer.slider._rows[0]
    qtbot.waitUntil(lambda: row.position.text() == "0 / 4 · image 1", timeout=PATIENCE_MS)


def test_that_a_missing_image_is_named_where_it_would_be(qtbot: Any, program: Any) -> None:
    tab = go(qtbot, program, "scan_####.cbf")
    overlay = tab.viewer.overlay
    tab.viewer.set_frame((2,))
    qtbot.waitUntil(overlay.panel.isVisible, timeout=PATIENCE_MS)
    assert overlay.summary.text() == "scan_0003.cbf is missing."
    tab.viewer.set_frame((3,))
    qtbot.waitUntil(lambda: not overlay.panel.isVisible(), timeout=PATIENCE_MS)
    assert "linked file" not in tab.viewer.status.shown.text()


def test_that_an_image_that_arrives_makes_the_stack_longer(qtbot: Any, program: Any, tmp_path: Path) -> None:
    tab = go(qtbot, program, "scan_####.cbf")
    frame(tmp_path / "data", 6)
    qtbot.waitUntil(lambda: tab.description.shape[0] == 6, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: tab.viewer.slider.shape == (6,), timeout=PATIENCE_MS)


def test_that_scans_and_columns_open_as_curves(qtbot: Any, program: Any) -> None:
    for text, signal in (("a.spec", "/1.1/measurement/det"), ("a.spec::/2.1", "/2.1/measurement/det"),
                         ("b.txt", "/columns/I")):
        tab = go(qtbot, program, text)
        assert isinstance(tab.viewer, CurveView)
        assert (tab.description.view, tab.description.signal) == (View.CURVE, signal)
        qtbot.waitUntil(lambda tab=tab: bool(tab.viewer.curves), timeout=PATIENCE_MS)
        assert tab.viewer.curves[0].y.size == 3


def test_that_the_tree_opens_into_scans(qtbot: Any, program: Any) -> None:
    model = program.window.files
    spec = model.child_named(QModelIndex(), "a.spec")
    model.fetchMore(spec)
    qtbot.waitUntil(lambda: model.is_loaded(spec), timeout=PATIENCE_MS)
    assert [model.index(row, 0, spec).data() for row in range(2)] == ["1.1  ascan th 0 1 2 1", "2.1  ascan th 0 1 2 1"]
