"""One slice from one sinogram: rings, logarithm, half acquisition, and the reconstruction method. Python 3.8, algotom.

algotom's own parallel back-projection adds to the same pixels from several threads and loses some of what they add
(seen with 1.7: results differ from run to run). Here the same function is compiled without threads, and slices run
beside each other instead.
"""

from __future__ import annotations

import importlib
import os
import warnings

import numpy as np
import tomo_centre
from beamside_job import Fault

# numba wants a folder for compiled code at import; one's own, because what is in it is run
os.environ.setdefault("NUMBA_CACHE_DIR", os.path.join(os.environ.get("BEAMSIDE_FOLDER") or os.getcwd(), ".numba"))

PACKAGES = {"gridrec": "tomopy", "astra": "astra"}
ASTRA_FILTERS = {"ramp": "ram-lak"}
FILTERED_ROWS = 256     # at once: their spectra are four times as large as they are
_COMPILED = {}


def check_method(values):
    """Raise a Fault where the environment lacks what the method needs: nothing is replaced by something else."""
    importlib.import_module("algotom.rec.reconstruction")
    method = values.get("method") or "fbp"
    package = PACKAGES.get(method.partition("-")[0])
    if package:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise Fault(f"The method “{method}” needs {package}, which this job's Python does not have ({error}):"
                        " choose “fbp”, or ask the site for it.") from None
    if method.endswith("-gpu"):
        from numba import cuda
        if not cuda.is_available():
            raise Fault(f"The method “{method}” needs an Nvidia GPU, and this job sees none: choose “fbp”, or a"
                        " partition with GPUs.")


