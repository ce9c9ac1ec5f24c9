#!/usr/bin/env python3
"""Azimuthal integration of detector frames with pyFAI: ``run.py parameters.json``, in the job's folder.

Step ``integrate`` reduces frame after frame (as an array: each task its share) into ``parts/``; ``merge`` makes
``result.h5`` of the parts, with averages and ``.dat`` files; a single task does both. ``trial`` answers one frame.

    geometry.py      where the detector is: PONI file, parameters, or what the input's file says
    corrections.py   mask, dark, flat; monitor, transmission: which pixels count and what each frame is divided by
    reduction.py     pyFAI on one frame, background; the step ``integrate``
    results.py       parts, the NeXus result, the step ``merge``
    averages.py      means over frames with their errors
    curves.py        three-column text files
    one_frame.py     the trial
"""

from __future__ import annotations

from beamside_job import main

if __name__ == "__main__":
    main({"run": "reduction:integrate", "integrate": "reduction:integrate", "merge": "results:merge",
          "trial": "one_frame:answer"})
