"""The regions and the line that a person has on one picture, and undo. GUI thread; no drawing, no reading.

What belongs together is one step: a drag from press to release, arrow keys on one mark.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.model.marks import (
    REGION_COLOURS,
    Bounds,
    Marks,
    ProfileLine,
    Region,
    bounds_within,
    line_moved,
    line_within,
    moved_within,
)

LINE = 0                               # the number under which the line is selected; regions count from 1
_STEPS_KEPT = 200


class PictureMarks(QObject):
    """Holds the marks of a picture whose frames have one shape.

    Signals:
        changed(): other marks than before; selection_changed(): another mark is the selected one.
    """

    changed = Signal()
    selection_changed = Signal()

    def __init__(self, shape: tuple[int, int], parent: QObject | None = None) -> None:
        """``shape``: (height, width) of a frame."""
        super().__init__(parent)
        self._shape = shape
        self._marks = Marks()
        self._selected: int | None = None
        self._past: list[Marks] = []
        self._future: list[Marks] = []
        self._step: tuple[str, int] | None = None
        self._given = 0
        self._last_line: ProfileLine | None = None

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def marks(self) -> Marks:
        return self._marks

    @property
    def selected(self) -> int | None:
        """A region's number, ``LINE``, or ``None``."""
        return self._selected

    @property
    def selected_region(self) -> Region | None:
        return self._marks.region(self._selected)

    @property
    def last_line(self) -> ProfileLine | None:
        """The line as it was when it was last taken away."""
        return self._last_line

    @property
    def can_undo(self) -> bool:
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        return bool(self._future)

    # -- regions ----------------------------------------------------------------------------------------------------

    def add_region(self, bounds: Bounds) -> Region:
        """A new region with the next name and colour; it is selected."""
        self._given += 1
        names = list(REGION_COLOURS)
        region = Region(self._given, f"Region {self._given}", names[(self._given - 1) % len(names)],
                        *bounds_within(bounds, self._shape))
        self._change(replace(self._marks, regions=(*self._marks.regions, region)))
        self.select(region.number)
        return region

    def place_region(self, number: int, bounds: Bounds, settled: bool = True) -> None:
        """Give a region other bounds; until ``settled`` further calls are the same step."""
        region = self._marks.region(number)
        if region is not None:
            self._replace(region.at(bounds_within(bounds, self._shape)), ("place", number), settled)

    def rename(self, number: int, name: str) -> None:
        region, name = self._marks.region(number), " ".join(name.split())
        if region is not None and name:
            self._replace(replace(region, name=name))

    def recolour(self, number: int, colour: str) -> None:
        """``colour``: a key of ``REGION_COLOURS``."""
        region = self._marks.region(number)
        if region is not None and colour in REGION_COLOURS:
            self._replace(replace(region, colour=colour))

    def remove(self, number: int) -> None:
        """Take a region or the line away."""
        if number == LINE:
            self.set_line(None)
            return
        kept = tuple(region for region in self._marks.regions if region.number != number)
        self._change(replace(self._marks, regions=kept))

    def remove_regions(self) -> None:
        self._change(replace(self._marks, regions=()))

    # -- the line ---------------------------------------------------------------------------------------------------

    def set_line(self, line: ProfileLine | None, settled: bool = True) -> None:
        """Lay the line elsewhere, or take it away; until ``settled`` further calls are the same step."""
        if line is None and self._marks.line is not None:
            self._last_line = self._marks.line
        within = line if line is None else line_within(line, self._shape)
        self._change(replace(self._marks, line=within), None if line is None else ("place", LINE), settled)

    # -- whichever is selected --------------------------------------------------------------------------------------

    def select(self, number: int | None) -> None:
        known = number is None or (self._marks.line is not None if number == LINE
                                   else self._marks.region(number) is not None)
        if known and number != self._selected:
            self._selected = number
            self._step = None
            self.selection_changed.emit()

    def remove_selected(self) -> None:
        if self._selected is not None:
            self.remove(self._selected)

    def nudge(self, dy: int, dx: int) -> None:
        """Move the selected mark by whole pixels; several in a row are one step."""
        region, line = self.selected_region, self._marks.line
        if region is not None:
            bounds = moved_within(region.bounds, dy, dx, self._shape)
            self._replace(region.at(bounds), ("nudge", region.number), settled=False)
        elif self._selected == LINE and line is not None:
            moved = line_moved(line, dy, dx, self._shape)
            self._change(replace(self._marks, line=moved), ("nudge", LINE), settled=False)

    # -- undo -------------------------------------------------------------------------------------------------------

    def undo(self) -> None:
        if self._past:
            self._future.append(self._marks)
            self._become(self._past.pop())

    def redo(self) -> None:
        if self._future:
            self._past.append(self._marks)
            self._become(self._future.pop())

    # -- another frame shape ----------------------------------------------------------------------------------------

    def fit(self, shape: tuple[int, int]) -> None:
        """The file has frames of another shape now: what lies outside goes, and what was before it cannot come back."""
        if shape == self._shape:
            return
        self._shape = shape
        inside = tuple(region.at(bounds_within(region.bounds, shape)) for region in self._marks.regions
                       if region.y0 < shape[0] and region.x0 < shape[1])
        line = self._marks.line
        self._past, self._future = [], []
        self._become(Marks(inside, line if line is None else line_within(line, shape)))

    # -- private ----------------------------------------------------------------------------------------------------

    def _replace(self, region: Region, step: tuple[str, int] | None = None, settled: bool = True) -> None:
        regions = tuple(region if old.number == region.number else old for old in self._marks.regions)
        self._change(replace(self._marks, regions=regions), step, settled)

    def _change(self, marks: Marks, step: tuple[str, int] | None = None, settled: bool = True) -> None:
        going_on = step is not None and step == self._step
        self._step = None if settled else step
        if marks == self._marks:
            return
        if not going_on:
            self._past = [*self._past[1 - _STEPS_KEPT:], self._marks]
            self._future = []
        self._become(marks, keep_step=True)

    def _become(self, marks: Marks, keep_step: bool = False) -> None:
        if not keep_step:
            self._step = None
        self._marks = marks
        gone = self._selected is not None and (marks.line is None if self._selected == LINE
                                               else marks.region(self._selected) is None)
        if gone:
            self._selected = None
        self.changed.emit()
        if gone:
            self.selection_changed.emit()
