"""The demo facility's tomography scan is reconstructed by the demo facility's own jobs, and the phantom comes out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from app.facility.data import tomography
from tests.peers.commands import Commands
from tests.peers.demo_facility import DemoFacility, running_facility

SCAN = f"data/visitor/md1001/tomo/20261110/RAW_DATA/phantom/{tomography.NAME}"


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[DemoFacility]:
    with running_facility(tmp_path / "demo", minute_s=2) as demo:
        yield demo


def test_that_the_demos_phantom_is_reconstructed_and_opens(facility: DemoFacility, tmp_path: Path) -> None:
    robot = facility.robot()
    ada = Commands(tmp_path / "ada", lambda code: robot.approve(code.verification_uri, code.user_code))
    ada.ok("sites", "add", str(facility.profile))
    scan = facility.data.parent / SCAN
    with h5py.File(scan) as file:
        rows, columns = file["entry/instrument/detector/data"].shape[1:]
        centre = (columns - 1) / 2 + tomography.AXIS_OFFSET_PIXELS
    job = ada.ok("submit", "tomography", f"demo:{scan}", "--set", "rings=none", "--set", f"centre={centre}",
                 "--set", "value_unit=1/pixel", "--time", "20", "--wait")
    assert (job["state"], job["exit_code"]) == ("completed", 0)
    (output,) = job["outputs"]
    with h5py.File(output.removeprefix("demo:").partition("::")[0]) as file:
        volume = file["entry/volume/data"][()]
    assert volume.shape == (rows, columns, columns)
    # the sum over a slice is that of any projection's row, which is known in closed form
    known = tomography.projection(0.0, rows, columns).sum(axis=1)
    middle = slice(rows // 4, 3 * rows // 4)
    np.testing.assert_allclose(volume.sum(axis=(1, 2))[middle], known[middle], rtol=0.1)      # a small and noisy scan
