"""Widgets that draw: pictures, stacks, curves, levels, tables, and their look. They know no network.

Importing this package settles the Qt binding before pyqtgraph or silx look for one.
"""

import os

import PySide6  # noqa: F401

os.environ.setdefault("QT_API", "pyside6")
