"""Catches what the program logs as an error while a test runs; libraries may say what they like."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence


class LoggedErrors(logging.Handler):
    """A context in which records of ``app`` loggers at ERROR and above are collected."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        super().__init__(logging.ERROR)
        self.unexpected: list[str] = []
        self.allowed = list(allowed)

    def __enter__(self) -> LoggedErrors:
        logging.getLogger("app").addHandler(self)
        return self

    def __exit__(self, *_exc: object) -> None:
        logging.getLogger("app").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        text = f"{record.name}: {record.getMessage()}"
        if not any(re.search(pattern, text) for pattern in self.allowed):
            self.unexpected.append(text)
