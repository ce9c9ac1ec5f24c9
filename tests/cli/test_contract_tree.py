"""``tree`` against the HDF5 library: every kind of node, link, type and attribute, and every measured file."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.cli.running import InProcess

KEYS = ("path", "kind", "object", "same_as", "nx_class", "shape", "dtype", "chunks", "maxshape", "filters", "units",
        "target", "broken", "error", "attributes")


def by_path(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    nodes = {n["path"]: n for n in value["nodes"]}
    assert len(nodes) == len(value["nodes"])
    for node in nodes.values():
        assert [k for k in KEYS if k in node] == list(node), "only known keys, in the contract's order"
    return nodes


def natural(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part)
            for part in re.split(r"([0-9]+)", name.casefold()) if part]


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    path = tmp_path / "everything.h5"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        scans = file.create_group("scans")
        for name in ("10.1", "2.1", "1.1", "1.10", "1.2", "b", "B", "a"):
            scans.create_group(name)
        entry["up"] = file["/"]                          # a cycle
        entry["data"] = np.arange(12.0).reshape(3, 4)
        entry["data"].attrs["units"] = "mm"
        file["zz_again"] = entry["data"]                 # a further hard link
        file["zz_group"] = scans
        entry["soft"] = h5py.SoftLink("/entry/data")
        entry["soft_relative"] = h5py.SoftLink("data")
        entry["soft_broken"] = h5py.SoftLink("/no/such")
        entry["soft_to_itself"] = h5py.SoftLink("/entry/soft_to_itself")
        entry["external"] = h5py.ExternalLink("other.h5", "/x")
        entry["external_no_file"] = h5py.ExternalLink("missing.h5", "/x")
        entry["external_no_node"] = h5py.ExternalLink("other.h5", "/y")
        file["type"] = np.dtype([("a", "i4")])
        more = file.create_group("datasets")
        more["scalar"] = 5
        more["empty"] = h5py.Empty("f4")
        more["zero"] = np.zeros((0, 3))
        more.create_dataset("chunked", (10, 20), ">u2", chunks=(5, 20), maxshape=(None, 20), compression="gzip",
                            shuffle=True, fletcher32=True)
        more["text"] = "hello"
        more["fixed"] = np.array([b"ab"], "S2")
        more["compound"] = np.zeros(2, [("a", "i4"), ("b", "f8")])
        more["bool"] = np.array([True])
        more["complex"] = np.array([1j])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    return path


def test_that_every_node_is_listed_depth_first_in_natural_order(run: InProcess, everything: Path) -> None:
    value = run.ok("tree", everything)
    assert value["file"] == str(everything)
    paths = [n["path"] for n in value["nodes"]]
    assert paths[0] == "/"
    names = [p.removeprefix("/scans/") for p in paths if p.startswith("/scans/")]
    assert [n for n in names if n[0].isdigit()] == ["1.1", "1.2", "1.10", "2.1", "10.1"]
    assert paths.index("/datasets") < paths.index("/entry") < paths.index("/scans") < paths.index("/type")
    for number, path in enumerate(paths[1:], 1):
        parent = path.rpartition("/")[0] or "/"
        assert parent in paths[:number]
        between = paths[paths.index(parent) + 1:number]
        assert all(p.startswith(parent.rstrip("/") + "/") for p in between), "depth first"


def test_that_hard_links_and_cycles_are_told_once(run: InProcess, everything: Path) -> None:
    nodes = by_path(run.ok("tree", everything))
    assert nodes["/entry/up"]["same_as"] == "/"
    assert nodes["/entry/up"]["object"] == nodes["/"]["object"]
    assert nodes["/zz_again"]["same_as"] == "/entry/data"
    assert nodes["/zz_group"]["same_as"] == "/scans"
    assert nodes["/zz_group"]["kind"] == "group"
    assert not [p for p in nodes if p.startswith(("/entry/up/", "/zz_group/"))]
    first = [n["object"] for n in nodes.values() if "object" in n and "same_as" not in n]
    assert len(set(first)) == len(first)


def test_that_links_are_listed_and_not_followed(run: InProcess, everything: Path) -> None:
    nodes = by_path(run.ok("tree", everything))
    links = {p.rpartition("/")[2]: (n["kind"], n["target"], n["broken"]) for p, n in nodes.items() if "target" in n}
    assert {k: v for k, v in links.items() if k.startswith("soft")} == {
        "soft": ("soft_link", "/entry/data", False), "soft_relative": ("soft_link", "data", False),
        "soft_broken": ("soft_link", "/no/such", True), "soft_to_itself": ("soft_link", "/entry/soft_to_itself", True)}
    assert {k: (v[0], v[2]) for k, v in links.items() if k.startswith("ext")} == {
        "external": ("external_link", False), "external_no_file": ("external_link", True),
        "external_no_node": ("external_link", True)}
    assert links["external"][1] == "other.h5::/x"
    assert all("shape" not in n and "attributes" not in n and "object" not in n
               for n in nodes.values() if n["kind"].endswith("_link"))


def test_that_datasets_are_described(run: InProcess, everything: Path) -> None:
    nodes = by_path(run.ok("tree", everything))

    def of(name: str) -> dict[str, Any]:
        keys = ("shape", "dtype", "chunks", "maxshape", "filters")
        return {k: v for k, v in nodes[f"/datasets/{name}"].items() if k in keys}

    assert of("scalar")["shape"] == []
    assert of("empty")["shape"] is None
    assert of("empty")["dtype"] == "float32"
    assert of("zero")["shape"] == [0, 3]
    chunked = of("chunked")
    assert (chunked["shape"], chunked["dtype"]) == ([10, 20], ">u2")
    assert (chunked["chunks"], chunked["maxshape"]) == ([5, 20], [None, 20])
    assert [f["id"] for f in chunked["filters"]] == [2, 1, 3]
    assert all(sorted(f) == ["id", "name"] for f in chunked["filters"])
    assert "chunks" not in of("scalar")
    with h5py.File(everything) as file:
        for name, dataset in file["datasets"].items():
            assert of(name)["dtype"] == str(dataset.dtype), name
    assert nodes["/entry/data"]["units"] == "mm"
    assert nodes["/entry"]["nx_class"] == "NXentry"
    assert nodes["/type"]["kind"] == "named_type"
    assert nodes["/type"]["dtype"] == str(np.dtype([("a", "i4")]))


def test_that_depth_and_a_data_path_limit_the_tree(run: InProcess, everything: Path) -> None:
    full = run.ok("tree", everything)["nodes"]
    for depth in (0, 1, 2, 50):
        cut = run.ok("tree", everything, "--depth", str(depth))["nodes"]
        assert [n["path"] for n in cut] == [n["path"] for n in full
                                            if n["path"] == "/" or n["path"].count("/") <= depth]
    below = [n["path"] for n in run.ok("tree", f"{everything}::/entry")["nodes"]]
    assert below[0] == "/entry"
    assert {p for p in below[1:] if not p.startswith("/entry/up/")} == {
        n["path"] for n in full if n["path"].startswith("/entry/")}
    assert [n["path"] for n in run.ok("tree", f"{everything}::/entry/data")["nodes"]] == ["/entry/data"]
    assert run.fails(3, "tree", f"{everything}::/entry/no")["kind"] == "not_found"
    assert run.fails(3, "tree", f"{everything}::/entry/soft_broken")["kind"] in ("not_found", "unreadable")


ATTRIBUTES: dict[str, tuple[Any, Any]] = {
    "int": (5, 5), "u64": (np.uint64(2**64 - 1), 2**64 - 1), "i64": (np.int64(-2**63), -2**63), "float": (1.5, 1.5),
    "nan": (np.nan, "nan"), "inf": (np.inf, "inf"), "minus": (-np.inf, "-inf"), "f2": (np.float16(0.5), 0.5),
    "bool": (np.bool_(True), True), "complex": (1 + 2j, [1.0, 2.0]),
    "complex_nan": (complex(np.nan, -np.inf), ["nan", "-inf"]),
    "text": ("ünï\n", "ünï\n"), "bytes": (np.bytes_(b"ascii"), "ascii"), "utf8_bytes": (np.bytes_("é".encode()), "é"),
    "latin1": (np.bytes_(b"caf\xe9"), {"base64": base64.b64encode(b"caf\xe9").decode()}),
    "array": (np.arange(6).reshape(2, 3), [[0, 1, 2], [3, 4, 5]]), "floats": (np.array([1, np.nan]), [1.0, "nan"]),
    "complexes": (np.array([1j, 2]), [[0.0, 1.0], [2.0, 0.0]]), "texts": (["a", "é"], ["a", "é"]),
    "byteses": (np.array([b"a", b"\xff"], "S1"), ["a", {"base64": "/w=="}]), "none": (np.zeros((0, 2)), []),
    "compound": (np.array((1, 2.5, b"x"), [("a", "i4"), ("b", "f8"), ("c", "S3")]), {"a": 1, "b": 2.5, "c": "x"}),
    "compounds": (np.array([(1, np.nan)], [("a", "u8"), ("b", "f4")]), [{"a": 1, "b": "nan"}]),
    "big_endian": (np.array([1, 2], ">u8"), [1, 2]), "one": (np.array([7]), [7]),
    "full": (np.zeros(4096, "i1"), [0] * 4096),
    "long": (np.zeros(4097, "i1"), {"truncated": True, "shape": [4097], "dtype": "int8"}),
    "wide": (np.zeros((100, 50), "f4"), {"truncated": True, "shape": [100, 50], "dtype": "float32"}),
}


def test_that_attributes_follow_the_json_rules(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "attributes.h5"
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("g")
        for name, (value, _) in ATTRIBUTES.items():
            group.attrs[name] = value
        group.attrs["empty"] = h5py.Empty("f4")
        group.attrs["reference"] = group.ref
        file["d"] = np.arange(4)
        group.attrs.create("references", np.array([file["d"].ref, group.ref], dtype=h5py.ref_dtype))
        group.attrs["region"] = file["d"].regionref[1:3]
        group.attrs["null_reference"] = h5py.Reference()
        group.attrs["large_text"] = "x" * 70000
        group.attrs["text_64k"] = "x" * 65536
        group.attrs["few_but_large"] = np.zeros((3000, 3), "f8")
        group.attrs.create("ragged", np.array([np.arange(2), np.arange(3)], object), dtype=h5py.vlen_dtype("i4"))
    attributes = by_path(run.ok("tree", path))["/g"]["attributes"]
    for name, (_, expected) in ATTRIBUTES.items():
        assert attributes[name] == expected, name
        assert type(attributes[name]) is type(expected), name
    assert attributes["empty"] is None
    assert attributes["reference"] == {"reference": "/g"}
    assert attributes["references"] == [{"reference": "/d"}, {"reference": "/g"}]
    assert attributes["region"]["reference"].startswith("/d")
    assert attributes["null_reference"] == {"reference": None}
    assert attributes["large_text"]["truncated"] is True
    assert sorted(attributes["large_text"]) == ["dtype", "shape", "truncated"]
    assert attributes["text_64k"] == "x" * 65536
    assert attributes["few_but_large"] == {"truncated": True, "shape": [3000, 3], "dtype": "float64"}
    assert attributes["ragged"] == [[0, 1], [0, 1, 2]]


def hdf5_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in (".h5", ".nxs", ".hdf5", ".cxi", ".nc")
                  and p.parent.name != "corrupt")


def expected_paths(path: Path) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Every path and what h5py says of it; and those reached by a further hard link."""
    found: dict[str, dict[str, Any]] = {}
    again: set[str] = set()
    seen: set[tuple[Any, ...]] = set()

    def visit(file: h5py.File, name: str) -> None:
        try:
            node = file[name]
        except (OSError, KeyError, RuntimeError, ValueError):
            found[name] = {"kind": "unreadable"}
            return
        key = h5py.h5o.get_info(node.id)
        if (key.fileno, key.addr) in seen:
            again.add(name)
        kind = {h5py.Group: "group", h5py.Dataset: "dataset", h5py.Datatype: "named_type"}[
            h5py.Group if isinstance(node, h5py.Group) else type(node)]
        found[name] = {"kind": kind}
        if kind == "dataset":
            try:
                found[name] |= {"shape": None if node.shape is None else list(node.shape), "dtype": str(node.dtype),
                                "chunks": None if node.chunks is None else list(node.chunks)}
            except (TypeError, RuntimeError):   # a type h5py has no numpy type for
                pass
        if (key.fileno, key.addr) in seen or kind != "group":
            seen.add((key.fileno, key.addr))
            return
        seen.add((key.fileno, key.addr))
        for child in sorted(node, key=natural):
            below = name.rstrip("/") + "/" + child
            try:
                link = node.get(child, getlink=True)
            except TypeError:   # a user's own link class
                found[below] = {"kind": None}
                continue
            if isinstance(link, h5py.HardLink):
                visit(file, below)
            else:
                found[below] = {"kind": "soft_link" if isinstance(link, h5py.SoftLink) else "external_link",
                                "broken": child not in node or _missing(node, child)}

    with h5py.File(path) as file:
        visit(file, "/")
    return found, again


