"""What a person wants of a job. Pure."""

from __future__ import annotations

from enum import Enum


class Wish(Enum):
    RESULT = "result"
    PREVIEW = "preview"
    LOG = "log"
    AGAIN = "again"
    FINISH = "run the failed parts again"
    PYTHON = "copy as Python"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"
    SHOW_FOLDER = "show folder"
    COPY_FOLDER = "copy folder"
    FORGET = "forget"
