"""Files that do not open: one sentence and what to do, and nothing is ever changed."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent.opening import file_path_of
from app.agent.service import Service
from app.protocol.errors import WireError


def refusal(file: Path | str) -> WireError:
    kinds = []
    for method in ("nodes", "plot", "read"):
        with pytest.raises(WireError) as caught:
            Service().handle(method, {"file": str(file), "data_path": None})
        kinds.append(caught.value.kind)
    assert len(set(kinds)) == 1
    assert caught.value.summary.endswith(".")
    assert caught.value.remedy
    return caught.value


def written(path: Path) -> Path:
    with h5py.File(path, "w", libver="latest") as file:
        file["d"] = np.arange(1000)
    return path


def test_that_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.h5").kind == "not_found"
    assert refusal(tmp_path / "no" / "folder.h5").kind == "not_found"
    written(tmp_path / "a.h5")
    assert refusal(tmp_path / "a.h5" / "below").kind == "not_found"


def test_that_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "folder" in refusal(tmp_path).summary


def test_that_a_file_without_permission_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.h5")
    real_open = builtins.open

    def denied(name: Any, *args: Any, **kwargs: Any) -> Any:
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", denied)
    assert refusal(path).kind == "permission"


@pytest.mark.parametrize(("content", "words"), [
    (b"", "is empty"), (b"what was measured\n", "a text file"), (b"\x89PNG\r\n\x1a\n\x00\x00", "a PNG picture"),
    (b"PK\x03\x04\x00\x00", "a ZIP archive"), (b"\x93NUMPY\x01\x00", "a NumPy array file"),
    (b"CDF\x01\x00\x00", "a netCDF classic file"), (bytes(range(256)) * 3, "its kind is not known")])
def test_that_another_kind_of_file_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "thing.h5"
    path.write_bytes(content)
    error = refusal(path)
    assert error.kind == "not_hdf5"
    assert words in error.summary


def test_that_a_cut_copy_is_named_as_such(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    path.write_bytes(path.read_bytes()[:-500])
    error = refusal(path)
    assert error.kind == "damaged"
    assert "interrupted copy" in error.summary


def test_that_a_file_left_open_by_its_writer_names_h5clear_and_stays_as_it_is(tmp_path: Path) -> None:
    path = written(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    content[11] |= 1  # the superblock's consistency flag "open for writing"; its checksum no longer counts
    path.write_bytes(content)
    error = refusal(path)
    assert error.kind == "damaged"
    assert path.read_bytes() == content


def test_that_the_measured_one_left_open_names_h5clear(beamside_data: Path) -> None:
    error = refusal(beamside_data / "corrupt" / "h5clear_status_noclose.h5")
    assert "h5clear" in error.remedy
    assert "still open for writing" in error.summary


def test_that_a_file_being_written_for_many_readers_opens(tmp_path: Path) -> None:
    path = tmp_path / "live.h5"
    with h5py.File(path, "w", libver="latest", locking=False) as file:
        file.create_dataset("d", data=np.arange(5), maxshape=(None,), chunks=(5,))
        file.swmr_mode = True
        file.flush()
        live = tmp_path / "copy.h5"  # as another computer sees it: one process cannot open a file in two ways
        live.write_bytes(path.read_bytes())
    reply, arrays = Service().handle("read", {"file": str(live), "data_path": "/d"})
    assert arrays[0].tolist() == [0, 1, 2, 3, 4]
    assert reply["signal"] == "/d"


def test_that_a_user_block_before_the_file_does_not_hide_it(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=1024) as file:
        file["d"] = [1, 2]
    assert Service().handle("read", {"file": str(tmp_path / "a.h5"), "data_path": "/d"})[1][0].tolist() == [1, 2]


def test_that_names_that_are_not_text_open(tmp_path: Path) -> None:
    name = str(tmp_path) + "/caf\udce9 ☕.h5"
    source = written(tmp_path / "a.h5")
    with open(name, "wb") as file:
        file.write(source.read_bytes())
    reply, _ = Service().handle("nodes", {"file": name, "data_path": "/"})
    assert reply["file"] == name
    assert [node["path"] for node in reply["nodes"]] == ["/", "/d"]
    assert "\\xe9" in refusal(str(tmp_path) + "/gone\udce9.h5").summary


def test_that_relative_paths_start_at_home_and_tilde_is_home(own_home: Path) -> None:
    assert file_path_of("~/a/../b.h5") == str(own_home / "b.h5")
    assert file_path_of("data/b.h5") == str(own_home / "data/b.h5")


def test_that_image_files_without_fabio_are_one_sentence(beamside_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fabio", None)
    error = refusal(beamside_data / "mx" / "l-cyst_01_00001.cbf")
    assert error.kind == "not_hdf5"
    assert "CBF image" in error.summary
    assert "fabio" in error.summary


def test_that_an_unknown_request_is_refused() -> None:
    with pytest.raises(WireError) as caught:
        Service().handle("erase", {"file": "x"})
    assert caught.value.kind == "internal"
