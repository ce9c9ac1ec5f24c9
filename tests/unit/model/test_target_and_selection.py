"""TARGETs and selections are read as docs/cli.md says."""

from __future__ import annotations

import numpy as np
import pytest

from app.errors import UsageError
from app.model.data import Block, DataReference, Exactness, Reduction, Selection
from app.model.target import Target

SITES = {"local", "demo", "esrf"}


@pytest.mark.parametrize(("text", "site", "file", "path"), [
    ("a.h5", "local", "a.h5", None),
    ("demo:/data/a.h5::/entry/x", "demo", "/data/a.h5", "/entry/x"),
    ("demo:", "demo", "", None),
    ("unknown:/x", "local", "unknown:/x", None),
    ("C:\\x\\y.h5", "local", "C:\\x\\y.h5", None),
    ("a.h5::/x::/y", "local", "a.h5", "/x::/y"),
    ("local:a.h5::/", "local", "a.h5", "/"),
    ("a::b.h5", "local", "a::b.h5", None),
    ("entry_0000: demo.h5", "local", "entry_0000: demo.h5", None),
])
def test_that_a_target_is_split(text: str, site: str, file: str, path: str | None) -> None:
    assert Target.parse(text, SITES) == Target(site, file, path)


@pytest.mark.parametrize("text", ["3,:,10:20", "...", "-1", "::2,...", "0:5:-1", ":, 3"])
def test_that_a_selection_reads_as_numpy_would(text: str) -> None:
    array = np.arange(6 * 30 * 30).reshape(6, 30, 30)
    expected = eval(f"array[{text}]", {"array": array})
    assert np.array_equal(array[Selection.parse(text).items], expected)
    assert Selection.parse(str(Selection.parse(text))) == Selection.parse(text)


@pytest.mark.parametrize("text", ["a", "1:2:3:4", "1.5", "...,...", "::0", "None"])
def test_that_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Selection.parse(text)


def test_that_the_status_line_says_how_a_block_is_reduced() -> None:
    reference = DataReference("local", __import__("pathlib").PurePosixPath("/a"))
    block = Block(np.zeros((2, 2)), reference, Selection(), (8, 8), Exactness.POOLED, (4, 4), Reduction.MAX)
    assert block.shown == "1/4, max"
