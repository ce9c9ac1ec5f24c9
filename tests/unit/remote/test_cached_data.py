"""The disk cache: what is kept, what is given out, and that nothing uncertain ever is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, cast

import numpy as np
import pytest

from app.model.data import Block, DataReference, Exactness, ReadRequest, Reduction, Selection, Statistics
from app.remote.block_file import DamagedBlockError, from_bytes, to_bytes
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.seams import DataService

DEADLINE_S = 10.0
OLD = (64_000, 1_600_000_000_000_000_000)
NEW = (64_000, 1_600_000_001_000_000_000)
REFERENCE = DataReference("far", PurePosixPath("/data/a.h5"), "/entry/data")


class FakeService:
    """One stack of noise; counts what is asked of it."""

    def __init__(self) -> None:
        self.generation = OLD
        self.connected = True
        self.asked: list[ReadRequest] = []
        self.watching: list[Callable[[tuple[int, int]], None]] = []
        self.change: dict[str, Any] = {}
        self.frames = np.random.default_rng(1).poisson(3, (5, 60, 50)).astype("u2")

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0,
             on_part: Callable[[Block], None] | None = None) -> Future[Block]:
        self.asked.append(request)
        values = self.frames[request.selection.items[0]]
        mask = np.zeros(values.shape, bool)
        mask[3:5, 7] = True
        block = Block(values, request.reference, request.selection, values.shape, mask=mask, signal="/entry/data",
                      generation=self.generation, bytes_received=1234, seconds=0.1, statistics=Statistics(
                          count=3000, limits=(0.0, 9.0), percentiles=((1.0, 0.5),), maximum_at=(1, 2)))
        done: Future[Block] = Future()
        done.set_result(replace(block, **self.change))
        return done

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> Any:
        self.watching.append(on_change)
        if known != self.generation:
            on_change(self.generation)
        return self

    def become(self, generation: tuple[int, int]) -> None:
        self.generation = generation
        for tell in self.watching:
            tell(generation)

    def status(self) -> dict[str, Any]:
        return {"agent": {"python": "3"} if self.connected else {}}

    def close(self) -> None:
        """A watch ends, or the service."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[BlockStore]:
    store = BlockStore(folder, 10_000_000)
    yield store
    store.close()


@pytest.fixture
def service() -> FakeService:
    return FakeService()


def cached_at(site: str, service: FakeService, store: BlockStore) -> CachedDataService:
    return CachedDataService(cast(DataService, service), store, site)     # it reads and watches; more is not asked here


@pytest.fixture
def cached(service: FakeService, store: BlockStore) -> CachedDataService:
    return cached_at("far", service, store)


def frame(number: int, **more: Any) -> ReadRequest:
    return ReadRequest(REFERENCE, Selection.frame((number,)), **more)


def settled(store: BlockStore) -> None:
    """Everything the disk's thread had to do is done."""
    store.load("nothing").result(DEADLINE_S)


def read_twice(cached: CachedDataService, store: BlockStore, request: ReadRequest) -> Block:
    cached.read(request).result(DEADLINE_S)
    settled(store)
    return cached.read(request).result(DEADLINE_S)


def test_that_what_was_read_comes_from_the_disk_the_second_time(cached: CachedDataService, store: BlockStore,
                                                                service: FakeService) -> None:
    block = read_twice(cached, store, frame(2))
    assert len(service.asked) == 1
    fresh = service.read(frame(2)).result()
    np.testing.assert_array_equal(block.values, fresh.values)
    assert block.mask is not None
    np.testing.assert_array_equal(block.mask, fresh.mask)
    assert block.values.dtype == fresh.values.dtype
    assert block.statistics == fresh.statistics
    assert (block.generation, block.exactness, block.full_shape) == (OLD, Exactness.EXACT, (60, 50))
    assert block.bytes_received == 0, "it was viewed, not streamed"
    assert not block.values.flags.writeable


def test_that_it_survives_the_program(service: FakeService, folder: Path) -> None:
    for _ in range(2):
        store = BlockStore(folder, 10_000_000)
        settled(store)
        cached = cached_at("far", service, store)
        cached._states.current(REFERENCE.file_path)
        cached.read(frame(1)).result(DEADLINE_S)
        settled(store)
        store.close()
    assert len(service.asked) == 1


