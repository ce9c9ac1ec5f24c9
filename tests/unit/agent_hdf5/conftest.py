"""The measured files these tests run over, one test each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DATA = Path(os.environ.get("BEAMSIDE_DATA") or Path(__file__).parents[4] / "shared" / "data").resolve()
_REFUSED = ("3790_infinite_loop.h5", "cve-2025-2912.h5", "h5clear_status_noclose.h5", "h5clear_fsm_persist_greater.h5")
_HDF5 = (".h5", ".hdf5", ".nxs", ".nx", ".nc", ".cxi")


def measured_files() -> list[str]:
    """Every file of the data folder but its README, relative; one of each series."""
    found = sorted(str(path.relative_to(_DATA)) for path in _DATA.rglob("*") if path.is_file())
    return [name for name in found if name != "README.md"
            and not ("tiff_stack/tiffs" in name and not name.endswith("raw_00000.tiff"))]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise ``measured_file`` (all) and ``measured_hdf5`` (those that HDF5 opens)."""
    names = measured_files()
    if "measured_hdf5" in metafunc.fixturenames:
        hdf5 = [name for name in names if name.endswith(_HDF5) and Path(name).name not in _REFUSED]
        metafunc.parametrize("measured_hdf5", [_DATA / name for name in hdf5], ids=hdf5)
    if "measured_file" in metafunc.fixturenames:
        metafunc.parametrize("measured_file", [_DATA / name for name in names], ids=names)


@pytest.fixture(autouse=True)
def _data_is_there(request: pytest.FixtureRequest) -> None:
    if {"measured_file", "measured_hdf5"} & set(request.fixturenames):
        request.getfixturevalue("beamside_data")
