"""Credit follows rate × round trip, whatever the link."""

from __future__ import annotations

import pytest

from app.remote.flow import MAX_BYTES, MIN_BYTES, START_BYTES, FlowMeter


def stream(rate: float, latency_s: float, seconds: float) -> FlowMeter:
    """A meter after ``seconds`` of fragments that arrive at ``rate``."""
    meter, now, size = FlowMeter(), 100.0, 32 * 1024
    meter.start()
    meter.round_trip(latency_s)
    for _ in range(int(seconds * rate / size)):
        now += size / rate
        meter.received(size, now, continues=True)
        meter.grant()
    return meter


@pytest.mark.parametrize(("rate", "latency_s", "expected"), [
    (6.25e6, 0.03, 6.25e6 * (0.03 + 0.01)), (1.25e6, 0.08, 1.25e6 * (0.08 + 0.01)),
    (125e6, 0.03, 125e6 * (0.03 + 0.01)),
    (1e5, 0.02, MIN_BYTES), (1e9, 0.1, MAX_BYTES)])
def test_that_credit_is_less_than_twice_what_the_link_holds(rate: float, latency_s: float,
                                                            expected: float) -> None:
    meter = stream(rate, latency_s, 5)
    assert meter.rate == pytest.approx(rate, rel=0.05)
    assert meter.target == pytest.approx(expected, rel=0.05)


def test_that_pauses_do_not_count_as_a_slow_link() -> None:
    meter = stream(6.25e6, 0.03, 2)
    meter.received(1000, 500.0, continues=False)
    meter.received(1000, 900.0, continues=False)
    assert meter.rate == pytest.approx(6.25e6, rel=0.05)


def test_that_the_time_the_agent_takes_for_a_frame_is_not_the_links() -> None:
    meter, now, size = FlowMeter(), 100.0, 32 * 1024
    meter.start()
    meter.round_trip(0.03)
    for _ in range(40):                        # frames of 0.44 MB, a tenth of a second of waiting before each
        now += 0.1
        for part in range(14):
            now += size / 6.25e6
            meter.received(size, now, continues=part > 0)
            meter.grant()
    assert meter.rate == pytest.approx(6.25e6, rel=0.01)


def test_that_a_link_that_became_slow_is_noticed() -> None:
    meter, now, size = stream(6.25e6, 0.03, 5), 105.0, 32 * 1024
    for _ in range(int(12 * 1e6 / size)):
        now += size / 1e6
        meter.received(size, now, continues=True)
    assert meter.rate == pytest.approx(1e6, rel=0.1)


def test_that_slow_start_does_not_close_the_credit() -> None:
    meter, now, size = FlowMeter(), 100.0, 16 * 1024
    meter.start()
    meter.round_trip(0.03)
    for _ in range(20):                        # a third of a second at a fifth of the link's rate
        now += size / 1.25e6
        meter.received(size, now, continues=True)
        meter.grant()
        assert meter.target == START_BYTES


def test_that_the_start_after_a_long_pause_does_not_close_the_credit() -> None:
    meter, size = stream(6.25e6, 0.03, 5), 16 * 1024
    before, now = meter.target, 400.0
    for _ in range(4):
        now += size / 0.3e6
        meter.received(size, now, continues=True)
    assert meter.target == pytest.approx(before, rel=0.05)


def test_that_everything_received_is_granted_again_sooner_or_later() -> None:
    meter = FlowMeter()
    open_bytes = meter.start()
    assert open_bytes == START_BYTES
    for step in range(10_000):
        meter.received(8000, step * 0.01, continues=True)
        open_bytes += meter.grant() - 8000
        assert 0 < open_bytes <= MAX_BYTES
    assert meter.bytes_received == 80_000_000


def test_that_one_late_ping_does_not_open_the_window() -> None:
    meter = stream(6.25e6, 0.03, 2)
    before = meter.target
    meter.round_trip(3.0)
    assert meter.latency_s == 3.0
    assert meter.target == before


def test_that_a_pause_before_a_reply_is_not_the_links() -> None:
    """The agent computes for half a second, then 64 KiB come every 10 ms."""
    meter, now = FlowMeter(), 0.0
    for _ in range(100):
        for part in range(3):
            now += 0.5 if part == 0 else 0.01
            meter.received(65536, now, continues=part > 0)
    assert meter.rate == pytest.approx(65536 / 0.01, rel=0.01)
