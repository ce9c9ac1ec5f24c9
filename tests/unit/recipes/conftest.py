"""A job's folder for the azimuthal integration, and a geometry."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.recipes.azimuthal import Work, write_poni


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "job").mkdir()
    return Work(tmp_path / "job")


@pytest.fixture
def poni(tmp_path: Path) -> Path:
    return write_poni(tmp_path / "geometry.poni")
