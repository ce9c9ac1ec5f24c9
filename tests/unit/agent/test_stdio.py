"""The worker's pipe takes a whole picture at once, and what is no pipe stays as it is."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from app.agent.stdio import widen_pipe

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems choose a pipe's size themselves")


@linux
def test_that_a_picture_can_be_written_before_anybody_reads() -> None:
    reading, writing = os.pipe()
    try:
        widen_pipe(writing)
        os.set_blocking(writing, False)
        assert os.write(writing, bytes(400_000)) == 400_000
    finally:
        os.close(reading)
        os.close(writing)


def test_that_a_file_is_no_pipe_and_no_error(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as file:
        widen_pipe(file.fileno())
