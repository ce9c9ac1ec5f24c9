#!/usr/bin/env python3
"""The reconstruction as a script of its own: algotom, numpy and h5py (fabio for images), no Beamside.

Reads NXtomo, Data Exchange, a file of frames and folders of images (not BLISS and EDF series); filtered back-projection
only; the scan has to fit into memory. Makes volume.h5 with the slices (z, y, x) in float32, in the unit asked for.
"""

import os
import sys

import h5py
import numba
import numpy as np
from algotom.prep import calculation, conversion, removal
from algotom.rec import reconstruction

INPUTS = []
PARAMETERS = {}
P = PARAMETERS


def images(name):
    """(frames, rows, columns) of a folder or an image, or of FILE::/path."""
    path, _, inside = name.partition("::/")
    if os.path.isfile(path) and h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            if not inside:      # the only, or else the largest stack
                stacks = []
                file.visititems(lambda key, node: stacks.append((node.size, key))
                                if getattr(node, "ndim", 0) > 1 else None)
                inside = max(stacks)[1]
            return np.atleast_3d(file[inside][()]) if file[inside].ndim == 3 else file[inside][()][None]
    import re

    import fabio
    key = lambda f: [int(p) if p.isdigit() else p for p in re.split(r"([0-9]+)", f)]  # noqa: E731
    files = sorted((f for f in os.listdir(path) if f.lower().endswith((".tif", ".tiff", ".edf"))), key=key) \
        if os.path.isdir(path) else [os.path.basename(path)]
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    return np.stack([fabio.open(os.path.join(folder, f)).data for f in files])


def degrees(node):
    """A data set of angles in degrees."""
    unit = node.attrs.get("units", b"")
    unit = unit.decode() if isinstance(unit, bytes) else unit
    radians = unit.startswith("rad") or (not unit and 3.0 < np.ptp(node[()]) < 6.5)
    return np.degrees(node[()]) if radians else np.array(node[()], float)


def number(group, key, scales, otherwise):
    """A number in SI (or keV), by its unit."""
    if key not in group:
        return None
    unit = group[key].attrs.get("units", "")
    unit = (unit.decode() if isinstance(unit, bytes) else unit).lower()
    return float(np.ravel(group[key][()])[0]) * scales.get(unit, otherwise)


