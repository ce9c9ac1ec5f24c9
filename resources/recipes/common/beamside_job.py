"""What every recipe's program needs: the task it was given, its progress, its faults, the frames of its inputs.

These files (``beamside_*.py``) are put into the folder of every job, beside the recipe's ``run.py``. They need
Python 3.8 or later, numpy and h5py, and use hdf5plugin and fabio where these are installed. A whole recipe::

    from beamside_job import Source, main, now, whole_file, write_provenance

    def run(task):
        import h5py
        import somepackage                      # here, so that its absence is told in one sentence
        started = now()
        source = Source(task.inputs[0])
        progress = task.progress(len(source), "frames")
        with whole_file("result.h5") as part, h5py.File(part, "w") as out:
            entry = out.create_group("entry")
            for number in range(len(source)):
                ... source.frame(number), task.parameters["threshold"] ...
                progress.step()
            write_provenance(entry, task, "somepackage", somepackage.__version__, started)

    main({"run": run})

With steps in ``recipe.toml``, give ``main`` one function for each step by its name; the function of a step that is an
array takes its part with ``task.share(count)``. With a function named ``trial``, the parameters can be tuned on a small
part of the data (see `beamside_trial`). Instead of a function, the text ``"module:function"`` names one in a file
beside ``run.py``, which is then imported when it is needed.
"""

from __future__ import annotations

import sys

from beamside_task import Fault, Progress, Task, changed, main, now, sentence, whole_file, write_provenance

try:
    from beamside_frames import Source, beyond, open_hdf5, read_ahead, select_frames, sources, without_sentinels
    from beamside_metadata import (
        ancestor,
        groups,
        length,
        member,
        only,
        scalar,
        text_of,
        the_detector,
        unit_of,
        wavelength,
    )
except ImportError as missing:      # h5py or numpy: here, because no program of ours runs yet
    sys.exit(sentence(missing))

__all__ = ["Fault", "Progress", "Source", "Task", "ancestor", "beyond", "changed", "groups", "length", "main", "member",
           "now", "only", "open_hdf5", "read_ahead", "scalar", "select_frames", "sentence", "sources", "text_of",
           "the_detector", "unit_of", "wavelength", "whole_file", "without_sentinels", "write_provenance"]
