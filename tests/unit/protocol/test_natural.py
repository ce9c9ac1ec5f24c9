"""Natural order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.protocol.natural import natural_key


def test_that_numbers_count_as_numbers() -> None:
    names = ["scan_10", "scan_2", "Scan_1", "scan_002", "a", "10", "9", "x" + "9" * 5000, "x1"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "Scan_1", "scan_002", "scan_2", "scan_10", "x1",
                                              "x" + "9" * 5000]


@given(st.lists(st.text(max_size=10), max_size=10))
def test_that_any_names_can_be_sorted_in_one_way_only(names: list[str]) -> None:
    backwards = list(reversed(names))
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
