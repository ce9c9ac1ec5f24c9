"""The curves as text with three columns (radial axis, intensity, error) and a header that says how they came about.

A few are files in the folder ``dat``; many, if they are wanted, are one ``dat.zip``: thousands of small files are what
file systems of facilities bear worst.
"""

from __future__ import annotations

import json
import os
import re
import zipfile

import numpy as np
from beamside_job import text_of, whole_file

FILES_MAXIMUM = 100


def write_curves(out, task):
    """Write the curves of the result ``out`` (h5py.File). Parameter ``dat``: ``auto`` (up to 100 curves), ``yes``,
    ``no``."""
    if task.parameters["dat"] == "no" or task.parameters["integration"] == "2d":
        return
    count = sum(int(np.prod(out[name]["reduced/I"].shape[:-1])) for name in out)
    if count > FILES_MAXIMUM:
        if task.parameters["dat"] == "yes":
            with whole_file("dat.zip") as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in _curves(out, task):
                    archive.writestr(name, text)
        return
    os.makedirs("dat", exist_ok=True)
    for name, text in _curves(out, task):
        with whole_file(os.path.join("dat", name)) as part, open(part, "w", encoding="utf-8") as stream:
            stream.write(text)


def _curves(out, task):
    """(file name, text) of every curve."""
    taken = set()
    for entry in out.values():
        group, process = entry["reduced"], entry["process"]
        axis = group[group.attrs["axes"][-1]]
        path, _, inside = text_of(process["input"][()]).partition("::")
        stem = re.sub(r"[^\w.-]+", "_", os.path.splitext(os.path.basename(path.rstrip("/")))[0]) or "curve"
        while stem in taken:
            stem += "_" + (inside.rpartition("/")[2] or "2")
        taken.add(stem)
        leading = group["I"].shape[:-1]
        for place in np.ndindex(*leading):
            name, about = stem, []
            for number, what in zip(place, group.attrs["axes"]):
                name += "_{}{}".format("" if what == "frame" else what, f"{group[what][number]:05d}"
                                       if what == "frame" else group[what][number])
                about += _about(group, what, number)
            yield name + ".dat", _text(group, place, axis, [*_header(entry, task), *about])


def _about(group, what, number):
    if what == "sector":
        return [f"azimuth: {group['azimuth_from'][number]:g} to {group['azimuth_to'][number]:g} deg"]
    if what == "group":
        return [f"frames: {group['first_frame'][number]} to {group['last_frame'][number]}, averaged"]
    said = [f"frame: {group['frame'][number]}"]
    if "file" in group:
        said.append(f"file: {text_of(group['file'][number])}")
    for name in ("normalization_factor", "monitor", "transmission"):
        if name in group:
            said.append(f"{name}: {group[name][number]:.9g}")
    return said


def _header(entry, task):
    process, parameters = entry["process"], task.parameters
    said = {key: text_of(process[key][()]) for key in ("input", "date", "version", "recipe", "recipe_version", "job_id",
                                                       "geometry", "method") if key in process}
    lines = [f"{text_of(entry['title'][()])}", f"input: {said['input']}", f"date: {said['date']}",
             f"program: pyFAI {said['version']}, method {said['method']}",
             f"recipe: {said['recipe']} {said['recipe_version']}, job {said['job_id']}",
             f"geometry: {said['geometry']}"]
    for key in ("mask", "dark", "flat", "monitor", "transmission", "polarization", "solid_angle", "error_model",
                "background", "background_factor", "average"):
        if parameters[key] is not None:
            lines.append(f"{key}: {parameters[key]}")
    return [*lines, f"parameters: {json.dumps(parameters, sort_keys=True)}"]


def _text(group, place, axis, header):
    columns = [axis[()], group["I"][place]]
    if "I_errors" in group:
        columns.append(group["I_errors"][place])
    rows = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    kept = rows[np.isfinite(rows).all(axis=1)]
    if len(kept) < len(rows):
        header = [*header, f"{len(rows) - len(kept)} of {len(rows)} points hold no pixel and are left out"]
    names = "  ".join([f"{axis.name.rpartition('/')[2]} ({text_of(axis.attrs['units'])})", "I",
                       "error"][:rows.shape[1]])
    lines = "".join(f"# {line}\n".replace("\r", " ") for line in [*header, f"columns: {names}"])
    row = "  ".join(["%.8e"] * rows.shape[1]) + "\n"
    return lines + (row * len(kept)) % tuple(kept.reshape(-1).tolist())
