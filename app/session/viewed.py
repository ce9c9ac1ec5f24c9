"""Counts what was looked at against what was streamed: “38 GB viewed, 41 MB streamed”. GUI thread."""

from __future__ import annotations

import math

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
        """A block came and was looked at."""
        self.streamed_bytes += block.bytes_received
        self.look_at(block)

    def look_at(self, block: Block) -> None:
        """A picture is on screen: its selection is looked at in full, wherever it came from."""
        self.viewed_bytes += math.prod(block.full_shape) * block.values.dtype.itemsize
        self.changed.emit()

    def stream(self, received_bytes: int) -> None:
        """So many bytes came over the link, looked at or not."""
        if received_bytes > 0:
            self.streamed_bytes += received_bytes
            self.changed.emit()

    @property
    def text(self) -> str:
        if not self.viewed_bytes:
            return ""
        return f"{bytes_text(self.viewed_bytes)} viewed · {bytes_text(self.streamed_bytes)} streamed"
