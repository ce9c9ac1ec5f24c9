"""A plot as a picture: on the clipboard or in a PNG file the user chooses. GUI thread; says when writing failed."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QWidget

from app.viz.overlay import Overlay


class PictureExport(QObject):
    """Takes pictures of ``source`` at the screen's resolution."""

    def __init__(self, source: QWidget, overlay: Overlay) -> None:
        super().__init__(source)
        self._source = source
        self._overlay = overlay

    def save_png(self, path: Path) -> bool:
        """False when it could not be written."""
        return bool(self._source.grab().save(str(path), "PNG"))

    def copy(self) -> None:
        QGuiApplication.clipboard().setPixmap(self._source.grab())

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
