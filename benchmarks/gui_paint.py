"""How long the window's own thread is busy with a picture: colouring and painting it, and while pictures stream in.

Without a screen (Qt's offscreen platform, raster painting). ``colour``: a block is handed to the viewer; ``paint``: the
widget draws itself; ``gap``: how late a 1 ms timer of the event loop is while frames of a local stack follow each other
as fast as they come. The picture has a pixel for each of the viewport's.

    .venv/bin/python -m benchmarks.gui_paint [--width 2560] [--height 1600] [--seconds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import h5py
import numpy as np
from PySide6.QtCore import QEventLoop, Qt, QTimer
from PySide6.QtWidgets import QApplication

from app.model.data import Block, DataReference, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.model.site import LOCAL
from app.remote.connection import Connection
from app.remote.local_transport import LocalTransport
from app.session.frame_source import FrameSource
from app.viz.stack_view import StackView
from app.viz.theme import apply_theme

ROUNDS = 25
PATIENCE_S = 30.0                      # for the first picture
AROUND = (160, 150)                    # what the viewer needs beside the picture
REFERENCE = DataReference("local", PurePosixPath("/nowhere.h5"), "/entry/data/data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=2560)
    parser.add_argument("--height", type=int, default=1600)
    parser.add_argument("--seconds", type=float, default=5.0)
    asked = parser.parse_args()
    app = QApplication(sys.argv[:1])
    apply_theme(app, "dark")
    found = {}
    for name in ("uint16", "uint32", "float32"):
        found[name] = still(app, (asked.height, asked.width), np.dtype(name))
        print(f"{name:8} " + "  ".join(f"{key} {value:6.1f} ms" for key, value in found[name].items()))
    found["streaming"] = streaming(app, (asked.height, asked.width), asked.seconds)
    print("streaming " + "  ".join(f"{key} {value:.1f}" for key, value in found["streaming"].items()))
    print(json.dumps(found))


def picture(shape: tuple[int, int], dtype: np.dtype[Any]) -> np.ndarray:
    """Counts of a detector, or noise."""
    random = np.random.default_rng(1)
    return random.poisson(3, shape).astype(dtype) if dtype.kind == "u" else random.normal(1, 0.1, shape).astype(dtype)


def viewer_for(app: QApplication, shape: tuple[int, int], dtype: np.dtype[Any], frames: int) -> StackView:
    description = PlotDescription(View.STACK, "/entry/data/data", axes=(None, None, None), normalization="log",
                                  shape=(frames, *shape), dtype=str(dtype))
    viewer = StackView(description)
    viewer.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
    viewer.resize(shape[1] + AROUND[0], shape[0] + AROUND[1])
    viewer.show()
    app.processEvents()
    viewer.image.zoom_one_to_one()
    app.processEvents()
    return viewer


def still(app: QApplication, shape: tuple[int, int], dtype: np.dtype[Any]) -> dict[str, float]:
    """Medians of one picture after the other."""
    viewer = viewer_for(app, shape, dtype, 100)
    values = picture(shape, dtype)
    values.flags.writeable = False
    limits = Statistics(count=values.size, valid_minimum=0, valid_maximum=12, limits=(1.0, 9.0))
    colour, paint = [], []
    for number in range(ROUNDS):
        block = Block(values, REFERENCE, Selection.frame((number,)), shape, statistics=limits)
        begun = time.perf_counter()
        viewer.show_block(block, (number,))
        handed = time.perf_counter()
        viewer.image.canvas.viewport().repaint()
        colour.append(1000 * (handed - begun))
        paint.append(1000 * (time.perf_counter() - handed))
        app.processEvents()
    viewer.close()
    return {"colour": statistics.median(colour), "paint": statistics.median(paint),
            "together": statistics.median(c + p for c, p in zip(colour, paint, strict=True))}


def streaming(app: QApplication, shape: tuple[int, int], seconds: float) -> dict[str, float]:
    """Frames of a local file, each wanted as soon as the one before it is on screen."""
    with tempfile.TemporaryDirectory(prefix="bs-paint-") as folder:
        file = Path(folder) / "stack.h5"
        with h5py.File(file, "w") as out:
            data = out.create_dataset("entry/data/data", (60, *shape), "u2", chunks=(1, *shape))
            frame = picture(shape, np.dtype("u2"))
            for number in range(60):
                data[number] = np.roll(frame, number, axis=0)
        connection = Connection(LOCAL, LocalTransport)
        connection.open().result(60)
        try:
            return _follow(app, connection, DataReference("local", PurePosixPath(file), "/entry/data/data"), shape,
                           seconds)
        finally:
            connection.close()


def _follow(app: QApplication, connection: Connection, reference: DataReference, shape: tuple[int, int],
            seconds: float) -> dict[str, float]:
    viewer = viewer_for(app, shape, np.dtype("u2"), 60)
    source = FrameSource(connection.data, reference, viewer.description)
    loop, gaps, shown = QEventLoop(), [], [0]
    last = [time.perf_counter()]

    def ready(block: Block, leading: tuple[int, ...], region: Any) -> None:
        viewer.show_block(block, leading, region)
        shown[0] += 1
        if shown[0] == 1:                        # the workers are up: from here on it is streaming
            gaps.clear()
            QTimer.singleShot(int(1000 * seconds), loop.quit)
        QTimer.singleShot(0, lambda: source.show_frame(((leading[0] + 1) % 60,)))

    def tick() -> None:
        now = time.perf_counter()
        gaps.append(1000 * (now - last[0]))
        last[0] = now

    source.block_ready.connect(ready)
    source.see_region(0, shape[0], 0, shape[1], *shape)
    source.show_frame((0,))
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(1)
    QTimer.singleShot(int(1000 * (PATIENCE_S + seconds)), loop.quit)
    loop.exec()
    source.close()
    viewer.close()
    gaps.sort()
    return {"frames_per_s": shown[0] / seconds, "gap_median_ms": gaps[len(gaps) // 2],
            "gap_p99_ms": gaps[int(0.99 * (len(gaps) - 1))], "gap_max_ms": gaps[-1]}


if __name__ == "__main__":
    main()
