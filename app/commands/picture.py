"""``plot --png``: the default plot as a picture, drawn without a screen."""

from __future__ import annotations

from pathlib import Path

from app.commands.context import wait
from app.errors import DataError
from app.model.data import DataReference, ReadRequest, Reduction, Selection
from app.model.plot import PlotDescription, View
from app.remote.seams import DataService
from app.render import render_block_png, render_curve_png, render_scatter_png

PICTURE_PIXELS = (1000, 1000)


def save_picture(data: DataService, reference: DataReference, plot: PlotDescription, out: Path) -> None:
    """Draw what the window would show first.

    Raises:
        DataError: nothing to draw, or ``out`` cannot be written.
    """
    if plot.view is View.NONE or plot.signal is None:
        raise DataError("Nothing in this file can be plotted, so there is no picture.",
                        remedy="Name a dataset: beamside plot FILE::/path --png OUT")
    try:
        if plot.view in (View.IMAGE, View.STACK, View.VOLUME):
            _save_image(data, reference, plot, out)
        elif plot.view is View.CURVE:
            _save_curve(data, reference, plot, out)
        elif plot.view is View.SCATTER:
            _save_scatter(data, reference, plot, out)
        else:
            raise DataError("These values are a table, not a picture.",
                            remedy="Read them with: beamside get TARGET -o OUT.npy")
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror or error}.",
                        remedy="Choose another place.") from None


def _save_image(data: DataService, reference: DataReference, plot: PlotDescription, out: Path) -> None:
    leading = leading_indices(plot)
    block = wait(data.read(ReadRequest(reference, Selection.frame(leading), PICTURE_PIXELS, Reduction(plot.reduction))))
    render_block_png(block, plot, out)


def _save_curve(data: DataService, reference: DataReference, plot: PlotDescription, out: Path) -> None:
    frame = Selection.frame((0,) * max(0, len(plot.shape) - 1))
    y = wait(data.read(ReadRequest(reference, frame))).values
    x = errors = None
    if plot.axes and plot.axes[-1]:
        x = wait(data.read(ReadRequest(_beside(reference, plot.axes[-1])))).values
    if plot.errors:
        errors = wait(data.read(ReadRequest(_beside(reference, plot.errors), frame))).values
    render_curve_png(x, y, errors, plot, out)


def _save_scatter(data: DataService, reference: DataReference, plot: PlotDescription, out: Path) -> None:
    places = [path for path in plot.axes if path]
    if len(places) != 2:
        raise DataError("The points of this plot cannot be drawn, since the file does not say where they lie.",
                        remedy="Read their values with: beamside get TARGET -o OUT.npy")
    x, y = (wait(data.read(ReadRequest(_beside(reference, path)))).values for path in places)
    values = wait(data.read(ReadRequest(reference, Selection()))).values
    render_scatter_png(x, y, values, plot, out)


def leading_indices(plot: PlotDescription) -> tuple[int, ...]:
    """The indices of the frame shown first, one per leading axis."""
    index, leading = plot.frame or 0, []
    for length in reversed(plot.shape[:-2]):
        leading.append(index % length if length else 0)
        index //= max(1, length)
    return tuple(reversed(leading))


def _beside(reference: DataReference, path: str) -> DataReference:
    """The dataset at ``path``, which may be ``FILE::/path`` in another file."""
    file, separator, inside = path.partition("::/")
    if separator:
        return DataReference(reference.site, type(reference.file_path)(file), "/" + inside)
    return DataReference(reference.site, reference.file_path, path)
