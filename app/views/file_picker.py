"""Choosing a file at the site: the same tree as in Files, in a dialog. GUI thread; opened with ``open()``."""

from __future__ import annotations

from pathlib import PurePosixPath

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.model.data import DataReference
from app.session.file_rows import RowKind
from app.session.files_model import FilesModel, Role
from app.session.vocabulary import DataService
from app.views.files_panel import FilesPanel
from app.views.labels import allow

_CHOOSE = "Select a file or a dataset first."


class FilePicker(QDialog):
    """Emits ``chosen(path text)``: ``FILE`` or ``FILE::/data/path``."""

    chosen = Signal(str)

    def __init__(self, title: str, data: DataService, site: str, folder: PurePosixPath,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data = data
        self._site = site
        self.setWindowTitle(title)
        self.resize(620, 520)
        self._model = FilesModel(self)
        self._panel = FilesPanel(self._model)
        self._panel.open_requested.connect(self._take)
        self._panel.folder_requested.connect(self._enter)
        self._panel.tree.selectionModel().currentChanged.connect(self._selection_changed)
        self._choose = QPushButton("Choose")
        self._choose.setDefault(True)
        allow(self._choose, False, _CHOOSE)
        self._choose.clicked.connect(self._choose_selected)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self._choose)
        column = QVBoxLayout(self)
        column.addWidget(self._panel, 1)
        column.addLayout(buttons)
        self._enter(folder)

    def _enter(self, folder: PurePosixPath) -> None:
        self._model.set_root(self._data, self._site, folder)

    def _selection_changed(self) -> None:
        index = self._panel.tree.currentIndex().siblingAtColumn(0)
        allow(self._choose, index.data(Role.KIND) in (RowKind.FILE, RowKind.HDF5_FILE, RowKind.DATASET), _CHOOSE)

    def _choose_selected(self) -> None:
        reference = self._panel.selected()
        if reference is not None:
            self._take(reference)

    def _take(self, reference: DataReference) -> None:
        path = str(reference.file_path) + (f"::{reference.data_path}" if reference.data_path else "")
        self.chosen.emit(path)
        self.accept()
