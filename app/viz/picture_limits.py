"""The colour limits of one picture: chosen by a person, following its statistics, or estimated until those come.

GUI thread; draws nothing.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.model.data import Block, Statistics
from app.model.limits import LimitsRule, drawable_limits, limits_of_values
from app.viz.choices import ViewChoices
from app.viz.limits_origin import FollowedLimits, estimated_limits, followed_limits

Limits = tuple[float, float]


class PictureLimits(QObject):
    """What is chosen stays until another choice; all else follows the frame.

    Signals:
        changed((lo, hi)).
    """

    changed = Signal(object)

    def __init__(self, described: Limits | None, choices: ViewChoices, parent: QObject | None = None) -> None:
        """``described``: those that came with the file's default plot."""
        super().__init__(parent)
        self.now = described
        self.statistics: Statistics | None = None
        self._choices = choices
        self._drawn: Block | None = None
        self._followed: FollowedLimits | None = None

    @property
    def origin(self) -> tuple[str, str]:
        """What they follow from: a few words, and sentences where there is more to say."""
        if self._choices.rule is LimitsRule.MANUAL:
            return "chosen by you", ""
        if self._followed is None and self.statistics is not None:
            return "none, as nothing valid is there", ""
        if self._followed is None:
            return "estimated from the reduced picture", "The numbers of the whole frame are on their way."
        locked = "locked, " if self._choices.locked else ""
        return locked + self._followed.words, self._followed.sentences

    def take_choices(self, choices: ViewChoices) -> None:
        """The person's: a rule, or limits of their own."""
        before, self._choices = self._choices, choices
        rule_changed = choices.rule is not before.rule or choices.normalization != before.normalization
        if choices.rule is LimitsRule.MANUAL and choices.limits is not None:
            self._use(drawable_limits(*choices.limits, choices.normalization))
        elif rule_changed or not choices.locked or self.now is None:
            self._follow_rule()

    def take_whole(self, block: Block) -> None:
        """The picture of a whole frame, whose statistics came with it or follow."""
        self._drawn = block
        if block.statistics.count:
            self.take_statistics(block.statistics)
        elif block.statistics.limits is not None:
            self._estimate(block.statistics.limits)
        else:
            self.take_part(block)

    def take_part(self, block: Block) -> None:
        """A picture without statistics: limits of what is drawn are better than none."""
        if self.now is None:
            self._use(limits_of_values(block, self._choices.normalization))

    def take_statistics(self, statistics: Statistics) -> None:
        """A frame's, of full resolution; unless locked or manual, the limits follow."""
        self.statistics = statistics
        if not (self._choices.locked and self.now is not None):
            self._follow_rule()

    def _follow_rule(self) -> None:
        if self.statistics is None:
            return
        followed = followed_limits(self.statistics, self._choices.rule, self._choices.normalization, self._drawn)
        self._followed = followed
        if followed is not None:
            self._use(followed.limits)

    def _estimate(self, guess: Limits) -> None:
        """The statistics of this frame follow: until then its limits are a guess."""
        self.statistics = None
        free = self._choices.rule is not LimitsRule.MANUAL and not self._choices.locked
        better = estimated_limits(guess, self.now, self._choices.normalization)
        if better is not None and (free or self.now is None):
            self._followed = None
            self._use(better)

    def _use(self, limits: Limits) -> None:
        if limits != self.now:
            self.now = limits
            self.changed.emit(limits)
