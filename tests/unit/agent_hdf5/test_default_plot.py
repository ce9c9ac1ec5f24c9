"""What a file opens as: each rule of docs/cli.md on a small generated file, then the measured ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.agent.service import Service
from app.model.plot import PlotDescription
from app.protocol.errors import WireError

FIELDS = set(PlotDescription.__dataclass_fields__)


def plot(file: Path, data_path: str | None = None) -> dict[str, Any]:
    service = Service()
    try:
        reply, arrays = service.handle("plot", {"file": str(file), "data_path": data_path})
    finally:
        service.close()
    json.dumps(reply, allow_nan=False)
    assert arrays == []
    assert set(reply) == FIELDS
    return reply


def group(parent: Any, name: str, nx_class: str, **attributes: Any) -> Any:
    made = parent.create_group(name)
    made.attrs["NX_class"] = nx_class
    made.attrs.update(attributes)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def test_that_a_complete_default_chain_wins(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "b"
        group(group(file, "a", "NXentry"), "data", "NXdata", signal="s")["s"] = np.ones(9)
        chosen = group(file, "b", "NXentry", default="deep/plot")
        group(group(chosen, "deep", "NXcollection"), "plot", "NXdata", signal="s")["s"] = np.arange(5.0)
    found = plot(path)
    assert (found["rule"], found["signal"], found["view"]) == ("default", "/b/deep/plot/s", "curve")
    assert found["missing"] == []


def test_that_a_dead_root_default_is_named_and_an_entry_default_tried(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "gone"
        group(group(file, "2.1", "NXentry", default="plot"), "plot", "NXdata", signal="s")["s"] = np.ones(3)
        group(group(file, "10.1", "NXentry", default="plot"), "plot", "NXdata", signal="s")["s"] = np.ones(4)
    found = plot(path)
    assert (found["rule"], found["signal"]) == ("entry_default", "/2.1/plot/s")
    assert any("/gone" in item for item in found["missing"])


def test_that_the_first_nxdata_with_a_readable_signal_is_next(path: Path) -> None:
    with h5py.File(path, "w") as file:
        dead = group(group(file, "1.1", "NXentry"), "data", "NXdata", signal="s")
        dead["s"] = h5py.ExternalLink("absent.h5", "/d")
        group(group(file, "2.1", "NXentry"), "data", "NXdata", signal="s")["s"] = np.ones(3)
    found = plot(path)
    assert (found["rule"], found["signal"]) == ("first_nxdata", "/2.1/data/s")
    assert found["missing"] == ["/1.1/data/s → absent.h5::/d"]


@pytest.mark.parametrize("mark", [1, np.int32(1), "1", np.array([1]), np.bytes_(b"1")])
def test_that_the_old_signal_mark_counts_after_that(path: Path, mark: Any) -> None:
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata")
        data["counts"] = np.ones((4, 5), np.int32)
        data["counts"].attrs["signal"] = mark
        data["x"] = np.arange(5.0)
        data["x"].attrs["axis"] = 2
        data["primary"] = np.arange(4.0)
        data["primary"].attrs.update({"axis": 1, "primary": 1})
        data["other"] = np.arange(4.0)
        data["other"].attrs["axis"] = 1
    found = plot(path)
    assert (found["rule"], found["signal"]) == ("legacy_signal", "/entry/data/counts")
    assert found["axes"] == ["/entry/data/primary", "/entry/data/x"]


def test_that_the_largest_numbers_are_the_last_resort(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["names"] = [b"x" * 50] * 100
        file["scalar"] = 1
        file["small"] = np.ones(3)
        file["z/large"] = np.ones((7, 8))
        file["y"] = file["z/large"]
    found = plot(path)
    assert (found["rule"], found["signal"], found["view"]) == ("largest", "/y", "image")


def test_that_nothing_plottable_is_no_error(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["name"] = "x"
        file["none"] = np.zeros((0, 4))
        file["empty"] = h5py.Empty("f4")
    found = plot(path)
    assert (found["view"], found["rule"], found["signal"], found["limits"]) == ("none", "none", None, None)


def test_that_a_named_node_is_given(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="s", axes=["x"])
        data["s"] = np.ones(4)
        data["x"] = np.arange(4.0)
        file["table"] = np.zeros(3, [("a", "i4"), ("b", "f8")])
        file["names"] = [b"a", b"b"]
        file["gone"] = h5py.SoftLink("/nowhere")
        file["number"] = 3.0
    assert plot(path, "/entry/data")["signal"] == "/entry/data/s"
    assert plot(path, "/entry")["signal"] == "/entry/data/s"
    assert plot(path, "/")["signal"] == "/entry/data/s"
    assert plot(path, "/entry/data/x")["signal"] == "/entry/data/x"
    assert {plot(path, name)["rule"] for name in ("/", "/entry", "/entry/data/s", "/table", "/number")} == {"given"}
    assert plot(path, "/entry/data/s")["axes"] == ["/entry/data/x"]
    assert plot(path, "/entry/data/x")["axes"] == [None]
    assert (plot(path, "/table")["view"], plot(path, "/names")["view"]) == ("table", "table")
    assert (plot(path, "/number")["view"], plot(path, "/number")["signal"]) == ("none", "/number")
    for name in ("/gone", "/nothing"):
        with pytest.raises(WireError) as caught:
            plot(path, name)
        assert caught.value.kind == "not_found"


def test_that_axes_follow_indices_errors_and_companions_are_found(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        entry = group(file, "entry", "NXentry", default="data")
        entry["title"] = "A scan"
        data = group(entry, "data", "NXdata", signal="s", axes=["y", "x", "."], x_indices=[1], y_indices=[0],
                     auxiliary_signals=["other", "absent"])
        data["s"] = np.ones((3, 4, 5), np.uint16)
        data["s"].attrs.update({"units": "counts", "interpretation": "image"})
        data["x"] = np.arange(5.0)
        data["x"].attrs["units"] = "mm"
        data["y"] = np.arange(3.0)
        data["other"] = np.ones((3, 4, 5))
        data["s_errors"] = np.ones((3, 4, 5))
    found = plot(path)
    assert found["axes"] == ["/entry/data/y", "/entry/data/x", None]
    assert found["axes_units"] == ["", "mm", ""]
    assert found["errors"] == "/entry/data/s_errors"
    assert found["auxiliary_signals"] == ["/entry/data/other"]
    assert (found["title"], found["signal_units"], found["interpretation"]) == ("A scan", "counts", "image")
    assert (found["view"], found["frame"], found["normalization"], found["reduction"]) == ("stack", 0, "log", "max")


def test_that_default_slice_chooses_the_first_frame_and_limits_belong_to_it(path: Path) -> None:
    frames = np.random.default_rng(1).poisson(5, (4, 3, 30, 40)).astype(np.uint32)
    frames[:, :, :5] = 2**32 - 1
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="s", default_slice=["2", "1", ".", "."])
        data["s"] = frames
    found = plot(path)
    assert found["frame"] == 2 * 3 + 1
    frame = frames[2, 1]
    assert found["limits"] == pytest.approx(np.percentile(frame[frame != 2**32 - 1], [1, 99]))
    assert found["limits_rule"] == "percentile 1-99"


def test_that_silx_style_is_honoured(path: Path) -> None:
    with h5py.File(path, "w") as file:
        style = json.dumps({"axes_scale_types": ["log"], "signal_scale_type": "log"})
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="s", axes=["x"], SILX_style=style)
        data["s"] = np.ones(4)
        data["x"] = np.arange(1.0, 5.0)
    found = plot(path)
    assert (found["x_scale"], found["y_scale"]) == ("log", "log")


@pytest.mark.parametrize(("name", "units", "scale"), [
    ("q", "1/nm", "log"), ("Q", "1/A", "log"), ("2th", "deg", "linear"), ("radial", "nm^-1", "log"),
    ("energy", "eV", "linear")])
def test_that_intensity_over_q_is_shown_log_log(path: Path, name: str, units: str, scale: str) -> None:
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="I", axes=[".", name])
        data["I"] = np.ones((3, 50), "f4")
        data["I"].attrs["interpretation"] = "spectrum"
        data[name] = np.linspace(0.1, 5, 50)
        data[name].attrs["units"] = units
        data["I_errors"] = np.ones((3, 50), "f4")
    found = plot(path)
    assert (found["view"], found["x_scale"], found["y_scale"], found["frame"]) == ("curve", scale, scale, 0)
    assert found["errors"] == "/entry/data/I_errors"


def test_that_points_in_a_plane_are_a_scatter(path: Path) -> None:
    with h5py.File(path, "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="s", axes=["x", "y"], x_indices=0,
                     y_indices=0)
        for name in ("s", "x", "y"):
            data[name] = np.random.default_rng(2).random(20)
    found = plot(path)
    assert found["view"] == "scatter"
    assert found["axes"] == ["/entry/data/x", "/entry/data/y"]


def test_that_tomography_is_linear_grey_and_averaged(path: Path) -> None:
    with h5py.File(path, "w") as file:
        entry = group(file, "entry", "NXentry", default="data")
        entry["definition"] = "NXtomo"
        data = group(entry, "data", "NXdata", signal="data", axes=["rotation_angle", ".", "."])
        data["data"] = np.ones((5, 6, 7), np.uint16)
        data["rotation_angle"] = np.linspace(0, 180, 5)
    found = plot(path)
    assert (found["view"], found["normalization"], found["colormap"], found["reduction"]) == (
        "stack", "linear", "gray", "mean")


@pytest.mark.parametrize(("dtype", "long_name"), [
    ("f4", "Attenuation (1/cm)"), ("u2", "Attenuation, 0 to 65535 for -0.0005 to 0.00806 1/cm")])
def test_that_reconstructed_slices_are_grey_and_linear(tmp_path: Path, dtype: str, long_name: str) -> None:
    path = tmp_path / "volume.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("entry/volume")
        group.attrs.update({"NX_class": "NXdata", "signal": "data", "axes": ["z", "y", "x"]})
        group["data"] = np.ones((4, 8, 8), dtype)
        group["data"].attrs["long_name"] = long_name
    found = plot(path, "/entry/volume")
    assert (found["colormap"], found["normalization"]) == ("gray", "linear")


def test_that_phase_has_a_cyclic_map_and_volumes_are_volumes(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["object_phase"] = np.zeros((20, 20), "f4")
        file["reconstruction"] = np.zeros((5, 6, 7), "f4")
    assert plot(path, "/object_phase")["colormap"] == "twilight"
    volume = plot(path, "/reconstruction")
    assert (volume["view"], volume["frame"], volume["normalization"]) == ("volume", 2, "linear")


def test_that_a_dimension_of_one_before_the_frame_makes_no_stack(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["d"] = np.ones((1, 1, 5, 6), np.int32)
        file["line"] = np.ones((1, 1, 9))
    assert plot(path, "/d")["view"] == "image"
    assert plot(path, "/line")["view"] == "curve"


def test_that_an_external_signal_is_named_with_its_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["inner/frames"] = np.ones((2, 3, 4), "u2")
        file["soft"] = h5py.SoftLink("/inner/frames")
    with h5py.File(tmp_path / "near.h5", "w") as file:
        data = group(group(file, "entry", "NXentry"), "data", "NXdata", signal="d")
        data["d"] = h5py.ExternalLink("far.h5", "/soft")
    found = plot(tmp_path / "near.h5")
    assert found["signal"] == f"{tmp_path / 'far.h5'}::/inner/frames"
    assert found["shape"] == [2, 3, 4]


README_FACTS = [
    ("saxs/S2p5min_00070_00001.h5", "first_nxdata", "image", "/entry/data/data", (3262, 3108)),
    ("saxs/i22-119583.nxs", "legacy_signal", "image", "i22-119583-Pilatus2M.h5::/entry/instrument/detector/data",
     (1, 1, 1679, 1475)),
    ("saxs/i22-119583-Pilatus2M.h5", "known_layout", "image", "/entry/instrument/detector/data", (1, 1, 1679, 1475)),
    ("saxs/009766_forSasView.h5", "default", "image", "/sasentry01/sasdata01/I", (256, 128)),
    ("saxs/33837rear_1D_NXcanSAS_v3.h5", "first_nxdata", "curve", "/sasentry01/sasdata/I", (66,)),
    ("saxs/1998spheres.h5", "default", "curve", "/sasentry_0/sasdata/I", (1824,)),
    ("saxs/Lew_Sa3_DSM_QinA.h5", "default", "curve", "/Lew_Sa3_0004_mrg/Lew_Sa3_0004_mrg/I", (490,)),
    ("tomo/tooth.h5", "known_layout", "stack", "/exchange/data", (181, 2, 640)),
    ("volume/volumeExample.nxs", "first_nxdata", "volume", "/entry/result/data", (257, 204, 204)),
    ("mx/DLS_i03_i04_NXmx_Therm_6_2.nxs", "first_nxdata", "stack", "/entry/data/data", (488, 4362, 4148)),
    ("xrd/bliss_id11/demoh5_dataset.h5", "known_layout", "stack", "/2.1/instrument/marana/data", (5, 2048, 2048)),
    ("xrd/bliss_id11/ma4500-demoh5-dataset.h5", "none", "none", "", ()),
    ("xrd/bliss_id11/scan0001/marana_0000.h5", "default", "stack", "/entry_0000/ESRF-ID11/marana/data",
     (100, 2048, 2048)),
    ("xrd/336502.nxs", "legacy_signal", "stack", "/entry/data/data", (10, 195, 487)),
    ("ptycho/PETRAIII_P25_Near_Field_Ptycho.cxi", "known_layout", "stack", "/entry_1/instrument_1/detector_1/data",
     (200, 100, 100)),
    ("spectro/FeKedge_1_15.nxs", "legacy_signal", "stack", "/entry1/xspress2system/data", (489, 1, 64)),
    ("spectro/i05-4859.nxs", "legacy_signal", "image", "/entry1/analyser/data", (1, 1000, 1040)),
    ("spectro/testfluo2.nxs", "known_layout", "curve", "/entry1/fluo_entry/data/data", (18, 18, 512)),
    ("spectro/RAW-R0016-DA03-S00000.h5", "known_layout", "image",
     "/INSTRUMENT/SXP_TR_XPES/DET/MCP_DETECTOR:output/data/starterCounter", (50, 1000)),
    ("nexus/chopper.nxs", "first_nxdata", "image", "/entry/data/data", (148, 750)),
    ("nexus/33id_spec_22_2D.hdf5", "default", "image", "/S22/data/I0", (11, 11)),
    ("edge/tfilters.h5", "largest", "image", "/all", (20, 10)),
    ("edge/tloop.h5", "none", "none", "", ()),
    ("edge/vds_eiger_gaps/vds-eiger.h5", "largest", "stack", "/VDS-Eiger", (5, 10, 10)),
]


@pytest.mark.parametrize(("name", "rule", "view", "signal", "shape"), README_FACTS, ids=[f[0] for f in README_FACTS])
def test_that_measured_files_open_as_their_readme_says(beamside_data: Path, name: str, rule: str, view: str,
                                                       signal: str, shape: tuple[int, ...]) -> None:
    found = plot(beamside_data / name)
    assert (found["rule"], found["view"], tuple(found["shape"])) == (rule, view, shape)
    assert (found["signal"] or "").endswith(signal)
    if view == "image" and len(shape) == 2:
        with h5py.File(beamside_data / name, "r", locking=False) as file:
            values = file[found["signal"]][()]
        invalid = values == 2**32 - 1 if values.dtype == np.uint32 else values < 0 if values.dtype.kind == "i" else \
            np.zeros(values.shape, bool)
        assert found["limits"] == pytest.approx(np.percentile(values[~invalid & np.isfinite(values)], [1, 99]))


def test_that_measured_curves_have_axes_errors_and_log_scales(beamside_data: Path) -> None:
    for name, folder in (("saxs/33837rear_1D_NXcanSAS_v3.h5", "/sasentry01/sasdata"),
                         ("saxs/1998spheres.h5", "/sasentry_0/sasdata"),
                         ("saxs/Lew_Sa3_DSM_QinA.h5", "/Lew_Sa3_0004_mrg/Lew_Sa3_0004_mrg")):
        found = plot(beamside_data / name)
        assert (found["axes"], found["errors"]) == ([f"{folder}/Q"], f"{folder}/Idev")
        assert (found["x_scale"], found["y_scale"]) == ("log", "log")


def test_that_measured_axes_are_found_and_those_that_do_not_fit_are_not(beamside_data: Path) -> None:
    assert plot(beamside_data / "nexus/chopper.nxs")["axes"] == [
        "/entry/data/polar_angle", "/entry/data/time_of_flight"]
    assert plot(beamside_data / "nexus/33id_spec_22_2D.hdf5")["axes"] == ["/S22/data/eta", "/S22/data/chi"]
    assert plot(beamside_data / "tomo/tooth.h5")["axes"] == ["/exchange/theta", None, None]
    assert plot(beamside_data / "xrd/336502.nxs")["axes"] == [None, None, None]
    assert plot(beamside_data / "spectro/i05-4859.nxs")["axes"] == [
        None, "/entry1/analyser/angles", "/entry1/analyser/energies"]
    assert plot(beamside_data / "spectro/testfluo2.nxs")["axes"] == [None, None, "/entry1/fluo_entry/data/energy"]
    assert plot(beamside_data / "volume/volumeExample.nxs")["axes"] == [f"/entry/result/{n}-axis" for n in "hkl"]


def test_that_what_is_missing_is_named(beamside_data: Path) -> None:
    master = plot(beamside_data / "mx/DLS_i03_i04_NXmx_Therm_6_2.nxs")
    assert any("Therm_6_2_000001.h5" in item for item in master["missing"])
    dataset = plot(beamside_data / "xrd/bliss_id11/demoh5_dataset.h5")
    assert any(item.startswith("/1.1") for item in dataset["missing"])
    gaps = plot(beamside_data / "edge/vds_eiger_gaps/vds-eiger.h5")
    assert [item.split("/")[-2].split("::")[0] for item in gaps["missing"]] == ["f-1.h5", "f-2.h5"]
