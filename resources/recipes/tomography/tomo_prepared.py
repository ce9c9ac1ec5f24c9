"""What the steps share: the scan opened, its flats and darks averaged, the axis found; kept in ``prepare.h5``.

`prepare` makes it, `Prepared.load` takes it up again in every task of the array, which reads its own rows only.
Python 3.8, numpy, h5py.
"""

from __future__ import annotations

import json
from importlib.metadata import version

import h5py
import numpy as np
import tomo_centre
import tomo_layouts
import tomo_methods
import tomo_scan
from beamside_job import Fault, beyond, whole_file, write_provenance
from tomo_fields import Fields
from tomo_projections import Projections

FILE = "prepare.h5"
PER_UNIT = {"1/m": 1.0, "1/cm": 1e-2, "1/mm": 1e-3}     # of an attenuation in 1/m


class Prepared:
    """A scan ready to be reconstructed.

    Attributes:
        scan (Scan), fields (Fields), projections (Projections), values (dict).
        centre (float): of rotation, in detector columns (the middle of the first one is 0). found (bool): not by hand.
        half (bool): the axis is near an edge of a 360° scan.
        limits: (lowest, highest) value that uint16 stands for; None: float32 is written.
    """

    def __init__(self, scan, fields, values, centre=None, limits=None, found=False):
        self.scan, self.fields, self.values = scan, fields, values
        self.projections = Projections(scan, fields, values)
        self.half = _is_half(scan, values)
        self.centre, self.limits, self.found = centre, limits, found
        self.unit, self.scale = _unit(scan, values, self.projections.grid.bin)

    @property
    def grid(self):
        return self.projections.grid

    def find_centre(self, cpus):
        """The centre of the parameters, or the one that is found."""
        if self.values.get("centre") is not None:
            self.centre, self.found = float(self.values["centre"]), False
        else:
            column = tomo_centre.find_centre(self.projections, self.values, self.half, cpus)
            self.centre, self.found = self.grid.detector_column(column), True
        self.slices()           # a centre outside is told here
        return self.centre

    def slices(self, centre=None):
        """What makes slices of sinograms, for the centre that was found or another one (detector columns)."""
        column = self.grid.column(self.centre if centre is None else centre)
        return tomo_methods.Slices(self.values, self.scan.angles, column, self.grid.columns, self.half, self.scale)

    def find_limits(self):
        """The range of values that uint16 will stand for: as given, else that of five slices and a tenth more."""
        if (self.values.get("dtype") or "float32") == "float32":
            return
        low, high = self.values.get("value_minimum"), self.values.get("value_maximum")
        if low is None or high is None:
            slices, seen = self.slices(), []
            for row in sorted({int(r) for r in np.linspace(0, self.grid.rows - 1, 5)}):
                image = slices.reconstruct(self.projections.sinograms(row, row + 1)[0])
                seen += [float(image.min()), float(image.max())]
            more = 0.1 * (max(seen) - min(seen))
            low = min(seen) - more if low is None else low
            high = max(seen) + more if high is None else high
        if not high > low:
            raise Fault(f"The range of values for uint16 is empty: {low:g} to {high:g}.")
        self.limits = (float(low), float(high))

    def save(self, path=FILE):
        with whole_file(path) as part, h5py.File(part, "w") as file:
            file.attrs["NX_class"] = "NXroot"
            self.fields.save(file.create_group("fields"))
            file["centre"], file["found"] = self.centre, self.found
            if self.limits:
                file["limits"] = self.limits
            file["about"] = json.dumps(self.about())

    @classmethod
    def load(cls, name, values, share, path=FILE):
        """For the slices ``share(count)`` (a range) only: of flats and darks, only their rows are read."""
        scan = opened(name, values)
        prepared = cls(scan, Fields("transmission"), values)
        rows = share(prepared.grid.rows)
        with h5py.File(path, "r") as file:
            if len(rows):
                needed = prepared.projections.needed(rows.start, rows.stop)
                prepared.fields = prepared.projections.fields = Fields.load(file["fields"], *needed)
            prepared.centre, prepared.found = float(file["centre"][()]), bool(file["found"][()])
            prepared.limits = tuple(float(v) for v in file["limits"][()]) if "limits" in file else None
        return prepared

    def about(self):
        """What belongs into the result's provenance: numbers and texts by name."""
        scan = self.scan
        said = {"layout": scan.layout, "projections": len(scan.projections), "angle_first": float(scan.angles[0]),
                "angle_last": float(scan.angles[-1]), "flats": [len(s.frames) for s in scan.flats],
                "darks": [len(s.frames) for s in scan.darks], "centre": self.centre,
                "centre_by": (self.values.get("centre_method") or "auto") if self.found else "hand",
                "half_acquisition": self.half, "energy_kev": scan.energy_kev, "distance_m": scan.distance_m,
                "pixel_size_m": list(scan.pixel_m), "notes": scan.notes}
        if self.projections.phase:
            said["phase_length_m"] = self.projections.phase.metres
        return {key: value for key, value in said.items() if value is not None}


def opened(name, values):
    """The scan of an input, checked and completed with the parameters."""
    scan = tomo_scan.complete(tomo_layouts.open_scan(name, values), values)
    for what, count in zip(("rows", "columns"), scan.shape):
        scan.notes += filter(None, [beyond(values.get(what), count, what)])
    return scan


def prepare(task, cpus, progress=None):
    """Everything that is done once for a scan."""
    values = task.parameters
    tomo_methods.check_method(values)
    scan = opened(task.inputs[0], values)
    for note in scan.notes:
        print(note)
    step = progress.step if progress else (lambda: None)
    prepared = Prepared(scan, Fields("transmission"), values)       # what is wrong with the parameters is told first
    prepared.fields = prepared.projections.fields = Fields.of(scan, values, step)
    prepared.find_centre(cpus)
    print(f"Centre of rotation: column {prepared.centre:.2f} ({'found' if prepared.found else 'given'}).")
    return prepared


def chosen_row(prepared, detector_row):
    """The slice of a detector row; the middle one if none is given."""
    return prepared.grid.rows // 2 if detector_row is None else prepared.grid.slice_of(int(detector_row))


def provenance(entry, task, prepared, started):
    """How a result came about (NXprocess), with the centre that was used and what was found in the scan."""
    about = prepared.about()
    group = write_provenance(entry, task, "algotom", version("algotom"), started, centre=about.pop("centre"),
                             centre_by=about.pop("centre_by"), scan=about)
    group["centre"].attrs["units"] = "pixel"


def _is_half(scan, values):
    wanted, span = values.get("field_of_view") or "auto", float(np.ptp(scan.angles))
    if wanted == "half" and span < 350:
        raise Fault(f"A scan with the rotation axis near the edge needs 360°, but the angles of {scan.name} span"
                    f" {span:.4g}°.")
    return wanted == "half" or (wanted == "auto" and scan.half and span >= 350)


def _unit(scan, values, binning):
    wanted = values.get("value_unit") or "auto"
    size = scan.pixel_m[1]
    if wanted == "1/pixel" or (wanted == "auto" and not size):
        return "1/pixel", 1.0
    if not size:
        raise Fault(f"Values in {wanted} need the pixel size: the file does not say it, so set it (pixel_size).")
    unit = "1/cm" if wanted == "auto" else wanted
    return unit, PER_UNIT[unit] / (size * binning)
