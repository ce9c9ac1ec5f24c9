"""Natural order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.protocol.natural import natural_key, natural_order


def test_that_numbers_count_as_numbers() -> None:
    names = ["scan_10", "scan_2", "Scan_1", "scan_002", "a", "10", "9", "x" + "9" * 5000, "x1"]
    assert sorted(names, key=natural_key) == ["9", "10", "a", "Scan_1", "scan_002", "scan_2", "scan_10", "x1",
                                              "x" + "9" * 5000]


@given(st.lists(st.text(max_size=10), max_size=10))
def test_that_any_names_can_be_sorted_in_one_way_only(names: list[str]) -> None:
    backwards = list(reversed(names))
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


_PIECES = st.sampled_from(["scan_", "a", "A", "\u00df", "\u0130", "\udc80", "_", ".", "0", "1", "9", "007", "10",
                           "\u0661", ".cbf", "\0"])
_ALIKE = st.sampled_from(["scan_", "1", "2", "10", "0", ".cbf"])


@given(st.lists(st.lists(_PIECES, max_size=6).map("".join), max_size=60, unique=True)
       | st.lists(st.lists(_ALIKE, min_size=2, max_size=4).map("".join), max_size=200, unique=True))
def test_that_ordering_many_at_once_gives_the_same_order(names: list[str]) -> None:
    assert [names[place] for place in natural_order(names)] == sorted(names, key=natural_key)


def test_that_names_of_a_few_shapes_are_in_natural_order() -> None:
    names = [f"s{run}_{frame:04d}.cbf" for run in (7, 8, 9, 10, 100) for frame in range(40)]
    backwards = list(reversed(names))
    assert [backwards[place] for place in natural_order(backwards)] == names
