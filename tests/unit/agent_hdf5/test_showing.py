"""A picture in parts: what comes when, that each part is what it says, and that all of it stops when unwanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent import holding, showing
from app.agent.reduction import METHODS
from app.agent.service import Service
from app.agent.stack import Waiting
from app.protocol.errors import WireError
from app.protocol.stored import StoredArray, available_filters
from tests.unit.agent_hdf5.comparing import half_missing
from tests.unit.agent_hdf5.listening import Listener, ask, unpacked


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Counts with gaps, one chunk per frame."""
    path = tmp_path / "frames.h5"
    counts = np.random.default_rng(5).poisson(3, (3, 500, 601)).astype("u4")
    counts[:, 100:110] = 2**32 - 1
    counts[1, 7, 9] = 70_000
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=counts, chunks=(1, 500, 601), compression="gzip", compression_opts=1)
    return path


def test_that_a_preview_comes_first_then_the_picture_then_its_statistics(frames: Path) -> None:
    heard = Listener()
    last, arrays = ask(frames, heard, selection=[1], fit=[250, 301], preview=[63, 76])
    assert heard.parts + [last["part"]] == ["preview", "picture", "statistics"]
    assert [urgent for _, _, urgent in heard.told] == [True, False]
    assert arrays == []
    (preview, (coarse, *_), _), (picture, (values, *_), _) = heard.told
    assert (preview["exactness"], preview["factor"], coarse.shape) == ("pooled", [8, 8], (63, 76))
    assert (picture["exactness"], picture["factor"], values.shape) == ("pooled", [2, 2], (250, 301))
    assert preview["full_shape"] == picture["full_shape"] == [500, 601]
    assert coarse[0, 1] == values[3, 4] == 70_000, "no peak is lost"
    whole, together = ask(frames, Waiting(), selection=[1], fit=[250, 301], parts=False)
    assert whole["part"] == "whole"
    assert whole["statistics"] == last["statistics"]
    assert np.array_equal(together[0], values)
    assert whole["statistics"]["valid_maximum"] == 70_000


def test_that_limits_of_parts_come_from_valid_pixels(frames: Path) -> None:
    heard = Listener()
    ask(frames, heard, selection=[1], fit=[250, 301], preview=[63, 76])
    for result, _, _ in heard.told:
        assert set(result["statistics"]) == {"limits"}
        low, high = result["statistics"]["limits"]
        assert 0 <= low < high < 30


def test_that_what_is_known_or_cheap_comes_in_one_piece(frames: Path) -> None:
    service, heard = Service(), Listener()
    ask(frames, Waiting(), service, selection=[1])
    last, arrays = ask(frames, heard, service, selection=[1], fit=[250, 301])
    assert (heard.parts, last["part"], arrays[0].shape) == ([], "whole", (250, 301))
    last, _ = ask(frames, heard, service, selection=[0, [0, 20, 1]])
    assert (heard.parts, last["part"]) == ([], "whole")
    last, _ = ask(frames, heard, service, selection=[2], statistics=False)
    assert (heard.parts, last["part"], last["statistics"]) == ([], "whole", {})


def test_that_a_preview_no_coarser_than_the_picture_is_left_out(frames: Path) -> None:
    heard = Listener()
    ask(frames, heard, selection=[0], fit=[250, 301], preview=[300, 400])
    assert heard.parts == ["picture"]


