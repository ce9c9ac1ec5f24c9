"""What is sent next: priorities, credit, epochs, cancel. Without processes or a wire."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from app.agent.outbox import Outbox, Outgoing
from app.agent.work import Task, TaskQueue, Wanted
from app.protocol.errors import WireError
from app.protocol.framing import FrameDecoder
from app.protocol.messages import Error, Message, Pong, Reply, Request, from_frame, to_frame

DEADLINE_S = 10.0


class FakeWire:
    """Collects what the outbox writes."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.broken = False
        self._condition = threading.Condition()

    def write(self, data: bytes) -> None:
        if self.broken:
            raise BrokenPipeError
        with self._condition:
            self.messages += [from_frame(frame) for frame in FrameDecoder().feed(data)]
            self._condition.notify_all()

    def until(self, count: int) -> list[Message]:
        with self._condition:
            assert self._condition.wait_for(lambda: len(self.messages) >= count, DEADLINE_S), self.messages
        return self.messages

    def streams(self, count: int) -> list[int]:
        return [m.stream for m in self.until(count) if isinstance(m, (Reply, Error))]


class Sender:
    """An outbox with its wire; fragments are 1000 bytes."""

    def __init__(self) -> None:
        self.wire, self.wanted, self.lost = FakeWire(), Wanted(), threading.Event()
        self.outbox = Outbox(self.wire.write, self.wanted, self.lost.set)
        self.outbox.start()

    def task(self, stream: int, priority: int = 2, view: str = "", epoch: int = 0) -> Task:
        task = Task(Request(stream, "read", {}, priority, view, epoch))
        self.wanted.add(task)
        return task

    def reply(self, task: Task, fragments: int = 3) -> Outgoing:
        outgoing = self.outbox.open_reply(task)
        self.part(outgoing, fragments)
        return outgoing

    def part(self, outgoing: Outgoing, fragments: int, more: bool = False, urgent: bool = False) -> None:
        """One reply of a stream."""
        for index in range(fragments):
            last = index == fragments - 1
            self.outbox.put(outgoing, to_frame(Reply(outgoing.task.stream, bytes(1000), index == 0, last,
                                                     fragments * 1000, more=more and last, urgent=urgent)))


@pytest.fixture
def sender() -> Iterator[Sender]:
    made = Sender()
    yield made
    made.outbox.close(DEADLINE_S)


def test_that_nothing_of_a_reply_is_sent_without_credit(sender: Sender) -> None:
    sender.reply(sender.task(1))
    sender.outbox.send(Pong(1))
    assert sender.wire.until(1) == [Pong(1)]
    sender.outbox.grant(1)
    assert sender.wire.streams(2) == [1]
    sender.outbox.send(Pong(2))
    sender.wire.until(3)
    assert len(sender.wire.messages) == 3
    sender.outbox.grant(10000)
    assert sender.wire.streams(5) == [1, 1, 1]


def test_that_an_urgent_part_need_not_wait_for_credit_that_stale_ones_used_up(sender: Sender) -> None:
    sender.outbox.grant(1)
    sender.reply(sender.task(1), fragments=5)
    sender.wire.until(1)
    task = sender.task(2)
    outgoing = sender.outbox.open_reply(task)
    sender.part(outgoing, 2, more=True, urgent=True)
    sender.part(outgoing, 3)
    assert sender.wire.streams(3) == [1, 2, 2]
    sender.outbox.send(Pong(1))
    sender.wire.until(4)
    assert len(sender.wire.messages) == 4
    sender.outbox.grant(10**6)
    assert sender.wire.streams(11) == [1, 2, 2, 1, 1, 1, 1, 2, 2, 2]


def test_that_urgent_parts_are_not_sent_far_ahead_of_credit(sender: Sender) -> None:
    outgoing = sender.outbox.open_reply(sender.task(1))
    sender.part(outgoing, 100, more=True, urgent=True)
    sender.wire.until(60)
    sender.outbox.send(Pong(1))
    messages = sender.wire.until(65)
    assert sender.outbox.held > 30_000, len(messages)


def test_that_an_urgent_reply_overtakes_the_rest_of_a_large_one(sender: Sender) -> None:
    sender.reply(sender.task(1, priority=4), fragments=5)
    sender.outbox.grant(1)
    sender.wire.until(1)
    sender.reply(sender.task(2, priority=0), fragments=2)
    sender.reply(sender.task(3, priority=4), fragments=1)
    sender.outbox.grant(10**6)
    assert sender.wire.streams(8) == [1, 2, 2, 1, 1, 1, 1, 3]
    assert sender.outbox.held == 0
    assert sender.wanted.count == 0


