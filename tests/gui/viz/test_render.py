"""Plots as PNG files without Qt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtGui import QImage

from app.errors import DataError
from app.model.plot import PlotDescription, View
from app.render import render_block_png, render_curve_png, render_scatter_png
from tests.gui.viz.samples import block_of, colours_of, stack_description, statistics_of

ROOT = Path(__file__).parents[3]


def colours(path: Path) -> set[str]:
    return colours_of(QImage(str(path)))


@pytest.mark.parametrize("normalization", ["linear", "log", "sqrt", "arcsinh"])
def test_that_a_frame_is_rendered_with_its_mask_grey(tmp_path: Path, normalization: str) -> None:
    values = np.random.default_rng(2).poisson(30, (50, 80)).astype(np.uint32)
    mask = np.zeros(values.shape, bool)
    mask[20:30] = True
    values[mask] = 2**32 - 1
    path = tmp_path / "frame.png"
    render_block_png(block_of(values, mask, statistics=statistics_of(values, mask)),
                     stack_description((50, 80), normalization), path)
    assert "#c9ced6" in colours(path)
    assert len(colours(path)) > 30


def test_that_names_with_dollar_signs_are_no_formulas(tmp_path: Path) -> None:
    description = PlotDescription(View.CURVE, signal="/e/$x_{", title="$\\bad{", signal_units="$", axes=("/e/$q",),
                                  axes_units=("$^",), x_scale="log", y_scale="log")
    render_curve_png(np.arange(1.0, 5), np.arange(4.0), np.ones(4), description, tmp_path / "curve.png")
    render_scatter_png(np.arange(4.0), np.arange(4.0), np.arange(4.0), description, tmp_path / "scatter.png")
    render_block_png(block_of(np.eye(4)), description, tmp_path / "frame.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_that_awkward_data_is_rendered(tmp_path: Path) -> None:
    for values in (np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), -1.0), np.ones((1, 1), complex),
                   np.zeros((3, 4), bool), np.zeros((3, 4, 3), np.uint8)):
        render_block_png(block_of(values), stack_description(values.shape[:2], "log"), tmp_path / "a.png")
    description = PlotDescription(View.CURVE, signal="/e/I")
    render_curve_png(None, np.zeros((3, 10)), None, description, tmp_path / "b.png")
    render_curve_png(np.arange(11.0), np.arange(10), None, description, tmp_path / "c.png")


def test_that_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be written"):
        render_block_png(block_of(np.eye(4)), stack_description((4, 4)), tmp_path / "missing" / "a.png")


def test_that_rendering_needs_no_qt() -> None:
    program = "import sys, app.render; sys.exit(any('PySide6' in name for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False, timeout=60).returncode == 0
