"""One frame to one curve, several or a cake, with pyFAI; and the step ``integrate``, which does so for all of them."""

from __future__ import annotations

import os
import re
import time

import numpy as np
from averages import Running
from beamside_job import Fault, Source, beyond, now, read_ahead, select_frames, sources, whole_file
from corrections import Corrections, place_of
from geometry import Geometry, describe
from results import Part, merge, preview

PREVIEW_EVERY_S = 5.0


class Reducer:
    """Reduces the frames of one source.

    ``reduce`` gives intensity and its standard deviation, float32, of ``shape``: (radial,), (sector, radial) or
    (azimuthal, radial); the deviation is ``None`` without an error model.
    """

    def __init__(self, source, parameters, chosen, geometry=None):
        self.source, self.parameters, self.chosen = source, parameters, list(chosen)
        self.sectors = sectors_of(parameters)
        self.geometry = geometry or Geometry(source, parameters)
        made = self.geometry.integrator(self.sectors[0])
        self.corrections = Corrections(source, parameters, made.detector)
        self.factor = self.corrections.factor(self.chosen)
        self.npt = parameters["npt"] or self.geometry.points()
        self.cake = parameters["integration"] == "2d"
        self.radial = self.azimuthal = self.method = None
        self._keywords = {
            "unit": parameters["unit"], "correctSolidAngle": parameters["solid_angle"],
            "polarization_factor": parameters["polarization"] if parameters["correct_polarization"] else None,
            "mask": self.corrections.mask, "dark": self.corrections.dark, "flat": self.corrections.flat,
            "error_model": None if parameters["error_model"] == "none" else parameters["error_model"],
            "method": (parameters["splitting"], parameters["algorithm"], "cython"),
            "radial_range": tuple(parameters["radial_range"]) if parameters["radial_range"] else None}
        self.background = background_of(source, parameters, self.geometry) if parameters["background"] else None

    @property
    def shape(self):
        if self.cake:
            return (self.parameters["npt_azimuth"], self.npt)
        return (self.npt,) if len(self.sectors) == 1 else (len(self.sectors), self.npt)

    @property
    def has_errors(self):
        return self.parameters["error_model"] != "none"

    def reduce(self, frame, factor):
        """(intensity, error) of a frame of counts (float32, NaN: not measured), divided by ``factor``."""
        found = [self._integrate(frame, factor, sector, place) for place, sector in enumerate(self.sectors)]
        intensity = np.stack([f[0] for f in found]) if len(found) > 1 else found[0][0]
        error = None
        if self.has_errors:
            error = np.stack([f[1] for f in found]) if len(found) > 1 else found[0][1]
        if self.background is not None:
            times = self.parameters["background_factor"]
            below, below_error = self.background
            intensity = (intensity - times * below).astype(np.float32)
            if error is not None:
                error = np.sqrt(error.astype(np.float64) ** 2 + (times * below_error) ** 2).astype(np.float32)
        return intensity, error

    def _integrate(self, frame, factor, sector, place):
        made = self.geometry.integrator(sector, place)
        keywords = dict(self._keywords, normalization_factor=factor, azimuth_range=sector)
        if self.cake:
            result = made.integrate2d_ng(frame, self.npt, self.parameters["npt_azimuth"], **keywords)
            self.azimuthal = result.azimuthal
        else:
            result = made.integrate1d_ng(frame, self.npt, **keywords)
        self.radial, self.method = result.radial, str(result.method)
        empty = self.parameters["empty"]
        intensity, error = result.intensity, result.sigma if self.has_errors else None
        nothing = result.count == 0
        if nothing.any():
            intensity = np.where(nothing, np.float32(np.nan if empty is None else empty), intensity)
            error = None if error is None else np.where(nothing, np.float32(np.nan if empty is None else empty), error)
        return intensity, error

    def provenance(self):
        """What the result's process group says beside the parameters."""
        said = {"geometry": describe(self.geometry.integrator(self.sectors[0])), "method": self.method or "",
                "npt": self.npt}
        for name in ("mask", "dark", "flat"):
            if getattr(self.corrections, name) is not None:
                said[name] = getattr(self.corrections, name)
        if self.background is not None:
            said["background_intensity"] = self.background[0]
        if told := left_out(self.source, self.parameters):
            said["notes"] = [told]
        return said


