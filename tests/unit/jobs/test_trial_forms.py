"""Whose a trial is: a job of its own for each form, and what was left behind goes to the next one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from app.model.jobs import JobState
from app.model.trial import TrialPhase
from app.remote.trials.folder import Told, TrialFolder, question
from app.remote.trials.session import TrialOverError, TrialSession, new_form
from tests.unit.jobs.trial_site import RECIPE, BreakingLink, OwnJobs, eventually, spec

NEVER = threading.Event()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OwnJobs]:
    jobs = OwnJobs(tmp_path)
    yield jobs
    jobs.close()


@pytest.fixture
def new(site: OwnJobs, tmp_path: Path) -> Callable[..., TrialSession]:
    link = BreakingLink()
    return lambda form="": TrialSession(site, lambda: link, RECIPE, spec(tmp_path / "scan.h5"), form=form)


def begun(session: TrialSession) -> TrialSession:
    session.begin({})
    assert session.wait_until_ready(lambda _: None, NEVER).phase is TrialPhase.READY
    return session


def folder(session: TrialSession) -> Path:
    assert session.job is not None
    return Path(session.job.folder)


def left_behind(session: TrialSession) -> None:
    """Its program was killed, two minutes ago."""
    mark, = (folder(session) / "trial").glob("form-*")
    os.utime(mark, (time.time() - 120,) * 2)


def test_that_two_forms_have_a_job_each_and_get_the_answers_to_their_own_questions(
        new: Callable[..., TrialSession], site: OwnJobs) -> None:
    one, other = begun(new()), begun(new())
    assert len(site.submitted) == 2
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(one.ask, {"factor": 1.0, "takes": 6.0})
        eventually((folder(one) / "computed").exists)
        assert other.ask({"factor": 2.0}).parameters["factor"] == 2.0
        assert not slow.done(), "nobody waits for the other form"
        assert slow.result(60).parameters["factor"] == 1.0


def test_that_closing_one_form_does_not_end_the_others_trial(new: Callable[..., TrialSession], site: OwnJobs) -> None:
    one, other = begun(new()), begun(new())
    one.end()
    assert other.ask({"factor": 3.0}).fault == ""
    other.end()
    assert [job.state for job in site.jobs()] == [JobState.COMPLETED] * 2, "no job is left behind"


def test_that_a_form_finds_its_own_trial_again(new: Callable[..., TrialSession], site: OwnJobs) -> None:
    form = new_form()
    before = begun(new(form))
    before.ask({"factor": 1.0})
    before.ask({"factor": 2.0})
    again = new(form)
    assert again.begin({}).phase is TrialPhase.READY
    assert again.ask({"factor": 3.0}).parameters["factor"] == 3.0, "it counts on from the newest question"
    assert len(site.submitted) == 1


def test_that_a_trial_that_was_left_behind_goes_to_the_next_form(new: Callable[..., TrialSession],
                                                                 site: OwnJobs) -> None:
    lost = begun(new())
    lost.ask({"factor": 1.0})
    left_behind(lost)
    heir = new()
    assert heir.begin({}).phase is TrialPhase.READY
    assert heir.ask({"factor": 2.0}).parameters["factor"] == 2.0
    assert len(site.submitted) == 1
    third = new()
    third.begin({})
    assert len(site.submitted) == 2, "it is in use again"
    third.end()


def test_that_a_form_that_comes_back_too_late_is_told_and_ends_nothing(new: Callable[..., TrialSession],
                                                                       site: OwnJobs) -> None:
    form = new_form()
    late = begun(new(form))
    left_behind(late)
    heir = begun(new())
    answer = heir.ask({"factor": 2.0})
    with pytest.raises(TrialOverError, match="Another form has taken this trial job up"):
        late.ask({"factor": 9.0})
    late.end()
    assert Path(answer.file).exists()
    assert heir.ask({"factor": 4.0}).parameters["factor"] == 4.0
    assert "9.0" not in (folder(heir) / "trial/questions").read_text()
    assert begun(new(form)).ask({"factor": 5.0}).fault == ""
    assert len(site.submitted) == 2, "it gets a job of its own"


def test_that_a_form_that_closes_too_late_ends_nothing(new: Callable[..., TrialSession], site: OwnJobs) -> None:
    late = begun(new())
    left_behind(late)
    heir = begun(new())
    answer = heir.ask({"factor": 2.0})
    late.end()
    assert Path(answer.file).exists()
    assert heir.look().phase is TrialPhase.READY


def test_that_of_many_forms_one_inherits(new: Callable[..., TrialSession], site: OwnJobs) -> None:
    left_behind(begun(new()))
    heirs = [new() for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda heir: heir.begin({}), heirs))
    assert len({folder(heir) for heir in heirs}) == 6, "none has another's"
    assert len(site.submitted) <= 1 + 6
    assert len(list((site.root / "2026-1/trial").glob("form-*"))) == 1


def test_that_a_trial_that_was_just_submitted_is_nobody_elses(new: Callable[..., TrialSession], site: OwnJobs) -> None:
    first, second = new(), new()
    first.begin({})
    second.begin({})
    assert folder(first) != folder(second)
    assert first.wait_until_ready(lambda _: None, NEVER).phase is TrialPhase.READY


def test_that_no_form_gets_the_answer_to_anothers_question_of_the_same_number(tmp_path: Path) -> None:
    trial = tmp_path / "trial"
    (trial / "taken").mkdir(parents=True)
    (trial / "form-b").touch()
    (trial / "questions").write_text(question(7, {"x": 1}).line + "\n")
    (trial / "answers").write_text('{"ready": true}\n{"n": 7, "file": "trial/answer-7.h5"}\n')
    link = BreakingLink()
    reply = TrialFolder(lambda: link, PurePosixPath(tmp_path), "b").ask(question(7, {"x": 2}), 0.0)
    assert (reply.told, reply.line) == (Told.BEHIND, "7")