def test_that_a_changed_file_is_read_anew(cached: CachedDataService, store: BlockStore, service: FakeService) -> None:
    read_twice(cached, store, frame(0))
    service.become(NEW)
    assert cached.read(frame(0)).result(DEADLINE_S).generation == NEW
    assert len(service.asked) == 2


def test_that_nothing_is_given_out_while_the_state_of_the_file_is_not_known(
        cached: CachedDataService, store: BlockStore, service: FakeService) -> None:
    read_twice(cached, store, frame(0))
    service.connected = False
    cached.read(frame(0)).result(DEADLINE_S)
    service.connected = True
    service.become((0, 0))
    cached.read(frame(0)).result(DEADLINE_S)
    assert len(service.asked) == 3


def test_that_a_reply_that_contradicts_the_watch_makes_it_ask_again(cached: CachedDataService, store: BlockStore,
                                                                    service: FakeService) -> None:
    read_twice(cached, store, frame(0))
    service.generation = NEW                                  # changed, and the watch has not told yet
    watches = len(service.watching)
    cached.read(frame(1)).result(DEADLINE_S)
    assert len(service.watching) == watches + 1
    assert cached.read(frame(0)).result(DEADLINE_S).generation == NEW


@pytest.mark.parametrize("change", [
    {"exactness": Exactness.QUANTISED, "max_error": 0.1}, {"self_contained": False}, {"missing": ("a file",)},
    {"generation": (64_000, 4_000_000_000_000_000_000)}], ids=str)
def test_that_what_is_not_certain_is_not_kept(cached: CachedDataService, store: BlockStore, service: FakeService,
                                              change: dict[str, Any]) -> None:
    service.change = change
    service.become(change.get("generation", OLD))
    read_twice(cached, store, frame(0))
    assert len(service.asked) == 2
    assert store.held_bytes == 0


@pytest.mark.parametrize("other", [
    {"fit": (30, 25)}, {"fit": (60, 50), "reduction": Reduction.MEAN}, {"selection": Selection.frame((1,))},
    {"reference": DataReference("far", PurePosixPath("/data/b.h5"), "/entry/data")},
    {"reference": DataReference("far", PurePosixPath("/data/a.h5"), "/entry/sum")}], ids=str)
def test_that_another_question_never_gets_the_same_answer(cached: CachedDataService, store: BlockStore,
                                                          service: FakeService, other: dict[str, Any]) -> None:
    first = frame(0, fit=(60, 50))
    for request in (first, replace(first, **other)):
        cached._states.current(request.reference.file_path)
        cached.read(request).result(DEADLINE_S)
        settled(store)
    assert service.asked == [first, replace(first, **other)]


def test_that_the_same_path_at_another_site_is_another_file(cached: CachedDataService, store: BlockStore,
                                                            service: FakeService) -> None:
    read_twice(cached, store, frame(0))
    elsewhere = cached_at("near", service, store)
    elsewhere._states.current(REFERENCE.file_path)
    elsewhere.read(frame(0)).result(DEADLINE_S)
    assert len(service.asked) == 2


def test_that_who_wants_statistics_never_gets_a_picture_without(cached: CachedDataService, store: BlockStore,
                                                                service: FakeService) -> None:
    service.change = {"statistics": Statistics()}
    read_twice(cached, store, frame(0, statistics=False))
    assert len(service.asked) == 1
    service.change = {}
    assert cached.read(frame(0)).result(DEADLINE_S).statistics.count == 3000
    assert len(service.asked) == 2


def test_that_what_was_read_in_another_state_than_the_file_is_in_now_is_not_kept(
        cached: CachedDataService, store: BlockStore, service: FakeService) -> None:
    service.become(NEW)
    service.change = {"generation": OLD}                      # read before the change, and slow to come
    read_twice(cached, store, frame(0))
    assert store.held_bytes == 0


def test_that_drafts_are_not_kept_and_never_answered_from_the_disk(cached: CachedDataService, store: BlockStore,
                                                                   service: FakeService) -> None:
    read_twice(cached, store, frame(0, draft=True))
    assert len(service.asked) == 2
    assert store.held_bytes == 0


