"""The dialog that asks for a file to write to. GUI thread; it does not block."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

from app.viz.overlay import Overlay


def ask_for_file(parent: QWidget, title: str, kind: str, suffix: str, chosen: Callable[[Path], None],
                 name: str = "") -> None:
    """Ask; ``chosen`` is called with the file, if there is one.

    Args:
        kind: ``PNG picture``. suffix: ``png``.
        name: of the file, as a suggestion.
    """
    dialog = QFileDialog(parent, title, name, f"{kind} (*.{suffix})")
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.fileSelected.connect(lambda path: chosen(Path(path)))
    dialog.open()


def told_if_not_written(write: Callable[[Path], None], what: str, overlay: Overlay) -> Callable[[Path], None]:
    """``write``, and where that is not possible (``OSError``) a sentence on ``overlay``. ``what``: ``picture``."""
    def attempt(path: Path) -> None:
        try:
            write(path)
        except OSError:
            overlay.show_message(f"The {what} could not be written to {path}. Choose a folder you may write to.")
    return attempt