METRES = {"m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "nm": 1e-9}
KEV = {"ev": 1e-3, "kev": 1.0}


def read(name):
    """Frames of the scan by kind, and what the file says of the beam."""
    path, _, inside = name.partition("::/")
    scan = {"angles": None, "flats": [], "darks": [], "pixel": None, "energy": None, "distance": None, "view": ""}
    if os.path.isfile(path) and h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            if "exchange" in file:
                exchange = file["exchange"]
                scan.update(projections=exchange["data"][()], flats=[(0.0, exchange["data_white"][()])],
                            darks=[exchange["data_dark"][()]], angles=degrees(exchange["theta"]))
                scan["positions"] = np.arange(len(scan["projections"]), dtype=float)
                return scan
            keyed = []
            file.visititems(lambda key, node: keyed.append(node) if isinstance(node, h5py.Group) and "data" in node
                            and ("image_key" in node or "image_key_control" in node) else None)
            keyed = [g for g in keyed if inside.startswith(g.name.strip("/").split("/")[0])] or keyed
            keyed.sort(key=lambda g: "x_pixel_size" not in g)       # the detector itself knows more than NXdata
            if keyed:
                return nxtomo(file, keyed[0], scan)
    scan["projections"] = images(name)
    scan["positions"] = np.arange(len(scan["projections"]), dtype=float)
    return scan


def nxtomo(file, detector, scan):
    entry = file[detector.name.strip("/").split("/")[0]]
    frames = detector["data"][()]
    keys = detector["image_key_control" if "image_key_control" in detector else "image_key"][()].astype(int)
    turns = np.cumsum(keys == 0)            # flats before and after the projections are sets of their own
    for kind, out in ((1, scan["flats"]), (2, scan["darks"])):
        for turn in sorted(set(turns[keys == kind])):
            chosen = np.flatnonzero((keys == kind) & (turns == turn))
            out.append((float(chosen.mean()), frames[chosen]) if kind == 1 else frames[chosen])
    numbers = np.flatnonzero(keys == 0)
    angles = degrees(entry["sample/rotation_angle"])
    scan.update(projections=frames[numbers], positions=numbers.astype(float),
                angles=angles[numbers] if len(angles) == len(keys) else angles)
    scan["pixel"] = number(detector, "x_pixel_size", METRES, 1.0)
    scan["distance"] = number(detector, "distance", METRES, 1.0)
    for place in ("instrument/beam", "beam"):
        if place in entry and "incident_energy" in entry[place]:
            scan["energy"] = number(entry[place], "incident_energy", KEV, 1.0)
    view = detector["field_of_view"][()] if "field_of_view" in detector else b""
    scan["view"] = (view.decode() if isinstance(view, bytes) else str(view)).lower()
    return scan


def part(text, count):
    first, _, last = (text or ":").partition(":")
    chosen = range(count)[slice(int(first) if first.strip() else None, int(last) if last.strip() else None)]
    return chosen[0], chosen[-1] + 1


def transmission(scan):
    """(angles, rows, columns) float32 of the part that is reconstructed, ascending in angle; and the angles."""
    if P["flats"]:
        scan["flats"] = [(0.0, images(P["flats"]))]
    if P["darks"]:
        scan["darks"] = [images(P["darks"])]
    raw, count = scan["projections"], len(scan["projections"])
    if P["angles_file"]:
        with open(P["angles_file"]) as stream:
            lines = [line.split("#")[0].replace(",", " ").split() for line in stream]
        scan["angles"] = np.array([float(words[-1]) for words in lines if words])
    elif P["angle_stop"] is not None:
        scan["angles"] = np.linspace(P["angle_start"] or 0.0, P["angle_stop"], count, endpoint=P["angle_stop_included"])
    angles = scan["angles"] * (-1 if P["rotation"] == "reversed" else 1)
    order = np.flatnonzero(np.isfinite(angles))
    order = order[np.argsort(angles[order], kind="stable")]
    average = lambda frames: (np.median if P["average"] == "median" and len(frames) > 2 else np.mean)(  # noqa: E731
        frames, axis=0).astype(np.float32)
    dark = np.zeros(raw.shape[1:], np.float32)
    if P["correction"] == "flats and darks" and scan["darks"]:
        dark = np.mean([average(f) for f in scan["darks"]], axis=0, dtype=np.float32)
    flats, places = np.zeros(1), np.zeros(1)
    if P["correction"].startswith("flats"):
        if not scan["flats"] or not (scan["darks"] or P["correction"] == "flats only"):
            sys.exit("This script found no flats and darks: name them in PARAMETERS.")
        places = np.array([place for place, _ in scan["flats"]])
        flats = np.stack([average(frames) for _, frames in scan["flats"]])
        if not P["interpolate_flats"]:
            flats, places = flats.mean(axis=0, keepdims=True), places[:1]
    bins = P["binning"]
    (first_row, last_row), (first, last) = part(P["rows"], raw.shape[1]), part(P["columns"], raw.shape[2])
    row0, column0 = first_row % bins, first % bins
    rows, columns = (raw.shape[1] - row0) // bins, (raw.shape[2] - column0) // bins
    out = []
    for index in order:
        frame = raw[index].astype(np.float32)
        if P["correction"] == "attenuation":
            frame = np.exp(-frame)
        elif P["correction"].startswith("flats"):
            after = int(np.searchsorted(places, scan["positions"][index]))
            if len(places) == 1 or after in (0, len(places)):
                light = flats[0 if len(places) == 1 or after == 0 else -1] - dark
            else:
                left, right = places[after - 1:after + 1]
                weight = np.float32((scan["positions"][index] - left) / (right - left))
                light = flats[after - 1] * (1 - weight) + flats[after] * weight - dark
            with np.errstate(divide="ignore", invalid="ignore"):
                frame = np.where(light > 0, (frame - dark) / light, np.float32(1))
        frame = np.maximum(np.where(np.isfinite(frame), frame, np.float32(1)), np.float32(1e-4))
        if P["zinger_threshold"]:
            size = P["zinger_size"]
            frame = removal.remove_zinger(np.pad(frame, size, mode="edge"), P["zinger_threshold"], size=size)
            frame = frame[size:-size, size:-size]
        frame = frame[row0:row0 + rows * bins, column0:column0 + columns * bins].astype(np.float32)
        frame = frame.reshape(rows, bins, columns, bins).mean(axis=(1, 3), dtype=np.float32)
        if P["phase"] == "paganin":
            frame = np.maximum(paganin(frame, scan), np.float32(1e-4))
        out.append(frame[first_row // bins:first_row // bins + (last_row - first_row) // bins,
                         first // bins:first // bins + (last - first) // bins])
    return np.stack(out, axis=1), angles[order], first, column0


def paganin(frame, scan):
    energy, distance = P["energy"] or scan["energy"], P["distance"] or scan["distance"]
    pixel = (P["pixel_size"] * 1e-6 if P["pixel_size"] else scan["pixel"]) * P["binning"]
    length = np.sqrt(1.23984198433e-09 / energy * distance * P["delta_beta"] / (4 * np.pi)) / pixel
    pad = int(min(np.ceil(14 * length), max(frame.shape))) + 64
    padded = np.pad(frame, pad, mode="edge")
    v, u = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None, :]
    out = np.fft.irfft2(np.fft.rfft2(padded) / (1 + 4 * np.pi**2 * length**2 * (v**2 + u**2)), s=padded.shape)
    return out[pad:pad + frame.shape[0], pad:pad + frame.shape[1]].astype(np.float32)


def shift_between(a, b, near, reach):
    """The shift along the columns that maps b on a, where their overlap differs least."""
    columns = a.shape[1]
    shifts = np.arange(int(np.floor(near - reach)), int(np.ceil(near + reach)) + 1)
    shifts = shifts[np.abs(shifts) < columns - 8]
    differ = []
    for s in shifts:
        left, right = a[:, max(0, s):columns + min(0, s)], b[:, max(0, -s):columns + min(0, -s)]
        differ.append(np.var(left - right) / (np.var(left) + np.var(right) + 1e-12))
    best = int(np.argmin(differ))
    if not 0 < best < len(shifts) - 1:
        return float(shifts[best])
    before, least, after = differ[best - 1:best + 2]
    return float(shifts[best] + 0.5 * (before - after) / (before - 2 * least + after))


def find_centre(projections, angles, row):
    """Vo's method, refined by projections half a turn apart, whose shift is extrapolated if there is no exact pair."""
    columns, step = projections.shape[2], float(np.median(np.diff(angles)))
    middle, reach = (columns - 1) / 2, P["centre_range"] / P["binning"] if P["centre_range"] else columns / 8
    half = -np.log(projections[row][angles <= angles[0] + 180 + 1e-6 * step])
    partner = np.array([int(np.argmin(np.abs(angles - a - 180))) for a in angles])
    errors = angles[partner] - angles - 180
    pairs = [i for i in np.argsort(np.abs(errors), kind="stable") if abs(errors[i]) < 3.5 * step]
    accuracy = 0.5 if pairs and P["centre_method"] == "auto" else 0.1
    low, high = max(2, int(middle - reach)), min(columns - 3, int(np.ceil(middle + reach)))
    vo = middle if P["centre_method"] == "half-turn pairs" else float(calculation.find_center_vo(
        half, start=low, stop=high, step=accuracy, ncore=1))
    near = reach if P["centre_method"] == "half-turn pairs" else max(4.0, 0.01 * columns)
    if P["centre_method"] == "vo" or not pairs:
        return vo
    rows = projections.shape[0]
    low, high = max(0, rows // 2 - 256), min(rows, rows // 2 + 256)

    def pair(i):
        a, b = -np.log(projections[low:high, i]), -np.log(projections[low:high, partner[i]])[:, ::-1]
        return middle + shift_between(a, b, 2 * (vo - middle), 2 * near) / 2

    exact = [i for i in pairs if abs(errors[i]) < 0.05 * step][:5]
    centre = np.median([pair(i) for i in exact]) if exact else pair(pairs[0])
    further = [i for i in pairs if abs(errors[i]) > abs(errors[pairs[0]]) + 0.5 * step]
    if not exact and further:
        same = [i for i in further if abs(errors[i]) < abs(errors[further[0]]) + 0.1 * step][:2]
        other = np.mean([pair(i) for i in same])
        centre -= (other - centre) * errors[pairs[0]] / (errors[further[0]] - errors[pairs[0]])
    return float(centre) if P["centre_method"] != "auto" or abs(centre - vo) < near - 1 else vo


def between(sinogram, angles, wanted):
    after = np.clip(np.searchsorted(angles, wanted - 1e-9), 1, len(angles) - 1)
    weight = np.clip((wanted - angles[after - 1]) / (angles[after] - angles[after - 1]), 0, 1)
    weight = weight.astype(np.float32)[:, None]
    weight = np.where(np.abs(weight - np.round(weight)) < 1e-6, np.round(weight), weight)
    return sinogram[after - 1] * (1 - weight) + sinogram[after] * weight


def full_turn(sinogram, angles):
    """Closed over 360° in even steps, for half acquisition."""
    step = 360.0 / round(360.0 / float(np.median(np.diff(angles))))
    turn = angles - angles[0]
    keep = turn < 360.0 - 0.5 * step
    closed = np.vstack([sinogram[keep], sinogram[keep][:1]])
    return between(closed, np.append(turn[keep], 360.0), np.linspace(0, 360, 2 * round(180.0 / step) + 1))


def without_rings(sinogram):
    size, sigma, snr, large = P["ring_size"], P["ring_sigma"], P["ring_snr"], P["ring_large_size"]
    out = {"none": lambda s: s,
           "sorting": lambda s: removal.remove_stripe_based_sorting(s, size),
           "filtering": lambda s: removal.remove_stripe_based_filtering(s, sigma or 3, size),
           "fitting": lambda s: removal.remove_stripe_based_fitting(s, P["ring_order"], sigma or 10),
           "large": lambda s: removal.remove_large_stripe(s, snr, large),
           "dead": lambda s: removal.remove_dead_stripe(s, snr, large),
           "all": lambda s: removal.remove_all_stripe(s, snr, large, size)}[P["rings"]](sinogram)
    return -np.log(np.maximum(out.astype(np.float32), np.float32(1e-6)))


def weights(radians):
    """What part of half a turn each projection stands for; they sum to π."""
    folded = np.mod(radians, np.pi)
    folded[np.pi - folded < 1e-7] = 0.0
    order = np.argsort(folded, kind="stable")
    gaps = np.diff(np.append(folded[order], folded[order[0]] + np.pi))
    out = np.empty(len(radians))
    out[order] = (gaps + np.roll(gaps, 1)) / 2
    return np.minimum(out, 5 * np.pi / len(radians)).astype(np.float32)


def reconstruct(sinogram, angles, centre, half):
    """One slice, attenuation per pixel."""
    radians = np.radians(angles)
    if half:
        sinogram, centre = conversion.convert_sinogram_360_to_180(full_turn(sinogram, angles), centre, norm=False)
        sinogram = sinogram.astype(np.float32)
        radians = np.linspace(0.0, np.pi, len(sinogram)) + radians[0]
    window = None if P["filter"] == "ramp" else P["filter"]
    # algotom counts every angle alike, in steps of π / (n - 1): the weights put that right
    even = sinogram * (weights(radians) * np.float32((len(sinogram) - 1) / np.pi))[:, None]
    if P["method"] in ("fbp", "fbp-gpu"):
        return reconstruction.fbp_reconstruction(even, centre, angles=radians, ratio=None, filter_name=window,
                                                 pad=sinogram.shape[1] // 2, apply_log=False,
                                                 gpu=P["method"] == "fbp-gpu", ncore=1)
    sys.exit(f"This script has fbp only, not {P['method']}: see algotom.rec.reconstruction for it.")


numba.set_num_threads(1)        # algotom 1.7 loses sums where several threads add to one pixel
scan = read(INPUTS[0])
projections, angles, first, column0 = transmission(scan)        # (rows, angles, columns) from here on
bins = P["binning"]
view = scan["view"] if P["field_of_view"] == "auto" else P["field_of_view"]
half = view == "half" and np.ptp(angles) >= 350
first_row = part(P["rows"], scan["projections"].shape[1])[0]
row = len(projections) // 2
if P["centre_row"] is not None:
    row = (P["centre_row"] - first_row % bins) // bins - first_row // bins
if P["centre"] is not None:
    centre = (P["centre"] - column0 + 0.5) / bins - 0.5 - first // bins
elif half:
    turn = full_turn(-np.log(projections[row]), angles)
    n = len(turn) // 2
    centre = (turn.shape[1] - 1) / 2 + shift_between(turn[:n], turn[n:2 * n, ::-1], 0.0, turn.shape[1]) / 2
else:
    centre = find_centre(projections, angles, row)
pixel = P["pixel_size"] * 1e-6 if P["pixel_size"] else scan["pixel"]
unit = P["value_unit"] if P["value_unit"] != "auto" else "1/cm" if pixel else "1/pixel"
scale = 1.0 if unit == "1/pixel" else {"1/m": 1.0, "1/cm": 1e-2, "1/mm": 1e-3}[unit] / (pixel * bins)
slices = []
for sinogram in projections:
    image = reconstruct(without_rings(sinogram), angles, centre, half) * np.float32(scale)
    size = image.shape[0]
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    slices.append(np.where((y**2 + x**2 <= (size / 2)**2) | (not P["circle"]), image, 0).astype(np.float32))
print(f"Centre of rotation: column {(centre + first // bins + 0.5) * bins - 0.5 + column0:.2f}.")
with h5py.File("volume.h5", "w") as out:
    out.attrs["default"] = "entry"
    entry = out.create_group("entry")
    entry.attrs.update(NX_class="NXentry", default="volume")
    group = entry.create_group("volume")
    group.attrs.update(NX_class="NXdata", signal="data", axes=["z", ".", "."])
    group.create_dataset("data", data=np.stack(slices), chunks=(1,) + slices[0].shape)
    group["data"].attrs["units"] = unit
    group["z"] = np.arange(len(slices))
