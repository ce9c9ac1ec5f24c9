"""Signing in, with the browser or with a device code: one dialog that explains itself. GUI thread; the worker waits for
the answer, this only shows where to give it."""

from __future__ import annotations

import io
import time

import segno
from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QGuiApplication, QPixmap, QShowEvent
from PySide6.QtWidgets import QDialog, QFrame, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from app.model.text import visible
from app.model.units import clock_text
from app.session.interaction import BrowserPage, WindowInteraction
from app.session.vocabulary import DeviceCode
from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon

QR_PIXELS = 168
_SWITCH_MS = 20_000
_ANYWHERE = ("On any device with a browser – this computer or your phone – open the address, check that it shows this "
             "code, and approve.")
_HERE = "Open the address in a browser on this computer, check that it shows this code, and approve."
_NO_BROWSER = "No browser could be opened from here. Type the address into one yourself; it asks for this code."
_GO_ON = "Go on in your browser: sign in there, and approve. This window notices by itself."
_NO_PAGE = ("No browser could be opened from here. Copy the address into one on this very computer, or use a code on "
            "another device.")
_NO_PAGE_NO_CODE = "No browser could be opened from here. Copy the address into one on this very computer."


class SignInDialog(QDialog):
    """Either the browser's state – go on there, open the page again – or the code large and selectable, its QR,
    countdown, a new code. Each leads to the other where the provider offers both. Closing it cancels.

    Opened with the first page or code of an interaction and closed when the provider has answered.

    Signals:
        new_code_requested(site): the code ran out and another is wanted.
        way_chosen(way): the person rather signs in this way, "browser" or "code".
    """

    new_code_requested = Signal(str)
    way_chosen = Signal(str)

    def __init__(self, title: str, interaction: WindowInteraction, parent: QWidget | None = None,
                 hint: str = "") -> None:
        """``hint``: what else the person needs on the provider's page (the demo's PIN)."""
        super().__init__(parent)
        self._hint = PlainLabel(visible(hint, keep_lines=True), wrap=True, selectable=True)
        self._hint.setVisible(bool(hint))
        self._interaction = interaction
        self._code: DeviceCode | None = None
        self._web_page: BrowserPage | None = None
        self._settled = False
        self.setWindowTitle(f"Sign in to {visible(title)}")
        self.setAccessibleName(self.windowTitle())
        self.setMinimumWidth(560)
        self._second = QTimer(self)
        self._second.setInterval(1000)
        self._second.timeout.connect(self._tick)
        self._switching = QTimer(self)
        self._switching.setSingleShot(True)
        self._switching.setInterval(_SWITCH_MS)
        self._switching.timeout.connect(self.settle)
        self._build(visible(title))
        interaction.code_shown.connect(self.show_code)
        interaction.code_settled.connect(self.settle)
        interaction.browser_shown.connect(self.show_page)
        interaction.browser_done.connect(self.settle)
        interaction.was_cancelled.connect(self.give_up)

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def code_text(self) -> str:
        return self._code_label.text()

    @property
    def code(self) -> DeviceCode | None:
        return self._code

    @property
    def page(self) -> BrowserPage | None:
        return self._web_page

    @property
    def left_text(self) -> str:
        return self._left.text()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def show_code(self, code: DeviceCode) -> None:
        """Show this code from now on."""
        self._begin()
        self._code, self._web_page = code, None
        self._code_label.setText(visible(code.user_code))
        self._address.setText(visible(code.verification_uri))
        here_only = _is_loopback(code.verification_uri)
        self._steps.setText(_HERE if here_only else _ANYWHERE)
        set_state(self._steps, "")
        self._set_parts(code=True, qr=not here_only, other=code.use_browser is not None)
        self._qr.setPixmap(qr_pixmap(code.verification_uri_complete or code.verification_uri, QR_PIXELS,
                                     self.devicePixelRatioF()))
        self._tick()
        self._fit()
        self._second.start()

    def show_page(self, page: BrowserPage) -> None:
        """Open this page in the browser, and say that it goes on there."""
        self._begin()
        self._code, self._web_page = None, page
        self._second.stop()
        self._address.setText(visible(QUrl(page.url).authority()))
        self._left.setText("Waiting for your browser")
        set_state(self._left, "busy")
        self._steps.setText(_GO_ON)
        set_state(self._steps, "")
        self._set_parts(code=False, qr=False, other=self._code_too)
        self._open_browser()

    def settle(self) -> None:
        """Approved, refused or given up: nothing more to do here."""
        if self._switching.isActive() or self._expired():
            return                                    # stays, for the other way or to offer a new code
        self._settled = True
        self._second.stop()
        self.accept()

    def give_up(self) -> None:
        """Cancelled, or the other way cannot be had."""
        self._switching.stop()
        self.settle()

    def reject(self) -> None:
        """Escape, Cancel or the window's cross."""
        self._second.stop()
        self._switching.stop()
        self._settled = True
        self._interaction.cancel()
        super().reject()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._fit()

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
        self._browser = QPushButton("Open the address")
        self._browser.setProperty("role", "primary")
        self._browser.setDefault(True)
        self._copy = QPushButton("Copy code")
        self._new = QPushButton("Get a new code")
        self._other = QPushButton("")
        self._cancel = QPushButton("Cancel")
        set_icon(self._copy, "copy")
        set_icon(self._browser, "link-external", "on_accent")
        set_icon(self._new, "refresh")
        self._browser.clicked.connect(self._open_browser)
        self._copy.clicked.connect(self._copy_it)
        self._new.clicked.connect(self._ask_again)
        self._other.clicked.connect(self._switch)
        self._cancel.clicked.connect(self.reject)
        self._new.hide()
        for button in (self._copy, self._new, self._other, self._cancel):
            button.setAutoDefault(False)             # Return does what is blue, and nothing else turns blue
        self._address_title = PlainLabel("Address", "muted")
        self._code_title = PlainLabel("Code", "muted")
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(PlainLabel(f"Sign in to {title}", "heading", wrap=True))
        left.addWidget(self._steps)
        left.addSpacing(6)
        left.addWidget(self._address_title)
        left.addWidget(self._address)
        left.addSpacing(4)
        left.addWidget(self._code_title)
        left.addWidget(self._code_label)
        left.addWidget(self._left)
        left.addWidget(self._hint)
        left.addSpacing(4)
        left.addWidget(self._other, 0, Qt.AlignmentFlag.AlignLeft)
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
        for button in (self._copy, self._browser, self._other):
            button.setEnabled(False)

    def _expired(self) -> bool:
        return (self._code is not None and self._code.expires_at <= time.time()
                and not self._interaction.cancelled.is_set())

    @property
    def _code_too(self) -> bool:
        return "code" in self._interaction.ways

    def _begin(self) -> None:
        """Another page or code is there: the dialog is alive again."""
        self._settled = False
        self._switching.stop()
        for button in (self._copy, self._browser, self._other):
            button.setEnabled(True)
        self._new.setVisible(False)
        self._browser.setFocus(Qt.FocusReason.OtherFocusReason)

    def _set_parts(self, *, code: bool, qr: bool, other: bool) -> None:
        for part in (self._code_title, self._code_label):
            part.setVisible(code)
        self._qr.setVisible(qr)
        self._address_title.setText("Address" if code else "Page at")
        self._browser.setText("Open the address" if code else "Open the page again")
        self._copy.setText("Copy code" if code else "Copy address")
        self._other.setText("Sign in without a code" if code else "Use a code on another device")
        self._other.setVisible(other)
        self._fit()

    def _fit(self) -> None:
        """As high as the text needs at this width."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(self.width(), max(layout.totalHeightForWidth(self.width()), layout.totalMinimumSize().height()))

    def _open_browser(self) -> None:
        address, sentence = QUrl(), ""
        if self._web_page is not None:
            address, sentence = QUrl(self._web_page.url), _NO_PAGE if self._code_too else _NO_PAGE_NO_CODE
        elif self._code is not None:
            address, sentence = QUrl(self._code.verification_uri_complete or self._code.verification_uri), _NO_BROWSER
        if address.isEmpty():
            return
        if address.scheme() not in ("https", "http") or not QDesktopServices.openUrl(address):
            self._steps.setText(sentence)
            set_state(self._steps, "warning")
            self._fit()

    def _copy_it(self) -> None:
        text = self._web_page.url if self._web_page is not None else self._code.user_code if self._code else ""
        if text:
            QGuiApplication.clipboard().setText(text)
            self._copy.setText("Copied")

    def _switch(self) -> None:
        """The other way: the waiting worker is told, and shows a code or a page next."""
        if self._web_page is not None:
            way, wanted = "code", self._web_page.use_code
        elif self._code is not None and self._code.use_browser is not None:
            way, wanted = "browser", self._code.use_browser
        else:
            return
        self._second.stop()
        self._switching.start()
        for button in (self._copy, self._browser, self._other):
            button.setEnabled(False)
        self._left.setText("Getting a code" if way == "code" else "Opening the browser")
        set_state(self._left, "busy")
        self._interaction.way = way
        self.way_chosen.emit(way)
        wanted.set()

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
