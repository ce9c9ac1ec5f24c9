"""The values along a line, drawn under the picture. GUI thread; shows what it is given and says what is wanted.

While no values fit the line and frame of the moment the old curve is faint and no number of it is told.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSizePolicy, QSpinBox, QToolButton, QVBoxLayout, QWidget

from app.model.data import LineProfile
from app.model.marks import MAX_LINE_WIDTH, ProfileLine
from app.viz.curve_axes import CurveAxis
from app.viz.curve_items import CurveItems
from app.viz.curves import Curve, hidden_words
from app.viz.icons import set_icon
from app.viz.numbers import exact_number, short_number
from app.viz.overlay import Overlay
from app.viz.picture_export import PictureExport
from app.viz.plot_box import Canvas, PlotBox
from app.viz.status_line import ElidedLabel
from app.viz.theme import Theme, theme_of
from app.viz.themed import Themed

_STALE_OPACITY = 0.25
_HEIGHT = 210


class LinePane(Themed):
    """One curve: stored values against the distance along the line in pixels.

    Signals:
        width_chosen(pixels); closed(); place_pointed(distance or None): the pointer is over this point of the curve.
        text_asked(separator); file_asked(): the values are wanted as text or in a file. retry_requested().
    """

    width_chosen = Signal(int)
    closed = Signal()
    place_pointed = Signal(object)
    text_asked = Signal(str)
    file_asked = Signal()
    retry_requested = Signal()

    def __init__(self, units: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._units = units
        self._line: ProfileLine | None = None
        self._profile: LineProfile | None = None
        self._curve: Curve | None = None
        self._log = False
        self.setAccessibleName("Line profile")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.title = QLabel("Line profile")
        self.title.setProperty("role", "title")
        self.where = ElidedLabel()
        self.where.setProperty("role", "muted")
        self.where.setTextFormat(Qt.TextFormat.PlainText)
        self.where.setAccessibleName("Where the line lies")
        self.readout = ElidedLabel()
        self.readout.setTextFormat(Qt.TextFormat.PlainText)
        self.readout.setAccessibleName("Value under the cursor on the line")
        self.width_field = QSpinBox()
        self.width_field.setRange(1, MAX_LINE_WIDTH)
        self.width_field.setSuffix(" px")
        self.width_field.setKeyboardTracking(False)
        self.width_field.setAccessibleName("Width of the line in pixels")
        self.width_field.setToolTip("Width: the mean of the valid pixels across the line")
        self.box = PlotBox(square_pixels=False)
        self.x_axis, self.y_axis = CurveAxis("bottom"), CurveAxis("left")
        self.canvas = Canvas(viewBox=self.box, axisItems={"left": self.y_axis, "bottom": self.x_axis})
        self.canvas.hideButtons()
        self.canvas.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.canvas.setAccessibleName("Values along the line")
        self.canvas.setAntialiasing(True)
        self.canvas.setMinimumHeight(90)
        self.canvas.getPlotItem().setContentsMargins(6, 8, 14, 2)
        self.overlay = Overlay(self.canvas)
        self._items = CurveItems(self.canvas.getPlotItem())
        self._export = PictureExport(self.canvas, self.overlay)
        self._lay_out()
        self.width_field.valueChanged.connect(self.width_chosen)
        self.overlay.retry_requested.connect(self._on_retry)
        self.box.reset_asked.connect(self.reset_zoom)
        self.canvas.scene().sigMouseMoved.connect(self._on_mouse_moved)
        self.canvas.viewport().installEventFilter(self)
        self.x_axis.set_title("distance", "px")
        self.y_axis.set_title(units or "value", "")
        self.follow_theme()

    # -- what it shows

    @property
    def profile(self) -> LineProfile | None:
        """What the numbers on screen are; ``None``: none are."""
        return self._profile

    def show_line(self, line: ProfileLine) -> None:
        """Say where the line lies; its values come with :meth:`show_profile`."""
        self._line = line
        (ya, xa), (yb, xb) = line.start, line.end
        self.where.setText(f"x {short_number(xa)}  y {short_number(ya)}  →  x {short_number(xb)}  y {short_number(yb)}"
                           f"  ·  {short_number(line.length)} px")
        if self.width_field.value() != line.width:
            self.width_field.blockSignals(True)
            self.width_field.setValue(line.width)
            self.width_field.blockSignals(False)

    def show_profile(self, profile: LineProfile | None, trouble: str = "", remedy: str = "") -> None:
        """Draw the values; ``None``: those of this line and frame are not known (yet), or ``trouble`` says why not."""
        self._profile = profile
        self._say_nothing()
        if profile is None:
            self._fade(True)
            if trouble:
                self.overlay.show_error(trouble, remedy)
            self.readout.setText("…" if not trouble else "")
            return
        self.overlay.clear()
        known = np.isfinite(profile.values)
        self._curve = Curve.of(profile.distance, profile.values)
        self._fade(False)
        self._draw()
        self._export_button.setEnabled(True)
        if not known.any():
            self.overlay.show_message("No pixel on this line holds a valid number.")
        self._say_what_is_hidden()

    def set_logarithmic(self, on: bool) -> None:
        """As the picture's colours are."""
        if on != self._log:
            self._log = on
            self._items.set_log_mode(False, on)
            self.reset_zoom()
            self._draw()
            self._say_what_is_hidden()

    def reset_zoom(self) -> None:
        self.box.enableAutoRange()

    # -- looks and Qt

    def sizeHint(self) -> QSize:
        return QSize(400, _HEIGHT)

    def take_colours(self, theme: Theme) -> None:
        self.canvas.setBackground(theme.panel)
        for axis in (self.x_axis, self.y_axis):
            axis.follow_theme(theme)
            axis.show_grid(True)
        self._draw()

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Leave:
            self._say_nothing()
            self._say_what_is_hidden()
        return False

    # -- private

    def _lay_out(self) -> None:
        close = QToolButton()
        set_icon(close, "close", "muted")
        close.setAccessibleName("Take the line away")
        close.setToolTip("Take the line away (L)")
        close.clicked.connect(self.closed)
        head = QHBoxLayout()
        head.setContentsMargins(6, 0, 0, 0)
        head.setSpacing(10)
        head.addWidget(self.title)
        head.addWidget(self.where, 1)
        head.addWidget(self.readout)
        head.addWidget(self.width_field)
        head.addWidget(self._make_export_button())
        head.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.setSpacing(2)
        column.addLayout(head)
        column.addWidget(self.canvas, 1)

    def _make_export_button(self) -> QToolButton:
        menu = QMenu(self)
        for text, separator in (("Copy values as text", "\t"), ("Copy values as CSV", ",")):
            action = menu.addAction(text)
            set_icon(action, "copy")
            action.setData(separator)
        save = menu.addAction("Save values as CSV…")
        set_icon(save, "save")
        menu.addSeparator()
        copy_picture = menu.addAction("Copy diagram")
        set_icon(copy_picture, "copy")
        save_picture = menu.addAction("Save diagram as PNG…")
        set_icon(save_picture, "save")
        save.triggered.connect(self.file_asked)
        copy_picture.triggered.connect(self._export.copy)
        save_picture.triggered.connect(self._export.ask_where_to_save)
        menu.triggered.connect(self._on_menu)
        self._export_button = button = QToolButton()
        button.setText("Export")
        button.setToolTip("Copy or save the values along the line")
        button.setAccessibleName("Export the line profile")
        button.setMenu(menu)
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setEnabled(False)
        return button

    def _on_menu(self, action: QAction) -> None:
        separator = action.data()
        if separator:
            self.text_asked.emit(separator)

    def _on_retry(self) -> None:
        self.overlay.clear()
        self.retry_requested.emit()

    def _fade(self, stale: bool) -> None:
        self._export_button.setEnabled(not stale)
        self.box.childGroup.setOpacity(_STALE_OPACITY if stale else 1.0)

    def _draw(self) -> None:
        self._items.hide_marker()
        if self._curve is not None:
            self._items.show_curves([self._curve], theme_of(self), with_errors=False)

    def _say_nothing(self) -> None:
        self._items.hide_marker()
        self.readout.clear()
        self.place_pointed.emit(None)

    def _say_what_is_hidden(self) -> None:
        if self._profile is None or self._curve is None:
            return
        self.readout.setText(hidden_words([self._curve], False, self._log))

    def _on_mouse_moved(self, position: QPointF) -> None:
        if self._profile is None or self._curve is None or self._line is None:
            return
        if not self.box.sceneBoundingRect().contains(position):
            self._say_nothing()
            self._say_what_is_hidden()
            return
        index = self._curve.nearest(self.box.mapSceneToView(position).x(), log_x=False)
        if index is None:
            return
        distance, value = float(self._profile.distance[index]), float(self._profile.values[index])
        if self._log and value <= 0:
            self._items.hide_marker()
        else:
            self._items.show_marker(distance, float(np.log10(value)) if self._log else value, theme_of(self))
        y, x = self._line.place_at(distance)
        told = exact_number(value) if self._line.width == 1 else f"mean {short_number(value, 7)}"
        self.readout.setText(f"{short_number(distance)} px  ·  x {short_number(x, 6)}  y {short_number(y, 6)}  ·  "
                             f"{told} {self._units}".rstrip())
        self.place_pointed.emit(distance)
