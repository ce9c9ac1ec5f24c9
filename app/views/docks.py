"""Dock widgets that look like the panels they hold: a slim head to drag by, rounded corners. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.views.labels import PlainLabel
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_HEAD = ("#dockHead { background: palette(button); border: 1px solid palette(mid); border-bottom: none;"
         " border-top-left-radius: 8px; border-top-right-radius: 8px; }")
_BODY = ("#dockBody { background: palette(button); border: 1px solid palette(mid); border-top: none;"
         " border-bottom-left-radius: 8px; border-bottom-right-radius: 8px; }")


_FOOT = 5                              # of a folded dock: its rounded lower edge
_UNLIMITED = 16_777_215                # QWIDGETSIZE_MAX


class PanelDock(QDockWidget):
    """A dock with one body, or with several behind tabs.

    Signals:
        folded_changed(bool): the person folded it to its head, or unfolded it.
    """

    folded_changed = Signal(bool)

    def __init__(self, name: str, title: str, bodies: dict[str, QWidget], window: QMainWindow,
                 buttons: tuple[QWidget, ...] = (), height: int = 0) -> None:
        """``bodies``: tab titles and widgets; one body shows no tabs but ``title``.

        ``height``: the dock can be folded to its head, and is so high when it is first unfolded.
        """
        super().__init__(title, window)
        self._window = window
        self._open_height = height
        self._folded = False
        self.setObjectName(name)
        self._pages = QStackedWidget()
        self._tabs = QTabBar()
        self._tabs.setExpanding(False)
        self._tabs.setDrawBase(False)
        self._tabs.setAccessibleName(title)
        for words, body in bodies.items():
            self._tabs.addTab(words)
            self._pages.addWidget(body)
        self._tabs.currentChanged.connect(self._pages.setCurrentIndex)
        self._tabs.tabBarClicked.connect(self._tab_clicked)
        head = QFrame()
        head.setObjectName("dockHead")
        head.setStyleSheet(_HEAD)
        head.setMinimumHeight(36)
        row = QHBoxLayout(head)
        row.setContentsMargins(11, 6, 6, 4)
        row.setSpacing(0)
        if len(bodies) > 1:
            row.setContentsMargins(4, 0, 6, 0)
            row.addWidget(self._tabs)
        else:
            row.addWidget(PlainLabel(title, "title"))
            self._tabs.hide()
            self._tabs.setParent(head)
        row.addStretch(1)
        for button in buttons:
            row.addWidget(button)
        self._fold = QToolButton()
        self._fold.clicked.connect(self.toggle_folded)
        if height:
            row.addWidget(self._fold)
        else:
            self._fold.hide()
            self._fold.setParent(head)
        self._head = head
        body = QFrame()
        body.setObjectName("dockBody")
        body.setStyleSheet(_BODY)
        self._column = column = QVBoxLayout(body)
        self._margins = (10, 4, 10, 10) if len(bodies) > 1 else (1, 0, 1, 1)
        column.setContentsMargins(*self._margins)
        column.addWidget(self._pages)
        self._body = body
        self.setTitleBarWidget(head)
        self.setWidget(body)
        self._show_fold()
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable
                         | QDockWidget.DockWidgetFeature.DockWidgetClosable
                         | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        self.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)

    def show_page(self, number: int) -> None:
        """Bring one body to the front, and the dock if it was hidden or folded."""
        self._tabs.setCurrentIndex(number)
        if self._folded:
            self.toggle_folded()
        self.show()
        self.raise_()

    @property
    def folded(self) -> bool:
        return self._folded

    def set_folded(self, folded: bool) -> None:
        """Show only the head, or the head and the body."""
        if folded == self._folded:
            return
        if folded:
            self._open_height = max(self._open_height, self.height()) if self.isVisible() else self._open_height
        self._folded = folded
        self._pages.setVisible(not folded)
        self._column.setContentsMargins(*(0,) * 4 if folded else self._margins)
        self._body.setMaximumHeight(_FOOT if folded else _UNLIMITED)
        self.setMaximumHeight(self._head.minimumHeight() + _FOOT if folded else _UNLIMITED)
        if not folded:
            self._window.resizeDocks([self], [self._open_height], Qt.Orientation.Vertical)
        self._show_fold()

    def toggle_folded(self, _checked: bool = False) -> None:
        self.set_folded(not self._folded)
        self.folded_changed.emit(self._folded)

    def _tab_clicked(self, _number: int) -> None:
        """A tab of a folded dock unfolds it."""
        if self._folded:
            self.toggle_folded()

    def _show_fold(self) -> None:
        words = "Unfold" if self._folded else "Fold away"
        set_icon(self._fold, "unfold" if self._folded else "fold", "muted")
        self._fold.setToolTip(plain_tip(words))
        self._fold.setAccessibleName(f"{words}: {self.windowTitle()}")

    def set_tab_text(self, number: int, text: str) -> None:
        self._tabs.setTabText(number, text)

    @property
    def page(self) -> int:
        return self._pages.currentIndex()
