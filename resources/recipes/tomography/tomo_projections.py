"""Projections, one at a time: zingers, binning, phase retrieval; and from them sinograms of some rows.

What needs neighbours in a projection (zingers, phase) is done with a margin of further rows, so that a slab of rows
gives what the whole gives: the kernel of Paganin's filter falls as exp(-r/L), and `PHASE_MARGIN` L of rows are added on
both sides, and `PHASE_ROWS` for its alternating tail where L is less than a pixel (a difference below 1e-5 of the
contrast). Python 3.8, numpy.
"""

from __future__ import annotations

import numpy as np
from beamside_job import Fault

HC_KEV_M = 1.23984198433e-09
PHASE_MARGIN = 14.0
PHASE_ROWS = 64


class Grid:
    """Which part of the detector is used, in binned pixels.

    Attributes:
        bin: detector pixels along each side of one. row0, column0: detector pixels left out before the first one.
        full: (rows, columns) of the whole binned detector. first_row, first_column: of the part. rows, columns: in it.
    """

    def __init__(self, shape, values):
        self.bin = int(values.get("binning") or 1)
        first_row, last_row = span(values.get("rows"), shape[0], "rows")
        first_column, last_column = span(values.get("columns"), shape[1], "columns")
        self.row0, self.column0 = first_row % self.bin, first_column % self.bin
        self.full = ((shape[0] - self.row0) // self.bin, (shape[1] - self.column0) // self.bin)
        self.first_row, self.first_column = first_row // self.bin, first_column // self.bin
        self.rows = (last_row - first_row) // self.bin
        self.columns = (last_column - first_column) // self.bin
        if self.rows < 1 or self.columns < 8:
            raise Fault(f"The rows and columns chosen leave {self.rows} × {self.columns} pixels (binned): too few.")

    def detector_row(self, row):
        """The first detector row of the slice ``row`` of the part."""
        return self.row0 + (self.first_row + row) * self.bin

    def slice_of(self, detector_row):
        """The slice that holds a detector row.

        Raises:
            Fault: none does.
        """
        number = (detector_row - self.row0) // self.bin - self.first_row
        if not 0 <= number < self.rows:
            raise Fault(f"Row {detector_row} is outside the rows that are reconstructed: {self.detector_row(0)} to"
                        f" {self.detector_row(self.rows) - 1}.")
        return number

    def column(self, centre):
        """A centre in detector pixels as one in columns of the part (both: middle of the first pixel is 0)."""
        return (centre - self.column0 + 0.5) / self.bin - 0.5 - self.first_column

    def detector_column(self, centre):
        """The inverse of `column`."""
        return (centre + self.first_column + 0.5) * self.bin - 0.5 + self.column0


def span(text, count, name):
    """The part ``first:last`` (exclusive, as in Python; negative: from the end; empty: all) of ``count``."""
    if not text or not text.strip():
        return 0, count
    first, _, last = text.partition(":")
    try:
        chosen = range(count)[slice(int(first) if first.strip() else None, int(last) if last.strip() else None)]
    except ValueError:
        chosen = range(0)
    if not len(chosen):
        raise Fault(f"The {name} “{text}” do not fit the detector's {count}: write first:last, for example 100:200.")
    return chosen[0], chosen[-1] + 1


class Phase:
    """Paganin's single-material phase retrieval: the transmission divided by 1 + (2π f L)² in Fourier space, with
    L² = λ · distance · (δ/β) / 4π (Paganin et al. 2002). ``lengths``: L in binned pixels, (vertical, horizontal)."""

    def __init__(self, scan, values, binning):
        needed = (("the energy (energy)", scan.energy_kev),
                  ("the sample-detector distance (distance)", scan.distance_m),
                  ("the pixel size (pixel_size)", scan.pixel_m[1]), ("δ/β (delta_beta)", values.get("delta_beta")))
        missing = [word for word, value in needed if not value]
        if missing:
            raise Fault(f"Phase retrieval needs {' and '.join(missing)}: the file does not say it, so set it.")
        metres = np.sqrt(HC_KEV_M / scan.energy_kev * scan.distance_m * values["delta_beta"] / (4 * np.pi))
        self.metres = float(metres)
        self.lengths = tuple(float(metres / ((size or scan.pixel_m[1]) * binning)) for size in scan.pixel_m)
        self._kernels = {}

    @property
    def margin(self):
        return int(np.ceil(PHASE_MARGIN * self.lengths[0])) + PHASE_ROWS

    def retrieve(self, transmission):
        """(rows, columns) float32 of the same shape, the edges continued outwards."""
        rows, columns = transmission.shape
        pads = tuple(int(min(np.ceil(PHASE_MARGIN * length), max(rows, columns))) + PHASE_ROWS
                     for length in self.lengths)
        padded = np.pad(transmission, tuple((p, p) for p in pads), mode="edge")
        if padded.shape not in self._kernels:
            v, u = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None, :]
            squared = (v * self.lengths[0])**2 + (u * self.lengths[1])**2
            self._kernels = {padded.shape: 1 / (1 + 4 * np.pi**2 * squared)}
        out = np.fft.irfft2(np.fft.rfft2(padded) * self._kernels[padded.shape], s=padded.shape)
        return out[pads[0]:pads[0] + rows, pads[1]:pads[1] + columns].astype(np.float32)


