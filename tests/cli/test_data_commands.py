"""``ls``, ``tree``, ``plot`` and ``get`` word for word, through the real local agent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app import cli


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Any:
    def run_command(*argv: str) -> tuple[int, dict[str, Any]]:
        code = cli.main([*argv, "--json"])
        out = capfd.readouterr().out
        lines = out.splitlines()
        assert len(lines) == 1, f"standard output carries one JSON object only: {out!r}"
        assert isinstance(code, int)
        return code, json.loads(lines[0])
    return run_command


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    path = tmp_path / "stack.h5"
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        data = entry.create_group("data")
        data.attrs.update(NX_class="NXdata", signal="counts", axes=["frame", ".", "."])
        frames = rng.poisson(3, (4, 50, 70)).astype("u4")
        frames[:, 10:12] = 2**32 - 1
        data["counts"] = frames
        data["frame"] = np.arange(4)
    return path


def test_that_folders_come_first_in_natural_order(run: Any, tmp_path: Path) -> None:
    for name in ("scan10.h5", "scan2.h5", "scan1.h5"):
        (tmp_path / name).write_bytes(b"x" * 5)
    (tmp_path / "z_folder").mkdir()
    (tmp_path / "link").symlink_to("scan1.h5")
    code, value = run("ls", str(tmp_path))
    assert code == 0
    assert value["path"] == str(tmp_path)
    names = [(e["name"], e["kind"]) for e in value["entries"]]
    assert names[0] == ("z_folder", "folder")
    assert [n for n, kind in names if kind == "file"] == ["scan1.h5", "scan2.h5", "scan10.h5"]
    link = next(e for e in value["entries"] if e["name"] == "link")
    assert (link["kind"], link["target"]) == ("link", "scan1.h5")
    entry = next(e for e in value["entries"] if e["name"] == "scan2.h5")
    assert entry["size"] == 5
    assert entry["mtime"] == pytest.approx((tmp_path / "scan2.h5").stat().st_mtime)


def test_that_a_name_that_is_not_utf8_survives(run: Any, tmp_path: Path) -> None:
    raw = os.fsencode(str(tmp_path)) + b"/caf\xe9.h5"
    with open(raw, "wb"):
        pass
    _, value = run("ls", str(tmp_path))
    assert value["entries"][0]["name"] == "caf\udce9.h5"


def test_that_a_tree_lists_every_node(run: Any, stack: Path) -> None:
    code, value = run("tree", str(stack))
    assert code == 0
    assert [n["path"] for n in value["nodes"]] == ["/", "/entry", "/entry/data", "/entry/data/counts",
                                                   "/entry/data/frame"]
    counts = value["nodes"][3]
    assert (counts["kind"], counts["shape"], counts["dtype"]) == ("dataset", [4, 50, 70], "uint32")
    assert value["nodes"][1]["nx_class"] == "NXentry"


def test_that_the_default_plot_is_found(run: Any, stack: Path) -> None:
    _, value = run("plot", str(stack))
    assert (value["view"], value["signal"], value["rule"]) == ("stack", "/entry/data/counts", "default")
    with h5py.File(stack) as file:
        frame = file["entry/data/counts"][0]
    valid = frame[frame != 2**32 - 1]
    assert value["limits"] == pytest.approx(list(np.percentile(valid, [1, 99])))
    assert value["limits_rule"] == "percentile 1-99"


def test_that_get_is_exact(run: Any, stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    code, value = run("get", f"{stack}::/entry/data/counts", "--select", "-1,:,10:20", "-o", str(out))
    assert code == 0
    with h5py.File(stack) as file:
        expected = file["entry/data/counts"][-1][:, 10:20]
    assert np.array_equal(np.load(out), expected)
    assert value["exactness"] == "exact"
    assert value["sum"] == int(expected.astype(object).sum())
    assert (value["min"], value["max"]) == (int(expected.min()), 2**32 - 1)
    assert value["masked"] == 20


def test_that_fit_pools_by_the_smallest_power_of_two(run: Any, stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    _, value = run("get", str(stack), "--select", "0", "--fit", "20x20", "-o", str(out))
    assert value["exactness"] == "pooled"
    assert value["factor"] == [4, 4]
    pooled = np.load(out)
    assert pooled.shape == (13, 18) == tuple(value["shape"])
    with h5py.File(stack) as file:
        frame = file["entry/data/counts"][0]
    block = frame[8:12, 0:4]
    assert pooled[2, 0] == block[block != 2**32 - 1].max()
    assert value["max"] == 2**32 - 1


def test_that_a_block_of_masked_pixels_is_the_sentinel(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    frame = np.ones((8, 8), "u2")
    frame[:4, :4] = 2**16 - 1
    with h5py.File(path, "w") as file:
        file["d"] = frame
    run("get", f"{path}::/d", "--fit", "2x2", "-o", str(tmp_path / "o.npy"))
    assert np.load(tmp_path / "o.npy").tolist() == [[2**16 - 1, 1], [1, 1]]


def test_that_a_picture_is_drawn(run: Any, stack: Path, tmp_path: Path) -> None:
    run("plot", str(stack), "--png", str(tmp_path / "p.png"))
    assert (tmp_path / "p.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(("argv", "exit_code", "kind"), [
    (["ls", "/does/not/exist"], 3, "not_found"),
    (["tree", "/does/not/exist.h5"], 3, "not_found"),
    (["get", "{stack}::/nothing", "-o", "{tmp}/o.npy"], 3, "not_found"),
    (["get", "{stack}", "--select", "99", "-o", "{tmp}/o.npy"], 3, "selection"),
    (["get", "{stack}", "--select", "x", "-o", "{tmp}/o.npy"], 2, "usage"),
    (["get", "{stack}"], 2, "usage"),
    (["frobnicate"], 2, "usage"),
    (["tree", "{tmp}/text.h5"], 3, "not_hdf5"),
    (["sites", "show", "nowhere"], 2, "usage"),
    (["submit", "no-such-recipe", "{stack}"], 2, "usage"),
])
def test_that_an_error_is_one_json_object(run: Any, stack: Path, tmp_path: Path, argv: list[str], exit_code: int,
                                          kind: str) -> None:
    (tmp_path / "text.h5").write_text("hello, I am not HDF5")
    code, value = run(*(a.format(stack=stack, tmp=tmp_path) for a in argv))
    assert code == exit_code
    assert value["error"]["kind"] == kind
    assert value["error"]["summary"].endswith(".")
    assert set(value["error"]) == {"kind", "summary", "detail", "remedy"}


def test_that_without_json_an_error_is_two_lines_on_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ls", "/does/not/exist"]) == 3
    captured = capfd.readouterr()
    assert captured.out == ""
    assert 1 <= len(captured.err.splitlines()) <= 2
    assert "Traceback" not in captured.err


def test_that_sites_can_be_added_shown_and_removed(run: Any, tmp_path: Path) -> None:
    profile = tmp_path / "x.toml"
    profile.write_text('schema = 1\nname = "testsite"\n[ssh]\nhost = "h.example"\n')
    assert run("sites", "add", str(profile), "--config", str(tmp_path / "c"))[1] == {"added": "testsite"}
    _, value = run("sites", "--config", str(tmp_path / "c"))
    assert next(s["name"] for s in value["sites"]) == "local"
    assert "testsite" in [s["name"] for s in value["sites"]]
    assert run("sites", "show", "testsite", "--config", str(tmp_path / "c"))[1]["ssh"]["host"] == "h.example"
    assert run("sites", "remove", "testsite", "--config", str(tmp_path / "c"))[0] == 0
    assert run("sites", "show", "testsite", "--config", str(tmp_path / "c"))[0] == 2


def test_that_depth_one_begins_with_the_node_itself(run: Any, stack: Path) -> None:
    _, value = run("tree", str(stack), "--depth", "1")
    assert [n["path"] for n in value["nodes"]] == ["/", "/entry"]
    _, value = run("tree", str(stack), "--depth", "0")
    assert [n["path"] for n in value["nodes"]] == ["/"]
    assert set(value["nodes"][0]) <= {"path", "kind", "object", "nx_class", "attributes"}


def test_that_a_site_nobody_knows_is_named(run: Any) -> None:
    code, value = run("ls", "nowhere:/data")
    assert (code, value["error"]["kind"]) == (3, "not_found")
    assert "no site called “nowhere”" in value["error"]["summary"]
    assert "local" in value["error"]["remedy"]
