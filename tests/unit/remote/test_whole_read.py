"""Large selections are read in pieces that join to what numpy would give."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DataError, SelectionError, StorageFullError
from app.model.data import Block, DataReference, ReadRequest, Selection, Statistics
from app.model.plot import PlotDescription, View
from app.remote import whole_read
from app.remote.whole_read import merge, read_whole, resolve

REFERENCE = DataReference("local", PurePosixPath("/f.h5"), "/d")


@dataclass
class FakeArrayService:
    """A DataService that answers from one array, and counts the reads."""

    array: np.ndarray
    reads: list[Selection] = field(default_factory=list)

    def plot(self, reference: DataReference) -> Future[PlotDescription]:
        return _done(PlotDescription(View.STACK, signal="/d", shape=self.array.shape, dtype=str(self.array.dtype)))

    def read(self, request: ReadRequest, **_: Any) -> Future[Block]:
        self.reads.append(request.selection)
        values = self.array[request.selection.items]
        stats = Statistics(int(values.min()), int(values.max()), int(values.sum()), count=values.size)
        return _done(Block(values, request.reference, request.selection, values.shape, statistics=stats, signal="/d"))


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


def _wait(future: Future[Any]) -> Any:
    return future.result(timeout=5)


_ends = st.none() | st.integers(-5, 5)
_slices = st.builds(slice, _ends, _ends, st.sampled_from([None, 1, 2, 3, -1, -2]))


@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), data=st.data())
def test_that_pieces_join_to_the_selection(shape: list[int], data: st.DataObject) -> None:
    array = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    items = tuple(data.draw(st.integers(-n, n - 1) | _slices) for n in shape)
    expected = array[items]
    if expected.size == 0:
        return
    import tempfile
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_read, "PIECE_BYTES", 16)
        service = FakeArrayService(array)
        out = Path(folder) / "out.npy"
        whole = read_whole(service, ReadRequest(REFERENCE, Selection(items)), out, _wait)
        assert np.array_equal(np.load(out), expected)
        assert whole.shape == expected.shape
        assert whole.statistics.total == expected.sum()
        assert whole.statistics.count == expected.size


def test_that_a_large_selection_needs_several_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_read, "PIECE_BYTES", 800)
    service = FakeArrayService(np.arange(1000, dtype=np.int64).reshape(10, 10, 10))
    read_whole(service, ReadRequest(REFERENCE), tmp_path / "o.npy", _wait)
    assert len(service.reads) == 10


def test_that_pieces_of_two_states_of_a_file_are_never_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is replaced between the third and the fourth read."""
    monkeypatch.setattr(whole_read, "PIECE_BYTES", 800)

    class Replaced(FakeArrayService):
        def read(self, request: ReadRequest, **how: Any) -> Future[Block]:
            block = super().read(request, **how).result()
            return _done(replace(block, generation=(8000, 1 if len(self.reads) < 4 else 2)))

    service = Replaced(np.arange(1000, dtype=np.int64).reshape(10, 10, 10))
    with pytest.raises(DataError, match="changed while it was read"):
        read_whole(service, ReadRequest(REFERENCE), tmp_path / "o.npy", _wait)
    assert list(tmp_path.iterdir()) == []


def test_that_what_is_missing_of_any_piece_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_read, "PIECE_BYTES", 800)

    class Gappy(FakeArrayService):
        def read(self, request: ReadRequest, **how: Any) -> Future[Block]:
            block = super().read(request, **how).result()
            return _done(replace(block, missing=("b.h5 is missing.",) if len(self.reads) in (5, 6) else ()))

    service = Gappy(np.arange(1000, dtype=np.int64).reshape(10, 10, 10))
    whole = read_whole(service, ReadRequest(REFERENCE), tmp_path / "o.npy", _wait)
    assert whole.missing == ("b.h5 is missing.",)


def test_that_an_index_outside_is_a_sentence() -> None:
    with pytest.raises(SelectionError, match="Index 7 is outside axis 1, which has 3 elements"):
        resolve(Selection.parse("0,7"), (2, 3))
    with pytest.raises(SelectionError, match="3 indices"):
        resolve(Selection.parse("0,1,2"), (2, 3))


def test_that_nothing_half_written_is_left_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(StorageFullError):
        read_whole(FakeArrayService(np.zeros((2, 2), np.int32)), ReadRequest(REFERENCE), tmp_path / "o.npy", _wait)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_that_a_disk_that_is_really_full_is_told() -> None:
    service = FakeArrayService(np.zeros((2000, 2000), np.int32))
    with pytest.raises(StorageFullError, match="no space left"):
        read_whole(service, ReadRequest(REFERENCE), Path("/dev/full"), _wait)


def test_that_a_folder_that_is_missing_is_told(tmp_path: Path) -> None:
    service = FakeArrayService(np.zeros((2, 2), np.int32))
    with pytest.raises(DataError, match="cannot be written"):
        read_whole(service, ReadRequest(REFERENCE), tmp_path / "no" / "o.npy", _wait)


def test_that_merging_keeps_integers_exact() -> None:
    both = merge(Statistics(1, 2**63, 2**64), Statistics(0, 5, 3))
    assert (both.minimum, both.maximum, both.total) == (0, 2**63, 2**64 + 3)
    assert merge(Statistics(), Statistics(1, 1, 1)).total == 1
