"""The laptop's side of the benchmark: runs in the home namespace, prints one JSON line per measurement."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import h5py
import numpy as np

from app.model.data import Selection
from benchmarks.stack import DATA_PATH, max_pooled
from benchmarks.ways import FACTOR, Beamside, H5pyOverSftp, Server, Way, WholeFile, timed

IDLE_S = 1.0                  # before each first image: TCP is idle when a person has been reading


def bytes_received() -> int:
    """Bytes of IP packets that came through the link so far."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip().startswith("bsA"):
            return int(counts.split()[0])
    raise RuntimeError("not in the home namespace of the link")


def measure(way: Way, file: Path, frames: list[int], round_number: int) -> dict[str, object]:
    """First image of a file not seen before, then scrubbing through others of its frames."""
    time.sleep(IDLE_S)
    before = bytes_received()
    first_s, picture = timed(way.first_image, file, frames[0])
    between = bytes_received()
    with h5py.File(file) as local:                     # the same disk, for once: is the picture right?
        want = max_pooled(local[DATA_PATH][frames[0]], FACTOR)
    visible = want > 0
    assert picture.shape == want.shape
    assert np.array_equal(picture[visible], want[visible]), f"{way.name} shows something else"
    scrub_s, _ = timed(way.scrub, file, frames[1:])
    return {"way": way.name, "round": round_number, "first_image_s": first_s, "first_image_bytes": between - before,
            "frames_per_s": len(frames[1:]) / scrub_s,
            "bytes_per_frame": (bytes_received() - between) / len(frames[1:])}


def main() -> None:
    order = json.loads(sys.argv[1])
    server = Server(**order["server"])
    ways: list[Way] = [Beamside(), Beamside(4), H5pyOverSftp(), WholeFile()]
    files = [Path(file) for file in order["files"]]
    random = np.random.default_rng(1)
    for way in ways:
        connect_s, _ = timed(way.connect, server)
        print(json.dumps({"way": way.name, "connect_s": connect_s}), flush=True)
    ours = ways[0]
    assert isinstance(ours, Beamside)
    for round_number in range(order["rounds"]):
        for way in ways:
            start = int(random.integers(0, order["frames"] - order["scrub"] - 1))
            count = order["scrub"] if way.name != "h5py over SFTP" else min(4, order["scrub"])
            frames = list(range(start, start + count + 1))
            print(json.dumps(measure(way, files.pop(), frames, round_number)), flush=True)
    file = Path(order["files"][0])
    selection = Selection.parse("3,700:900,700:900")
    with h5py.File(file) as local:
        assert np.array_equal(ours.exact(file, selection), local[DATA_PATH][3, 700:900, 700:900])
    for way in ways:
        way.close()


if __name__ == "__main__":
    main()
