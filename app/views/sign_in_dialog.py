"""Signing in with a device code: one dialog that explains itself. GUI thread; the worker polls, this only shows."""

from __future__ import annotations

import io
import time

import segno
from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication, QPixmap
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.model.units import clock_text
from app.session.interaction import WindowInteraction
from app.session.vocabulary import DeviceCode
from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon

QR_PIXELS = 168
_ANYWHERE = ("On any device with a browser – this computer or your phone – open the address, check that it shows this "
             "code, and approve.")
_NO_BROWSER = "No browser could be opened from here. Type the address into one yourself; it asks for this code."
_HERE = "Open the address in a browser on this computer, check that it shows this code, and approve."


class SignInDialog(QDialog):
    """The code large and selectable, its QR, copy, open browser, countdown, cancel, a new code.

    Opened with the first code of an interaction and closed when the provider has answered. Closing it cancels.

    Signals:
        new_code_requested(site): the code ran out and another is wanted.
    """

    new_code_requested = Signal(str)

    def __init__(self, title: str, interaction: WindowInteraction, parent: QWidget | None = None,
                 hint: str = "") -> None:
        """``hint``: what else the person needs on the provider's page (the demo's PIN)."""
        super().__init__(parent)
        self._hint = PlainLabel(visible(hint, keep_lines=True), wrap=True, selectable=True)
        self._hint.setVisible(bool(hint))
        self._interaction = interaction
        self._code: DeviceCode | None = None
        self._settled = False
        self.setWindowTitle(f"Sign in to {visible(title)}")
        self.setAccessibleName(self.windowTitle())
        self.setMinimumWidth(560)
        self._second = QTimer(self)
        self._second.setInterval(1000)
        self._second.timeout.connect(self._tick)
        self._build(visible(title))
        interaction.code_shown.connect(self.show_code)
        interaction.code_settled.connect(self.settle)
        interaction.was_cancelled.connect(self.settle)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def code_text(self) -> str:
        return self._code_label.text()

    @property
    def code(self) -> DeviceCode | None:
        return self._code

    @property
    def left_text(self) -> str:
        return self._left.text()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def show_code(self, code: DeviceCode) -> None:
        """Show this code from now on."""
        self._code = code
        self._settled = False
        self._code_label.setText(visible(code.user_code))
        self._address.setText(visible(code.verification_uri))
        here_only = _is_loopback(code.verification_uri)
        self._steps.setText(_HERE if here_only else _ANYWHERE)
        self._qr.setVisible(not here_only)
        self._qr.setPixmap(qr_pixmap(code.verification_uri_complete or code.verification_uri, QR_PIXELS,
                                     self.devicePixelRatioF()))
        self._copy.setText("Copy code")
        for button in (self._copy, self._browser):
            button.setEnabled(True)
        self._new.setVisible(False)
        self._tick()
        self._second.start()

    def settle(self) -> None:
        """Approved, refused or given up: nothing more to do here."""
        if self._expired():
            return                                    # stays, to offer a new code
        self._settled = True
        self._second.stop()
        self.accept()

    def reject(self) -> None:
        """Escape, Cancel or the window's cross."""
        self._second.stop()
        self._settled = True
        self._interaction.cancel()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._settled:
            self.reject()
        super().closeEvent(event)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _build(self, title: str) -> None:
        self._steps = PlainLabel(_ANYWHERE, "muted", wrap=True)
        self._address = PlainLabel("", selectable=True)
        self._address.setAccessibleName("Address to open")
        self._code_label = PlainLabel("", "code", selectable=True)
        self._code_label.setAccessibleName("Your code")
        self._left = PlainLabel("", "muted")
        self._qr = PlainLabel()
        self._qr.setFixedSize(QR_PIXELS + 16, QR_PIXELS + 16)
        self._qr.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._qr.setStyleSheet("background: white; border-radius: 8px;")
        self._qr.setAccessibleName("QR code of the address with the code")
        self._browser = QPushButton("Open browser")
        self._browser.setProperty("role", "primary")
        self._browser.setDefault(True)
        self._copy = QPushButton("Copy code")
        self._new = QPushButton("Get a new code")
        self._cancel = QPushButton("Cancel")
        set_icon(self._copy, "copy")
        set_icon(self._browser, "link-external", "on_accent")
        set_icon(self._new, "refresh")
        self._browser.clicked.connect(self._open_browser)
        self._copy.clicked.connect(self._copy_code)
        self._new.clicked.connect(self._ask_again)
        self._cancel.clicked.connect(self.reject)
        self._new.hide()
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(PlainLabel(f"Sign in to {title}", "heading", wrap=True))
        left.addWidget(self._steps)
        left.addSpacing(6)
        left.addWidget(PlainLabel("Address", "muted"))
        left.addWidget(self._address)
        left.addSpacing(4)
        left.addWidget(PlainLabel("Code", "muted"))
        left.addWidget(self._code_label)
        left.addWidget(self._left)
        left.addWidget(self._hint)
        left.addStretch(1)
        top = QHBoxLayout()
        top.setSpacing(20)
        top.addLayout(left, 1)
        top.addWidget(self._qr, 0, Qt.AlignmentFlag.AlignTop)
        buttons = QHBoxLayout()
        buttons.addWidget(self._copy)
        buttons.addWidget(self._new)
        buttons.addStretch(1)
        buttons.addWidget(self._cancel)
        buttons.addWidget(self._browser)
        line = QFrame()
        line.setProperty("role", "line")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(22, 20, 22, 16)
        outer.setSpacing(14)
        outer.addLayout(top)
        outer.addWidget(line)
        outer.addLayout(buttons)
        self._browser.setFocus(Qt.FocusReason.OtherFocusReason)

    def _tick(self) -> None:
        if self._code is None:
            return
        left = self._code.expires_at - time.time()
        if left > 0:
            self._left.setText(f"Waiting for your approval · valid for {clock_text(left)}")
            set_state(self._left, "busy" if left > 60 else "warning")
            return
        self._left.setText("This code has run out. Get a new one to go on.")
        set_state(self._left, "warning")
        self._new.setVisible(True)
        self._second.stop()
        for button in (self._copy, self._browser):
            button.setEnabled(False)

    def _expired(self) -> bool:
        return (self._code is not None and self._code.expires_at <= time.time()
                and not self._interaction.cancelled.is_set())

    def _open_browser(self) -> None:
        if self._code is not None:
            address = QUrl(self._code.verification_uri_complete or self._code.verification_uri)
            if address.scheme() not in ("https", "http") or not QDesktopServices.openUrl(address):
                self._steps.setText(_NO_BROWSER)
                set_state(self._steps, "warning")

    def _copy_code(self) -> None:
        if self._code is not None:
            QGuiApplication.clipboard().setText(self._code.user_code)
            self._copy.setText("Copied")

    def _ask_again(self) -> None:
        self._settled = True
        self._interaction.cancel()
        self.new_code_requested.emit(self._interaction.site)
        self.accept()


def _is_loopback(address: str) -> bool:
    """An address that no other device, a phone for one, can reach."""
    host = QUrl(address).host()
    return host in ("localhost", "::1") or host.startswith("127.")


def qr_pixmap(text: str, side: int, ratio: float = 1.0) -> QPixmap:
    """A QR code of ``text``, black on white, ``side`` logical pixels."""
    buffer = io.BytesIO()
    segno.make(text, error="m", micro=False).save(buffer, kind="png", scale=8, border=1)
    pixmap = QPixmap()
    pixmap.loadFromData(buffer.getvalue(), "PNG")
    pixels = round(side * ratio)
    pixmap = pixmap.scaled(pixels, pixels, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.FastTransformation)
    pixmap.setDevicePixelRatio(ratio)
    return pixmap
