"""Resources of each step of an analysis: empty fields mean what the recipe's rule says for so much data. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QComboBox, QSpinBox, QWidget

from app.model.jobs import Partition, Resources
from app.model.text import visible
from app.session.vocabulary import ResolvedStep
from app.views.submit.form_history import FormHistory
from app.views.submit.form_parts import FormPart
from app.views.submit.partition_box import show_partitions

_AS_RULE = "as the recipe"
_MOST = {"cpus": 4096, "memory_mb": 16_000_000, "time_limit_min": 60 * 24 * 60, "gpus": 64}
_WORDS = {"cpus": ("CPUs", ""), "memory_mb": ("Memory", " MB"), "time_limit_min": ("Time limit", " min"),
          "gpus": ("GPUs", "")}


class StepResources(QObject):
    """The fields of one step.

    Signals:
        changed(): a wish, by whomever.
    """

    changed = Signal()

    def __init__(self, name: str, title: str, names: tuple[str, ...], *, partition: bool, parent: QObject) -> None:
        """``names``: of the resources that have a field here; ``partition``: it may run in another one."""
        super().__init__(parent)
        self.name = name
        self.title = visible(title)
        self.rows: list[tuple[str, QWidget]] = []
        self._numbers: dict[str, QSpinBox] = {}
        self._usual: dict[str, int | None] = {}
        self._box: QComboBox | None = None
        self.parts: list[FormPart] = []
        for resource in names:
            words, suffix = _WORDS[resource]
            number = QSpinBox()
            number.setRange(0, _MOST[resource])
            number.setSuffix(suffix)
            number.setSpecialValueText(_AS_RULE)
            number.setAccessibleName(f"{words} of {visible(title)}")
            number.lineEdit().setTextMargins(6, 0, 0, 0)
            self._numbers[resource] = number
            self.parts.append(FormPart(number, self))
            self.rows.append((words, number))
        if partition:
            self._box = QComboBox()
            self._box.addItem("As the first step", "")
            self._box.setAccessibleName(f"Partition of {visible(title)}")
            self.rows.append(("Partition", self._box))
            self.parts.append(FormPart(self._box, self))
        for part in self.parts:
            part.changed.connect(self.changed)

    @property
    def resources(self) -> Resources:
        """Only what the person asks for."""
        asked = {name: number.value() or None for name, number in self._numbers.items()}
        return Resources(partition=str(self._box.currentData() or "") if self._box is not None else "",
                         time_limit_min=asked.get("time_limit_min"), cpus=asked.get("cpus"),
                         memory_mb=asked.get("memory_mb"), gpus=asked.get("gpus"))

    @property
    def time_limit(self) -> QSpinBox | None:
        return self._numbers.get("time_limit_min")

    def set_resources(self, resources: Resources) -> None:
        """As an earlier submission had them."""
        for part in self.parts:
            for name, number in self._numbers.items():
                if part.widget is number and (getattr(resources, name) or 0) != number.value():
                    part.set_value(getattr(resources, name) or 0)
            if part.widget is self._box and resources.partition:
                part.set_value(resources.partition)

    def show_partitions(self, partitions: list[Partition]) -> None:
        if self._box is not None:
            show_partitions(self._box, partitions)

    def show_rule(self, step: ResolvedStep) -> None:
        """What empty fields come to for this data."""
        for name, number in self._numbers.items():
            usual = getattr(step.resources, name)
            if number.value() == 0 and self._usual.get(name) != usual:
                suffix = _WORDS[name][1]
                number.setSpecialValueText(f"{usual}{suffix} (recipe)" if usual is not None else "the system’s default")
                self._usual[name] = usual

    def watch(self, history: FormHistory) -> None:
        for part in self.parts:
            history.watch(part)
