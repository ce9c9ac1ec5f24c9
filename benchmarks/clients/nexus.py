"""Finds what a NeXus file asks to be shown."""

from __future__ import annotations

from typing import Any

import h5py


def signal(opened: h5py.File) -> h5py.Dataset:
    """The default signal, as NeXus says."""
    group: Any = opened
    while "default" in group.attrs:
        group = group[group.attrs["default"]]
    return group[group.attrs["signal"]]
