"""Numbers of regions over the stored values at full resolution, whatever the picture shows. GUI thread; never waits.

Answers are kept by frame and bounds; what is given out always belongs to the frame on screen and to the region as it
is now, or it is not given out. A frame is asked for when the slider reaches it, before its picture is there.
"""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.errors import AgentError
from app.model.data import Block, DataReference, ReadRequest, Selection, Statistics
from app.model.marks import Bounds, Region
from app.remote.seams import DataService
from app.session.newest_answer import NewestAnswer
from app.session.viewed import Viewed

PRIORITY = 0
_KEPT = 2000

_panels = itertools.count(1)
Leading = tuple[int, ...]


@dataclass(frozen=True)
class _Question:
    leading: Leading
    bounds: Bounds


@dataclass(frozen=True)
class RegionNumbers:
    """Statistics of one region in one frame; positions are (y, x) in the frame.

    ``missing``: sentences about what could not be read; ``generation``: (size_bytes, mtime_ns) of the file.
    """

    leading: Leading
    bounds: Bounds
    statistics: Statistics
    minimum_at: tuple[int, int] | None
    maximum_at: tuple[int, int] | None
    missing: tuple[str, ...] = ()
    generation: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, leading: Leading, bounds: Bounds, block: Block) -> RegionNumbers:
        found = block.statistics
        return cls(leading, bounds, found, _in_frame(found.minimum_at, bounds), _in_frame(found.maximum_at, bounds),
                   block.missing, block.generation)


class RegionStatistics(QObject):
    """Asks for the numbers of every region of one picture.

    Signals:
        changed(): other numbers, or none, are known for some region.
    """

    changed = Signal()

    def __init__(self, data: DataService, reference: DataReference, viewed: Viewed | None = None,
                 parent: QObject | None = None) -> None:
        """``reference`` names the dataset that is shown."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._viewed = viewed
        self._view = f"regions-{next(_panels)}"
        self._regions: tuple[Region, ...] = ()
        self._askers: dict[int, NewestAnswer] = {}
        self._answers: OrderedDict[_Question, RegionNumbers] = OrderedDict()
        self._failures: dict[_Question, BaseException] = {}
        self._wanted: Leading | None = None
        self._shown: Leading | None = None
        self._generation = (0, 0)

    # -- what is asked ----------------------------------------------------------------------------------------------

    def show_regions(self, regions: tuple[Region, ...]) -> None:
        """These regions count from now on; whoever says so looks at :meth:`numbers` again."""
        self._regions = regions
        for number in set(self._askers) - {region.number for region in regions}:
            asker = self._askers.pop(number)
            asker.close()
            asker.deleteLater()
        self._advance()

    def show_frame(self, leading: object) -> None:
        """The slider stands here: ask for this frame."""
        self._wanted = tuple(int(i) for i in leading)  # type: ignore[attr-defined]
        self._failures.clear()
        self._advance()

    def frame_shown(self, leading: Leading, generation: tuple[int, int] = (0, 0), self_contained: bool = True) -> None:
        """The picture on screen is of this frame, read from the file of this ``generation``.

        ``self_contained``: no other file has a part in it; else numbers are kept no longer than their frame is shown.
        """
        if generation[1] > self._generation[1] or (generation[1] == self._generation[1]
                                                   and generation != self._generation):
            self._forget_older(generation)
        self._failures.clear()                              # what failed may go well by now
        if leading != self._shown:
            if not self_contained:
                for question in [q for q in self._answers if q.leading not in (leading, self._wanted)]:
                    del self._answers[question]
            self._shown = leading
            self.changed.emit()
        self._advance()

    def refresh(self) -> None:
        """Forget every number and ask again."""
        self._answers.clear()
        self._failures.clear()
        self._advance()
        self.changed.emit()

    def close(self) -> None:
        """Nobody looks any more: take back every question."""
        self._regions = ()
        for asker in self._askers.values():
            asker.close()
        self._askers.clear()

    # -- what is known ----------------------------------------------------------------------------------------------

    @property
    def shown_frame(self) -> Leading | None:
        """The frame that all numbers given out belong to."""
        return self._shown

    def numbers(self, region: Region) -> RegionNumbers | None:
        """Those of the region as given in the frame on screen; ``None``: not known yet."""
        return None if self._shown is None else self._answers.get(_Question(self._shown, region.bounds))

    def failure(self, region: Region) -> BaseException | None:
        """Why there are none."""
        return None if self._shown is None else self._failures.get(_Question(self._shown, region.bounds))

    # -- private ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        frames = [frame for frame in (self._wanted, self._shown) if frame is not None]
        for region in self._regions:
            questions = (_Question(frame, region.bounds) for frame in frames)
            unknown = next((q for q in questions if q not in self._answers and q not in self._failures), None)
            if unknown is not None or region.number in self._askers:
                self._asker(region.number).want(unknown)

    def _asker(self, number: int) -> NewestAnswer:
        asker = self._askers.get(number)
        if asker is None:
            asker = NewestAnswer(functools.partial(self._ask, number), self)
            asker.answered.connect(self._answered)
            asker.failed.connect(self._failed)
            self._askers[number] = asker
        return asker

    def _ask(self, number: int, question: _Question, epoch: int) -> Future[Any]:
        y0, y1, x0, x1 = question.bounds
        selection = Selection((*question.leading, slice(y0, y1), slice(x0, x1)))
        request = ReadRequest(self._reference, selection, fit=(1, 1), statistics=True)
        return self._data.read(request, priority=PRIORITY, view=f"{self._view}/{number}", epoch=epoch)

    def _answered(self, question: _Question, block: Block) -> None:
        y0, y1, x0, x1 = question.bounds
        if block.full_shape != (y1 - y0, x1 - x0):
            self._failed(question, AgentError("The numbers that came belong to another region.",
                                              f"{block.full_shape} for {question.bounds}", "Reload the picture."))
            return
        if self._viewed is not None:
            self._viewed.add(block)
        self._answers[question] = RegionNumbers.of(question.leading, question.bounds, block)
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        self._advance()
        self.changed.emit()

    def _failed(self, question: _Question, error: BaseException) -> None:
        self._failures[question] = error
        self._advance()
        self.changed.emit()

    def _forget_older(self, generation: tuple[int, int]) -> None:
        """The file was written since: numbers read before are of another file."""
        self._generation = generation
        older = [question for question, numbers in self._answers.items()
                 if numbers.generation != generation and numbers.generation[1] <= generation[1]]
        for question in older:
            del self._answers[question]
        self._failures.clear()
        if older:
            self.changed.emit()


def _in_frame(place: tuple[int, ...] | None, bounds: Bounds) -> tuple[int, int] | None:
    if place is None or len(place) < 2:
        return None
    return bounds[0] + place[-2], bounds[2] + place[-1]
