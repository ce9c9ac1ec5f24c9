"""How a result came about, read through the real agent from files that recipes and others have written."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest

from app.errors import RecipeError, UnknownJobError
from app.model.data import DataReference, ReadRequest
from app.model.jobs import JobSpec, Resources
from app.model.provenance import Provenance
from app.model.site import AgentSettings, SiteProfile
from app.recipes.recipe import Parameter, ParameterType, Recipe, Trial
from app.remote.analyses.provenance import provenance_from, read_provenance
from app.remote.analyses.refill import refill
from app.remote.connection import Connection
from app.remote.local_transport import LocalTransport

SAID: dict[str, Any] = {
    "recipe": "azimuthal-integration", "recipe_version": "2.0", "job_id": "20261122-103004-1f09ac",
    "scheduler_id": "8812", "program": "pyFAI", "version": "2026.9.0", "date": "2026-11-22T10:31:00+01:00",
    "parameters": json.dumps({"npt": 300, "mask": None}), "inputs": json.dumps(["/data/a.h5::/entry/data"])}
AT = DataReference("near", PurePosixPath("/r.h5"), "/entry/process")


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection(SiteProfile("near", agent=AgentSettings(python=(shlex.quote(sys.executable),))), LocalTransport)
    made.open().result(20)
    yield made
    made.close()


def write(path: Path, said: dict[str, Any], entry: str = "entry", kind: str = "NXprocess") -> DataReference:
    with h5py.File(path, "a") as file:
        group = file.require_group(entry)
        group.attrs["NX_class"] = "NXentry"
        data = group.require_group("reduced")
        data["I"] = np.arange(5.0)
        process = group.create_group("process")
        process.attrs["NX_class"] = kind
        for name, value in said.items():
            process[name] = value
    return DataReference("near", PurePosixPath(path), f"/{entry}/reduced/I")


def test_that_any_node_of_a_result_tells_how_it_was_made(connection: Connection, tmp_path: Path) -> None:
    reference = write(tmp_path / "result.h5", SAID)
    for path in ("/entry/reduced/I", "/entry/reduced", "/entry", "/", "", "/entry/process/recipe"):
        found = read_provenance(connection.data, replace(reference, data_path=path))
        assert found is not None, path
        assert found.sentence == "azimuthal integration 2.0, job 8812, 2026-11-22"
        assert found.parameters == {"npt": 300, "mask": None}
        assert found.inputs == ("/data/a.h5::/entry/data",)
        assert (found.job_id, found.program, found.program_version) == ("20261122-103004-1f09ac", "pyFAI", "2026.9.0")
        assert found.fault == ""


def test_that_a_text_that_says_it_is_too_long_is_not_even_asked_for(connection: Connection, tmp_path: Path,
                                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    reference = write(tmp_path / "long.h5", {**SAID, "program": np.array(b"x" * 3_000_000)})
    asked: list[str] = []
    read = connection.data.read

    def noted(request: ReadRequest, **more: Any) -> Any:
        asked.append(request.reference.data_path.rpartition("/")[2])
        return read(request, **more)
    monkeypatch.setattr(connection.data, "read", noted)
    found = read_provenance(connection.data, reference)
    assert found is not None
    assert found.program == ""
    assert "recipe" in asked
    assert "program" not in asked


def test_that_each_entry_tells_of_itself(connection: Connection, tmp_path: Path) -> None:
    write(tmp_path / "two.h5", SAID)
    second = write(tmp_path / "two.h5", {**SAID, "scheduler_id": "9"}, "entry_2")
    found = read_provenance(connection.data, second)
    assert found is not None
    assert found.scheduler_id == "9"


@pytest.mark.parametrize("said", [
    {"program": "pyFAI", "version": "1"},                                  # another program's
    {"recipe": 5}, {"recipe": np.arange(3)}, {"recipe": ""}, {"recipe": "../../evil"}, {"recipe": "x" * 10_000_000},
    {"recipe": np.bytes_("x" * 300)}, {"recipe": "a\nb"}])
def test_that_what_no_recipe_wrote_says_nothing(connection: Connection, tmp_path: Path, said: dict[str, Any]) -> None:
    assert read_provenance(connection.data, write(tmp_path / "other.h5", said)) is None


def test_that_a_file_without_processes_says_nothing(connection: Connection, tmp_path: Path) -> None:
    reference = write(tmp_path / "plain.h5", SAID, kind="NXnote")
    assert read_provenance(connection.data, reference) is None
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["data"] = np.arange(4)
    assert read_provenance(connection.data, DataReference("near", PurePosixPath(tmp_path / "bare.h5"), "/data")) is None
    assert read_provenance(connection.data, DataReference("near", PurePosixPath(tmp_path / "bare.h5"))) is None


@pytest.mark.parametrize("wrong", [
    {"parameters": "{"}, {"parameters": "[1]"}, {"parameters": 7}, {"parameters": '{"a":' * 5000 + "1" + "}" * 5000},
    {"parameters": "[" * 100_000}, {"parameters": json.dumps({"a": "x" * 10_000_000})}, {"inputs": '"text"'},
    {"inputs": json.dumps([1])}, {"inputs": json.dumps(["relative.h5"])}, {"inputs": json.dumps(["/a\n/b"])},
    {"inputs": np.arange(3)}, {"inputs": json.dumps(["/x"] * 20_000)}])
def test_that_faulty_provenance_is_one_sentence(connection: Connection, tmp_path: Path, wrong: dict[str, Any]) -> None:
    found = read_provenance(connection.data, write(tmp_path / "faulty.h5", {**SAID, **wrong}))
    assert found is not None
    assert found.fault.startswith("The result does not say ")
    assert found.sentence == "azimuthal integration 2.0, job 8812, 2026-11-22"


def test_that_hostile_words_are_only_words() -> None:
    found = provenance_from(AT, {**SAID, "recipe_version": "\x1b[2J\u202e", "scheduler_id": "$(reboot)",
                                 "date": "today", "program": b"x", "version": 3})
    assert found is not None
    assert found.sentence == "azimuthal integration \\x1b[2J\\u202e, job $(reboot)"
    assert (found.date, found.program, found.program_version) == ("", "", "")


RECIPE = Recipe("azimuthal-integration", "2.0", "Azimuthal integration", "pass", parameters=(
    Parameter("npt", ParameterType.INTEGER, "Number of points", default=1000, maximum=5000),
    Parameter("unit", ParameterType.CHOICE, "Unit", choices=("q", "2th"), default="q"),
    Parameter("frame", ParameterType.INTEGER, "Frame to try", default=0)), trial=Trial("frame", "frame", "/entry"))


class Kept:
    """What the job's folder says, as the service tells it."""

    def __init__(self, spec: JobSpec | None) -> None:
        self._spec = spec

    def spec_of(self, job_id: str) -> JobSpec:
        if self._spec is None or self._spec.again != job_id:
            raise UnknownJobError("You have no such job.")
        return self._spec


