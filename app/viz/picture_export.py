"""A plot as a picture: on the clipboard or in a PNG file the user chooses. GUI thread; says when writing failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QFileDialog, QWidget

from app.viz.overlay import Overlay


class PictureExport(QObject):
    """Takes pictures of ``source`` at the screen's resolution."""

    def __init__(self, source: QWidget, overlay: Overlay,
                 as_in_print: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """``as_in_print``: a context in which ``source`` shows nothing that is only for the hand."""
        super().__init__(source)
        self._as_in_print = as_in_print
        self._source = source
        self._overlay = overlay

    def save_png(self, path: Path) -> bool:
        """False when it could not be written."""
        return bool(self._picture().save(str(path), "PNG"))

    def copy(self) -> None:
        QGuiApplication.clipboard().setPixmap(self._picture())

    def _picture(self) -> QPixmap:
        with self._as_in_print():
            return self._source.grab()

    def ask_where_to_save(self) -> None:
        """Open a file dialog; it does not block."""
        dialog = QFileDialog(self._source, "Save picture", "", "PNG picture (*.png)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("png")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(self._on_chosen)
        dialog.open()

    def _on_chosen(self, path: str) -> None:
        if not self.save_png(Path(path)):
            self._overlay.show_message(f"The picture could not be written to {path}. Choose a folder you may write to.")
