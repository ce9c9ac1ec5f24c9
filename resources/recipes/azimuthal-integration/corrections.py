"""Which pixels count, what is taken off and divided out, and by what each frame is normalised."""

from __future__ import annotations

import functools
import os
import sys

import h5py
import numpy as np
from beamside_job import Fault, Source, ancestor, changed, groups, member, the_detector, without_sentinels


class Corrections:
    """Mask, dark and flat for the frames of one source, and the number that each frame is divided by.

    Attributes:
        mask: (height, width) int8, not zero where a pixel is left out in every frame; ``None``: nowhere.
        dark, flat: (height, width) float32 or ``None``.
        factor: float64, one for each frame of the source: monitor × transmission ÷ scale.
        monitor: float64, one for each frame, as read; ``None``: none is used.
    """

    def __init__(self, source, parameters, detector=None):
        self.source, self.parameters = source, parameters
        masked = np.zeros(source.shape, bool)
        if parameters["mask"]:
            given = _image(source, parameters["mask"], "mask")
            masked |= (given != 0) if parameters["mask_polarity"] == "nonzero" else (given == 0)
        if parameters["use_pixel_mask"]:
            for own in (_pixel_mask(source), getattr(detector, "mask", None)):
                if own is not None and own.shape == source.shape:
                    masked |= own != 0
        self.dark = _averaged(source, parameters["dark"], "dark") if parameters["dark"] else None
        self.flat = _averaged(source, parameters["flat"], "flat field") if parameters["flat"] else None
        if self.dark is not None:
            masked |= ~np.isfinite(self.dark)
        if self.flat is not None:
            with np.errstate(invalid="ignore"):
                masked |= ~(self.flat > 0)      # also where it is NaN
            if not masked.all():
                self.flat = self._scaled(self.flat, masked)
        if masked.all():
            given = f" {parameters['mask']}" if parameters["mask"] else ""
            raise Fault(f"The mask{given} leaves no pixel of {source.name}: check its polarity (mask_polarity).")
        self.mask = masked.astype(np.int8) if masked.any() else None
        self.monitor = monitor_of(source, parameters["monitor"])
        self.transmission = _transmission(source, parameters)

    def factor(self, chosen):
        """float64, one for each frame of the source (only those ``chosen`` have to be good).

        Raises:
            Fault: a frame would be divided by zero, by less, or by no number.
        """
        factor = self.transmission / self.parameters["scale"]
        if self.monitor is not None:
            monitor = self.monitor
            bad = [n for n in chosen if not (np.isfinite(monitor[n]) and monitor[n] > 0)]
            if bad:
                more = f" and of {len(bad) - 1} more frames" if len(bad) > 1 else ""
                raise Fault(f"The monitor {self.parameters['monitor']} is {monitor[bad[0]]:g} at frame {bad[0]}{more}"
                            f" of {self.source.name}: leave such frames out (frames) or name another monitor.")
            if self.parameters["monitor_scale"] == "mean":
                monitor = monitor / monitor[np.asarray(chosen)].mean()
            factor = factor * monitor
        bad = [n for n in chosen if not (np.isfinite(factor[n]) and factor[n] > 0)]
        if bad:
            raise Fault(f"The transmission of frame {bad[0]} of {self.source.name} is"
                        f" {self.transmission[bad[0]]:g}; a number above 0 is needed.")
        return factor

    def frame(self, number):
        """(height, width) float32 of counts; NaN where nothing was measured, and outside the range that counts."""
        return self.valid(self.source.raw(number))

    def valid(self, raw):
        dummy, counts = self.parameters["dummy"], self.parameters["valid_range"]
        values = without_sentinels(raw) if self.parameters["sentinels"] else raw.astype(np.float32)
        if dummy is not None:
            values[np.abs(raw - dummy) <= (self.parameters["delta_dummy"] or 0.0)] = np.nan
        if counts:
            values[(raw < counts[0]) | (raw > counts[1])] = np.nan
        return values

    def _scaled(self, flat, masked):
        mean = float(flat[~masked].mean(dtype=np.float64))
        if self.parameters["normalize_flat"]:
            return (flat / mean).astype(np.float32)
        if not 0.1 < mean < 10:
            print(f"Note: the flat field's mean is {mean:g}; intensities are divided by it as it is (normalize_flat).",
                  file=sys.stderr)
        return flat


