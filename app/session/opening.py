"""How data wants to be shown and its first picture, in one round trip. GUI thread; never waits.

What comes is told in its order: the description, a coarse picture where the link is slow, the picture, its statistics.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference
from app.model.plot import PlotDescription
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher, Mailbox
from app.session.viewed import Viewed


class Opening(QObject):
    """One file or node being opened.

    Signals:
        described(PlotDescription): once, before anything else.
        picture(Block, last): a part of the first picture; the last one has the statistics.
        ended(PlotDescription or None, exception or None): nothing more comes; ``picture`` told the last one before, if
            there is one. The description has limits now.
    """

    described = Signal(object)
    picture = Signal(object, bool)
    ended = Signal(object, object)

    def __init__(self, data: DataService, reference: DataReference, viewed: Viewed, parent: QObject) -> None:
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._viewed = viewed
        self._streamed = 0
        self._known = False
        self._mailbox = Mailbox(self, self._part_told)
        self._watcher: FutureWatcher | None = None

    def show(self, fit: tuple[int, int], preview: tuple[int, int] | None) -> None:
        """Ask for both."""
        future = self._data.show(self._reference, fit, preview=preview, on_description=self._mailbox.post,
                                 on_part=self._mailbox.post)
        self._watcher = FutureWatcher(future, self, self._all_told, self._failed)

    def plot(self) -> None:
        """Ask for the description alone: another frame is wanted than the one a file begins with."""
        self._watcher = FutureWatcher(self._data.plot(self._reference), self, self._plot_told, self._failed)

    def drop(self) -> None:
        """Nobody waits for it any more."""
        self._mailbox.drop()
        if self._watcher is not None:
            self._watcher.drop()
        self.deleteLater()

    def _part_told(self, part: PlotDescription | Block) -> None:
        if isinstance(part, PlotDescription):
            self._describe(part)
        else:
            self._count(part)
            self.picture.emit(part, False)

    def _all_told(self, outcome: tuple[PlotDescription, Block | None]) -> None:
        description, block = outcome
        self._describe(description)
        if block is not None:
            self._count(block)
            self.picture.emit(block, True)
        self.ended.emit(description, None)

    def _plot_told(self, description: PlotDescription) -> None:
        self._describe(description)
        self.ended.emit(description, None)

    def _failed(self, error: BaseException) -> None:
        self.ended.emit(None, error)

    def _describe(self, description: PlotDescription) -> None:
        if not self._known:
            self._known = True
            self.described.emit(description)

    def _count(self, block: Block) -> None:
        """Bytes are told as the sum so far."""
        self._viewed.stream(block.bytes_received - self._streamed)
        self._streamed = max(self._streamed, block.bytes_received)
