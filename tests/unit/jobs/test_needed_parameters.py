"""A submission without what its recipe needs is refused, or warned of where the program may yet find it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import RecipeError
from app.model.jobs import JobKind, JobSpec
from app.model.site import SiteProfile
from app.recipes.recipe import Parameter, ParameterType, Recipe
from app.remote.jobs.service import JobService
from tests.peers.need import need_program
from tests.unit.jobs.conftest import FakeLink
from tests.unit.jobs.fake_slurm import FakeSlurm

need_program("setsid", "util-linux")


@pytest.fixture
def needing(profile: SiteProfile, link: FakeLink, slurm: FakeSlurm, chain: Recipe) -> JobService:
    parameters = (Parameter("poni", ParameterType.FILE, "PONI file"),
                  Parameter("distance", ParameterType.FLOAT, "Distance", from_metadata=("NXdetector/distance",),
                            needed_if=({"poni": ("",)},)))
    return JobService(profile, lambda: link, {"chain": replace(chain, parameters=parameters)})


def test_that_what_the_data_does_not_say_is_refused_before_anything_is_submitted(needing: JobService,
                                                                                 scan: Path) -> None:
    spec = JobSpec("near", "chain", (str(scan),), {})
    with pytest.raises(RecipeError, match=r"^Give a PONI file, or set “Distance”: the data does not say it\.$"):
        needing.prepare(replace(spec, in_data={"distance": False}))
    assert needing.prepare(spec).warnings == (
        "Give a PONI file, or set “Distance”: it could not be found in the data.",)
    assert needing.prepare(replace(spec, in_data={"distance": True})).warnings == ()
    assert needing.prepare(replace(spec, parameters={"distance": 2.0})).warnings == ()
    assert needing.prepare(replace(spec, kind=JobKind.TRIAL)).warnings == (), "the program itself says it"
