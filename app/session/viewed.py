"""Counts what was looked at against what was streamed: “38 GB viewed, 41 MB streamed”. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.model.data import Block
from app.model.units import bytes_text


class Viewed(QObject):
    """Sums over one run of the program."""

    changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewed_bytes = 0
        self.streamed_bytes = 0

    def add(self, block: Block) -> None:
        """A block arrived: its selection was looked at in full, its bytes were streamed."""
        pixels = 1
        for length in block.full_shape:
            pixels *= length
        self.viewed_bytes += pixels * block.values.dtype.itemsize
        self.streamed_bytes += block.bytes_received or block.values.nbytes
        self.changed.emit()

    @property
    def text(self) -> str:
        if not self.viewed_bytes:
            return ""
        return f"{bytes_text(self.viewed_bytes)} viewed · {bytes_text(self.streamed_bytes)} streamed"
