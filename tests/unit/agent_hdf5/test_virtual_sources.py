"""Virtual datasets of every kind against HDF5: without end, numbered, nested, interleaved; what a frame misses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent.selection import tie
from app.agent.service import Service
from app.agent.virtual import SourceReader
from app.agent.virtual_mapping import mapping_of
from tests.unit.agent_hdf5.comparing import LONG_AGO, bits, read

FRAMES = np.random.default_rng(9).poisson(3, (12, 10, 14)).astype(np.uint16)
NO_END = h5py.h5s.UNLIMITED


def source(path: Path, values: Any, **how: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=values, **(how or hdf5plugin.Bitshuffle()))
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


def numbered(file: Any, name: str, files: bytes, data: bytes, block: int, stride: int, start: int = 0) -> None:
    """A virtual dataset of numbered sources, ``block`` frames each, every ``stride`` frames."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_fill_value(np.array(7, "u2"))
    virtual = h5py.h5s.create_simple((start + stride, 10, 14), (NO_END, 10, 14))
    virtual.select_hyperslab((start, 0, 0), (NO_END, 1, 1), (stride, 1, 1), (block, 10, 14))
    plist.set_virtual(virtual, files, data, h5py.h5s.create_simple((block, 10, 14)))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_UINT16,
                    h5py.h5s.create_simple((0, 10, 14), (NO_END, 10, 14)), plist)


@pytest.fixture
def masters(tmp_path: Path) -> Path:
    """A folder with sources and a master file with a virtual dataset of every kind."""
    source(tmp_path / "a.h5", FRAMES, maxshape=(None, 10, 14), chunks=(1, 10, 14))
    source(tmp_path / "b.h5", FRAMES[:5] + 1, maxshape=(None, 10, 14), chunks=(2, 10, 14))
    for number in (0, 1, 3):
        source(tmp_path / f"part-{number}.h5", FRAMES[3 * number:3 * number + 3], chunks=(1, 10, 14))
    with h5py.File(tmp_path / "m.h5", "w", libver="latest") as file:
        layout = h5py.VirtualLayout((12, 10, 14), "u2", maxshape=(None, 10, 14))
        layout[:NO_END] = h5py.VirtualSource("a.h5", "d", FRAMES.shape, maxshape=(None, 10, 14))[:NO_END]
        file.create_virtual_dataset("without end", layout, fillvalue=7)
        layout = h5py.VirtualLayout((12, 2, 10, 14), "u2", maxshape=(None, 2, 10, 14))
        for number, name in enumerate(("a.h5", "b.h5")):
            layout[:NO_END, number] = h5py.VirtualSource(name, "d", FRAMES.shape, maxshape=(None, 10, 14))[:NO_END]
        file.create_virtual_dataset("unequal", layout, fillvalue=7)
        layout = h5py.VirtualLayout((24, 10, 14), "u2")
        layout[0:24:2] = h5py.VirtualSource("a.h5", "d", FRAMES.shape)
        layout[1:9:2] = h5py.VirtualSource("b.h5", "d", (5, 10, 14))[1:5]
        file.create_virtual_dataset("interleaved", layout, fillvalue=7)
        layout = h5py.VirtualLayout((4, 5, 14), "u2")
        layout[...] = h5py.VirtualSource("a.h5", "d", FRAMES.shape)[1:12:3, 0:10:2]
        file.create_virtual_dataset("thinned", layout, fillvalue=7)
        numbered(file, "numbered", b"part-%b.h5", b"d", 3, 3)
        numbered(file, "numbered apart", b"part-%b.h5", b"d", 3, 5, 2)
        layout = h5py.VirtualLayout((2, 12, 10, 14), "u2")
        layout[0] = h5py.VirtualSource(".", "without end", FRAMES.shape)
        layout[1, :6] = h5py.VirtualSource(".", "interleaved", (24, 10, 14))[3:9]
        file.create_virtual_dataset("nested", layout, fillvalue=9)
        layout = h5py.VirtualLayout((6, 10, 14), "u2")
        for number, name in enumerate(("part-0.h5", "gone.h5", "part-1.h5")):
            layout[2 * number:2 * number + 2] = h5py.VirtualSource(name, "d", (3, 10, 14))[:2]
        file.create_virtual_dataset("with a gap", layout, fillvalue=7)
        layout = h5py.VirtualLayout((2, 10, 14), "u2")
        layout[0, :, :7] = h5py.VirtualSource("gone.h5", "d", (10, 7))
        layout[0, :, 7:] = h5py.VirtualSource("a.h5", "d", FRAMES.shape)[4, :, 7:]
        layout[1] = h5py.VirtualSource("a.h5", "nothing", (10, 14))
        file.create_virtual_dataset("in modules", layout, fillvalue=7)
    os.utime(tmp_path / "m.h5", ns=(LONG_AGO, LONG_AGO))
    return tmp_path / "m.h5"


KINDS = ["without end", "unequal", "interleaved", "thinned", "numbered", "numbered apart", "nested", "with a gap",
         "in modules"]


