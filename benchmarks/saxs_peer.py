"""pyFAI alone, as one would write it by hand: read frame after frame with h5py, integrate, keep the curves.

    python saxs_peer.py FILE DATA PONI NPT COUNT

The mask is that of the first frame. It writes nothing. What it prints: seconds from the first frame to the last.
"""

from __future__ import annotations

import sys
import time

import h5py
import hdf5plugin  # noqa: F401  (reads bitshuffle)
import numpy as np
import pyFAI


def main() -> None:
    path, data, poni, npt, count = sys.argv[1:]
    with h5py.File(path) as file:
        frames = file[data]
        number = min(int(count), len(frames))
        integrator = pyFAI.load(poni)
        mask = (frames[0] >= np.iinfo(frames.dtype).max - 1).astype(np.int8)
        curves = np.empty((2, number, int(npt)), np.float32)
        started = time.perf_counter()
        for i in range(number):
            result = integrator.integrate1d_ng(frames[i], int(npt), unit="q_nm^-1", mask=mask, error_model="poisson",
                                               method=("no", "csr", "cython"), polarization_factor=0.99)
            curves[0, i], curves[1, i] = result.intensity, result.sigma
        print(time.perf_counter() - started)


if __name__ == "__main__":
    main()
