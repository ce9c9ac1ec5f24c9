"""Questions about what is marked on a picture, to be answered at full resolution. GUI thread; never waits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.remote.seams import DataService
from app.session.frame_answers import FrameAnswers, FrameQuestion, Leading


class FrameQuestions(QObject):
    """Gives out only what belongs to the frame on screen; each kind says what it asks (``_advance``).

    Signals:
        changed(): other answers, or none, are known.
    """

    changed = Signal()

    def __init__(self, data: DataService, reference: DataReference, kept: int, parent: QObject | None) -> None:
        """``reference`` names the dataset that is shown; ``kept``: how many answers."""
        super().__init__(parent)
        self._data = data
        self._reference = reference
        self._answers: FrameAnswers[Any, Any] = FrameAnswers(kept)

    @property
    def shown_frame(self) -> Leading | None:
        """The frame that everything given out belongs to."""
        return self._answers.shown

    def show_frame(self, leading: Iterable[int]) -> None:
        """The slider stands here: ask for this frame."""
        self._answers.want(leading)
        self._advance()

    def frame_shown(self, leading: Leading, generation: tuple[int, int] = (0, 0), self_contained: bool = True) -> None:
        """The picture on screen is of this frame, read from the file of this ``generation``.

        ``self_contained``: no other file has a part in it; else answers are kept no longer than their frame is shown.
        """
        if self._answers.show(leading, generation, self_contained):
            self.changed.emit()
        self._advance()

    def refresh(self) -> None:
        """Forget every answer and ask again."""
        self._answers.clear()
        self._advance()
        self.changed.emit()

    def _advance(self) -> None:
        raise NotImplementedError

    def _keep(self, question: FrameQuestion, answer: object) -> None:
        self._answers.keep(question, answer)
        self._advance()
        self.changed.emit()

    def _failed(self, question: FrameQuestion, error: BaseException) -> None:
        self._answers.fail(question, error)
        self._advance()
        self.changed.emit()
