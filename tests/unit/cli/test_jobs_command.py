"""``jobs`` over several sites."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any, cast

import pytest

from app.commands.context import Context
from app.commands.jobs import find, run_cancel, run_jobs
from app.commands.output import Output
from app.errors import UnknownJobError, UnreachableError
from app.model.jobs import Job, JobPart, JobState
from app.model.site import BatchSettings, SiteProfile


@dataclass
class FakeJobs:
    site: str
    up: bool

    def jobs(self) -> list[Job]:
        if not self.up:
            raise UnreachableError(f"{self.site} cannot be reached.", remedy="Try again.")
        return [Job("1", self.site, "n", "r", "1", JobState.QUEUED),
                Job("2", self.site, "n", "r", "1", JobState.COMPLETED),
                Job("3", self.site, "n", "r", "1", JobState.FAILED, parts=(
                    JobPart("each", None, JobState.FAILED), JobPart("merge", None, JobState.QUEUED)))]

    def job(self, job_id: str) -> Job:
        return next(job for job in self.jobs() if job.id == job_id)

    def cancel(self, job_id: str) -> Job:
        return self.job(job_id)


class FakeContext:
    """Two sites with a batch system; those in ``down`` do not answer."""

    def __init__(self, *down: str) -> None:
        self.output = Output(True)
        self.sites: Any = self
        self._down = down

    def names(self) -> list[str]:
        return ["a1", "b2"]

    yours = names

    def profile(self, name: str) -> SiteProfile:
        return SiteProfile(name=name, batch=BatchSettings(system="slurm"))

    def jobs(self, site: str) -> FakeJobs:
        return FakeJobs(site, site not in self._down)


def context(*down: str) -> Context:
    return cast(Context, FakeContext(*down))


@pytest.mark.parametrize("text", ["nosuch", "b2:nosuch", "20261122-103004", "--", ""])
def test_that_no_site_is_asked_for_what_cannot_be_a_job(text: str) -> None:
    with pytest.raises(UnknownJobError, match="There is no job called"):      # both sites are down
        find(text, context("a1", "b2"))


@pytest.mark.parametrize("text", ["1", "b2:20261122-103004-1f09ac"])
def test_that_the_sites_are_asked_for_what_may_be_a_job(text: str) -> None:
    with pytest.raises(UnreachableError):
        find(text, context("a1", "b2"))


def test_that_a_site_that_is_down_hides_no_others_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_jobs(argparse.Namespace(site=None), context("a1")) == 0
    captured = capsys.readouterr()
    assert '"site": "b2"' in captured.out
    assert "a1 cannot be reached." in captured.err


@pytest.mark.parametrize(("job_id", "told"), [("1", False), ("2", True), ("3", False)])
def test_that_a_job_that_has_ended_is_said_to_have_nothing_to_cancel(
        job_id: str, told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cancel(argparse.Namespace(id=job_id), context()) == 0
    words = f"The job {job_id} has ended already (completed): there is nothing to cancel."
    assert (words in capsys.readouterr().err) is told


def test_that_no_site_answering_is_an_error() -> None:
    with pytest.raises(UnreachableError, match="a1 cannot be reached"):
        run_jobs(argparse.Namespace(site=None), context("a1", "b2"))
