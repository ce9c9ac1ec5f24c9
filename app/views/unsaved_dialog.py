"""Asks before edits are dropped: save them, discard them, or go on editing, which is what Esc does. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QPushButton, QWidget

from app.views.dialog_column import lay_out
from app.views.labels import PlainLabel


class UnsavedDialog(QDialog):
    """Over the window whose edits they are.

    Signals:
        save_wanted(), discard_wanted(): after it has closed.
    """

    save_wanted = Signal()
    discard_wanted = Signal()

    def __init__(self, what: str, fault: str = "", parent: QWidget | None = None) -> None:
        """``what`` was changed, such as ‘the profile of “Mine”’; ``fault``: why it cannot be saved as it is."""
        super().__init__(parent)
        self.setWindowTitle("Unsaved changes")
        self.setAccessibleName(self.windowTitle())
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.sentence = PlainLabel(f"Save the changes to {what}?", "title", wrap=True)
        self.why = PlainLabel(f"They cannot be saved as they are: {fault}" if fault else
                              "Nothing of them is kept if you discard them.", "muted", wrap=True)
        self.save_button, self.discard_button = QPushButton("Save"), QPushButton("Discard")
        self.keep_button = QPushButton("Keep editing")
        self.save_button.setEnabled(not fault)
        self.save_button.setToolTip(self.why.text() if fault else "")
        buttons = (self.discard_button, self.keep_button, self.save_button)
        for button in buttons:
            button.setAutoDefault(False)
        (self.keep_button if fault else self.save_button).setDefault(True)
        self.save_button.clicked.connect(self._save)
        self.discard_button.clicked.connect(self._discard)
        self.keep_button.clicked.connect(self.reject)
        lay_out(self, (self.sentence, self.why), buttons)
        self.resize(460, self.sizeHint().height())
        (self.keep_button if fault else self.save_button).setFocus()

    def _save(self) -> None:
        self.accept()
        self.save_wanted.emit()

    def _discard(self) -> None:
        self.accept()
        self.discard_wanted.emit()
