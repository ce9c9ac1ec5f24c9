"""One slice, answered in seconds: flats and darks, the axis and the slice's sinogram are kept between questions.

`trial` is called by `beamside_trial` for each question. What is kept depends on the parameters that it is made with, so
that a question which changes only the ring removal, the filter or the centre reads nothing again. Python 3.8.
"""

from __future__ import annotations

import json

import numpy as np
import tomo_methods
import tomo_prepared
from beamside_job import now
from tomo_fields import Fields
from tomo_prepared import chosen_row, provenance
from tomo_volume import Axes, sweep_offsets, write_sweep

FIELDS = ("flats", "darks", "correction", "average", "interpolate_flats", "angles_file", "angle_start", "angle_stop",
          "angle_stop_included", "rotation", "energy", "distance", "pixel_size")
PROJECTIONS = (*FIELDS, "rows", "columns", "binning", "zinger_threshold", "zinger_size", "phase", "delta_beta")
CENTRE = (*PROJECTIONS, "field_of_view", "centre_method", "centre_row", "centre_range")
_KEPT = {}

tomo_methods.warm_up()      # at import: the trial says that it is ready when it is


def trial(task):
    """Write the slice (or the sweep of centres) that the question asks for; its path in the answer."""
    started, values, name = now(), task.parameters, task.inputs[0]
    tomo_methods.check_method(values)
    scan, fields = _kept("fields", (name, values, FIELDS), lambda: _opened(name, values))
    prepared = tomo_prepared.Prepared(scan, fields, values)
    if values.get("centre") is not None:
        prepared.find_centre(task.cpus)
    else:
        prepared.centre = _kept("centre", (name, values, CENTRE), lambda: prepared.find_centre(task.cpus))
        prepared.found = True
    row = chosen_row(prepared, values.get("slice"))
    transmission = _kept("sinogram", (name, dict(values, row=row), (*PROJECTIONS, "row")),
                         lambda: prepared.projections.sinograms(row, row + 1)[0])
    offsets = sweep_offsets(values)
    if len(offsets):
        entry, path = write_sweep(task.answer, "slice", prepared, row, transmission, offsets)
    else:
        slices = prepared.slices()
        entry, path = _one(task.answer, prepared, row, slices.reconstruct(transmission), Axes(prepared, slices))
    provenance(entry, task, prepared, started)
    return path


def _opened(name, values):
    scan = tomo_prepared.opened(name, values)
    tomo_prepared.Prepared(scan, Fields("transmission"), values)     # what is wrong is told before frames are read
    return scan, Fields.of(scan, values)


def _kept(what, made_of, make):
    name, values, keys = made_of
    key = json.dumps([name, {k: values.get(k) for k in keys}], sort_keys=True)
    if _KEPT.get(what, ("",))[0] != key:
        _KEPT.pop(what, None)       # its memory is needed for the new one
        _KEPT[what] = (key, make())
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
