"""Writes volumes: slices into one file, slabs merged into one, what is done so far, and sweeps of the centre.

All are NeXus: an NXdata group with axes in µm (pixels where their size is not known), one slice to a chunk. Python 3.8,
numpy, h5py.
"""

from __future__ import annotations

import json
import os
import time

import h5py
import numpy as np
from beamside_job import whole_file

LIVE_EVERY_S = 5.0
LIVE_BYTES = 32 << 20


class Axes:
    """Where the slices are: x and y from the rotation axis, z along it from the detector's first row; their unit."""

    def __init__(self, prepared, slices):
        grid, size = prepared.grid, prepared.scan.pixel_m[1]
        self.unit = "um" if size else "pixel"
        self.long = "µm" if size else "pixel"
        across = (size * 1e6 if size else 1.0) * grid.bin
        down = (prepared.scan.pixel_m[0] or size or 1e-6) * 1e6 * grid.bin
        self.x = (np.arange(slices.width) - slices.axis) * across
        self._down, self._offset = down, (grid.detector_row(0) + (grid.bin - 1) / 2) * down / grid.bin

    def z(self, rows):
        return self._offset + np.asarray(rows) * self._down


def start_volume(file, name, title, axes, rows, unit, limits, count=None):
    """An NXentry with the NXdata ``name``; its data set ``data`` is still to be written (or made, if ``count`` is 0).

    Returns:
        (entry, group)
    """
    file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", name
    entry["title"] = title
    group = entry.create_group(name)
    width = len(axes.x)
    group.attrs.update(NX_class="NXdata", signal="data", z_indices=0, y_indices=1, x_indices=2)
    group.attrs["axes"] = ["z", "y", "x"]
    group.attrs["default_slice"] = [str(len(rows) // 2), ".", "."]
    group["title"] = title
    for key, values in (("z", axes.z(rows)), ("y", axes.x), ("x", axes.x)):
        group[key] = values
        group[key].attrs.update(units=axes.unit, long_name=f"{key} ({axes.long})")
    if count != 0:
        group.create_dataset("data", (len(rows), width, width), "u2" if limits else "f4", chunks=(1, width, width))
        describe(group, unit, limits)
    return entry, group


def describe(group, unit, limits):
    """Units of the data set, and what its integers stand for (NXdata: scaling_factor and offset): they are in no unit
    themselves."""
    group["data"].attrs["interpretation"] = "image"
    if not limits:
        group["data"].attrs.update(units=unit, long_name=f"Attenuation ({unit})")
    else:
        low, high = limits
        group["data"].attrs["long_name"] = f"Attenuation, 0 to 65535 for {low:.4g} to {high:.4g} {unit}"
        group["data"].attrs.update(value_at_0=low, value_at_65535=high)
        group["scaling_factor"], group["offset"] = (high - low) / 65535, low
        for key in ("scaling_factor", "offset"):
            group[key].attrs["units"] = unit


def stored(image, limits):
    """A slice as it is written: float32, or uint16 over the range that is kept beside it."""
    if not limits:
        return image
    low, high = limits
    return np.clip(np.rint((image - low) * (65535 / (high - low))), 0, 65535).astype(np.uint16)


class Live:
    """What is done so far, in a small file that is written anew every few seconds: some slices, evenly chosen."""

    def __init__(self, task, progress, title, axes, unit, every_s=LIVE_EVERY_S):
        self.name, self.title, self.axes, self.unit = f"live{task.stem}.h5", title, axes, unit
        self.folder, self.progress, self.every_s = task.folder, progress, every_s
        self.kept, self.written, self.stride = {}, 0.0, 1
        self.most = max(1, LIVE_BYTES // (4 * len(axes.x) ** 2))

    def add(self, number, row, image):
        """Slice ``number`` of this task, which is the volume's ``row``."""
        if number % self.stride == 0:
            self.kept[number] = (row, image)
            while len(self.kept) > self.most:
                self.stride *= 2
                self.kept = {n: k for n, k in self.kept.items() if n % self.stride == 0}
        if time.monotonic() - self.written >= self.every_s and self.kept:
            self.write()

    def write(self):
        self.written = time.monotonic()
        chosen = [self.kept[n] for n in sorted(self.kept)]
        try:
            with whole_file(os.path.join(self.folder, self.name)) as part, h5py.File(part, "w") as file:
                _, group = start_volume(file, "live", self.title + " (so far)", self.axes, [r for r, _ in chosen],
                                        self.unit, None)
                for place, (_, image) in enumerate(chosen):
                    group["data"][place] = image
            self.progress.preview(self.name, "/entry/live")
        except OSError as error:        # the analysis itself will say so if the disk is full
            print(f"The slices so far could not be written: {error}")

    def remove(self):
        path = os.path.join(self.folder, self.name)
        if os.path.exists(path):
            os.unlink(path)


def merged(prepared, title, slices, slabs, copy):
    """Write ``volume.h5`` from the slabs, as ``(file name, range of rows)``.

    Args:
        copy (bool): all in one file, the slabs are then removed; else a virtual data set over them, which is read
            through this one file.

    Returns:
        function that takes ``finish(entry)``, called before the file is complete.
    """
    axes, width = Axes(prepared, slices), slices.width
    rows = range(prepared.grid.rows)
    dtype = np.dtype("u2" if prepared.limits else "f4")

    def write(path, finish, step):
        with h5py.File(path, "w") as file:
            entry, group = start_volume(file, "volume", title, axes, rows, prepared.unit, prepared.limits,
                                        count=None if copy else 0)
            if copy:
                for name, part in slabs:
                    with h5py.File(name, "r") as slab:
                        for place, row in enumerate(part):
                            group["data"][row] = slab["entry/volume/data"][place]
                            step()
            else:
                layout = h5py.VirtualLayout((len(rows), width, width), dtype)
                for name, part in slabs:
                    layout[part.start:part.stop] = h5py.VirtualSource(os.path.basename(name), "entry/volume/data",
                                                                      (len(part), width, width), dtype)
                    step(len(part))
                group.create_virtual_dataset("data", layout)
                describe(group, prepared.unit, prepared.limits)
            finish(entry)
    return write


def write_sweep(file, name, prepared, row, transmission, offsets, step=lambda: None):
    """One slice at the centre's neighbours: an NXdata stack (centre, y, x) in ``file``.

    Args:
        offsets: of the centre, in detector pixels. transmission: the slice's sinogram.

    Returns:
        (entry, path of the group)
    """
    file.attrs["NX_class"], file.attrs["default"] = "NXroot", "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", name
    group = entry.create_group(name)
    images = []
    for offset in offsets:
        slices = prepared.slices(prepared.centre + offset)
        images.append(slices.reconstruct(transmission))
        step()
    width = min(image.shape[0] for image in images)         # half acquisition: the width depends on the centre
    data = group.create_dataset("data", (len(images), width, width), "f4", chunks=(1, width, width))
    for place, image in enumerate(images):
        skip = (image.shape[0] - width) // 2
        data[place] = image[skip:skip + width, skip:skip + width]
    axes = Axes(prepared, prepared.slices())
    skip = (len(axes.x) - width) // 2
    title = f"Row {prepared.grid.detector_row(row)} at centres around {prepared.centre:.2f}"
    group.attrs.update(NX_class="NXdata", signal="data", centre_indices=0, y_indices=1, x_indices=2)
    group.attrs["axes"] = ["centre", "y", "x"]
    group.attrs["default_slice"] = [str(int(np.argmin(np.abs(offsets)))), ".", "."]
    entry["title"] = group["title"] = title
    group["centre"] = prepared.centre + np.asarray(offsets)
    group["centre"].attrs.update(units="pixel", long_name="Centre of rotation (column)")
    for key in ("y", "x"):
        group[key] = axes.x[skip:skip + width]
        group[key].attrs.update(units=axes.unit, long_name=f"{key} ({axes.long})")
    data.attrs.update(units=prepared.unit, long_name=f"Attenuation ({prepared.unit})", interpretation="image")
    group.attrs["beamside_offer"] = json.dumps({"parameter": "centre", "off": "sweep"})     # the picture's
    group.attrs["beamside_about"] = json.dumps({"row": prepared.grid.detector_row(row), "centre": prepared.centre})
    return entry, f"/entry/{name}"


def sweep_offsets(values):
    """Offsets of the centre to try, symmetric, in detector pixels; empty: no sweep."""
    if not values.get("sweep"):
        return np.array([])
    step = values.get("sweep_step") or 0.5
    count = int(np.floor((values.get("sweep_range") or 5.0) / step + 1e-9))
    return np.arange(-count, count + 1) * step
