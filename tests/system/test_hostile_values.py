"""Hostile texts in every field of a submission, on real Slurm, real Grid Engine and directly: nothing of them is ever
executed; either the job runs with the very value, or it is refused in one sentence.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import BeamsideError
from app.model.jobs import Job, JobSpec, JobState
from app.model.site import BatchSettings, SiteProfile
from app.recipes.recipe import Parameter, ParameterType
from tests.peers.gridengine import GridFacility
from tests.peers.job_client import SMALL, Site, job_client, state_recipes, told
from tests.peers.slurm import SlurmFacility
from tests.peers.workstation import Workstation

TEXTS = ("two words", "it's", 'say "hi"', "$(touch CANARY)", "`touch CANARY`", "; touch CANARY #", "a\ntouch CANARY\n",
         "#SBATCH --wrap=touch CANARY", "\n#SBATCH --wrap=touch\n#$ -N evil\n", "x" * 300, "naïve λ 測 🎉", "-rf /",
         "--wrap=touch CANARY", "%j %a", "\\$HOME", "a\0b", "</parameters>\x1d\x1f")
NAMES = tuple(text for text in TEXTS if "\0" not in text and "/" not in text and len(text) < 200)


def recipes() -> dict[str, object]:
    return dict(state_recipes(Parameter("text", ParameterType.TEXT, "A text", default="")))


@pytest.fixture(scope="module", params=["slurm", "gridengine", "direct"])
def place(request: pytest.FixtureRequest) -> tuple[Site, SiteProfile]:
    """A site and its profile."""
    site: Site
    if request.param == "slurm":
        facility: SlurmFacility = request.getfixturevalue("slurm")
        site = facility
    elif request.param == "gridengine":
        grid: GridFacility = request.getfixturevalue("gridengine")
        site = grid
    else:
        site = Workstation(request.getfixturevalue("slurm"))
    return site, SiteProfile("real", title="The Facility", batch=BatchSettings(request.param))


@pytest.fixture(scope="module")
def run(place: tuple[Site, SiteProfile]) -> Iterator[dict[str, Job | BeamsideError]]:
    """What became of each: a submitted job, or its refusal. All at once, since each waits for a scheduler."""
    site, profile = place
    user = site.users[0]
    data = site.home(user) / "hostile"
    data.mkdir(exist_ok=True)
    (data / "scan.dat").write_bytes(b"raw")
    found: dict[str, Job | BeamsideError] = {}

    def ask(what: str, submit: Callable[[], Job]) -> None:
        try:
            found[what] = submit()
        except BeamsideError as error:
            found[what] = error
    with job_client(site, profile, recipes()) as client:      # type: ignore[arg-type]
        plain = str(data / "scan.dat")
        for text in TEXTS:
            ask(f"parameter {text}", lambda t=text: client.jobs.submit(JobSpec(          # type: ignore[misc]
                "real", "job", (plain,), {"do": "end", "text": t}, replace(SMALL, time_limit_min=2))))
        for text in NAMES:
            file = data / text / "scan.dat"
            file.parent.mkdir(exist_ok=True)
            shutil.copy(plain, file)
            ask(f"input {text}", lambda f=file: client.submit("end", data=str(f)))       # type: ignore[misc]
        for field in ("partition", "account"):
            for text in TEXTS:
                wish = replace(SMALL, **{field: text})
                ask(f"{field} {text}", lambda w=wish: client.submit("end", resources=w))  # type: ignore[misc]
        for text in ("$(touch CANARY)", "\n#SBATCH --wrap=touch\n#$ -N evil\n", "x" * 300):
            ask(f"name {text}", lambda t=text: client.submit("end", name=t))             # type: ignore[misc]
        deadline = time.monotonic() + 240
        seen = client.jobs.jobs()
        while not all(job.state.ended for job in seen):
            assert time.monotonic() < deadline, seen
            time.sleep(1)
            seen = client.jobs.jobs()
    ends = {job.id: job for job in seen}
    found = {what: became if isinstance(became, BeamsideError) else ends[became.id] for what, became in found.items()}
    account = pwd.getpwnam(user)
    for path in (data, *data.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
    yield found
    shutil.rmtree(data)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_that_a_parameter_reaches_the_program_as_it_was_typed_or_is_refused(
        run: dict[str, Job | BeamsideError], text: str) -> None:
    what = run[f"parameter {text}"]
    if isinstance(what, BeamsideError):
        assert one_sentence(what)
        assert set(text) & set("\0\n\x1d\x1f")
        return
    assert told(what) == (JobState.COMPLETED, "", 0, None)
    assert json.loads((Path(what.folder) / "parameters.json").read_text("utf-8"))["parameters"]["text"] == text


@pytest.mark.parametrize("text", NAMES, ids=range(len(NAMES)))
def test_that_an_input_is_named_as_it_is_or_refused(run: dict[str, Job | BeamsideError], text: str) -> None:
    what = run[f"input {text}"]
    if isinstance(what, BeamsideError):
        assert one_sentence(what)
        assert set(text) & set("\n\x1d\x1f")
        return
    assert what.state is JobState.COMPLETED
    (named,) = json.loads((Path(what.folder) / "parameters.json").read_text("utf-8"))["inputs"]
    assert named.endswith(f"/hostile/{text}/scan.dat")


@pytest.mark.parametrize("field", ["partition", "account"])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_that_a_partition_or_account_that_nobody_has_is_refused_in_one_sentence(
        run: dict[str, Job | BeamsideError], field: str, text: str) -> None:
    what = run[f"{field} {text}"]
    assert isinstance(what, BeamsideError), what
    assert one_sentence(what)


@pytest.mark.parametrize("text", ["$(touch CANARY)", "\n#SBATCH --wrap=touch\n#$ -N evil\n", "x" * 300], ids=range(3))
def test_that_a_name_is_only_a_name(run: dict[str, Job | BeamsideError], text: str) -> None:
    what = run[f"name {text}"]
    if isinstance(what, BeamsideError):
        assert one_sentence(what)
    else:
        assert what.state is JobState.COMPLETED


def test_that_nothing_of_it_was_executed(place: tuple[Site, SiteProfile],
                                         run: dict[str, Job | BeamsideError]) -> None:
    assert sum(isinstance(what, Job) for what in run.values()) >= 20
    site, _ = place
    home = site.home(site.users[0])
    found = [path for path in home.rglob("*") if path.name.startswith("CANARY") or path.name == "owned"]
    assert found == []
    assert not (Path("/tmp") / "CANARY").exists()


def one_sentence(error: BeamsideError) -> bool:
    """Whether a refusal is one line for people, not a traceback or a page."""
    return bool(error.summary) and "\n" not in error.summary and len(error.summary) < 500