def test_that_all_previews_go_before_any_picture(sender: Sender) -> None:
    for stream in (1, 2, 3):
        outgoing = sender.outbox.open_reply(sender.task(stream, priority=2 + stream % 2))
        sender.part(outgoing, 2, more=True, urgent=True)
        sender.part(outgoing, 3)
    sender.outbox.grant(10**6)
    assert sender.wire.streams(15) == [1, 1, 2, 2, 3, 3, 2, 2, 2, 1, 1, 1, 3, 3, 3]
    assert sender.wanted.count == 0


def test_that_what_was_put_before_a_preview_goes_with_it_and_background_is_never_urgent(sender: Sender) -> None:
    sender.reply(sender.task(1, priority=2), fragments=1)
    background, described = (sender.outbox.open_reply(sender.task(stream, priority)) for stream, priority in
                             ((2, 5), (3, 4)))
    sender.part(background, 1, urgent=True)
    sender.part(described, 1, more=True)
    sender.part(described, 1, more=True, urgent=True)
    sender.part(described, 1)
    sender.outbox.grant(10**6)
    assert sender.wire.streams(5) == [3, 3, 1, 3, 2]


def test_that_an_old_epoch_stops_between_fragments(sender: Sender) -> None:
    sender.reply(sender.task(1, view="v", epoch=1), fragments=50)
    sender.outbox.grant(1)
    sender.wire.until(1)
    sender.wanted.new_epoch("v", 2)
    sender.outbox.recheck()
    sender.reply(sender.task(2, view="v", epoch=2), fragments=1)
    sender.outbox.grant(10**6)
    assert sender.wire.streams(2) == [1, 2]
    assert sender.wanted.count == 0


def test_that_a_cancelled_reply_stops_between_fragments(sender: Sender) -> None:
    sender.reply(sender.task(1), fragments=50)
    sender.outbox.grant(1)
    sender.wire.until(1)
    sender.wanted.cancel(1)
    sender.outbox.recheck()
    sender.reply(sender.task(2), fragments=1)
    sender.outbox.grant(10**6)
    assert sender.wire.streams(2) == [1, 2]


def test_that_an_error_takes_the_place_of_what_was_not_sent(sender: Sender) -> None:
    task = sender.task(1)
    outgoing = sender.outbox.open_reply(task)
    sender.outbox.put(outgoing, to_frame(Reply(1, bytes(1000), True, False, 9000)))
    sender.outbox.fail(outgoing, WireError("worker_lost", "Gone."))
    sender.outbox.grant(10**6)
    assert sender.wire.until(1) == [Error(1, "worker_lost", "Gone.")]


def test_that_a_broken_wire_is_told_once(sender: Sender) -> None:
    sender.wire.broken = True
    sender.outbox.send(Pong(1))
    assert sender.lost.wait(DEADLINE_S)


def test_that_tasks_come_by_priority_and_a_worker_can_be_kept_for_the_foreground() -> None:
    queue = TaskQueue()
    for stream, priority in ((1, 5), (2, 2), (3, 0), (4, 2)):
        queue.put(Task(Request(stream, "read", priority=priority)))
    taken = [queue.get(3) for _ in range(3)]
    assert [task.stream for task in taken if task] == [3, 2, 4]
    reserved: list[Task | None] = []
    thread = threading.Thread(target=lambda: reserved.append(queue.get(3)))
    thread.start()
    background = queue.get()
    assert background is not None
    assert background.stream == 1
    queue.put(Task(Request(9, "read", priority=1)))
    thread.join(DEADLINE_S)
    assert [task.stream for task in reserved if task] == [9]
    queue.close()
    assert queue.get() is None


def test_that_views_are_independent_and_epochs_never_go_back() -> None:
    wanted = Wanted()
    old, new, other = (Task(Request(n, "read", view=view, epoch=epoch))
                       for n, view, epoch in ((1, "a", 3), (2, "a", 5), (3, "b", 1)))
    for task in (new, old, other):
        wanted.add(task)
    assert [wanted.wants(task) for task in (old, new, other)] == [False, True, True]
    wanted.new_epoch("a", 4)
    assert wanted.wants(new)
