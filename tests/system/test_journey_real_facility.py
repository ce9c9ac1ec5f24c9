"""System test B: sign in, connect, browse, see, submit, follow, open the result, on real OpenSSH, real Slurm and a real
OpenID provider, from the command line."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the filters)
import numpy as np
import pytest

from tests.peers.certificate_endpoint import certificate_endpoint
from tests.peers.commands import Commands
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import make_pki
from tests.peers.recipe_env import recipe_python
from tests.peers.slurm import SlurmFacility

NAME = "S2p5min_00070_00001.h5"
VISIT = "data/visitor/ma-4821/id13/20261120"
PONI = """# SAXS geometry of the test
poni_version: 2.1
Detector: Detector
Detector_config: {"pixel1": 7.5e-05, "pixel2": 7.5e-05, "max_shape": [3262, 3108], "orientation": 3}
Distance: 3.0
Poni1: 0.2200
Poni2: 0.1080
Rot1: 0.0
Rot2: 0.0
Rot3: 0.0
Wavelength: 5.9e-11
"""


@dataclass
class Site:
    facility: SlurmFacility
    provider: OpenIdProvider
    profile: Path
    user: str
    raw: Path

    def commands(self, folder: Path) -> Commands:
        return Commands(folder, self.provider.approve)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, beamside_data: Path, slurm: SlurmFacility) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("journey")
    python = recipe_python()
    facility = slurm
    with openid_provider(make_pki(folder / "pki")) as provider:
        user = facility.users[1]             # the job tests have the first
        with certificate_endpoint(provider, facility.authority, {"alice": user}, facility.host) as authority:
            visit = facility.home(user) / VISIT
            raw = visit / "RAW_DATA"
            raw.mkdir(parents=True)
            (visit / "PROCESSED_DATA").mkdir()
            shutil.copy(beamside_data / "saxs" / NAME, raw / NAME)
            (raw / "geometry.poni").write_text(PONI)
            for path in (facility.home(user) / "data", *(facility.home(user) / "data").rglob("*")):
                shutil.chown(path, user, user)
            profile = folder / "realsite.toml"
            profile.write_text(f"""
