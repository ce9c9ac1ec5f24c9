"""A form's trial, with real processes of the common library's loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest

from app.errors import LinkLostError
from app.model.trial import TrialAnswer
from app.remote.trials import session as trials
from app.session import trial_source
from app.session.trial_source import TrialSource, TrialState
from tests.gui.near_site import NearSession, as_session
from tests.unit.jobs.trial_site import RECIPE, OwnJobs, spec

PATIENCE_MS = 20_000
CRASH = {"factor": 1e9}         # the program dies of a segmentation fault


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OwnJobs]:
    jobs = OwnJobs(tmp_path)
    yield jobs
    jobs.close()


@pytest.fixture
def session(qtbot: Any, site: OwnJobs) -> Iterator[NearSession]:
    near = NearSession(site)
    yield near
    near.pool.shut_down(20)


@pytest.fixture
def source(session: NearSession, tmp_path: Path) -> Iterator[TrialSource]:
    made = TrialSource(as_session(session), RECIPE, "near", lambda: spec(tmp_path / "scan.h5"))
    yield made
    made.close()


def factor_of(answer: TrialAnswer) -> float:
    with h5py.File(answer.file) as file:
        return float(file[answer.data_path][()]) / 2


def answered(qtbot: Any, source: TrialSource, factor: float) -> None:
    qtbot.waitUntil(lambda: source.state is TrialState.ANSWERED and source.answer is not None
                    and source.answer.parameters["factor"] == factor, timeout=PATIENCE_MS)


def test_that_nothing_is_started_before_somebody_asks(qtbot: Any, source: TrialSource, site: OwnJobs) -> None:
    source.want({"factor": 2.0})
    qtbot.wait(2 * trial_source.PAUSE_MS)
    assert source.state is TrialState.OFF
    assert site.submitted == []


def test_that_trying_starts_the_job_and_answers(qtbot: Any, source: TrialSource, site: OwnJobs) -> None:
    seen: list[TrialState] = []
    source.changed.connect(lambda: seen.append(source.state))
    source.try_now({"factor": 3.0})
    assert source.state is TrialState.WAITING
    answered(qtbot, source, 3.0)
    assert source.answer is not None
    assert factor_of(source.answer) == 3.0
    assert list(dict.fromkeys(seen)) == [TrialState.WAITING, TrialState.READY, TrialState.COMPUTING,
                                         TrialState.ANSWERED]
    assert len(site.submitted) == 1


def test_that_changes_are_asked_when_they_pause_and_the_newest_wins(qtbot: Any, source: TrialSource) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    told: list[float] = []
    source.answered.connect(lambda answer: told.append(answer.parameters["factor"]))
    for number in range(20):
        source.want({"factor": float(number)})
    answered(qtbot, source, 19.0)
    assert told == [19.0]


def test_that_what_is_asked_while_another_is_computed_wins(qtbot: Any, source: TrialSource) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    told: list[float] = []
    source.answered.connect(lambda answer: told.append(answer.parameters["factor"]))
    source.try_now({"factor": 2.0, "takes": 1.0})
    qtbot.wait(300)
    source.try_now({"factor": 3.0})
    answered(qtbot, source, 3.0)
    assert told == [3.0]


def test_that_a_fault_is_told_with_its_parameter_and_the_answer_stays(qtbot: Any, source: TrialSource) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    source.try_now({"factor": -1.0})
    qtbot.waitUntil(lambda: source.state is TrialState.FAULT, timeout=PATIENCE_MS)
    assert "negative" in source.sentence
    assert source.fault_parameter == "factor"
    assert source.answer is not None
    assert source.answer.parameters["factor"] == 1.0
    source.try_now({"factor": "much"})
    qtbot.waitUntil(lambda: "expected: a number" in source.sentence, timeout=PATIENCE_MS)
    assert source.fault_parameter == "factor"


def test_that_a_lost_link_is_waited_for(qtbot: Any, source: TrialSource, session: NearSession,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    monkeypatch.setattr(trials, "_BETWEEN_ATTEMPTS_S", 0.05)
    monkeypatch.setattr(trials.TrialSession.ask, "__defaults__", (None, 0.2))
    session.link.down.set()
    source.try_now({"factor": 2.0})
    assert source.sentence == "The connection is being restored; the question is asked again."
    qtbot.waitUntil(source._retry.isActive, timeout=PATIENCE_MS)
    assert "restored" in source.sentence
    assert source.state is TrialState.COMPUTING
    session.link.down.clear()
    answered(qtbot, source, 2.0)


def test_that_a_link_that_is_lost_while_it_computes_is_told_at_once(qtbot: Any, source: TrialSource,
                                                                    session: NearSession) -> None:
    source.try_now({"factor": 2.0, "takes": 1.0})
    qtbot.waitUntil(lambda: source.state is TrialState.COMPUTING, timeout=PATIENCE_MS)
    assert source.sentence == "Computing…"
    session.link.down.set()
    session.state_changed.emit("elsewhere")
    assert source.sentence == "Computing…"
    session.state_changed.emit("near")
    assert source.sentence == "The connection is being restored; the question is asked again."
    session.link.down.clear()
    session.state_changed.emit("near")
    assert source.sentence == "Computing…"
    answered(qtbot, source, 2.0)


def test_that_a_sign_in_that_ends_while_it_computes_is_told_and_the_answer_comes_after_the_next(
        qtbot: Any, source: TrialSource, session: NearSession, site: OwnJobs, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    monkeypatch.setattr(trials, "_BETWEEN_ATTEMPTS_S", 0.05)
    monkeypatch.setattr(trials.TrialSession.ask, "__defaults__", (None, 0.2))
    source.try_now({"factor": 2.0, "takes": 0.5})
    qtbot.waitUntil(lambda: "2.0" in (tmp_path / "2026-1/computed").read_text(), timeout=PATIENCE_MS)
    session.link.lose_replies = 1
    session.link.down.set()
    session.signed_out = True
    session.state_changed.emit("near")
    assert source.sentence == "The connection is closed; the trial goes on without it."
    assert source.remedy == "Connect again: the question is asked again then."
    qtbot.waitUntil(source._retry.isActive, timeout=PATIENCE_MS)
    session.link.down.clear()
    session.signed_out = False
    session.state_changed.emit("near")
    answered(qtbot, source, 2.0)
    assert len(site.submitted) == 1
    assert (tmp_path / "2026-1/trial/questions").read_text().count('"factor": 2.0') == 1, "it is asked once"


def test_that_a_trial_that_had_no_link_to_begin_with_says_so_until_it_is_back(qtbot: Any, source: TrialSource,
                                                                              session: NearSession, site: OwnJobs,
                                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_what: object) -> None:
        raise LinkLostError("There is no connection to the site at the moment.")

    session.link.down.set()
    submit = site.submit
    monkeypatch.setattr(site, "submit", refuse)
    source.try_now({"factor": 2.0})
    qtbot.waitUntil(lambda: source.state is TrialState.ENDED, timeout=PATIENCE_MS)
    session.state_changed.emit("near")
    assert source.sentence == "There is no connection to the site at the moment."
    monkeypatch.setattr(site, "submit", submit)
    session.link.down.clear()
    session.state_changed.emit("near")
    assert (source.state, source.sentence, source.remedy) == (TrialState.OFF, "", "")
    source.try_now({"factor": 2.0})
    answered(qtbot, source, 2.0)


def test_that_a_site_that_is_connected_anew_has_the_same_trial(qtbot: Any, source: TrialSource, session: NearSession,
                                                               site: OwnJobs) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    session.service = Renamed(site)
    session.opened.emit("near")
    qtbot.waitUntil(lambda: source.state is TrialState.READY, timeout=PATIENCE_MS)
    source.try_now({"factor": 2.0})
    answered(qtbot, source, 2.0)
    assert len(site.submitted) == 1


class Renamed:
    """The same jobs behind another service object, as after connecting anew."""

    def __init__(self, jobs: OwnJobs) -> None:
        self._jobs = jobs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)


def test_that_a_job_that_dies_is_told_and_another_can_be_started(qtbot: Any, source: TrialSource,
                                                                 site: OwnJobs) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    site.kill("2026-1")
    source.try_now({"factor": 2.0})
    qtbot.waitUntil(lambda: source.state is TrialState.ENDED, timeout=PATIENCE_MS)
    assert source.sentence == "The trial job failed: killed."
    assert "Try" in source.remedy
    source.try_now({"factor": 3.0})
    answered(qtbot, source, 3.0)
    assert len(site.submitted) == 2


def test_that_parameters_the_program_crashes_on_are_told_and_others_start_another_trial(
        qtbot: Any, source: TrialSource, site: OwnJobs) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    source.want(CRASH)
    qtbot.waitUntil(lambda: source.state is TrialState.ENDED, timeout=PATIENCE_MS)
    assert source.sentence == "The trial job failed: exit code 139."
    assert source.remedy == "Change the parameters or press Try: the next question starts another trial job."
    source.want(CRASH)
    assert not source._pause.isActive(), "the same again would crash again"
    source.want({"factor": 2.0})
    answered(qtbot, source, 2.0)
    assert len(site.submitted) == 2


def test_that_a_program_that_crashes_on_everything_is_not_started_for_ever(
        qtbot: Any, source: TrialSource, site: OwnJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_source, "_MOST_FALLS", 1)
    source.try_now(CRASH)
    qtbot.waitUntil(lambda: source.state is TrialState.ENDED, timeout=PATIENCE_MS)
    source.want({**CRASH, "takes": 0.01})
    qtbot.waitUntil(lambda: len(site.submitted) == 2 and source.state is TrialState.ENDED, timeout=PATIENCE_MS)
    source.want({**CRASH, "takes": 0.02})
    assert not source._pause.isActive()
    assert "Try" in source.remedy


def test_that_two_forms_have_trials_of_their_own(qtbot: Any, session: NearSession, source: TrialSource, site: OwnJobs,
                                                 tmp_path: Path) -> None:
    other = TrialSource(as_session(session), RECIPE, "near", lambda: spec(tmp_path / "scan.h5"))
    source.try_now({"factor": 1.0})
    other.try_now({"factor": 2.0})
    answered(qtbot, source, 1.0)
    answered(qtbot, other, 2.0)
    source.try_now({"factor": 3.0, "takes": 0.5})
    other.try_now({"factor": 4.0})
    answered(qtbot, other, 4.0)
    answered(qtbot, source, 3.0)
    other.close()
    source.try_now({"factor": 5.0})
    answered(qtbot, source, 5.0)
    assert len(site.submitted) == 2
    source.stop()
    qtbot.waitUntil(lambda: all(job.state.ended for job in site.jobs()), timeout=PATIENCE_MS)


def test_that_two_hundred_quick_questions_cost_little(qtbot: Any, session: NearSession, source: TrialSource,
                                                      tmp_path: Path) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    before = session.link.commands
    for number in range(200):
        source.want({"factor": float(number)})
    answered(qtbot, source, 199.0)
    assert session.link.commands - before <= 3, "a slider that is dragged asks when it rests"
    for number in range(200):
        source.try_now({"factor": 1000.0 + number, "takes": 0.05})
        qtbot.wait(1)
    answered(qtbot, source, 1199.0)
    for _ in range(200):
        source.try_now({"factor": 3.0, "takes": 0.5})
    answered(qtbot, source, 3.0)
    assert session.link.commands - before <= 210
    assert len((tmp_path / "2026-1/trial/questions").read_text().splitlines()) <= 203
    assert len(list((tmp_path / "2026-1/trial").iterdir())) <= 10
    assert len(list((tmp_path / "2026-1").iterdir())) <= 20


def test_that_closing_ends_the_job(qtbot: Any, session: NearSession, site: OwnJobs, tmp_path: Path) -> None:
    source = TrialSource(as_session(session), RECIPE, "near", lambda: spec(tmp_path / "scan.h5"))
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    source.close()
    assert not session.owed[-1].done(), "the program's end waits for it"
    qtbot.waitUntil(lambda: site.job("2026-1").state.ended, timeout=PATIENCE_MS)
    qtbot.waitUntil(lambda: not list((tmp_path / "2026-1/trial").glob("answer-*")), timeout=PATIENCE_MS)


def test_that_stopping_keeps_the_answer(qtbot: Any, source: TrialSource, site: OwnJobs) -> None:
    source.try_now({"factor": 1.0})
    answered(qtbot, source, 1.0)
    source.stop()
    assert source.state is TrialState.ENDED
    assert source.answer is not None
    qtbot.waitUntil(lambda: site.job("2026-1").state.ended, timeout=PATIENCE_MS)


def test_that_a_closed_site_and_a_recipe_without_trial_are_told(qtbot: Any, session: NearSession, site: OwnJobs,
                                                                source: TrialSource, tmp_path: Path) -> None:
    session.service = None
    source.try_now({})
    assert (source.state, source.sentence) == (TrialState.ENDED, "The connection to the site is closed.")
    session.service = site
    without = TrialSource(as_session(session), replace(RECIPE, trial=None), "near",
                          lambda: spec(tmp_path / "scan.h5"))
    without.try_now({})
    assert "cannot be tried" in without.sentence
    without.close()
