"""Stored values along the line on a picture, at full resolution. GUI thread; never waits; newest line and frame win."""

from __future__ import annotations

import itertools
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject

from app.model.data import DataReference, LineProfile
from app.model.marks import ProfileLine
from app.remote.seams import DataService
from app.session.frame_answers import FrameAnswers, Leading
from app.session.frame_questions import FrameQuestions
from app.session.newest_answer import NewestAnswer

PRIORITY = 0
_KEPT = 200

_panels = itertools.count(1)


@dataclass(frozen=True)
class _Question:
    leading: Leading
    line: ProfileLine


class LineSource(FrameQuestions):
    """Asks for the profile of one line; gives out only what belongs to the line as it is and the frame on screen.

    Signals:
        changed(): another profile, or none, is known.
    """

    _answers: FrameAnswers[_Question, LineProfile]

    def __init__(self, data: DataService, reference: DataReference, parent: QObject | None = None) -> None:
        """``reference`` names the dataset that is shown."""
        super().__init__(data, reference, _KEPT, parent)
        self._view = f"line-{next(_panels)}"
        self._line: ProfileLine | None = None
        self._asker = NewestAnswer(self._ask, self)
        self._asker.answered.connect(self._keep)
        self._asker.failed.connect(self._failed)

    # -- what is asked ----------------------------------------------------------------------------------------------

    def show_line(self, line: ProfileLine | None) -> None:
        """This line counts from now on."""
        if line != self._line:
            self._line = line
            self._answers.forgive()
            self._advance()
            self.changed.emit()

    def close(self) -> None:
        """Nobody looks any more."""
        self._line = None
        self._asker.close()

    # -- what is known ----------------------------------------------------------------------------------------------

    @property
    def profile(self) -> LineProfile | None:
        """Of the line as it is in the frame on screen; ``None``: not known yet."""
        question = self._question(self._answers.shown)
        return None if question is None else self._answers.answer(question)

    @property
    def failure(self) -> BaseException | None:
        """Why there is none."""
        question = self._question(self._answers.shown)
        return None if question is None else self._answers.failure(question)

    # -- private ----------------------------------------------------------------------------------------------------

    def _question(self, leading: Leading | None) -> _Question | None:
        return None if leading is None or self._line is None else _Question(leading, self._line)

    def _advance(self) -> None:
        line = self._line
        questions = () if line is None else (_Question(frame, line) for frame in self._answers.frames)
        self._asker.want(self._answers.first_unknown(questions))

    def _ask(self, question: _Question, epoch: int) -> Future[Any]:
        line = question.line
        return self._data.line(self._reference, question.leading, line.start, line.end, width=line.width,
                               priority=PRIORITY, view=self._view, epoch=epoch)
