"""A form with what stands beside and below it: the panel that tries its parameters, and the scripts. GUI thread.

Where the screen has no room for form and panel, a button shows one or the other.
"""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSplitter, QWidget

from app.views.scrolled import scrolled
from app.views.submit.form_foot import FormFoot
from app.views.submit.scripts_preview import ScriptsPreview

_FORM_WIDTH, _SIDE_WIDTH, _LEAST_WIDTH = 640, 560, 460
_PANEL_HEIGHT = 640


class FormSides(QSplitter):
    """The form scrolls; its window grows by what is shown, as far as the screen goes.

    Attributes:
        area: what the form moves in.
    """

    def __init__(self, form: QWidget, preview: ScriptsPreview, parent: QWidget | None = None) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._preview = preview
        self.area = scrolled(form)
        self.area.setMinimumWidth(_LEAST_WIDTH)
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)          # the keys begin in a field, where it can be seen
        preview.hide()
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.addWidget(self.area)
        self._split.addWidget(preview)
        self._split.setChildrenCollapsible(False)
        self.addWidget(self._split)
        self.setChildrenCollapsible(False)

    @property
    def room(self) -> QSize:
        """How large a window may be on this screen."""
        return self.screen().availableGeometry().size() - QSize(20, 60)

    def add_panel(self, panel: QWidget, foot: FormFoot) -> None:
        """Show a panel on the right of the form (once); ``foot`` has the button that changes between them."""
        self.addWidget(panel)
        if self.room.width() < _FORM_WIDTH + _SIDE_WIDTH - 160:
            foot.take_turns(panel, self._split)
            return
        window = self.window()
        self._grow(window.width() + _SIDE_WIDTH, max(window.height(), _PANEL_HEIGHT))
        self.setSizes([_FORM_WIDTH, max(_SIDE_WIDTH, window.width() - _FORM_WIDTH)])

    def show_preview(self) -> None:
        """Show the scripts below the form."""
        if self._preview.isHidden():
            self._preview.show()
            self._grow(max(self.window().width(), 780), self.window().height() + 220)
            self._split.setSizes([380, 240])

    def _grow(self, width: int, height: int) -> None:
        """Larger, in the middle of the window it belongs to, and never over an edge of the screen."""
        window = self.window()
        window.resize(QSize(width, height).boundedTo(self.room))
        if window.isVisible():                                    # else it is placed when it is shown
            place, screen = window.frameGeometry(), self.screen().availableGeometry()
            behind = window.parentWidget()
            place.moveCenter(behind.window().frameGeometry().center() if behind is not None else place.center())
            place.moveLeft(max(screen.left(), min(place.left(), screen.right() - place.width())))
            place.moveTop(max(screen.top(), min(place.top(), screen.bottom() - place.height())))
            window.move(place.topLeft())
