"""Virtual datasets read from their sources against HDF5 itself, bit for bit, whatever is missing."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from app.agent.selection import tie
from app.agent.virtual import SourceReader
from tests.unit.agent_hdf5.comparing import EXAMPLES, Case, as_wire, bits, picked

_numbers = itertools.count()


@st.composite
def cases(draw: st.DrawFn) -> Any:
    shape = draw(npst.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7))
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        starts = [draw(st.integers(0, n - 1)) for n in shape]
        box = [(a, draw(st.integers(a + 1, n))) for a, n in zip(starts, shape, strict=True)]
        pieces.append(Case(box=box, where=draw(st.sampled_from(["file", "gone", "."])),
                           squeezed=draw(st.booleans()), margin=draw(st.integers(0, 2)),
                           chunked=draw(st.booleans())))
    return Case(shape=shape, pieces=pieces, dtype=draw(st.sampled_from(["u2", ">i4", "f8", "?"])),
                fill=draw(st.sampled_from([None, 1])), other_type=draw(st.integers(0, 9)) == 0,
                selections=draw(st.lists(npst.basic_indices(shape, allow_newaxis=False), min_size=1, max_size=3)))


def write(folder: Path, case: Any) -> Path:
    rng = np.random.default_rng(4)
    layout = h5py.VirtualLayout(case.shape, case.dtype)
    inside: dict[str, Any] = {}
    for number, piece in enumerate(case.pieces):
        counts = tuple(b - a for a, b in piece.box)
        source = tuple(n for n in counts if n != 1) or (1,) if piece.squeezed else counts
        outer = tuple(n + 2 * piece.margin for n in source)
        values = rng.integers(0, 2 if case.dtype == "?" else 200, outer).astype(
            "f4" if case.other_type and number == 0 and case.dtype != "?" else case.dtype)
        how = {"chunks": tuple(max(1, n // 2) for n in outer), **hdf5plugin.Bitshuffle()} if piece.chunked else {}
        name = "." if piece.where == "." else f"s{number}.h5"
        if piece.where == "file":
            with h5py.File(folder / name, "w") as file:
                file.create_dataset("d", data=values, **how)
        elif piece.where == ".":
            inside[f"d{number}"] = (values, how)
        wanted = h5py.VirtualSource(name, f"d{number}" if piece.where == "." else "d", outer, values.dtype)
        if piece.margin or piece.chunked:
            wanted = wanted[tuple(slice(piece.margin, piece.margin + n) for n in source)]
        layout[tuple(slice(a, b) for a, b in piece.box)] = wanted  # without a selection: all of it, however large
    path = folder / "master.h5"
    with h5py.File(path, "w", libver="latest") as file:
        for name, (values, how) in inside.items():
            file.create_dataset(name, data=values, **how)
        file.create_virtual_dataset("v", layout, fillvalue=case.fill)
    return path


def overlap(case: Any) -> bool:
    covered = np.zeros(case.shape, int)
    for piece in case.pieces:
        covered[tuple(slice(a, b) for a, b in piece.box)] += 1
    return bool((covered > 1).any())


def laid_down(case: Any, folder: Path) -> Any:
    """What blocks that overlap give: the last that is there counts (HDF5 leaves the rest as it finds memory)."""
    values = np.full(case.shape, 0 if case.fill is None else case.fill, case.dtype)
    for number, piece in enumerate(case.pieces):
        box = tuple(slice(a, b) for a, b in piece.box)
        if piece.where == "gone":
            continue
        with h5py.File(folder / ("master.h5" if piece.where == "." else f"s{number}.h5"), "r", locking=False) as file:
            source = file[f"d{number}" if piece.where == "." else "d"][()]
        inner = tuple(slice(piece.margin, n - piece.margin) for n in source.shape)
        values[box] = source[inner].astype(case.dtype).reshape(values[box].shape)
    return values


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_that_every_virtual_reading_equals_hdf5_bit_for_bit(tmp_path_factory: pytest.TempPathFactory,
                                                            case: Any) -> None:
    folder = tmp_path_factory.getbasetemp() / f"virtual{next(_numbers)}"
    folder.mkdir()
    path = write(folder, case)
    reader = SourceReader()
    with h5py.File(path, "r", locking=False) as file:
        whole = file["v"][()]
        for index in case.selections:
            plan = tie(as_wire(index), whole.shape)
            if 0 in plan.full_counts:
                continue
            found = reader.read(file["v"], plan, str(path))
            if not case.other_type:
                assert found is not None
            if found is not None:
                assert found.dtype == whole.dtype
                assert bits(found) == picked(laid_down(case, folder) if overlap(case) else whole, index)


def test_that_sources_are_read_without_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = np.arange(3 * 50 * 40, dtype=np.uint32).reshape(3, 50, 40)
    layout = h5py.VirtualLayout((3, 50, 40), "u4")
    for number in range(3):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file.create_dataset("d", data=frames[number], chunks=(50, 40), **hdf5plugin.Bitshuffle())
        layout[number] = h5py.VirtualSource(f"{number}.h5", "d", (50, 40))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        dataset = file["v"]
        monkeypatch.setattr(h5py.Dataset, "__getitem__", None)
        found = SourceReader().read(dataset, tie([[None, None, -1], [10, 20, None], 5], frames.shape),
                                    str(tmp_path / "master.h5"))
        assert bits(found) == bits(frames[::-1, 10:20, 5])


def test_that_only_the_files_a_selection_comes_from_are_looked_at(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((4, 3), "i4")
    for number in range(4):
        layout[number] = h5py.VirtualSource(f"{number}.h5", "d", (3,))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("v", layout)
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        found = SourceReader().sources_of(file["v"], tie([[3, 0, -2]], (4, 3)), str(tmp_path / "master.h5"))
        assert sorted(found or []) == [str(tmp_path / "1.h5"), str(tmp_path / "3.h5")]


def test_that_a_source_that_shrank_or_lies_elsewhere_is_left_to_hdf5(tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    layout = h5py.VirtualLayout((4,), "i4")
    layout[:] = h5py.VirtualSource("s.h5", "d", (4,))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=-1)
    with h5py.File(tmp_path / "cwd" / "s.h5", "w") as file:
        file["d"] = np.arange(4, dtype="i4")
    plan = tie(["..."], (4,))
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        assert SourceReader().read(file["v"], plan, str(tmp_path / "master.h5")) is None
    os.unlink(tmp_path / "cwd" / "s.h5")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["d"] = np.arange(3, dtype="i4")
    with h5py.File(tmp_path / "master.h5", "r", locking=False) as file:
        assert SourceReader().read(file["v"], plan, str(tmp_path / "master.h5")) is None


def test_that_selections_of_measured_files_equal_hdf5(measured_hdf5: Path) -> None:
    rng = np.random.default_rng(8)
    reader = SourceReader()
    paths: list[str] = []
    with h5py.File(measured_hdf5, "r", locking=False) as file:
        with contextlib.suppress(KeyError, RuntimeError):  # the damaged ones, as far as they go
            file.visititems(lambda name, node: paths.append(name) if isinstance(node, h5py.Dataset) else None)
        for path in paths:
            dataset = file[path]
            if not dataset.shape or dataset.size == 0 or dataset.dtype.hasobject or dataset.dtype.subdtype:
                continue
            for attempt in range(4):
                index: list[Any] = []
                for length in dataset.shape:
                    kind = int(rng.integers(0, 3))
                    first = int(rng.integers(0, length))
                    index.append(first if kind == 0 else slice(first, first + 40, int(rng.integers(1, 4)))
                                 if kind == 1 or attempt else slice(None))
                plan = tie(as_wire(tuple(index)), dataset.shape)
                found = reader.read(dataset, plan, str(measured_hdf5))
                if found is not None:
                    expected = dataset[tuple(slice(n, n + 1) if isinstance(n, int) else n for n in index)]
                    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
                    assert bits(found) == bits(expected)