def sectors_of(parameters):
    """The azimuthal ranges in degrees: a list of (from, to); ``[None]``: all around."""
    text = (parameters["azimuth"] or "").strip()
    if not text:
        return [None]
    found = []
    for piece in text.split(","):
        match = re.fullmatch(r"\s*([-+]?[0-9.]+)\s*:\s*([-+]?[0-9.]+)\s*", piece)
        if match and not float(match.group(1)) < float(match.group(2)):
            raise Fault(f"The azimuthal range “{piece.strip()}” is empty: write the smaller angle first, for example"
                        " -30:30.")
        if not match:
            raise Fault(f"The azimuthal range “{piece.strip()}” is not of the form from:to in degrees, for example"
                        " -30:30.")
        found.append((float(match.group(1)), float(match.group(2))))
    if len(found) > 1 and parameters["integration"] == "2d":
        raise Fault("A cake has one azimuthal range: leave the others out, or choose curves (integration).")
    return found


def background_of(source, parameters, geometry):
    """The mean background, normalised like the frames: (intensity, error of the mean or ``None``), float64."""
    running = None
    plain = dict(parameters, background=None, monitor=parameters["background_monitor"] or parameters["monitor"],
                 transmission=parameters["background_transmission"], transmission_data=None)
    for name in parameters["background"]:
        try:
            below = Source(place_of(source, name))
        except Fault as fault:
            raise Fault(f"The background cannot be used: {fault}") from None
        if below.shape != source.shape:
            raise Fault("The background {} has {} pixels, but the frames of {} have {}.".format(
                name, " × ".join(map(str, below.shape)), source.name, " × ".join(map(str, source.shape))))
        chosen = select_frames(parameters["background_frames"], len(below), name)
        reducer = Reducer(below, plain, chosen, geometry)
        running = running or Running(reducer.shape)
        for number, frame in read_ahead(reducer.corrections.frame, chosen):
            running.add(*reducer.reduce(frame, reducer.factor[number]))
        below.close()
    return running.mean(), running.error() if parameters["error_model"] != "none" else None


def plan(task):
    """(source, chosen frames) of every input."""
    found = sources(task.inputs)
    return [(source, select_frames(task.parameters["frames"], len(source), source.name)) for source in found]


def left_out(source, parameters, inputs=1):
    """What the parameter ``frames`` names that the source does not have, in one sentence; empty: nothing."""
    return beyond(parameters["frames"], len(source), "frames", source.name if inputs > 1 else "The data")


def integrate(task):
    """The step: this task's share of all frames, in blocks, into its part; a single task makes the result as well."""
    started = now()
    planned = plan(task)
    for source, _ in planned:
        if told := left_out(source, task.parameters, len(planned)):
            print(told, flush=True)
    share = task.share(sum(len(chosen) for _, chosen in planned))
    progress = task.progress(len(share), "frames")
    os.makedirs("parts", exist_ok=True)
    shown = Preview(task, progress)
    with whole_file(Part.path(task.number)) as path, \
            Part(path, task, started, sum(len(source) for source, _ in planned)) as part:
        before = 0
        for number, (source, chosen) in enumerate(planned, start=1):
            first, last = max(share.start - before, 0), min(share.stop - before, len(chosen))
            before += len(chosen)
            if first < last:
                reducer = Reducer(source, task.parameters, chosen)
                with part.entry(number, reducer, last - first) as rows:
                    _reduce_all(reducer, chosen[first:last], rows, progress, shown)
            source.close()
    if task.count == 1:
        progress.text("writing the result")
        merge(task)


def _reduce_all(reducer, numbers, rows, progress, shown):
    def read(number):
        try:
            return reducer.corrections.frame(number)
        except Fault as fault:
            return fault

    unreadable = 0
    for number, frame in read_ahead(read, numbers):
        if isinstance(frame, Fault):
            unreadable += 1
            if reducer.parameters["strict"]:
                raise frame
            print(f"{frame} It is left out.", flush=True)
            progress.text(f"{unreadable} cannot be read")
            rows.left_out(number, reducer.factor[number], str(frame))
        else:
            intensity, error = reducer.reduce(frame, reducer.factor[number])
            rows.add(number, intensity, error, reducer.factor[number])
            shown.add(reducer, intensity, error)
        progress.step()


class Preview:
    """The mean so far, in a file that is replaced every few seconds while the task runs."""

    def __init__(self, task, progress):
        self.task, self.progress, self.name = task, progress, f"preview{task.stem}.h5"
        self._running, self._for, self._written = None, None, 0.0

    def add(self, reducer, intensity, error):
        if self._for is not reducer:
            self._for, self._running = reducer, Running(reducer.shape)
        self._running.add(intensity, error)
        if time.monotonic() - self._written > PREVIEW_EVERY_S:
            preview(self.name, reducer, self._running)
            self.progress.preview(self.name, "/entry/running")
            self._written = time.monotonic()
