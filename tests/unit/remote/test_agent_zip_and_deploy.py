"""What travels to the site: small, the same every time, and started without a shell string of ours."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest

from app.remote.agent_zip import agent_zip, build_agent_zip, libraries
from app.remote.deploy import python_command

ROOT = Path(__file__).parents[3]


def test_that_the_same_sources_give_the_same_zip() -> None:
    assert build_agent_zip({}) == agent_zip()
    assert build_agent_zip({"app/agent/service.py": "x"}).digest != agent_zip().digest
    assert agent_zip().digest[:16] in agent_zip().name


def test_that_the_zip_holds_agent_and_protocol_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(agent_zip().data)) as archive:
        names = archive.namelist()
    assert {"__main__.py", "app/__init__.py", "app/agent/service.py", "app/protocol/framing.py"} <= set(names)
    assert all(name.startswith(("app/agent/", "app/protocol/")) or name in ("__main__.py", "app/__init__.py")
               for name in names)
    assert len(agent_zip().data) < 300_000


@pytest.mark.parametrize("name", ["libh5bshuf.so", "libh5blosc2.so"])
def test_that_a_library_without_its_debug_information_still_works(tmp_path: Path, name: str) -> None:
    library = next(upload for upload in libraries() if upload.library == name)
    (tmp_path / name).write_bytes(library.data)
    alone = tmp_path / "packages"                # numpy, but not hdf5plugin
    alone.mkdir()
    for package in ("numpy", "numpy.libs"):
        (alone / package).symlink_to(Path(numpy.__file__).parents[1] / package)
    packs = ("import numpy as np\nfrom app.protocol import codecs\n"
             "data = memoryview(bytes(range(250)) * 4000)\n"
             "for codec in codecs.available_codecs():\n"
             "    packed = codecs.pack(data, 2, codec)\n"
             "    assert codecs.unpack(packed, data.nbytes, 2, codec) == data\n"
             "    print(codec)")
    done = subprocess.run([sys.executable, "-S", "-c", packs], cwd=ROOT, capture_output=True, check=True, text=True,
                          env={"HDF5_PLUGIN_PATH": str(tmp_path), "PYTHONPATH": str(alone)})
    found = done.stdout.split()
    assert ("bitshuffle-lz4" in found, "blosc2-shuffle" in found) == (name == "libh5bshuf.so", name == "libh5blosc2.so")


def test_that_all_that_is_sent_to_a_site_is_small() -> None:
    assert sum(len(upload.sent) for upload in (agent_zip(), *libraries())) < 2 * 10**6


@pytest.mark.parametrize("candidate", ["printf '%s\\n'", "true && printf '%s\\n'", "cd / ; printf '%s\\n'"])
def test_that_arguments_reach_the_candidate_as_they_are(candidate: str) -> None:
    arguments = ["-c", "a b", "$(id)", "'\"", "*"]
    done = subprocess.run([*python_command(candidate), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == arguments


def test_that_environment_modules_get_a_login_shell() -> None:
    assert python_command("module load python && python3")[:2] == ("bash", "-lc")
    assert python_command("python3")[:2] == ("sh", "-c")
