#!/usr/bin/env python3
"""Tomography with algotom: ``run.py parameters.json``, one step of a job at a time (see `beamside_job`).

``prepare`` opens the scan, averages flats and darks, finds the rotation axis and keeps all that in ``prepare.h5``;
``reconstruct`` is an array over slabs of slices, each task reads its own rows; ``merge`` makes ``volume.h5`` of them.
Python 3.8, numpy, h5py, algotom.
"""

from __future__ import annotations

import concurrent.futures
import os

import h5py
from beamside_job import Fault, main, now, whole_file
from tomo_rows import memory_bytes

MEMORY_SHARE = 0.35     # of the job's memory for a block of sinograms; as much again is needed while it is worked on
BATCH = 4               # slices for each processor


def prepare(task):
    """The first step: everything that is done once."""
    import tomo_prepared
    from tomo_volume import sweep_offsets
    offsets = sweep_offsets(task.parameters)
    progress = task.progress(len(offsets) + 1, "parts")
    progress.text("averages flats and darks, finds the axis")
    prepared = tomo_prepared.prepare(task, task.cpus)
    progress.step()
    if len(offsets):
        sweep(task, prepared, offsets, progress)
    prepared.find_limits()
    prepared.save(os.path.join(task.folder, tomo_prepared.FILE))


def sweep(task, prepared, offsets, progress):
    """``sweep.h5``: one slice at several centres."""
    from tomo_prepared import chosen_row, provenance
    from tomo_volume import write_sweep
    started, row = now(), chosen_row(prepared, task.parameters.get("centre_row"))
    progress.text("tries centres")
    transmission = prepared.projections.sinograms(row, row + 1)[0]
    with whole_file(os.path.join(task.folder, "sweep.h5")) as part, h5py.File(part, "w") as file:
        entry, path = write_sweep(file, "sweep", prepared, row, transmission, offsets, progress.step)
        provenance(entry, task, prepared, started)
    progress.preview("sweep.h5", path)


def reconstruct(task):
    """The slices of this task: ``volume.h5``, or a slab ``volume-0001.h5`` if there are several tasks."""
    import tomo_prepared
    started = now()
    prepared = tomo_prepared.Prepared.load(task.inputs[0], task.parameters, task.share,
                                           os.path.join(task.folder, tomo_prepared.FILE))
    rows = task.share(prepared.grid.rows)
    name = "volume.h5" if task.count == 1 else f"volume-{task.number:04d}.h5"
    if not len(rows):
        print("There are fewer slices than tasks: nothing is left for this one.")
        return
    write_slices(task, prepared, rows, name, started)


def write_slices(task, prepared, rows, name, started):
    """Reconstruct the slices ``rows`` block by block, several at once, into the file ``name``."""
    from tomo_prepared import provenance
    from tomo_volume import Axes, Live, start_volume, stored
    slices, title = prepared.slices(), f"{task.job.get('title') or 'Tomography'} of {prepared.scan.name}"
    axes = Axes(prepared, slices)
    progress = task.progress(len(rows), "slices")
    live = Live(task, progress, title, axes, prepared.unit)
    with whole_file(os.path.join(task.folder, name)) as part, h5py.File(part, "w") as file, \
            concurrent.futures.ThreadPoolExecutor(task.cpus) as pool:
        entry, group = start_volume(file, "volume", title, axes, rows, prepared.unit, prepared.limits)
        group.attrs["first_slice"] = rows.start
        size = block_size(prepared, task.cpus)
        for first in range(rows.start, rows.stop, size):
            last = min(first + size, rows.stop)
            progress.text(f"reads the projections for slices {first + 1} to {last}")
            block = prepared.projections.sinograms(first, last, progress_beat(progress))
            progress.text(f"reconstructs slices {first + 1} to {last}")
            for some in range(first, last, BATCH * task.cpus):      # so that few finished slices wait to be written
                batch = range(some, min(some + BATCH * task.cpus, last))
                images = pool.map(slices.reconstruct, block[some - first:some - first + len(batch)])
                for row, image in zip(batch, images):
                    group["data"][row - rows.start] = stored(image, prepared.limits)
                    live.add(row - rows.start, row, image)
                    progress.step()
            del block
        provenance(entry, task, prepared, started)
    live.remove()


def progress_beat(progress):
    """Lets the progress file be written while projections are read, which is no item of its own."""
    return lambda: progress.step(0)


def block_size(prepared, cpus):
    """How many slices' sinograms fit into the job's memory."""
    each = 4 * len(prepared.scan.projections) * prepared.grid.columns
    return max(1, int(MEMORY_SHARE * memory_bytes(cpus) / each))


def merge(task):
    """One file from the slabs of all tasks; left out where there was one task only."""
    import tomo_prepared
    from tomo_prepared import provenance
    from tomo_volume import merged
    started = now()
    # only what the volume is like is needed here, no rows of flats or darks
    prepared = tomo_prepared.Prepared.load(task.inputs[0], task.parameters, lambda count: range(0),
                                           os.path.join(task.folder, tomo_prepared.FILE))
    slabs, row = [], 0
    for name in sorted(n for n in os.listdir(task.folder) if n.startswith("volume-") and n.endswith(".h5")):
        with h5py.File(os.path.join(task.folder, name), "r") as file:
            first, count = int(file["entry/volume"].attrs["first_slice"]), file["entry/volume/data"].shape[0]
        if first != row:
            break
        slabs.append((os.path.join(task.folder, name), range(row, row + count)))
        row += count
    if row != prepared.grid.rows:
        raise Fault(f"The slab that begins with slice {row + 1} of {prepared.grid.rows} is missing: run the job again.")
    copy = bool(task.parameters.get("one_file"))
    progress = task.progress(row, "slices")
    title = f"{task.job.get('title') or 'Tomography'} of {prepared.scan.name}"
    write = merged(prepared, title, prepared.slices(), slabs, copy)
    with whole_file(os.path.join(task.folder, "volume.h5")) as part:
        write(part, lambda entry: provenance(entry, task, prepared, started), progress.step)
    for path, _ in slabs if copy else ():
        os.unlink(path)


def run(task):
    """All steps in one process (a site's own recipe without steps, or the command line)."""
    prepare(task)
    task.number, task.count = 1, 1
    reconstruct(task)


if __name__ == "__main__":
    main({"prepare": prepare, "reconstruct": reconstruct, "merge": merge, "run": run, "trial": "tomo_trial:trial"})
