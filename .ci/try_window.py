"""Open the window offscreen on small.h5, look that it is really there, and close it as a person would."""

from __future__ import annotations

import sys

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

seen: list[str] = []
event_loop = QApplication.exec


def look() -> None:
    """A visible window, wherever it is in its start."""
    seen.extend(f"{type(w).__name__} “{w.windowTitle()}” {w.width()}×{w.height()}"
                for w in QApplication.topLevelWidgets() if w.isVisible())
    QApplication.closeAllWindows()
    QTimer.singleShot(3000, QApplication.quit)


def with_a_look(*_application: object) -> int:
    QTimer.singleShot(4000, look)
    return event_loop()


QApplication.exec = with_a_look  # type: ignore[method-assign,assignment]
sys.argv = ["beamside", "open", "small.h5"]

from app.__main__ import main  # noqa: E402

code = main()
assert seen, "no window was visible"
assert code == 0, f"the window ended with {code}"
print("the window:", "; ".join(seen))
