"""Frames sent as they are stored: when that is best, and that their numbers and statistics are those of decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest

from app.agent.direct import Stored
from app.agent.forwarding import forwarded
from app.agent.service import Service
from app.agent.stack import Waiting
from app.protocol.errors import WireError
from app.protocol.stored import StoredArray, available_filters, decode_here

SLOW, FAST = 1.25e6, 125e6
BITSHUFFLE = ((32008, (0, 4, 2, 0, 2)),)


class Asker(Waiting):
    def __init__(self, rate: float, codecs: tuple[str, ...] = available_filters()) -> None:
        self.rate, self.codecs = rate, codecs
        self.told: list[tuple[dict[str, Any], list[Any]]] = []

    def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
        self.told.append((result, arrays))
        return 0


@pytest.fixture
def frames(tmp_path: Path) -> tuple[Path, np.ndarray]:
    """Counts with gaps and a pixel mask; one frame is damaged."""
    values = np.random.default_rng(2).poisson(2, (4, 600, 700)).astype("u2")
    values[:, 20:30] = 65535
    with h5py.File(tmp_path / "frames.h5", "w") as file:
        data = file.create_dataset("d", data=values, chunks=(1, 600, 700), **hdf5plugin.Bitshuffle(cname="lz4"))
        file.create_dataset("rows", data=values, chunks=(1, 60, 700), **hdf5plugin.Bitshuffle(cname="lz4"))
        mask = np.zeros((600, 700), "u4")
        mask[3, 4] = 8
        file["pixel_mask"] = mask
        file.create_group("damaged").create_dataset("d", data=values[:1], chunks=(1, 600, 700), compression="gzip")
        where = file["damaged/d"].id.get_chunk_info(0)
        assert data.id.get_chunk_info(0).size < values[0].nbytes
    with (tmp_path / "frames.h5").open("r+b") as raw:
        raw.seek(where.byte_offset + 1000)
        raw.write(bytes(2000))
    return tmp_path / "frames.h5", values


def ask(path: Path, asker: Asker, service: Service | None = None, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    return (service or Service()).handle("read", {
        "file": str(path), "data_path": "/d", "selection": [1], "fit": None, "reduce": "max", "statistics": True,
        "preview": None, "parts": True, "draft": False, **params}, asker)


def test_that_a_fast_link_gets_the_chunk_and_a_slow_one_fewer_bytes() -> None:
    counts = Stored(bytes(1_150_000), BITSHUFFLE, (2162, 2068), np.dtype("u2"))
    assert forwarded(counts, FAST, available_filters()) is not None
    assert forwarded(counts, SLOW, available_filters()) is None
    assert forwarded(counts, FAST, ("raw",)) is None
    assert forwarded(counts._replace(filters=()), FAST, available_filters()) is None
    assert forwarded(counts._replace(filters=((6, ()),)), FAST, available_filters()) is None


def test_that_what_is_sent_as_stored_decodes_to_what_is_stored(frames: tuple[Path, np.ndarray]) -> None:
    path, values = frames
    asker, service = Asker(FAST), Service()
    last, arrays = ask(path, asker, service)
    (picture, (array, bits)), = asker.told
    assert isinstance(array, StoredArray)
    assert decode_here(array).tobytes() == values[1].tobytes()
    assert (picture["part"], picture["exactness"]) == ("picture", "exact")
    assert (picture["sentinels"], picture["mask"]) == (True, True)
    assert np.flatnonzero(np.unpackbits(bits)).tolist() == [3 * 700 + 4]
    straight, _ = ask(path, Asker(SLOW), parts=False)
    assert (last["part"], arrays, last["statistics"]) == ("statistics", [], straight["statistics"])
    again = Asker(FAST)
    whole, (kept, _) = ask(path, again, service)
    assert (again.told, whole["part"]) == ([], "whole")
    assert np.array_equal(kept, values[1]), "what was decoded for its statistics is kept"


def test_that_a_stored_frame_of_another_file_says_so_each_time(frames: tuple[Path, np.ndarray]) -> None:
    path, values = frames
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("frames.h5", "d", values.shape)
    with h5py.File(path.with_name("master.h5"), "w") as file:
        file.create_virtual_dataset("d", layout)
        file["far"] = h5py.ExternalLink("frames.h5", "/d")
    for data_path in ("/d", "/far"):
        asker, service = Asker(FAST), Service()
        last, _ = ask(path.with_name("master.h5"), asker, service, data_path=data_path)
        (picture, (array, *_)), = asker.told
        assert isinstance(array, StoredArray)
        kept, _ = ask(path.with_name("master.h5"), Asker(FAST), service, data_path=data_path)
        assert [reply["self_contained"] for reply in (picture, last, kept)] == [False] * 3
    asker = Asker(FAST)
    assert ask(path, asker)[0]["self_contained"]
    assert asker.told[0][0]["self_contained"]


@pytest.mark.parametrize("params", [{"parts": False}, {"fit": [300, 350]}, {"preview": [60, 70], "slow": True},
                                    {"data_path": "/rows"}, {"selection": [1, [0, 599, 1]]}, {"statistics": False},
                                    {"selection": ["..."]}])
def test_that_everything_else_is_decoded_here(frames: tuple[Path, np.ndarray], params: dict[str, Any]) -> None:
    params = dict(params)
    asker = Asker(FAST / 4 if params.pop("slow", False) else FAST)
    _, arrays = ask(frames[0], asker, **params)
    for _, told in [*asker.told, ({}, arrays)]:
        assert all(isinstance(array, np.ndarray) for array in told)


def test_that_a_preview_is_left_out_where_the_frame_itself_is_as_soon(frames: tuple[Path, np.ndarray]) -> None:
    asker = Asker(FAST)
    ask(frames[0], asker, preview=[60, 70])
    assert [result["part"] for result, _ in asker.told] == ["picture"]


def test_that_a_damaged_chunk_ends_as_damage(frames: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(WireError, match="damaged"):
        ask(frames[0], Asker(FAST), data_path="/damaged/d", selection=[0])
