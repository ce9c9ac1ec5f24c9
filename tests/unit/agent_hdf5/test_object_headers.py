"""What is read of object headers past HDF5 must be what HDF5 says of the same objects, or nothing."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent import links, nodes
from app.agent.object_headers import ObjectHeaders
from app.agent.opening import open_hdf5
from app.protocol.errors import WireError

TYPES = ["i1", "u1", "<i2", ">i2", "<u4", ">i8", "<u8", "<f2", "<f4", ">f4", "<f8", ">f8", "?", "c8", "S5",
         "longdouble"]


def both(file: Path, monkeypatch: pytest.MonkeyPatch, attributes: bool = True) -> tuple[list[str], list[str]]:
    """The nodes past HDF5 and those through HDF5, as text: the order of everything counts."""
    found = []
    for way in (ObjectHeaders.of, lambda node: None):
        opened = open_hdf5(str(file))
        try:
            with monkeypatch.context() as patch:
                patch.setattr(ObjectHeaders, "of", way)
                found.append([json.dumps(node) for node in nodes.walk(links.resolve(opened, "/"), None, attributes)
                              + nodes.children(links.resolve(opened, "/"), "/", attributes)])
        finally:
            opened.close()
    return found[0], found[1]


def header_of(dataset: Any) -> Any:
    headers = ObjectHeaders.of(dataset)
    assert headers is not None
    return headers.read(h5py.h5o.get_info(dataset.id).addr)


def write_all_kinds(file: Any) -> None:
    """Datasets and attributes of every kind this application knows, and of some it does not."""
    plain = file.create_dataset("plain", data=np.arange(6.0).reshape(2, 3))
    for kind in TYPES:
        for shape in ((), (3,), (2, 2), (0,), (1,)):
            name = f"{kind} {shape}".replace("<", "little ").replace(">", "big ")
            values = np.zeros(shape, kind)
            values[...] = b"ab" if kind == "S5" else 1
            file[name.replace("/", "")] = values
            node = file.create_dataset("with " + name, data=1)
            node.attrs[name] = values
    text = file.create_dataset("text", data="Å ✓")
    text.attrs.update({"units": "mm", "texts": ["a", "Å", ""], "none": "", "NX_class": "NXdata",
                       "empty": h5py.Empty("f4"), "fixed": np.bytes_(b"ab\x00\x00c"), "latin": np.bytes_(b"\xe5")})
    for number, value in enumerate((np.nan, -np.inf, 2**64 - 1, -2**63, True, 1 + 2j, np.void(b"\0\1"), "x" * 70000,
                                    np.array((1, 2.5), [("n", "i4"), ("x", "f8")]), plain.ref, plain.regionref[:1],
                                    np.zeros(4096, "u1"), np.zeros(4097, "u1"), "cut\0off",
                                    np.array([["a", "b"]], object))):
        node = file.create_dataset(f"odd {number}", data=np.float32(number))
        try:
            node.attrs["value"] = value
        except (ValueError, OSError, TypeError):
            node.attrs["value"] = "not storable"
    for pad in (h5py.h5t.STR_NULLTERM, h5py.h5t.STR_NULLPAD, h5py.h5t.STR_SPACEPAD):
        for cset in (h5py.h5t.CSET_ASCII, h5py.h5t.CSET_UTF8):
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(8)
            kind.set_strpad(pad)
            kind.set_cset(cset)
            for label, stored in ((b"whole", b"ab\0cd  \0"), (b"full", b"abcdefgh"), (b"blank", b"a       ")):
                space = h5py.h5s.create(h5py.h5s.SCALAR)
                made = h5py.h5a.create(plain.id, label + b" %d %d" % (pad, cset), kind, space)
                made.write(np.frombuffer(stored, "V8").reshape(()), mtype=kind)
    odd = h5py.h5t.NATIVE_INT32.copy()
    odd.set_precision(20)
    h5py.h5a.create(plain.id, b"twenty bits", odd, h5py.h5s.create(h5py.h5s.SCALAR)).write(np.array(-5, "i4"))
    choice = h5py.enum_dtype({"off": 0, "on": 1}, "i2")
    plain.attrs.create("choice", 1, dtype=choice)
    file.create_dataset("choice", data=np.array([1], "i2").astype(choice))
    file["named"] = np.dtype("f4")
    file.create_dataset("of a named type", (2,), file["named"])
    plain.attrs.create("of a named type", 2.5, dtype=file["named"])
    many = file.create_dataset("many", data=1)
    for number in range(40):
        many.attrs[f"attribute {39 - number}"] = f"text {number}"
    file.create_dataset("tracked", data=1, track_times=True).attrs["x"] = 1
    file.create_dataset("in order", data=1, track_order=True).attrs.update(b=1, a=2)
    file.create_dataset("chunked", (4, 4), "f4", chunks=(2, 2), maxshape=(None, 4))
    file.create_dataset("elsewhere", (2,), "f8", external=[("raw.bin", 0, 16)])
    file.create_dataset("empty", data=h5py.Empty("f4"))
    compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    compact.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"compact", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple((3,)), compact)
    for number in range(40):
        file["plain"].attrs[f"further {number}"] = number


@pytest.mark.parametrize("libver", ["earliest", "v108", "latest"])
@pytest.mark.parametrize("attributes", [True, False])
def test_that_everything_is_as_hdf5_says(tmp_path: Path, libver: str, attributes: bool,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        write_all_kinds(file)
    past, through = both(tmp_path / "a.h5", monkeypatch, attributes)
    assert past == through


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_that_what_beamlines_write_is_read_past_hdf5(tmp_path: Path, libver: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        motor = file.create_dataset("motor", data=np.float64(1))
        motor.attrs.update(units="mm", long_name="position", offset=0.5, vector=[0.0, 1.0, np.nan], depends_on="/a",
                           axes=["y", "x"], on=True, index=3)
    with h5py.File(tmp_path / "a.h5", "r") as file:
        header = header_of(file["motor"])
    assert list(header.attributes.items()) == [
        ("axes", ["y", "x"]), ("depends_on", "/a"), ("index", 3), ("long_name", "position"), ("offset", 0.5),
        ("on", True), ("units", "mm"), ("vector", [0.0, 1.0, "nan"])]
    assert header.dataset == ([], [], "float64")


def test_that_a_file_behind_a_user_block_or_in_memory_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["x"] = 1
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert ObjectHeaders.of(file) is None
    with h5py.File(tmp_path / "b.h5", "w", driver="core") as file:
        assert ObjectHeaders.of(file) is None
    with h5py.File(tmp_path / "c.h5", "w") as file:
        assert ObjectHeaders.of(file) is None


def test_that_every_measured_file_is_as_hdf5_says(beamside_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    for file in sorted(beamside_data.rglob("*")):
        if file.suffix not in (".h5", ".nxs", ".hdf5", ".cxi", ".nc"):
            continue
        try:
            past, through = both(file, monkeypatch)
        except (WireError, RuntimeError, OSError, KeyError):
            continue
        assert past == through, file.name
        compared += 1
    assert compared > 20


@pytest.mark.parametrize("seed", range(40))
def test_that_a_damaged_file_is_as_hdf5_says(tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    with h5py.File(tmp_path / "a.h5", "w", libver=rng.choice(["earliest", "latest"])) as file:
        for number in range(20):
            node = file.create_dataset(f"motor {number}", data=np.float64(number))
            node.attrs.update(units="mm", texts=["a", "b"], offset=0.5 * number, index=number)
    damaged = bytearray((tmp_path / "a.h5").read_bytes())
    for _ in range(rng.choice([1, 10])):
        damaged[rng.randrange(600, len(damaged))] = rng.randrange(256)
    (tmp_path / "a.h5").write_bytes(damaged[:rng.choice([len(damaged), rng.randrange(2000, len(damaged))])])
    try:
        past, through = both(tmp_path / "a.h5", monkeypatch)
    except (WireError, RuntimeError, OSError, KeyError):
        return
    assert past == through


@pytest.mark.parametrize("length", [4, 9, 100])
def test_that_a_text_of_another_length_than_it_is_stored_with_is_as_hdf5_says(
        tmp_path: Path, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as made:
        made.create_dataset("d", data=1).attrs["units"] = "abcdefgh"
    data = bytearray(file.read_bytes())
    place = data.index(struct.pack("<IQI", 8, data.index(b"GCOL"), 1))
    data[place:place + 4] = struct.pack("<I", length)
    file.write_bytes(data)
    past, through = both(file, monkeypatch)
    assert past == through
