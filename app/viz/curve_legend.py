"""Which colour is which curve: a small panel in the corner of a diagram. GUI thread; only draws."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.viz.theme import theme_of

_LINE = 18
_PADDING = 9
_ROW_GAP = 4
_INSET_RIGHT, _INSET_TOP = 26, 22
_WIDEST = 260
_MOST_ROWS = 12


class CurveLegend(QWidget):
    """Stands in the upper right corner of ``host`` and lets the pointer through."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self._host = host
        self._entries: list[tuple[str, str]] = []
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName("Legend")
        host.installEventFilter(self)
        self.hide()

    @property
    def entries(self) -> tuple[tuple[str, str], ...]:
        """(name, colour) from top to bottom."""
        return tuple(self._entries)

    def show_entries(self, entries: list[tuple[str, str]]) -> None:
        """``entries``: (plain text, colour); one alone needs no legend."""
        self._entries = entries
        self.setVisible(len(entries) > 1)
        self._place()
        self.update()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        rows = self._rows()
        width = max((metrics.horizontalAdvance(text) for text, _ in rows), default=0)
        height = len(rows) * (metrics.height() + _ROW_GAP) - _ROW_GAP + 2 * _PADDING
        return QSize(min(_WIDEST, width + _LINE + 8 + 2 * _PADDING), height)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = theme_of(self)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ground = QColor(theme.panel)
        ground.setAlpha(225)
        painter.setPen(QPen(QColor(theme.line), 1))
        painter.setBrush(ground)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        metrics = painter.fontMetrics()
        y = float(_PADDING)
        for text, colour in self._rows():
            middle = y + metrics.height() / 2
            if colour:
                painter.setPen(QPen(QColor(colour), 2))
                painter.drawLine(QPointF(_PADDING, middle), QPointF(_PADDING + _LINE, middle))
            painter.setPen(QColor(theme.text if colour else theme.muted))
            left = _PADDING + _LINE + 8
            room = self.width() - left - _PADDING
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle, room + 1)
            painter.drawText(QRectF(left, y, room + 1, metrics.height()), Qt.AlignmentFlag.AlignVCenter, shown)
            y += metrics.height() + _ROW_GAP
        painter.end()

    def _rows(self) -> list[tuple[str, str]]:
        if len(self._entries) <= _MOST_ROWS:
            return self._entries
        return [*self._entries[-_MOST_ROWS:], (f"and {len(self._entries) - _MOST_ROWS} more", "")]

    def _place(self) -> None:
        self.resize(self.sizeHint())
        self.move(max(0, self._host.width() - self.width() - _INSET_RIGHT), _INSET_TOP)
