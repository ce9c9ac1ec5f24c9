#!/usr/bin/env python3
"""Azimuthal integration of detector frames with pyFAI: ``run.py parameters.json``.

Runs inside a batch job, in its folder. Reads the inputs named in parameters.json frame by frame, writes progress.json
while it goes and result.h5 (NeXus) at the end, both renamed into place. A fault is one sentence at the end of
standard error, and exit code 1. Python 3.8, numpy, h5py, pyFAI; nothing of Beamside.
"""

from __future__ import annotations

import datetime
import getpass
import json
import os
import signal
import socket
import sys
import time

PROGRESS_EVERY_S = 1.0
# How many of a unit are one metre: dividing rounds once, so 100 µm is 1e-4 m to the last bit.
PER_METRE = {"m": 1.0, "meter": 1.0, "metre": 1.0, "cm": 1e2, "mm": 1e3, "um": 1e6, "µm": 1e6, "micron": 1e6,
             "microns": 1e6, "nm": 1e9, "pm": 1e12, "a": 1e10, "å": 1e10, "angstrom": 1e10, "angstroms": 1e10}
ENERGY_EV = {"ev": 1.0, "kev": 1e3, "mev": 1e6, "j": 1.0 / 1.602176634e-19}
HC_EV_M = 1.23984198433e-06     # Planck's constant times the speed of light (CODATA 2018, exact)


class Fault(Exception):
    """Something the user can put right, in one sentence."""


def main(argv):
    with open(argv[1], encoding="utf-8") as stream:
        task = json.load(stream)
    job, values = task["job"], task["parameters"]
    started = now()
    sources = [Source(text) for text in task["inputs"]]
    chosen = [select(values.get("frames"), len(source), source.name) for source in sources]
    progress = Progress(sum(len(c) for c in chosen))
    part = ".result.h5.part"
    try:
        with h5py.File(part, "w") as out:
            out.attrs["NX_class"] = "NXroot"
            out.attrs["default"] = "entry"
            for number, (source, frames) in enumerate(zip(sources, chosen), start=1):
                entry = out.create_group("entry" if number == 1 else f"entry_{number}")
                entry.attrs.update(NX_class="NXentry", default="reduced")
                entry["title"] = f"{job['title']} of {source.name}"
                integrator = Integrator(source, values)
                reduced(entry, source, frames, integrator, values, progress)
                provenance(entry, task, source, integrator, started)
        os.replace(part, "result.h5")
    finally:
        if os.path.exists(part):
            os.unlink(part)
    progress.done_all()
    return 0


# -- Frames -----------------------------------------------------------------------------------------------------------

class Source:
    """The frames of one input, ``FILE[::/data/path]``, leading dimensions counted as one."""

    def __init__(self, text):
        self.name = text
        path, separator, inside = text.partition("::/")
        if not os.path.exists(path):
            raise Fault(f"The input {path} is not there.")
        self.file = self.dataset = self.image = None
        if h5py.is_hdf5(path):
            self.file = open_hdf5(path)
            self.dataset = find_data(self.file, "/" + inside if separator else None, path)
            check_parts(self.dataset, path)
            self.leading, self.shape = self.dataset.shape[:-2], self.dataset.shape[-2:]
        else:
            self.image = open_image(path)
            self.leading, self.shape = (self.image.nframes,), tuple(self.image.shape[-2:])

    def __len__(self):
        return int(np.prod(self.leading, dtype=np.int64))

    def frame(self, number):
        """(height, width) float32; pixels that hold no measurement (gaps, bad, not finite) are NaN."""
        try:
            if self.image is not None:
                raw = self.image.getframe(number).data
            else:
                raw = self.dataset[np.unravel_index(number, self.leading) if self.leading else ()]
        except (OSError, RuntimeError) as error:
            said = str(error).strip().splitlines()[0]
            raise Fault(f"Frame {number} of {self.name} cannot be read: {said}") from None
        return without_sentinels(raw)


