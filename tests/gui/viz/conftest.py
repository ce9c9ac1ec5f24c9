"""Every viz test runs in one of our themes."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication

from app.viz.theme import apply_theme


@pytest.fixture(autouse=True)
def themed(qapp: QApplication) -> None:
    apply_theme(qapp, "dark")
