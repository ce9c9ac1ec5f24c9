#!/usr/bin/env python3
"""The azimuthal integration with pyFAI as a script of its own: the job's numbers, in memory and in result.npz.

Needs pyFAI, h5py, hdf5plugin, fabio. Every frame of every input gives a curve (or a curve per sector, or a cake).
"""
import copy
import glob
import os
import re

import fabio
import h5py
import hdf5plugin  # noqa: F401  (reads compressed frames)
import numpy as np
import pyFAI
from pyFAI.detectors import Detector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

INPUTS = []
PARAMETERS = {}

P = PARAMETERS
METRE = {"m": 1, "cm": 1e2, "mm": 1e3, "um": 1e6, "µm": 1e6, "nm": 1e9, "angstrom": 1e10, "å": 1e10, "a": 1e10}
HC = 1.23984198433e-06      # eV m


def open_frames(name):
    """(number of frames, function that reads one as the file has it, h5py.File or None, data set or files)."""
    if isinstance(name, list):
        return len(name), lambda n: fabio.open(name[n]).data, None, name
    path, _, inside = name.partition("::")
    if os.path.isfile(path) and h5py.is_hdf5(path):
        file = h5py.File(path, "r")
        data = file[inside] if inside else file[stacks(file)[0]]
        while isinstance(data, h5py.Group):
            data = data[data.attrs.get("signal", data.attrs.get("default", "data"))]
        lead = data.shape[:-2]
        return int(np.prod(lead, dtype=int)), lambda n: data[np.unravel_index(n, lead) if lead else ()], file, data
    if path.endswith(".npy"):
        stack = np.load(path).reshape(-1, *np.load(path, mmap_mode="r").shape[-2:])
        return len(stack), lambda n: stack[n], None, stack
    files = [path] if os.path.isfile(path) else glob.glob(os.path.join(path, "*") if os.path.isdir(path) else path)
    files.sort(key=lambda f: [int(p) if p.isdigit() else p for p in re.split("([0-9]+)", f)])
    return len(files), lambda n: fabio.open(files[n]).data, None, files


def stacks(file):
    """Paths of the numeric data sets of two or more dimensions, those of the default plot first, then the largest."""
    found = []

    def note(path, node):
        if isinstance(node, h5py.Dataset) and node.ndim >= 2 and node.dtype.kind in "iuf" and "mask" not in path:
            found.append((path != default, node.ndim < 3, -node.size, path))

    at, default = file, None
    while isinstance(at, h5py.Group) and ("default" in at.attrs or "signal" in at.attrs):
        at = at[at.attrs.get("signal", at.attrs.get("default"))]
        default = at.name.strip("/")
    file.visititems(note)
    return [entry[-1] for entry in sorted(found)]


def number_of(group, *names):
    """The first of the fields that is there: in metres if its unit is a length, in eV if an energy."""
    for name in names:
        if group is not None and name in group:
            unit = group[name].attrs.get("units", "")
            unit = (unit.decode() if isinstance(unit, bytes) else str(unit)).strip().lower()
            value = float(np.ravel(group[name][()])[0])
            if "energy" in name:
                return value * {"kev": 1e3}.get(unit, 1e3 if not unit and value < 500 else 1)
            return value / METRE.get(unit, 1e10 if "wavelength" in name else 1)
    return None


def of_class(file, nx_class):
    """The first group with that NX_class."""
    found = []
    file.visititems(lambda _, node: found.append(node) if isinstance(node, h5py.Group) and np.bytes_(
        node.attrs.get("NX_class", b"")) == nx_class.encode() else None)
    return found[0] if found else None


def header_fields(image):
    """The geometry in the header of a Pilatus' cbf or tif, or of an edf as at the ESRF."""
    header = fabio.open(image).header
    text = "\n".join(f"{key} {value}" for key, value in header.items())
    out = {}
    for name, pattern, key in (
            ("distance", r"Detector_distance\s+(\S+)", "SampleDistance"),
            ("wavelength", r"Wavelength\s+(\S+)", "WaveLength"),
            ("x_pixel_size", r"Pixel_size\s+(\S+)", "PSize_1"),
            ("y_pixel_size", r"Pixel_size\s+\S+\s*m\s*x\s*(\S+)", "PSize_2"),
            ("beam_center_x", r"Beam_xy\s+\(\s*([^,\s]+)", "Center_1"),
            ("beam_center_y", r"Beam_xy[^,]*,\s*([^)\s]+)", "Center_2")):
        said = re.search(pattern, text)
        value = said.group(1) if said else header.get(key)
        out[name] = float(value) / (1e10 if said and name == "wavelength" else 1) if value else None
    return out


