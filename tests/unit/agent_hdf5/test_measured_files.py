"""Every file of the measured data opens, or says in one sentence why not; what it holds is read exactly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fabio
import h5py
import numpy as np
import pytest

from app.agent.service import Service
from app.protocol.errors import WireError

SENTENCES = {
    "corrupt/3790_infinite_loop.h5": ("damaged", "shorter than it says"),
    "corrupt/cve-2025-2912.h5": ("damaged", "damaged"),
    "corrupt/h5clear_status_noclose.h5": ("damaged", "still open for writing"),
    "corrupt/h5clear_fsm_persist_greater.h5": ("damaged", "interrupted copy"),
}
READ_WHOLE = 64 * 2**20


def ask(service: Service, method: str, file: Path, **params: Any) -> tuple[dict[str, Any], list[Any]]:
    reply, arrays = service.handle(method, {"file": str(file), "data_path": None, **params})
    json.dumps(reply, allow_nan=False)
    return reply, arrays


def test_that_it_opens_or_says_in_one_sentence_why_not(measured_file: Path, beamside_data: Path) -> None:
    name = str(measured_file.relative_to(beamside_data))
    service = Service()
    try:
        if name in SENTENCES:
            kind, words = SENTENCES[name]
            for method in ("nodes", "plot", "read"):
                with pytest.raises(WireError) as caught:
                    ask(service, method, measured_file)
                assert caught.value.kind == kind
                assert words in caught.value.summary
                assert caught.value.summary.endswith(".")
                assert caught.value.remedy
            return
        assert ask(service, "nodes", measured_file)[0]["nodes"][0]["path"] == "/"
        found, _ = ask(service, "plot", measured_file)
        if found["view"] == "none":
            with pytest.raises(WireError) as caught:
                ask(service, "read", measured_file)
            assert caught.value.kind == "not_found"
            return
        selection = [0] * max(0, len(found["shape"]) - 2) + ["..."]
        reply, arrays = ask(service, "read", measured_file, selection=selection, fit=[200, 300],
                            reduce=found["reduction"])
        assert reply["signal"] == found["signal"]
        assert max(arrays[0].shape[-2:]) <= 300 or arrays[0].ndim < 2
    finally:
        service.close()


def test_that_every_dataset_is_read_bit_for_bit(measured_hdf5: Path) -> None:
    service = Service()
    with h5py.File(measured_hdf5, "r", locking=False) as file:
        for node in ask(service, "nodes", measured_hdf5, data_path="/")[0]["nodes"]:
            if node["kind"] != "dataset" or "same_as" in node:
                continue
            dataset = file[node["path"]]
            if not dataset.shape or dataset.size * dataset.dtype.itemsize > READ_WHOLE:
                continue
            try:
                stored = dataset[()]
            except Exception:
                with pytest.raises(WireError) as caught:
                    ask(service, "read", measured_hdf5, data_path=node["path"])
                assert caught.value.kind == "unreadable"
                continue
            reply, arrays = ask(service, "read", measured_hdf5, data_path=node["path"])
            if stored.dtype.hasobject:
                assert not arrays[0].dtype.hasobject
                assert arrays[0].shape == stored.shape
                continue
            assert arrays[0].dtype == stored.dtype
            np.testing.assert_array_equal(arrays[0], stored)
            if stored.dtype.kind in "iu" and stored.size:
                statistics = reply["statistics"]
                assert statistics["minimum"] == int(stored.min())
                assert statistics["maximum"] == int(stored.max())
                assert statistics["total"] == sum(int(row) for row in stored.reshape(-1).astype(object)) \
                    if stored.size < 10000 else int(stored.sum(dtype=np.int64))
            elif stored.dtype.kind == "f" and np.isfinite(stored).any():
                finite = stored[np.isfinite(stored)]
                assert reply["statistics"]["minimum"] == float(finite.min())
                assert reply["statistics"]["total"] == pytest.approx(float(finite.sum(dtype=np.float64)))
                assert reply["statistics"]["non_finite"] == stored.size - finite.size
    service.close()


@pytest.mark.parametrize("method", ["max", "min", "mean", "sum"])
@pytest.mark.parametrize(("name", "path", "sentinel"), [
    ("saxs/S2p5min_00070_00001.h5", "/entry/data/data", lambda v: v == 2**32 - 1),
    ("saxs/i22-119583-Pilatus2M.h5", "/entry/instrument/detector/data", lambda v: v < 0),
    ("spectro/i05-4859.nxs", "/entry1/analyser/data", lambda v: ~np.isfinite(v)),
])
def test_that_measured_frames_pool_like_numpy(beamside_data: Path, name: str, path: str, sentinel: Any,
                                              method: str) -> None:
    with h5py.File(beamside_data / name, "r", locking=False) as file:
        frame = file[path][()].reshape(file[path].shape[-2:])
        leading = file[path].ndim - 2
    service = Service()
    reply, arrays = ask(service, "read", beamside_data / name, data_path=path, selection=[0] * leading + ["..."],
                        fit=[500, 500], reduce=method)
    service.close()
    fy, fx = reply["factor"]
    height, width = -(-frame.shape[0] // fy), -(-frame.shape[1] // fx)
    assert arrays[0].shape == (height, width)
    padded = np.full((height * fy, width * fx), np.nan)
    padded[:frame.shape[0], :frame.shape[1]] = np.where(sentinel(frame), np.nan, frame)
    blocks = padded.reshape(height, fy, width, fx).transpose(0, 2, 1, 3).reshape(height, width, -1)
    empty = np.isnan(blocks).all(axis=2)
    operation = {"max": np.nanmax, "min": np.nanmin, "mean": np.nanmean, "sum": np.nansum}[method]
    expected = operation(np.where(empty[..., None], 0, blocks), axis=2)
    np.testing.assert_allclose(arrays[0][~empty], expected[~empty], rtol=1e-6)
    gone = np.unpackbits(arrays[1])[:empty.size].reshape(empty.shape) if reply["mask"] else np.zeros(empty.shape)
    np.testing.assert_array_equal(gone.astype(bool), empty)
    assert reply["statistics"]["masked"] + reply["statistics"]["non_finite"] == int(sentinel(frame).sum())


def test_that_unwritten_frames_of_a_detector_file_read_as_fill(beamside_data: Path) -> None:
    service = Service()
    file = beamside_data / "xrd/bliss_id11/scan0001/marana_0000.h5"
    reply, arrays = ask(service, "read", file, selection=[99], fit=[512, 512])
    service.close()
    assert reply["factor"] == [4, 4]
    assert not arrays[0].any()
    assert reply["statistics"]["total"] == 0


def test_that_statistics_of_the_eiger_frame_leave_out_gaps(beamside_data: Path) -> None:
    file = beamside_data / "saxs/S2p5min_00070_00001.h5"
    service = Service()
    reply, arrays = ask(service, "read", file)
    service.close()
    values, statistics = arrays[0], reply["statistics"]
    valid = values[values != 2**32 - 1]
    assert statistics["total"] == int(values.sum(dtype=np.uint64))
    assert statistics["masked"] == values.size - valid.size
    assert statistics["valid_maximum"] == int(valid.max())
    assert values[tuple(statistics["maximum_at"])] == valid.max()
    assert statistics["percentiles"] == [[p, pytest.approx(np.percentile(valid, p))] for p in (0.1, 1, 50, 99, 99.9)]


@pytest.mark.parametrize("name", ["mx/l-cyst_01_00001.cbf", "xrd/CeO2_Pilatus1M.tif", "xrd/CeO2_calib.edf",
                                  "tomo/tiff_stack/flat_00001.tiff", "tomo/tiff_stack/tiffs/raw_00000.tiff"])
def test_that_image_files_look_like_one_dataset(beamside_data: Path, name: str) -> None:
    with fabio.open(beamside_data / name) as image:
        stored = image.data.copy()
    service = Service()
    nodes = ask(service, "nodes", beamside_data / name)[0]["nodes"]
    assert [(node["path"], node["kind"]) for node in nodes] == [("/", "group"), ("/image", "dataset")]
    assert nodes[1]["shape"] == list(stored.shape)
    assert nodes[1]["dtype"] == str(stored.dtype)
    assert ask(service, "nodes", beamside_data / name, expand=True, depth=1)[0]["nodes"][0]["path"] == "/image"
    found, _ = ask(service, "plot", beamside_data / name)
    assert (found["view"], found["signal"], found["shape"]) == ("image", "/image", list(stored.shape))
    reply, arrays = ask(service, "read", beamside_data / name, selection=[[10, 2, -3], [None, None, None]])
    np.testing.assert_array_equal(arrays[0], stored[10:2:-3])
    assert reply["statistics"]["minimum"] == stored[10:2:-3].min()
    for method in ("nodes", "plot", "read"):
        with pytest.raises(WireError) as caught:
            ask(service, method, beamside_data / name, data_path="/other")
        assert caught.value.kind == "not_found"
    service.close()
