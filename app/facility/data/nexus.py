"""Writing NeXus files of the demo: groups with their class, values with units, frames as ready-made chunks.

Main thread, at start. Frames are compressed once in memory and written as stored chunks, as detectors do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import hdf5plugin
import numpy as np

Values = dict[str, Any]


def group(parent: h5py.Group, name: str, nx_class: str, values: Values | None = None, **attributes: Any) -> h5py.Group:
    """A group with its NX_class; ``values`` are written as by :func:`put`."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    for key, value in attributes.items():
        made.attrs[key] = value
    for key, value in (values or {}).items():
        put(made, key, value)
    return made


def put(parent: h5py.Group, name: str, value: Any, **attributes: Any) -> h5py.Dataset:
    """A dataset; ``(value, "unit")`` sets its units."""
    units = None
    if isinstance(value, tuple):
        value, units = value
    dataset = parent.create_dataset(name, data=value)
    if units is not None:
        dataset.attrs["units"] = units
    for key, content in attributes.items():
        dataset.attrs[key] = content
    return dataset


def source_and_beam(entry: h5py.Group, instrument: h5py.Group, wavelength_a: float) -> h5py.Group:
    """NXsource and NXbeam of the demo's storage ring; returns the beam."""
    group(instrument, "source", "NXsource", {"name": "Demo storage ring", "type": "Synchrotron X-ray Source",
                                             "probe": "x-ray"})
    return group(instrument, "beam", "NXbeam", {"incident_wavelength": (wavelength_a, "angstrom"),
                                                "incident_energy": (12.398419843320026 / wavelength_a, "keV")})


class FrameStore:
    """Turns frames into bitshuffle-LZ4 chunks, one per frame."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self._file = h5py.File("frames in memory", "w", driver="core", backing_store=False)
        self._dataset = self._create(self._file, "frame", 1)

    def compress(self, frame: np.ndarray) -> bytes:
        """The stored chunk of a frame: (height, width), in the store's dtype."""
        self._dataset[0] = frame
        self._dataset.flush()
        return bytes(self._dataset.id.read_direct_chunk((0, 0, 0))[1])

    def write(self, parent: h5py.Group, name: str, chunks: Sequence[bytes]) -> h5py.Dataset:
        """A stack of compressed frames."""
        dataset = self._create(parent, name, len(chunks))
        for number, chunk in enumerate(chunks):
            dataset.id.write_direct_chunk((number, 0, 0), chunk)
        return dataset

    def close(self) -> None:
        self._file.close()

    def _create(self, parent: h5py.Group, name: str, count: int) -> h5py.Dataset:
        return parent.create_dataset(name, (count, *self.shape), self.dtype, chunks=(1, *self.shape),
                                     **hdf5plugin.Bitshuffle(cname="lz4"))
