"""The Qt binding itself: PySide6 6.12.0 on Python 3.11 gave away one reference to None per call that returns nothing.

The interpreter then aborts ("deallocating None") after a minute or two of drawing. 6.8 to 6.11.3 are sound.
"""

from __future__ import annotations

import sys

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

CALLS = 200


def test_that_calls_into_qt_keep_their_references_to_none(qtbot: QtBot) -> None:
    button = QPushButton()
    qtbot.addWidget(button)
    icon = QIcon()
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        button.setIcon(icon)
    lost = before - sys.getrefcount(None)
    assert lost < CALLS / 2, "this PySide6 loses references to None: install one below 6.12"
