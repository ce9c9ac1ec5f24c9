"""What is written: the part of each task, the preview while it runs, and ``result.h5`` (NeXus) made of the parts.

A part holds every frame of its share; the result is the parts' frames one after the other, and means over them. So a
result of many tasks is that of a single one to the last bit. Parts and previews are removed when the result is there.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil

import h5py
import numpy as np
from averages import groups_of, mean_of
from beamside_job import Fault, now, text_of, whole_file, write_provenance
from curves import write_curves

BLOCK = 1 << 22         # bytes that are gathered before they are written
CHUNK = 1 << 16
AXES = {"q_nm^-1": ("q", "1/nm", "q (1/nm)"), "q_A^-1": ("q", "1/angstrom", "q (1/Å)"),
        "2th_deg": ("two_theta", "deg", "2θ (deg)"), "r_mm": ("r", "mm", "r (mm)")}
PER_FRAME = ("frame", "normalization_factor", "monitor", "transmission", "frame_index", "file")


class Part:
    """The file of one task: an entry for each input that it has frames of."""

    def __init__(self, path, task, started, there):
        """``there``: how many frames the inputs had, which the share of each task depends on."""
        self.task, self.started = task, started
        self.file = h5py.File(path, "w")
        self.file.attrs.update(number=task.number, count=task.count, there=there)

    @staticmethod
    def path(number):
        return os.path.join("parts", f"part-{number:05d}.h5")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    @contextlib.contextmanager
    def entry(self, number, reducer, count):
        """The `Rows` of input ``number``; what all rows have in common is written at the end."""
        entry = self.file.create_group(entry_name(number))
        source = reducer.source
        entry["title"] = f"{self.task.job.get('title', 'Azimuthal integration')} of {source.name}"
        rows = Rows(entry.create_group("frames"), reducer, count)
        yield rows
        rows.write()
        if reducer.radial is None:      # no frame could be read: one of nothing still tells the axes
            reducer.reduce(np.full(source.shape, np.nan, np.float32), 1.0)
        entry["frames/radial"] = reducer.radial
        if reducer.azimuthal is not None:
            entry["frames/chi"] = reducer.azimuthal
        if len(reducer.sectors) > 1:
            entry["frames/azimuth"] = np.array(reducer.sectors, np.float64)
        if rows.failed:
            entry["failed"] = np.array([number for number, _ in rows.failed], np.int64)
            entry["failed"].attrs["why"] = rows.failed[0][1]
        import pyFAI
        write_provenance(entry, self.task, "pyFAI", pyFAI.version, self.started, input=source.name,
                         **reducer.provenance())


class Rows:
    """The frames of one entry, written in blocks."""

    def __init__(self, group, reducer, count):
        self.group, self.reducer = group, reducer
        shape, size = reducer.shape, 4 * int(np.prod(reducer.shape))
        chunk = min(count, max(1, CHUNK // size))
        self._most = chunk * max(1, BLOCK // (size * chunk))
        self._rows, self._written, self.failed = [], 0, []
        for name in ("I", "I_errors") if reducer.has_errors else ("I",):
            group.create_dataset(name, (count, *shape), "f4", chunks=(chunk, *shape))
        self._numbers = []

    def add(self, number, intensity, error, factor):
        """The next frame."""
        self._rows.append((intensity, error))
        self._numbers.append((number, factor))
        if len(self._rows) >= self._most:
            self._flush()

    def left_out(self, number, factor, why):
        """The next frame could not be read: it is NaN."""
        self.failed.append((number, why))
        nothing = np.full(self.reducer.shape, np.nan, np.float32)
        self.add(number, nothing, nothing, factor)

    def _flush(self):
        if self._rows:
            last = self._written + len(self._rows)
            self.group["I"][self._written:last] = np.stack([row[0] for row in self._rows])
            if "I_errors" in self.group:
                self.group["I_errors"][self._written:last] = np.stack([row[1] for row in self._rows])
            self._rows, self._written = [], last

    def write(self):
        """Write what is left, and what belongs to each frame."""
        self._flush()
        numbers = np.array([n for n, _ in self._numbers], np.int64)
        source, corrections = self.reducer.source, self.reducer.corrections
        self.group["frame"] = numbers
        self.group["normalization_factor"] = np.array([f for _, f in self._numbers], np.float64)
        if corrections.monitor is not None:
            self.group["monitor"] = corrections.monitor[numbers]
        if corrections.parameters["transmission"] is not None or corrections.parameters["transmission_data"]:
            self.group["transmission"] = corrections.transmission[numbers]
        if len(source.leading) > 1:
            self.group["frame_index"] = np.stack(np.unravel_index(numbers, source.leading), axis=1)
        if len(source.files) == len(source):
            self.group["file"] = np.array([os.path.basename(source.files[n]) for n in numbers],
                                          dtype=h5py.string_dtype())


def merge(task):
    """The step: ``result.h5`` and the ``.dat`` files from all parts."""
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(h5py.File(path, "r")) for path in sorted(glob.glob("parts/part-*.h5"))]
        there, count = {int(part.attrs["number"]) for part in parts}, int(parts[0].attrs["count"]) if parts else 0
        missing = sorted(set(range(1, count + 1)) - there)
        if missing or not parts:
            which = f"{len(missing)} of {count} parts are missing (the first is {missing[0]})" if missing \
                else "no part of it is there"
            raise Fault(f"The result cannot be put together: {which}; run the job again.")
        if len({part.attrs["there"] for part in parts}) > 1:
            raise Fault("The result cannot be put together: frames were added to the input while its parts were made; "
                        "run the whole job again.")
        names = sorted({name for part in parts for name in part}, key=lambda n: (len(n), n))
        with whole_file("result.h5") as path, h5py.File(path, "w") as out:
            out.attrs.update(NX_class="NXroot", default=names[0], creator="Beamside recipe azimuthal-integration")
            for name in names:
                _put_together(out.create_group(name), [part[name] for part in parts if name in part], task.parameters)
            write_curves(out, task)
    shutil.rmtree("parts")
    for path in glob.glob("preview*.h5"):
        os.unlink(path)


def _put_together(entry, pieces, parameters):
    first = pieces[0]
    entry.attrs.update(NX_class="NXentry", default="reduced")
    entry["title"] = first["title"][()]
    rows = sum(len(piece["frames/frame"]) for piece in pieces)
    failed = [int(n) for piece in pieces if "failed" in piece for n in piece["failed"][()]]
    if len(failed) == rows:
        why = text_of(first["failed"].attrs["why"])
        raise Fault(why if rows == 1 else f"None of {rows} frames could be read: {why[0].lower()}{why[1:]}")
    groups = groups_of(rows, parameters)
    if not groups or parameters["integration"] == "1d":
        frames = entry.create_group("frames" if groups else "reduced")
        _copy_frames(frames, pieces, rows)
        describe(frames, parameters, "frame", f"{text_of(entry['title'][()])}{', every frame' if groups else ''}")
    if groups:
        means = entry.create_group("reduced")
        _write_means(means, pieces, groups, parameters)
        of = "mean" if parameters["average"] == "all" else f"means of {parameters['group_size']} frames"
        describe(means, parameters, "group" if parameters["average"] == "groups" else None,
                 f"{text_of(entry['title'][()])}, {of}")
    first.copy("process", entry)
    process = entry["process"]
    process["end_time"][()] = now()
    process["tasks"] = int(first.file.attrs["count"])
    if failed:
        process["unreadable_frames"] = np.array(failed, np.int64)


def _copy_frames(group, pieces, rows):
    for name in ("I", "I_errors"):
        if name in pieces[0]["frames"]:
            like = pieces[0]["frames"][name]
            chunks = (min(rows, max(1, CHUNK // (4 * int(np.prod(like.shape[1:]))))), *like.shape[1:])
            group.create_dataset(name, (rows, *like.shape[1:]), "f4", chunks=chunks)
            at = 0
            for piece in pieces:
                for block in _blocks(piece["frames"][name]):
                    group[name][at:at + len(block)] = block
                    at += len(block)
    for name in PER_FRAME:
        if name in pieces[0]["frames"]:
            values = [piece["frames"][name][()] for piece in pieces]
            group.create_dataset(name, data=np.concatenate(values), dtype=pieces[0]["frames"][name].dtype)
    _copy_axes(group, pieces[0])


def _copy_axes(group, piece):
    for name in ("radial", "chi", "azimuth"):
        if name in piece["frames"]:
            group[name] = piece["frames"][name][()]


def _write_means(group, pieces, groups, parameters):
    shape = pieces[0]["frames/I"].shape[1:]
    single = parameters["average"] == "all"
    leading = () if single else (len(groups),)
    wanted = {"I": "f4", "I_standard_error": "f4", "frames_used": "i8"}
    if "I_errors" in pieces[0]["frames"]:
        wanted["I_errors"] = "f4"
    for name, kind in wanted.items():
        group.create_dataset(name, leading + shape, kind)
    for number, members in enumerate(groups):
        mean = mean_of(lambda members=members: _rows(pieces, members), shape, parameters["outliers"])
        place = () if single else number
        group["I"][place], group["I_standard_error"][place] = mean.mean(), mean.standard_error()
        group["frames_used"][place] = mean.count
        if "I_errors" in group:
            group["I_errors"][place] = mean.error()
    if "I_errors" not in group:     # the scatter is all that is known of the error
        group["I_errors"] = group["I_standard_error"]
    numbers = np.concatenate([piece["frames/frame"][()] for piece in pieces])
    if not single:
        group["first_frame"] = numbers[[members[0] for members in groups]]
        group["last_frame"] = numbers[[members[-1] for members in groups]]
    _copy_axes(group, pieces[0])


def _blocks(dataset):
    rows = max(1, BLOCK // max(1, 4 * int(np.prod(dataset.shape[1:]))))
    for first in range(0, len(dataset), rows):
        yield dataset[first:first + rows]


def _rows(pieces, members):
    """(intensity, error or None) of the rows numbered so (in their order), from all pieces in blocks."""
    first, last, before = members[0], members[-1] + 1, 0
    for piece in pieces:
        intensity, errors = piece["frames/I"], piece["frames"].get("I_errors")
        begin, end = max(first - before, 0), min(last - before, len(intensity))
        before += len(intensity)
        step = max(1, BLOCK // max(1, 4 * int(np.prod(intensity.shape[1:]))))
        for at in range(begin, end, step):
            values = intensity[at:min(at + step, end)]
            sigmas = errors[at:min(at + step, end)] if errors is not None else [None] * len(values)
            yield from zip(values, sigmas)


def describe(group, parameters, leading, title):
    """Make an NXdata of a group with I, I_errors, radial, chi or azimuth: names, units, titles, how to show it."""
    axis, unit, long_name = AXES[parameters["unit"]]
    group.move("radial", axis)
    group[axis].attrs.update(units=unit, long_name=long_name)
    axes = [axis]
    if "chi" in group:
        group["chi"].attrs.update(units="deg", long_name="Azimuth χ (deg)")
        axes.insert(0, "chi")
    if "azimuth" in group:
        ranges = group["azimuth"][()]
        del group["azimuth"]
        group["sector"] = np.arange(1, len(ranges) + 1)
        group["azimuth_from"], group["azimuth_to"] = ranges[:, 0], ranges[:, 1]
        for name in ("azimuth_from", "azimuth_to"):
            group[name].attrs["units"] = "deg"
        axes.insert(0, "sector")
    if leading:
        axes.insert(0, leading)
        if leading not in group:
            group[leading] = np.arange(len(group["I"]))
    normalised = bool(parameters["monitor"] or parameters["transmission"] or parameters["transmission_data"]
                      or parameters["scale"] != 1)
    group["I"].attrs.update(interpretation="image" if "chi" in group else "spectrum", long_name="Intensity",
                            units="arbitrary" if normalised else "counts")
    linear = "chi" in group or axis in ("two_theta", "r")
    style = {"axes_scale_types": ["linear", "linear" if linear else "log"], "signal_scale_type": "log"}
    group.attrs.update(NX_class="NXdata", signal="I", axes=axes, SILX_style=json.dumps(style))
    for number, name in enumerate(axes):
        group.attrs[name + "_indices"] = number
    group["title"] = title
    if axis == "q" and "chi" not in group:      # the names of NXcanSAS, for programs that look for them
        group["Q"] = group["q"]
        group.attrs.update(canSAS_class="SASdata", I_axes=",".join([*axes[:-1], "Q"]), Q_indices=len(axes) - 1)
        if "I_errors" in group:
            group["Idev"] = group["I_errors"]
            group["I"].attrs["uncertainties"] = "Idev"


def preview(path, reducer, running):
    """The mean so far as a file of its own, complete whenever it is read."""
    with whole_file(path) as part, h5py.File(part, "w") as out:
        out.attrs.update(NX_class="NXroot", default="entry")
        entry = out.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="running")
        group = entry.create_group("running")
        group["I"] = running.mean().astype(np.float32)
        group["I_errors"] = (running.error() if reducer.has_errors else running.standard_error()).astype(np.float32)
        write_axes(group, reducer)
        describe(group, reducer.parameters, None, f"Mean of the first {int(running.count.max())} frames")


def write_axes(group, reducer):
    group["radial"] = reducer.radial
    if reducer.azimuthal is not None:
        group["chi"] = reducer.azimuthal
    if len(reducer.sectors) > 1:
        group["azimuth"] = np.array(reducer.sectors, np.float64)


def entry_name(number):
    return "entry" if number == 1 else f"entry_{number}"
