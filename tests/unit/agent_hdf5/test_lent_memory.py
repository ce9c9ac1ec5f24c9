"""Memory for large frames is lent again when nothing lives in it any more, and never before."""

from __future__ import annotations

import numpy as np

from app.agent.lent_memory import PATIENCE_S, LentMemory


def place(values: np.ndarray) -> int:
    return int(values.ctypes.data)


def test_that_memory_is_lent_again_when_its_array_is_gone() -> None:
    memory = LentMemory(most=1 << 20, least=1 << 10)
    first = memory.empty((64, 64), np.uint16)
    where = place(first)
    assert first.shape == (64, 64)
    assert first.dtype == np.uint16
    assert first.flags.writeable
    assert first.flags.c_contiguous
    del first
    again = memory.empty((32, 64), np.float32)
    assert place(again) == where
    assert memory.nbytes == 64 * 64 * 2


def test_that_memory_in_which_any_view_lives_is_never_lent() -> None:
    memory = LentMemory(most=1 << 20, least=1 << 10)
    first = memory.empty((64, 64), np.uint16)
    first[...] = 7
    column, bits = first[:, 3].reshape(8, 8), memoryview(first)
    del first
    other = memory.empty((64, 64), np.uint16)
    other[...] = 9
    assert (column == 7).all()
    del column
    third = memory.empty((64, 64), np.uint16)
    third[...] = 11
    assert bits[0, 0] == 7
    assert (other == 9).all()


def test_that_no_more_is_kept_than_it_may_and_nothing_for_long() -> None:
    now = [0.0]
    memory = LentMemory(most=1 << 16, least=1 << 10, clock=lambda: now[0])
    lent = [memory.empty((1 << 15,), np.uint8) for _ in range(4)]
    assert memory.nbytes == 1 << 16
    assert len({place(one) for one in lent}) == 4
    del lent
    assert memory.empty((1 << 17,), np.uint8).nbytes == 1 << 17     # too large to be kept
    assert memory.empty((1 << 12,), np.uint8).nbytes == 1 << 12     # another size: the oldest make room
    assert memory.nbytes <= 1 << 16
    now[0] = PATIENCE_S
    memory.empty((8,), np.uint8)
    assert memory.nbytes > 0
    now[0] += 1
    memory.empty((8,), np.uint8)
    assert memory.nbytes == 0


def test_that_what_is_lent_survives_that_it_is_forgotten() -> None:
    memory = LentMemory(most=1 << 20, least=1 << 10)
    first = memory.empty((64, 64), np.uint16)
    first[...] = 5
    memory.forget()
    second = memory.empty((64, 64), np.uint16)
    second[...] = 6
    assert (first == 5).all()