def _missing(node: h5py.Group, child: str) -> bool:
    try:
        node[child]
    except (OSError, KeyError, RuntimeError):
        return True
    return False


def test_that_every_measured_file_has_the_nodes_h5py_sees(run: InProcess, beamside_data: Path) -> None:
    for path in hdf5_files(beamside_data):
        nodes = by_path(run.ok("tree", path))
        expected, again = expected_paths(path)
        assert set(nodes) == set(expected), path.name
        assert {p for p, n in nodes.items() if "same_as" in n} == again, path.name
        for where, facts in expected.items():
            node = nodes[where]
            if facts["kind"] == "unreadable" or node["kind"] == "unreadable":
                assert node["error"], (path.name, where)
                continue
            for key, want in facts.items():
                if want is not None or key == "shape":
                    assert node[key] == want, (path.name, where, key)


def test_that_corrupt_files_answer_in_one_sentence_or_with_unreadable_nodes(run: InProcess,
                                                                                beamside_data: Path) -> None:
    files = sorted((beamside_data / "corrupt").iterdir())
    assert files
    for path in files:
        for command in (["tree", path], ["plot", path]):
            done = run(*command)
            assert done.code in (0, 3), (path.name, done)
            if done.code == 3:
                assert done.error["kind"] in ("damaged", "unreadable", "worker_lost", "not_found"), (path.name, done)
                assert done.error["remedy"]
            elif command[0] == "tree":
                for node in by_path(done.value).values():
                    assert (node["kind"] == "unreadable") == ("error" in node)


