"""Dock widgets that look like the panels they hold: a slim head to drag by, rounded corners. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDockWidget,
    QFrame,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from app.views.labels import PlainLabel

_HEAD = ("#dockHead { background: palette(button); border: 1px solid palette(mid); border-bottom: none;"
         " border-top-left-radius: 8px; border-top-right-radius: 8px; }")
_BODY = ("#dockBody { background: palette(button); border: 1px solid palette(mid); border-top: none;"
         " border-bottom-left-radius: 8px; border-bottom-right-radius: 8px; }")


class PanelDock(QDockWidget):
    """A dock with one body, or with several behind tabs."""

    def __init__(self, name: str, title: str, bodies: dict[str, QWidget], window: QMainWindow,
                 buttons: tuple[QWidget, ...] = ()) -> None:
        """``bodies``: tab titles and widgets; one body shows no tabs but ``title``."""
        super().__init__(title, window)
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
        body = QFrame()
        body.setObjectName("dockBody")
        body.setStyleSheet(_BODY)
        column = QVBoxLayout(body)
        margin = 10 if len(bodies) > 1 else 1
        column.setContentsMargins(margin, 4 if len(bodies) > 1 else 0, margin, margin)
        column.addWidget(self._pages)
        self.setTitleBarWidget(head)
        self.setWidget(body)
        self.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable
                         | QDockWidget.DockWidgetFeature.DockWidgetClosable
                         | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        self.setAllowedAreas(Qt.DockWidgetArea.AllDockWidgetAreas)

    def show_page(self, number: int) -> None:
        """Bring one body to the front, and the dock if it was hidden."""
        self._tabs.setCurrentIndex(number)
        self.show()
        self.raise_()

    def set_tab_text(self, number: int, text: str) -> None:
        self._tabs.setTabText(number, text)

    @property
    def page(self) -> int:
        return self._pages.currentIndex()
