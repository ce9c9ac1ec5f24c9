"""For the tests of reading: how the agent is asked, and what its answers are compared by.

``BEAMSIDE_EXAMPLES`` says how many examples are made up; thousands were run once, a few hundred every time.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent.direct import DirectReader
from app.agent.service import Service

EXAMPLES = int(os.environ.get("BEAMSIDE_EXAMPLES", "300"))
LONG_AGO = 10**18


class Case:
    """A dataset to be written and what to select of it (a class, so that failures print shortly)."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)

    def __repr__(self) -> str:
        return f"Case({', '.join(f'{key}={value!r}' for key, value in self.__dict__.items())})"


def read(service: Service, file: Path, data_path: str | None = "/d", selection: Any = None, fit: Any = None,
         reduce: str = "max", statistics: bool = True) -> tuple[dict[str, Any], list[Any]]:
    return service.handle("read", {"file": str(file), "data_path": data_path, "selection": selection or ["..."],
                                   "fit": fit, "reduce": reduce, "statistics": statistics})


def as_wire(index: Any) -> list[Any]:
    """A numpy basic index as the wire carries it."""
    items = index if isinstance(index, tuple) else (index,)
    return ["..." if item is Ellipsis else [item.start, item.stop, item.step] if isinstance(item, slice) else item
            for item in items]


def bits(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()


def picked(whole: Any, index: Any) -> bytes:
    """The bits of ``whole[index]`` (a single number would come back in native byte order)."""
    return bits(whole.view(f"V{whole.dtype.itemsize}")[index])


def sizes_read(reader: DirectReader, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call to the system reads from now on."""
    sizes: list[int] = []
    pread = reader._idle[0].pread

    def noted(fd: int, offset: int, size: int) -> Any:
        sizes.append(size)
        return pread(fd, offset, size)

    monkeypatch.setattr(reader._idle[0], "pread", noted)
    return sizes


def half_missing(folder: Path) -> Path:
    """A file with a picture of 40 x 60 pixels of which the file with the right half is not there."""
    with h5py.File(folder / "left.h5", "w") as file:
        file["d"] = np.full((40, 30), 5, "u2")
    layout = h5py.VirtualLayout((40, 60), "u2")
    layout[:, :30] = h5py.VirtualSource("left.h5", "d", (40, 30))
    layout[:, 30:] = h5py.VirtualSource("right.h5", "d", (40, 30))
    with h5py.File(folder / "master.h5", "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=9)
    return folder / "master.h5"
