"""What would be handed in, to be read: the script of each step and the parameters. GUI thread."""

from __future__ import annotations

import json

from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QPlainTextEdit, QTabWidget, QWidget

from app.model.text import visible
from app.session.vocabulary import Draft


class ScriptsPreview(QTabWidget):
    """One tab for each text."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("What would be handed in")
        self.setDocumentMode(True)

    @property
    def texts(self) -> dict[str, str]:
        """The text of each tab by its title."""
        found = {}
        for position in range(self.count()):
            page = self.widget(position)
            if isinstance(page, QPlainTextEdit):
                found[self.tabText(position)] = page.toPlainText()
        return found

    def show_draft(self, draft: Draft) -> None:
        self.clear()
        for step in draft.steps:
            tasks = f" · {step.tasks} tasks" if step.tasks else ""
            self._add(f"{visible(step.title) if len(draft.steps) > 1 else step.script_file}{tasks}", step.script)
        self._add("parameters.json", json.dumps(draft.parameters, indent=1, ensure_ascii=False))
        self._add("submit.sh", draft.submission)

    def _add(self, title: str, text: str) -> None:
        page = QPlainTextEdit()
        page.setReadOnly(True)
        page.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        page.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        page.setAccessibleName(title)
        page.setPlainText(visible(text, keep_lines=True))
        self.addTab(page, title)
