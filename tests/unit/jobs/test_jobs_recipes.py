"""What a recipe says reaches the job: files among its parameters, its container, and the version that is there now."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from app.errors import NotFoundError, RecipeError
from app.model.jobs import JobSpec
from app.model.site import SiteProfile, SoftwareSettings
from app.recipes.containers import tree
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.remote.jobs.service import JobService
from tests.unit.jobs.conftest import FakeLink
from tests.unit.jobs.fake_slurm import FakeSlurm

Make = Callable[..., JobService]


@pytest.fixture
def make(profile: SiteProfile, link: FakeLink, slurm: FakeSlurm, simple: Recipe) -> Make:
    def service(recipes: dict[str, Recipe] | None = None, **software: Any) -> JobService:
        site = replace(profile, software=SoftwareSettings(**software))
        return JobService(site, lambda: link, recipes if recipes is not None else {"simple": simple})
    return service


def of(scan: Path, **parameters: object) -> JobSpec:
    return JobSpec("near", "simple", (str(scan),), parameters)


def test_that_several_files_are_looked_for_and_made_absolute(make: Make, simple: Recipe, scan: Path,
                                                              own_home: Path, slurm: FakeSlurm) -> None:
    darks = Parameter("darks", ParameterType.FILES, "Dark images")
    service = make({"simple": replace(simple, parameters=(darks,))})
    (own_home / "a.edf").write_bytes(b"")
    (own_home / "b c.edf").write_bytes(b"")
    draft = service.prepare(of(scan, darks=("~/a.edf", "b c.edf")))
    assert draft.parameters == {"darks": [f"{own_home}/a.edf", f"{own_home}/b c.edf"]}
    with pytest.raises(NotFoundError, match=r"^“Dark images”: /.*gone.edf is not at Near Site, or"):
        service.prepare(of(scan, darks=["~/a.edf", "~/gone.edf"]))
    assert service.prepare(of(scan)).parameters == {"darks": None}


def test_that_an_image_is_in_the_script_and_sees_the_data(make: Make, simple: Recipe, scan: Path) -> None:
    image = scan.parent / "a.sif"
    image.write_bytes(b"")
    service = make({"simple": replace(simple, image="img")}, containers="apptainer", images={"img": str(image)},
                   binds=("/gpfs",))
    draft = service.prepare(of(scan))
    (line,) = [line for line in draft.script.splitlines() if " run.py parameters.json" in line]
    assert "apptainer exec " in line
    assert "--bind /gpfs:/gpfs:ro" in line
    assert f"--bind {draft.folder}:{draft.folder}:rw" in line
    assert f"{image} python3 run.py parameters.json" in line
    image.unlink()
    with pytest.raises(RecipeError, match=r"The container image .*/a.sif is not at Near Site"):
        service.prepare(of(scan))


def test_that_an_image_without_the_facilitys_folders_is_refused_for_ch_run(make: Make, simple: Recipe, scan: Path,
                                                                           tmp_path: Path) -> None:
    image = tmp_path / "rootfs"
    (image / "dev").mkdir(parents=True)
    recipes = {"simple": replace(simple, image="img")}
    service = make(recipes, containers="ch-run", images={"img": str(image)}, binds=("/gpfs",))
    with pytest.raises(RecipeError) as caught:
        service.prepare(of(scan))
    here = tree(PurePosixPath(tmp_path))
    assert caught.value.summary.startswith(f"The container image {image} has no folder /gpfs and no folder {here}, ")
    for point in ("/gpfs", str(here)):
        (image / point.strip("/")).mkdir(parents=True)
    assert "ch-run " in service.prepare(of(scan)).script
    assert "apptainer" in make(recipes, containers="apptainer", images={"img": str(image)}).prepare(of(scan)).script


@pytest.mark.parametrize(("software", "words"), [
    ({"containers": "none", "images": {"img": "/a"}}, "runs no containers"),
    ({"images": {"img": "/a"}}, "does not say how"), ({"containers": "ch-run"}, "[software.images]")])
def test_that_an_image_that_cannot_be_run_is_refused_before_anything_exists(
        make: Make, simple: Recipe, scan: Path, slurm: FakeSlurm, software: dict[str, Any], words: str) -> None:
    service = make({"simple": replace(simple, image="img")}, **software)
    with pytest.raises(RecipeError) as caught:
        service.submit(of(scan))
    assert words in caught.value.summary
    assert slurm.numbers() == []
    assert not list(scan.parent.parent.rglob("job.json"))


def test_that_the_recipe_that_is_there_now_is_submitted(make: Make, simple: Recipe, scan: Path) -> None:
    shelf = {"simple": simple}
    service = make(shelf)
    shelf["simple"] = replace(simple, version="9.0", files={"more.py": "x = 1\n"})
    job = service.submit(of(scan))
    assert job.version == "9.0"
    assert (Path(job.folder) / "more.py").read_text() == "x = 1\n"
    assert json.loads((Path(job.folder) / "job.json").read_text())["version"] == "9.0"
    assert [recipe.version for recipe in service.recipes()] == ["9.0"]