def test_that_an_unreadable_node_hides_no_other(run: InProcess, beamside_data: Path, tmp_path: Path) -> None:
    nodes = by_path(run.ok("tree", beamside_data / "edge" / "tfilters.h5"))
    assert nodes["/all"]["kind"] == "dataset"
    assert {f["id"] for f in nodes["/myfilter"]["filters"]} == {405}
    target = f"{beamside_data}/edge/tfilters.h5::/myfilter"
    assert run.fails(3, "get", target, "-o", tmp_path / "o")["kind"] == "unreadable"


NO_HDF5 = [
    (b"", "not_hdf5"), (b"hello\n" * 100, "not_hdf5"), (b"\x89HDF\r\n\x1a\n", "damaged"), (b"\0" * 5000, "not_hdf5"),
]


def test_that_what_is_no_hdf5_says_what_it_is(run: InProcess, tmp_path: Path) -> None:
    for content, kind in NO_HDF5:
        path = tmp_path / "x.h5"
        path.write_bytes(content)
        for argv in (["tree", path], ["plot", path], ["get", path, "-o", tmp_path / "o"]):
            assert run.fails(3, *argv)["kind"] == kind


def test_that_a_truncated_file_is_damaged(run: InProcess, beamside_data: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.h5"
    path.write_bytes((beamside_data / "tomo" / "tooth.h5").read_bytes()[:500_000])
    assert run.fails(3, "tree", path)["kind"] == "damaged"


def test_that_a_folder_and_a_pipe_are_no_files(run: InProcess, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    for place in (tmp_path, tmp_path / "pipe.h5", "/dev/zero"):
        for argv in (["tree", place], ["plot", place], ["get", place, "-o", tmp_path / "o"]):
            assert run.fails(3, *argv)["kind"] == "not_hdf5"