class Slices:
    """Reconstructs slices of one scan, all of the same shape.

    Args:
        values (dict): the parameters. angles: (n,) float64, degrees, ascending. centre: column of the axis.
        columns: of a sinogram. half: 360° with the axis near an edge. scale: what values per pixel are multiplied by.

    Attributes:
        width: of a slice, in pixels. axis: where in the slice the rotation axis is (0: middle of the first pixel).
    """

    def __init__(self, values, angles, centre, columns, half, scale=1.0):
        if not 0 <= centre <= columns - 1:
            raise Fault(f"The centre of rotation is outside the columns that are reconstructed: {centre:.2f} of"
                        f" {columns} (counted from the first one, in binned pixels).")
        self.values, self.half, self.scale, self.centre = values, half, scale, float(centre)
        self._edge_centre = self.centre         # of the sinogram as measured; `centre` is of the joined one
        self.method = values.get("method") or "fbp"
        self.filter = values.get("filter") or "ramp"
        self.degrees, self.angles = angles, np.radians(angles)
        self.width = columns
        if half:
            self.width, self.centre, count = self._joined_size(columns)
            self.angles = np.linspace(0.0, np.pi, count) + self.angles[0]
        self.weights = angular_weights(self.angles)
        self.axis = self.width / 2 if self.method == "dfi" else (self.width - 1) / 2
        self._ramp = None

    def _joined_size(self, columns):
        joined, centre = self._join(np.zeros((len(self.degrees), columns), np.float32))
        return joined.shape[1], float(centre), joined.shape[0]

    def _join(self, sinogram):
        from algotom.prep.conversion import convert_sinogram_360_to_180
        full = tomo_centre.full_turn_of(sinogram, self.degrees)
        joined, centre = convert_sinogram_360_to_180(full, self._edge_centre, norm=False)
        return joined.astype(np.float32), centre

    def reconstruct(self, transmission):
        """(width, width) float32 from a (n, columns) float32 transmission sinogram."""
        sinogram = -np.log(np.maximum(without_rings(transmission, self.values), np.float32(1e-6)))
        if self.half:
            sinogram = self._join(sinogram)[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = getattr(self, "_" + self.method.partition("-")[0])(np.asarray(sinogram, np.float32))
        image = image * np.float32(self.scale)
        if self.values.get("circle", True):
            y, x = np.ogrid[:self.width, :self.width]
            image = np.where((y - self.axis)**2 + (x - self.axis)**2 <= (self.width / 2)**2, image, np.float32(0))
        return np.ascontiguousarray(image, dtype=np.float32)

    def _algotom_filter(self):
        return None if self.filter == "ramp" else self.filter

    def _fbp(self, sinogram):
        from algotom.rec import reconstruction
        pad, weighted = self.width // 2, sinogram * self.weights[:, None]
        if self.method == "fbp-gpu":
            scale = (len(sinogram) - 1) / np.pi         # algotom takes every angle for as heavy as the others
            return reconstruction.fbp_reconstruction(weighted * np.float32(scale), self.centre, angles=self.angles,
                                                     ratio=None, filter_name=self._algotom_filter(), pad=pad,
                                                     apply_log=False, gpu=True)
        if self._ramp is None:
            self._ramp = reconstruction.make_2d_ramp_window(FILTERED_ROWS, self.width + 2 * pad, self._algotom_filter())
        filtered = np.empty(sinogram.shape, np.float32)
        for first in range(0, len(sinogram), FILTERED_ROWS):
            rows = weighted[first:first + FILTERED_ROWS]
            filtered[first:first + len(rows)] = reconstruction.apply_ramp_filter(rows, self._ramp[:len(rows)], pad=pad)
        return back_projection()(filtered, np.float32(self.angles), np.float32(self.centre))

    def _dfi(self, sinogram):
        from algotom.rec.reconstruction import dfi_reconstruction
        from scipy import ndimage
        middle = (self.width - 1) / 2
        moved = ndimage.shift(sinogram, (0, middle - self.centre), mode="nearest")
        return dfi_reconstruction(closed_half_turn(moved, self.angles), middle, ratio=None,
                                  filter_name=self._algotom_filter(), apply_log=False, ncore=1)

    def _gridrec(self, sinogram):
        from algotom.rec.reconstruction import gridrec_reconstruction
        return gridrec_reconstruction(sinogram, self.centre, angles=self.angles, ratio=None, apply_log=False, ncore=1,
                                      filter_name={"ramp": "ramlak"}.get(self.filter, self.filter))

    def _astra(self, sinogram):
        from algotom.rec.reconstruction import astra_reconstruction
        algorithm = (self.values.get("astra_algorithm") or "FBP") + ("_CUDA" if self.method.endswith("-gpu") else "")
        if algorithm.startswith("FBP"):
            sinogram = sinogram * (self.weights * np.float32(len(sinogram) / np.pi))[:, None]
        return astra_reconstruction(sinogram, self.centre, angles=self.angles, ratio=None, method=algorithm,
                                    num_iter=int(self.values.get("iterations") or 1), apply_log=False, ncore=1,
                                    filter_name=ASTRA_FILTERS.get(self.filter, self.filter))


def back_projection():
    """algotom's back-projection without threads of its own: (sinogram, angles, centre) -> square image, all float32."""
    if "fbp" not in _COMPILED:
        import numba
        from algotom.rec.reconstruction import back_projection_cpu
        _COMPILED["fbp"] = numba.njit(nogil=True)(back_projection_cpu.py_func)
    return _COMPILED["fbp"]


def warm_up():
    """Import and compile what takes seconds, once."""
    importlib.import_module("algotom.prep.removal")
    back_projection()(np.zeros((2, 8), np.float32), np.zeros(2, np.float32), np.float32(3.5))


def without_rings(transmission, values):
    """The sinogram with the stripes removed that would become rings, as algotom does it."""
    method = values.get("rings") or "none"
    if method == "none":
        return transmission
    from algotom.prep import removal
    size, sigma = int(values.get("ring_size") or 21), values.get("ring_sigma")
    snr, large = values.get("ring_snr") or 3.0, int(values.get("ring_large_size") or 51)
    out = {
        "sorting": lambda s: removal.remove_stripe_based_sorting(s, size),
        "filtering": lambda s: removal.remove_stripe_based_filtering(s, sigma or 3, size),
        "fitting": lambda s: removal.remove_stripe_based_fitting(s, int(values.get("ring_order") or 2), sigma or 10),
        "large": lambda s: removal.remove_large_stripe(s, snr, large),
        "dead": lambda s: removal.remove_dead_stripe(s, snr, large),
        "all": lambda s: removal.remove_all_stripe(s, snr, large, size),
    }[method](transmission)
    return out.astype(np.float32)


def angular_weights(angles):
    """(n,) float32: the part of half a turn that each projection stands for, so that they sum to π however the angles
    are spaced and however often they go round; none counts more than five ordinary ones."""
    folded = np.mod(angles, np.pi)
    folded[np.pi - folded < 1e-7] = 0.0
    order = np.argsort(folded, kind="stable")
    gaps = np.diff(np.append(folded[order], folded[order[0]] + np.pi))
    weights = np.empty(len(angles))
    weights[order] = (gaps + np.roll(gaps, 1)) / 2
    return np.minimum(weights, 5 * np.pi / len(angles)).astype(np.float32)


def closed_half_turn(sinogram, angles):
    """Rows at even angles from 0 to π, both included, of a sinogram whose axis is in its middle: rows beyond half a
    turn are mirrored, those between interpolated."""
    folded = np.mod(angles, 2 * np.pi)
    beyond = folded >= np.pi - 1e-9
    rows = np.where(beyond[:, None], sinogram[:, ::-1], sinogram)
    folded = np.where(beyond, folded - np.pi, folded)
    step = np.pi / max(2, round(np.pi / float(np.median(np.diff(np.sort(angles))))))
    keys = np.round(folded / (0.1 * step)).astype(int)
    places, inverse = np.unique(keys, return_inverse=True)
    merged = np.zeros((len(places), sinogram.shape[1]))
    at = np.zeros(len(places))
    np.add.at(merged, inverse, rows)
    np.add.at(at, inverse, folded)
    counts = np.bincount(inverse)
    merged, at = merged / counts[:, None], at / counts
    merged = np.vstack([merged[-1:, ::-1], merged, merged[:1, ::-1]])
    at = np.concatenate([[at[-1] - np.pi], at, [at[0] + np.pi]])
    return tomo_centre.interpolated(merged, at, np.linspace(0.0, np.pi, round(np.pi / step) + 1)).astype(np.float32)
