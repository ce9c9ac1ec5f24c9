"""A folder's columns come out as they went in, whatever names and times a folder has."""

from __future__ import annotations

import json
import random
import zlib

import pytest

from app.protocol.errors import ProtocolError
from app.protocol.folder_columns import packed_names, packed_times, unpacked_names, unpacked_times

ALPHABET = "ab01_. \n\x7fÅ✓😀\udc80\udcff"


@pytest.mark.parametrize("seed", range(40))
def test_that_names_and_times_come_out_as_they_went_in(seed: int) -> None:
    rng = random.Random(seed)
    longest, count = rng.choice([1, 5, 30]), rng.choice([0, 1, 63, 64, 65, 500])
    names = ["".join(rng.choices(ALPHABET, k=rng.randint(1, longest))) for _ in range(count)]
    times = [rng.choice([None, 0, -1, rng.randrange(-2**63, 2**63)]) for _ in range(count)]
    sent = json.loads(json.dumps([packed_names(names), packed_times(times)]))
    assert unpacked_names(sent[0], count) == names
    assert unpacked_times(sent[1]) == times


def test_that_numbered_names_pack_to_a_tenth() -> None:
    names = [f"sample_{i // 1000:02}_scan_{i:05}.cbf" for i in range(20000)]
    packed = packed_names(names)
    assert isinstance(packed, dict)
    assert unpacked_names(packed, len(names)) == names
    assert 10 * len(zlib.compress(json.dumps(packed).encode(), 1)) < len(zlib.compress(json.dumps(names).encode(), 1))


def test_that_one_long_name_among_short_ones_costs_no_memory() -> None:
    names = ["a"] * 1000 + ["b" * 255]
    assert packed_names(names) is names


@pytest.mark.parametrize("packed", [{"width": 0, "text": ""}, {"width": 2, "text": "abc"}, {"width": -1, "text": "ab"}])
def test_that_names_of_another_length_are_refused(packed: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        unpacked_names(packed, 2)