def without_sentinels(raw):
    values = raw.astype(np.float32)
    if raw.dtype.kind == "u":
        values[raw == np.iinfo(raw.dtype).max] = np.nan
        if raw.dtype.itemsize >= 4:
            values[raw == np.iinfo(raw.dtype).max - 1] = np.nan
    elif raw.dtype.kind == "i":
        values[raw < 0] = np.nan
    return values


def open_hdf5(path):
    try:
        try:
            return h5py.File(path, "r", locking=False)
        except (TypeError, ValueError):     # before h5py 3.5
            return h5py.File(path, "r")
    except OSError as error:
        raise Fault(f"{path} cannot be opened: {str(error).strip()}") from None


def open_image(path):
    try:
        import fabio
        return fabio.open(path)
    except ImportError:
        raise Fault(f"{path} is not HDF5, and fabio, which reads other images, is not installed here.") from None
    except Exception as error:
        raise Fault(f"{path} is neither HDF5 nor an image that fabio reads ({type(error).__name__}).") from None


def find_data(file, data_path, name):
    """The dataset named, or the signal of the group named, or the file's default plot, or its largest stack."""
    node = file
    if data_path is not None:
        try:
            node = file[data_path]
        except (KeyError, OSError):
            raise Fault(f"{name} has no readable node {data_path}.") from None
    found = node if isinstance(node, h5py.Dataset) else next(filter(holds_frames, candidates(node)), None)
    if found is None or not holds_frames(found):
        place = f"{name}::{data_path}" if data_path else name
        raise Fault(f"{place} holds no frames: a numeric dataset of two or more dimensions is needed.")
    return found


def candidates(group):
    """Datasets that may be meant, most likely first; links are followed."""
    yield signal_of(group)
    for data in groups(group, "NXdata", 4):
        yield signal_of(data)
        yield member(data, "data")
    sizes = {}
    for parent in [group, *groups(group, None, 6)]:
        for key in parent:
            node = member(parent, key)
            if holds_frames(node) and key not in ("pixel_mask", "flatfield", "mask"):
                if key.startswith("data_0") and sum(k.startswith("data_0") for k in parent) > 1:
                    raise Fault(f"{group.file.filename} holds its frames in several parts: name one, for example"
                                f" {group.file.filename}::{parent.name}/{key}.")
                sizes.setdefault((len(node.shape) > 2, node.size), node)
    for key in sorted(sizes, reverse=True):
        yield sizes[key]


def holds_frames(node):
    return isinstance(node, h5py.Dataset) and len(node.shape or ()) >= 2 and node.dtype.kind in "iuf"


def member(group, key):
    try:
        return group.get(key)
    except (KeyError, OSError):
        return None


def signal_of(group, depth=0):
    for key in (text(group.attrs.get("signal")), text(group.attrs.get("default"))):
        node = member(group, key) if key else None
        if isinstance(node, h5py.Dataset):
            return node
        if isinstance(node, h5py.Group) and depth < 8:
            return signal_of(node, depth + 1)
    return None


def check_parts(dataset, path):
    """A virtual dataset reads as zeros where a part is missing: refuse that."""
    if not getattr(dataset, "is_virtual", False):
        return
    for part in dataset.virtual_sources():
        place = os.path.join(os.path.dirname(os.path.realpath(dataset.file.filename)), part.file_name)
        if part.file_name != "." and "%" not in part.file_name and not os.path.exists(place):
            raise Fault(f"Frames of {path} are missing: its part {place} is not there.")


def select(chosen, count, name):
    if not chosen:
        return list(range(count))
    numbers = np.arange(count)
    out = []
    for piece in chosen.split(","):
        try:
            if ":" in piece:
                out.extend(numbers[slice(*[int(n) if n.strip() else None for n in piece.split(":")])].tolist())
            else:
                out.append(int(numbers[int(piece)]))
        except (IndexError, ValueError):
            raise Fault(f"The frames “{piece.strip()}” do not fit the {count} frames of {name}.") from None
    if not out:
        raise Fault(f"The frames “{chosen}” select nothing of the {count} frames of {name}.")
    return out


# -- Geometry and mask ------------------------------------------------------------------------------------------------