def place_of(source, name):
    """``FILE::/path`` for a name that may be a path inside the source's own file."""
    path = name.partition("::/")[0]
    if source.file is not None and name.startswith("/") and not os.path.exists(path) \
            and member(source.file, name) is not None:
        return f"{source.file.filename}::{name}"
    return name


def _image(source, name, what):
    """One image as the file has it."""
    place = place_of(source, name)
    image = _read(place, what, changed(place), False)
    if image.shape != source.shape:
        raise Fault(f"The {what} {name} has {_by(image.shape)} pixels, but the frames of {source.name} have"
                    f" {_by(source.shape)}.")
    return image


def _averaged(source, names, what):
    """(height, width) float32: the mean of all frames of all files; NaN where one of them measured nothing."""
    total, count = np.zeros(source.shape, np.float64), 0
    for name in names:
        place = place_of(source, name)
        mean, frames = _read(place, what, changed(place), True)
        if mean.shape != source.shape:
            raise Fault(f"The {what} {name} has {_by(mean.shape)} pixels, but the frames of {source.name} have"
                        f" {_by(source.shape)}.")
        total += mean * frames
        count += frames
    return (total / count).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _read(place, what, _modified, mean):
    """The first image there as it is; or the ``mean`` of all (float64) and how many they are."""
    path = place.partition("::/")[0]
    try:
        if path.endswith(".npy"):
            stack = np.load(path, allow_pickle=False)
            stack = stack.reshape((-1,) + stack.shape[-2:])
            frames = (without_sentinels(image) for image in stack)
            return _mean(frames) if mean else stack[0]
        stack = Source(place)
        try:
            return _mean(stack.frame(number) for number in range(len(stack))) if mean else stack.raw(0)
        finally:
            stack.close()
    except Fault as fault:
        said = str(fault)
        raise Fault(f"The {what} cannot be used: {said[0].lower() if said.startswith('The ') else said[0]}{said[1:]}") \
            from None
    except (OSError, ValueError) as error:
        raise Fault(f"The {what} {place} cannot be read ({error}): npy, edf, tif, cbf or HDF5 is needed.") from None


def _mean(frames):
    total, count = 0.0, 0
    for frame in frames:
        total, count = total + frame.astype(np.float64), count + 1
    return total / count, count


def _pixel_mask(source):
    own = member(the_detector(source), "pixel_mask") if the_detector(source) is not None else None
    return own[()] if isinstance(own, h5py.Dataset) and own.shape == source.shape else None


def monitor_of(source, name):
    """float64, one for each frame: from NXmonitor (``auto``), a path in the source's file, or ``FILE::/path``."""
    if not name:
        return None
    return _per_frame(source, _the_monitor(source) if name == "auto" else name, "monitor")


def _the_monitor(source):
    found = groups(ancestor(source, "NXentry") or source.file, "NXmonitor", 4) if source.file is not None else []
    if len(found) != 1:
        there = f"several NXmonitor groups: name one, for example {found[0].name}" if found else "no NXmonitor group"
        raise Fault(f"{source.name} has {there} (monitor).")
    return found[0].name


def _per_frame(source, name, what):
    path, _, inside = place_of(source, name).partition("::/")
    if not inside or not os.path.exists(path):
        raise Fault(f"The {what} {name} is not in {source.name}, and it is no FILE::/path.")
    own = source.file is not None and os.path.realpath(path) == os.path.realpath(source.file.filename)
    try:
        file = source.file if own else h5py.File(path, "r")
    except OSError:
        raise Fault(f"The {what} {name} cannot be read: {path} is no HDF5 file.") from None
    try:
        node = member(file, "/" + inside)
        if isinstance(node, h5py.Group):
            node = next((n for n in (member(node, key) for key in ("data", "integral")) if n is not None), None)
        if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf":
            raise Fault(f"The {what} {name} is no data set of numbers.")
        values = np.asarray(node[()], np.float64).reshape(-1)
    finally:
        if not own:
            file.close()
    if values.size == 1:
        return np.full(len(source), values[0])
    if values.size != len(source):
        raise Fault(f"The {what} {name} has {values.size} values, but {source.name} has {len(source)} frames.")
    return values


def _transmission(source, parameters):
    number, name = parameters["transmission"], parameters["transmission_data"]
    values = _per_frame(source, name, "transmission") if name else np.ones(len(source))
    return values * number if number is not None else values


def _by(shape):
    return " × ".join(str(n) for n in shape)
