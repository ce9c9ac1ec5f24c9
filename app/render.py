"""Default plots as PNG files without a screen, for the command line. No Qt; any thread; reads no data itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import AsinhNorm, Colormap, LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure

from app.errors import DataError, StorageFullError
from app.model.axes import titled
from app.model.data import Block, Exactness
from app.model.limits import LimitsRule, drawable_limits, limits_from, limits_of_values, upper_of_drawn
from app.model.plot import PlotDescription

_DPI = 150
_MASK_GREY = "#c9ced6"
_LINE = "#0b66d0"
_COLORMAPS = {"gray": "gray", "reversed gray": "gray_r", "temperature": "jet"}


def render_block_png(block: Block, description: PlotDescription, path: Path) -> None:
    """Draw a frame: colours, scale and limits as the window would, masked pixels grey, axes in full-frame pixels.

    Args:
        block: values of shape (height, width), or (height, width, 3|4) colours; the whole frame, pooled or exact.

    Raises:
        DataError: the path cannot be written.
    """
    figure = Figure(figsize=(8, 7), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    fy, fx = block.factor
    rows, columns = block.values.shape[:2]
    extent = (0.0, float(columns * fx), float(rows * fy), 0.0)
    if block.values.ndim == 3:
        axes.imshow(block.values, extent=extent, interpolation="nearest")
    else:
        _draw_numbers(figure, axes, block, description, extent)
    height, width = block.full_shape[-2:] if block.values.ndim == 2 and len(block.full_shape) >= 2 else (rows, columns)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_facecolor(_MASK_GREY)
    _title(axes, description)
    if block.exactness is Exactness.POOLED:
        axes.set_xlabel(f"pixels (shown {block.shown})", fontsize=9)
    _save(figure, path)


def render_curve_png(x: np.ndarray | None, y: np.ndarray, errors: np.ndarray | None, description: PlotDescription,
                     path: Path) -> None:
    """Draw a curve with its errors on the scales the file asks for.

    Args:
        x: (n,) positions, (n+1,) edges, or ``None`` for the index.
        y: (n,), or (m, n) for m curves.
        errors: like ``y``, one standard deviation.

    Raises:
        DataError: the path cannot be written.
    """
    figure = Figure(figsize=(8, 6), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    curves = np.atleast_2d(np.abs(y) if y.dtype.kind == "c" else np.asarray(y, dtype=np.float64))
    spreads = None if errors is None or errors.shape != y.shape else np.atleast_2d(np.asarray(errors, dtype=np.float64))
    positions = np.arange(curves.shape[-1]) if x is None else np.ravel(np.asarray(x, dtype=np.float64))
    if positions.size == curves.shape[-1] + 1:
        positions = (positions[:-1] + positions[1:]) / 2
    if positions.size != curves.shape[-1]:
        positions = np.arange(curves.shape[-1])
    axes.set_xscale("log" if description.x_scale == "log" else "linear")
    axes.set_yscale("log" if description.y_scale == "log" else "linear")
    for n, curve in enumerate(curves):
        colour = _LINE if len(curves) == 1 else None
        if spreads is not None:
            axes.errorbar(positions, curve, yerr=spreads[n], color=colour, linewidth=1.2, elinewidth=0.6, capsize=0)
        else:
            axes.plot(positions, curve, color=colour, linewidth=1.2)
    _label_axes(axes, description)
    _save(figure, path)


def render_scatter_png(x: np.ndarray, y: np.ndarray, values: np.ndarray, description: PlotDescription,
                       path: Path) -> None:
    """Draw points coloured by their values; all (n,).

    Raises:
        DataError: the path cannot be written.
    """
    figure = Figure(figsize=(8, 6), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    points = axes.scatter(np.ravel(x), np.ravel(y), c=np.ravel(values), s=12, cmap=_colormap(description.colormap))
    figure.colorbar(points, ax=axes).set_label(titled(*description.signal_words), parse_math=False)
    axes.set_xlabel(titled(*description.axis_words(0)), parse_math=False)
    axes.set_ylabel(titled(*description.axis_words(1)), parse_math=False)
    _title(axes, description)
    _save(figure, path)


def _draw_numbers(figure: Figure, axes: Axes, block: Block, description: PlotDescription,
                  extent: tuple[float, float, float, float]) -> None:
    values = np.abs(block.values) if block.values.dtype.kind == "c" else block.values
    masked = np.ma.masked_invalid(values.astype(np.float64))
    if block.mask is not None:
        masked = np.ma.masked_where(block.mask, masked)
    normalization = description.normalization or "linear"
    rule = LimitsRule.named(description.limits_rule)
    drawn_upper = upper_of_drawn(block, rule, normalization, block.statistics)
    limits = limits_from(block.statistics, rule, normalization, drawn_upper)
    low, high = limits or description.limits or limits_of_values(block, normalization)
    low, high = drawable_limits(low, high, normalization)
    if normalization == "log":
        masked = np.ma.maximum(masked, low)
    colormap = _colormap(description.colormap)
    picture = axes.imshow(masked, extent=extent, interpolation="nearest", cmap=colormap,
                          norm=_norm(normalization, low, high))
    figure.colorbar(picture, ax=axes, shrink=0.9).set_label(description.signal_units, parse_math=False)


def _norm(normalization: str, low: float, high: float) -> Normalize:
    if normalization == "log":
        return LogNorm(low, high)
    if normalization == "sqrt":
        return PowerNorm(0.5, low, high)
    if normalization == "arcsinh":
        return AsinhNorm(1.0, low, high)
    return Normalize(low, high)


def _colormap(name: str | None) -> Colormap:
    """The map of that name (silx's names too), with masked pixels grey."""
    wanted = _COLORMAPS.get(name or "", name or "inferno")
    chosen = colormaps[wanted if wanted in colormaps else "inferno"]
    return chosen.with_extremes(bad=_MASK_GREY)


def _title(axes: Axes, description: PlotDescription) -> None:
    """The file's title or the signal's path, as plain text: no mathematical markup."""
    axes.set_title(description.title or description.signal or "", fontsize=10, parse_math=False)


def _label_axes(axes: Axes, description: PlotDescription) -> None:
    name, units = description.axis_words(-1)
    axes.set_xlabel(titled(name or "index", units), parse_math=False)
    axes.set_ylabel(titled(*description.signal_words), parse_math=False)
    _title(axes, description)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        kind = StorageFullError if error.errno == 28 else DataError
        raise kind(f"The picture could not be written to {path}: {error.strerror or error}.", detail=str(error),
                   remedy="Choose a folder you may write to that has space.") from error