class Integrator:
    """pyFAI's integrator for one source, with the method, mask and unit that every frame gets."""

    def __init__(self, source, values):
        self.azimuthal = geometry(source, values)
        self.mask = masked(source, values)
        self.keywords = {"npt": values["npt"], "unit": values["unit"], "mask": self.mask, "error_model": "poisson",
                         "method": (values["splitting"], "csr", "cython"),
                         "polarization_factor": values["polarization"]}

    def integrate(self, frame):
        return self.azimuthal.integrate1d_ng(frame, **self.keywords)


def geometry(source, values):
    poni = values["poni"]
    if poni:
        if not os.path.exists(poni):
            raise Fault(f"The PONI file {poni} is not there.")
        try:
            integrator = pyFAI.load(poni)
        except Exception as error:
            raise Fault(f"{poni} is not a PONI file that pyFAI reads ({type(error).__name__}).") from None
        if not integrator.wavelength:
            raise Fault(f"The PONI file {poni} has no wavelength.")
        wanted = integrator.detector.max_shape
        if wanted and tuple(wanted) != source.shape:
            raise Fault(f"The PONI file is for frames of {by(wanted)} pixels, but those of {source.name} have"
                        f" {by(source.shape)}.")
        return integrator
    found = Metadata(source)
    pixel_x = found.get("pixel_x", values["pixel_size"], 1e6)
    pixel_y = found.get("pixel_y", values["pixel_size"], 1e6)
    beam_x = found.centre("beam_x", values["beam_x"], pixel_x)
    beam_y = found.centre("beam_y", values["beam_y"], pixel_y)
    detector = pyFAI.detectors.Detector(pixel_y, pixel_x, max_shape=source.shape)
    return AzimuthalIntegrator(dist=found.get("distance", values["distance"], 1.0), poni1=beam_y * pixel_y,
                               poni2=beam_x * pixel_x, detector=detector,
                               wavelength=found.get("wavelength", values["wavelength"], 1e10))


class Metadata:
    """What the file says of the geometry (NXdetector, NXbeam, NXmonochromator), in metres and pixels."""

    WORDS = {"distance": "the distance (distance)", "pixel_x": "the pixel size (pixel_size)",
             "pixel_y": "the pixel size (pixel_size)", "beam_x": "the beam centre (beam_x)",
             "beam_y": "the beam centre (beam_y)", "wavelength": "the wavelength (wavelength)"}

    def __init__(self, source):
        self.source, self.found, self.centres = source, {}, {}
        if source.file is None:
            return
        entry = ancestor(source, "NXentry") or source.file
        detector = ancestor(source, "NXdetector") or the_detector(entry, source.shape)
        if detector is not None:
            for key, field in (("distance", "distance"), ("pixel_x", "x_pixel_size"), ("pixel_y", "y_pixel_size")):
                self.found[key] = length(detector, field, 1.0)
            for key, field in (("beam_x", "beam_center_x"), ("beam_y", "beam_center_y")):
                self.centres[key] = (scalar(detector, field), unit_of(detector, field))
        self.found["wavelength"] = wavelength(entry)

    def get(self, key, given, per_metre):
        value = given / per_metre if given is not None else self.found.get(key)
        if value is None or not value > 0:
            raise Fault(f"{self.source.name} does not say {self.WORDS[key]}: give a PONI file or set it.")
        return value

    def centre(self, key, given, pixel_m):
        if given is not None:
            return given
        value, unit = self.centres.get(key, (None, ""))
        if value is None:
            raise Fault(f"{self.source.name} does not say {self.WORDS[key]}: give a PONI file or set it.")
        return value / PER_METRE[unit] / pixel_m if unit in PER_METRE else value


def ancestor(source, nx_class):
    """The nearest group above the data with that class, by the path asked for or by the dataset's own."""
    paths = [source.name.partition("::")[2]]
    if source.dataset.file.filename == source.file.filename:
        paths.append(source.dataset.name)
    for path in paths:
        while path and path != "/":
            path = path.rpartition("/")[0]
            group = source.file.get(path or "/")
            if isinstance(group, h5py.Group) and text(group.attrs.get("NX_class")) == nx_class:
                return group
    return only(groups(source.file, nx_class, 1)) if nx_class == "NXentry" else None


