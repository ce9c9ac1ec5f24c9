"""``get`` against numpy: every kind of selection, type, reduction and place to write to."""

from __future__ import annotations

import math
import random
import resource
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.remote import whole_read
from tests.cli.running import InProcess, Shell
from tests.peers.need import missing

KEYS = ["signal", "selection", "shape", "dtype", "exactness", "factor", "reduce", "min", "max", "sum", "non_finite",
        "masked", "bytes_received", "seconds"]


@pytest.fixture
def cube(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """(5, 17, 23) int16 at ``/x``, chunked and compressed; negative values are plain numbers to ``min``."""
    values = np.random.default_rng(4).integers(-300, 300, (5, 17, 23)).astype("i2")
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=(2, 5, 7), compression="gzip")
    return path, values


def selections(count: int) -> list[str]:
    """Random numpy indices for three axes, some of them outside."""
    dice = random.Random(8)

    def one() -> str:
        kind = dice.random()
        if kind < 0.25:
            return str(dice.randint(-6, 5))
        if kind < 0.35:
            return ":"
        edges = [dice.choice(["", str(dice.randint(-30, 30))]) for _ in range(2)]
        step = dice.choice(["", "", ":", f":{dice.choice([1, 2, 3, 7, -1, -2, -5])}"])
        return f"{edges[0]}:{edges[1]}{step}"

    out = []
    while len(out) < count:
        items = [one() for _ in range(dice.randint(1, 3))]
        if dice.random() < 0.3:
            items.insert(dice.randint(0, len(items)), "...")
        out.append(dice.choice([",", ", "]).join(items))
    return out


def numpy_index(text: str) -> Any:
    return eval(f"numpy.s_[{text}]", {"numpy": np})   # the test's own texts


def test_that_a_selection_means_what_it_means_to_numpy(run: InProcess, cube: tuple[Path, np.ndarray],
                                                      tmp_path: Path) -> None:
    path, values = cube
    out = tmp_path / "o.npy"
    for text in [*selections(120), "...", "::-1,::-1,::-1", "-1,-1,-1", "0,0,0", "2:2", ":0,...", "...,5", "4,16,22"]:
        try:
            expected = values[numpy_index(text)]
        except IndexError:
            assert run.fails(3, "get", f"{path}::/x", "--select", text, "-o", out)["kind"] == "selection", text
            continue
        value = run.ok("get", f"{path}::/x", "--select", text, "-o", out)
        got = np.load(out)
        assert list(value) == KEYS
        assert got.dtype == values.dtype
        assert value["shape"] == list(expected.shape) == list(got.shape), text
        assert np.array_equal(got, expected), text
        assert (value["exactness"], value["factor"]) == ("exact", [1, 1])
        if expected.size:
            assert (value["min"], value["max"], value["sum"]) == (expected.min(), expected.max(), expected.sum()), text
        else:
            assert (value["min"], value["max"]) == (None, None), text
            assert value["sum"] in (0, None)


NO_INDICES = ["None", "0,None", "newaxis", "[1,2]", "1.5", "a", "0:1:0", "::0", "...,...",
                                  "0,0,0,0", "5", "-6", "1:2:3:4", "True", "1,,2", "9" * 30, "0x1",
                                  "__import__('os')", "1e3", "--1"]


