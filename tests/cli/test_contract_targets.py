"""TARGET and ``ls``: which file a text means, whatever its name, and what a folder holds."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from app import cli
from tests.cli.running import ROOT, InProcess, Shell
from tests.peers.need import need_root


def write_small(path: Path | str | bytes, value: int = 1) -> Path:
    """A file with one dataset, ``/a``."""
    with h5py.File(path, "w") as file:
        file["a"] = np.full((2, 3), value)
    return Path(os.fsdecode(path))


ODD_NAMES = ("a b.h5", "a:b.h5", "C:\\x.h5", "C:x.h5", "unknown:b.h5", "line\nbreak.h5", "-dash.h5", "ünï.h5",
             "a::b.h5",
             "tab\t.h5", "100%.h5", "$HOME.h5", "'quoted\".h5", "*.h5", " .h5", "local2:x.h5", "\x1b[31mred.h5")


def test_that_odd_file_names_are_only_names(run: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate((*ODD_NAMES, os.fsdecode(b"caf\xe9.h5"))):
        write_small(os.fsencode(name), number)
        for target in (f"./{name}", f"local:{name}", str(tmp_path / name), *([] if name[0] == "-" else [name])):
            tree = run.ok("tree", target)
            assert tree["file"] == str(tmp_path / name)
            assert run.ok("get", f"{target}::/a", "-o", "o.npy")["max"] == number
    assert {e["name"] for e in run.ok("ls")["entries"]} == {*ODD_NAMES, os.fsdecode(b"caf\xe9.h5"), "o.npy"}
    text = cli_text(run, "ls")
    assert "\x1b" not in text
    assert "line\nbreak" not in text


def cli_text(run: InProcess, *argv: str) -> str:
    assert cli.main(list(argv)) == 0
    return run._capfd.readouterr().out


def test_that_a_name_that_is_not_utf8_is_displayed_escaped(shell: Shell, tmp_path: Path) -> None:
    name = b"caf\xe9.h5"
    write_small(os.fsencode(tmp_path) + b"/" + name)
    for changes in ({}, {"LANG": "C", "LC_ALL": "C"}, {"PYTHONUTF8": "0", "LC_ALL": "C"}):
        env = shell.environment(**changes)
        done = shell(b"tree", os.fsencode(tmp_path) + b"/" + name, "--json", env=env)
        assert done.code == 0
        assert os.fsencode(done.value["file"]).endswith(name)
        text = shell("ls", str(tmp_path), env=env)
        assert text.code == 0
        text.out.encode("utf-8")   # raises on what is no text
        assert "caf" in text.out


def test_that_a_data_path_starts_at_the_first_marker(run: InProcess, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with h5py.File("x.h5", "w") as file:
        file["p::/q"] = 7   # a group named "p::"
        file[" a"] = 8
    assert run.ok("get", "x.h5::/p::/q", "-o", "o.npy")["signal"] == "/p::/q"
    assert run.ok("get", "x.h5::/ a", "-o", "o.npy")["max"] == 8
    assert run.ok("get", "x.h5::/p::/./q/", "-o", "o.npy")["max"] == 7
    write_small("only.h5::")   # no data path without its slash
    assert run.ok("tree", "only.h5::")["file"] == str(tmp_path / "only.h5::")
    assert run.fails(3, "get", "x.h5::/nothing", "-o", "o.npy")["kind"] == "not_found"


def test_that_tildes_and_relative_files_start_where_they_should(run: InProcess, own_home: Path, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(own_home / "mine.h5")
    (tmp_path / "sub").mkdir()
    write_small(tmp_path / "here.h5")
    monkeypatch.chdir(tmp_path / "sub")
    for target in ("~/mine.h5", "local:~/mine.h5"):
        assert run.ok("tree", target)["file"] == str(own_home / "mine.h5")
    for target in ("../here.h5", "local:../here.h5", ".././here.h5"):
        assert run.ok("tree", target)["file"] == str(tmp_path / "here.h5")
    assert run.ok("ls")["path"] == str(tmp_path / "sub")
    assert run.ok("ls", "~")["path"] == str(own_home)
    assert run.ok("ls", "local:")["path"] in (str(tmp_path / "sub"), str(own_home))
    assert run.ok("ls", "/")["path"] == "/"


def test_that_ls_gives_kinds_sizes_times_and_targets(run: InProcess, tmp_path: Path) -> None:
    (tmp_path / "b_folder").mkdir()
    (tmp_path / "a10").write_bytes(b"12345")
    (tmp_path / "a9").write_bytes(b"")
    (tmp_path / "to_file").symlink_to("a10")
    (tmp_path / "to_folder").symlink_to(tmp_path / "b_folder")
    (tmp_path / "to_nowhere").symlink_to("no/such")
    (tmp_path / "to_itself").symlink_to("to_itself")
    os.mkfifo(tmp_path / "pipe")
    os.utime(tmp_path / "a10", ns=(0, 1_700_000_000_123_456_789))
    value = run.ok("ls", tmp_path)
    assert list(value) == ["path", "entries"]
    assert all(list(e) == ["name", "kind", "size", "mtime", "target"] for e in value["entries"])
    entries = {e["name"]: e for e in value["entries"]}
    assert {n: e["kind"] for n, e in entries.items()} == {
        "b_folder": "folder", "a10": "file", "a9": "file", "to_file": "link", "to_folder": "link",
        "to_nowhere": "link", "to_itself": "link", "pipe": "other"}
    assert {n: e["target"] for n, e in entries.items() if e["target"] is not None} == {
        "to_file": "a10", "to_folder": str(tmp_path / "b_folder"), "to_nowhere": "no/such", "to_itself": "to_itself"}
    assert entries["a10"]["size"] == 5
    assert entries["a9"]["size"] == 0
    assert isinstance(entries["a10"]["mtime"], float)
    assert entries["a10"]["mtime"] == pytest.approx(1_700_000_000.123456789, abs=1e-6)
    names = [e["name"] for e in value["entries"]]
    assert names[0] == "b_folder" or set(names[:2]) == {"b_folder", "to_folder"}
    assert names.index("a9") < names.index("a10")


def test_that_ls_of_what_is_no_folder_says_so(run: InProcess, tmp_path: Path) -> None:
    small = write_small(tmp_path / "small.h5")
    assert run.fails(3, "ls", tmp_path / "missing")["kind"] == "not_found"
    error = run.fails(3, "ls", tmp_path / "small.h5" / "x")
    assert error["kind"] in ("not_found", "data")
    done = run("ls", small)
    assert done.code in (0, 3)


def test_that_ls_needs_leave_to_read(shell: Shell, tmp_path: Path) -> None:
    need_root("dropping them")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    write_small(tmp_path / "closed.h5").chmod(0)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    python = "/usr/bin/python3"
    packages = os.pathsep.join([str(ROOT), *(p for p in sys.path if p.endswith("site-packages"))])
    tried = subprocess.run([python, "-c", "import numpy, h5py"], env={"PYTHONPATH": packages}, check=False, **nobody)
    if tried.returncode:
        pytest.skip("nobody can run this Python here")
    shell.program = (python, "-m", "app")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    home = tmp_path / "home of nobody"
    home.mkdir()
    os.chown(home, 65534, 65534)
    env = shell.environment(HOME=str(home), PYTHONPATH=packages, XDG_CONFIG_HOME=None, XDG_CACHE_HOME=None,
                            XDG_STATE_HOME=None)
    for argv in (("ls", str(closed)), ("tree", str(tmp_path / "closed.h5")), ("plot", str(tmp_path / "closed.h5"))):
        assert shell(*argv, "--json", env=env, **nobody).error["kind"] == "permission"
    (tmp_path / "open.h5").write_bytes(write_small(tmp_path / "c.h5").read_bytes())
    done = shell("get", f"{tmp_path}/open.h5::/a", "-o", str(closed / "o.npy"), "--json", env=env, **nobody)
    assert (done.code, "cannot be written" in done.error["summary"]) == (3, True)
