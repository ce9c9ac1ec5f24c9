"""Where the window and its docks are: at first, as they were left, and back to the beginning. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QEvent, QObject, QSize, Qt, QTimer
from PySide6.QtWidgets import QMainWindow, QWidget

from app.settings import Settings
from app.views.docks import PanelDock

FIRST_SIZE = QSize(1480, 980)
WORK_HEIGHT = 256                # four jobs between their filter and their buttons


class WindowLayout:
    """Of one window. ``work`` is the dock at the bottom, which can be folded to its head."""

    def __init__(self, window: QMainWindow, files: PanelDock, inspector: PanelDock, work: PanelDock) -> None:
        self._window = window
        self._files, self._inspector, self._work = files, inspector, work
        window.addDockWidget(Qt.DockWidgetArea.LeftDockWidgetArea, files)
        window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, inspector)
        window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, work)

    @property
    def docks(self) -> tuple[PanelDock, PanelDock, PanelDock]:
        return self._files, self._inspector, self._work

    def restore(self, settings: Settings) -> None:
        """As it was left; at first for this screen."""
        window = self._window
        screen = window.screen().availableGeometry().size() if window.screen() is not None else FIRST_SIZE
        window.resize(FIRST_SIZE.boundedTo(screen - QSize(8, 40)))     # with room for the window's frame
        files = min(370, max(270, window.width() // 4))                # a small screen is for the picture
        window.resizeDocks([self._files, self._inspector], [files, min(260, files)], Qt.Orientation.Horizontal)
        window.resizeDocks([self._work], [WORK_HEIGHT], Qt.Orientation.Vertical)
        self._first = window.saveState()
        if settings.window_geometry:
            window.restoreGeometry(QByteArray.fromBase64(settings.window_geometry.encode()))
        if settings.window_state:
            window.restoreState(QByteArray.fromBase64(settings.window_state.encode()))
        self._work.set_folded(settings.jobs_folded)

    def reset(self) -> None:
        """Back to the beginning."""
        self._work.set_folded(False)
        self._window.restoreState(self._first)
        for dock in self.docks:
            dock.show()
        self._work.set_folded(True)

    def kept_in(self, settings: Settings) -> Settings:
        """``settings`` with how it is now."""
        return settings.with_(window_geometry=bytes(self._window.saveGeometry().toBase64().data()).decode(),
                              window_state=bytes(self._window.saveState().toBase64().data()).decode())


class KeptHeight(QObject):
    """Gives a dock back the height that a notice took from it, when the notice has gone.

    A window takes room from its docks where there is too little for all, and never gives it back by itself.
    """

    def __init__(self, window: QMainWindow, dock: PanelDock, notice: QWidget) -> None:
        super().__init__(window)
        self._window, self._dock, self._notice = window, dock, notice
        self._height, self._of = WORK_HEIGHT, window.height()
        self._soon = QTimer(self, singleShot=True, interval=1)
        self._soon.timeout.connect(self._give_back)
        dock.installEventFilter(self)
        notice.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._dock and event.type() is QEvent.Type.Resize:
            if self._notice.isHidden() and not self._dock.folded:
                self._height, self._of = self._dock.height(), self._window.height()
        elif watched is self._notice and event.type() is QEvent.Type.Hide and self._notice.isHidden():
            self._soon.start()               # the window has to hear first that it needs less
        return False

    def _give_back(self) -> None:
        """Unless the window is another one by now, or the next notice is there."""
        dock = self._dock
        if self._notice.isHidden() and not dock.folded and not dock.isFloating() and dock.height() < self._height and (
                self._of == self._window.height()):
            self._window.resizeDocks([dock], [self._height], Qt.Orientation.Vertical)