def test_that_nothing_is_told_to_who_does_not_listen(frames: Path) -> None:
    heard = Listener()
    last, arrays = ask(frames, heard, selection=[0], fit=[63, 76], preview=[20, 20], parts=False)
    assert (heard.told, last["part"], len(arrays)) == ([], "whole", 1)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f8", "?"]),
       st.sampled_from(METHODS), st.integers(1, 70), st.integers(1, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_that_every_preview_is_what_pooling_at_once_gives(tmp_path_factory: pytest.TempPathFactory, dtype: str,
                                                          method: str, height: int, width: int, masked: bool,
                                                          seed: int) -> None:
    dice = np.random.default_rng(seed)
    values = dice.integers(0, 2 if dtype == "?" else 100, (height, width)).astype(dtype)
    if values.dtype.kind in "iuf":
        gap = np.nan if values.dtype.kind == "f" else -1 if values.dtype.kind == "i" else np.iinfo(values.dtype).max
        values[dice.random(values.shape) < 0.3] = gap
    path = tmp_path_factory.mktemp("parts") / "a.h5"
    with h5py.File(path, "w") as file:
        file["d"] = values
        if masked:
            file["pixel_mask"] = (dice.random(values.shape) < 0.3).astype("u4")
    heard = Listener()
    ask(path, heard, reduce=method, fit=[-(-height // 2), -(-width // 2)], preview=[-(-height // 8), -(-width // 8)])
    for result, arrays, _ in heard.told:
        if result["part"] != "preview":
            continue
        fy, fx = result["factor"]
        at_once, straight = ask(path, Waiting(), parts=False, reduce=method, fit=[-(-height // fy), -(-width // fx)])
        assert at_once["factor"] == result["factor"]
        assert arrays[0].dtype == straight[0].dtype
        assert np.array_equal(unpacked(result, arrays), unpacked(at_once, straight))
        if method in ("mean", "sum") and straight[0].dtype.kind == "f":
            assert np.allclose(arrays[0], straight[0], rtol=1e-6, equal_nan=True)
        else:
            assert arrays[0].tobytes() == straight[0].tobytes()


@pytest.mark.parametrize("patience", range(5))
def test_that_it_stops_at_every_step_when_nobody_waits(frames: Path, patience: int) -> None:
    heard = Listener(patience)
    with pytest.raises(WireError) as error:
        ask(frames, heard, selection=[1], fit=[250, 301], preview=[63, 76])
    assert error.value.kind == "cancelled"
    assert heard.parts in ([], ["preview"], ["preview", "picture"])


class Leaver(Listener):
    """Has gone once ``gone`` is set, or once it was told a part of that name."""

    def __init__(self, last: str = "", rate: float = 0.0, codecs: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.gone, self._last, self.rate, self.codecs = False, last, rate, codecs

    def tell(self, result: dict[str, Any], arrays: list[Any], urgent: bool = False) -> int:
        self.told.append((result, arrays, urgent))
        self.gone = self.gone or result["part"] == self._last
        return 0

    def check(self) -> None:
        if self.gone:
            raise WireError("cancelled", "No longer wanted.")


def test_that_who_leaves_while_it_is_read_has_nothing_pooled(frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asker, read = Leaver(), holding.Holding.select

    def left_meanwhile(*arguments: Any) -> Any:
        asker.gone = True
        return read(*arguments[:-1], lambda: None)

    monkeypatch.setattr(holding.Holding, "select", left_meanwhile)
    monkeypatch.setattr(showing.reduction, "pool", lambda *_: pytest.fail("it was pooled"))
    with pytest.raises(WireError, match="No longer wanted"):
        ask(frames, asker, selection=[1], fit=[250, 301])


@pytest.mark.parametrize("last", ["preview", "picture"])
def test_that_who_leaves_after_a_part_has_nothing_counted_or_sent(frames: Path, last: str,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "statistics_of", lambda *_: pytest.fail("it was counted"))
    asker = Leaver(last)
    with pytest.raises(WireError, match="No longer wanted"):
        ask(frames, asker, selection=[1], fit=[250, 301], preview=[63, 76])
    assert asker.parts[-1] == last


def test_that_who_leaves_after_a_stored_frame_has_it_not_decoded(tmp_path: Path,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).poisson(2, (2, 600, 700)).astype("u2")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", data=values, chunks=(1, 600, 700), **hdf5plugin.Bitshuffle(cname="lz4"))
    monkeypatch.setattr(showing, "values_of", lambda _: pytest.fail("it was decoded"))
    asker = Leaver("picture", 125e6, available_filters())
    with pytest.raises(WireError, match="No longer wanted"):
        ask(tmp_path / "f.h5", asker, selection=[1])
    assert isinstance(asker.told[0][1][0], StoredArray)


def test_that_raw_files_a_dataset_is_made_of_are_read_anew(tmp_path: Path) -> None:
    """HDF5 finds them by rules of its own, so nothing of them is ever kept or called certain."""
    raw = tmp_path / "frame.raw"
    raw.write_bytes(bytes(range(200)))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("d", (10, 20), "u1", external=[(str(raw), 0, 200)])
    service = Service()
    for value in (None, 7, 9):
        if value is not None:
            raw.write_bytes(bytes([value]) * 200)
        result, arrays = ask(tmp_path / "f.h5", Waiting(), service, parts=False)
        assert arrays[0].tobytes() == raw.read_bytes()
        assert not result["self_contained"]


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume of many chunks and the same contiguous: slices across them take long."""
    path = tmp_path_factory.mktemp("volume") / "volume.h5"
    values = np.random.default_rng(2).random((160, 200, 260), np.float32)
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=values, chunks=(1, 200, 260))
        file.create_dataset("flat", data=values)
        file.create_dataset("small", data=values[:4], chunks=(1, 200, 260))
    return path


@pytest.mark.parametrize("data_path", ["/d", "/flat"])
@pytest.mark.parametrize("selection", [[[None, None, None], [None, None, None], 17], [[None, None, None], 30]])
def test_that_a_slice_across_chunks_is_previewed_by_every_nth(volume: Path, data_path: str,
                                                              selection: list[Any]) -> None:
    heard = Listener()
    ask(volume, heard, data_path=data_path, selection=selection, fit=[1000, 1000], preview=[40, 50])
    with h5py.File(volume) as file:
        index = tuple(slice(*item) if isinstance(item, list) else item for item in selection)
        stored = file[data_path][index]
    result, (coarse, *_), urgent = heard.told[0]
    if result["part"] == "preview" and result["reduce"] == "nearest":
        fy, fx = result["factor"]
        assert np.array_equal(coarse, stored[::fy, ::fx])
        assert result["full_shape"] == list(stored.shape)
        assert (result["exactness"], urgent) == ("pooled", True)
    assert (result["reduce"] == "nearest") == (data_path == "/d" or len(selection) == 3)


def test_that_a_slice_of_few_chunks_is_read_at_once(volume: Path) -> None:
    heard = Listener()
    ask(volume, heard, data_path="/small", selection=[[None, None, None], [None, None, None], 17], preview=[1, 50])
    assert [result["reduce"] for result, _, _ in heard.told] == ["max"]


def shown(path: Path, waiting: Waiting, service: Service,
          data_path: str | None = None) -> tuple[dict[str, Any], list[Any]]:
    return service.handle("show", {"file": str(path), "data_path": data_path, "fit": [250, 301],
                                   "preview": [63, 76]}, waiting)


def test_that_a_file_is_shown_in_one_request(frames: Path) -> None:
    heard, service = Listener(), Service()
    last, arrays = shown(frames, heard, service)
    assert heard.parts == ["description", "preview", "picture"]
    first = heard.told[0][0]
    assert (first["description"]["view"], first["description"]["limits"]) == ("stack", None)
    assert first["selection"] == [0, "..."]
    assert (last["part"], arrays) == ("statistics", [])
    plotted, _ = Service().handle("plot", {"file": str(frames), "data_path": None})
    assert last["description"] == plotted
    assert last["description"]["limits"] == last["statistics"]["limits"]
    again = Listener()
    last, arrays = shown(frames, again, service)
    assert (again.parts, last["part"]) == (["description", "preview"], "whole")
    assert again.told[0][0]["description"] == plotted, "limits that are known come at once"


def test_that_a_curve_is_described_and_no_picture(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "curve.h5", "w") as file:
        file["d"] = np.arange(30.0)
    last, arrays = shown(tmp_path / "curve.h5", Listener(), Service())
    assert (last["description"]["view"], last["selection"], arrays) == ("curve", None, [])
    assert last["description"]["limits"] == [0.29, 28.71]


def test_that_a_first_frame_that_cannot_be_read_is_said_in_the_description(tmp_path: Path) -> None:
    path = tmp_path / "damaged.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=np.arange(40_000).reshape(200, 200), compression="gzip", chunks=(200, 200))
        offset, size = file["d"].id.get_chunk_info(0).byte_offset, file["d"].id.get_chunk_info(0).size
    content = bytearray(path.read_bytes())
    content[offset + 10:offset + size] = bytes(size - 10)
    path.write_bytes(content)
    last, arrays = shown(path, Listener(), Service())
    assert (last["description"]["view"], last["selection"], arrays) == ("image", None, [])
    assert "damaged" in last["description"]["missing"][0]


def test_that_a_cancelled_show_ends(frames: Path) -> None:
    with pytest.raises(WireError) as error:
        shown(frames, Listener(1), Service())
    assert error.value.kind == "cancelled"


def test_that_who_else_has_a_part_in_the_numbers_is_said(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["d"] = np.ones((10, 10))
    layout = h5py.VirtualLayout((2, 10, 10), "f8")
    layout[0] = h5py.VirtualSource("source.h5", "d", (10, 10))
    layout[1] = h5py.VirtualSource("lost.h5", "d", (10, 10))
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file.create_virtual_dataset("d", layout, fillvalue=7.0)
        file["near"] = np.ones((10, 10))
        file["far"] = h5py.ExternalLink("source.h5", "/d")
    service = Service()
    for data_path, selection, alone in (("/near", ["..."], True), ("/far", ["..."], False), ("/d", [0], False)):
        result, _ = ask(tmp_path / "master.h5", Waiting(), service, data_path=data_path, selection=selection)
        assert (result["self_contained"], result["missing"]) == (alone, [])
    result, _ = ask(tmp_path / "master.h5", Waiting(), service, selection=[1])
    assert "lost.h5" in result["missing"][0]


def test_that_pixels_of_a_missing_source_are_masked_and_counted_out(tmp_path: Path) -> None:
    master = half_missing(tmp_path)
    for selection, flip in ((["..."], 1), ([[None, None, None], [None, None, -1]], -1)):
        for fit, pool in ((None, 1), ([20, 30], 2)):
            result, arrays = ask(master, Waiting(), selection=selection, fit=fit, parts=False)
            gone = np.zeros((40 // pool, 60 // pool), bool)
            gone[:, 30 // pool:] = True
            assert np.array_equal(unpacked(result, arrays), gone[:, ::flip])
            assert (arrays[0][~gone[:, ::flip]] == 5).all()
            assert (result["statistics"]["valid_maximum"], result["statistics"]["masked"]) == (5, 1200)
            assert len(result["missing"]) == 1
            assert "right.h5" in result["missing"][0]


@pytest.mark.parametrize(("shape", "leading"), [((50, 60, 3), []), ((4, 50, 60, 3), [2]), ((4, 50, 60, 4), [2])])
def test_that_a_colour_picture_is_shown_whole_with_its_colours(tmp_path: Path, shape: tuple[int, ...],
                                                               leading: list[int]) -> None:
    colours = np.random.default_rng(6).integers(0, 255, shape).astype("u1")
    with h5py.File(tmp_path / "colours.h5", "w") as file:
        group = file.create_group("data")
        group.attrs.update(NX_class="NXdata", signal="d", default_slice=[*map(str, leading), ".", ".", "."])
        group.create_dataset("d", data=colours).attrs["interpretation"] = f"rgb{'a' * (shape[-1] - 3)}-image"
    heard = Listener()
    params = {"file": str(tmp_path / "colours.h5"), "data_path": "/data", "fit": [20, 30], "preview": [5, 7]}
    last, arrays = Service().handle("show", params, heard)
    assert last["selection"] == [*leading, "..."]
    drawn = arrays or heard.told[-1][1]
    assert np.array_equal(drawn[0], colours[tuple(leading)])


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u4", "i8", "f2", "<f4", ">f8", "c8", "?"])
def test_that_estimated_limits_are_percentiles_of_what_is_valid(dtype: str) -> None:
    values = np.random.default_rng(4).normal(40, 9, (130, 140)).astype(dtype)
    gone = np.zeros(values.shape, bool)
    gone[:, 20:40] = True
    values[gone] = 0
    if values.dtype.kind in "fc":
        values[0, :3] = np.nan, np.inf, -np.inf
    valid = np.abs(values[~gone]) if values.dtype.kind == "c" else values[~gone].astype(np.float64)
    expected = np.percentile(valid[np.isfinite(valid)], (1, 99))
    assert showing.estimated_limits(values, gone) == pytest.approx(expected, rel=1e-6)
    assert showing.estimated_limits(values, np.ones(values.shape, bool)) is None


def test_that_limits_of_the_largest_numbers_are_numbers() -> None:
    values = np.array([[-1.7e308, 1.7e308], [-1.7e308, 1.7e308]])
    assert showing.estimated_limits(values, None) == [-1.7e308, 1.7e308]
