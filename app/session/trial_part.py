"""Which small part of the data a trial is done on: how many there are to choose from. GUI thread; never waits."""

from __future__ import annotations

import math

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.model.plot import PlotDescription
from app.recipes.recipe import Parameter, ParameterType, Trial
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher


class TrialPart(QObject):
    """Asks how large the data is.

    Signals:
        known(count): parts there are to choose from, 1 or more; told once, if it becomes known at all.
    """

    known = Signal(int)

    def __init__(self, data: DataService, reference: DataReference, trial: Trial, parent: QObject) -> None:
        super().__init__(parent)
        self._trial = trial
        FutureWatcher(data.plot(reference), self, self._take, self._unknown)

    def _take(self, description: PlotDescription) -> None:
        count = part_count(self._trial, description.shape)
        if count:
            self.known.emit(count)

    def _unknown(self, _error: BaseException) -> None:
        """Then any number may be typed, and the program says what is wrong with it."""


def part_count(trial: Trial, shape: tuple[int, ...]) -> int:
    """Frames of a stack, or slices (rows) of projections; 0: not known, or no number says which."""
    if len(shape) < 2 or 0 in shape:
        return 0
    if trial.selects == "slice":
        return shape[-2] if len(shape) > 2 else 0
    return math.prod(shape[:-2]) if trial.selects == "frame" else 0


def part_value(parameter: Parameter, number: int) -> int | float | str:
    """The number of the part as the parameter's type has it."""
    if parameter.type is ParameterType.INTEGER:
        return number
    return float(number) if parameter.type is ParameterType.FLOAT else str(number)