def the_detector(entry, shape):
    """The entry's NXdetector: the one that says a distance and holds frames of this shape, else the only one."""
    found = groups(entry, "NXdetector", 4)
    fitting = [d for d in found if "distance" in d and any(
        isinstance(d.get(k), h5py.Dataset) and tuple(d[k].shape or ())[-2:] == shape for k in d)]
    return fitting[0] if fitting else only(found) or only([d for d in found if "distance" in d])


def wavelength(entry):
    for nx_class, fields in (("NXbeam", ("incident_wavelength", "incident_energy")),
                             ("NXmonochromator", ("wavelength", "energy"))):
        for group in groups(entry, nx_class, 4):
            in_metres, energy = length(group, fields[0], 1e10), scalar(group, fields[1])
            if in_metres:
                return in_metres
            if energy:
                unit = unit_of(group, fields[1])
                return HC_EV_M / (energy * ENERGY_EV.get(unit, 1.0 if energy > 500 else 1e3))
    return None


def groups(top, nx_class, depth):
    """Groups below ``top`` with that class (None: with any), ``depth`` levels down; external files are left out."""
    out = []
    for key in top:
        link = top.get(key, getlink=True)
        node = None if isinstance(link, h5py.ExternalLink) else member(top, key)
        if isinstance(node, h5py.Group):
            if nx_class is None or text(node.attrs.get("NX_class")) == nx_class:
                out.append(node)
            if depth > 1:
                out.extend(groups(node, nx_class, depth - 1))
    return out


def only(found):
    return found[0] if len(found) == 1 else None


def scalar(group, field):
    node = group.get(field)
    if not isinstance(node, h5py.Dataset) or not node.size or node.dtype.kind not in "iuf":
        return None
    value = float(np.ravel(node[()])[0])
    return value if np.isfinite(value) else None


def unit_of(group, field):
    return (text(group[field].attrs.get("units")) or "").strip().lower() if field in group else ""


def length(group, field, without_unit):
    value = scalar(group, field)
    return None if value is None else value / PER_METRE.get(unit_of(group, field), without_unit)


def masked(source, values):
    """(height, width) int8, not zero where a pixel is left out in every frame; None: nowhere."""
    mask = None
    if values["mask"]:
        mask = read_mask(values["mask"]) != 0
        if mask.shape != source.shape:
            raise Fault(f"The mask has {by(mask.shape)} pixels, but the frames of {source.name} have"
                        f" {by(source.shape)}.")
    if values["use_pixel_mask"] and source.file is not None:
        entry = ancestor(source, "NXentry") or source.file
        detector = ancestor(source, "NXdetector") or the_detector(entry, source.shape)
        own = detector.get("pixel_mask") if detector is not None else None
        if isinstance(own, h5py.Dataset) and own.shape == source.shape:
            mask = (own[()] != 0) | (mask if mask is not None else False)
    return None if mask is None else mask.astype(np.int8)


def read_mask(name):
    path, separator, inside = name.partition("::/")
    if not os.path.exists(path):
        raise Fault(f"The mask {path} is not there.")
    try:
        if h5py.is_hdf5(path):
            with open_hdf5(path) as file:
                mask = find_data(file, "/" + inside if separator else None, path)[()]
        elif path.endswith(".npy"):
            mask = np.load(path, allow_pickle=False)
        else:
            mask = open_image(path).data
    except (ValueError, OSError):
        raise Fault(f"The mask {path} cannot be read: npy, edf, tif or HDF5 is needed.") from None
    return mask.reshape(mask.shape[-2:]) if mask.ndim > 2 and mask.size == mask.shape[-2] * mask.shape[-1] else mask


# -- Results ----------------------------------------------------------------------------------------------------------

