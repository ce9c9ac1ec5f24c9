"""How sites are told apart at a glance: bars and dots in a site's colour, rows that say how it does. GUI thread."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPen, QPixmap
from PySide6.QtWidgets import (
    QApplication,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTabBar,
    QWidget,
)

from app.session.session import SiteState
from app.viz.site_colour import mark_colour
from app.viz.theme import theme_of

Index = QModelIndex | QPersistentModelIndex

STATE_WORDS = {SiteState.CLOSED: ("not connected", "idle"), SiteState.OPENING: ("connecting…", "busy"),
               SiteState.OPEN: ("connected", "ok"), SiteState.UNRESPONSIVE: ("not answering", "warning"),
               SiteState.LOST: ("reconnecting…", "warning"), SiteState.FAILED: ("could not connect", "error")}
_BAR = 3
_ROW = 30


class SiteRole(IntEnum):
    """What a row of a list of sites says."""

    NAME = Qt.ItemDataRole.UserRole
    COLOUR = Qt.ItemDataRole.UserRole + 1
    STATE = Qt.ItemDataRole.UserRole + 2         # a SiteState; None: it has none to show
    NOTE = Qt.ItemDataRole.UserRole + 3          # right-aligned, quieter
    IS_HEAD = Qt.ItemDataRole.UserRole + 4       # a heading, not a site


def site_dot(colour: str, state: SiteState | None, size: int = 16) -> QIcon:
    """A dot in the site's colour: filled while it is connected, half while that is not sure, else a ring."""
    drawn = QIcon()
    for ratio in (1.0, 2.0):
        picture = QPixmap(QSize(size, size) * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(Qt.GlobalColor.transparent)
        painter = QPainter(picture)
        paint_dot(painter, QRectF(0, 0, size, size), colour, state)
        painter.end()
        drawn.addPixmap(picture)
    return drawn


def paint_dot(painter: QPainter, box: QRectF, colour: str, state: SiteState | None) -> None:
    """The same into ``box``."""
    ink = mark_colour(colour, theme_of(QApplication.palette()))
    centre, radius = box.center(), 4.5
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(ink, 1.6))
    painter.setBrush(ink if state is SiteState.OPEN else QColor(Qt.GlobalColor.transparent))
    painter.drawEllipse(centre, radius, radius)
    if state in (SiteState.OPENING, SiteState.UNRESPONSIVE, SiteState.LOST):
        painter.setBrush(ink)
        painter.drawPie(QRectF(centre - QPointF(radius, radius), centre + QPointF(radius, radius)), 90 * 16, 180 * 16)
    if state is SiteState.FAILED:
        painter.drawLine(centre - QPointF(2.2, 2.2), centre + QPointF(2.2, 2.2))
        painter.drawLine(centre - QPointF(2.2, -2.2), centre + QPointF(2.2, -2.2))
    painter.restore()


class ColourBar(QWidget):
    """A thin upright bar in a site's colour."""

    def __init__(self, colour: str = "", width: int = 5, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = colour
        self.setFixedWidth(width)

    def set_colour(self, colour: str) -> None:
        """Empty: nothing is drawn."""
        self._colour = colour
        self.update()

    @property
    def ink(self) -> QColor:
        """What it is drawn in."""
        return mark_colour(self._colour, theme_of(QApplication.palette()))

    def sizeHint(self) -> QSize:
        return QSize(self.width(), 40)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() is QEvent.Type.PaletteChange:
            self.update()
        super().changeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._colour:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.ink)
        painter.drawRoundedRect(self.rect(), 2, 2)


class MarkedTabBar(QTabBar):
    """Tabs that carry a thin bar in the colour given as their data."""

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        theme = theme_of(QApplication.palette())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        for position in range(self.count()):
            colour = self.tabData(position)
            if isinstance(colour, str) and colour:
                place = self.tabRect(position)
                painter.setBrush(mark_colour(colour, theme))
                painter.drawRoundedRect(QRectF(place.left() + 4, place.top() + 8, _BAR, place.height() - 16), 1.5, 1.5)


class SiteDelegate(QStyledItemDelegate):
    """Rows of sites: dot, title, and on the right how it does or what is known; headings between them."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        height = max(_ROW, option.fontMetrics.height() + 12)
        return QSize(super().sizeHint(option, index).width(), height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        plain = QStyleOptionViewItem(option)
        self.initStyleOption(plain, index)
        title, plain.text, plain.icon = plain.text, "", QIcon()
        theme = theme_of(QApplication.palette())
        style = plain.widget.style() if plain.widget is not None else QApplication.style()
        box = QRectF(option.rect).adjusted(8, 0, -10, 0)
        painter.save()
        if index.data(SiteRole.IS_HEAD):
            font = painter.font()
            font.setWeight(font.Weight.DemiBold)
            painter.setFont(font)
            painter.setPen(QColor(theme.muted))
            at_left = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
            painter.drawText(box.adjusted(0, 8, 0, 0), at_left, title)
            painter.restore()
            return
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, plain, painter, plain.widget)
        colour = index.data(SiteRole.COLOUR)
        if colour:
            paint_dot(painter, QRectF(box.left(), box.center().y() - 8, 16, 16), colour, index.data(SiteRole.STATE))
        box.setLeft(box.left() + 24)
        note = str(index.data(SiteRole.NOTE) or "")
        painter.setFont(plain.font)
        metrics = painter.fontMetrics()
        beside = box.width() - metrics.horizontalAdvance(title) - 16   # the name comes first, but the note has a share
        room = min(metrics.horizontalAdvance(note) + 2, int(max(box.width() * 0.35, beside))) if note else 0
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(theme.text))
        words = box.adjusted(0, 0, -(room + 14 if room else 0), 0)
        painter.drawText(words, middle | Qt.AlignmentFlag.AlignLeft,
                         metrics.elidedText(title, Qt.TextElideMode.ElideMiddle, int(words.width())))
        if note:
            painter.setPen(QColor(theme.muted))
            aside = QRectF(box.right() - room, box.top(), room, box.height())
            painter.drawText(aside, middle | Qt.AlignmentFlag.AlignRight,
                             metrics.elidedText(note, Qt.TextElideMode.ElideRight, room))
        painter.restore()
