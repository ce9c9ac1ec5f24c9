"""The tabs in the middle of the window: the start page, then one for each thing that is looked at. GUI thread."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QTabBar, QTabWidget, QWidget

from app.model.data import DataReference
from app.model.plot import View
from app.model.text import visible
from app.views.dataset_tab import DatasetTab
from app.views.site_marks import MarkedTabBar
from app.views.viewer_tab import TabWish, ViewerTab
from app.viz.icons import icon
from app.viz.tips import plain_tip

_LONGEST, _BEGINNING, _END = 32, 16, 15
_VIEW_ICONS = {View.CURVE: "curve", View.SCATTER: "curve", View.TABLE: "table", View.NONE: "file"}
MarkOf = Callable[[str], tuple[str, str]]


class ViewerTabs(QTabWidget):
    """Adds, finds and closes them.

    Signals:
        added(ViewerTab): to be connected; title_changed(): that of the tab in front.
    """

    added = Signal(object)
    title_changed = Signal()

    def __init__(self, start_page: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._start_page = start_page
        self._mark_of: MarkOf = _no_mark
        self.setTabBar(MarkedTabBar())
        self.setDocumentMode(True)
        self.setMovable(True)
        self.setTabsClosable(True)
        self.setUsesScrollButtons(True)
        self.setElideMode(Qt.TextElideMode.ElideNone)      # rather scrolled than “c…a”
        self.addTab(start_page, icon("home", "muted"), "Start")
        for side in (QTabBar.ButtonPosition.LeftSide, QTabBar.ButtonPosition.RightSide):
            self.tabBar().setTabButton(0, side, None)
        self.tabCloseRequested.connect(self.close_tab)

    def set_marks(self, mark_of: MarkOf) -> None:
        """Tell the sites of tabs apart: ``mark_of(site)`` gives its colour and its name for people."""
        self._mark_of = mark_of
        self.draw_marks()

    @property
    def current(self) -> ViewerTab | None:
        """The one in front; ``None``: the start page."""
        widget = self.currentWidget()
        return widget if isinstance(widget, ViewerTab) else None

    def viewers(self) -> Iterator[ViewerTab]:
        """All but the start page."""
        for position in range(self.count()):
            widget = self.widget(position)
            if isinstance(widget, ViewerTab):
                yield widget

    def bring_dataset(self, reference: DataReference) -> DatasetTab | None:
        """Bring a file's or node's own tab to the front, if it is open."""
        for tab in self.viewers():
            if isinstance(tab, DatasetTab) and tab.reference == reference:
                self.setCurrentWidget(tab)
                return tab
        return None

    def show_wish(self, wish: TabWish) -> ViewerTab:
        """Show a tab that another one asked for: the one that is open already, or a new one."""
        found = next((tab for tab in self.viewers() if tab.key == wish.key), None)
        if found is None:
            found = wish.make()
            self.add(found)
        self.setCurrentWidget(found)
        return found

    def add(self, tab: ViewerTab) -> None:
        """A new one, in front."""
        tab.retitled.connect(functools.partial(self._retitle, tab))
        tab.tab_requested.connect(self.show_wish)
        self.added.emit(tab)
        position = self.addTab(tab, icon(tab.icon_name or "image", "muted"), _short(tab.title))
        self._draw_mark(position, tab)
        self.setCurrentIndex(position)

    def close_tab(self, position: int) -> None:
        """The start page stays."""
        widget = self.widget(position)
        if isinstance(widget, ViewerTab):
            widget.close_sources()
            self.removeTab(position)
            widget.deleteLater()

    def close_current(self) -> None:
        self.close_tab(self.currentIndex())

    def step(self, by: int) -> None:
        """To the next or the previous one, around the end."""
        self.setCurrentIndex((self.currentIndex() + by) % self.count())

    def show_start(self) -> None:
        self.setCurrentWidget(self._start_page)

    def for_site(self, site: str, do: Callable[[ViewerTab], object]) -> None:
        """``do`` with all tabs on the data of a site."""
        for tab in list(self.viewers()):
            if tab.reference.site == site:
                do(tab)

    def close_site(self, site: str) -> None:
        """Close all tabs on the data of a site."""
        self.for_site(site, lambda tab: self.close_tab(self.indexOf(tab)))

    def draw_icons(self) -> None:
        """Icons of tabs do not follow data and theme by themselves."""
        for position in range(self.count()):
            self.setTabIcon(position, icon(_icon_name(self.widget(position)), "muted"))

    def draw_marks(self) -> None:
        """Sites may have got other colours or names."""
        for position in range(self.count()):
            widget = self.widget(position)
            if isinstance(widget, ViewerTab):
                self._draw_mark(position, widget)

    def _draw_mark(self, position: int, tab: ViewerTab) -> None:
        colour, title = self._mark_of(tab.reference.site)
        self.tabBar().setTabData(position, colour)
        self.setTabToolTip(position, plain_tip("\n".join(filter(None, (visible(title), visible(str(tab.reference)))))))
        self.tabBar().update()

    def changeEvent(self, event: QEvent) -> None:
        if event.type() is QEvent.Type.PaletteChange:
            self.draw_icons()
        super().changeEvent(event)

    def _retitle(self, tab: ViewerTab, title: str) -> None:
        self.setTabText(self.indexOf(tab), _short(title))
        if tab is self.current:
            self.title_changed.emit()


def _no_mark(_site: str) -> tuple[str, str]:
    return "", ""


def _icon_name(widget: QWidget | None) -> str:
    if not isinstance(widget, ViewerTab):
        return "home"
    if widget.icon_name:
        return widget.icon_name
    return _VIEW_ICONS.get(widget.description.view, "image") if widget.description is not None else "file"


def _short(title: str) -> str:
    text = title if len(title) <= _LONGEST else f"{title[:_BEGINNING]}…{title[-_END:]}"
    return text.replace("&", "&&")
