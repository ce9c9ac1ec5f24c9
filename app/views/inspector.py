"""The Inspector dock: levels, frame statistics, the node and its attributes, what can be computed. GUI thread.

Mirrors the current tab and asks it for changes; remembers nothing itself.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QPlainTextEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from app.model.data import Statistics
from app.model.limits import LimitsRule, limits_from
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription, View
from app.model.text import visible
from app.model.units import number_text
from app.session.file_rows import short_type
from app.session.fitting_data import Offer
from app.session.vocabulary import Recipe
from app.views.analyses.provenance_section import ProvenanceSection
from app.views.facts import Fact, Facts, Section
from app.views.labels import ElidedButton, PlainLabel, empty_layout, set_state
from app.views.picture_answers import PictureAnswers
from app.views.regions_section import RegionsSection
from app.views.scrolled import scrolled
from app.views.statistics_facts import WAITING, frame_facts
from app.views.viewer_tab import ViewerTab
from app.viz.histogram import LevelsView
from app.viz.icons import set_icon
from app.viz.slices_view import SlicesView
from app.viz.stack_view import StackView
from app.viz.tips import plain_tip

_LEAST_WIDTH = 214                     # holds the numbers of an ordinary frame
_OFFERED = 3                           # more analyses are in the catalogue
_RULES = {"default": "default plot of the file", "entry_default": "default plot of an entry",
          "first_nxdata": "first NXdata of the file", "legacy_signal": "signal=1 (old NeXus)",
          "known_layout": "known layout", "largest": "largest dataset", "given": "you", "none": "–"}


class Inspector(QWidget):
    """What is known of the data on screen.

    Signals:
        recipe_requested(Recipe): compute this for what is shown; catalogue_requested(): choose among all.
    """

    recipe_requested = Signal(object)
    catalogue_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tab: ViewerTab | None = None
        self._levels = LevelsView()
        self._levels.limits_edited.connect(self._set_limits)
        self._levels.auto_requested.connect(self._set_auto)
        self._levels_box = Section("Levels")
        self._levels_box.add(self._levels)
        self._levels_of, self._limits_of = PlainLabel("", "muted", wrap=True), PlainLabel("", "muted", wrap=True)
        self._levels_of.setAccessibleName("What the histogram is of")
        self._limits_of.setAccessibleName("What the colour limits follow from")
        self._levels_box.add(self._levels_of)
        self._levels_box.add(self._limits_of)
        self._regions = RegionsSection()
        self._regions.limits_asked.connect(self._limits_from_region)
        self._answers: PictureAnswers | None = None
        self._frame = Facts("Frame")
        self._plot = Facts("Plot")
        self.made = ProvenanceSection()
        self._node = Facts("Node")
        self._attributes = QPlainTextEdit()
        self._attributes.setReadOnly(True)
        self._attributes.setAccessibleName("Attributes of the node")
        self._attributes.setLineWrapMode(QPlainTextEdit.LineWrapMode.WidgetWidth)
        self._attributes.setMinimumHeight(110)
        self._attributes.setMaximumHeight(220)
        self._attributes.hide()
        self._show_attributes = QToolButton()
        self._show_attributes.setCheckable(True)
        self._show_attributes.toggled.connect(self._attributes.setVisible)
        self._empty = PlainLabel("Open a file or a dataset: its levels, numbers and metadata appear here.", "muted",
                                 wrap=True)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop)
        self._recipes = QVBoxLayout()
        self._recipes.setSpacing(6)
        self._build()
        self.show_tab(None)

    # -- verbs ------------------------------------------------------------------------------------------------------

    def show_tab(self, tab: ViewerTab | None) -> None:
        """Mirror another tab from now on; ``None``: nothing is open."""
        if self._tab is not None:
            for signal, slot in self._wires(self._tab):
                signal.disconnect(slot)
        self._tab = tab
        if tab is not None:
            for signal, slot in self._wires(tab):
                signal.connect(slot)
        self._described(tab.description if tab is not None else None)

    def show_recipes(self, offers: Sequence[Offer], why_not: str = "") -> None:
        """Offer these; ``why_not`` is told when there could be some but the site has no batch system.

        Those that do not fit are greyed and say why, those that would fail here say so; where there are many, the rest
        is in the catalogue.
        """
        empty_layout(self._recipes)
        for number, offer in enumerate(offers[:_OFFERED]):
            button = ElidedButton(visible(f"{offer.recipe.title}…"))
            button.setProperty("role", "primary" if number == 0 and not offer.warning else "")
            button.setEnabled(not offer.why_not)
            said = offer.why_not or offer.warning
            tip = "\n".join(filter(None, (offer.recipe.title, said or offer.recipe.summary)))
            button.setToolTip(plain_tip(visible(tip, keep_lines=True)))
            button.setAccessibleDescription(visible(said or offer.recipe.summary))
            button.clicked.connect(functools.partial(self._ask_recipe, offer.recipe))
            self._recipes.addWidget(button)
            if offer.warning and not offer.why_not:
                warning = PlainLabel(visible(offer.warning), wrap=True)
                set_state(warning, "warning")
                self._recipes.addWidget(warning)
        if offers:
            more = QPushButton("More analyses…")
            more.setProperty("role", "link")
            more.clicked.connect(self._ask_catalogue)
            self._recipes.addWidget(more)
        if why_not:
            self._recipes.addWidget(PlainLabel(why_not, "muted", wrap=True))

    def _ask_recipe(self, recipe: Recipe, _checked: bool = False) -> None:
        self.recipe_requested.emit(recipe)

    def _ask_catalogue(self, _checked: bool = False) -> None:
        self.catalogue_requested.emit()

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(10)
        column.addWidget(self._empty)
        for part in (self.made, self._levels_box, self._frame, self._regions, self._plot, self._node):
            column.addWidget(part)
        column.addWidget(self._show_attributes, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._attributes)
        column.addStretch(1)
        scroll = scrolled(body, sideways=True)              # half a number is a wrong one
        scroll.setMinimumWidth(_LEAST_WIDTH)
        scroll.setFocusPolicy(Qt.FocusPolicy.TabFocus)      # a click here leaves Page Down to the picture
        outer = QVBoxLayout(self)
        outer.setContentsMargins(10, 10, 6, 10)
        outer.addWidget(scroll, 1)
        outer.addLayout(self._recipes)

    def _wires(self, tab: ViewerTab) -> tuple[tuple[Any, Any], ...]:
        return ((tab.described, self._described), (tab.statistics_changed, self._statistics_changed),
                (tab.limits_changed, self._limits_changed), (tab.node_known, self._node_known),
                (tab.choices_made, self._choices_made))

    # -- facts arrive -----------------------------------------------------------------------------------------------

    def _described(self, description: PlotDescription | None) -> None:
        shown = description is not None and description.view is not View.NONE
        tab = self._tab
        self._empty.setVisible(not shown)
        picture = tab is not None and tab.is_picture
        colours = tab is not None and isinstance(tab.viewer, StackView) and tab.viewer.is_colour
        self._levels_box.setVisible(picture and not colours)
        self._frame.setVisible(picture)
        self._plot.setVisible(shown)
        self._mirror_auto()
        self._mirror_answers(tab.answers if tab is not None and picture else None)
        if description is not None:
            self._plot.show_facts(_plot_facts(description))
        self._node.hide()
        self._show_attributes.setChecked(False)
        self._show_attributes.hide()
        if tab is not None and picture:
            self._statistics_changed(tab.statistics or Statistics())         # never another tab's
        if tab is not None and tab.node is not None:
            self._node_known(tab.node)

    def _mirror_answers(self, answers: PictureAnswers | None) -> None:
        if self._answers is not None:
            self._answers.changed.disconnect(self._show_levels)
            self._answers.closed.disconnect(self._answers_closed)
        self._answers = answers
        if answers is not None:
            answers.changed.connect(self._show_levels)
            answers.closed.connect(self._answers_closed)
        self._regions.show_answers(answers)

    def _answers_closed(self) -> None:
        """The tab goes, or looks at the file anew."""
        self._mirror_answers(None)

    def _statistics_changed(self, statistics: Statistics) -> None:
        viewer = self._tab.viewer if self._tab is not None else None
        if self._tab is not None and isinstance(viewer, StackView | SlicesView):
            self._frame.show_facts(frame_facts(statistics, self._tab.go_to))
            if viewer.limits is not None:
                self._levels.set_limits(*viewer.limits)
            else:
                self._levels.forget_limits()               # never another tab's
        self._show_levels()

    def _show_levels(self) -> None:
        """The histogram of the selected region, else of the frame; and what the limits follow from."""
        viewer = self._tab.viewer if self._tab is not None else None
        if self._tab is None or not isinstance(viewer, StackView | SlicesView):
            return
        region = self._answers.marks.selected_region if self._answers is not None else None
        if region is not None and self._answers is not None:
            numbers = self._answers.numbers(region)
            shown, words = numbers.statistics if numbers is not None else None, visible(region.name)
        else:
            shown, words = self._tab.statistics, self._tab.picture_name
        known = shown is not None and shown.count > 0
        self._levels.show_statistics(shown if shown is not None and known else None, viewer.choices.normalization)
        valid = number_text(shown.count - shown.masked - shown.non_finite) if shown is not None and known else WAITING
        self._levels_of.setText(f"Histogram: {words}, {valid} valid pixels")
        origin, sentences = viewer.limits_origin
        self._limits_of.setText(f"Limits: {origin}")
        self._limits_of.setToolTip(plain_tip(sentences))

    def _limits_changed(self, limits: tuple[float, float]) -> None:
        self._levels.set_limits(*limits)
        self._mirror_auto()
        self._show_levels()

    def _choices_made(self, *_what: object) -> None:
        self._mirror_auto()
        self._show_levels()

    def _mirror_auto(self) -> None:
        """Auto is lit while the limits follow the frame."""
        choices = getattr(self._tab.viewer, "choices", None) if self._tab is not None else None
        self._levels.set_auto(choices is not None and choices.rule is not LimitsRule.MANUAL and not choices.locked)

    def _node_known(self, node: NodeInfo) -> None:
        self._node.show_facts(_node_facts(node))
        self._node.show()
        count = len(node.attributes)
        self._show_attributes.setText(f"{count} attribute{'' if count == 1 else 's'}")
        set_icon(self._show_attributes, "more", "muted")
        self._show_attributes.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._show_attributes.setVisible(bool(count))
        self._attributes.setPlainText(attributes_text(node))

    # -- wishes -----------------------------------------------------------------------------------------------------

    def _set_limits(self, low: float, high: float) -> None:
        if self._tab is not None:
            self._tab.set_limits(low, high)

    def _limits_from_region(self) -> None:
        """Fixed limits by the rule of the moment over the selected region's stored values."""
        viewer = self._tab.viewer if self._tab is not None else None
        region = self._answers.marks.selected_region if self._answers is not None else None
        numbers = self._answers.numbers(region) if self._answers is not None and region is not None else None
        if numbers is None or not isinstance(viewer, StackView):
            return
        rule = viewer.choices.rule
        rule = LimitsRule.PERCENTILE_1_99 if rule is LimitsRule.MANUAL else rule
        limits = limits_from(numbers.statistics, rule, viewer.choices.normalization)
        if limits is not None:
            self._set_limits(*limits)

    def _set_auto(self) -> None:
        if self._tab is not None:
            self._tab.set_auto_limits()