schema = 1
name = "realsite"
title = "Real OpenSSH and Slurm"
[identity]
method = "oidc"
issuer = "{provider.issuer}"
scopes = ["email", "ssh"]
ca_file = "{provider.pki.ca}"
[ssh]
host = "{facility.host}"
port = {facility.port}
methods = ["certificate"]
host_keys = ["{facility.host_key_line}"]
[ssh.certificate_authority]
kind = "conch"
url = "{authority}"
ca_file = "{provider.pki.ca}"
[agent]
python = ["/usr/bin/python3"]
[batch]
system = "slurm"
poll_s = 1
[data]
roots = ["{facility.home(user)}/data/visitor/{{proposal}}/{{beamline}}/{{date}}"]
[software.environments]
saxs = "export PATH={python.parent}:$PATH"
""")
            yield Site(facility, provider, profile, user, raw)


def test_that_the_journey_ends_at_the_result(site: Site, tmp_path: Path) -> None:
    user = site.commands(tmp_path / "laptop")
    assert user.ok("sites", "add", str(site.profile)) == {"added": "realsite"}
    who = user.ok("sign-in", "realsite")
    assert (who["subject"], who["issuer"]) == ("alice", site.provider.issuer)
    assert user.codes, "the device code was shown"

    listing = user.ok("ls", f"realsite:{site.raw}")
    entry = next(e for e in listing["entries"] if e["name"] == NAME)
    assert entry["size"] == (site.raw / NAME).stat().st_size

    target = f"realsite:{site.raw}/{NAME}"
    tree = user.ok("tree", target)
    node = next(n for n in tree["nodes"] if n["path"] == "/entry/data/data")
    assert node["shape"] == [3262, 3108]
    plot = user.ok("plot", target)
    assert (plot["view"], plot["signal"]) == ("image", "/entry/data/data")

    out = tmp_path / "roi.npy"
    got = user.ok("get", target, "--select", "1000:1100,500:700", "-o", str(out))
    with h5py.File(site.raw / NAME) as file:
        frame = file["/entry/data/data"][()]
    assert np.array_equal(np.load(out), frame[1000:1100, 500:700])
    assert got["bytes_received"] < 200_000
    pooled = user.ok("get", target, "--fit", "1000x1000", "-o", str(out))
    assert (pooled["factor"], pooled["exactness"]) == ([4, 4], "pooled")
    assert pooled["sum"] == int(frame.sum(dtype=object))

    with _link_cut_once(site, user):
        job = user.ok("submit", "azimuthal-integration", target, "--set", f"poni={site.raw}/geometry.poni",
                      "--set", "npt=500", "--partition", "debug", "--time", "10", "--wait", timeout_s=300)
    assert job["state"] == "completed"
    assert job["exit_code"] == 0
    assert job["folder"].startswith(str(site.raw.parent / "PROCESSED_DATA"))
    assert {e["state"] for e in user.events if e.get("event") == "job_state"} <= {"queued", "running"}
    _assert_result_is_pyfais(user, job["outputs"][0], frame, tmp_path)

    elsewhere = site.commands(tmp_path / "other computer")
    elsewhere.ok("sites", "add", str(site.profile))
    seen = [j for j in elsewhere.ok("jobs", "realsite")["jobs"] if j["recipe"] == job["recipe"]]    # others shared it
    assert [(j["id"], j["state"], j["outputs"]) for j in seen] == [(job["id"], "completed", job["outputs"])]
    log = elsewhere.ok("job", f"realsite:{job['id']}", "--log")["log"]
    assert "Traceback" not in log


@contextlib.contextmanager
def _link_cut_once(site: Site, user: Commands) -> Iterator[None]:
    """Every connection to the site is killed while the command follows its job."""
    ended = threading.Event()
    cut = []

    def watch() -> None:
        while not ended.wait(0.05):
            if any(event.get("event") == "job_state" for event in user.events):
                site.facility.sshd.cut()
                cut.append(True)
                return

    watcher = threading.Thread(target=watch, name="link cutter")
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert cut, "the link was cut while the job was followed"


def _assert_result_is_pyfais(user: Commands, output: str, frame: np.ndarray, tmp_path: Path) -> None:
    import pyFAI

    plot = user.ok("plot", output)
    assert (plot["view"], plot["x_scale"], plot["y_scale"]) == ("curve", "log", "log")
    user.ok("get", output, "-o", str(tmp_path / "i.npy"))
    poni = tmp_path / "geometry.poni"
    poni.write_text(PONI)
    integrator = pyFAI.load(str(poni))
    expected = integrator.integrate1d_ng(frame, 500, unit="q_nm^-1", mask=(frame == 2**32 - 1), error_model="poisson",
                                         method=("no", "csr", "cython"), polarization_factor=0.99, dummy=None)
    intensity = np.load(tmp_path / "i.npy").reshape(-1, 500)[0]
    np.testing.assert_allclose(intensity, expected.intensity, rtol=1e-5)


def test_that_bad_submissions_are_one_sentence(site: Site, tmp_path: Path) -> None:
    user = site.commands(tmp_path)
    user.ok("sites", "add", str(site.profile))
    target = f"realsite:{site.raw}/{NAME}"
    for argv, wrong in (
        (["--partition", "nowhere"], (6, "submission_refused")),
        (["--set", "npt=-3"], (2, "usage")),
        (["--set", "nothing=1"], (2, "usage")),
        (["--account", "nobody"], (6, "submission_refused")),
    ):
        poni = f"poni={site.raw}/geometry.poni"
        code, value = user.run("submit", "azimuthal-integration", target, "--set", poni, *argv)
        assert (code, value["error"]["kind"]) == wrong, value
        assert value["error"]["remedy"], value
        assert value["error"]["summary"].endswith("."), value
    assert all(job["state"] != "created" for job in user.ok("jobs", "realsite")["jobs"])


def test_that_a_job_can_be_cancelled(site: Site, tmp_path: Path) -> None:
    user = site.commands(tmp_path)
    user.ok("sites", "add", str(site.profile))
    site.facility.run("scontrol", "update", "PartitionName=long", "State=DOWN")
    try:
        job = user.ok("submit", "azimuthal-integration", f"realsite:{site.raw}/{NAME}", "--set",
                      f"poni={site.raw}/geometry.poni", "--partition", "long")
        assert job["state"] in ("queued", "held")
        user.ok("cancel", f"realsite:{job['id']}")
        assert user.ok("job", f"realsite:{job['id']}")["state"] == "cancelled"
    finally:
        site.facility.run("scontrol", "update", "PartitionName=long", "State=UP")