def test_that_what_is_no_basic_index_is_refused(run: InProcess, cube: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    for text in NO_INDICES:
        done = run("get", f"{cube[0]}::/x", "--select", text, "-o", tmp_path / "o.npy")
        assert done.code in (2, 3), done
        assert done.error["kind"] in ("usage", "selection"), done
        assert not (tmp_path / "o.npy").exists()


TYPES = {
    "big": np.array([[1, -2], [3, 2**30]], ">i4"), "u8": np.array([2**64 - 1, 2**64 - 2, 7], "u8"),
    "i8": np.array([-2**63, 2**63 - 1, -5], "i8"), "u64sum": np.full(1000, 2**63 + 1, "u8"),
    "bool": np.array([[True, False], [True, True]]), "c8": np.array([1 + 2j, complex(np.nan, 1)], "c8"),
    "c16": np.array([[3 - 4j]]), "f2": np.array([1.5, np.nan, np.inf, -np.inf, 65504], "f2"),
    "f4": np.array([0.1, 0.2, np.nan], "f4"), "f8big": np.array([1.5, -2.5], ">f8"), "i1": np.array([-128, 127], "i1"),
    "u1": np.array([0, 255, 255], "u1"), "nan": np.full(3, np.nan), "empty": np.empty((0, 4), "i4"),
    "scalar": np.array(42, "u2"), "fscalar": np.array(np.inf), "S": np.array([b"ab", b"c"], "S5"),
    "compound": np.array([(1, 2.5, b"x"), (3, np.nan, b"y")], [("a", "i4"), ("b", "f8"), ("c", "S3")]),
    "sub": np.zeros(3, [("m", "f4", (2, 2))]),
}


def test_that_every_type_comes_as_it_is_stored(run: InProcess, tmp_path: Path) -> None:
    path, out = tmp_path / "types.h5", tmp_path / "o.npy"
    with h5py.File(path, "w") as file:
        for name, values in TYPES.items():
            file[name] = values
    for name, values in TYPES.items():
        value = run.ok("get", f"{path}::/{name}", "-o", out)
        got = np.load(out)
        assert got.dtype == values.dtype, name
        assert value["dtype"] == str(values.dtype)
        assert got.tobytes() == values.tobytes(), name
        assert value["shape"] == list(values.shape)
        if values.dtype.kind in "iu" and values.size:
            assert value["sum"] == sum(int(v) for v in values.ravel()), name
            assert (value["min"], value["max"], value["non_finite"]) == (int(values.min()), int(values.max()), 0)
        elif values.dtype.kind == "f":
            finite = values[np.isfinite(values)].astype("f8")
            assert value["non_finite"] == values.size - finite.size
            assert value["min"] == (finite.min() if finite.size else None), name
            assert value["max"] == (finite.max() if finite.size else None), name
            assert value["sum"] == (pytest.approx(math.fsum(finite)) if finite.size else value["sum"])
        elif values.dtype.kind in "SV":
            assert (value["min"], value["max"], value["sum"]) == (None, None, None), name


@pytest.mark.parametrize("name", ["text", "ragged", "null"])
def test_that_what_no_npy_holds_is_told(run: InProcess, tmp_path: Path, name: str) -> None:
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w") as file:
        file["text"] = ["ab", "ünï"]
        file.create_dataset("ragged", (2,), h5py.vlen_dtype("i4"))
        file["null"] = h5py.Empty("f4")
        file["group/x"] = 1
    done = run("get", f"{path}::/{name}", "-o", tmp_path / "o.npy")
    if name != "null":   # one text for each
        assert done.value["dtype"].startswith("<U")
        assert np.load(tmp_path / "o.npy").tolist() == {"text": ["ab", "ünï"], "ragged": ["[]", "[]"]}[name]
        return
    assert done.code == 3
    assert done.error["kind"] in ("unreadable", "selection", "data")
    assert not list(tmp_path.glob("*.npy*"))
    assert not list(tmp_path.glob(".*"))


def pooled(values: np.ndarray, factor: tuple[int, int], method: str, bad: np.ndarray) -> np.ndarray:
    """Blocks reduced one by one; where all is bad the value is what ``fill`` says."""
    fy, fx = factor
    out = np.zeros((*values.shape[:-2], -(-values.shape[-2] // fy), -(-values.shape[-1] // fx)), object)
    fill = np.nan if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    for at in np.ndindex(out.shape):
        block = (*at[:-2], slice(at[-2] * fy, at[-2] * fy + fy), slice(at[-1] * fx, at[-1] * fx + fx))
        good = values[block][~bad[block]]
        if not good.size:
            out[at] = fill
        elif method == "nearest":
            out[at] = None   # any value of the block
        else:
            out[at] = {"max": max, "min": min, "sum": sum, "mean": lambda v: sum(v) / len(v)}[method](
                [x.item() for x in good])
    return out


@pytest.mark.parametrize("dtype", ["u2", "u4", "f4"])
def test_that_fit_pools_blocks_as_numpy_does(run: InProcess, tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(5)
    values = rng.poisson(9, (2, 37, 50)).astype(dtype)
    sentinel = np.nan if dtype == "f4" else np.iinfo(dtype).max
    values[:, 8:16, 4:20] = sentinel
    values[0, 3, 3] = sentinel
    bad = np.isnan(values) if dtype == "f4" else values == sentinel
    path, out = tmp_path / "s.h5", tmp_path / "o.npy"
    with h5py.File(path, "w") as file:
        file["x"] = values
    finite = values[np.isfinite(values)]
    for fit, factor in (("10x13", (4, 4)), ("37x50", (1, 1)), ("36x50", (2, 1)), ("5x100", (8, 1)), ("1x1", (64, 64)),
                        ("19x25", (2, 2)), ("18x24", (4, 4)), ("1000x1000", (1, 1))):
        for method in ("max", "mean", "min", "sum", "nearest"):
            value = run.ok("get", f"{path}::/x", "--fit", fit, "--reduce", method, "-o", out)
            got = np.load(out)
            assert value["factor"] == list(factor), (fit, method)
            assert value["reduce"] == method
            assert value["shape"] == [2, -(-37 // factor[0]), -(-50 // factor[1])] == list(got.shape)
            assert value["dtype"] == str(got.dtype)
            assert value["exactness"] == ("exact" if factor == (1, 1) else "pooled")
            assert (value["min"], value["max"]) == (finite.min(), finite.max())
            assert value["sum"] == pytest.approx(float(finite.astype("f8").sum()))
            assert value["non_finite"] == values.size - finite.size
            assert value["masked"] == (0 if dtype == "f4" else bad.sum())   # NaN counts as non-finite
            if factor == (1, 1):
                assert np.array_equal(got, values, equal_nan=dtype == "f4")
                continue
            expected = pooled(values, factor, method, bad)
            for at in np.ndindex(expected.shape):
                want, have = expected[at], got[at]
                if want is None:
                    y, x = at[1] * factor[0], at[2] * factor[1]
                    assert have in values[at[0], y:y + factor[0], x:x + factor[1]]
                elif (isinstance(want, float) and math.isnan(want)) or want == sentinel:
                    masked = np.isnan(have) if got.dtype.kind == "f" else have == np.iinfo(got.dtype).max
                    assert masked, (fit, method, at)
                else:
                    slack = 0.51 if got.dtype.kind in "iu" else 0
                    assert have == pytest.approx(want, rel=1e-6, abs=slack), (fit, method, at)


def test_that_without_a_data_path_the_default_plots_signal_is_read(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "d.h5"
    with h5py.File(path, "w") as file:
        file["decoy"] = np.zeros((50, 50))
        group = file.create_group("e/d")
        file.attrs["default"] = "e"
        file["e"].attrs.update(NX_class="NXentry", default="d")
        group.attrs.update(NX_class="NXdata", signal="y")
        group["y"] = np.arange(5)
    assert run.ok("get", path, "-o", tmp_path / "o.npy")["signal"] == "/e/d/y"
    assert run.ok("get", f"{path}::/e", "-o", tmp_path / "o.npy")["signal"] == "/e/d/y"
    with h5py.File(path, "w") as file:
        file["text"] = "no numbers"
    assert run.fails(3, "get", path, "-o", tmp_path / "o.npy")["kind"] == "not_found"


def test_that_the_output_is_whole_or_not_there(run: InProcess, cube: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    target = f"{cube[0]}::/x"
    keep = tmp_path / "keep.npy"
    keep.write_bytes(b"old")
    assert run.fails(3, "get", target, "--select", "99", "-o", keep)
    assert keep.read_bytes() == b"old"
    for bad in (tmp_path / "no" / "o.npy", tmp_path, cube[0] / "o.npy", tmp_path / ("n" * 300)):
        assert str(bad)[:20] in run.fails(3, "get", target, "-o", bad)["summary"]
    link = tmp_path / "link.npy"
    link.symlink_to("keep.npy")
    run.ok("get", target, "-o", link)
    assert link.is_symlink()
    assert np.array_equal(np.load(keep), cube[1])
    run.ok("get", target, "-o", tmp_path / "no suffix")
    assert np.array_equal(np.load(tmp_path / "no suffix"), cube[1])
    run.ok("get", target, "-o", "/dev/null")
    assert not Path("/dev/null").is_file()
    assert not list(tmp_path.glob(".*"))


PIECED = [None, "::-1", "1:,...,::-2", "2", ":,3", "-1,5:9,:", "...,7"]


def test_that_pieces_make_the_same_file(run: InProcess, cube: tuple[Path, np.ndarray], tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    for text in PIECED:
        path, values = cube
        expected = values[numpy_index(text or "...")]
        select = ["--select", text] if text else []
        for piece in (8, 50, 1000):
            monkeypatch.setattr(whole_read, "PIECE_BYTES", piece)
            value = run.ok("get", f"{path}::/x", *select, "-o", tmp_path / "o.npy")
            assert np.array_equal(np.load(tmp_path / "o.npy"), expected)
            assert value["shape"] == list(expected.shape)
            assert (value["min"], value["max"], value["sum"]) == (expected.min(), expected.max(), expected.sum())


def test_that_a_big_dataset_needs_little_memory(shell: Shell, tmp_path: Path) -> None:
    path, out = tmp_path / "big.h5", tmp_path / "o.npy"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("x", (2, 220, 1000, 500), "u2", chunks=(1, 20, 1000, 500))   # 440 MB
        data[0, 3] = 7
        data[1, 219, 999, 499] = 65534
    mib = 2**20
    limit = 1500 * mib   # of addresses, of which the interpreter and its libraries take most

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = shell("get", f"{path}::/x", "-o", str(out), "--json", preexec_fn=bounded)
    assert done.code == 0, done
    value = done.value
    assert (value["min"], value["max"], value["sum"]) == (0, 65534, 7 * 500_000 + 65534)
    got = np.load(out, mmap_mode="r")
    assert got.shape == (2, 220, 1000, 500)
    assert got[0, 3].min() == 7
    assert got[1, 219, 999, 499] == 65534
    assert got[0, :3].max() == 0


def test_that_a_full_disk_is_told(shell: Shell, cube: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        missing("/dev/full")
    done = shell("get", f"{cube[0]}::/x", "-o", str(full), "--json")
    assert done.code == 3
    assert done.error["kind"] == "storage_full"