class Projections:
    """Corrected projections of a scan.

    Args:
        scan (Scan), fields (Fields), values (dict): the parameters.
    """

    def __init__(self, scan, fields, values):
        self.scan, self.fields = scan, fields
        self.grid = Grid(scan.shape, values)
        self.threshold, self.size = values.get("zinger_threshold"), int(values.get("zinger_size") or 2)
        self.phase = Phase(scan, values, self.grid.bin) if values.get("phase") == "paganin" else None
        margin = self.phase.margin if self.phase else 0
        self.margin = margin + (-(-self.size // self.grid.bin) if self.threshold else 0)

    def needed(self, first, last):
        """The detector rows (first, last) that the slices ``first`` to ``last`` depend on."""
        low, high = self._with_margin(first, last)
        return self.grid.row0 + low * self.grid.bin, self.grid.row0 + high * self.grid.bin

    def _with_margin(self, first, last):
        return (max(0, self.grid.first_row + first - self.margin),
                min(self.grid.full[0], self.grid.first_row + last + self.margin))

    def projection(self, index, first, last):
        """(last - first, columns) float32: the transmission of projection ``index`` in the slices' rows."""
        grid = self.grid
        low, high = self._with_margin(first, last)
        raw_low, raw_high = self.needed(first, last)
        out = self.fields.transmission(self.scan.projections.rows(index, raw_low, raw_high),
                                       self.scan.positions[index], raw_low, raw_high)
        if self.threshold:
            out = without_zingers(out, self.threshold, self.size)
        if grid.bin > 1 or grid.column0:
            out = out[:, grid.column0:grid.column0 + grid.full[1] * grid.bin]
            out = out.reshape(high - low, grid.bin, grid.full[1], grid.bin).mean(axis=(1, 3), dtype=np.float32)
        if self.phase:
            out = np.maximum(self.phase.retrieve(out), np.float32(1e-4))
        skip = grid.first_row + first - low
        return out[skip:skip + last - first, grid.first_column:grid.first_column + grid.columns]

    def sinograms(self, first, last, step=lambda: None):
        """(last - first, angles, columns) float32: transmission; the first axis is the slice."""
        out = np.empty((last - first, len(self.scan.projections), self.grid.columns), np.float32)
        for index in range(out.shape[1]):
            out[:, index] = self.projection(index, first, last)
            step()
        return out


def without_zingers(image, threshold, size):
    """algotom's zinger removal on an image whose edges are continued, so that they do not see the opposite edge."""
    from algotom.prep.removal import remove_zinger
    padded = remove_zinger(np.pad(image, size, mode="edge"), threshold, size=size)
    return padded[size:-size, size:-size].astype(np.float32)
