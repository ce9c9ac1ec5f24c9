"""The binding itself: PySide6 6.12.0 loses a reference to None at every call of an override; Python 3.11 aborts."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from PySide6.QtCore import QAbstractListModel, QModelIndex

CALLS = 2000


class Rows(QAbstractListModel):
    def rowCount(self, parent: Any = None) -> int:
        return 1

    def data(self, index: Any, role: int = 0) -> None:
        return None


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is immortal")
def test_that_overrides_keep_their_references_to_none(qapp: Any) -> None:
    index: QModelIndex = Rows(qapp).index(0, 0)
    before = sys.getrefcount(None)
    for _ in range(CALLS):
        index.data(0)
    assert abs(sys.getrefcount(None) - before) < CALLS // 2
