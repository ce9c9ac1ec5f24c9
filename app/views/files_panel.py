"""The Files dock: where one is, a filter, and the tree. GUI thread; asks the model and emits what the user wants."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from PySide6.QtCore import QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from app.model.data import DataReference
from app.model.nodes import NodeInfo
from app.model.text import visible
from app.session.file_rows import RowKind, kind_of_file
from app.session.files_model import FilesModel, Role
from app.session.fitting_data import Offer
from app.session.snippet import python_snippet
from app.session.vocabulary import Recipe
from app.views.analyses.analyses_menu import add_analyses
from app.views.away_bar import AwayBar
from app.views.files_proxy import FilesProxy
from app.views.files_tree import FilesTree
from app.views.labels import ElidedLabel, PlainLabel, empty_layout, set_state
from app.views.site_marks import ColourBar
from app.viz.icons import set_icon
from app.viz.tips import plain_tip

_NOTHING_FITS = "Nothing that is opened below fits. Folders and files are searched once they are unfolded."
_OPENABLE = (RowKind.HDF5_FILE, RowKind.FILE, RowKind.SERIES, RowKind.GROUP, RowKind.DATASET, RowKind.OTHER)

Offers = Callable[[DataReference, Sequence[int] | None, str], list[Offer]]


class FilesPanel(QWidget):
    """Browses one site at a time.

    Signals:
        open_requested(DataReference); folder_requested(PurePosixPath);
        recipe_requested(Recipe, DataReference); catalogue_requested(DataReference, shape or None, dtype);
        unreachable(DataReference or None): this was to be looked into, or all to be read anew, while the site is away.
    """

    open_requested = Signal(object)
    folder_requested = Signal(object)
    recipe_requested = Signal(object, object)
    catalogue_requested = Signal(object, object, str)
    unreachable = Signal(object)

    def __init__(self, model: FilesModel, parent: QWidget | None = None, *, with_head: bool = True) -> None:
        """``with_head`` False: whoever embeds the panel shows its title and ``buttons``."""
        super().__init__(parent)
        self._model = model
        self._with_head = with_head
        self._proxy = FilesProxy(model, self)
        self._offers: Offers = _no_offers
        self._host = ""
        self._title = ""
        self._way: list[str] = []
        self._sought: PurePosixPath | None = None          # where the way leads, until that was looked for anew
        self._build()
        self._connect()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def set_site(self, host: str, colour: str = "", title: str = "") -> None:
        """What is known of the site that is browsed: its host ("" for this computer), its mark."""
        self._host = host
        self._title = title
        self.mark.set_colour(colour)
        self.mark.setToolTip(plain_tip(visible(title)))
        self._tree.setToolTip(plain_tip(visible(title)))
        self._show_path()

    def show_away(self, sentence: str, button: str = "", icon: str = "") -> None:
        """What is listed is not of now: say so, and what can be done about it; ``""``: it is."""
        self.away.say(sentence, button, icon)
        self._tree.viewport().update()

    def set_offers(self, offers: Offers) -> None:
        """Who says which analyses there are for a row."""
        self._offers = offers

    def selected(self) -> DataReference | None:
        """What is selected in the tree."""
        index = self._tree.currentIndex()
        return index.siblingAtColumn(0).data(Role.REFERENCE) if index.isValid() else None

    def focus_filter(self) -> None:
        self._filter.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self._filter.selectAll()

    def show_hidden(self, shown: bool) -> None:
        """Whether names that begin with a dot are listed."""
        self._proxy.show_hidden(shown)

    def go_up(self, _checked: bool = False) -> None:
        """To the folder above."""
        if self._model.root_path != self._model.root_path.parent:
            self.folder_requested.emit(self._model.root_path.parent)

    def refresh(self, _checked: bool = False) -> None:
        """Ask again for the level that is selected."""
        if not self._model.is_live:
            self.unreachable.emit(None)
            return
        index = self._tree.currentIndex()
        self._model.refresh(self._proxy.mapToSource(index.siblingAtColumn(0)) if index.isValid() else QModelIndex())

    def reveal(self, reference: DataReference) -> None:
        """Open the way to a file or node, a level at a time as they arrive, and select it."""
        root = self._model.root_path
        if reference.site != self._model.site or root not in (reference.file_path, *reference.file_path.parents):
            self._way, self._sought = [], None
            return
        self._sought = reference.file_path.parent
        inside = [part for part in reference.data_path.split("/") if part]
        self._way = [*reference.file_path.relative_to(root).parts, *inside]
        self._walk()

    def _walk(self, *_loaded: object) -> None:
        """Go as far as the levels that are there allow; called again whenever one arrives."""
        if not self._way:
            return
        index, depth = QModelIndex(), 0
        for name in self._way:
            child = self._model.child_named(index, name)
            if not child.isValid():
                break
            index, depth = child, depth + 1
            if depth < len(self._way):
                self._tree.expand(self._proxy.mapFromSource(index))
        arrived = depth == len(self._way)
        if not arrived and self._model.is_loaded(index) and self._sought is not None:
            folder, self._sought = self._sought, None
            if self._model.list_anew((folder,)):           # it may have been made since that was listed
                return
        if arrived or (depth and self._model.is_loaded(index)):
            shown = self._proxy.mapFromSource(index)
            self._tree.setCurrentIndex(shown)
            self._tree.scrollTo(shown)
            self._way = []

    @property
    def buttons(self) -> tuple[QToolButton, ...]:
        return (self.up, self._refresh)

    @property
    def tree(self) -> QTreeView:
        return self._tree

    # -- building ---------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.up = self._button("up", "To the folder above (Alt+Up)", self.go_up)
        self._refresh = self._button("refresh", "Refresh (F5)", self.refresh)
        head = QHBoxLayout()
        head.setSpacing(0)
        if self._with_head:
            head.addWidget(PlainLabel("Files", "title"))
            head.addStretch(1)
            head.addWidget(self.up)
            head.addWidget(self._refresh)
        self._crumbs = QHBoxLayout()
        self._crumbs.setSpacing(0)
        self._crumb_bar = QWidget()
        self._crumb_bar.setLayout(self._crumbs)
        self._crumb_bar.setAccessibleName("Path of the folder shown")
        self._crumb_bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._crumbs.setContentsMargins(0, 0, 0, 0)
        self._filter = QLineEdit()
        self._filter.setPlaceholderText("Filter (text, glob or /regex/)")
        self._filter.setAccessibleName("Filter the files")
        self._filter.setClearButtonEnabled(True)
        self._filter_note = PlainLabel(wrap=True)
        self._filter_note.hide()
        self.away = AwayBar()
        self._tree = FilesTree(self._proxy)
        header = self._tree.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.mark = ColourBar("", 3)
        outer = QHBoxLayout(self)
        outer.setContentsMargins(4, 8 if self._with_head else 0, 6, 8)
        outer.setSpacing(4)
        outer.addWidget(self.mark)
        column = QVBoxLayout()
        outer.addLayout(column, 1)
        column.setSpacing(6)
        column.addLayout(head)
        column.addWidget(self._crumb_bar)
        column.addWidget(self._filter)
        column.addWidget(self._filter_note)
        column.addWidget(self.away)
        column.addWidget(self._tree, 1)
        self._show_path()

    def _connect(self) -> None:
        self._filter.textChanged.connect(self._filter_changed)
        self._filter.returnPressed.connect(self._tree.setFocus)
        self._tree.activated.connect(self._activated)
        self._tree.expanded.connect(self._expanded)
        self._tree.customContextMenuRequested.connect(self._menu_at)
        self._model.root_changed.connect(self._show_path)
        self._model.level_loaded.connect(self._walk)
        self._model.level_failed.connect(self._walk)
        self._model.level_loaded.connect(self._tree.share_width)
        self._model.root_changed.connect(self._tree.share_width)

    def _button(self, name: str, tip: str, slot: object) -> QToolButton:
        button = QToolButton()
        set_icon(button, name, "muted")
        button.setToolTip(plain_tip(tip))
        button.setAccessibleName(tip)
        button.clicked.connect(slot)
        return button

    # -- where ------------------------------------------------------------------------------------------------------

    def _show_path(self) -> None:
        empty_layout(self._crumbs)
        path = self._model.root_path
        self.up.setEnabled(path != path.parent)
        parts = [path, *path.parents][:3]
        if len(parts) == 3 and parts[-1] != parts[-1].parent:
            self._crumbs.addWidget(PlainLabel("… ", "muted"))
        for place in reversed(parts[1:]):
            crumb = QToolButton()
            crumb.setText(_cut(visible(place.name)) or "/")
            crumb.setProperty("role", "crumb")
            crumb.setToolTip(self._tip(place))
            crumb.setAccessibleName(f"Go to {visible(str(place))}")
            crumb.clicked.connect(functools.partial(self._go, place))
            self._crumbs.addWidget(crumb)
            self._crumbs.addWidget(PlainLabel("›", "muted"))
        here = ElidedLabel(visible(path.name) or "/")
        here.setToolTip(self._tip(path))
        here.setContentsMargins(8, 0, 0, 0)
        self._crumbs.addWidget(here, 1)

    def _tip(self, place: PurePosixPath) -> str:
        return plain_tip("\n".join(filter(None, (visible(self._title), visible(str(place))))))

    def _filter_changed(self, text: str) -> None:
        self._tree.remember_chosen()
        fault = self._proxy.set_filter(text)
        nothing = not fault and bool(text.strip()) and self._proxy.rowCount() == 0
        self._filter_note.setText(fault or (_NOTHING_FITS if nothing else ""))
        self._filter_note.setVisible(bool(fault) or nothing)
        set_state(self._filter_note, "error" if fault else "idle")
        self._tree.unfold_again()

    # -- what -------------------------------------------------------------------------------------------------------

    def _activated(self, index: QModelIndex) -> None:
        reference, kind = self._at(index)
        if reference is None:
            return
        if kind in (RowKind.FOLDER, RowKind.WORKING):
            self._tree.setExpanded(index.siblingAtColumn(0), not self._tree.isExpanded(index.siblingAtColumn(0)))
        elif kind in _OPENABLE:
            self.open_requested.emit(reference)

    def _expanded(self, index: QModelIndex) -> None:
        """What was never listed cannot be looked into while the site is away."""
        source = self._proxy.mapToSource(index)
        if not self._model.is_live and not self._model.is_loaded(source) and not self._model.rowCount(source):
            self._tree.collapse(index)
            self.unreachable.emit(self._model.reference(source))

    def _at(self, index: QModelIndex) -> tuple[DataReference | None, RowKind | None]:
        first = index.siblingAtColumn(0)
        return first.data(Role.REFERENCE), first.data(Role.KIND)

    def _menu_at(self, position: QPoint) -> None:
        index = self._tree.indexAt(position)
        self.context_menu(index).popup(self._tree.viewport().mapToGlobal(position))

    def context_menu(self, index: QModelIndex) -> QMenu:
        """The menu of one row; closes and deletes itself."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        reference, kind = self._at(index)
        if reference is not None:
            if kind is RowKind.FOLDER:
                self._entry(menu, "Show only this folder", "folder-open", self._go, reference.file_path)
            elif kind in _OPENABLE:
                self._entry(menu, "Open", "image", self._open, reference, shortcut="Return")
            is_hdf5 = kind_of_file(reference.file_path.name) not in ("image", "text")
            if kind in (RowKind.DATASET, RowKind.HDF5_FILE, RowKind.GROUP, RowKind.FILE, RowKind.SERIES) and (
                    kind_of_file(reference.file_path.name) != "text"):
                self._add_analyses(menu, reference, index.siblingAtColumn(0).data(Role.NODE))
            menu.addSeparator()
            self._entry(menu, "Copy path", "copy", self._copy, str(reference), shortcut="Ctrl+C")
            if is_hdf5 and kind in (RowKind.DATASET, RowKind.GROUP, RowKind.HDF5_FILE):
                self._entry(menu, "Copy as Python", "copy", self._copy, python_snippet(reference, host=self._host))
            menu.addSeparator()
        self._entry(menu, "Refresh", "refresh", self.refresh, "F5")
        return menu

    def _add_analyses(self, menu: QMenu, reference: DataReference, node: NodeInfo | None) -> None:
        shape, dtype = (node.shape, node.dtype or "") if node is not None else (None, "")
        add_analyses(menu, self._offers(reference, shape, dtype), functools.partial(self._ask_recipe, reference),
                     functools.partial(self.catalogue_requested.emit, reference, shape, dtype))

    def _entry(self, menu: QMenu, text: str, name: str, slot: Callable[..., None], *given: object,
               shortcut: str = "") -> None:
        action = QAction(text, menu)
        if name:
            set_icon(action, name, "muted")
        if shortcut:
            action.setShortcut(QKeySequence(shortcut))
        action.triggered.connect(functools.partial(slot, *given))
        menu.addAction(action)

    def _go(self, path: PurePosixPath, _checked: bool = False) -> None:
        self.folder_requested.emit(path)

    def _open(self, reference: DataReference, _checked: bool = False) -> None:
        self.open_requested.emit(reference)

    def _ask_recipe(self, reference: DataReference, recipe: Recipe) -> None:
        self.recipe_requested.emit(recipe, reference)

    def _copy(self, text: str, _checked: bool = False) -> None:
        QGuiApplication.clipboard().setText(text)


def _no_offers(_reference: DataReference, _shape: Sequence[int] | None, _dtype: str) -> list[Offer]:
    return []


def _cut(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:9]}…{name[-5:]}"
