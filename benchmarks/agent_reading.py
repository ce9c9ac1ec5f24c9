"""How fast the agent gets at stored values, against plain h5py and numpy: on one machine, no network, warm page cache.

Ways are interleaved, medians over the rounds. The files are written with hdf5plugin; the measuring needs only numpy
and h5py, so ``--python /usr/bin/python3`` measures the agent on a distribution's own. Results go to
``benchmarks/results/``.

    python -m benchmarks.agent_reading [--rounds 7] [--frames 100] [--side 512] [--threads 2] [--python PYTHON]
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EIGER, EIGER_GZIP, EIGER_BLOSC2, EIGER_LZF = "eiger.h5", "eiger_gzip.h5", "eiger_blosc2.h5", "eiger_lzf.h5"
PLAIN, CUBES, SLICES = "volume_contiguous.h5", "volume_cubes.h5", "volume_slices.h5"
VIRTUAL = "master.h5"
BAND = 64
Case = tuple[str, Callable[[], Any], Callable[[], Any], int]


def write_files(folder: Path, frames: int, side: int) -> None:
    """Eiger 4M uint32 stacks (several filters; a virtual one) and a float32 volume of ``side``³ in three layouts."""
    import h5py
    import hdf5plugin
    import numpy as np

    from benchmarks.stack import DATA_PATH, write_stack
    write_stack(folder / "latest.h5", frames)
    with h5py.File(folder / "latest.h5") as latest:
        source = latest[DATA_PATH]
        with h5py.File(folder / EIGER, "w") as out:  # the old file format, which every HDF5 reads
            made = out.create_dataset("d", source.shape, source.dtype, chunks=source.chunks,
                                      **hdf5plugin.Bitshuffle(cname="lz4"))
            for i in range(frames):
                skipped, raw = source.id.read_direct_chunk((i, 0, 0))
                made.id.write_direct_chunk((i, 0, 0), raw, skipped)
        packed: dict[str, Any] = {EIGER_GZIP: {"compression": "gzip", "compression_opts": 1, "shuffle": True},
                                  EIGER_BLOSC2: hdf5plugin.Blosc2(cname="zstd", clevel=1, filters=2),
                                  EIGER_LZF: {"compression": "lzf", "shuffle": True}}
        for name, how in packed.items():
            with h5py.File(folder / name, "w") as out:
                made = out.create_dataset("d", (4, *source.shape[1:]), source.dtype, chunks=source.chunks, **how)
                for i in range(4):
                    made[i] = source[i]
    layout = h5py.VirtualLayout((frames, *source_shape(folder)), "u4")
    for i in range(frames):
        layout[i] = h5py.VirtualSource(EIGER, "d", (frames, *source_shape(folder)))[i]
    with h5py.File(folder / VIRTUAL, "w") as out:
        out.create_virtual_dataset("d", layout)
    band = np.random.default_rng(3).normal(1, 0.2, (BAND, side, side)).astype(np.float32)
    layouts: dict[str, Any] = {PLAIN: {}, CUBES: {"chunks": (64, 64, 64), **hdf5plugin.Bitshuffle(cname="lz4")},
                               SLICES: {"chunks": (1, side, side), **hdf5plugin.Bitshuffle(cname="lz4")}}
    for name, how in layouts.items():
        with h5py.File(folder / name, "w") as out:
            made = out.create_dataset("d", (side, side, side), "f4", **how)
            for first in range(0, side, BAND):
                made[first:first + BAND] = band
    (folder / "latest.h5").unlink()
    for name in (EIGER, *packed, VIRTUAL, *layouts):
        os.utime(folder / name, ns=(10**18, 10**18))


def source_shape(folder: Path) -> Any:
    import h5py
    with h5py.File(folder / EIGER) as file:
        return file["d"].shape[1:]


def plain_statistics(frame: Any) -> Any:
    """What the agent's statistics say of a frame of counts, with numpy as one would write it."""
    import numpy as np
    valid = frame[frame != np.iinfo(frame.dtype).max]
    top = valid.max()
    return (frame.min(), frame.max(), frame.sum(dtype=np.uint64), valid.min(), top, valid.sum(dtype=np.uint64),
            valid.mean(), valid.std(), np.percentile(valid, (0.1, 1, 50, 99, 99.9)), np.histogram(valid, bins=256),
            np.argwhere(frame == top)[0])