@pytest.mark.parametrize("damage", [b"", b"BEAMSIDE-BLOCK 1\n", b"something else entirely"])
def test_that_a_damaged_entry_is_dropped_and_asked_for_again(
        cached: CachedDataService, store: BlockStore, service: FakeService, folder: Path, damage: bytes) -> None:
    read_twice(cached, store, frame(0))
    file = next(folder.glob("*.block"))
    file.write_bytes(damage)
    np.testing.assert_array_equal(cached.read(frame(0)).result(DEADLINE_S).values, service.frames[0])
    settled(store)
    assert len(service.asked) == 2


def test_that_every_flipped_byte_is_noticed() -> None:
    request = frame(0)
    data = to_bytes(FakeService().read(request).result(), "name")
    assert data is not None
    np.testing.assert_array_equal(from_bytes(data, "name", request).values, FakeService().frames[0])
    for place in range(0, len(data), 7):
        broken = bytearray(data)
        broken[place] ^= 0x41
        try:
            block = from_bytes(bytes(broken), "name", request)
        except DamagedBlockError:
            continue
        np.testing.assert_array_equal(block.values, FakeService().frames[0])   # a byte that only pads
    with pytest.raises(DamagedBlockError):
        from_bytes(data, "another name", request)


def test_that_the_cache_is_bounded_and_the_oldest_goes_first(service: FakeService, folder: Path) -> None:
    store = BlockStore(folder, 24_000)   # a block is kept up to a quarter; LZ4 makes 3.4 to 4.2 kB of one
    cached = cached_at("far", service, store)
    cached._states.current(REFERENCE.file_path)
    service.frames = np.random.default_rng(1).integers(0, 60, (9, 60, 50), "u1")
    for number in range(9):
        cached.read(frame(number)).result(DEADLINE_S)
        settled(store)
    assert 0 < store.held_bytes <= 24_000
    assert sum(file.stat().st_size for file in folder.glob("*.block")) == store.held_bytes
    before = len(service.asked)
    cached.read(frame(8)).result(DEADLINE_S)
    assert len(service.asked) == before, "the newest is still there"
    cached.read(frame(0)).result(DEADLINE_S)
    assert len(service.asked) == before + 1, "the oldest is not"
    store.close()


def test_that_only_its_owner_may_look_into_it_and_it_is_wiped_on_request(cached: CachedDataService, store: BlockStore,
                                                                         folder: Path) -> None:
    read_twice(cached, store, frame(0))
    assert folder.stat().st_mode & 0o777 == 0o700
    assert next(folder.glob("*.block")).stat().st_mode & 0o077 == 0
    store.clear().result(DEADLINE_S)
    assert os.listdir(folder) == []
    assert store.held_bytes == 0


def test_that_a_newer_epoch_cancels_what_is_older(service: FakeService, store: BlockStore,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Future[Block]] = []

    def slow(request: ReadRequest, **_more: Any) -> Future[Block]:
        waiting.append(Future())
        return waiting[-1]

    cached = cached_at("far", service, store)
    read_twice(cached, store, frame(0))
    monkeypatch.setattr(service, "read", slow)
    old = cached.read(frame(1), view="panel", epoch=1)
    assert cached.read(frame(0), view="panel", epoch=2).result(DEADLINE_S) is not None
    assert old.cancelled()
    assert waiting[0].cancelled()


def test_that_cancelling_while_the_disk_is_read_settles_at_once(cached: CachedDataService, store: BlockStore,
                                                                service: FakeService) -> None:
    read_twice(cached, store, frame(0))
    go_on = threading.Event()
    store._submit(go_on.wait, DEADLINE_S)
    future = cached.read(frame(0))
    assert future.cancel()
    go_on.set()
    settled(store)
    assert len(service.asked) == 1


def test_that_a_folder_that_cannot_be_used_is_no_cache(service: FakeService, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = BlockStore(tmp_path / "file" / "data", 10_000_000)
    cached = cached_at("far", service, store)
    done = [cached.read(frame(0)), cached.read(frame(0))]
    wait_for(done, DEADLINE_S)
    assert [future.result().generation for future in done] == [OLD, OLD]
    store.close()
