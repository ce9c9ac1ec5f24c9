"""Values as text."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from app.viz.numbers import exact_number, grouped, short_number
from app.viz.table_view import ArrayModel, TableView

COMPOUND = np.array([(b"peak\x1b[0m", (1, 2, 3), 0.1)], dtype=[("name", "S12"), ("hkl", "i4", 3), ("I", "f4")])


def texts(model: ArrayModel) -> list[list[str]]:
    return [[model.index(r, c).data() for c in range(model.columnCount())] for r in range(model.rowCount())]


@pytest.mark.parametrize(("values", "expected"), [
    (np.array(3.5), [["3.5"]]),
    (np.array([1, 2], "u8"), [["1"], ["2"]]),
    (np.array([[1, 2], [3, 4]]), [["1", "2"], ["3", "4"]]),
    (np.array([2**64 - 1], "u8"), [["18446744073709551615"]]),
    (np.array([0.1], "f4"), [["0.1"]]),
    (np.array([True, False]), [["true"], ["false"]]),
    (COMPOUND, [["peak\\x1b[0m", "[1, 2, 3]", "0.1"]]),
    (np.array([b"caf\xc3\xa9", b"\xff"], dtype=object), [["café"], ["\\xff"]]),
    (np.zeros((0,)), []),
    (np.zeros((2, 1, 2), int), [["0", "0"], ["0", "0"]]),
])
def test_that_arrays_read_as_rows_and_columns(values: np.ndarray, expected: list[list[str]],
                                              qtmodeltester: ModelTester) -> None:
    model = ArrayModel(values)
    qtmodeltester.check(model, force_py=True)
    assert texts(model) == expected


def test_that_headers_name_fields_and_indices() -> None:
    horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    model = ArrayModel(COMPOUND)
    assert [model.headerData(n, horizontal) for n in range(3)] == ["name", "hkl", "I"]
    model = ArrayModel(np.zeros((2, 3, 4)))
    assert model.headerData(4, vertical) == "1, 1"
    assert model.headerData(3, horizontal) == "3"


def test_that_a_string_is_shown_as_text_without_markup(qtbot: QtBot) -> None:
    view = TableView()
    qtbot.addWidget(view)
    view.show_values(np.array("<b>a</b>\nsecond\u202e", dtype=object), "title")
    assert view.text.toPlainText() == "<b>a</b>\nsecond\\u202e"
    assert not view.text.isHidden()


def test_that_a_beginning_says_it_is_one(qtbot: QtBot) -> None:
    view = TableView()
    qtbot.addWidget(view)
    view.show_values(np.zeros(5), "x", (500,))
    assert view.note.text() == "The first 5 of 500 are shown."
    view.show_values(np.zeros(5), "x")
    assert view.note.isHidden()


def test_that_selected_cells_copy_as_a_table(qtbot: QtBot) -> None:
    view = TableView()
    qtbot.addWidget(view)
    view.show_values(np.array([[1, 2], [3, 4]]))
    view.show()
    view.table.selectAll()
    QTest.keySequence(view.table, QKeySequence(QKeySequence.StandardKey.Copy))
    assert QGuiApplication.clipboard().text() == "1\t2\n3\t4"


def test_that_a_big_array_opens_at_once(qtbot: QtBot) -> None:
    view = TableView()
    qtbot.addWidget(view)
    view.show_values(np.zeros((1_000_000,), "f4"))
    view.show()
    assert view.table.model().rowCount() == 1_000_000


@pytest.mark.parametrize(("value", "text"), [
    (np.uint64(2**64 - 1), "18446744073709551615"), (np.float32(0.1), "0.1"), (0.1, "0.1"), (3.0, "3"),
    (np.float64("nan"), "NaN"), (np.float64(1e300), "1e+300"), (1 + 2j, "1+2j"), (True, "true")])
def test_that_numbers_are_written_without_loss(value: object, text: str) -> None:
    assert exact_number(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (0, "0"), (1000, "1000"), (0.001, "0.001"), (1.23456e-7, "1.235e-7"), (float("inf"), "∞"), (2.5e9, "2.5e9"),
    (29551.3, "29551"), (5954.72, "5955"), (0.00012346, "0.0001235"), (-12.5, "-12.5")])
def test_that_ticks_are_short(value: float, text: str) -> None:
    assert short_number(value) == text


def test_that_thousands_are_parted() -> None:
    assert grouped(32371904) == "32\u202f371\u202f904"
    assert grouped(None) == "–"
