"""Files cut, replaced or written over while they are read: a sentence or right values, and no lost worker."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent.service import Service
from app.protocol.errors import WireError
from tests.unit.agent_hdf5.comparing import LONG_AGO, bits, read

OLD = np.random.default_rng(4).poisson(4, (30, 64, 2048)).astype(np.uint16)
NEW = OLD + np.uint16(1000)
LAYOUTS: dict[str, Any] = {
    "contiguous": {}, "chunks": {"chunks": (1, 64, 2048)}, "gzip": {"chunks": (4, 64, 2048), "compression": "gzip",
                                                                   "compression_opts": 1},
    "bitshuffle": {"chunks": (1, 64, 2048), **hdf5plugin.Bitshuffle()}, "lz4": {"chunks": (8, 32, 512),
                                                                               **hdf5plugin.LZ4()},
    "blosc2": {"chunks": (5, 64, 1024), **hdf5plugin.Blosc2()}, "scale-offset": {"chunks": (1, 64, 2048),
                                                                               "scaleoffset": 0}}
SELECTIONS: list[tuple[list[Any], tuple[Any, ...]]] = [
    ([7], (7,)), (["...", 1000], (..., 1000)), ([[None, None, 3], 9], (slice(None, None, 3), 9)),
    ([[2, 9, None], [3, 60, 5], [100, 900, 7]], (slice(2, 9), slice(3, 60, 5), slice(100, 900, 7)))]


def cut(path: Path, other: Path) -> None:
    os.truncate(path, 0)


def cut_in_half(path: Path, other: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path, other: Path) -> None:
    shutil.copyfile(other, path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def write_over(path: Path, other: Path) -> None:
    with path.open("r+b") as file:
        file.write(other.read_bytes())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For every layout a file of the old values and one of the new."""
    folder = tmp_path_factory.mktemp("pairs")
    for name, how in LAYOUTS.items():
        for which, values in (("old", OLD), ("new", NEW)):
            with h5py.File(folder / f"{name} {which}.h5", "w") as file:
                file.create_dataset("d", data=values, **how)
    return folder


@pytest.mark.parametrize("harm", [cut, cut_in_half, replace, write_over])
@pytest.mark.parametrize("name", sorted(LAYOUTS))
@pytest.mark.parametrize("linked", [False, True])
def test_that_values_are_right_or_refused_whenever_it_happens(
        pairs: Path, tmp_path: Path, name: str, linked: bool, harm: Callable[[Path, Path], None],
        monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.h5"
    layout = h5py.VirtualLayout(OLD.shape, OLD.dtype)
    layout[...] = h5py.VirtualSource("a.h5", "d", OLD.shape)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("d", layout)
    preadv, getitem = os.preadv, h5py.Dataset.__getitem__
    happened: list[bool] = []
    for items, index in SELECTIONS:
        for moment in (0, 1, 4):
            shutil.copyfile(pairs / f"{name} old.h5", path)
            os.utime(path, ns=(LONG_AGO, LONG_AGO))
            left = [moment]

            def now(left: list[int] = left) -> None:
                if left[0] == 0:
                    harm(path, pairs / f"{name} new.h5")
                    happened.append(True)
                left[0] -= 1

            def read_some(*args: Any, now: Callable[[], None] = now) -> Any:
                now()
                return preadv(*args)

            def read_hdf5(dataset: Any, chosen: Any, now: Callable[[], None] = now) -> Any:
                if dataset.name == "/d":
                    now()
                return getitem(dataset, chosen)

            service = Service()
            with monkeypatch.context() as patched:
                patched.setattr(os, "preadv", read_some)
                patched.setattr(h5py.Dataset, "__getitem__", read_hdf5)
                with contextlib.suppress(WireError):
                    result, (values, *_) = read(service, tmp_path / ("m.h5" if linked else "a.h5"), "/d", items)
                    fill = np.zeros_like(OLD[index])
                    allowed = [bits(OLD[index]), bits(NEW[index]), *([bits(fill)] if result["missing"] else [])]
                    assert bits(values) in allowed, (items, moment)
                service.close()
    assert happened
