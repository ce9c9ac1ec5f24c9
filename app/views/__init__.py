"""Windows, docks and dialogs. Mirrors the session's objects and calls verbs on them."""

import os

os.environ.setdefault("QT_API", "pyside6")     # qtpy, which silx's icons use, looks here
