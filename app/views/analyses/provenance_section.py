"""The inspector's section on how the data on screen was made. GUI thread; only shows and asks."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton

from app.model.provenance import Provenance
from app.model.text import visible
from app.session.vocabulary import Parameter, ParameterType, Recipe, text_of
from app.views.facts import Section
from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_SHOWN = 12


class ProvenanceSection(Section):
    """“Made by azimuthal integration 2.0, job 8812, 2026-11-22.”

    Signals:
        reopen_requested(): the form of its recipe, filled in as it was; copy_requested(): the analysis as Python.
    """

    reopen_requested = Signal()
    copy_requested = Signal()

    def __init__(self) -> None:
        super().__init__("Result")
        self._made = PlainLabel("", wrap=True, selectable=True)
        self._made.setAccessibleName("How this was made")
        self._fault = PlainLabel("", "muted", wrap=True)
        set_state(self._fault, "warning")
        self.reopen = QPushButton("Open recipe from result…")
        self.reopen.setToolTip(plain_tip("The form of the recipe with the very inputs and parameters of this result."))
        self.copy = QPushButton("Copy as Python")
        set_icon(self.copy, "copy")
        self.copy.setToolTip(plain_tip("A script of its own that computes the same numbers, without Beamside."))
        self.reopen.clicked.connect(self.reopen_requested)
        self.copy.clicked.connect(self.copy_requested)
        for widget in (self._made, self._fault, self.reopen, self.copy):
            self.add(widget)
        self.show_provenance(None)

    @property
    def sentence(self) -> str:
        return self._made.text()

    def show_provenance(self, provenance: Provenance | None, recipe: Recipe | None = None,
                        can_copy: bool = False) -> None:
        """``None``: the data does not say, and the section goes.

        Args:
            recipe: its own, as far as it is known: it says what the parameters are called.
            can_copy: it has a script to copy.
        """
        self.setVisible(provenance is not None)
        if provenance is None:
            self._made.setText("")
            return
        self._made.setText(f"made by {provenance.sentence}")
        self._made.setToolTip(plain_tip(_details(provenance, recipe)))
        self._fault.setText(provenance.fault)
        self._fault.setVisible(bool(provenance.fault))
        self.reopen.setEnabled(not provenance.fault)
        self.copy.setVisible(can_copy)


def _details(provenance: Provenance, recipe: Recipe | None) -> str:
    """Program, inputs and parameters, one per line; these as the form calls them, as far as the recipe knows them."""
    program = f"{provenance.program} {provenance.program_version}".strip()
    lines = [program] if program else []
    lines += [f"from {text}" for text in provenance.inputs[:3]]
    if len(provenance.inputs) > 3:
        lines.append(f"and {len(provenance.inputs) - 3} more")
    known = {parameter.name: parameter for parameter in recipe.parameters} if recipe is not None else {}
    said = [_value_text(known.get(name), name, value) for name, value in provenance.parameters.items()
            if value is not None]
    lines += [line if len(line) <= 120 else line[:120] + "…" for line in said[:_SHOWN]]
    if len(said) > _SHOWN:
        lines.append(f"and {len(said) - _SHOWN} more parameters")
    return "\n".join(visible(line) for line in lines)


def _value_text(parameter: Parameter | None, name: str, value: Any) -> str:
    """``Radial unit: q (1/Å)``; a parameter that is not known any more as the result has it."""
    if parameter is None:
        return f"{name} = {value}"
    text = parameter.title_of(value) if parameter.type is ParameterType.CHOICE and isinstance(value, str) \
        else text_of(parameter, value)
    return f"{parameter.title}: {text} {parameter.unit}".rstrip()
