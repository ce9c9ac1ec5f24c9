"""``plot``: every rule and view on generated files, every measured file, limits against numpy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401   # h5py reads the measured files with its filters
import matplotlib.image
import numpy as np
import pytest

from tests.cli.running import InProcess

KEYS = ["view", "signal", "axes", "errors", "auxiliary_signals", "interpretation", "x_scale", "y_scale", "colormap",
        "normalization", "limits", "limits_rule", "frame", "rule", "missing"]
RULES = ("default", "entry_default", "first_nxdata", "legacy_signal", "known_layout", "largest", "given", "none")
VIEWS = ("image", "stack", "curve", "scatter", "volume", "table", "none")


def plot(run: InProcess, *argv: str | Path) -> dict[str, Any]:
    value = run.ok("plot", *argv)
    assert list(value) == KEYS
    assert value["rule"] in RULES
    assert value["view"] in VIEWS
    return value


def nxdata(parent: h5py.Group, name: str, shape: tuple[int, ...] = (4, 5, 6), signal: str | None = "y") -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = "NXdata"
    group["y"] = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    if signal:
        group.attrs["signal"] = signal
    return group


def entry(file: h5py.File, name: str) -> h5py.Group:
    group = file.create_group(name)
    group.attrs["NX_class"] = "NXentry"
    return group


def rules_file(file: h5py.File, case: str) -> None:
    """The file of one case; the signal that must be found is ``…/y``, everything else is a decoy."""
    file["decoy"] = np.zeros((100, 100))
    if case == "largest":
        file["text"] = ["x"] * 20000
        file["small"] = np.zeros((9, 9))
        del file["decoy"]
        file["y"] = np.zeros((50, 50))
        return
    first, second = entry(file, "e2"), entry(file, "e10")
    if case == "legacy":
        group = first.create_group("d")
        group.attrs["NX_class"] = "NXdata"
        group["decoy"] = np.zeros((50, 50))
        group["y"] = np.zeros((4, 5, 6))
        group["y"].attrs["signal"] = 1
        return
    if case == "first_nxdata":
        nxdata(first, "d")
        nxdata(second, "d")
        return
    nxdata(first, "d1", (3,))
    nxdata(second, "d10")
    nxdata(second, "d2", (3,))
    second.attrs["default"] = "d10"
    file.attrs["default"] = {"default": "e10", "soft": "alias", "direct": "e10/d10", "absolute": "/e10/d10",
                             "dead": "nothing", "half": "e2", "dangling": "alias", "entry": "",
                             "bytes": np.bytes_(b"e10"),
                             "array": np.array(["e10"], dtype=h5py.string_dtype())}[case]
    if case == "entry":
        del file.attrs["default"]
    if case in ("soft", "dangling"):
        file["alias"] = h5py.SoftLink("/e10" if case == "soft" else "/gone")


RULE_CASES = [
    ("default", "default", "/e10/d10/y"), ("soft", "default", "/e10/d10/y"), ("direct", "default", "/e10/d10/y"),
    ("absolute", "default", "/e10/d10/y"), ("bytes", "default", "/e10/d10/y"), ("array", "default", "/e10/d10/y"),
    ("dead", "entry_default", "/e10/d10/y"), ("dangling", "entry_default", "/e10/d10/y"),
    ("entry", "entry_default", "/e10/d10/y"), ("half", "entry_default", "/e10/d10/y"),
    ("first_nxdata", "first_nxdata", "/e2/d/y"), ("legacy", "legacy_signal", "/e2/d/y"), ("largest", "largest", "/y"),
]


def test_that_the_rules_are_tried_in_order(run: InProcess, tmp_path: Path) -> None:
    for case, rule, signal in RULE_CASES:
        path = tmp_path / f"{case}.h5"
        with h5py.File(path, "w") as file:
            rules_file(file, case)
        value = plot(run, path)
        assert (value["rule"], value["signal"]) == (rule, signal)
        assert bool(value["missing"]) == (case in ("dead", "dangling", "half"))
        if case == "dead":
            assert "nothing" in value["missing"][0]
        assert len(value["axes"]) == {"largest": 2}.get(case, 3)
        assert value["limits_rule"] == "percentile 1-99"


def test_that_a_dead_signal_is_named_and_the_next_rule_tried(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "dead.h5"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "e1"
        nxdata(entry(file, "e1"), "d", signal="gone")
        file["e1"].attrs["default"] = "d"
        del file["e1/d/y"]
        file["e1/d/gone"] = h5py.ExternalLink("no such file.h5", "/x")
        nxdata(entry(file, "e2"), "d")
    value = plot(run, path)
    assert (value["rule"], value["signal"]) == ("first_nxdata", "/e2/d/y")
    assert "gone" in " ".join(value["missing"]) or "no such file.h5" in " ".join(value["missing"])


def test_that_a_signal_in_another_file_is_named_with_it(run: InProcess, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.arange(20.0).reshape(2, 10)
    with h5py.File(tmp_path / "master.h5", "w") as file:
        group = entry(file, "e").create_group("d")
        group.attrs.update(NX_class="NXdata", signal="y")
        group["y"] = h5py.ExternalLink("data.h5", "/x")
        file["e/z"] = h5py.SoftLink("/e/d/y")
    for target in (tmp_path / "master.h5", f"{tmp_path}/master.h5::/e/d/y", f"{tmp_path}/master.h5::/e/z"):
        value = plot(run, target)
        file_name, _, inside = value["signal"].partition("::")
        assert (Path(tmp_path / file_name), inside) == (tmp_path / "data.h5", "/x")
        got = run.ok("get", target, "-o", tmp_path / "o.npy")
        assert (got["signal"], got["sum"]) == (value["signal"], 190)


def test_that_soft_links_to_the_signal_are_resolved(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "soft.h5"
    with h5py.File(path, "w") as file:
        file["raw/counts"] = np.zeros((3, 4, 5))
        group = entry(file, "e").create_group("d")
        group.attrs.update(NX_class="NXdata", signal="y")
        group["y"] = h5py.SoftLink("/raw/counts")
    assert plot(run, path)["signal"] == "/raw/counts"
    given = plot(run, f"{path}::/e/d")
    assert (given["signal"], given["rule"]) == ("/raw/counts", "given")


VIEW_CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "image": (np.arange(30.0).reshape(5, 6), {"frame": 0}), "stack": (np.arange(120).reshape(4, 5, 6), {"frame": 0}),
    "curve": (np.arange(9.0), {"normalization": None}), "table": (np.zeros(4, [("a", "i4"), ("b", "S3")]), {}),
    "none": (h5py.Empty("f4"), {"limits": None}),
}


def test_that_the_view_follows_from_the_data(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "views.h5"
    with h5py.File(path, "w") as file:
        for name, (values, _) in VIEW_CASES.items():
            file[name] = values
        file["spectra"] = np.zeros((3, 4, 10))
        file["spectra"].attrs["interpretation"] = "spectrum"
        file["text"] = "hello"
        file["scalar"] = 5
        file["zero"] = np.zeros((0, 5))
        file["line"] = np.zeros((1, 1, 8))
        xy = file.create_group("xy")
        xy.attrs.update(NX_class="NXdata", signal="v", axes=["x"], auxiliary_signals=["w"], NX_note="x")
        for name in ("x", "v", "w", "v_errors"):
            xy[name] = np.arange(5.0)
        cloud = file.create_group("cloud")
        cloud.attrs.update(NX_class="NXdata", signal="v", axes=["x", "y"], x_indices=0, y_indices=0)
        for name in ("x", "y", "v"):
            cloud[name] = np.arange(7.0)
        dots = file.create_group("dots")
        dots.attrs.update(NX_class="NXdata", signal="v", axes=[".", "col"])
        dots["v"], dots["col"] = np.zeros((4, 6)), np.arange(6)
    for name, (_, facts) in VIEW_CASES.items():
        value = plot(run, f"{path}::/{name}")
        assert value["view"] == name
        assert value["rule"] in ("given", "none")
        assert {k: value[k] for k in facts} == facts
    assert plot(run, f"{path}::/spectra")["view"] == "curve"
    assert plot(run, f"{path}::/spectra")["interpretation"] == "spectrum"
    for name in ("text", "scalar", "zero"):
        assert plot(run, f"{path}::/{name}")["view"] in ("table", "none"), name
    curve = plot(run, f"{path}::/xy")
    assert (curve["view"], curve["axes"], curve["errors"], curve["auxiliary_signals"]) == (
        "curve", ["/xy/x"], "/xy/v_errors", ["/xy/w"])
    assert plot(run, f"{path}::/cloud")["view"] == "scatter"
    assert plot(run, f"{path}::/dots")["axes"] == [None, "/dots/col"]
    assert run.fails(3, "plot", f"{path}::/nothing")["kind"] == "not_found"


def test_that_nothing_plottable_is_no_error(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    with h5py.File(path, "w") as file:
        file["a"] = "text"
        file.create_group("b")
    for target in (path, f"{path}::/b"):
        value = plot(run, target)
        assert (value["view"], value["signal"], value["limits"], value["axes"]) == ("none", None, None, [])


def limits_of(values: np.ndarray, bad: np.ndarray) -> tuple[float, float]:
    good = values[~bad & np.isfinite(values.astype("f8"))].astype("f8")
    return float(np.percentile(good, 1)), float(np.percentile(good, 99))


@pytest.mark.parametrize(("dtype", "sentinels"), [("u4", [2**32 - 1]), ("u2", [65535]), ("i4", [-1, -2]),
                                                  ("f4", [np.nan, np.inf])])
def test_that_limits_are_percentiles_of_the_good_pixels(run: InProcess, tmp_path: Path, dtype: str,
                                                        sentinels: list[Any]) -> None:
    rng = np.random.default_rng(3)
    path = tmp_path / "l.h5"
    values = rng.poisson(200, (3, 300, 200)).astype(dtype)
    for number, sentinel in enumerate(sentinels):
        values[:, 40 * number:40 * number + 30] = sentinel
    values[1:] += 1000 if dtype != "f4" else np.float32(1000)
    with h5py.File(path, "w") as file:
        file["x"] = values
    value = plot(run, path)
    frame = values[value["frame"]]
    bad = np.isin(frame, sentinels) if dtype != "f4" else ~np.isfinite(frame)
    assert value["limits"] == pytest.approx(limits_of(frame, bad), rel=1e-6)
    assert value["limits_rule"] == "percentile 1-99"


def test_that_a_pixel_mask_counts(run: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "m.h5"
    values = np.random.default_rng(3).poisson(200, (60, 50)).astype("u4")
    mask = np.zeros((60, 50), "u4")
    mask[:20] = 1
    values[:20] = 100000
    with h5py.File(path, "w") as file:
        detector = entry(file, "e").create_group("instrument/detector")
        detector.attrs["NX_class"] = "NXdetector"
        file["e/instrument"].attrs["NX_class"] = "NXinstrument"
        detector["data"], detector["pixel_mask"] = values, mask
        group = file.create_group("e/data")
        group.attrs.update(NX_class="NXdata", signal="data")
        group["data"] = h5py.SoftLink("/e/instrument/detector/data")
    assert plot(run, path)["limits"] == pytest.approx(limits_of(values, mask > 0))
    got = run.ok("get", path, "-o", tmp_path / "o.npy")
    assert (got["masked"], got["max"]) == (1000, 100000)


MEASURED = {
    "saxs/S2p5min_00070_00001.h5": ("first_nxdata", "image", "/entry/data/data"),
    "saxs/i22-119583.nxs": ("legacy_signal", "image", "i22-119583-Pilatus2M.h5::/entry/instrument/detector/data"),
    "saxs/i22-119583-Pilatus2M.h5": ("known_layout", "image", "/entry/instrument/detector/data"),
    "saxs/009766_forSasView.h5": ("default", "image", "/sasentry01/sasdata01/I"),
    "saxs/33837rear_1D_NXcanSAS_v3.h5": ("first_nxdata", "curve", "/sasentry01/sasdata/I"),
    "saxs/1998spheres.h5": ("default", "curve", "/sasentry_0/sasdata/I"),
    "saxs/Lew_Sa3_DSM_QinA.h5": ("default", "curve", "/Lew_Sa3_0004_mrg/Lew_Sa3_0004_mrg/I"),
    "tomo/tooth.h5": ("known_layout", "stack", "/exchange/data"),
    "ptycho/PETRAIII_P25_Near_Field_Ptycho.cxi": ("known_layout", "stack", "/entry_1/instrument_1/detector_1/data"),
    "spectro/FeKedge_1_15.nxs": ("legacy_signal", "stack", "/entry1/xspress2system/data"),
    "spectro/i05-4859.nxs": ("legacy_signal", "image", "/entry1/analyser/data"),
    "nexus/chopper.nxs": ("first_nxdata", "image", "/entry/data/data"),
    "nexus/33id_spec_22_2D.hdf5": ("default", "image", "/S22/data/I0"),
    "xrd/bliss_id11/demoh5_dataset.h5": ("known_layout", "stack", "/2.1/instrument/marana/data"),
    "xrd/bliss_id11/scan0001/marana_0000.h5": ("default", "stack", "/entry_0000/ESRF-ID11/marana/data"),
    "volume/volumeExample.nxs": ("first_nxdata", "volume", "/entry/result/data"),
    "edge/vds_eiger_gaps/vds-eiger.h5": ("largest", "stack", "/VDS-Eiger"),
    "edge/zerodim.h5": ("none", "none", None), "edge/tnullspace.h5": ("none", "none", None),
    "edge/tloop.h5": ("none", "none", None), "edge/unicode.h5": ("none", "none", None),
}


def test_that_every_measured_file_shows_what_it_should(run: InProcess, beamside_data: Path) -> None:
    for name, expected in MEASURED.items():
        value = plot(run, beamside_data / name)
        signal = value["signal"] and value["signal"].replace(f"{beamside_data / name}".rpartition("/")[0] + "/", "")
        assert (value["rule"], value["view"], signal) == expected, name
        if value["limits"] is None or value["missing"]:
            continue
        with h5py.File(beamside_data / name) as file:
            values = (file[signal] if "::" not in signal else file["/entry1/Pilatus2M/data"])[()]
        if value["view"] in ("image", "stack", "volume"):
            values = values.reshape(-1, *values.shape[-2:])[value["frame"]]
        bad = np.zeros(values.shape, bool)
        if values.dtype.kind == "i":
            bad = values < 0
        elif values.dtype.kind == "u":
            bad = values == np.iinfo(values.dtype).max
        assert value["limits"] == pytest.approx(limits_of(values, bad), rel=1e-5, abs=1e-12), name


@pytest.mark.parametrize("name", ["saxs/1998spheres.h5", "tomo/tooth.h5"])
def test_that_a_picture_is_written_and_the_answer_stays(run: InProcess, beamside_data: Path, tmp_path: Path,
                                                            name: str) -> None:
    value = plot(run, beamside_data / name, "--png", tmp_path / "p.png")
    assert value == plot(run, beamside_data / name)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    for bad in (tmp_path / "no" / "p.png", tmp_path):
        assert "could not be written" in run.fails(3, "plot", beamside_data / name, "--png", bad)["summary"]


def test_that_points_are_drawn_where_they_lie(run: InProcess, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "map.h5", "w") as file:
        points = nxdata(entry(file, "entry"), "points", (400,))
        points.attrs["axes"] = ["right", "up"]
        points["right"], points["up"] = np.random.default_rng(1).random((2, 400))
    value = plot(run, tmp_path / "map.h5", "--png", tmp_path / "p.png")
    assert (value["view"], value["axes"]) == ("scatter", ["/entry/points/right", "/entry/points/up"])
    assert plot(run, f"{tmp_path / 'map.h5'}::/entry/points/right")["view"] == "curve"
    drawn = (matplotlib.image.imread(tmp_path / "p.png")[:, :, :3] * 255).astype("u4")
    inside = drawn[100:-100, 100:600]
    assert len(np.unique(inside @ np.array([65536, 256, 1], "u4"))) > 200, "a curve would have one colour"
