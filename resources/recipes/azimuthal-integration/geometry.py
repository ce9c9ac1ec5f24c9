"""Where the detector is: from a PONI file, else from parameters, else from what the input's file says of itself."""

from __future__ import annotations

import copy
import os
import re

import pyFAI
import pyFAI.detectors
from beamside_job import Fault, ancestor, changed, length, scalar, the_detector, unit_of, wavelength
from beamside_metadata import HC_EV_M, PER_METRE

try:
    from pyFAI.integrator.azimuthal import AzimuthalIntegrator
except ImportError:     # before pyFAI 2025
    from pyFAI.azimuthalIntegrator import AzimuthalIntegrator

WORDS = {"distance": "the distance (distance)", "pixel_x": "the pixel size (pixel_size)",
         "pixel_y": "the pixel size (pixel_size)", "beam_x": "the beam centre (beam_x)",
         "beam_y": "the beam centre (beam_y)"}


FARTHEST = 100.0        # metres, as in recipe.toml: detectors that write mm without saying so are farther

_KEPT = {}      # the integrators of the latest geometry, by their place, and its key


class Geometry:
    """The geometry of one source.

    Attributes:
        key: what pyFAI's integrator is made from: hashable, equal for equal geometries.
        wavelength (float or None): in metres; ``None`` where nobody says it and the unit does not need it.
    """

    def __init__(self, source, parameters):
        self.source, self.parameters = source, parameters
        poni = parameters["poni"]
        of_poni, given = _wavelength_of_poni(poni) if poni else None, self._given()
        found = said_by(source) if not of_poni else {}
        if given and parameters.get("energy_here"):
            of_poni = None
        self.wavelength = of_poni or given or found.get("wavelength")
        if not self.wavelength and parameters["unit"].startswith("q"):
            place = f"The PONI file {poni}" if poni else source.name
            here = " and “Energy from here” (energy_here)" if poni else ""
            raise Fault(f"{place} does not say the wavelength or energy: set one of them{here}, or choose the unit 2θ"
                        " or r.")
        if poni:
            wanted = _load(poni, changed(poni), None).detector.shape
            if wanted and tuple(wanted) != tuple(source.shape):
                raise Fault(f"The PONI file is for frames of {_by(wanted)} pixels, but those of {source.name} have"
                            f" {_by(source.shape)}.")
            self.key = ("poni", poni, changed(poni), self.wavelength)
            return
        missing = sorted({WORDS[name] for name, given in (
            ("pixel_x", "pixel_size"), ("pixel_y", "pixel_size"), ("beam_x", "beam_x"), ("beam_y", "beam_y"),
            ("distance", "distance")) if parameters[given] is None and not _said(found.get(name))})
        if missing:
            raise Fault(f"{source.name} does not say {' and '.join(missing)}: give a PONI file or set it.")
        pixel_x, pixel_y = (self._value(found, name, parameters["pixel_size"], 1e6) for name in ("pixel_x", "pixel_y"))
        beam_x, beam_y = (self._centre(found, "beam_x", pixel_x), self._centre(found, "beam_y", pixel_y))
        distance = self._value(found, "distance", parameters["distance"], 1.0)
        if distance > FARTHEST:
            raise Fault(f"{source.name} says a distance of {distance:g} m, which may lack its unit: set the distance"
                        " (distance) or give a PONI file.")
        self.key = ("numbers", distance, beam_y * pixel_y, beam_x * pixel_x, pixel_y, pixel_x, tuple(source.shape),
                    self.wavelength)

    def integrator(self, sector=None, place=0):
        """pyFAI's integrator, ready for a ``sector`` (from, to in degrees). It keeps the matrix of what it did last, so
        each sector of a frame has one of its own, by its ``place`` among them; they share the arrays of the geometry.

        Raises:
            Fault: the sector crosses both 0° and 180°, where pyFAI's angles may jump.
        """
        if _KEPT.get("key") != self.key:    # one of nine million pixels holds several 100 MB: one geometry is kept
            _KEPT.clear()
            _KEPT.update({"key": self.key, 0: _made(self.key)})
        if place not in _KEPT:
            _KEPT[place] = copy.copy(_KEPT[0])
        made = _KEPT[place]
        if sector is None or (sector[0] >= -180 and sector[1] <= 180):
            made.setChiDiscAtPi()
        elif (sector[0] >= 0 and sector[1] <= 360) or (sector[0] >= -360 and sector[1] <= 0):
            made.setChiDiscAtZero()
        else:
            raise Fault("The azimuthal range {:g}:{:g} crosses both 0° and 180°: divide it into two.".format(*sector))
        return made

    def points(self):
        """As many as there are pixels from the beam to the farthest corner: neither gaps nor detail lost."""
        made = self.integrator()
        shape = self.source.shape
        y = made.poni1 / made.detector.pixel1
        x = made.poni2 / made.detector.pixel2
        if made.rot1 or made.rot2:
            fit = made.getFit2D()
            x, y = fit["centerX"], fit["centerY"]
        farthest = max(((x - cx) ** 2 + (y - cy) ** 2) ** 0.5 for cx in (0, shape[1]) for cy in (0, shape[0]))
        return max(2, int(farthest))

    def _given(self):
        if self.parameters["wavelength"] and self.parameters["energy"]:
            one, other = self.parameters["wavelength"], HC_EV_M / self.parameters["energy"] * 1e7
            if abs(one - other) > 1e-3 * one:
                raise Fault(f"The wavelength ({one:g} Å) and the energy ({self.parameters['energy']:g} keV, which is"
                            f" {other:.5g} Å) contradict each other: set one of them.")
        if self.parameters["wavelength"]:
            return self.parameters["wavelength"] / 1e10
        return HC_EV_M / (self.parameters["energy"] * 1e3) if self.parameters["energy"] else None

    @staticmethod
    def _value(found, name, given, per_metre):
        return given / per_metre if given is not None else found[name]

    def _centre(self, found, name, pixel):
        if self.parameters[name] is not None:
            return self.parameters[name]
        value, unit = found[name]
        return value / PER_METRE[unit] / pixel if unit in PER_METRE else value


