"""``jobs`` over several sites."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import pytest

from app.commands.jobs import run_jobs
from app.commands.output import Output
from app.errors import UnreachableError
from app.model.jobs import Job, JobState
from app.model.site import BatchSettings, SiteProfile


@dataclass
class FakeJobs:
    site: str
    up: bool

    def jobs(self) -> list[Job]:
        if not self.up:
            raise UnreachableError(f"{self.site} cannot be reached.", remedy="Try again.")
        return [Job("1", self.site, "n", "r", "1", JobState.QUEUED)]


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


def test_that_a_site_that_is_down_hides_no_others_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_jobs(argparse.Namespace(site=None), FakeContext("a1")) == 0  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert '"site": "b2"' in captured.out
    assert "a1 cannot be reached." in captured.err


def test_that_no_site_answering_is_an_error() -> None:
    with pytest.raises(UnreachableError, match="a1 cannot be reached"):
        run_jobs(argparse.Namespace(site=None), FakeContext("a1", "b2"))  # type: ignore[arg-type]
