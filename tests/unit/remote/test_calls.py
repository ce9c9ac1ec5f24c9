"""Requests that wait: parts, answers that are no good, and a file that is damaged where it was read."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from app.errors import AgentError, BeamsideError
from app.protocol import stored
from app.protocol.messages import Reply, from_frame
from app.protocol.replies import encode_reply
from app.protocol.stored import StoredArray
from app.remote.calls import Call, tell

WHOLE = zlib.compress(np.arange(3000, dtype="u4").tobytes())


def answered(call: Call, arrays: list[Any], more: bool = False) -> bool:
    """Give the call a reply; whether it has been settled by it."""
    settle = None
    for frame in encode_reply(1, {"n": 1}, arrays, ("raw", *stored.available_filters()), more=more):
        reply = from_frame(frame)
        assert isinstance(reply, Reply)
        settle = call.take(reply)
    if settle is not None:
        settle()
    return settle is not None


def chunk(data: bytes) -> StoredArray:
    return StoredArray(data, ((1, (4,)),), (3000,), np.dtype("u4"))


def test_that_parts_are_told_in_order_and_the_last_reply_settles() -> None:
    told: list[int] = []
    call = Call("read", {}, lambda r, arrays, n, s: arrays[0].size, part=lambda r, arrays, n, s: told.append(n))
    assert not answered(call, [np.zeros(10)], more=True)
    assert not answered(call, [np.zeros(20)], more=True)
    assert answered(call, [chunk(WHOLE)])
    assert told == sorted(set(told))
    assert call.future.result(0) == 3000


def test_that_a_damaged_chunk_of_a_part_leaves_the_last_word_to_the_agent() -> None:
    parts: list[int] = []
    call = Call("read", {}, lambda r, arrays, n, s: "found out", part=lambda *told: parts.append(1))
    assert not answered(call, [chunk(WHOLE[:-9])], more=True)
    assert answered(call, [])
    assert (call.future.result(0), parts) == ("found out", [])


def test_that_a_damaged_chunk_is_the_files_fault_not_the_agents() -> None:
    call = Call("read", {}, lambda r, arrays, n, s: arrays)
    assert answered(call, [chunk(b"nonsense")])
    error = call.future.exception(0)
    assert isinstance(error, BeamsideError)
    assert (error.kind, error.summary) == ("unreadable", "The file is damaged where this was to be read.")


def test_that_an_answer_that_cannot_be_understood_costs_its_request_only() -> None:
    for arrays, more in (([], False), ([], True)):
        call = Call("read", {}, lambda r, arrays, n, s: arrays[0], part=lambda r, arrays, n, s: arrays[0])
        assert answered(call, arrays, more)
        assert isinstance(call.future.exception(0), AgentError)


@pytest.mark.logs_errors("a listener of a reply's parts failed")
def test_that_a_listener_that_fails_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fails(value: int) -> None:
        raise ValueError(value)

    tell(fails, 3)
    tell(None, 3)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