def _said(value):
    """A length above zero, or a centre anywhere."""
    return value[0] is not None if isinstance(value, tuple) else value is not None and value > 0


def said_by(source):
    """What the file says: distance, pixel_x, pixel_y, wavelength in metres; beam_x, beam_y as (number, unit)."""
    if source.file is None:
        return said_by_header(source.header())
    detector, found = the_detector(source), {}
    if detector is not None:
        found = {"distance": length(detector, "distance") or length(detector, "detector_distance"),
                 "pixel_x": length(detector, "x_pixel_size"), "pixel_y": length(detector, "y_pixel_size")}
        for key, field in (("beam_x", "beam_center_x"), ("beam_y", "beam_center_y")):
            found[key] = (scalar(detector, field), unit_of(detector, field))
    found["wavelength"] = wavelength(ancestor(source, "NXentry") or source.file)
    return found


def said_by_header(header):
    """The same from an image's header: Pilatus' (cbf, tif) and the one of ESRF's edf."""
    text = "\n".join(f"{key} {value}" for key, value in header.items())
    found = {}
    for key, pattern in (("distance", r"Detector_distance\s+(\S+)\s*m\b"), ("wavelength", r"Wavelength\s+(\S+)\s*A"),
                         ("pixel_x", r"Pixel_size\s+(\S+)\s*m\s*x"),
                         ("pixel_y", r"Pixel_size\s+\S+\s*m\s*x\s*(\S+)\s*m")):
        match = re.search(pattern, text)
        found[key] = _number(match.group(1)) if match else None
    found["wavelength"] = found["wavelength"] / 1e10 if found["wavelength"] else None
    centre = re.search(r"Beam_xy\s+\(\s*([^,\s]+)\s*,\s*([^)\s]+)\s*\)", text)
    if centre:
        found["beam_x"], found["beam_y"] = ((_number(centre.group(n)), "") for n in (1, 2))
    for key, field in (("distance", "SampleDistance"), ("wavelength", "WaveLength"), ("pixel_x", "PSize_1"),
                       ("pixel_y", "PSize_2")):
        found[key] = found.get(key) or _number(header.get(field))
    for key, field in (("beam_x", "Center_1"), ("beam_y", "Center_2")):
        found.setdefault(key, (_number(header.get(field)), ""))
    return found


def _number(text):
    try:
        return float(str(text).split()[0])
    except (ValueError, IndexError):
        return None


def _load(poni, _modified, wavelength_m):
    if not os.path.exists(poni):
        raise Fault(f"The PONI file {poni} is not there.")
    try:
        made = pyFAI.load(poni)
    except Exception as error:
        raise Fault(f"{poni} is not a PONI file that pyFAI reads ({type(error).__name__}).") from None
    if not (made.detector.pixel1 and made.detector.pixel2):     # pyFAI takes any text, and a metre for the distance
        raise Fault(f"{poni} says no detector and no pixel size: it is not a PONI file, or not a complete one.")
    if wavelength_m:
        made.wavelength = wavelength_m
    return made


def _wavelength_of_poni(poni):
    return _load(poni, changed(poni), None).wavelength


def _made(key):
    if key[0] == "poni":
        made = _load(*key[1:])
    else:
        distance, poni1, poni2, pixel_y, pixel_x, shape, wavelength_m = key[1:]
        detector = pyFAI.detectors.Detector(pixel_y, pixel_x, max_shape=shape)
        made = AzimuthalIntegrator(dist=distance, poni1=poni1, poni2=poni2, detector=detector, wavelength=wavelength_m)
    return made


def describe(made):
    """The geometry as a dict for the result's provenance."""
    said = dict(made.get_config()) if hasattr(made, "get_config") else dict(made.getPyFAI())
    return {key: value for key, value in said.items() if key != "application"}


def _by(shape):
    return " × ".join(str(n) for n in shape)
