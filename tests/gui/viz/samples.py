"""Blocks, descriptions and pixels for the tests of what draws."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, QPointF, SignalInstance
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QFileDialog, QLabel, QWidget

from app.model.data import Block, DataReference, Exactness, Reduction, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.viz.image_view import ImageView

REFERENCE = DataReference("local", PurePosixPath("/data/a.h5"), "/entry/data/data")


def statistics_of(values: np.ndarray, mask: np.ndarray | None = None) -> Statistics:
    """What the agent says of a frame."""
    valid = values[~mask] if mask is not None else values.ravel()
    percentiles = tuple((p, float(np.percentile(valid, p))) for p in (0.1, 1, 50, 99, 99.9))
    counts, edges = np.histogram(valid, 32)
    return Statistics(
        minimum=values.min().item(), maximum=values.max().item(), count=values.size,
        masked=0 if mask is None else int(mask.sum()), valid_minimum=valid.min().item(),
        valid_maximum=valid.max().item(), valid_mean=float(valid.mean()), valid_std=float(valid.std()),
        limits=(percentiles[1][1], percentiles[3][1]), percentiles=percentiles,
        histogram=tuple(int(n) for n in counts), histogram_edges=tuple(float(e) for e in edges))


def block_of(values: np.ndarray, mask: np.ndarray | None = None, factor: int = 1,
             full_shape: tuple[int, int] | None = None, statistics: Statistics | None = None) -> Block:
    values = values.copy()
    values.setflags(write=False)
    exactness = Exactness.EXACT if factor == 1 else Exactness.POOLED
    return Block(values, REFERENCE, Selection(), full_shape or values.shape, exactness, (factor, factor),
                 Reduction.MAX, statistics or Statistics(), mask)


def stack_description(shape: tuple[int, ...], normalization: str = "linear", **more: Any) -> PlotDescription:
    return PlotDescription(View.STACK if len(shape) > 2 else View.IMAGE, signal="/entry/data/data", shape=shape,
                           dtype="uint32", colormap="gray", normalization=normalization, signal_units="counts",
                           **more)


def pixel_at(view: ImageView, y: float, x: float) -> tuple[int, int, int]:
    """The colour on screen in the middle of full-frame pixel (y, x)."""
    horizontal, vertical = view._orientation.to_view(x + 0.5, y + 0.5)
    scene = view.box.mapViewToScene(QPointF(horizontal, vertical))
    return colour_at(view.canvas, view.canvas.mapFromScene(scene))


def colours_of(picture: QImage) -> set[str]:
    """Every colour in a picture."""
    picture = picture.convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(picture.constBits(), np.uint32)
    return {f"#{pixel & 0xFFFFFF:06x}" for pixel in np.unique(pixels)}


def colour_at(widget: QWidget, point: QPoint) -> tuple[int, int, int]:
    picture = widget.grab().toImage()
    ratio = picture.devicePixelRatio()
    colour = QColor(picture.pixel(int(point.x() * ratio), int(point.y() * ratio)))
    return colour.red(), colour.green(), colour.blue()


def save_through_dialog(view: QWidget, button: SignalInstance, path: Path) -> None:
    """Press ``button``, and choose ``path`` in the dialog that it opens."""
    button.emit()
    (dialog,) = (found for found in view.findChildren(QFileDialog) if found.isVisible())
    dialog.fileSelected.emit(str(path))
    dialog.close()


def messages(view: QWidget) -> str:
    """The sentences that lie over a view."""
    return " ".join(label.text() for label in view.findChildren(QLabel) if label.isVisible() and len(label.text()) > 40)
