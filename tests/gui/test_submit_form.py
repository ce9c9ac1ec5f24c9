"""The form of an analysis: inputs, types of parameters, defaults that are found, undo, where it runs, warnings."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QLabel, QLineEdit, QPlainTextEdit, QScrollArea, QSpinBox, QWidget

from app.model.data import DataReference
from app.model.jobs import Job, JobSpec, JobState, Partition, Resources, Space
from app.recipes.recipe import Parameter, ParameterType, Recipe, RecipeStep, ResourceRule
from app.session.session import SiteState
from app.views.submit.problem_bubble import ProblemBubble
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeJobs, FakeSites, folder, stack

ONE = DataReference("far", PurePosixPath("/data/raw/scan.h5"), "/entry/data/data")
TWO = DataReference("far", PurePosixPath("/data/raw/other.h5"), "/entry/data/data")
RECIPE = Recipe(
    "reduce", "1.2", "Reduction", "pass", summary="Reduces frames.", inputs_maximum=3,
    parameters=(
        Parameter("npt", ParameterType.INTEGER, "Points", default=1000, minimum=2, maximum=5000, group="Result"),
        Parameter("radial", ParameterType.CHOICE, "Radial unit", choices=("q", "r"), default="q", group="Result",
                  choice_titles=("q (1/nm)", "radius (mm)")),
        Parameter("rings", ParameterType.RANGE, "Rings", unit_from="radial", group="Result"),
        Parameter("window", ParameterType.RANGE, "Window", unit="nm⁻¹", minimum=0, group="Result", help="What counts."),
        Parameter("method", ParameterType.CHOICE, "Method", choices=("fast", "exact"), default="fast", group="Result"),
        Parameter("flats", ParameterType.FILES, "Flat fields", group="Corrections"),
        Parameter("frames", ParameterType.TEXT, "Frames", selects="frames", group="Corrections",
                  pattern=r"-?\d*:?-?\d*(,-?\d+)?"),
        Parameter("solid", ParameterType.BOOLEAN, "Solid angle", default=True, group="Corrections"),
        Parameter("distance", ParameterType.FLOAT, "Distance", unit="m", group="Geometry", advanced=True, minimum=0.1,
                  from_metadata=("NXdetector/distance",))),
    steps=(RecipeStep("reduce", "Reduce", ResourceRule(Resources(time_limit_min=30, cpus=2, memory_mb=4000)),
                      frames_per_task=300),
           RecipeStep("merge", "Merge", ResourceRule(Resources(time_limit_min=10, cpus=1, memory_mb=2000)),
                      only_after_array=True)))


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.batch.known_recipes = {"reduce": RECIPE}
    fake_sites.data.folders["/data/raw"] = folder("/data/raw", "scan.h5", "other.h5")
    fake_sites.data.plots[str(ONE)] = fake_sites.data.plots[str(TWO)] = stack(shape=(3600, 64, 48))
    program = start(fake_sites)
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    return program


@pytest.fixture
def form(qtbot: Any, program: Any) -> SubmitDialog:
    dialog: SubmitDialog = program.window.submit(RECIPE, ONE)
    qtbot.waitUntil(lambda: dialog.resources.partition.count() == 3 and bool(dialog.facts.extents))
    return dialog


def line(form: SubmitDialog, name: str, number: int = 0) -> QLineEdit:
    widget = form.fields[name].editors[number]
    assert isinstance(widget, QLineEdit)
    return widget


def shown_texts(widget: QWidget) -> str:
    return "\n".join(label.text() for label in widget.findChildren(QLabel) if label.isVisible())


# -- ranges ------------------------------------------------------------------------------------------------------------


def test_that_a_range_beyond_the_data_is_told_at_its_field_and_may_be_submitted(form: SubmitDialog) -> None:
    field = form.fields["frames"]
    form.fields["frames"].set_value("3500:4000")
    assert field.note_text == "The data has 3600 frames: of “3500:4000”, 3500 to 3599 are used."
    assert field.fault == ""
    assert form.check(), "odd is not wrong"
    form.fields["frames"].set_value("3500:3600")
    assert field.note_text == ""
    form.fields["frames"].set_value("5000:")
    assert field.note_text == "The data has 3600 frames, counted from 0: “5000:” selects none of them."
    form.fields["frames"].set_value("no")
    assert "expected" in field.note_text, "what is wrong comes first"
    form.fields["frames"].set_value(None)
    assert field.note_text == ""


def test_that_a_range_is_told_of_the_inputs_that_are_there_now(qtbot: Any, form: SubmitDialog,
                                                               fake_sites: FakeSites) -> None:
    form.fields["frames"].set_value("0:3000")
    assert form.fields["frames"].note_text == ""
    short = dataclasses.replace(TWO, file_path=PurePosixPath("/data/raw/short.h5"))
    fake_sites.data.plots[str(short)] = stack(shape=(100, 64, 48))
    form.inputs_field.add(short)
    qtbot.waitUntil(lambda: form.fields["frames"].note_text ==
                    "Input 2 has 100 frames: of “0:3000”, 0 to 99 are used.")


def test_that_tab_goes_through_all_of_the_form_in_the_order_of_the_eye(qtbot: Any, form: SubmitDialog) -> None:
    names, widget = [], form.nextInFocusChain()
    while widget is not form:
        if widget.isVisible() and widget.isEnabled() and widget.focusProxy() is None and (
                widget.focusPolicy() & Qt.FocusPolicy.TabFocus):
            names.append(widget.accessibleName() or getattr(widget, "text", str)())
        widget = widget.nextInFocusChain()
    wanted = ["Inputs", "Points", "Rings, from", "Rings, to", "Flat fields", "Name", "Partition", "Account",
              "Preview scripts", "Cancel", "Submit"]
    assert [name for name in names if name in wanted] == wanted
    assert names[0] == "Inputs"
    assert all(names), "each says what it is"


def test_that_a_form_of_a_site_that_is_left_says_so_and_is_handed_in_over_the_next_connection(
        qtbot: Any, program: Any, form: SubmitDialog, fake_sites: FakeSites) -> None:
    line(form, "npt").setText("77")
    line(form, "npt").textEdited.emit("77")
    program.session.close_site("far")
    said = "Not connected to Far Light Source. What is typed here stays: connect again, then submit."
    qtbot.waitUntil(lambda: form.sentence == said)
    form.submit_button.click()
    assert form.sentence == said
    assert not fake_sites.batch.submitted
    fake_sites.batch = FakeJobs()
    fake_sites.batch.known_recipes = {"reduce": RECIPE}
    program.session.open_site("far")
    qtbot.waitUntil(lambda: form.sentence == "")
    form.submit_button.click()
    qtbot.waitUntil(lambda: bool(fake_sites.batch.submitted))
    assert fake_sites.batch.submitted[0].parameters == {"npt": 77}


# -- values ------------------------------------------------------------------------------------------------------------


def test_that_parameters_stand_under_their_headings_and_seldom_ones_are_folded(form: SubmitDialog) -> None:
    shown = shown_texts(form)
    assert shown.index("Result") < shown.index("Points") < shown.index("Corrections") < shown.index("Flat fields")
    assert not form.fields["distance"].isVisible()
    form.fields["distance"].set_value(0.0)
    assert not form.check()
    assert form.fields["distance"].isVisible(), "a fault is not left folded away"


def test_that_a_range_is_two_numbers(qtbot: Any, form: SubmitDialog) -> None:
    qtbot.keyClicks(line(form, "window"), "0.5")
    assert form.fields["window"].fault, "half a range is none"
    qtbot.keyClicks(line(form, "window", 1), "4")
    assert form.fields["window"].fault == ""
    assert form.spec.parameters == {"window": (0.5, 4.0)}
    assert line(form, "window", 1).accessibleName() == "Window, to"
    assert "nm⁻¹" in shown_texts(form.fields["window"])


def test_that_a_long_fault_is_shown_whole_and_moves_no_row(qtbot: Any, form: SubmitDialog) -> None:
    sentence = ("The file /data/visitor/md1001/saxs/20261110/PROCESSED_DATA/calibration/agbh_0001.poni is no "
                "calibration that pyFAI reads: it says neither a distance nor a detector, so nothing can be computed.")
    form.activateWindow()
    line(form, "npt").setFocus()
    qtbot.waitUntil(line(form, "npt").hasFocus)
    places = {name: field.mapTo(form.form, QPoint()) for name, field in form.fields.items()}
    form.form.tell_fault("npt", sentence)
    bubble = next(label for label in form.findChildren(ProblemBubble) if label.isVisible())
    assert bubble.text() == sentence
    assert bubble.height() >= bubble.heightForWidth(bubble.width()) > 40
    assert bubble.mapTo(form.form, QPoint()).y() >= places["npt"].y() + line(form, "npt").height()
    QApplication.sendPostedEvents()
    assert {name: field.mapTo(form.form, QPoint()) for name, field in form.fields.items()} == places
    assert sentence in line(form, "npt").accessibleDescription()
    line(form, "window").setFocus()
    assert not bubble.isVisible(), "it is where the keys are"
    assert line(form, "npt").property("state") == "error", "its edge stays"


def test_that_a_fault_is_above_its_field_where_there_is_no_room_below(qtbot: Any, form: SubmitDialog) -> None:
    field, area = form.fields["solid"], form.findChild(QScrollArea)
    form.resize(form.width(), 460)
    form.activateWindow()
    field.setFocus()
    QApplication.sendPostedEvents()
    bottom = field.mapTo(area.widget(), QPoint(0, field.height())).y()
    area.verticalScrollBar().setValue(bottom - area.viewport().height())
    field.tell_fault("That cannot be.")
    bubble = next(label for label in form.findChildren(ProblemBubble) if label.isVisible())
    assert bubble.mapTo(area.widget(), QPoint(0, bubble.height())).y() <= field.mapTo(area.widget(), QPoint()).y()
    assert not bubble.visibleRegion().isEmpty()


def test_that_no_row_moves_while_values_are_typed_found_and_taken_back(qtbot: Any, form: SubmitDialog) -> None:
    form.form._sections["distance"].unfold()
    QApplication.sendPostedEvents()
    parts = {**form.fields, "where it runs": form.resources}
    places = {name: part.mapTo(form.form.parentWidget(), QPoint()) for name, part in parts.items()}
    form.facts.default_found.emit("distance", 0.9231, "from " + "entry/instrument/detector/" * 9 + "distance")
    qtbot.keyClicks(line(form, "distance"), "x")
    assert form.fields["distance"].fault
    assert form.fields["distance"]._note.isVisible(), "empty by now, and in its place"
    qtbot.keyClicks(line(form, "frames"), "5000:")
    form.history.undo()
    QApplication.sendPostedEvents()
    assert {name: part.mapTo(form.form.parentWidget(), QPoint()) for name, part in parts.items()} == places


def test_that_a_notice_about_the_whole_form_moves_no_row_that_is_edited(qtbot: Any, form: SubmitDialog) -> None:
    form.resize(form.width(), 460)
    qtbot.keyClicks(line(form, "window"), "0.5")
    QApplication.sendPostedEvents()
    place = form.fields["window"].mapTo(form, QPoint())
    form.tell("A job would probably fail: pyFAI is not there.", "software")
    QApplication.sendPostedEvents()
    assert form.notice.isVisible()
    assert form.fields["window"].mapTo(form, QPoint()) == place
    form.tell("", "software")
    QApplication.sendPostedEvents()
    assert form.fields["window"].mapTo(form, QPoint()) == place


def test_that_all_lines_end_at_one_edge_with_or_without_a_unit(form: SubmitDialog) -> None:
    form.form._sections["distance"].unfold()
    QApplication.sendPostedEvents()
    lines = [line(form, "npt"), line(form, "rings", 1), line(form, "window", 1), line(form, "frames"),
             line(form, "distance")]
    assert len({edit.mapTo(form, QPoint(edit.width(), 0)).x() for edit in lines}) == 1


# -- parameters without effect -----------------------------------------------------------------------------------------


@pytest.fixture
def dependent(qtbot: Any, program: Any) -> SubmitDialog:
    parameters = (Parameter("poni", ParameterType.FILE, "PONI file"),
                  Parameter("distance", ParameterType.FLOAT, "Distance", unit="m", unused_with=("poni",),
                            from_metadata=("NXdetector/distance",)),
                  Parameter("mode", ParameterType.CHOICE, "Mode", choices=("one", "two"), default="one",
                            unused_with=("poni",)),
                  Parameter("span", ParameterType.RANGE, "Span", unit="mm", used_if=({"mode": ("two",)},)),
                  Parameter("flag", ParameterType.BOOLEAN, "Flag", default=True, unused_with=("poni",)),
                  Parameter("files", ParameterType.FILES, "Files", used_if=({"flag": (True,)},)))
    dialog: SubmitDialog = program.window.submit(dataclasses.replace(RECIPE, parameters=parameters), ONE)
    qtbot.waitUntil(lambda: bool(dialog.facts.extents))
    return dialog


def test_that_a_parameter_without_effect_is_greyed_says_why_and_is_not_handed_in(qtbot: Any,
                                                                                 dependent: SubmitDialog) -> None:
    fields = dependent.fields
    dependent.facts.default_found.emit("distance", 0.9231, "from entry/instrument/detector/distance")
    fields["span"].set_value((1.0, 2.0))
    assert fields["span"].why_unused == "only where “Mode” is “two”"
    assert dependent.spec.parameters == {"distance": 0.9231}
    fields["mode"].set_value("two")
    fields["files"].add_path("/data/a.h5")
    places = {name: field.mapTo(dependent.form, QPoint()) for name, field in fields.items()}
    everything = dependent.spec.parameters
    assert everything == {"distance": 0.9231, "mode": "two", "span": (1.0, 2.0), "files": ("/data/a.h5",)}
    fields["poni"].set_value("/data/a.poni")
    assert dependent.spec.parameters == {"poni": "/data/a.poni"}
    for name in ("distance", "mode", "span", "flag", "files"):
        assert not any(editor.isEnabled() for editor in fields[name].editors), name
        assert "Not used: " in fields[name].editors[0].toolTip(), name
    assert line(dependent, "distance").text() == ""
    assert line(dependent, "distance").placeholderText() == "decided by the PONI file"
    box = fields["mode"].editors[0]
    assert isinstance(box, QComboBox)
    assert (box.currentText(), box.placeholderText()) == ("", "decided by the PONI file")
    assert "decided by the PONI file" in shown_texts(fields["flag"])
    assert fields["distance"].note_text == "", "where a value that is not shown is from says nothing"
    fields["distance"].suggest(0.5, "from elsewhere")           # found while it is greyed
    QApplication.sendPostedEvents()
    assert {name: field.mapTo(dependent.form, QPoint()) for name, field in fields.items()} == places
    line(dependent, "poni").clear()
    qtbot.keyClicks(line(dependent, "poni"), " ")
    assert dependent.spec.parameters == {**everything, "distance": 0.5}
    assert line(dependent, "distance").text() == "0.5"
    assert line(dependent, "distance").isEnabled()


def test_that_a_fault_of_a_parameter_without_effect_stands_in_no_way(qtbot: Any, dependent: SubmitDialog) -> None:
    qtbot.keyClicks(line(dependent, "distance"), "far")
    assert not dependent.check()
    dependent.fields["poni"].set_value("/data/a.poni")
    assert dependent.check()
    dependent.history.undo()
    assert (line(dependent, "distance").text(), dependent.fields["distance"].fault != "") == ("far", True)


@pytest.fixture
def needing(qtbot: Any, program: Any) -> SubmitDialog:
    parameters = (Parameter("poni", ParameterType.FILE, "PONI file"),
                  Parameter("distance", ParameterType.FLOAT, "Distance", unit="m", unused_with=("poni",),
                            from_metadata=("NXdetector/distance",), needed_if=({"poni": ("",)},)),
                  Parameter("pixel", ParameterType.FLOAT, "Pixel size", advanced=True, unused_with=("poni",),
                            from_metadata=("NXdetector/x_pixel_size",), needed_if=({"poni": ("",)},)))
    dialog: SubmitDialog = program.window.submit(dataclasses.replace(RECIPE, parameters=parameters), ONE)
    qtbot.waitUntil(lambda: bool(dialog.facts.extents) and dialog.resources.partition.count() == 3)
    return dialog


def test_that_a_geometry_that_nobody_gave_is_told_at_its_fields_and_not_submitted(
        qtbot: Any, needing: SubmitDialog, fake_sites: FakeSites) -> None:
    told = "Give a PONI file, or set “Distance” and “Pixel size”: the data does not say them."
    assert line(needing, "distance").placeholderText() == "needed without a PONI file"
    needing.facts._take_said({"distance": False, "pixel": False})
    assert needing.fields["distance"].note_text == "", "nobody is told off before it is submitted"
    qtbot.mouseClick(needing.submit_button, Qt.MouseButton.LeftButton)
    assert (needing.sentence, needing.fields["distance"].note_text, needing.fields["pixel"].note_text) == (told,) * 3
    assert line(needing, "pixel").isVisible(), "what is folded away opens"
    assert fake_sites.batch.submitted == []
    qtbot.keyClicks(line(needing, "distance"), "2.5")
    assert needing.fields["pixel"].fault == "Give a PONI file, or set “Pixel size”: the data does not say it."
    needing.fields["poni"].set_value("/data/a.poni")
    assert needing.form.faults == {}
    assert needing.fields["pixel"].note_text == ""
    needing.fields["poni"].set_value(None)
    line(needing, "distance").clear()
    needing.facts._take_said({"distance": True, "pixel": True})
    assert line(needing, "distance").placeholderText() == "optional"
    assert needing.check()
    assert needing.spec.in_data == {"distance": True, "pixel": True}


def test_that_choices_are_told_in_words_and_units_follow_them(form: SubmitDialog) -> None:
    box = form.fields["radial"].editors[0]
    assert isinstance(box, QComboBox)
    assert [box.itemText(row) for row in range(box.count())] == ["q (1/nm)", "radius (mm)"]
    assert form.fields["rings"].unit_text == "1/nm"
    box.setCurrentIndex(1)
    assert form.spec.parameters == {"radial": "r"}
    assert form.fields["rings"].unit_text == "mm"


def test_that_several_files_are_one_on_each_line(qtbot: Any, form: SubmitDialog) -> None:
    text = form.fields["flats"].editors[0]
    assert isinstance(text, QPlainTextEdit)
    qtbot.keyClicks(text, "/data/a.h5\r/data/b.h5")
    form.fields["flats"].add_path("/data/c.h5")
    assert form.spec.parameters == {"flats": ("/data/a.h5", "/data/b.h5", "/data/c.h5")}
    text.setFocus()
    qtbot.keyClick(text, Qt.Key.Key_Tab)
    assert "\t" not in text.toPlainText(), "Tab goes on to the next field"


def test_that_the_wheel_scrolls_the_form_and_changes_no_value(form: SubmitDialog) -> None:
    fields = [*form.findChildren(QComboBox), *form.resources.findChildren(QSpinBox)]
    fields = [field for field in fields if field.isVisible() and form.isAncestorOf(field)]
    before = form.spec
    assert {"Method", "Partition", "Number of tasks"} <= {field.accessibleName() for field in fields}
    for field in fields:
        field.setFocus()
        for turn in (120, -120):
            middle = QPointF(field.rect().center())
            wheel = QWheelEvent(middle, QPointF(field.mapToGlobal(middle)), QPoint(), QPoint(0, turn),
                                Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
                                False)
            QApplication.sendEvent(field, wheel)
            assert form.spec == before, field.accessibleName()


def test_that_what_an_empty_field_means_is_said(form: SubmitDialog) -> None:
    line(form, "npt").clear()
    assert line(form, "npt").placeholderText() == "1000 unless something is written"
    assert "npt" not in form.spec.parameters


def test_that_metadata_fills_in_what_nobody_wrote(qtbot: Any, form: SubmitDialog) -> None:
    form.facts.default_found.emit("distance", 0.92310000000000014, "from entry/instrument/detector/distance (923.1 mm)")
    assert form.spec.parameters == {"distance": 0.9231}
    assert form.fields["distance"].note_text == "from entry/instrument/detector/distance (923.1 mm)"
    line(form, "distance").clear()
    qtbot.keyClicks(line(form, "distance"), "2")
    form.facts.default_found.emit("distance", 0.9231, "from entry/instrument/detector/distance")
    assert form.spec.parameters == {"distance": 2.0}
    assert form.fields["distance"].note_text == ""


# -- undo --------------------------------------------------------------------------------------------------------------


def test_that_ctrl_z_takes_back_each_edit_in_turn(qtbot: Any, form: SubmitDialog) -> None:
    npt = line(form, "npt")
    form.activateWindow()
    npt.setFocus()
    npt.selectAll()
    qtbot.keyClicks(npt, "500")
    method = form.fields["method"].editors[0]
    qtbot.keyClick(method, Qt.Key.Key_Down)
    assert form.spec.parameters == {"npt": 500, "method": "exact"}
    qtbot.keyClick(method, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert form.spec.parameters == {"npt": 500}
    qtbot.keyClick(npt, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert form.spec.parameters == {}
    assert npt.text() == "1000", "what was typed in one go is taken back in one go"
    qtbot.keyClick(npt, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert form.spec.parameters == {"npt": 500}


def test_that_reset_is_one_step_that_can_be_undone(qtbot: Any, form: SubmitDialog) -> None:
    form.fields["npt"].set_value(500)
    form.fields["solid"].set_value(False)
    qtbot.mouseClick(form.foot.reset, Qt.MouseButton.LeftButton)
    assert form.spec.parameters == {}
    qtbot.mouseClick(form.foot.undo, Qt.MouseButton.LeftButton)
    assert form.spec.parameters == {"npt": 500, "solid": False}


def test_that_reset_brings_back_what_was_found(qtbot: Any, form: SubmitDialog) -> None:
    form.facts.default_found.emit("distance", 0.9, "from entry/distance")
    form.fields["distance"].set_value(2.5)
    form.fields["npt"].set_value(500)
    qtbot.mouseClick(form.foot.reset, Qt.MouseButton.LeftButton)
    assert form.spec.parameters == {"distance": 0.9}
    assert form.fields["distance"].note_text == "from entry/distance"
    qtbot.mouseClick(form.foot.undo, Qt.MouseButton.LeftButton)
    assert form.spec.parameters == {"distance": 2.5, "npt": 500}


def test_that_what_an_earlier_job_left_empty_stays_empty(form: SubmitDialog) -> None:
    form.facts.default_found.emit("distance", 0.9, "from entry/distance")
    form.set_values({"npt": 500, "distance": None}, "as in the result")
    assert form.spec.parameters == {"npt": 500}
    form.facts.default_found.emit("distance", 0.9, "from entry/distance")
    assert form.spec.parameters == {"npt": 500}, "the same numbers come out again"


def test_that_what_was_found_is_not_undone(qtbot: Any, form: SubmitDialog) -> None:
    form.fields["npt"].set_value(500)
    form.facts.default_found.emit("distance", 0.9, "from entry/distance")
    form.history.undo()
    assert form.spec.parameters == {"distance": 0.9}
    assert not form.history.can_undo


def test_that_inputs_and_resources_are_undone_too(form: SubmitDialog) -> None:
    form.inputs_field.add(TWO)
    form.resources.minutes.setValue(12)
    form.resources.hold.setChecked(True)
    for _ in range(3):
        form.history.undo()
    spec = form.spec
    assert (len(spec.inputs), spec.resources.time_limit_min, spec.hold) == (1, None, False)


# -- inputs ------------------------------------------------------------------------------------------------------------


def test_that_inputs_are_added_ordered_and_taken_out(qtbot: Any, form: SubmitDialog) -> None:
    told: list[int] = []
    form.parameters_changed.connect(lambda: told.append(1))
    field = form.inputs_field
    field.add(TWO)
    assert form.inputs == (ONE, TWO)
    qtbot.mouseClick(field.up_button, Qt.MouseButton.LeftButton)
    assert form.inputs == (TWO, ONE)
    field.add(TWO)
    assert form.inputs == (TWO, ONE), "the same input twice is one"
    qtbot.waitUntil(lambda: "7\u202f200 frames" in shown_texts(field))
    qtbot.mouseClick(field.remove_button, Qt.MouseButton.LeftButton)
    assert list(form.inputs) == [ONE]
    assert field.remove_button.isHidden(), "the last one stays"
    assert told


def test_that_more_inputs_than_the_recipe_takes_are_told(form: SubmitDialog, fake_sites: FakeSites) -> None:
    while len(form.inputs) < 4:
        form.inputs_field.add(DataReference("far", PurePosixPath(f"/data/{len(form.inputs)}.h5")))
    form.submit_button.click()
    assert form.sentence == "Reduction takes at most 3 inputs, not 4."
    assert fake_sites.batch.submitted == []
    assert not form.inputs_field.add_button.isEnabled()


def test_that_data_that_does_not_fit_is_told_and_may_be_tried_all_the_same(form: SubmitDialog) -> None:
    form.facts.misfit.emit("Reduction takes NXtomo; this file is none of these.")
    form.facts.extents_changed.emit()
    assert form.notice.isVisible()
    assert "NXtomo" in form.notice.text()
    assert form.submit_button.isEnabled()


# -- where it runs -----------------------------------------------------------------------------------------------------


def test_that_the_rule_says_what_is_asked_for(qtbot: Any, form: SubmitDialog) -> None:
    plan = form.resources.plan
    assert "Reduce: for 3\u202f600 frames: 12 tasks of 300, each 2 CPUs, 4.00 GB, 30 min" in plan.text()
    assert "Merge: 1 CPU, 2.00 GB, 10 min" in plan.text()
    form.resources.tasks.setValue(6)
    assert "6 tasks of 600" in plan.text()
    assert form.spec.tasks == 6


def test_that_partitions_come_with_their_occupancy_and_limit(form: SubmitDialog) -> None:
    box = form.resources.partition
    assert box.currentText() == "short (default) · 12 of 96 CPUs idle · 3 waiting"
    assert "1:00:00" in form.resources.partition_note.text()
    form.resources.minutes.setValue(90)
    assert "above the 60 min" in form.resources.plan.text()
    box.setCurrentIndex(box.findData("gpu"))
    assert "“gpu” is down: maintenance" in form.resources.partition_note.text()


def test_that_accounts_are_those_the_user_may_charge(qtbot: Any, form: SubmitDialog) -> None:
    box = form.resources.account
    qtbot.waitUntil(lambda: box.count() == 2)
    assert form.spec.resources.account == "ma4821"
    box.setCurrentText("inhouse")
    assert form.spec.resources.account == "inhouse"


def test_that_each_step_has_its_own_resources(form: SubmitDialog) -> None:
    merge = form.resources._steps[1]
    memory = next(part.widget for part in merge.parts if part.widget.accessibleName() == "Memory of Merge")
    assert isinstance(memory, QSpinBox)
    memory.setValue(64_000)
    assert form.spec.step_resources == {"merge": Resources(memory_mb=64_000)}
    assert "Merge: 1 CPU, 64.0 GB" in form.resources.plan.text()


def test_that_the_expected_start_and_the_room_are_told(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    fake_sites.batch.starts_at = 1_795_000_000.0
    fake_sites.batch.offered_space = Space("/data/processed", free=3_000_000_000, total=1_000_000_000_000,
                                           quota_used=498_000_000_000, quota_limit=500_000_000_000)
    form = program.window.submit(RECIPE, ONE)
    qtbot.waitUntil(lambda: "would start about" in form.resources.start_note.text())
    assert re.search(r"asked of Slurm at \d\d:\d\d$", form.resources.start_note.text())
    assert "498 GB of your quota of 500 GB used" in form.resources.space_note.text()
    assert form.resources.space_note.property("state") == "warning"


def test_that_what_is_free_is_asked_again_while_the_form_is_open_and_says_when(
        qtbot: Any, program: Any, fake_sites: FakeSites, monkeypatch: pytest.MonkeyPatch) -> None:
    form = program.window.submit(RECIPE, ONE)
    box, wishes = form.resources.partition, form.wishes
    qtbot.waitUntil(lambda: box.count() == 3)
    assert re.search(r"^at most 1:00:00 in “short” · asked at \d\d:\d\d$", form.resources.partition_note.text())
    assert wishes._again.interval() == 60_000
    busy = [Partition("short", default=True, cpus_idle=2, cpus_total=96, waiting=9), Partition("new", waiting=0)]
    monkeypatch.setattr(fake_sites.batch, "partitions", lambda: busy)
    wishes._again.start(0)                                          # its time has come
    qtbot.waitUntil(lambda: box.itemText(1) == "short (default) · 2 of 96 CPUs idle · 9 waiting")
    assert [box.itemData(row) for row in range(box.count())] == ["", "short", "new"], "“gpu” is there no more"
    assert box.currentData() == "short"
    assert wishes._again.interval() == 90_000, "ever more seldom"
    form.resources.minutes.setValue(7)
    assert wishes._again.interval() == 60_000, "unless somebody is at it"
    monkeypatch.setattr(fake_sites.batch, "partitions", broken)
    wishes._again.start(0)
    qtbot.waitUntil(lambda: wishes._again.interval() == 90_000)
    assert "asked at" in form.resources.partition_note.text(), "what was told stays, with its time"


def broken() -> list[Partition]:
    raise ConnectionError("gone")


def test_that_an_expected_start_that_has_passed_is_asked_again(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    batch = fake_sites.batch
    batch.starts_at = time.time() + 3600
    form = program.window.submit(RECIPE, ONE)
    qtbot.waitUntil(lambda: "would start about" in form.resources.start_note.text())
    asked = len(batch.starts_asked)
    form.wishes._ask_again()
    qtbot.waitUntil(lambda: bool(form.wishes.partitions))
    form.wishes._start = time.time() - 60
    batch.starts_at = time.time() + 7 * 86400
    before = form.resources.start_note.text()
    form.wishes._ask_again()
    qtbot.waitUntil(lambda: form.resources.start_note.text() != before)
    assert len(batch.starts_asked) == asked + 1, "once: an answer that holds is not asked for again"


def test_that_a_form_that_is_opened_again_has_the_partition_as_it_is_told_and_nothing_to_undo(
        qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    asked = dataclasses.replace(job_spec(), parameters={"npt": 500}, tasks=4,
                                resources=Resources(partition="short"),
                                step_resources={"merge": Resources(partition="short", cpus=3)})
    form = program.window.job_desk.submit_like("far", asked, "as in job 1")
    assert form.spec.resources.partition == "short", "before anybody knows which there are"
    assert not form.history.can_undo
    assert not form.foot.undo.isEnabled()
    qtbot.waitUntil(lambda: form.resources.partition.count() == 3)
    assert form.resources.partition.currentText() == "short (default) · 12 of 96 CPUs idle · 3 waiting"
    assert (form.spec.tasks, form.spec.parameters) == (4, {"npt": 500})
    assert form.spec.step_resources == {"merge": Resources(partition="short", cpus=3)}
    form.history.undo()
    assert form.spec.tasks == 4
    qtbot.keyClicks(line(form, "npt"), "0")
    assert form.foot.undo.isEnabled()
    form.history.undo()
    assert form.spec.parameters == {"npt": 500}, "as it was opened"


def test_that_a_partition_that_is_gone_is_told(qtbot: Any, program: Any) -> None:
    form = program.window.job_desk.submit_like(
        "far", dataclasses.replace(job_spec(), resources=Resources(partition="old")), "")
    qtbot.waitUntil(lambda: form.resources.partition.count() == 4)
    assert form.resources.partition.currentText() == "old · not known here"
    form.resources.partition.setCurrentIndex(form.resources.partition.findData("short"))
    form.wishes.partitions_known.emit(form.wishes.partitions)
    assert form.resources.partition.findData("old") < 0


def job_spec() -> JobSpec:
    return JobSpec("far", "reduce", (f"{ONE.file_path}::{ONE.data_path}",), {}, Resources())


def test_that_the_number_of_tasks_says_what_the_recipe_makes_of_it(form: SubmitDialog) -> None:
    assert form.resources.tasks.text() == "12 (recipe)"
    form.resources.tasks.setValue(5)
    assert form.resources.tasks.text() == "5"
    form.resources.tasks.setValue(0)
    assert form.resources.tasks.text() == "12 (recipe)"


def test_that_the_batch_system_is_not_asked_for_every_value_that_is_typed(qtbot: Any, form: SubmitDialog,
                                                                          fake_sites: FakeSites) -> None:
    batch = fake_sites.batch
    qtbot.waitUntil(lambda: len(batch.starts_asked) == 1)
    form.fields["npt"].set_value(77)
    assert not form.wishes._settled.isActive()
    form.resources.minutes.setValue(12)
    qtbot.waitUntil(lambda: len(batch.starts_asked) == 2)
    assert batch.starts_asked[1].resources.time_limit_min == 12


def test_that_a_job_can_wait_for_another_and_be_held(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    program.jobs.polling.stop()
    program.jobs.polling.take_answer("far", [Job("j7", "far", "Before", "reduce", "1.2", JobState.RUNNING, "7"),
                                             Job("j6", "far", "Done", "reduce", "1.2", JobState.COMPLETED, "6")])
    form = program.window.submit(RECIPE, ONE)
    assert form.resources.after.count() == 2, "nothing waits for what is done"
    form.resources.after.setCurrentIndex(1)
    form.resources.hold.setChecked(True)
    form.resources.name.setText("mine")
    qtbot.mouseClick(form.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    spec = fake_sites.batch.submitted[0].spec
    assert (spec.after, spec.hold, spec.name) == (("j7",), True, "mine")


# -- handing in --------------------------------------------------------------------------------------------------------


def test_that_warnings_are_told_before_anything_is_submitted(qtbot: Any, form: SubmitDialog,
                                                             fake_sites: FakeSites) -> None:
    fake_sites.batch.warnings = ("The results may not fit into your quota.",)
    qtbot.mouseClick(form.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.sentence == "The results may not fit into your quota.")
    assert fake_sites.batch.submitted == []
    assert form.submit_button.text() == "Submit all the same"
    form.fields["npt"].set_value(20)
    assert form.submit_button.text() == "Submit", "it is another submission now"
    form.history.undo()
    qtbot.mouseClick(form.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: form.submit_button.text() == "Submit all the same")
    qtbot.mouseClick(form.submit_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)


def test_that_the_scripts_of_all_steps_can_be_seen(qtbot: Any, form: SubmitDialog, fake_sites: FakeSites) -> None:
    qtbot.mouseClick(form.preview_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(form.preview.isVisible)
    assert list(form.preview.texts) == ["Reduce", "Merge", "parameters.json", "submit.sh"]
    assert "python run.py" in form.preview.texts["Merge"]
    assert fake_sites.batch.submitted == []


def test_that_the_form_is_submitted_by_keys_alone(qtbot: Any, form: SubmitDialog, fake_sites: FakeSites) -> None:
    form.activateWindow()
    line(form, "npt").setFocus()
    line(form, "npt").selectAll()
    qtbot.keyClicks(line(form, "npt"), "750")
    qtbot.keyClick(line(form, "npt"), Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    assert fake_sites.batch.submitted[0].parameters == {"npt": 750}


@pytest.mark.parametrize("key", [Qt.Key.Key_Return, Qt.Key.Key_Enter])
def test_that_enter_in_a_field_tries_and_submits_nothing(qtbot: Any, form: SubmitDialog, fake_sites: FakeSites,
                                                         key: Qt.Key) -> None:
    handed_in: list[None] = []
    form.foot.submit_wanted.connect(lambda: handed_in.append(None))
    for widget in (line(form, "npt"), line(form, "window", 1), form.resources.name, form.resources.minutes,
                   form.fields["method"].editors[0]):
        widget.setFocus()
        with qtbot.waitSignal(form.try_wanted):
            qtbot.keyClick(widget, key)
    assert handed_in == []
    assert fake_sites.batch.submitted == []
    assert form.isVisible()
    assert "Ctrl+Enter" in form.submit_button.toolTip()


def test_that_every_field_has_a_name_for_who_cannot_see_it(form: SubmitDialog) -> None:
    for field in form.fields.values():
        assert all(editor.accessibleName() for editor in field.editors)
    resources = form.resources
    for widget in (resources.name, resources.partition, resources.account, resources.tasks, resources.after,
                   resources.hold, resources.minutes, form.inputs_field._list):
        assert widget.accessibleName(), widget


def test_that_a_panel_for_trials_has_room_or_takes_turns_with_the_form(qtbot: Any, form: SubmitDialog) -> None:
    side = QLabel("trial")
    form.set_side(side)
    if form.screen().availableGeometry().width() > 1200:
        assert side.isVisible()
        return
    assert not side.isVisible()
    qtbot.mouseClick(form.side_button, Qt.MouseButton.LeftButton)
    assert side.isVisible()
    assert not form.form.isVisible()
    qtbot.mouseClick(form.side_button, Qt.MouseButton.LeftButton)
    assert form.form.isVisible()
    assert form.width() <= form.screen().availableGeometry().width()


def test_that_an_edit_meanwhile_is_not_left_out(qtbot: Any, form: SubmitDialog, fake_sites: FakeSites) -> None:
    qtbot.mouseClick(form.submit_button, Qt.MouseButton.LeftButton)
    form.fields["npt"].set_value(77)
    qtbot.waitUntil(lambda: len(fake_sites.batch.submitted) == 1)
    assert fake_sites.batch.submitted[0].parameters == {"npt": 77}


def test_that_the_recipe_may_ask_for_less_than_all(form: SubmitDialog) -> None:
    assert dataclasses.asdict(form.spec)["extents"][0]["shape"] == (3600, 64, 48)
