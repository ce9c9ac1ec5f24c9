"""At 200 % everything is twice as sharp, and regions are told in device pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtWidgets import QApplication
from app.viz.theme import apply_theme
from app.viz.stack_view import StackView
from tests.gui.viz.samples import block_of, pixel_at, stack_description

app = QApplication([])
apply_theme(app, "dark")
stack = StackView(stack_description((3, 400, 600)))
stack.resize(800, 600)
regions = []
loop = QEventLoop()
stack.region_changed.connect(lambda *region: (regions.append(region), loop.quit()))
stack.show()
QTimer.singleShot(5000, loop.quit)
loop.exec()
box = stack.image.box
print("ratio", stack.devicePixelRatioF())
print("height", regions[-1][4], "of", box.height())
values = np.zeros((400, 600), np.uint8)
values[100, 200] = 100
stack.set_limits(0, 100)
stack.show_block(block_of(values), (0,))
stack.image.zoom_to(90, 110, 180, 220)
print("pixels", pixel_at(stack.image, 100, 200)[0], pixel_at(stack.image, 100, 201)[0])
print("grab", stack.grab().width())
stack.image.zoom_one_to_one()
y0, y1, *_ , height, width = stack.visible_region
print("one", round(height / (y1 - y0), 2))
stack.close()
stack.deleteLater()
app.processEvents()
"""


def test_that_a_screen_at_200_percent_gets_twice_the_pixels() -> None:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": "2",
                   "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert told["ratio"] == "2.0"
    height, _, box_height = told["height"].split()
    assert abs(float(height) - 2 * float(box_height)) < 0.5 * float(height)
    assert float(height) > float(box_height)
    assert told["pixels"] == "255 0"
    assert told["grab"] == "1600"
    assert told["one"] == "1.0"
