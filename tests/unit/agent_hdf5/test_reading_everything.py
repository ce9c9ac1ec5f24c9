"""Thousands of readings of everything HDF5 can store, by numbers that say again what failed.

``BEAMSIDE_READINGS`` says how many; numbers of files that failed once are kept in :data:`KEPT`.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import Any

import hdf5plugin

from tests.peers.need import missing
from tests.unit.agent_hdf5.reading_cases import DATASETS, check_file, write_file

READINGS = int(os.environ.get("BEAMSIDE_READINGS", "6000"))
SELECTIONS = 20
KEPT = [101]  # few items behind the last of 16 blocks
PACKINGS: list[tuple[str, Any]] = [
    ("none", {}), ("gzip", {"compression": "gzip", "compression_opts": 1}), ("lzf", {"compression": "lzf"}),
    ("szip", {"compression": "szip"}), ("bitshuffle lz4", hdf5plugin.Bitshuffle()),
    ("bitshuffle lz4 small", hdf5plugin.Bitshuffle(nelems=64)),
    ("bitshuffle zstd", hdf5plugin.Bitshuffle(cname="zstd")),
    ("bitshuffle none", hdf5plugin.Bitshuffle(cname="none")), ("lz4", hdf5plugin.LZ4(nbytes=1000)),
    ("zstd", hdf5plugin.Zstd()), ("blosc", hdf5plugin.Blosc()), ("blosc zstd", hdf5plugin.Blosc("zstd", shuffle=2)),
    ("blosc2", hdf5plugin.Blosc2()), ("blosc2 zstd", hdf5plugin.Blosc2("zstd", filters=2)),
    ("bzip2", hdf5plugin.BZip2())]
DEBIAN = "/usr/bin/python3"


def test_that_every_reading_of_everything_equals_hdf5_bit_for_bit(tmp_path: Path) -> None:
    checked = direct = seed = 0
    while checked < READINGS:
        number = KEPT[seed] if seed < len(KEPT) else seed - len(KEPT)
        path = tmp_path / f"{number}.h5"
        write_file(path, number, PACKINGS)
        more, without = check_file(path, number, SELECTIONS)
        checked, direct, seed = checked + more, direct + without, seed + 1
        path.unlink()
    assert direct > 0.9 * checked, (direct, checked)


def test_that_the_distributions_own_h5py_reads_the_same(tmp_path: Path) -> None:
    if not Path(DEBIAN).exists():
        missing(f"{DEBIAN} with h5py (package python3-h5py)")
    specification = importlib.util.find_spec("hdf5plugin")
    assert specification is not None
    assert specification.origin is not None
    plugins = str(Path(specification.origin).parent / "plugins")
    for seed in range(3):
        path = tmp_path / f"{seed}.h5"
        write_file(path, seed, PACKINGS, "v110")
        done = subprocess.run([DEBIAN, str(Path(__file__).with_name("reading_cases.py")), str(path), str(seed), "10"],
                              env={"HDF5_PLUGIN_PATH": plugins, "HDF5_USE_FILE_LOCKING": "FALSE"}, text=True,
                              capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[1]) > 5 * DATASETS
