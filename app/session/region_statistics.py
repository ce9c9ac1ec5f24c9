"""Numbers of regions over the stored values at full resolution, whatever the picture shows. GUI thread; never waits.

Answers are kept by frame and bounds; what is given out always belongs to the frame on screen and to the region as it
is now, or it is not given out. A frame is asked for when the slider reaches it, before its picture is there.
"""

from __future__ import annotations

import functools
import itertools
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject

from app.errors import AgentError
from app.model.data import Block, DataReference, ReadRequest, Selection, Statistics
from app.model.marks import Bounds, Region
from app.remote.seams import DataService
from app.session.frame_answers import FrameAnswers, Leading
from app.session.frame_questions import FrameQuestions
from app.session.newest_answer import NewestAnswer
from app.session.viewed import Viewed

PRIORITY = 0
_KEPT = 2000

_panels = itertools.count(1)


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


class RegionStatistics(FrameQuestions):
    """Asks for the numbers of every region of one picture.

    Signals:
        changed(): other numbers, or none, are known for some region.
    """

    _answers: FrameAnswers[_Question, RegionNumbers]

    def __init__(self, data: DataService, reference: DataReference, viewed: Viewed | None = None,
                 parent: QObject | None = None) -> None:
        """``reference`` names the dataset that is shown."""
        super().__init__(data, reference, _KEPT, parent)
        self._viewed = viewed
        self._view = f"regions-{next(_panels)}"
        self._regions: tuple[Region, ...] = ()
        self._askers: dict[int, NewestAnswer] = {}

    # -- what is asked ----------------------------------------------------------------------------------------------

    def show_regions(self, regions: tuple[Region, ...]) -> None:
        """These regions count from now on; whoever says so looks at :meth:`numbers` again."""
        self._regions = regions
        for number in set(self._askers) - {region.number for region in regions}:
            asker = self._askers.pop(number)
            asker.close()
            asker.deleteLater()
        self._advance()

    def close(self) -> None:
        """Nobody looks any more: take back every question."""
        self._regions = ()
        for asker in self._askers.values():
            asker.close()
        self._askers.clear()

    # -- what is known ----------------------------------------------------------------------------------------------

    def numbers(self, region: Region) -> RegionNumbers | None:
        """Those of the region as given in the frame on screen; ``None``: not known yet."""
        shown = self._answers.shown
        return None if shown is None else self._answers.answer(_Question(shown, region.bounds))

    def failure(self, region: Region) -> BaseException | None:
        """Why there are none."""
        shown = self._answers.shown
        return None if shown is None else self._answers.failure(_Question(shown, region.bounds))

    # -- private ----------------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        for region in self._regions:
            questions = (_Question(frame, region.bounds) for frame in self._answers.frames)
            unknown = self._answers.first_unknown(questions)
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
        self._keep(question, RegionNumbers.of(question.leading, question.bounds, block))


def _in_frame(place: tuple[int, ...] | None, bounds: Bounds) -> tuple[int, int] | None:
    if place is None or len(place) < 2:
        return None
    return bounds[0] + place[-2], bounds[2] + place[-1]
