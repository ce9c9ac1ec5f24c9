"""The list of a site's partitions, with what is free in them, kept up to date under an open form. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox

from app.model.jobs import Partition
from app.model.text import visible
from app.views.submit.resource_words import partition_text
from app.viz.tips import plain_tip


def show_partitions(box: QComboBox, partitions: Sequence[Partition]) -> None:
    """Tell those that there are now below the first entry, which is none of them; nobody's choice is changed.

    One that was chosen and is not among them stays, and says so.
    """
    before, chosen, gone = box.blockSignals(True), box.currentData(), ""
    known = {partition.name: partition for partition in partitions}
    if chosen and chosen not in known:
        gone = str(chosen)
    for row in reversed(range(1, box.count())):
        if box.itemData(row) not in known and box.itemData(row) != gone:
            box.removeItem(row)
    for partition in partitions:
        if box.findData(partition.name) < 0:
            box.addItem("", partition.name)
        row = box.findData(partition.name)
        box.setItemText(row, partition_text(partition))
        box.setItemData(row, plain_tip(visible(partition.why_down)), Qt.ItemDataRole.ToolTipRole)
    if gone:
        box.setItemText(box.findData(gone), visible(f"{gone} · not known here"))
    box.blockSignals(before)
