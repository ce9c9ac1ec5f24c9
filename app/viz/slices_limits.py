"""The colour limits that three slices have together: chosen by a person, or the widest of the three, coarse pictures
first. GUI thread; draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal

from app.model.limits import LimitsRule, drawable_limits, limits_from, upper_of_drawn
from app.model.picture import joined_statistics
from app.viz.choices import ViewChoices
from app.viz.picture_limits import Limits
from app.viz.slice_panel import SlicePanel


class SlicesLimits(QObject):
    """What is chosen stays until another choice; all else follows the panels.

    Signals:
        changed((lo, hi)): or only what they follow from.
    """

    changed = Signal(object)

    def __init__(self, panels: Sequence[SlicePanel], choices: ViewChoices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.now: Limits | None = None
        self._panels = panels
        self._choices = choices
        self._guessed = True

    @property
    def origin(self) -> tuple[str, str]:
        """What they follow from: a few words, and a sentence where there is more to say."""
        if self._choices.rule is LimitsRule.MANUAL:
            return "chosen by you", ""
        if self._guessed:
            return "estimated from coarse slices", "The numbers of the whole slices are on their way."
        locked = "locked, " if self._choices.locked else ""
        return f"{locked}{self._choices.rule.value} of the three slices", \
            "The widest limits of the three, so that a colour means the same in all."

    def take_choices(self, choices: ViewChoices) -> None:
        """The person's: a rule, or limits of their own."""
        before, self._choices = self._choices, choices
        rule_changed = (choices.rule, choices.normalization) != (before.rule, before.normalization)
        if choices.rule is LimitsRule.MANUAL and choices.limits is not None:
            self._use(drawable_limits(*choices.limits, choices.normalization))
        elif rule_changed or not choices.locked:
            self.follow(again=True)

    def follow(self, again: bool = False) -> None:
        """Limits from all three slices, from coarse pictures first; locked, they stay once they are no guess."""
        if self._choices.rule is LimitsRule.MANUAL or (self._choices.locked and not self._guessed and not again):
            return
        known = [panel.statistics for panel in self._panels if panel.statistics is not None]
        coarse = [panel.coarse for panel in self._panels if panel.statistics is None and panel.coarse is not None]
        rule, normalization = self._choices.rule, self._choices.normalization
        joined = joined_statistics([*known, *coarse])
        raised = [upper for panel in self._panels if panel.block is not None
                  and (upper := upper_of_drawn(panel.block, rule, normalization, joined)) is not None]
        limits = limits_from(joined, rule, normalization, max(raised, default=None))
        if limits is not None:
            was_guessed, self._guessed = self._guessed, len(known) < len(self._panels)
            self._use(limits, was_guessed != self._guessed)

    def _use(self, limits: Limits, changed: bool = False) -> None:
        changed, self.now = changed or limits != self.now, limits
        if changed:
            self.changed.emit(limits)
