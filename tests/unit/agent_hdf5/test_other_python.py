"""The same answers from the distribution's own Python and its old h5py, where the agent must live too."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest

from app.agent.service import Service
from app.protocol.errors import WireError
from tests.peers.need import missing

PYTHON = "/usr/bin/python3"
ROOT = Path(__file__).parents[3]
FILES = ["saxs/i22-119583.nxs", "saxs/1998spheres.h5", "saxs/009766_forSasView.h5", "tomo/tooth.h5",
         "volume/volumeExample.nxs", "xrd/336502.nxs", "ptycho/PETRAIII_P25_Near_Field_Ptycho.cxi",
         "spectro/i05-4859.nxs", "spectro/testfluo2.nxs", "nexus/chopper.nxs", "nexus/33id_spec_22_2D.hdf5",
         "edge/tmany.h5", "edge/tattr2.h5", "edge/tloop.h5", "edge/unicode.h5", "edge/tlarge_objname.h5",
         "edge/vds_eiger_gaps/vds-eiger.h5", "corrupt/h5clear_status_noclose.h5", "README.md"]
EIGER = "saxs/S2p5min_00070_00001.h5"

_SCRIPT = """
import json, sys, zlib
sys.path.insert(0, sys.argv[1])
from app.agent.service import Service
from app.protocol.errors import WireError
service = Service()
for line in sys.stdin:
    request = json.loads(line)
    try:
        reply, arrays = service.handle(request["method"], request["params"])
        seen = [[str(a.dtype), a.shape, zlib.crc32(a.tobytes())] for a in arrays]
        print(json.dumps({"reply": reply, "arrays": seen}))
    except WireError as error:
        print(json.dumps({"kind": error.kind, "summary": error.summary}))
"""


def elsewhere(requests: list[tuple[str, dict[str, Any]]], plugins: str = "") -> list[dict[str, Any]]:
    """The answers of a Service run by the distribution's Python."""
    if not Path(PYTHON).exists() or subprocess.run(
            [PYTHON, "-I", "-c", "import h5py"], capture_output=True, timeout=60, check=False).returncode:
        missing(f"{PYTHON} with h5py (package python3-h5py)")
    lines = "".join(json.dumps({"method": method, "params": params}) + "\n" for method, params in requests)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HDF5_", "PYTHON"))}
    environment["HDF5_PLUGIN_PATH"] = plugins or "/nonexistent"
    done = subprocess.run([PYTHON, "-I", "-c", _SCRIPT, str(ROOT)], input=lines, capture_output=True, text=True,
                          timeout=120, check=True, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def here(requests: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    service = Service()
    answers: list[dict[str, Any]] = []
    for method, params in requests:
        try:
            reply, arrays = service.handle(method, params)
            answers.append({"reply": json.loads(json.dumps(reply)), "arrays": [
                [str(a.dtype), list(a.shape), zlib.crc32(a.tobytes())] for a in arrays]})
        except WireError as error:
            answers.append({"kind": error.kind, "summary": error.summary})
    service.close()
    return answers


def same(one: Any, other: Any) -> bool:
    """Equality but for the last bits of floating point and the library's own words for what it cannot read."""
    if isinstance(one, dict) and isinstance(other, dict):
        if set(one) == set(other) == {"error"}:
            return True
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=1e-9, abs=1e-12)
    return bool(one == other)


def test_that_trees_plots_and_reads_are_the_same_with_the_old_h5py(beamside_data: Path) -> None:
    requests: list[tuple[str, dict[str, Any]]] = []
    for name in FILES:
        file = str(beamside_data / name)
        requests.append(("nodes", {"file": file, "data_path": "/", "depth": None, "attributes": True}))
        requests.append(("plot", {"file": file, "data_path": None}))
        requests.append(("read", {"file": file, "data_path": None, "selection": ["..."], "fit": [100, 150],
                                  "reduce": "max", "statistics": True}))
    for request, theirs, ours in zip(requests, elsewhere(requests), here(requests), strict=True):
        assert same(theirs, ours), request


def test_that_bitshuffle_is_one_sentence_without_its_plugin_and_read_with_it(beamside_data: Path) -> None:
    requests = [("read", {"file": str(beamside_data / EIGER), "data_path": None, "fit": [500, 500], "reduce": "max"}),
                ("read", {"file": str(beamside_data / "xrd/bliss_id11/demoh5_dataset.h5"), "selection": [0]})]
    for answer in elsewhere(requests):
        assert answer["kind"] == "unreadable"
        assert "filter bitshuffle is not available at the facility" in answer["summary"]
    specification = importlib.util.find_spec("hdf5plugin")
    assert specification is not None
    assert specification.origin is not None
    with_plugin = elsewhere(requests, str(Path(specification.origin).parent / "plugins"))
    assert all(same(a, b) for a, b in zip(with_plugin, here(requests), strict=True))
