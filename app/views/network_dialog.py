"""The network: through which proxy Beamside goes, and whose authority it believes beside the usual ones. GUI thread.

Checked and applied on an io thread; the dialog stays until that is done. A proxy's password is kept in memory only.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.model.text import visible
from app.session.future_watcher import FutureWatcher
from app.session.network_settings import AUTOMATIC, NEVER, NetworkSettings, authorities, use
from app.views.labels import PlainLabel, set_state
from app.views.messages import message_of

_CHOICES = (("Automatic: as this computer says, SSH directly first", AUTOMATIC), ("No proxy", NEVER),
            ("This HTTP proxy:", "http://"))


class NetworkDialog(QDialog):
    """Proxy and CA file.

    Args:
        submit: does blocking work on the io pool.

    Signals:
        saved(NetworkSettings): in use from now on, to be remembered.
    """

    saved = Signal(object)

    def __init__(self, now: NetworkSettings, submit: Callable[[Callable[[], Any]], Future[Any]],
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._submit = submit
        self._looking: FutureWatcher | None = None
        self.setWindowTitle("Network")
        self.setMinimumWidth(480)
        self.kind = QComboBox()
        self.kind.setAccessibleName("Proxy")
        for words, value in _CHOICES:
            self.kind.addItem(words, value)
        self.proxy = _field("Address of the proxy", "http://proxy.example:3128")
        self.user = _field("User name for the proxy", "asked when it is needed")
        self.password = _field("Password for the proxy", "kept until Beamside is closed")
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.ca_file = _field("File of certificate authorities", "none")
        self._choose = QPushButton("Choose…")
        self._choose.setAccessibleName("Choose a file of certificate authorities")
        self._choose.setAutoDefault(False)
        self._choose.clicked.connect(self._choose_file)
        self._who = PlainLabel("", "muted", wrap=True)
        self._problem = PlainLabel("", wrap=True, selectable=True)
        set_state(self._problem, "error")
        self._problem.hide()
        self.save = QPushButton("Save")
        self.save.setDefault(True)
        self.save.clicked.connect(self._save)
        cancel = QPushButton("Cancel")
        cancel.setAutoDefault(False)
        cancel.clicked.connect(self.reject)
        self._lay_out(cancel)
        self.kind.currentIndexChanged.connect(self._mirror)
        self.ca_file.editingFinished.connect(self._look_at_file)
        self._fill(now)

    @property
    def who_text(self) -> str:
        """Whose authorities the chosen file holds."""
        return self._who.text()

    @property
    def problem_text(self) -> str:
        return self._problem.text()

    def _lay_out(self, cancel: QPushButton) -> None:
        file_row = QHBoxLayout()
        file_row.addWidget(self.ca_file, 1)
        file_row.addWidget(self._choose)
        self._proxy_form = QFormLayout()
        self._proxy_form.addRow("Address", self.proxy)
        self._proxy_form.addRow("User name", self.user)
        self._proxy_form.addRow("Password", self.password)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(cancel)
        buttons.addWidget(self.save)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 18, 22, 16)
        column.setSpacing(8)
        column.addWidget(PlainLabel("Proxy", "title"))
        column.addWidget(PlainLabel("For SSH and for signing in. Only networks that let nothing out directly need one.",
                                    "muted", wrap=True))
        column.addWidget(self.kind)
        column.addLayout(self._proxy_form)
        column.addSpacing(10)
        column.addWidget(PlainLabel("CA file of your organisation", "title"))
        column.addWidget(PlainLabel("Some organisations look inside encrypted connections and sign them themselves. "
                                    "Their IT department has the file of that authority; it is believed beside the "
                                    "usual ones.", "muted", wrap=True))
        column.addLayout(file_row)
        column.addWidget(self._who)
        column.addSpacing(4)
        column.addWidget(self._problem)
        column.addStretch(1)
        column.addLayout(buttons)

    def _fill(self, now: NetworkSettings) -> None:
        plain = now.proxy in (AUTOMATIC, NEVER)
        self.kind.setCurrentIndex(2 if not plain else 1 if now.proxy == NEVER else 0)
        self.proxy.setText("" if plain else now.proxy)
        self.ca_file.setText(now.ca_file)
        self._mirror()
        self._look_at_file()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

    def _fit(self) -> None:
        """As high as its words need: Qt would give no more than two thirds of the screen."""
        layout = self.layout()
        if layout is not None and self.isVisible():
            layout.activate()
            self.setMinimumHeight(layout.totalHeightForWidth(self.width()))

    def _mirror(self) -> None:
        given = self.kind.currentIndex() == 2
        for field in (self.proxy, self.user, self.password):
            field.setEnabled(given)

    def _choose_file(self, _checked: bool = False) -> None:
        start = str(Path(self.ca_file.text()).parent) if self.ca_file.text() else ""
        picker = QFileDialog(self, "CA file of your organisation", start,
                             "Certificates (*.pem *.crt *.cer *.der);;All files (*)")
        picker.setFileMode(QFileDialog.FileMode.ExistingFile)
        picker.fileSelected.connect(self._take_file)
        picker.open()

    def _take_file(self, file: str) -> None:
        self.ca_file.setText(file)
        self._look_at_file()

    def _look_at_file(self) -> None:
        file = self.ca_file.text().strip()
        self._problem.hide()
        self._who.setText("")
        if self._looking is not None:
            self._looking.drop()
        self._looking = None
        if file:
            self._looking = FutureWatcher(self._submit(lambda: authorities(file)), self, self._show_who,
                                          self._show_problem)

    def _show_who(self, names: list[str]) -> None:
        self._looking = None
        shown = ", ".join(f"“{visible(name)}”" for name in names[:3])
        self._who.setText(f"It holds {shown}" + (f" and {len(names) - 3} more." if len(names) > 3 else "."))
        self._fit()

    def _save(self, _checked: bool = False) -> None:
        proxy = (self.proxy.text().strip() or "http://") if self.kind.currentIndex() == 2 else self.kind.currentData()
        entered = NetworkSettings(str(proxy), self.ca_file.text().strip(), self.user.text().strip(),
                                  self.password.text())
        self.save.setEnabled(False)
        self._problem.hide()
        FutureWatcher(self._submit(lambda: use(entered)), self, self._saved, self._refused)

    def _saved(self, remembered: NetworkSettings) -> None:
        self.password.clear()
        self.saved.emit(remembered)
        self.accept()

    def _refused(self, error: BaseException) -> None:
        self.save.setEnabled(True)
        self._show_problem(error)

    def _show_problem(self, error: BaseException) -> None:
        self._looking = None
        message = message_of(error)
        self._problem.setText(f"{message.summary} {message.remedy}".strip())
        self._problem.show()
        self._fit()


def _field(name: str, hint: str) -> QLineEdit:
    field = QLineEdit()
    field.setAccessibleName(name)
    field.setPlaceholderText(hint)
    return field
