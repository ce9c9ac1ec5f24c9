"""What travels to the site: small, the same every time, and started without a shell string of ours."""

from __future__ import annotations

import ctypes
import io
import subprocess
import zipfile
from pathlib import Path

import pytest

from app.remote.agent_zip import agent_zip, bitshuffle_library, build_agent_zip
from app.remote.deploy import python_command


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


def test_that_the_library_without_its_debug_information_still_works(tmp_path: Path) -> None:
    library = bitshuffle_library()
    if library is None:
        pytest.skip("hdf5plugin's library for Linux on x86-64 is not here")
    file = tmp_path / "libh5bshuf.so"
    file.write_bytes(library.data)
    loaded = ctypes.CDLL(str(file))
    assert loaded.bshuf_compress_lz4_bound(1000, 4, 0) > 4000
    assert len(library.data) < 1_500_000


@pytest.mark.parametrize("candidate", ["printf '%s\\n'", "true && printf '%s\\n'", "cd / ; printf '%s\\n'"])
def test_that_arguments_reach_the_candidate_as_they_are(candidate: str) -> None:
    arguments = ["-c", "a b", "$(id)", "'\"", "*"]
    done = subprocess.run([*python_command(candidate), *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == arguments


def test_that_environment_modules_get_a_login_shell() -> None:
    assert python_command("module load python && python3")[:2] == ("bash", "-lc")
    assert python_command("python3")[:2] == ("sh", "-c")
