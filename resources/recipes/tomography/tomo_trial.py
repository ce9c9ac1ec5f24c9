"""One slice, answered in seconds: what was read and found is kept between questions.

Only the rows that the slice depends on are read of projections, flats and darks, and all in one go with those that the
axis is looked for in; rows which share chunks with them are kept, too, so that a neighbour slice is not read again.
`trial` is called by `beamside_trial` for each question. What is kept depends on the parameters that it is made with, so
that a question which changes only the ring removal, the filter or the centre reads nothing again. Python 3.8.
"""

from __future__ import annotations

import json

import numpy as np
import tomo_centre
import tomo_methods
import tomo_prepared
from beamside_job import changed, now
from tomo_fields import Fields, FieldsAsNeeded
from tomo_prepared import chosen_row, provenance
from tomo_rows import memory_bytes
from tomo_volume import Axes, sweep_offsets, write_sweep

FIELDS = ("flats", "darks", "correction", "average", "interpolate_flats")
SCAN = (*FIELDS, "angles_file", "angle_start", "angle_stop", "angle_stop_included", "rotation", "energy", "distance",
        "pixel_size")
PROJECTIONS = (*SCAN, "rows", "columns", "binning", "zinger_threshold", "zinger_size", "phase", "delta_beta")
CENTRE = (*PROJECTIONS, "field_of_view", "centre_method", "centre_row", "centre_range")
MEMORY_SHARE = 0.35     # of the job's memory for rows that are kept
_KEPT = {}

tomo_methods.warm_up()      # at import: the trial says that it is ready when it is


def trial(task):
    """Write the slice (or the sweep of centres) that the question asks for; its path in the answer."""
    started, values, name = now(), task.parameters, task.inputs[0]
    tomo_methods.check_method(values)
    scan = _scan(name, values)
    fields = _kept("fields", (name, values, FIELDS), lambda: FieldsAsNeeded(scan, values))
    prepared = tomo_prepared.Prepared(scan, fields, values)
    row = chosen_row(prepared, values.get("slice"))
    _read(prepared, name, row, task.cpus)
    if values.get("centre") is not None:
        prepared.find_centre(task.cpus)
    else:
        prepared.centre = _kept("centre", (name, values, CENTRE), lambda: prepared.find_centre(task.cpus))
        prepared.found = True
    transmission = _kept("sinogram", _for_slice(name, values, row),
                         lambda: prepared.projections.sinograms(row, row + 1)[0])
    offsets = sweep_offsets(values)
    if len(offsets):
        entry, path = write_sweep(task.answer, "slice", prepared, row, transmission, offsets)
    else:
        slices = prepared.slices()
        entry, path = _one(task.answer, prepared, row, slices.reconstruct(transmission), Axes(prepared, slices))
    provenance(entry, task, prepared, started)
    return path


def _scan(name, values):
    """The scan with the parameters' angles and numbers; frames that are in memory stay there."""
    before = _KEPT.get("scan", (None, None))[1]

    def opened():
        scan = tomo_prepared.opened(name, values)
        tomo_prepared.Prepared(scan, Fields("transmission"), values)     # what is wrong is told before frames are read
        if before is not None:
            scan.projections.take_over(before.projections)
        return scan
    return _kept("scan", (name, values, SCAN), opened)


def _read(prepared, name, row, cpus):
    """Read what the question needs of the projections and is not there yet, in one go."""
    values, projections, spans = prepared.values, prepared.projections, []
    if not _is_kept("sinogram", _for_slice(name, values, row)):
        spans.append(projections.needed(row, row + 1))
    if values.get("centre") is None and not _is_kept("centre", (name, values, CENTRE)) \
            and (values.get("centre_method") != "half-turn pairs" or prepared.half):
        middle = tomo_centre.row_of(prepared.grid, values)
        spans.append(projections.needed(middle, middle + 1))
    if spans:
        prepared.scan.projections.hold(spans, int(MEMORY_SHARE * memory_bytes(cpus)))


def _for_slice(name, values, row):
    return name, dict(values, row=row), (*PROJECTIONS, "row")


def _is_kept(what, made_of):
    return _KEPT.get(what, ("",))[0] == _key(made_of)


def _key(made_of):
    name, values, keys = made_of
    if keys != SCAN and values.get("phase") != "paganin":       # what only phase retrieval looks at
        keys = [key for key in keys if key not in ("energy", "distance", "pixel_size", "delta_beta")]
    written = changed(values["angles_file"]) if values.get("angles_file") else None
    return json.dumps([name, {k: values.get(k) for k in keys}, "angles_file" in keys and written], sort_keys=True)


def _kept(what, made_of, make):
    if not _is_kept(what, made_of):
        _KEPT.pop(what, None)       # its memory is needed for the new one
        _KEPT[what] = (_key(made_of), make())
    return _KEPT[what][1]


def _one(file, prepared, row, image, axes):
    file.attrs["default"] = "entry"
    entry = file.create_group("entry")
    entry.attrs["NX_class"], entry.attrs["default"] = "NXentry", "slice"
    group = entry.create_group("slice")
    title = f"Row {prepared.grid.detector_row(row)}, centre {prepared.centre:.2f}"
    entry["title"] = group["title"] = title
    data = group.create_dataset("data", data=np.asarray(image, np.float32))
    data.attrs.update(units=prepared.unit, long_name=f"Attenuation ({prepared.unit})", interpretation="image")
    group.attrs.update(NX_class="NXdata", signal="data", y_indices=0, x_indices=1)
    if prepared.found:
        group.attrs["beamside_offer"] = json.dumps({"parameter": "centre", "value": round(prepared.centre, 4)})
    group.attrs["axes"] = ["y", "x"]
    for key in ("y", "x"):
        group[key] = axes.x
        group[key].attrs.update(units=axes.unit, long_name=f"{key} ({axes.long})")
    return entry, "/entry/slice"
