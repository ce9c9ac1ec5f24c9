"""One slice of a volume: its name and how true it is above its picture, guides for the cross. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.model.data import Block, Reduction, Statistics
from app.model.picture import statistics_of_picture
from app.viz.exactness_words import shown_sentences, shown_words
from app.viz.guides import Guides
from app.viz.image_view import ImageView, Region
from app.viz.overlay import Overlay
from app.viz.status_line import ElidedLabel
from app.viz.tips import plain_tip

# Per panel: name, which of the volume's axes is fixed, runs down, runs to the right (0 z, 1 y, 2 x).
PANELS = (("xy", 0, 1, 2), ("zy", 2, 1, 0), ("xz", 1, 0, 2))

Position = tuple[int, int, int]


class SlicePanel(QWidget):
    """One slice: its name and state above its picture."""

    def __init__(self, name: str, fixed: int, rows: int, columns: int, lengths: Position,
                 axis_names: Sequence[str], missing: str = "") -> None:
        """``missing``: what is not there of the volume, in a few words."""
        super().__init__()
        self._missing = missing
        self.fixed, self.rows, self.columns = fixed, rows, columns
        self.plane = f"{axis_names[columns]}{axis_names[rows]}" if all(len(n) == 1 for n in axis_names) else \
            f"{axis_names[columns]} / {axis_names[rows]}"
        self._axis = axis_names[fixed]
        self.image = ImageView((lengths[rows], lengths[columns]))
        self.image.canvas.setAccessibleName(f"Slice {self.plane}")
        self.guides = Guides(self.image)
        self.guides.set_clickable(True)
        self.overlay = Overlay(self.image)
        self.head = QLabel()
        self.head.setProperty("role", "title")
        self.state = ElidedLabel()
        self.state.setProperty("role", "muted")
        self.state.setAccessibleName(f"How slice {self.plane} is shown")
        for label in (self.head, self.state):
            label.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout()
        row.setContentsMargins(6, 2, 6, 0)
        row.setSpacing(10)
        row.addWidget(self.head)
        row.addWidget(self.state, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.image, 1)
        self.shown_at: int | None = None
        self.block: Block | None = None
        self.statistics: Statistics | None = None
        self.coarse: Statistics | None = None
        self.wanted = 0
        self._say()

    def want(self, index: int) -> None:
        """This slice is asked for."""
        self.wanted = index
        self._say()

    def show_block(self, block: Block, index: int, region: Region | None) -> None:
        """Draw a block of slice ``index``."""
        self.overlay.clear()
        self.image.set_stale(False)
        if index != self.shown_at:
            self.statistics = None
        self.shown_at, self.block = index, block
        if region is None and block.reduction is Reduction.NEAREST and block.factor != (1, 1):
            self.coarse = statistics_of_picture(block.values, block.mask)      # a few thousand pixels
        if region is None and block.statistics.count:
            self.statistics = block.statistics
        self.image.show_block(block, region, (index,))
        self._say()

    def show_error(self, summary: str, remedy: str) -> None:
        self.image.set_stale(True)
        self.overlay.show_error(summary, remedy)

    def _say(self) -> None:
        shown = self.wanted if self.shown_at is None else self.shown_at
        self.head.setText(f"{self.plane} · {self._axis} {shown}")
        if self.block is None:
            self.state.setText("")
            return
        words = shown_words(self.block)
        if self._missing:
            words += f" · {self._missing}"
        if self.block.reduction is Reduction.NEAREST and self.block.factor != (1, 1):
            words += " · the whole slice is being read"
        elif self.shown_at != self.wanted:
            words += f" · {self._axis} {self.wanted} is on its way"
        self.state.setText(words)
        self.state.setToolTip(plain_tip(shown_sentences(self.block)))