def plain_float_statistics(frame: Any) -> Any:
    """The same for floating point."""
    import numpy as np
    valid = frame[np.isfinite(frame)]
    return (valid.min(), valid.max(), valid.sum(dtype=np.float64), valid.std(dtype=np.float64),
            np.percentile(valid, (0.1, 1, 50, 99, 99.9)), np.histogram(valid, bins=256), frame.argmax())


def plain_screen(frame: Any, factor: int) -> Any:
    """Block maxima of a frame, gaps aside."""
    import numpy as np
    height, width = (-(-n // factor) * factor for n in frame.shape)
    padded = np.zeros((height, width), frame.dtype)
    padded[:frame.shape[0], :frame.shape[1]] = np.where(frame == np.iinfo(frame.dtype).max, 0, frame)
    return padded.reshape(height // factor, factor, width // factor, factor).max(axis=(1, 3))


def cases(folder: Path, threads: int) -> list[Case]:
    """(what, ours in so many threads, plain h5py and numpy, how many frames it goes through)."""
    import h5py
    import numpy as np

    from app.agent.opening import open_hdf5  # registers hdf5plugin's filters where it is installed
    from app.agent.selection import tie
    from app.agent.service import Service
    from app.agent.statistics import statistics_of
    from app.agent.validity import invalid_mask
    from app.agent.virtual import SourceReader
    found: list[Case] = []
    numbers: dict[str, int] = {}

    def next_frame(name: str, count: int) -> int:
        numbers[name] = (numbers.get(name, -1) + 1) % count
        return numbers[name]

    def add(what: str, name: str, ours: Callable[[Any, int], list[Any]], theirs: Callable[[Any, int], Any]) -> None:
        dataset, reader = open_hdf5(str(folder / name))["d"], SourceReader(threads=threads)
        path = str(folder / name)
        plain = h5py.File(path, "r")["d"]
        count = dataset.shape[0]

        def read() -> None:
            if reader.read(dataset, tie(ours(dataset, next_frame(what + "o", count)), dataset.shape), path) is None:
                raise SystemExit(f"{what} was not read directly")

        found.append((what, read, lambda: theirs(plain, next_frame(what + "p", count)), 1))

    def add_frames(words: str, name: str) -> None:
        add(f"{words}: frame", name, lambda d, i: [i], lambda d, i: d[i])
        add(f"{words}: region of 500×500", name, lambda d, i: [i, [800, 1300, None], [700, 1200, None]],
            lambda d, i: d[i, 800:1300, 700:1200])
        add(f"{words}: pixel", name, lambda d, i: [i, 1100, 900 + i], lambda d, i: d[i, 1100, 900 + i])

    add_frames("4M uint32, bitshuffle-LZ4", EIGER)
    with h5py.File(str(folder / EIGER), "r") as file:
        count = file["d"].shape[0]
        frame = file["d"][1]
    columns, dataset, plain = itertools.count(10), open_hdf5(str(folder / EIGER))["d"], h5py.File(folder / EIGER)["d"]

    def profile(reader: Any) -> None:
        if reader.read(dataset, tie(["...", 1100, next(columns)], dataset.shape), str(folder / EIGER)) is None:
            raise SystemExit("a profile was not read directly")

    known = SourceReader()
    for words, whose in (("the first", SourceReader), ("another pixel then", lambda: known)):
        found.append((f"z-profile of a pixel, {words}: a frame", lambda whose=whose: profile(whose()),
                      lambda: [plain[n, 1100, next(columns)] for n in range(0, count, 10)], count))
    add("4M uint32, virtual dataset: frame", VIRTUAL, lambda d, i: [i], lambda d, i: d[i])
    add_frames("4M uint32, shuffle + deflate", EIGER_GZIP)
    add_frames("4M uint32, shuffle + LZF", EIGER_LZF)
    if h5py.h5z.filter_avail(32026):
        add_frames("4M uint32, blosc2", EIGER_BLOSC2)
    with h5py.File(str(folder / PLAIN), "r") as file:
        side = file["d"].shape[0]
    for words, name in ((f"{side}³ float32, contiguous", PLAIN), (f"{side}³ float32, chunks of 64³", CUBES),
                        (f"{side}³ float32, a chunk a slice", SLICES)):
        for number, axis in enumerate(("z", "y", "x")):
            add(f"{words}: slices along {axis}", name,
                lambda d, i, n=number: [[None, None, None]] * n + [i],
                lambda d, i, n=number: d[(slice(None),) * n + (i,)])
    invalid = invalid_mask(frame, 3)
    noise = np.random.default_rng(5).normal(1, 0.2, frame.shape).astype(np.float32)
    found.append(("statistics, 4M uint32 counts", lambda: statistics_of(frame, invalid, True),
                  lambda: plain_statistics(frame), 1))
    found.append(("statistics, 4M float32", lambda: statistics_of(noise, None, True),
                  lambda: plain_float_statistics(noise), 1))
    service = Service(0)

    def asked() -> None:
        service.handle("read", {"file": str(folder / EIGER), "data_path": "/d", "selection": [next_frame("s", count)],
                                "fit": [1084, 1035], "reduce": "max", "statistics": True})

    def by_hand() -> None:
        one = plain[next_frame("h", count)]
        plain_screen(one, 2)
        plain_statistics(one)

    found.append(("request for the screen: frame, pooled 2×2, statistics", asked, by_hand, 1))
    return found


def measure(folder: Path, rounds: int, threads: int) -> list[dict[str, Any]]:
    """Milliseconds of every way, median over the rounds."""
    rows = []
    for what, ours, theirs, through in cases(folder, threads):
        ours(), theirs()
        taken: dict[str, list[float]] = {"ours": [], "plain": []}
        for _ in range(rounds):
            for way, call in (("ours", ours), ("plain", theirs)):
                begun = time.perf_counter()
                call()
                taken[way].append((time.perf_counter() - begun) * 1e3)
        if through > 1:  # a profile: ours through all frames, the plain one through every tenth
            taken = {"ours": [t / through for t in taken["ours"]],
                     "plain": [t / len(range(0, through, 10)) for t in taken["plain"]]}
        row: dict[str, Any] = {"what": what}
        for way, values in taken.items():
            row.update({way + "_ms": statistics.median(values), way + "_range_ms": [min(values), max(values)]})
        rows.append(row)
        print(f"{what}: {row['ours_ms']:.2f} ms, plain {row['plain_ms']:.2f} ms", file=sys.stderr, flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = ["| | Beamside's agent | plain h5py, numpy | times faster |", "|---|---:|---:|---:|"]
    for row in rows:
        lines.append(f"| {row['what']} | {row['ours_ms']:.2f} ms | {row['plain_ms']:.2f} ms | "
                     f"{row['plain_ms'] / row['ours_ms']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=100, help="of the stack")
    parser.add_argument("--side", type=int, default=512, help="of the volumes")
    parser.add_argument("--threads", type=int, default=2, help="that decode at the same time")
    parser.add_argument("--python", default=sys.executable, help="that measures")
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.measure:
        import h5py
        import numpy as np
        rows = measure(Path(chosen.measure), chosen.rounds, chosen.threads)
        print(json.dumps({"rows": rows, "python": platform.python_version(), "h5py": h5py.__version__,
                          "hdf5": h5py.version.hdf5_version, "numpy": np.__version__}))
        return
    import hdf5plugin
    begun = datetime.datetime.now(datetime.UTC)
    from benchmarks.checkout import commit
    with tempfile.TemporaryDirectory(prefix="bs-bench-") as name:
        print(f"writing {chosen.frames} frames and the volumes", file=sys.stderr, flush=True)
        write_files(Path(name), chosen.frames, chosen.side)
        environment = dict(os.environ, HDF5_PLUGIN_PATH=str(hdf5plugin.PLUGIN_PATH), HDF5_USE_FILE_LOCKING="FALSE",
                           PYTHONPATH=str(ROOT), OPENBLAS_NUM_THREADS="1")
        argv = [chosen.python, str(Path(__file__).resolve()), "--measure", name, "--rounds", str(chosen.rounds),
                "--threads", str(chosen.threads)]
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    result = json.loads(done.stdout)
    result.update({"when": begun.isoformat(timespec="seconds"), "commit": commit(), "rounds": chosen.rounds,
                   "frames": chosen.frames, "side": chosen.side, "threads": chosen.threads,
                   "system": platform.platform(), "cores": os.cpu_count()})
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"agent_reading_{result['h5py']}_{begun:%Y%m%d-%H%M%S}.json"
    file.write_text(json.dumps(result, indent=1))
    print(f"Python {result['python']}, h5py {result['h5py']}, HDF5 {result['hdf5']}, numpy {result['numpy']}, "
          f"medians of {chosen.rounds} rounds\n\n{table(result['rows'])}\n\n{file}")


if __name__ == "__main__":
    main()
