"""For the tests of answers in parts: who hears them, and how they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from app.agent.service import Service
from app.agent.stack import Waiting
from app.protocol.errors import WireError


class Listener(Waiting):
    """Keeps what it is told; has had enough after ``patience`` checks."""

    def __init__(self, patience: int = 10**9) -> None:
        self.told: list[tuple[dict[str, Any], list[Any], bool]] = []
        self._patience = patience

    def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
        self.told.append((result, [array.copy() for array in arrays], urgent))
        return sum(array.nbytes for array in arrays)

    def check(self) -> None:
        self._patience -= 1
        if self._patience < 0:
            raise WireError("cancelled", "No longer wanted.")

    @property
    def parts(self) -> list[str]:
        return [result["part"] for result, _, _ in self.told]


def ask(path: Path, waiting: Waiting, service: Service | None = None,
        **params: Any) -> tuple[dict[str, Any], list[Any]]:
    asked = {"file": str(path), "data_path": "/d", "selection": ["..."], "fit": None, "reduce": "max",
             "statistics": True, "preview": None, "parts": True, "draft": False, **params}
    return (service or Service()).handle("read", asked, waiting)


def unpacked(result: dict[str, Any], arrays: list[Any]) -> Any:
    """The mask of a reply."""
    shape = arrays[0].shape
    if not result["mask"]:
        return np.zeros(shape, bool)
    return np.unpackbits(arrays[1], count=arrays[0].size).reshape(shape).astype(bool)
