"""./run from anywhere: its words, its exit codes, what it says when it may not install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

RUN = Path(__file__).parent.parent.parent / "run"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="a POSIX shell script")


def run(folder: Path, *arguments: str, path: str = "/usr/bin:/bin",
        closed: bool = False) -> subprocess.CompletedProcess[str]:
    """A copy of ``run`` in ``folder``, started from elsewhere."""
    folder.mkdir(exist_ok=True)
    shutil.copy(RUN, folder)
    line = ["sh", "-c", 'exec "$@" <&-', "sh"] if closed else []
    return subprocess.run([*line, str(folder / "run"), *arguments], cwd="/", env={"PATH": path, "HOME": str(folder)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("closed", [False, True], ids=["input open", "input closed"])
def test_that_help_lists_the_commands_from_a_path_with_spaces(tmp_path: Path, closed: bool) -> None:
    done = run(tmp_path / "a check out", "help", closed=closed)
    assert (done.returncode, done.stderr) == (0, "")
    for command in ("demo", "test", "test-peers", "bench", "setup"):
        assert f"./run {command}" in done.stdout


def test_that_an_unknown_command_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "tset")
    assert done.returncode == 1
    assert done.stderr == "run: there is no command “tset”; ./run help lists them.\n"


def test_that_missing_packages_are_named_when_they_may_not_be_installed(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("dpkg-query", "echo installed/ca-certificates"), ("sudo", "exit 1"), ("id", "echo 1000")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    done = run(tmp_path / "checkout", "setup", path=f"{programs}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "sudo apt-get install --no-install-recommends" in done.stderr
    assert "libegl1" in done.stderr
    assert "ca-certificates" not in done.stderr
