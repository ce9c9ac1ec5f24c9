"""What is on screen of a site that does not answer now is as old as the last answer, and says so. GUI thread.

A small label over the tab, which takes no room and no clicks; gone as soon as the link is back, since whatever changed
meanwhile is read anew then.
"""

from __future__ import annotations

import functools
import time

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtWidgets import QWidget

from app.session.session import Session, SiteState
from app.views.labels import PlainLabel
from app.views.viewer_tab import ViewerTab
from app.views.viewer_tabs import ViewerTabs
from app.viz.tips import plain_tip

_TOP = 46            # below the tools


class StaleMarks(QObject):
    """Follows a session; marks the tabs on data of sites that are out of reach."""

    def __init__(self, session: Session, tabs: ViewerTabs, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._tabs = tabs
        session.state_changed.connect(self._mirror)
        session.link_measured.connect(self._mirror)

    def _mirror(self, site: str) -> None:
        state = self._session.state(site)
        if state is SiteState.OPEN or self._session.profile(site).is_local:
            self._tabs.for_site(site, _unmark)
            return
        since = self._session.seen_at(site) or time.time()
        how = state.value if state.is_held else SiteState.CLOSED.value
        words = f"as of {time.strftime('%H:%M:%S', time.localtime(since))} · {how}"
        tip = f"{self._session.title(site)} does not answer now. What is shown here may have changed there since."
        self._tabs.for_site(site, functools.partial(_mark, words, tip))


class StaleMark(PlainLabel):
    """Lies in the middle of its tab's upper edge."""

    def __init__(self, tab: QWidget) -> None:
        super().__init__(role="stale")
        self._tab = tab
        self.setParent(tab)
        self.setAutoFillBackground(True)
        self.setMargin(4)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        tab.installEventFilter(self)

    def say(self, words: str, tip: str) -> None:
        self.setText(words)
        self.setAccessibleDescription(tip)
        self.setToolTip(plain_tip(tip))
        self._place()
        self.show()
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        self.adjustSize()
        self.resize(min(self.width(), self._tab.width()), self.height())
        self.move((self._tab.width() - self.width()) // 2, _TOP)


def _mark(words: str, tip: str, tab: ViewerTab) -> None:
    mark = tab.findChild(StaleMark, options=Qt.FindChildOption.FindDirectChildrenOnly)
    (mark or StaleMark(tab)).say(words, tip)


def _unmark(tab: ViewerTab) -> None:
    mark = tab.findChild(StaleMark, options=Qt.FindChildOption.FindDirectChildrenOnly)
    if mark is not None:
        mark.hide()
