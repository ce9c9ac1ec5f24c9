"""The tree of files and nodes: how wide its columns are, what it keeps unfolded, Ctrl+C. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QTreeView

from app.session.files_model import Role
from app.views.files_proxy import FilesProxy

_LEAST_WIDTH = 150                    # below it there are no names
_LEAST_DETAILS = 0.34                 # of the width, however long the names are,
_NARROW, _LEAST_NARROW = 200, 0.2     # and in a narrow tree, where names come first


class FilesTree(QTreeView):
    """The tree with the habits of a file browser: Ctrl+C copies the path."""

    def __init__(self, proxy: FilesProxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._unfolded: list[QPersistentModelIndex] = []
        self._chosen = QPersistentModelIndex()
        self.setModel(proxy)
        self.setAccessibleName("Folders, files and what is inside them")
        self.setUniformRowHeights(True)
        self.setAnimated(False)
        self.setIndentation(14)
        self.setAllColumnsShowFocus(True)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setExpandsOnDoubleClick(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_LEAST_WIDTH)
        self.header().setTextElideMode(Qt.TextElideMode.ElideRight)
        self._own_width = -1
        self.expanded.connect(self.share_width)
        self.collapsed.connect(self.share_width)
        self.expanded.connect(self._note_expanded)
        self.collapsed.connect(self._note_collapsed)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.share_width()

    def share_width(self, *_changed: object) -> None:
        """Names get what the second column does not need, until the person says otherwise."""
        if self._own_width not in (-1, self.header().sectionSize(0)):
            return
        width = self.viewport().width()
        names = self.sizeHintForColumn(0)
        content = self.sizeHintForColumn(1)
        details = max(content, self.header().sectionSizeHint(1))
        least = min(details, int(width * (_LEAST_DETAILS if width >= _NARROW else _LEAST_NARROW)))
        self.header().resizeSection(0, max(width - details, min(names, width - least)))
        self._own_width = self.header().sectionSize(0)         # no narrower than the header allows

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            reference = self.currentIndex().siblingAtColumn(0).data(Role.REFERENCE)
            if reference is not None:
                QGuiApplication.clipboard().setText(str(reference))
            return
        super().keyPressEvent(event)

    # -- what a filter would make it forget -------------------------------------------------------------------------

    def remember_chosen(self) -> None:
        """Before the filter changes."""
        chosen = self.currentIndex()
        if chosen.isValid():
            self._chosen = QPersistentModelIndex(self._proxy.mapToSource(chosen.siblingAtColumn(0)))

    def unfold_again(self) -> None:
        """After the filter changed: rows that were out of the view have lost that they were unfolded and chosen."""
        known, self._unfolded = [index for index in self._unfolded if index.isValid()], []
        for index in known:
            shown = self._proxy.mapFromSource(index)
            if not shown.isValid() or self.isExpanded(shown):
                self._unfolded.append(index)
            else:
                self.expand(shown)                         # which notes it
        shown = self._proxy.mapFromSource(self._chosen) if self._chosen.isValid() else QModelIndex()
        if shown.isValid() and shown != self.currentIndex():
            self.setCurrentIndex(shown)

    def _note_expanded(self, index: QModelIndex) -> None:
        self._unfolded.append(QPersistentModelIndex(self._proxy.mapToSource(index)))

    def _note_collapsed(self, index: QModelIndex) -> None:
        gone = QPersistentModelIndex(self._proxy.mapToSource(index))
        self._unfolded = [known for known in self._unfolded if known.isValid() and known != gone]
