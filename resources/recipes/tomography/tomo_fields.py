"""From frames to transmission: flats and darks averaged once, then frames corrected by rows.

Python 3.8, numpy, h5py.
"""

from __future__ import annotations

import numpy as np
from beamside_job import Fault

LEAST = 1e-4                # transmission: opaque and dead pixels are kept off the logarithm's edge
MEMORY = 256 << 20          # bytes of flats held at once for their median


class Fields:
    """The averaged flats and darks of a scan, in counts.

    Attributes:
        dark: (rows, columns) float32. flats: (sets, rows, columns) float32. positions: (sets,) float64, when each set
        was taken, in frames as acquired. kind: what the data are (parameter ``correction``).
    """

    def __init__(self, kind, dark=None, flats=None, positions=None):
        self.kind, self.dark, self.flats, self.positions = kind, dark, flats, positions

    @classmethod
    def of(cls, scan, values, step=lambda: None):
        """Average all of them, as ``values["average"]`` says: ``mean`` or ``median``."""
        fields = FieldsAsNeeded(scan, values)
        fields.average(0, scan.shape[0], step)
        return fields

    def save(self, group):
        group["correction"] = self.kind
        if self.flats is not None:
            for name in ("dark", "flats", "positions"):
                group.create_dataset(name, data=getattr(self, name))

    @classmethod
    def load(cls, group, first, last):
        """Those of the rows ``first`` to ``last`` (exclusive); the others are not read and must not be asked for."""
        kind = group["correction"][()]
        kind = kind.decode() if isinstance(kind, bytes) else kind
        if "flats" not in group:
            return cls(kind)
        rows = group["dark"].shape[0]
        dark = np.full(group["dark"].shape, np.nan, np.float32) if (first, last) != (0, rows) else None
        fields = cls(kind, group["dark"][()] if dark is None else dark, None, group["positions"][()])
        if dark is not None:
            dark[first:last] = group["dark"][first:last]
        fields.flats = np.empty((len(fields.positions),) + group["dark"].shape, np.float32)
        fields.flats[:, first:last] = group["flats"][:, first:last]
        return fields

    def transmission(self, frame, position, first, last):
        """(rows, columns) float32, at least `LEAST`, of the raw rows ``first`` to ``last`` of the frame that was taken
        at ``position``. Where the flat is not brighter than the dark, nothing is known: 1."""
        if self.kind == "transmission":
            out = frame
        elif self.kind == "attenuation":
            out = np.exp(-frame)
        else:
            dark = self.dark[first:last]
            light = self._flat(position, first, last) - dark
            with np.errstate(divide="ignore", invalid="ignore"):
                out = np.where(light > 0, (frame - dark) / light, np.float32(1))
        out = np.where(np.isfinite(out), out, np.float32(1)).astype(np.float32, copy=False)
        return np.maximum(out, np.float32(LEAST))

    def _flat(self, position, first, last):
        """Between two sets the flat is interpolated over the frames as acquired."""
        after = int(np.searchsorted(self.positions, position))
        if after == 0 or len(self.positions) == 1:
            return self.flats[0, first:last]
        if after == len(self.positions):
            return self.flats[-1, first:last]
        left, right = self.positions[after - 1:after + 1]
        part = np.float32((position - left) / (right - left))
        return self.flats[after - 1, first:last] * (1 - part) + self.flats[after, first:last] * part


class FieldsAsNeeded(Fields):
    """Rows of flats and darks are read and averaged when a projection's are first asked for."""

    def __init__(self, scan, values):
        self._scan, self._values = scan, values
        super().__init__(values.get("correction") or "flats and darks")
        self._known = np.zeros(scan.shape[0], bool)
        if not self.kind.startswith("flats"):
            self._known[:] = True
            return
        known = [item.position is not None for item in scan.flats]
        self._apart = len(known) > 1 and all(known) and values.get("interpolate_flats", True)
        self.positions = np.array([item.position for item in scan.flats]) if self._apart else np.zeros(1)
        self._order = np.argsort(self.positions)
        self.positions = self.positions[self._order]
        self.dark = np.zeros(scan.shape, np.float32)
        self.flats = np.zeros((len(self.positions), *scan.shape), np.float32)
        self._block = max([1, *(item.frames.come_along() for item in (*scan.flats, *scan.darks))])
        self._checked = False

    def transmission(self, frame, position, first, last):
        if not self._known[first:last].all():
            self.average(first - first % self._block,
                         min((last + self._block - 1) // self._block * self._block, len(self._known)))
        return super().transmission(frame, position, first, last)

    def average(self, first, last, step=lambda: None):
        """Read and average the rows ``first`` to ``last``; ``step`` is called for each frame.

        Raises:
            Fault: they cannot be read, or flats are not brighter than darks.
        """
        if self._known[first:last].all():
            return
        scan, part = self._scan, (first, last, self._values, step)
        if self.kind == "flats and darks":
            self.dark[first:last] = np.mean([_averaged(item, *part) for item in scan.darks], axis=0, dtype=np.float32)
        flats = np.stack([_averaged(item, *part) for item in scan.flats])
        self.flats[:, first:last] = flats[self._order] if self._apart else flats.mean(axis=0, keepdims=True)
        self._known[first:last] = True
        if not self._checked:
            self._check(step)

    def _check(self, step):
        """Of the whole detector only where these rows alone would be wrong: they may lie outside the beam."""
        flats, dark = self.flats[:, self._known], self.dark[self._known]
        if np.nanmax(flats) > 0 and (flats.mean(axis=0) > dark).mean() > 0.01:
            self._checked = True
        elif not self._known.all():
            self.average(0, len(self._known), step)
        else:
            raise Fault(f"The flat fields of {self._scan.name} are not brighter than its dark fields: they may be"
                        " exchanged.")


def _averaged(item, first, last, values, step):
    """(rows, columns) float32: the mean or the median of a set, read by blocks of rows for the median."""
    count, columns = len(item.frames), item.frames.items[0][0].shape[1]
    if values.get("average") != "median" or count < 3:
        total = np.zeros((last - first, columns), np.float64)
        for number in range(count):
            total += item.frames.rows(number, first, last)
            step()
        return (total / count / item.divide_by).astype(np.float32)
    out = np.empty((last - first, columns), np.float32)
    block = max(1, min(last - first, MEMORY // (4 * count * columns)))
    for low in range(first, last, block):
        high = min(last, low + block)
        out[low - first:high - first] = np.median([item.frames.rows(n, low, high) for n in range(count)],
                                                  axis=0) / item.divide_by
    for _ in range(count):
        step()
    return out
