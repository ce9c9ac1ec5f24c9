"""Makes the pictures of the window in this folder anew, on the demo facility: ``.venv/bin/python docs/images/make.py``.

Without a screen (Qt's ``offscreen``), in a folder of its own below the one given (else a temporary one). A robot signs
in as Ada, opens the demo's data, tries and runs the azimuthal integration, and looks at the board and the catalogue.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

HERE = Path(__file__).resolve().parent
PATIENCE_S = 180.0
SPHERES = "visitor/sc5678/saxs/20261112/RAW_DATA/spheres/spheres_0001.nxs"
FRAMES = "/entry/instrument/detector/data"
PHANTOM = "visitor/md1001/tomo/20261110/RAW_DATA/phantom/phantom_0001.nx"


class Stage:
    """The program on the demo, and what is grabbed of it."""

    def __init__(self, app: Any, folder: Path, out: Path) -> None:
        from app.application import Program
        from app.remote.demo import DemoFacility
        from app.remote.sites import Sites

        self._app, self._out = app, out
        self.demo = DemoFacility(folder / "demo", ("poll_s=1",))
        self.program = Program(app, Sites(), self.demo)
        self.program.start("")
        self.window = self.program.window
        self.window.resize(1480, 956)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            self._app.processEvents()
            time.sleep(0.01)
            if time.monotonic() > end:
                raise TimeoutError("the window did not come so far")

    def until_filled(self, form: Any) -> None:
        """With the calibration beside the data, and its size known."""
        self.until(lambda: str(form.fields["poni"].value).endswith(".poni") and form.facts.extents)

    def settle(self, seconds: float = 1.5) -> None:
        """For pictures, numbers and lists that come a moment later."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def grab(self, name: str, widget: Any = None) -> None:
        self.settle()
        path = self._out / f"{name}.png"
        (widget or self.window).grab().save(str(path))
        print(path, flush=True)

    def theme(self, name: str) -> None:
        self.window.theme_chosen.emit(name)

    def sign_in(self) -> None:
        from app.session.session import SiteState
        from tests.peers.robot import Robot

        dialogs: list[Any] = []
        self.window.asking.dialog_shown.connect(dialogs.append)
        self.window.start_page.demo_button.click()
        self.until(lambda: dialogs and dialogs[0].page is not None)
        robot = Robot(self.demo.addresses["ca_file"], self.demo.addresses["pin_file"])
        threading.Thread(target=robot.sign_in, args=(dialogs[0].page.url,), name="robot").start()
        self.until(lambda: self.program.session.state("demo") is SiteState.OPEN)

    def open(self, path: str) -> Any:
        from PySide6.QtCore import Qt
        from PySide6.QtTest import QTest

        count = self.window.tabs.count()
        field = self.window.top_bar.go_to
        field.setText(str(Path(self.demo.addresses["data"], path)))
        QTest.keyClick(field, Qt.Key.Key_Return)
        self.until(lambda: self.window.tabs.count() > count)
        tab: Any = self.window.current_tab
        self.until(lambda: tab.statistics is not None)
        return tab

    def close(self) -> None:
        self.window.close()
        self.program.shut_down()


def _has(things: list[Any], count: int) -> bool:
    return len(things) >= count


def main_window(stage: Stage) -> None:
    """Regions and a profile, dark and light."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    tab = stage.open(SPHERES)
    tab.viewer.set_frame((18,))
    marks = tab.answers.marks
    first = marks.add_region((280, 345, 560, 660))
    marks.add_region((500, 530, 200, 430))
    marks.select(first.number)
    tab.desk.restore(type(tab.desk.below)(profile=True))
    for name in ("dark", "light"):
        stage.theme(name)
        stage.grab(f"main-{name}")
    QTest.keyClick(tab.viewer.image.canvas, Qt.Key.Key_Z)
    marks.remove_regions()


def form_and_board(stage: Stage) -> None:
    """The form with a frame that was tried, the board with what was submitted, its result, the catalogue."""
    from app.model.data import DataReference
    from app.model.jobs import JobState
    from app.views.submit.trial_panel import TrialPanel

    recipe = next(r for r in stage.program.session.recipes("demo") if r.name == "azimuthal-integration")
    where = DataReference("demo", PurePosixPath(stage.demo.addresses["data"], SPHERES), FRAMES)
    dialog = stage.window.submit(recipe, where)
    assert dialog is not None
    stage.until_filled(dialog)
    dialog.resize(1280, 900)
    panel = dialog.findChild(TrialPanel)
    assert panel is not None
    panel.try_button.click()
    stage.until(lambda: panel.picture.viewer is not None)
    stage.grab("submit-form", dialog)
    submitted: list[Any] = []
    for name, values in (("With a file that is no PONI", {"poni": str(dialog.fields["mask"].value)}),
                         ("Spheres, all frames", {})):
        again = stage.window.submit(recipe, where)
        assert again is not None
        stage.until_filled(again)
        again.change_values(values)
        again.resources.name.setText(name)
        again.submitted.connect(submitted.append)
        one_more = functools.partial(_has, submitted, len(submitted) + 1)
        again.submit_button.click()
        stage.until(one_more)
    dialog.close()
    done = submitted[-1].id
    stage.until(lambda: getattr(stage.program.jobs.job("demo", done), "state", None) is JobState.COMPLETED)
    stage.window.jobs_dock.select("demo", submitted[0].id)
    stage.grab("jobs-board")
    catalogue = stage.window.catalogue_desk.show()
    catalogue.resize(940, 640)
    stage.grab("catalogue", catalogue)
    catalogue.close()


def tomography_form(stage: Stage) -> None:
    """The form with a slice that was tried, and the centre that was found."""
    from app.model.data import DataReference
    from app.views.submit.trial_panel import TrialPanel

    recipe = next(r for r in stage.program.session.recipes("demo") if r.name == "tomography")
    where = DataReference("demo", PurePosixPath(stage.demo.addresses["data"], PHANTOM), "/entry/data/data")
    dialog = stage.window.submit(recipe, where)
    assert dialog is not None
    stage.until(lambda: dialog.facts.extents)
    dialog.resize(1280, 900)
    panel = dialog.findChild(TrialPanel)
    assert panel is not None
    panel.try_button.click()
    stage.until(lambda: panel.picture.viewer is not None)
    stage.grab("trial-slice", dialog)
    dialog.close()


def run() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--folder", type=Path, help="keeps the demo's data between two calls")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beamside-pictures-") as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        scale = float(os.environ.get("QT_SCALE_FACTOR") or 1)
        screen = {"name": "one", "x": 0, "y": 0, "width": int(1920 * scale), "height": int(1200 * scale),
                  "logicalDpi": 96, "logicalBaseDpi": 96}
        (folder / "screen.json").write_text(json.dumps({"screens": [{**screen, "dpr": 1}]}))
        os.environ["QT_QPA_PLATFORM"] = f"offscreen:configfile={folder / 'screen.json'}"
        os.environ.update(XDG_STATE_HOME=str(folder / "state"), XDG_CONFIG_HOME=str(folder / "config"),
                          XDG_CACHE_HOME=str(folder / "cache"))
        sys.path.insert(0, str(HERE.parent.parent))
        from PySide6.QtWidgets import QApplication

        stage = Stage(QApplication(sys.argv[:1]), folder, arguments.out)
        try:
            stage.sign_in()
            main_window(stage)
            form_and_board(stage)
            tomography_form(stage)
        finally:
            stage.close()


if __name__ == "__main__":
    run()
