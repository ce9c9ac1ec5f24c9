"""Units as facilities write them, and conversion between them: the one place that knows them. Pure.

Energies and wavelengths of photons are converted into each other (E λ = hc, CODATA 2018: 12.398419843 keV Å).
"""

from __future__ import annotations

import math

_HC_EV_M = 1.2398419843320026e-06

# Each unit as (what it measures, how many of the first unit of that).
_LENGTH = {"m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0, "cm": 1e-2, "mm": 1e-3,
           "millimetre": 1e-3, "millimeter": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "microns": 1e-6,
           "micrometre": 1e-6, "micrometer": 1e-6, "nm": 1e-9, "nanometre": 1e-9, "nanometer": 1e-9, "pm": 1e-12,
           "\u00c5": 1e-10, "\u212b": 1e-10, "A": 1e-10, "Angstrom": 1e-10, "angstrom": 1e-10, "Angstroms": 1e-10,
           "angstroms": 1e-10, "ANGSTROM": 1e-10, "Ang": 1e-10, "ang": 1e-10}
_ENERGY = {"eV": 1.0, "ev": 1.0, "keV": 1e3, "kev": 1e3, "KeV": 1e3, "MeV": 1e6, "GeV": 1e9, "J": 1 / 1.602176634e-19}
_ANGLE = {"rad": 1.0, "radian": 1.0, "radians": 1.0, "mrad": 1e-3, "urad": 1e-6, "µrad": 1e-6, "μrad": 1e-6,
          "deg": math.pi / 180, "degree": math.pi / 180, "degrees": math.pi / 180, "°": math.pi / 180}
_TIME = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6,
         "ns": 1e-9, "min": 60.0, "minutes": 60.0, "h": 3600.0, "hours": 3600.0}
_INVERSE = {text: 1 / size for name, size in _LENGTH.items()
            for text in (f"1/{name}", f"{name}^-1", f"{name}**-1", f"{name}-1", f"{name}⁻¹")}
_PLAIN = {"": 1.0, "pixel": 1.0, "pixels": 1.0, "px": 1.0, "counts": 1.0, "count": 1.0, "dimensionless": 1.0,
          "none": 1.0, "NX_UNITLESS": 1.0}
_UNITS = {name: (kind, size) for kind, names in (
    ("length", _LENGTH), ("energy", _ENERGY), ("angle", _ANGLE), ("time", _TIME), ("inverse length", _INVERSE),
    ("number", _PLAIN)) for name, size in names.items()}


def convert(value: float, unit: str, wanted: str) -> float | None:
    """``value`` in ``unit`` as a number of ``wanted``; ``None``: these do not measure the same, or are not known.

    Without a unit (``""``) a value is a plain number or a count of pixels, never a length or an energy.
    """
    unit, wanted = unit.strip(), wanted.strip()
    if unit == wanted:
        return value
    known, asked = _UNITS.get(unit), _UNITS.get(wanted)
    if known is None or asked is None:
        return None
    if known[0] == asked[0]:
        return value if known[1] == asked[1] else value * known[1] / asked[1]
    if {known[0], asked[0]} == {"length", "energy"} and value > 0:
        return _HC_EV_M / (value * known[1]) / asked[1]
    return None
