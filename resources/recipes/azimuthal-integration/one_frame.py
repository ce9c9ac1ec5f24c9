"""One frame, while the parameters are tuned: what a question needs and did not change is kept since the one before."""

from __future__ import annotations

import numpy as np
import pyFAI
from beamside_job import Fault, changed, now, select_frames, sources, write_provenance
from reduction import Reducer
from results import describe, write_axes

_KEPT = {}      # the latest reducer and frame, each with what it was made for


def answer(task):
    """Reduce frame ``trial_frame`` of the first input into ``task.answer``; the path of its NXdata."""
    started, parameters = now(), task.parameters
    source = _kept("source", tuple(task.inputs), lambda: sources(task.inputs)[0])
    number = parameters["trial_frame"] or 0
    if not 0 <= number < len(source):
        raise Fault(f"There is no frame {number}: {source.name} has {len(source)}, counted from 0.")
    chosen = select_frames(parameters["frames"], len(source), source.name)
    wanted = {key: value for key, value in parameters.items() if key != "trial_frame"}
    files = [parameters["poni"], parameters["mask"]]
    for name in ("dark", "flat", "background"):
        files += parameters[name] or []
    made_for = (source, repr(sorted(wanted.items())), [changed(file) for file in files if file])
    reducer = _kept("reducer", made_for, lambda: Reducer(source, parameters, chosen))
    raw = _kept("raw", (source, number), lambda: source.raw(number))
    factor = reducer.factor[number]
    if not (np.isfinite(factor) and factor > 0):
        raise Fault(f"Frame {number} cannot be normalised: it would be divided by {factor:g}.")
    intensity, error = reducer.reduce(reducer.corrections.valid(raw), factor)
    entry = task.answer.create_group("entry")
    task.answer.attrs["default"] = "entry"
    entry.attrs.update(NX_class="NXentry", default="reduced")
    group = entry.create_group("reduced")
    group["I"] = intensity
    if error is not None:
        group["I_errors"] = error
    group["normalization_factor"] = factor
    write_axes(group, reducer)
    describe(group, parameters, None, f"Frame {number} of {source.name}")
    write_provenance(entry, task, "pyFAI", pyFAI.version, started, input=source.name, frame=number,
                     method=reducer.method)
    return "/entry/reduced"


def _kept(what, made_for, make):
    if _KEPT.get(what, (None,))[0] != made_for:
        _KEPT[what] = (made_for, make())
    return _KEPT[what][1]
