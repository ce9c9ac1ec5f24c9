"""A job's folder for the azimuthal integration, a geometry, and what tomography runs in."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.recipes.azimuthal import Work, write_poni
from tests.unit.recipes.tomography import Environment


@pytest.fixture(autouse=True)
def little_garbage_to_look_for() -> Iterator[None]:
    """What is there when a test begins is no garbage of its own: pyFAI has Python look for garbage twice each time it
    reads a geometry, which takes a second among all that a process with thousands of tests has."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def environment() -> Iterator[Environment]:
    """What tomography runs in, for all tests of a file: starting it takes seconds."""
    made = Environment()
    yield made
    made.close()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "job").mkdir()
    return Work(tmp_path / "job")


@pytest.fixture
def poni(tmp_path: Path) -> Path:
    return write_poni(tmp_path / "geometry.poni")