def made_by(**more: Any) -> Provenance:
    return Provenance(AT, **{"recipe": "azimuthal-integration", "version": "2.0", "job_id": "j1",
                             "parameters": {"npt": 300, "unit": "2th", "frame": 7}, "inputs": ("/nowhere/a.h5",),
                             **more})


def test_that_the_form_is_refilled_as_it_was(connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "a.h5").touch()
    inputs = (f"{tmp_path}/a.h5::/entry/data",)
    resources = Resources("long", "project", 90)
    kept = JobSpec("near", "azimuthal-integration", inputs, {}, resources, tasks=4, again="j1")
    found = refill(made_by(inputs=inputs), [RECIPE], Kept(kept), connection.data)
    assert found.sentences == ()
    assert found.spec.inputs == inputs
    assert found.spec.parameters == {"npt": 300, "unit": "2th"}, "which frame was tried says nothing of the whole"
    assert (found.spec.resources, found.spec.tasks, found.spec.again) == (resources, 4, "j1")


def test_that_a_purged_folder_leaves_the_resources_to_the_recipe(connection: Connection) -> None:
    found = refill(made_by(), [RECIPE], Kept(None), connection.data)
    assert found.spec.resources == Resources()
    assert found.spec.parameters == {"npt": 300, "unit": "2th"}


def test_that_other_versions_and_vanished_inputs_are_told(connection: Connection) -> None:
    found = refill(made_by(version="1.0", parameters={"npt": 9000, "unit": "q", "old": 1}), [RECIPE], Kept(None),
                   connection.data)
    assert found.spec.parameters == {"unit": "q"}
    assert found.sentences == (
        "Made with version 1.0, this is 2.0: new parameters have their defaults.",
        "Not known to this version and left out: old.",
        "No longer a value that is taken, so the default is there: Number of points.",
        "This input is not there any more: /nowhere/a.h5.")


@pytest.mark.parametrize(("more", "words"), [
    ({"recipe": "unheard-of"}, "is not there"), ({"inputs": ()}, "does not say what it was made from"),
    ({"fault": "The result does not say its parameters in a way that can be read."}, "its parameters")])
def test_that_what_cannot_be_refilled_says_why(connection: Connection, more: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        refill(made_by(**more), [RECIPE], Kept(None), connection.data)
