"""The parameters of a recipe as a form: fields in their groups, what is seldom needed folded. GUI thread.

It knows no site: files are chosen and defaults found by whoever shows it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.model.jobs import InputExtent
from app.model.text import visible
from app.session.vocabulary import Parameter, Recipe, beyond_the_inputs, fault_parameters, lacking, needed, unused
from app.views.labels import PlainLabel
from app.views.submit.form_history import FormHistory
from app.views.submit.form_layout import FoldedSection, form_layout, row_label
from app.views.submit.parameter_field import ParameterField


class RecipeForm(QWidget):
    """All parameters of one recipe.

    Signals:
        changed(): a value, by whomever; browse_requested(Parameter): a file at the site is to be chosen for it.
    """

    changed = Signal()
    browse_requested = Signal(object)

    def __init__(self, recipe: Recipe, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._recipe = recipe
        self.fields: dict[str, ParameterField] = {}
        self._labels: dict[str, QWidget] = {}
        self._sections: dict[str, FoldedSection] = {}
        self._in_data: dict[str, bool] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        tried = recipe.trial.parameter if recipe.trial is not None else ""       # asked for where it is tried
        shown = [parameter for parameter in recipe.parameters if parameter.name != tried]
        groups = dict.fromkeys(parameter.group for parameter in shown)
        for group in sorted(groups, key=bool):                   # those without a heading first
            members = [parameter for parameter in shown if parameter.group == group]
            self._add_group(column, group, members)
        for field in self.fields.values():
            if field.parameter.unit_from in self.fields:
                self.fields[field.parameter.unit_from].changed.connect(functools.partial(self._show_unit, field))
                self._show_unit(field)
        self._grey()

    def _add_group(self, column: QVBoxLayout, title: str, members: list[Parameter]) -> None:
        """A heading with its rows, and below them, folded, what is seldom needed."""
        plain = [parameter for parameter in members if not parameter.advanced]
        advanced = [parameter for parameter in members if parameter.advanced]
        if title and plain:
            column.addWidget(PlainLabel(visible(title), "title"))
        if plain:
            rows = form_layout()
            for parameter in plain:
                rows.addRow(*self._row(parameter))
            column.addLayout(rows)
        if advanced:
            folded = FoldedSection(f"More: {visible(title).lower()}" if title and plain else visible(title)
                                   or "More parameters")
            for parameter in advanced:
                folded.rows.addRow(*self._row(parameter))
                self._sections[parameter.name] = folded
            column.addWidget(folded)

    def _row(self, parameter: Parameter) -> tuple[QWidget, ParameterField]:
        field = ParameterField(parameter)
        field.changed.connect(self._grey)
        field.changed.connect(self.changed)
        field.browse_requested.connect(self.browse_requested)
        self.fields[parameter.name] = field
        title = visible(parameter.title) + (" *" if parameter.required else "")
        self._labels[parameter.name] = label = row_label(title, field, visible(parameter.help))
        return label, field

    def _grey(self) -> None:
        """What has no effect with the other values as they are."""
        without = unused(self._recipe, {name: field.value for name, field in self.fields.items()})
        for name, field in self.fields.items():
            field.set_unused(without.get(name, ""))
            self._labels[name].setEnabled(name not in without)
        self._show_needs()

    def _show_needs(self) -> None:
        """What has to be set with the other values as they are; what the data may yet say is only warned of later."""
        values = {name: field.value for name, field in self.fields.items()}
        words, lacks = needed(self._recipe, values, self._in_data), lacking(self._recipe, values, self._in_data)
        for name, field in self.fields.items():
            field.set_need(words.get(name, ""), lacks.sentence if lacks.certain and name in lacks.names else "")

    def _show_unit(self, field: ParameterField) -> None:
        """The unit is what another field's value is called: its part in parentheses, if it has one."""
        source = self.fields[field.parameter.unit_from]
        title = source.parameter.title_of(str(source.value)) if source.value is not None else ""
        field.show_unit(title.partition("(")[2].rpartition(")")[0] or title)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def values(self) -> dict[str, Any]:
        """Only what differs from the recipe's defaults and has an effect."""
        return {name: field.value for name, field in self.fields.items()
                if not field.is_default and not field.why_unused}

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong, by the parameter's name; empty: nothing."""
        return {name: field.fault for name, field in self.fields.items() if field.fault}

    # -- verbs ------------------------------------------------------------------------------------------------------

    def tell_fault(self, name: str, sentence: str) -> None:
        """Show at its field what the program found wrong with a value when it was tried, and at those that the sentence
        names besides; nothing at the others."""
        named = {name, *fault_parameters(self._recipe, sentence, self.values)} if name else set()
        for other, field in self.fields.items():
            field.tell_fault(sentence if other in named else "")
        if sentence and name in self._sections:
            self._sections[name].unfold()

    def take_said(self, said: Mapping[str, bool]) -> None:
        """Of parameters, whether the data says them itself."""
        self._in_data = dict(said)
        self._show_needs()

    def take_extents(self, extents: Sequence[InputExtent]) -> None:
        """How large the inputs are: ranges that reach beyond them are told at their fields."""
        for field in self.fields.values():
            if field.parameter.selects:
                field.set_advice(functools.partial(_beyond, field.parameter, tuple(extents)))

    def watch(self, history: FormHistory) -> None:
        """Let what is edited here be undone."""
        for field in self.fields.values():
            history.watch(field)

    def set_values(self, values: Mapping[str, Any], note: str = "") -> None:
        """Fill in all parameters as an earlier submission had them: those it does not name become the defaults.

        What it left empty stays empty, whatever is found beside the data: the same numbers come out again.
        """
        for name, field in self.fields.items():
            value = tuple(values[name]) if isinstance(values.get(name), list) else values.get(name)
            usual = value is None or value == field.parameter.default
            field.set_value(field.parameter.default if usual else value, "" if usual else note)

    def change_values(self, values: Mapping[str, Any], note: str = "") -> None:
        """Fill in only those that are named; ``note`` says where a value that differs from its default is from."""
        for name, value in values.items():
            field = self.fields.get(name)
            if field is not None:
                field.set_value(value, "" if value == field.parameter.default else note)

    def reset(self) -> None:
        """Every parameter back to what was found, else to its default."""
        for field in self.fields.values():
            field.reset()

    def check(self) -> str:
        """Show every fault at its field and go to the first; returns its sentence, ``""``: there is none."""
        wrong = [field for field in self.fields.values() if not field.check()]
        if not wrong:
            return ""
        for field in wrong:
            section = self._sections.get(field.parameter.name)
            if section is not None:
                section.unfold()
        wrong[0].setFocus(Qt.FocusReason.OtherFocusReason)
        return wrong[0].fault


def _beyond(parameter: Parameter, extents: Sequence[InputExtent], value: Any) -> str:
    return beyond_the_inputs(parameter, value, extents)
