"""How data was looked at, remembered per technique and path, so that the next scan looks the same. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.model.data import DataReference
from app.model.plot import PlotDescription

KEPT = 300
_NUMBERS = re.compile(r"\d+")


def choices_key(reference: DataReference, description: PlotDescription) -> str:
    """The same for all files of one series: site, folder and dataset path without their numbers, and the view."""
    folder = _NUMBERS.sub("#", str(reference.file_path.parent))
    path = _NUMBERS.sub("#", description.signal or reference.data_path)
    return f"{reference.site}:{folder}::{path} {description.view.value}"


def remembered(choices: Mapping[str, dict[str, Any]], key: str, value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """``choices`` with one more, the oldest forgotten beyond ``KEPT``."""
    kept = {k: v for k, v in choices.items() if k != key}
    kept[key] = value
    return dict(list(kept.items())[-KEPT:])
