"""A plot as a picture: on the clipboard or in a PNG file the user chooses. GUI thread; says when writing failed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication, QPixmap
from PySide6.QtWidgets import QWidget

from app.viz.overlay import Overlay
from app.viz.save_dialog import ask_for_file, told_if_not_written


class PictureExport(QObject):
    """Takes pictures of ``source`` at the screen's resolution."""

    def __init__(self, source: QWidget, overlay: Overlay,
                 as_in_print: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """``as_in_print``: a context in which ``source`` shows nothing that is only for the hand."""
        super().__init__(source)
        self._as_in_print = as_in_print
        self._source = source
        self._overlay = overlay

    def copy(self) -> None:
        QGuiApplication.clipboard().setPixmap(self._picture())

    def _picture(self) -> QPixmap:
        with self._as_in_print():
            return self._source.grab()

    def ask_where_to_save(self) -> None:
        """Open a file dialog; it does not block."""
        ask_for_file(self._source, "Save picture", "PNG picture", "png",
                     told_if_not_written(self._write, "picture", self._overlay))

    def _write(self, path: Path) -> None:
        if not self._picture().save(str(path), "PNG"):
            raise OSError(f"{path} could not be written")
