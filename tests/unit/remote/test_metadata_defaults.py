"""Values of parameters come from the file's metadata, in the parameter's unit, and only where it is sure."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.quantities import convert
from app.model.site import AgentSettings, SiteProfile
from app.recipes.catalogue import shipped_recipes
from app.recipes.fitting import DataFacts, is_made_for, why_not
from app.recipes.recipe import Accepts, Parameter, ParameterType, Recipe
from app.remote.agent_client import AgentClient
from app.remote.analyses.metadata_defaults import InputMetadata, input_metadata, metadata_defaults
from app.remote.connection import Connection
from app.remote.local_transport import LocalTransport


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentClient]:
    cache = tmp_path_factory.getbasetemp() / "metadata-agent"
    agent = AgentSettings(python=(shlex.quote(sys.executable),), cache=str(cache), workers=1)
    profile = SiteProfile("site", agent=agent)
    connection = Connection(profile, LocalTransport)
    connection.open().result(60)
    yield connection.data
    connection.close(10)


def parameter(name: str, *rules: str, unit: str = "", kind: ParameterType = ParameterType.FLOAT) -> Parameter:
    return Parameter(name, kind, name.capitalize(), unit=unit, from_metadata=rules)


def recipe(*parameters: Parameter, **changes: Any) -> Recipe:
    return replace(Recipe("r", "1.0", "R", "pass", parameters=parameters), **changes)


@pytest.fixture
def nexus(tmp_path: Path) -> Callable[..., Path]:
    """A file as detectors write it: the data in its NXdetector, an NXdata that leads there."""

    def make(link: str = "hard", detectors: int = 1, beam: bool = True) -> Path:
        path = tmp_path / f"{link}{detectors}.nxs"
        with h5py.File(path, "w") as file:
            entry = file.create_group("entry")
            entry.attrs["NX_class"] = "NXentry"
            entry["definition"] = "NXsas"
            instrument = entry.create_group("instrument")
            instrument.attrs["NX_class"] = "NXinstrument"
            for number in range(detectors):
                detector = instrument.create_group(f"detector{number or ''}")
                detector.attrs["NX_class"] = "NXdetector"
                detector["data"] = np.ones((3, 5, 6), "u2")
                detector["distance"] = 1994.09 + number
                detector["distance"].attrs["units"] = "mm"
                detector["beam_center_x"] = 100.5
                detector["count_time"] = np.full(3, 0.25)
                detector["count_time"].attrs["units"] = "s"
                detector["bare"] = 3.0
                detector["pixel_mask"] = np.zeros((5, 6), "u4")
                detector["frame_number"] = np.int64(7)
                detector["moving"] = np.arange(3.0)
                detector["description"] = "Eiger 9M"
                detector["limits"] = [0.1, 2.0]
            if beam:
                group = instrument.create_group("beam")
                group.attrs["NX_class"] = "NXbeam"
                group["incident_energy"] = 12.398419843320026
                group["incident_energy"].attrs["units"] = "keV"
            group = entry.create_group("data")
            group.attrs.update(NX_class="NXdata", signal="data")
            target = "/entry/instrument/detector/data"
            group["data"] = {"soft": h5py.SoftLink(target), "hard": entry["instrument/detector/data"],
                             "relative": h5py.SoftLink("../instrument/detector/data"),
                             "own": np.ones((3, 5, 6), "u2")}[link]
        return path

    return make


def look(data: AgentClient, path: Path, what: Recipe, data_path: str = "") -> InputMetadata:
    return input_metadata(data, DataReference("site", PurePosixPath(path), data_path), what)


@pytest.mark.parametrize("link", ["hard", "soft", "relative"])
def test_that_the_detector_of_the_data_is_asked_whatever_path_led_there(
        data: AgentClient, nexus: Callable[..., Path], link: str) -> None:
    wanted = recipe(parameter("distance", "NXdetector/distance", unit="m"))
    found = look(data, nexus(link, detectors=3), wanted).defaults
    assert found["distance"].value == 1.99409
    assert found["distance"].note == "from entry/instrument/detector/distance (1994.09 mm)"


def test_that_among_several_detectors_none_is_guessed(data: AgentClient, nexus: Callable[..., Path]) -> None:
    wanted = recipe(parameter("distance", "NXdetector/distance", unit="m"))
    assert look(data, nexus("own", detectors=2), wanted).defaults == {}
    assert look(data, nexus("own", detectors=1), wanted).defaults["distance"].value == 1.99409


def test_that_values_are_converted_checked_and_told(data: AgentClient, nexus: Callable[..., Path]) -> None:
    wanted = recipe(
        parameter("wavelength", "NXbeam/incident_wavelength", "NXbeam/incident_energy", unit="Å"),
        parameter("x", "NXdetector/beam_center_x", unit="pixel"),
        parameter("time", "NXdetector/count_time", unit="ms"),
        parameter("bare", "NXdetector/bare", unit="mm"),
        parameter("either", "NXdetector/bare", "NXdetector/distance", unit="mm"),
        parameter("moving", "NXdetector/moving"),
        parameter("number", "NXdetector/frame_number", kind=ParameterType.INTEGER),
        parameter("not_whole", "NXdetector/beam_center_x", kind=ParameterType.INTEGER),
        parameter("text", "NXdetector/description", kind=ParameterType.TEXT),
        parameter("mask", "NXdetector/pixel_mask", kind=ParameterType.DATASET),
        parameter("limits", "NXdetector/limits", kind=ParameterType.RANGE),
        parameter("whole_path", "/entry/instrument/beam/incident_energy", unit="eV"),
        replace(parameter("bounded", "NXdetector/beam_center_x"), maximum=10.0),
        parameter("gone", "NXdetector/nothing", "/entry/nothing"))
    path = nexus("hard")
    found = {name: default.value for name, default in look(data, path, wanted).defaults.items()}
    assert found == {"wavelength": 1.0, "x": 100.5, "time": 250.0, "either": 1994.09, "number": 7, "text": "Eiger 9M",
                     "mask": f"{path}::/entry/instrument/detector/pixel_mask", "limits": (0.1, 2.0),
                     "whole_path": 12398.4198433}
    assert isinstance(found["number"], int)


def test_that_a_recipe_that_wants_nothing_asks_nothing(tmp_path: Path, data: AgentClient) -> None:
    reference = DataReference("site", PurePosixPath(tmp_path / "gone.h5"))
    assert metadata_defaults(data, reference, recipe(parameter("a"))) == {}
    with pytest.raises(BeamsideError):
        metadata_defaults(data, reference, recipe(parameter("a", "NXdetector/distance")))


def test_that_the_facts_of_an_input_say_which_recipes_fit(data: AgentClient, nexus: Callable[..., Path]) -> None:
    facts = look(data, nexus("soft"), recipe()).facts
    assert facts.nx_classes is not None
    assert {"NXentry", "NXdata", "NXdetector", "NXsas"} <= set(facts.nx_classes)
    assert (facts.layouts, facts.rank, facts.kind) == ((), 3, "u")


def test_that_strange_types_and_numbers_are_no_accident(data: AgentClient, tmp_path: Path) -> None:
    padded = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<f8"], "offsets": [0, 8], "itemsize": 16})
    with h5py.File(tmp_path / "strange.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["events"] = np.zeros(4, padded)
        entry["far"] = 1e308
        entry["far"].attrs["units"] = "km"
    wanted = recipe(parameter("far", "/entry/far", unit="m", kind=ParameterType.INTEGER))
    found = look(data, tmp_path / "strange.h5", wanted, "/entry/events")
    assert (found.defaults, found.facts.rank, found.facts.kind) == ({}, 1, "")


@pytest.mark.parametrize(("name", "expected"), [
    ("saxs/i22-119583.nxs", {"distance": 5.4864, "beam_x": 100.0, "pixel_size": 172.0, "wavelength": 0.999872744}),
    ("mx/DLS_i03_i04_NXmx_Therm_6_2.nxs", {"beam_x": 2216.055470799965, "pixel_size": 75.0,
                                          "wavelength": 0.9802735610373182})])
def test_that_real_files_fill_the_form(data: AgentClient, beamside_data: Path, name: str,
                                       expected: dict[str, float]) -> None:
    wanted = recipe(parameter("distance", "NXdetector/distance", unit="m"),
                    parameter("beam_x", "NXdetector/beam_center_x", unit="pixel"),
                    parameter("pixel_size", "NXdetector/x_pixel_size", "NXdetector_module/x_pixel_size",
                              "NXdetector/module/x_pixel_size", unit="µm"),
                    parameter("wavelength", "NXbeam/incident_wavelength", "NXmonochromator/energy", unit="Å"))
    found = look(data, beamside_data / name, wanted).defaults
    assert {key: default.value for key, default in found.items()} == pytest.approx(expected)


def test_that_data_exchange_and_its_measurement_are_found(data: AgentClient, tmp_path: Path) -> None:
    path = tmp_path / "tomo.h5"
    with h5py.File(path, "w") as file:
        file["exchange/data"] = np.ones((4, 3, 5), "u2")
        file["measurement/instrument/monochromator/energy"] = 25.0
        file["measurement/instrument/monochromator/energy"].attrs["units"] = "keV"
    wanted = recipe(parameter("energy", "/measurement/instrument/monochromator/energy", unit="keV"))
    found = look(data, path, wanted)
    assert found.defaults["energy"].value == 25.0
    assert found.facts.layouts == ("data-exchange",)


def test_that_a_file_tells_what_it_certainly_does_not_say(data: AgentClient, nexus: Callable[..., Path],
                                                          beamside_data: Path) -> None:
    azimuthal = shipped_recipes()["azimuthal-integration"]
    real = look(data, beamside_data / "saxs/S2p5min_00070_00001.h5", azimuthal)
    assert real.said == {"beam_x": True, "beam_y": True, "pixel_size": False}, "the others are there without a unit"
    made = look(data, nexus("soft"), azimuthal).said
    assert (made["distance"], made["energy"], made["pixel_size"]) == (True, True, False)
    several = look(data, nexus("own", detectors=2), azimuthal).said
    assert "distance" not in several, "nobody guesses here, but the program may choose one of the two"


def test_that_shipped_recipes_find_their_geometry(data: AgentClient, nexus: Callable[..., Path]) -> None:
    found = look(data, nexus("soft"), shipped_recipes()["azimuthal-integration"]).defaults
    assert found["distance"].value == 1.99409


def offered(facts: DataFacts) -> list[str]:
    """Names of the shipped recipes that take it, those made for it first."""
    recipes = shipped_recipes().values()
    fit = [recipe for recipe in recipes if not why_not(recipe, facts)]
    return [recipe.name for recipe in sorted(fit, key=lambda recipe: not is_made_for(recipe, facts))]


@pytest.mark.parametrize("subentry", [False, True])
def test_that_a_tomography_scan_is_no_powder_ring(data: AgentClient, tmp_path: Path, subentry: bool) -> None:
    path = tmp_path / "scan.nxs"
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["data/data"] = np.ones((4, 3, 5), "u2")
        if subentry:
            entry.create_group("tomo_entry").attrs["NX_class"] = "NXsubentry"
        entry["tomo_entry/definition" if subentry else "definition"] = "NXtomo"
    facts = look(data, path, recipe(), "/entry/data/data").facts
    assert offered(facts) == ["tomography"]
    assert why_not(shipped_recipes()["azimuthal-integration"], facts) == (
        "Azimuthal integration does not take NXtomo data.")


def test_that_a_master_file_whose_frames_are_elsewhere_still_says_what_it_is(data: AgentClient, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "master.h5", "w") as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        entry["definition"] = "NXmx"
        entry.create_group("data").attrs["NX_class"] = "NXdata"
        entry["data/data_000001"] = h5py.ExternalLink("away_000001.h5", "/data")
    assert "NXmx" in (look(data, tmp_path / "master.h5", recipe()).facts.nx_classes or ())


def test_that_results_are_offered_no_analysis_of_raw_data_and_corrected_frames_are(data: AgentClient,
                                                                                    tmp_path: Path) -> None:
    for name in ("volume", "corrected"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            entry = file.create_group("entry")
            entry.attrs["NX_class"] = "NXentry"
            entry["data/data"] = np.ones((4, 3, 5), "f4")
            entry.create_group("process").attrs["NX_class"] = "NXprocess"
            if name == "corrected":
                entry.create_group("instrument/detector").attrs["NX_class"] = "NXdetector"
    volume = look(data, tmp_path / "volume.h5", recipe(), "/entry/data/data").facts
    assert offered(volume) == []
    assert "results of a computation" in why_not(shipped_recipes()["tomography"], volume)
    assert len(offered(look(data, tmp_path / "corrected.h5", recipe(), "/entry/data/data").facts)) == 2


@pytest.mark.parametrize(("accepts", "facts", "words"), [
    ({}, {}, ""),
    ({"made_for": ("NXtomo",)}, {"nx_classes": (), "layouts": ()}, ""),
    ({"excludes": ("data-exchange",)}, {"nx_classes": (), "layouts": ("data-exchange",)}, "take Data Exchange data"),
    ({"excludes": ("NXtomo",)}, {"nx_classes": None, "layouts": None}, ""),
    ({"nx_classes": ("NXtomo",)}, {"nx_classes": ("NXsas",), "layouts": ()}, "takes NXtomo; this file is none"),
    ({"nx_classes": ("NXtomo",)}, {"nx_classes": None, "layouts": None}, ""),
    ({"nx_classes": ("NXtomo",), "layouts": ("data-exchange",)},
     {"nx_classes": (), "layouts": ("data-exchange",)}, ""),
    ({"nx_classes": ("NXtomo",), "layouts": ("data-exchange",)},
     {"nx_classes": (), "layouts": ()}, "NXtomo or Data Exchange"),
    ({"rank_minimum": 2}, {"rank": 1}, "at least 2 dimensions; this has 1"),
    ({"rank_minimum": 2, "rank_maximum": 3}, {"rank": 4}, "2 to 3"),
    ({"rank_maximum": 3}, {"rank": 4}, "at most 3"),
    ({"rank_minimum": 3, "rank_maximum": 3}, {"rank": 2}, "of 3 dimensions"),
    ({"kinds": "iuf"}, {"kind": "c"}, "complex numbers"),
    ({"kinds": "iuf"}, {"kind": ""}, ""),
    ({"suffixes": (".edf", ".tif")}, {"file_path": PurePosixPath("/a.csv")}, "HDF5 files and .edf or .tif, not .csv"),
    ({"suffixes": (".edf",), "nx_classes": ("NXtomo",)},
     {"file_path": PurePosixPath("/a.EDF"), "nx_classes": (), "layouts": ()}, ""),
    ({"suffixes": (".edf",)}, {"file_path": PurePosixPath("/a.nxs")}, ""),
])
def test_that_no_is_said_only_where_something_is_known_to_be_wrong(
        accepts: dict[str, Any], facts: dict[str, Any], words: str) -> None:
    said = why_not(recipe(accepts=Accepts(**accepts)), DataFacts(**{"file_path": PurePosixPath("/a.h5"), **facts}))
    assert (words in said) if words else said == ""


@pytest.mark.parametrize(("value", "unit", "wanted", "expected"), [
    (1994.09, "mm", "m", 1.99409), (1.0, "angstrom", "nm", 0.1), (12.398419843320026, "keV", "Å", 1.0),
    (1.0, "Å", "keV", 12.398419843320026), (180, "deg", "rad", 3.141592653589793), (5, "1/nm", "1/Å", 0.5),
    (5, "nm^-1", "A^-1", 0.5), (7, "pixels", "pixel", 7), (7, "", "pixel", 7), (3, "µs", "s", 3e-6),
    (7, "", "m", None), (7, "mm", "pixel", None), (7, "furlong", "m", None),
    (7, "mm", "eV", 1.2398419843320026e-06 / 7e-3),
    (0, "Å", "keV", None), (7, "furlong", "furlong", 7), (1, "K", "m", None)])
def test_that_units_are_converted_or_refused(value: float, unit: str, wanted: str, expected: float | None) -> None:
    got = convert(value, unit, wanted)
    assert got == (pytest.approx(expected, rel=1e-12) if expected is not None else None)