def geometry(file, files, shape):
    beam, mono = (of_class(file, "NXbeam"), of_class(file, "NXmonochromator")) if file else (None, None)
    wavelength = P["wavelength"] / 1e10 if P["wavelength"] else HC / (P["energy"] * 1e3) if P["energy"] else None
    given = wavelength if P["energy_here"] else None
    wavelength = wavelength or number_of(beam, "incident_wavelength") or number_of(mono, "wavelength")
    energy = number_of(beam, "incident_energy") or number_of(mono, "energy")
    wavelength = wavelength or (HC / energy if energy else None)
    if P["poni"]:
        ai = pyFAI.load(P["poni"])
        ai.wavelength = given or ai.wavelength or wavelength
        return ai
    nx = of_class(file, "NXdetector") if file else None
    if file is None:
        nx = header_fields(files[0])
        wavelength = wavelength or nx["wavelength"]
        number = lambda fields, *names: fields[names[0]]        # noqa: E731
    else:
        number = number_of
    pixel_y, pixel_x = (P["pixel_size"] / 1e6 if P["pixel_size"] else number(nx, name)
                        for name in ("y_pixel_size", "x_pixel_size"))
    x = P["beam_x"] if P["beam_x"] is not None else number(nx, "beam_center_x")
    y = P["beam_y"] if P["beam_y"] is not None else number(nx, "beam_center_y")
    return AzimuthalIntegrator(dist=P["distance"] or number(nx, "distance", "detector_distance"), poni1=y * pixel_y,
                               poni2=x * pixel_x, detector=Detector(pixel_y, pixel_x, max_shape=shape),
                               wavelength=wavelength)


def counts(raw):
    """float32; NaN where nothing was measured."""
    frame = raw.astype(np.float32)
    if P["sentinels"] and raw.dtype.kind == "u":
        frame[raw >= np.iinfo(raw.dtype).max - (1 if raw.dtype.itemsize >= 4 else 0)] = np.nan
    elif P["sentinels"]:
        frame[~np.isfinite(frame) | ((raw < 0) if raw.dtype.kind == "i" else False)] = np.nan
    if P["dummy"] is not None:
        frame[np.abs(raw - P["dummy"]) <= (P["delta_dummy"] or 0)] = np.nan
    if P["valid_range"]:
        frame[(raw < P["valid_range"][0]) | (raw > P["valid_range"][1])] = np.nan
    return frame


def average(names):
    frames = [counts(read(n)) for many, read, *_ in map(open_frames, names) for n in range(many)]
    return np.mean(frames, axis=0, dtype=np.float64).astype(np.float32)


def per_frame(name, file, many):
    if name == "auto":
        name = of_class(file, "NXmonitor").name
    path, _, inside = name.partition("::")
    node = h5py.File(path)[inside] if inside else file[name]
    if isinstance(node, h5py.Group):
        node = node["data"] if "data" in node else node["integral"]
    return np.broadcast_to(np.ravel(node[()]).astype(np.float64), (many,))


def chosen(text, many):
    def piece(p):
        if ":" not in p:
            return [range(many)[int(p)]]
        return range(many)[slice(*[int(n) if n.strip() else None for n in p.split(":")])]
    return [n for p in text.split(",") for n in piece(p)] if text else list(range(many))


def factors(file, many, frames, monitor, transmission, transmission_data):
    factor = np.ones(many) * (transmission or 1) / P["scale"]
    if transmission_data:
        factor = per_frame(transmission_data, file, many) * (transmission or 1) / P["scale"]
    if monitor:
        values = per_frame(monitor, file, many)
        factor = factor * (values / values[frames].mean() if P["monitor_scale"] == "mean" else values)
    return factor


