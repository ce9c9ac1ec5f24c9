"""Answers about frames of one dataset, kept by question while they are true. GUI thread; asks nothing itself.

What is given out belongs to the frame on screen and to the file as it is, or it is not given out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

Leading = tuple[int, ...]


class FrameQuestion(Protocol):
    """Something asked about one frame; a value that can be a key."""

    @property
    def leading(self) -> Leading: ...


class FileAnswer(Protocol):
    """Something read from the file of a ``generation``: (size_bytes, mtime_ns)."""

    @property
    def generation(self) -> tuple[int, int]: ...


Question = TypeVar("Question", bound=FrameQuestion)
Answer = TypeVar("Answer", bound=FileAnswer)


class FrameAnswers(Generic[Question, Answer]):
    """The last ``limit`` answers, and what failed since the frame was last changed or shown.

    Attributes:
        wanted: the frame the slider stands at; shown: the frame on screen; ``None``: not known yet.
    """

    def __init__(self, limit: int) -> None:
        self.wanted: Leading | None = None
        self.shown: Leading | None = None
        self._limit = limit
        self._generation = (0, 0)
        self._answers: OrderedDict[Question, Answer] = OrderedDict()
        self._failures: dict[Question, BaseException] = {}

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def frames(self) -> tuple[Leading, ...]:
        """What is worth asking about, first things first."""
        return tuple(frame for frame in (self.wanted, self.shown) if frame is not None)

    def want(self, leading: Iterable[int]) -> None:
        """The slider stands here."""
        self.wanted = tuple(int(i) for i in leading)
        self._failures.clear()

    def show(self, leading: Leading, generation: tuple[int, int], self_contained: bool) -> bool:
        """The picture on screen is of this frame and of the file of this ``generation``.

        Args:
            self_contained: no other file has a part in it; else answers are kept no longer than their frame is shown.

        Returns:
            Whether other answers, or none, are given out from now on.
        """
        changed = self._forget_older(generation)
        self._failures.clear()                              # what failed may go well by now
        if leading != self.shown:
            if not self_contained:
                self._forget(q for q in self._answers if q.leading not in (leading, self.wanted))
            self.shown = leading
            changed = True
        return changed

    def keep(self, question: Question, answer: Answer) -> None:
        self._answers[question] = answer
        while len(self._answers) > self._limit:
            self._answers.popitem(last=False)

    def fail(self, question: Question, error: BaseException) -> None:
        self._failures[question] = error

    def forgive(self) -> None:
        """What failed may be asked again."""
        self._failures.clear()

    def clear(self) -> None:
        """Forget every answer."""
        self._answers.clear()
        self._failures.clear()

    def answer(self, question: Question) -> Answer | None:
        """``None``: not known yet."""
        return self._answers.get(question)

    def failure(self, question: Question) -> BaseException | None:
        """Why there is no answer."""
        return self._failures.get(question)

    def first_unknown(self, questions: Iterable[Question]) -> Question | None:
        """The first that is neither answered nor failed."""
        return next((q for q in questions if q not in self._answers and q not in self._failures), None)

    def _forget_older(self, generation: tuple[int, int]) -> bool:
        """The file was written since: what was read before is of another file."""
        if generation == self._generation or generation[1] < self._generation[1]:
            return False
        self._generation = generation
        return self._forget(q for q, answer in self._answers.items()
                            if answer.generation != generation and answer.generation[1] <= generation[1])

    def _forget(self, questions: Iterable[Question]) -> bool:
        gone = list(questions)
        for question in gone:
            del self._answers[question]
        return bool(gone)
