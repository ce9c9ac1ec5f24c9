"""How a result was made, in the window: told in the inspector, its recipe opened again, copied as Python."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from app.application import Program
from app.model.jobs import Job, JobState
from tests.gui.local_window import go, open_local

PATIENCE_MS = 20_000


def result(path: Path, **more: Any) -> Path:
    """A result as the recipes write it."""
    said = {"recipe": "azimuthal-integration", "recipe_version": "1.0", "job_id": "20261122-103004-1f09ac",
            "scheduler_id": "8812", "program": "pyFAI", "version": "2026.9", "date": "2026-11-22T10:00:00+00:00",
            "parameters": json.dumps({"npt": 321, "unit": "2th_deg", "gone": 1}),
            "inputs": json.dumps([str(path.with_name("scan.h5"))]), **more}
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="reduced")
        data = entry.create_group("reduced")
        data.attrs.update(NX_class="NXdata", signal="I")
        data["I"] = np.arange(1.0, 50.0)
        process = entry.create_group("process")
        process.attrs["NX_class"] = "NXprocess"
        for name, value in said.items():
            process[name] = value
    return path


def shown(qtbot: Any, program: Program, path: Path) -> Any:
    go(qtbot, program, str(path))
    section = program.window.inspector.made
    qtbot.waitUntil(lambda: not section.isHidden(), timeout=PATIENCE_MS)
    return section


def test_that_the_inspector_says_how_a_result_was_made(qtbot: Any, start: Any, tmp_path: Path) -> None:
    program = open_local(qtbot, start)
    section = shown(qtbot, program, result(tmp_path / "result.h5"))
    assert section.sentence == "made by azimuthal integration 1.0, job 8812, 2026-11-22"
    assert section.reopen.isEnabled()
    tip = html.unescape(section._made.toolTip())
    assert "Radial unit: 2θ (°)" in tip, "as the form calls it"
    assert "2th_deg" not in tip
    assert "Number of points: 321" in tip
    assert "gone = 1" in tip, "what the recipe does not know is told as it is"
    plain = tmp_path / "plain.h5"
    with h5py.File(plain, "w") as file:
        file["values"] = np.arange(9.0)
    go(qtbot, program, f"{plain}::/values")
    qtbot.waitUntil(section.isHidden, timeout=PATIENCE_MS)


def test_that_a_result_is_told_by_the_number_its_job_has_on_the_board(qtbot: Any, start: Any, tmp_path: Path) -> None:
    program = open_local(qtbot, start)
    made = Job("20261122-103004-1f09ac", "local", "Reduction", "azimuthal-integration", "1.0", JobState.COMPLETED,
               scheduler_id="8811")
    program.jobs.polling.take_answer("local", [made])
    section = shown(qtbot, program, result(tmp_path / "result.h5"))
    assert section.sentence == "made by azimuthal integration 1.0, job 8811, 2026-11-22"


def test_that_faulty_provenance_cannot_be_opened(qtbot: Any, start: Any, tmp_path: Path) -> None:
    program = open_local(qtbot, start)
    section = shown(qtbot, program, result(tmp_path / "result.h5", parameters="{"))
    assert not section.reopen.isEnabled()
    assert "does not say its parameters" in section._fault.text()


def test_that_the_menu_says_where_there_is_nothing_to_open(qtbot: Any, start: Any) -> None:
    program = open_local(qtbot, start)
    program.window.provenance_desk.reopen()
    assert "does not say that a recipe made it" in program.messages.all[-1].summary