def _plot_facts(description: PlotDescription) -> list[Fact]:
    facts = [Fact("signal", visible(description.signal or "–")),
             Fact("shown as", description.view.value),
             Fact("chosen by", _RULES.get(description.rule, description.rule))]
    if description.missing:
        facts.append(Fact("missing", visible(", ".join(description.missing))))
    return facts


def _node_facts(node: NodeInfo) -> list[Fact]:
    facts = []
    if node.shape is not None:
        facts.append(Fact("shape", " × ".join(str(n) for n in node.shape) or "scalar"))
    if node.dtype:
        facts.append(Fact("type", short_type(node.dtype)))
    if node.units:
        facts.append(Fact("units", visible(node.units)))
    if node.filters:
        facts.append(Fact("filter", visible(", ".join(str(f.get("name") or f.get("id")) for f in node.filters))))
    if node.chunks:
        facts.append(Fact("chunk", " × ".join(str(n) for n in node.chunks)))
    if node.nx_class:
        facts.append(Fact("class", visible(node.nx_class)))
    if node.target:
        facts.append(Fact("link to", visible(node.target)))
    return facts


def attributes_text(node: NodeInfo) -> str:
    """``name = value`` lines; long values are cut."""
    lines = []
    for name, value in node.attributes.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        text = visible(text)
        lines.append(f"{visible(name)} = {text if len(text) <= 400 else text[:400] + '…'}")
    return "\n".join(lines)