@pytest.mark.parametrize("name", KINDS)
def test_that_every_kind_equals_hdf5(masters: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(masters, "r", locking=False) as file:
        whole, reader = file[name][()], SourceReader()
        rng = np.random.default_rng(2)
        cases: list[tuple[Any, ...]] = [(Ellipsis,)]
        for _ in range(25):
            cases.append(tuple(
                int(rng.integers(0, n)) if rng.random() < 0.4 else slice(None, None, int(rng.choice([1, 2, 3, -1, -2])))
                for n in whole.shape))
        monkeypatch.setattr(h5py.Dataset, "__getitem__", None)
        for index in cases:
            items: list[Any] = ["..." if n is ... else [n.start, n.stop, n.step] if isinstance(n, slice) else n
                                for n in index]
            plan = tie(items, whole.shape)
            found = reader.read(file[name], plan, str(masters))
            assert found is not None
            assert bits(found.reshape(plan.shape)) == bits(whole[index])


def gaps_of(master: Path, name: str, items: list[Any]) -> tuple[list[str], Any]:
    with h5py.File(master, "r", locking=False) as file:
        plan = tie(items, file[name].shape)
        gaps = SourceReader().gaps(file[name], plan, str(master))
        mask = np.zeros(plan.full_counts, bool)
        for gap in gaps:
            mask[gap.part] = True
        return [gap.sentence for gap in gaps], mask.reshape(plan.shape) if gaps else None


def test_that_what_is_missing_is_said_of_the_frame_that_misses_it(masters: Path) -> None:
    gone = str(masters.parent / "gone.h5")
    for frame in range(6):
        sentences, mask = gaps_of(masters, "with a gap", [frame])
        if frame in (2, 3):
            assert sentences == [f"The source file {gone} is missing; what it held reads as fill value."]
            assert mask.all()
        else:
            assert (sentences, mask) == ([], None)
    sentences, mask = gaps_of(masters, "with a gap", [[None, None, -1], 0])
    assert len(sentences) == 1
    assert mask.any(axis=1).tolist() == [False, False, True, True, False, False]
    sentences, mask = gaps_of(masters, "in modules", [0])
    assert len(sentences) == 1
    assert mask.all(axis=0).tolist() == [True] * 7 + [False] * 7
    sentences, mask = gaps_of(masters, "in modules", [1, [2, 5, None]])
    assert sentences == [f"There is no {masters.parent / 'a.h5'}::/nothing; what it held reads as fill value."]
    assert mask.shape == (3, 14)
    assert mask.all()


def test_that_a_source_that_is_shorter_than_another_is_named_where_it_ends(masters: Path) -> None:
    with h5py.File(masters, "r", locking=False) as file:
        assert file["unequal"].shape[0] == 12
    assert gaps_of(masters, "unequal", [3]) == ([], None)
    sentences, mask = gaps_of(masters, "unequal", [7])
    assert "b.h5::/d ends before this" in sentences[0]
    assert mask.all(axis=(1, 2)).tolist() == [False, True]


def test_that_a_nested_source_is_named_too(masters: Path) -> None:
    assert gaps_of(masters, "nested", [1, 1]) == ([], None)
    os.unlink(masters.parent / "a.h5")
    sentences, mask = gaps_of(masters, "nested", [1, 1])
    assert "a.h5 is missing" in sentences[0]
    assert mask.all()
    with h5py.File(masters, "r", locking=False) as file:
        plan = tie([1, 1], file["nested"].shape)
        assert sorted(SourceReader().sources_of(file["nested"], plan, str(masters)) or []) == [
            str(masters.parent / "a.h5")]


def test_that_sources_that_grow_or_are_replaced_are_noticed(masters: Path) -> None:
    service = Service()
    try:
        for name in ("without end", "nested"):
            lead = [0] if name == "nested" else []
            assert bits(read(service, masters, "/" + name, [*lead, 2])[1][0]) == bits(FRAMES[2])
        source(masters.parent / "new.h5", np.concatenate([FRAMES + 5, FRAMES]), maxshape=(None, 10, 14),
               chunks=(1, 10, 14))
        os.replace(masters.parent / "new.h5", masters.parent / "a.h5")
        os.utime(masters.parent / "a.h5", ns=(LONG_AGO, LONG_AGO + 1))
        for name in ("without end", "nested"):
            lead = [0] if name == "nested" else []
            assert bits(read(service, masters, "/" + name, [*lead, 2])[1][0]) == bits(FRAMES[2] + 5)
        assert bits(read(service, masters, "/without end", [20])[1][0]) == bits(FRAMES[8])
        source(masters.parent / "part-2.h5", FRAMES[6:9], chunks=(1, 10, 14))
        assert bits(read(service, masters, "/numbered", [7])[1][0]) == bits(FRAMES[7])
        assert bits(read(service, masters, "/numbered", [10])[1][0]) == bits(FRAMES[10])
    finally:
        service.close()


def test_that_gaps_are_the_same_after_reading(masters: Path) -> None:
    with h5py.File(masters, "r", locking=False) as file:
        reader = SourceReader()
        for name in KINDS:
            for frame in range(file[name].shape[0]):
                plan = tie([frame], file[name].shape)
                alone = reader.gaps(file[name], plan, str(masters))
                assert reader.read(file[name], plan, str(masters)) is not None
                assert reader.gaps(file[name], plan, str(masters)) == alone


def test_that_the_chunk_of_a_nested_source_is_found(masters: Path) -> None:
    with h5py.File(masters, "r", locking=False) as file:
        stored = SourceReader().stored_chunk(file["nested"], tie([0, 4], file["nested"].shape), str(masters))
        assert stored is not None
        assert stored.shape == (10, 14)
        assert stored.data == FRAMES[4].tobytes()


def test_that_the_sources_of_a_file_just_written_are_not_remembered(masters: Path) -> None:
    """It may be written again without its size or time telling."""
    for settled in (True, False):
        if not settled:
            os.utime(masters)
        with h5py.File(masters, "r", locking=False) as file:
            reader, virtual = SourceReader(), file["with a gap"]
            assert reader.read(virtual, tie([0], virtual.shape), str(masters)) is not None
            assert any(mapping is not None for mapping in reader._mappings.values()) == settled


@pytest.mark.parametrize("first", [0, 1, 2])
def test_that_a_frame_that_has_more_than_a_chunk_of_its_source_is_not_that_chunk(masters: Path, first: int) -> None:
    layout = h5py.VirtualLayout((2, 12, 14), "u2")
    layout[:, first:first + 10] = h5py.VirtualSource("a.h5", "d", FRAMES.shape)[:2]
    with h5py.File(masters.with_name("more.h5"), "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=7)
    with h5py.File(masters.with_name("more.h5"), "r", locking=False) as file:
        found = SourceReader().stored_chunk(file["d"], tie([1], (2, 12, 14)), file.filename)
    assert found is None


def test_that_the_cost_of_a_selection_counts_what_is_decoded(masters: Path) -> None:
    with h5py.File(masters, "r", locking=False) as file:
        reader, frame = SourceReader(), FRAMES[0].nbytes
        cost = reader.cost(file["interleaved"], tie([3], (24, 10, 14)), str(masters))
        assert cost is not None
        assert cost.stored in (frame, 2 * frame)
        assert mapping_of(file["interleaved"]) is not None
        with h5py.File(masters.parent / "part-1.h5", "r", locking=False) as other:
            cost = reader.cost(other["d"], tie(["...", 3], (3, 10, 14)), "")
            assert cost is not None
            assert cost.stored <= 3 * frame


def laid_out(folder: Path, seed: int) -> tuple[Path, Any]:
    """A virtual dataset of blocks with steps from sources with steps, and the values it must have."""
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.integers(1, 13)) for _ in range(int(rng.integers(1, 4))))
    layout, fill = h5py.VirtualLayout(shape, "u2"), int(rng.integers(0, 5))
    values = np.full(shape, fill, np.uint16)
    for number in range(int(rng.integers(1, 4))):
        where = tuple(slice(a, int(rng.integers(a + 1, n + 1)), int(rng.integers(1, 4)))
                      for a, n in ((int(rng.integers(0, n)), n) for n in shape))
        counts = values[where].shape
        inner = tuple(n for n in counts if n != 1) or (1,) if rng.random() < 0.4 else counts
        steps, starts = rng.integers(1, 4, len(inner)).tolist(), rng.integers(0, 3, len(inner)).tolist()
        outer = tuple(a + (n - 1) * step + 1 for a, n, step in zip(starts, inner, steps, strict=True))
        stored = rng.integers(1, 60_000, outer).astype("u2")
        taken = tuple(slice(a, None, step) for a, step in zip(starts, steps, strict=True))
        source(folder / f"s{seed}-{number}.h5", stored, chunks=outer, compression="gzip")
        layout[where] = h5py.VirtualSource(f"s{seed}-{number}.h5", "d", outer)[taken]
        values[where] = stored[taken].reshape(counts)
    with h5py.File(folder / f"{seed}.h5", "w") as file:
        file.create_virtual_dataset("v", layout, fillvalue=fill)
    return folder / f"{seed}.h5", values


def test_that_blocks_with_steps_from_sources_with_steps_are_read_directly(tmp_path: Path) -> None:
    for seed in range(60):
        path, values = laid_out(tmp_path, seed)
        rng, reader = np.random.default_rng(seed), SourceReader()
        with h5py.File(path, "r", locking=False) as file:
            for _ in range(4):
                items: list[Any] = [int(rng.integers(0, n)) if rng.random() < 0.3 else
                                    [None, None, int(rng.choice([1, 2, -1, 3]))] for n in values.shape]
                plan = tie(items, values.shape)
                found = reader.read(file["v"], plan, str(path))
                index = tuple(slice(*n) if isinstance(n, list) else n for n in items)
                assert found is not None
                assert bits(found) == bits(values[index]), (seed, items)
