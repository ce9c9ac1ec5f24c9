"""The tree: an independent walk with h5py's high level must find the same, and nothing may break it."""

from __future__ import annotations

import base64
import json
import math
import random
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent.service import Service
from app.protocol.errors import WireError
from app.protocol.natural import natural_key


def tree(file: Path, data_path: str = "/", depth: int | None = None, expand: bool = False,
         attributes: bool = True) -> list[dict[str, Any]]:
    service = Service()
    try:
        reply, _ = service.handle("nodes", {"file": str(file), "data_path": data_path, "depth": depth,
                                            "attributes": attributes, "expand": expand})
    finally:
        service.close()
    assert reply["file"] == str(file)
    json.dumps(reply, allow_nan=False)
    nodes: list[dict[str, Any]] = reply["nodes"]
    return nodes


def by_path(nodes: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    assert len({node["path"] for node in nodes}) == len(nodes)
    return {node["path"]: node for node in nodes}


def test_that_the_root_comes_first_then_everything_depth_first_in_natural_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("10.1/b", "2.1/x10", "2.1/x9", "1.1/a"):
            file[name] = 1
    assert [node["path"] for node in tree(tmp_path / "a.h5")] == [
        "/", "/1.1", "/1.1/a", "/2.1", "/2.1/x9", "/2.1/x10", "/10.1", "/10.1/b"]
    assert [node["path"] for node in tree(tmp_path / "a.h5", depth=1)] == ["/", "/1.1", "/2.1", "/10.1"]
    assert [node["path"] for node in tree(tmp_path / "a.h5", depth=0)] == ["/"]
    assert [node["path"] for node in tree(tmp_path / "a.h5", "/2.1")] == ["/2.1", "/2.1/x9", "/2.1/x10"]


def test_that_datasets_carry_shape_type_chunks_limits_and_filters(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scalar"] = 1.5
        file["empty"] = h5py.Empty(">i4")
        packed = file.create_dataset("packed", (4, 6), "u2", chunks=(2, 3), maxshape=(None, 6), compression="gzip",
                                     shuffle=True, fletcher32=True)
        packed.attrs["units"] = "counts"
        file.create_dataset("shuffled", (4, 6), "u4", **hdf5plugin.Bitshuffle())
        file["kind"] = np.dtype("<f4")
    nodes = by_path(tree(tmp_path / "a.h5"))
    assert nodes["/scalar"]["shape"] == []
    assert nodes["/scalar"]["dtype"] == "float64"
    assert nodes["/empty"]["shape"] is None
    assert nodes["/empty"]["dtype"] == ">i4"
    packed_node = nodes["/packed"]
    assert (packed_node["shape"], packed_node["chunks"], packed_node["maxshape"]) == ([4, 6], [2, 3], [None, 6])
    assert packed_node["filters"] == [{"id": 2, "name": "shuffle"}, {"id": 1, "name": "deflate"},
                                      {"id": 3, "name": "fletcher32"}]
    assert packed_node["units"] == "counts"
    assert nodes["/shuffled"]["filters"] == [{"id": 32008, "name": "bitshuffle"}]
    assert "chunks" not in nodes["/scalar"]
    assert (nodes["/kind"]["kind"], nodes["/kind"]["dtype"]) == ("named_type", "float32")


def test_that_a_further_hard_link_names_the_first_path_and_cycles_end(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/data"] = [1, 2]
        file["a/self"] = file["a"]
        file["b"] = file["a"]
        file["c"] = file["a/data"]
        file["a/root"] = file["/"]
    nodes = by_path(tree(tmp_path / "a.h5"))
    assert list(nodes) == ["/", "/a", "/a/data", "/a/root", "/a/self", "/b", "/c"]
    assert nodes["/a/self"]["same_as"] == "/a"
    assert nodes["/a/root"]["same_as"] == "/"
    assert nodes["/b"]["same_as"] == "/a"
    assert nodes["/c"]["same_as"] == "/a/data"
    assert nodes["/c"]["object"] == nodes["/a/data"]["object"] != nodes["/a"]["object"]
    assert nodes["/c"]["shape"] == [2]
    assert "same_as" not in nodes["/a"]


def test_that_links_are_listed_with_their_target_and_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["x/y"] = 1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d/e"] = 1
        file["soft"] = h5py.SoftLink("/d")
        file["dangling"] = h5py.SoftLink("nowhere")
        file["out"] = h5py.ExternalLink("far.h5", "x")
        file["gone"] = h5py.ExternalLink("absent.h5", "/x")
        file["loop"] = h5py.SoftLink("/loop")
    nodes = by_path(tree(tmp_path / "a.h5"))
    assert {path: (node["kind"], node["target"], node["broken"]) for path, node in nodes.items() if "target" in node} \
        == {"/soft": ("soft_link", "/d", False), "/dangling": ("soft_link", "nowhere", True),
            "/out": ("external_link", "far.h5::/x", False), "/gone": ("external_link", "absent.h5::/x", True),
            "/loop": ("soft_link", "/loop", True)}
    assert "/soft/e" not in nodes
    assert "/out/y" not in nodes


def test_that_the_tree_on_screen_says_what_links_lead_to(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["x/y"] = np.zeros((2, 3), "f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        entry = file.create_group("1.1")
        entry.attrs["NX_class"] = "NXentry"
        entry["title"] = "ascan th 0 1"
        file["soft"] = h5py.SoftLink("/1.1")
        file["out"] = h5py.ExternalLink("far.h5", "/x/y")
        file["empty"] = file.create_group("g")
        file["gone"] = h5py.SoftLink("/q")
        file["far"] = h5py.ExternalLink("far.h5", "/")
    nodes = by_path(tree(tmp_path / "a.h5", depth=1, expand=True))
    assert "/" not in nodes
    assert (nodes["/1.1"]["title"], nodes["/1.1"]["has_children"]) == ("ascan th 0 1", True)
    assert (nodes["/soft"]["leads_to"], nodes["/soft"]["nx_class"], nodes["/soft"]["title"]) == (
        "group", "NXentry", "ascan th 0 1")
    assert (nodes["/out"]["leads_to"], nodes["/out"]["shape"], nodes["/out"]["dtype"]) == ("dataset", [2, 3], "float32")
    assert nodes["/g"]["has_children"] is False
    assert "leads_to" not in nodes["/gone"]
    inside = by_path(tree(tmp_path / "a.h5", "/far/x", depth=1, expand=True))
    assert list(inside) == ["/far/x/y"]
    assert inside["/far/x/y"]["shape"] == [2, 3]


def test_that_attributes_follow_the_rules(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        attributes = file.create_group("g").attrs
        attributes["int"] = np.int64(-2**63)
        attributes["big"] = np.uint64(2**64 - 1)
        attributes["float"] = 0.25
        attributes["not finite"] = np.array([np.nan, np.inf, -np.inf], "f4")
        attributes["complex"] = np.complex64(1 - 2j)
        attributes["text"] = "Å ✓"
        attributes["latin"] = np.bytes_(b"\xe5ngstr\xf6m")
        attributes["bytes"] = np.bytes_(b"NXentry")
        attributes["texts"] = ["a", "b"]
        attributes["bool"] = True
        attributes["empty"] = h5py.Empty("f4")
        attributes["grid"] = np.arange(6).reshape(2, 3)
        attributes["pair"] = np.array((1, 2.5), [("n", "i4"), ("x", "f8")])
        attributes["reference"] = file["g"].ref
        attributes["nothing"] = h5py.Reference()
        attributes["blob"] = np.void(b"\x00\x01")
        attributes.create("limit", np.zeros(4096, "u1"))
        attributes.create("long", np.zeros((4097,), "u1"))
        attributes.create("wide", np.array(b"x" * 65536))
        attributes.create("wider", np.array(b"x" * 65537))
        attributes.create("novel", "x" * 70000, dtype=h5py.string_dtype())
        ragged = np.empty(2, object)
        ragged[0], ragged[1] = np.array([1, 2, 3], "i2"), np.array([], "i2")
        attributes.create("ragged", ragged, (2,), h5py.vlen_dtype("i2"))
    found = by_path(tree(tmp_path / "a.h5"))["/g"]["attributes"]
    assert found["int"] == -2**63
    assert found["big"] == 2**64 - 1
    assert found["float"] == 0.25
    assert found["not finite"] == ["nan", "inf", "-inf"]
    assert found["complex"] == [1.0, -2.0]
    assert found["text"] == "Å ✓"
    assert found["latin"] == {"base64": base64.b64encode(b"\xe5ngstr\xf6m").decode()}
    assert found["bytes"] == "NXentry"
    assert found["texts"] == ["a", "b"]
    assert found["bool"] is True
    assert found["empty"] is None
    assert found["grid"] == [[0, 1, 2], [3, 4, 5]]
    assert found["pair"] == {"n": 1, "x": 2.5}
    assert found["reference"] == {"reference": "/g"}
    assert found["nothing"] == {"reference": None}
    assert found["blob"] == {"base64": base64.b64encode(b"\x00\x01").decode()}
    assert len(found["limit"]) == 4096
    assert found["long"] == {"truncated": True, "shape": [4097], "dtype": "uint8"}
    assert found["wide"] == "x" * 65536
    assert found["wider"] == {"truncated": True, "shape": [], "dtype": "|S65537"}
    assert found["novel"] == {"truncated": True, "shape": [], "dtype": "object"}
    assert found["ragged"] == [[1, 2, 3], []]


def test_that_names_need_not_be_text_or_short(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5g.create(file.id, b"caf\xe9")
        file["entry_0000: demo - data set/x"] = 1
        file["long" * 1000] = 1
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file.id, b"na\xefve", h5py.h5t.NATIVE_INT8, space).write(np.array(3, "i1"))
    nodes = by_path(tree(tmp_path / "a.h5"))
    assert "/caf\udce9" in nodes
    assert "/entry_0000: demo - data set/x" in nodes
    assert "/" + "long" * 1000 in nodes
    assert nodes["/"]["attributes"] == {"na\udcefve": 3}
    assert [node["path"] for node in tree(tmp_path / "a.h5", "/caf\udce9")] == ["/caf\udce9"]


def test_that_a_deep_file_does_not_exhaust_the_stack(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file
        for _ in range(1500):
            group = group.create_group("g")
    assert len(tree(tmp_path / "a.h5", attributes=False)) == 1501


def test_that_missing_sources_and_filters_are_named_on_their_node(beamside_data: Path) -> None:
    nodes = by_path(tree(beamside_data / "edge" / "tfilters.h5"))
    assert nodes["/myfilter"]["error"] == "The compression filter myfilter is not available at the facility."
    assert nodes["/myfilter"]["kind"] == "dataset"
    assert "ext1.bin" in nodes["/external"]["error"]
    assert "error" not in nodes["/all"]
    gaps = by_path(tree(beamside_data / "edge" / "vds_eiger_gaps" / "vds-eiger.h5"))["/VDS-Eiger"]
    assert "f-1.h5" in gaps["error"]
    assert "f-2.h5" in gaps["error"]
    master = by_path(tree(beamside_data / "mx" / "DLS_i03_i04_NXmx_Therm_6_2.nxs"))
    assert "Therm_6_2_000001.h5" in master["/entry/data/data"]["error"]
    assert master["/entry/data/data_000001"]["broken"] is True


def test_that_unreadable_nodes_hide_no_other(beamside_data: Path) -> None:
    nodes = by_path(tree(beamside_data / "corrupt" / "cve-2018-17233.h5"))
    assert nodes["/BAG_root/metadata"]["kind"] == "unreadable"
    assert nodes["/BAG_root/metadata"]["error"]
    assert nodes["/BAG_root/uncertainty"]["shape"] == [1778, 1317]
    links = by_path(tree(beamside_data / "edge" / "tmany.h5"))
    assert links["/g8/udlink"]["kind"] == "unreadable"
    assert links["/g8/elink"]["target"] == "somefile::/somepath"


@pytest.mark.parametrize("path", ["/nowhere", "/g/nowhere", "/gone", "/d/deeper"])
def test_that_a_path_that_is_not_there_is_said_in_one_sentence(tmp_path: Path, path: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("g")
        file["d"] = 1
        file["gone"] = h5py.ExternalLink("absent.h5", "/x")
    with pytest.raises(WireError) as caught:
        tree(tmp_path / "a.h5", path)
    assert caught.value.kind == "not_found"
    assert path.split("/")[-1] in caught.value.summary
    assert caught.value.remedy


def reference_walk(file: Any) -> dict[str, tuple[str, Any]]:
    """Path → (kind, facts) with h5py's high level, each object descended once."""
    found: dict[str, tuple[str, Any]] = {}
    seen: dict[int, str] = {}

    def visit(node: Any, path: str) -> None:
        address = h5py.h5o.get_info(node.id).addr
        first = seen.setdefault(address, path)
        if isinstance(node, h5py.Dataset):
            shape = None if node.shape is None else list(node.shape)
            chunks = None if node.chunks is None else list(node.chunks)
            try:
                dtype = str(node.dtype)
            except Exception:
                dtype = None
            found[path] = ("dataset", (shape, dtype, chunks, None if first == path else first))
        elif isinstance(node, h5py.Group):
            found[path] = ("group", None if first == path else first)
            for name in sorted(node, key=natural_key) if first == path else ():
                below = ("" if path == "/" else path) + "/" + name
                try:
                    link = node.get(name, getlink=True)
                    if isinstance(link, h5py.SoftLink):
                        found[below] = ("soft_link", link.path)
                        continue
                    if isinstance(link, h5py.ExternalLink):
                        found[below] = ("external_link", link.filename)
                        continue
                    child = node[name]
                except Exception:
                    found[below] = ("unreadable", None)
                    continue
                visit(child, below)
        else:
            found[path] = ("named_type", None)

    visit(file, "/")
    return found


@pytest.mark.parametrize("seed", range(25))
def test_that_random_files_have_the_tree_h5py_sees(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with h5py.File(tmp_path / "a.h5", "w", libver=rng.choice([None, "latest"])) as file:
        groups = [file["/"]]
        nodes: list[Any] = [file["/"]]
        for number in range(60):
            parent, name = rng.choice(groups), rng.choice(["scan %d", "x%d", "é%d", "a:%d", "N%d.1"]) % number
            what = rng.random()
            if what < 0.3:
                groups.append(parent.create_group(name))
                nodes.append(groups[-1])
            elif what < 0.6:
                shape = tuple(rng.randrange(0, 4) for _ in range(rng.randrange(0, 4)))
                nodes.append(parent.create_dataset(name, shape, rng.choice(["<u2", ">f4", "i8", "S3", "?", "c8"])))
            elif what < 0.75:
                parent[name] = rng.choice(nodes)
            elif what < 0.9:
                parent[name] = h5py.SoftLink(rng.choice([rng.choice(nodes).name, "nowhere", "../x"]))
            elif what < 0.95:
                parent[name] = h5py.ExternalLink("absent.h5", "/x")
            else:
                parent[name] = np.dtype("f4")
            rng.choice(nodes).attrs[f"a{number}"] = rng.choice([number, 0.5, "text", [1, 2]])
        expected = reference_walk(file)
        attributes = {path: dict(file[path].attrs) for path, (kind, _) in expected.items()
                      if kind in ("group", "dataset")}
    found = tree(tmp_path / "a.h5")
    check_tree(found, expected)
    for node in found:
        if node["path"] in attributes:
            stored = attributes[node["path"]]
            assert list(node["attributes"]) == list(stored)
            assert all(np.array_equal(value, stored[name]) for name, value in node["attributes"].items())


def check_tree(nodes: list[dict[str, Any]], expected: dict[str, tuple[str, Any]]) -> None:
    """Compare node objects with what :func:`reference_walk` found."""
    assert [node["path"] for node in nodes] == list(expected)
    for node in nodes:
        kind, facts = expected[node["path"]]
        assert node["kind"] == kind, node
        if kind == "dataset":
            assert (node["shape"], node.get("dtype"), node.get("chunks"), node.get("same_as")) == facts
        elif kind == "group":
            assert node.get("same_as") == facts
        elif kind == "soft_link":
            assert node["target"] == facts
        elif kind == "external_link":
            assert node["target"].startswith(facts + "::/")
        elif kind == "unreadable":
            assert node["error"]


def test_that_every_measured_file_has_the_tree_h5py_sees(measured_hdf5: Path) -> None:
    with h5py.File(measured_hdf5, "r", locking=False) as file:
        expected = reference_walk(file)
    check_tree(tree(measured_hdf5), expected)


def test_that_every_attribute_of_every_measured_file_equals_what_h5py_reads(measured_hdf5: Path) -> None:
    with h5py.File(measured_hdf5, "r", locking=False) as file:
        for node in tree(measured_hdf5):
            for name, value in node.get("attributes", {}).items():
                try:
                    stored = file[node["path"]].attrs[name]
                except Exception:
                    assert "error" in value
                    continue
                if isinstance(stored, np.ndarray) and stored.size > 4096:
                    assert value == {"truncated": True, "shape": list(stored.shape), "dtype": str(stored.dtype)}
                elif isinstance(stored, str):
                    assert value == stored
                elif isinstance(stored, (np.integer, np.floating)):
                    assert value == stored.item() or not math.isfinite(stored)
                elif isinstance(stored, np.ndarray) and stored.dtype.kind in "iu":
                    assert value == stored.tolist()
                elif isinstance(stored, np.bytes_):
                    assert value == stored.decode()