def reducer(file, files, shape):
    """A function that makes of a frame of counts and its factor: radial axis, intensity, error."""
    ai = geometry(file, files, shape)
    mask = np.zeros(shape, bool)
    if P["mask"]:
        image = open_frames(P["mask"])[1](0)
        mask |= (image != 0) if P["mask_polarity"] == "nonzero" else (image == 0)
    nx = of_class(file, "NXdetector") if file else None
    for own in (nx.get("pixel_mask") if nx is not None else None, ai.detector.mask) if P["use_pixel_mask"] else ():
        if own is not None and own.shape == shape:
            mask |= own[()] != 0
    dark, flat = (average(P[name]) if P[name] else None for name in ("dark", "flat"))
    if dark is not None:
        mask |= ~np.isfinite(dark)
    if flat is not None:
        mask |= ~(flat > 0)
        if P["normalize_flat"]:
            flat = (flat / float(flat[~mask].mean(dtype=np.float64))).astype(np.float32)
    sectors = [tuple(map(float, s.split(":"))) for s in P["azimuth"].split(",")] if P["azimuth"] else [None]
    integrators = [copy.deepcopy(ai) for _ in sectors]
    for one, sector in zip(integrators, sectors):
        if sector and not (sector[0] >= -180 and sector[1] <= 180):
            one.setChiDiscAtZero()
    centre = ai.getFit2D()
    far = [np.hypot(centre["centerX"] - x, centre["centerY"] - y) for x in (0, shape[1]) for y in (0, shape[0])]
    points = [P["npt"] or max(2, int(max(far))), P["npt_azimuth"]][:int(P["integration"][0])]
    keywords = {"unit": P["unit"], "mask": mask.astype(np.int8) if mask.any() else None, "dark": dark, "flat": flat,
                "correctSolidAngle": P["solid_angle"],
                "error_model": None if P["error_model"] == "none" else P["error_model"],
                "polarization_factor": P["polarization"] if P["correct_polarization"] else None,
                "method": (P["splitting"], P["algorithm"], "cython"),
                "radial_range": tuple(P["radial_range"]) if P["radial_range"] else None}

    def reduce(frame, factor):
        out = []
        for one, sector in zip(integrators, sectors):
            integrate = one.integrate1d_ng if len(points) == 1 else one.integrate2d_ng
            r = integrate(frame, *points, azimuth_range=sector, normalization_factor=factor, **keywords)
            nothing, hole = r.count == 0, np.float32(np.nan if P["empty"] is None else P["empty"])
            sigma = np.full(r.intensity.shape, np.nan) if r.sigma is None else r.sigma
            out.append((np.where(nothing, hole, r.intensity), np.where(nothing, hole, sigma)))
        intensity, error = (np.stack(a) if len(out) > 1 else a[0] for a in zip(*out))
        return r.radial, intensity, error

    return reduce


def background(file, reduce):
    found = []
    for name in P["background"]:
        many, read, own, _ = open_frames(name)
        frames = chosen(P["background_frames"], many)
        factor = factors(own, many, frames, P["background_monitor"] or P["monitor"], P["background_transmission"], None)
        found += [reduce(counts(read(n)), factor[n])[1:] for n in frames]
    intensity, error = (np.asarray(a, np.float64) for a in zip(*found))
    return intensity.mean(axis=0), np.sqrt((error ** 2).sum(axis=0)) / len(found)


def means(curves, errors):
    """Means over all frames, or over groups of them, without outliers, and the errors of these means."""
    size = len(curves) if P["average"] == "all" else P["group_size"]
    out = []
    for first in range(0, len(curves), size):
        values, sigmas = curves[first:first + size].astype(np.float64), errors[first:first + size].astype(np.float64)
        good = np.isfinite(values)
        for _ in range(10 if P["outliers"] else 0):
            kept = np.where(good, values, np.nan)
            mean, reach = np.nanmean(kept, axis=0), P["outliers"] * np.nanstd(kept, axis=0, ddof=1)
            reach = np.where((good.sum(axis=0) > 2) & np.isfinite(reach), reach, np.inf) + 1e-12 * np.abs(mean)
            fewer = np.isfinite(values) & (np.abs(values - mean) <= reach)
            if (fewer == good).all():
                break
            good = fewer
        n = good.sum(axis=0)
        mean = np.where(good, values, 0).sum(axis=0) / n
        sigma = np.sqrt(np.where(good, sigmas ** 2, 0).sum(axis=0)) / n
        if P["error_model"] == "none":
            sigma = np.nanstd(np.where(good, values, np.nan), axis=0, ddof=1) / np.sqrt(n)
        out.append((mean.astype(np.float32), sigma.astype(np.float32)))
    return tuple(np.stack(a) if P["average"] == "groups" else a[0] for a in zip(*out))


results = []
np.seterr(invalid="ignore", divide="ignore")
images = len(INPUTS) > 1 and not any(h5py.is_hdf5(name.partition("::")[0]) for name in INPUTS)
for name in [INPUTS] if images else INPUTS:     # single images are one series
    many, read, file, files = open_frames(name)
    frames = chosen(P["frames"], many)
    factor = factors(file, many, frames, P["monitor"], P["transmission"], P["transmission_data"])
    reduce = reducer(file, files, read(frames[0]).shape)
    below = background(file, reduce) if P["background"] else None
    curves = []
    for n in frames:
        radial, intensity, error = reduce(counts(read(n)), factor[n])
        if below is not None:
            intensity = (intensity - P["background_factor"] * below[0]).astype(np.float32)
            error = np.sqrt(error.astype(np.float64) ** 2 + (P["background_factor"] * below[1]) ** 2).astype(np.float32)
        curves.append((intensity, error))
    intensity, error = (np.stack(a) for a in zip(*curves))
    if P["average"] != "none":
        intensity, error = means(intensity, error)
    results.append((radial, intensity, error))
    print(f"{name}: {len(frames)} frames, {P['unit']} from {radial[0]:.5g} to {radial[-1]:.5g}, I: {intensity.shape}")

np.savez("result.npz", **{f"{key}_{number}": values for number, found in enumerate(results, start=1)
                          for key, values in zip(("radial", "I", "I_errors"), found)})