def reduced(entry, source, frames, integrator, values, progress):
    """The NXdata group: I (frame, radial) float32 with I_errors, on the radial axis."""
    group = entry.create_group("reduced")
    axis = "two_theta" if values["unit"] == "2th_deg" else "q"
    shape = (len(frames), values["npt"])
    intensity = group.create_dataset("I", shape, "f4", chunks=(1, values["npt"]))
    errors = group.create_dataset("I_errors", shape, "f4", chunks=(1, values["npt"]))
    radial = None
    for row, number in enumerate(frames):
        result = integrator.integrate(source.frame(number))
        intensity[row], errors[row], radial = result.intensity, result.sigma, result.radial
        progress.step()
    group[axis] = radial
    group[axis].attrs.update(units={"q_nm^-1": "1/nm", "q_A^-1": "1/angstrom", "2th_deg": "deg"}[values["unit"]],
                             long_name={"q_nm^-1": "q (1/nm)", "q_A^-1": "q (1/Å)"}.get(values["unit"], "2θ (deg)"))
    group["frame"] = np.asarray(frames, dtype=np.int64)
    if len(source.leading) > 1:
        group["frame_index"] = np.stack(np.unravel_index(frames, source.leading), axis=1)
    intensity.attrs.update(interpretation="spectrum", long_name="Intensity", units="counts")
    scale = ["linear", "linear" if axis == "two_theta" else "log"]
    group.attrs.update(NX_class="NXdata", signal="I", axes=["frame", axis], frame_indices=0,
                       SILX_style=json.dumps({"axes_scale_types": scale, "signal_scale_type": "log"}))
    group.attrs[axis + "_indices"] = 1
    group["title"] = entry["title"][()]


def provenance(entry, task, source, integrator, started):
    """The NXprocess group: by what, from what, where, by whom and when."""
    job, group = task["job"], entry.create_group("process")
    group.attrs["NX_class"] = "NXprocess"
    group["program"], group["version"], group["date"] = "pyFAI", pyFAI.version, now()
    for key, value in (("recipe", job["recipe"]), ("recipe_version", job["version"]), ("job_id", job["id"]),
                       ("scheduler_id", os.environ.get("SLURM_JOB_ID", "")), ("host", socket.gethostname()),
                       ("user", getpass.getuser()), ("start_time", started), ("end_time", now()),
                       ("input", source.name), ("inputs", json.dumps(task["inputs"])),
                       ("parameters", json.dumps(task["parameters"], sort_keys=True)),
                       ("geometry", json.dumps(dict(integrator.azimuthal.get_config()), default=str))):
        group[key] = value
    if integrator.mask is not None:
        group.create_dataset("mask", data=integrator.mask, compression="gzip", shuffle=True)


class Progress:
    """progress.json, renamed into place, at most once a second and at the end."""

    def __init__(self, total):
        self.done, self.total, self.written = 0, total, 0.0
        self.write()

    def step(self):
        self.done += 1
        if time.monotonic() - self.written >= PROGRESS_EVERY_S:
            self.write()

    def done_all(self):
        self.done = self.total
        self.write()

    def write(self):
        self.written = time.monotonic()
        with open(".progress.part", "w", encoding="utf-8") as stream:
            json.dump({"done": self.done, "total": self.total, "unit": "frames", "time": time.time()}, stream)
        os.replace(".progress.part", "progress.json")


def text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value if isinstance(value, str) else None


def by(shape):
    return " × ".join(str(n) for n in shape)


def now():
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def stop(_number, _frame):
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    try:
        import h5py
        import numpy as np
        import pyFAI
        import pyFAI.detectors
        try:
            from pyFAI.integrator.azimuthal import AzimuthalIntegrator
        except ImportError:     # before pyFAI 2025
            from pyFAI.azimuthalIntegrator import AzimuthalIntegrator
    except ImportError as error:
        sys.exit(f"{error.name} is not installed in this job's Python ({sys.executable}): the environment “saxs” of the"
                 " site's profile has to provide pyFAI.")
    try:
        import hdf5plugin  # noqa: F401  (reads bitshuffle and others)
    except ImportError:
        print("hdf5plugin is not installed here: compressed frames may not be readable.", file=sys.stderr)
    try:
        sys.exit(main(sys.argv))
    except Fault as fault:
        sys.exit(str(fault))
    except MemoryError:
        sys.exit("The job's memory was not enough: ask for more.")
    except OSError as error:
        sys.exit(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
