"""Folders as the agent lists them, and changes as it notices them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.agent.folders import generation, list_folder, resolve, stat
from app.agent.watching import Watcher
from app.protocol.errors import WireError
from app.protocol.folder_columns import unpacked_names, unpacked_times
from app.protocol.natural import natural_key


@pytest.mark.parametrize(("path", "kind"), [("no", "not_found"), ("file/under", "not_found"), ("file", "not_found"),
                                            ("x" * 300, "not_found"), ("a\0b", "not_found"), ("circle", "not_found")])
def test_that_what_cannot_be_listed_is_said_in_a_sentence(tmp_path: Path, path: str, kind: str) -> None:
    (tmp_path / "file").touch()
    os.symlink("circle", tmp_path / "circle")
    with pytest.raises(WireError) as error:
        list_folder(str(tmp_path / path) if "\0" not in path else path)
    assert error.value.kind == kind
    assert error.value.summary.endswith(".")


def test_that_a_folder_nobody_may_read_is_a_question_of_permission(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    with pytest.raises(WireError) as error:
        list_folder(str(tmp_path / "shut"))
    assert error.value.kind == "permission"


def test_that_every_kind_of_entry_has_its_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"123")
    os.symlink("folder", tmp_path / "to_folder")
    os.symlink("file", tmp_path / "to_file")
    os.symlink("gone", tmp_path / "broken")
    told = list_folder(str(tmp_path))
    links = {position: (target, kind) for position, target, kind in told["links"]}
    kinds = {name: (told["kinds"][position], *links.get(position, (None, None)))
             for position, name in enumerate(told["names"])}
    assert kinds == {"pipe": ("o", None, None), "folder": ("d", None, None), "file": ("f", None, None),
                     "to_folder": ("l", "folder", "folder"), "to_file": ("l", "file", "file"),
                     "broken": ("l", "gone", None)}
    assert told["names"][:2] == ["folder", "to_folder"]
    assert dict(zip(told["names"], told["sizes"], strict=True))["folder"] is None
    assert dict(zip(told["names"], told["sizes"], strict=True))["file"] == 3


def test_that_columns_of_many_files_belong_to_their_names(tmp_path: Path) -> None:
    wanted = {}
    for number in range(120):
        file = tmp_path / f"run{number % 3}_{number:0{2 + number % 2}d}.cbf"
        file.write_bytes(b"x" * number)
        os.utime(file, ns=(10 ** 18 + number, 10 ** 18 + number))
        wanted[file.name] = (number, 10 ** 18 + number)
    (tmp_path / "zz").mkdir()
    told = list_folder(str(tmp_path))
    names, times = unpacked_names(told["names"], len(told["kinds"])), unpacked_times(told["times"])
    assert names == ["zz", *sorted(wanted, key=natural_key)]
    assert dict(zip(names[1:], zip(told["sizes"][1:], times[1:], strict=True), strict=True)) == wanted


def test_that_what_is_no_folder_never_holds_the_agent_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WireError):
        list_folder(str(tmp_path / "pipe"))


def test_that_stat_tells_size_and_generation(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"123")
    told = stat(str(tmp_path / "file"))
    assert (told["path"], told["kind"], told["size"]) == (str(tmp_path / "file"), "file", 3)
    assert told["generation"] == [3, (tmp_path / "file").stat().st_mtime_ns]


def test_that_paths_begin_at_home(own_home: Path) -> None:
    assert resolve("~/a/../b") == str(own_home / "b")
    assert resolve("b") == str(own_home / "b")
    assert resolve("/x/./y/") == "/x/y"


def test_that_a_watcher_tells_each_change_once_and_forgets_what_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    told: list[tuple[int, object]] = []
    arrived = threading.Semaphore(0)

    def on_change(stream: int, now: object) -> None:
        told.append((stream, now))
        arrived.release()

    watcher = Watcher(on_change, interval_s=0.01)
    watcher.start()
    watcher.add(5, str(file), generation(str(file)))
    watcher.add(6, str(file), None)
    assert arrived.acquire(timeout=10)
    assert told == [(6, generation(str(file)))]
    assert watcher.remove(6)
    assert not watcher.remove(6)
    file.unlink()
    assert arrived.acquire(timeout=10)
    assert told[1:] == [(5, None)]
    watcher.close()
