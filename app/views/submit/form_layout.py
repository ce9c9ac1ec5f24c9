"""How forms of an analysis look: one width of labels, sections that fold. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFormLayout, QToolButton, QVBoxLayout, QWidget

from app.views.labels import PlainLabel
from app.viz.tips import plain_tip

LABEL_WIDTH = 150


def form_layout() -> QFormLayout:
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
    form.setHorizontalSpacing(14)
    form.setVerticalSpacing(8)
    return form


def row_label(text: str, field: QWidget | None = None, tip: str = "") -> PlainLabel:
    """The label of one row, as wide as those of the others."""
    label = PlainLabel(text, wrap=True)
    label.setFixedWidth(LABEL_WIDTH)
    if field is not None:
        label.setBuddy(field)
    label.setToolTip(plain_tip(tip))
    return label


class FoldedSection(QWidget):
    """Rows under a heading that can be folded away."""

    def __init__(self, title: str, *, folded: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.head = QToolButton()
        self.head.setProperty("role", "fold")
        self.head.setText(title)
        self.head.setAccessibleName(title)
        self.head.setCheckable(True)
        self.head.setChecked(not folded)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.toggled.connect(self._unfold)
        self.rows = form_layout()
        self._body = QWidget()
        self._body.setLayout(self.rows)
        self.rows.setContentsMargins(0, 4, 0, 4)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.head, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._body)
        self._unfold(not folded)

    def unfold(self) -> None:
        self.head.setChecked(True)

    def _unfold(self, shown: bool) -> None:
        self._body.setVisible(shown)
        self.head.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
