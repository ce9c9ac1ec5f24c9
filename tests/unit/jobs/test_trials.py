"""A trial: a kept job that answers, with real processes of the common library's loop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import pytest

from app.errors import BatchError, LinkLostError, RecipeError
from app.model.jobs import Job, JobKind, JobState, Resources
from app.model.trial import TrialPhase
from app.recipes.fault_words import fault_parameter
from app.remote.trials import session as trials
from app.remote.trials.folder import Told
from app.remote.trials.session import TrialOverError, TrialSession
from app.remote.trials.truth import status_of
from tests.unit.jobs.trial_site import RECIPE, BreakingLink, OwnJobs, eventually, spec

NEVER = threading.Event()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OwnJobs]:
    jobs = OwnJobs(tmp_path)
    yield jobs
    jobs.close()


@pytest.fixture
def link() -> BreakingLink:
    return BreakingLink()


@pytest.fixture
def new(site: OwnJobs, link: BreakingLink, tmp_path: Path) -> Callable[[], TrialSession]:
    return lambda: TrialSession(site, lambda: link, RECIPE, spec(tmp_path / "scan.h5"))


@pytest.fixture
def trial(new: Callable[[], TrialSession]) -> TrialSession:
    session = new()
    session.begin({})
    assert session.wait_until_ready(lambda _: None, NEVER).phase is TrialPhase.READY
    return session


def folder(session: TrialSession) -> Path:
    assert session.job is not None
    return Path(session.job.folder)


def computed(session: TrialSession) -> list[float]:
    return [float(line) for line in (folder(session) / "computed").read_text().split()]


def test_that_a_question_is_answered_by_a_file(trial: TrialSession) -> None:
    answer = trial.ask({"factor": 21.0})
    assert answer.fault == ""
    assert answer.data_path == "/entry/doubled"
    assert answer.parameters["factor"] == 21.0
    assert answer.parameters["takes"] == 0.0, "the defaults are asked with, too"
    assert answer.seconds is not None
    assert answer.seconds <= answer.waited_s
    with h5py.File(answer.file) as file:
        assert file[answer.data_path][()] == 42.0


def test_that_the_job_is_a_trial_that_is_called_so(trial: TrialSession, site: OwnJobs) -> None:
    asked = site.submitted[0]
    assert asked.kind is JobKind.TRIAL
    assert asked.name == "Trial of Doubling of scan.h5"


def test_that_a_trial_asks_for_little_and_leaves_the_place_to_a_site_that_has_one(
        site: OwnJobs, link: BreakingLink, tmp_path: Path) -> None:
    wanted = replace(spec(tmp_path / "a.h5"), resources=Resources("long", "proposal", 600, 64, 10**6, 4), hold=True,
                     tasks=40, after=("x",))
    TrialSession(site, lambda: link, RECIPE, wanted, "now").begin({})
    TrialSession(site, lambda: link, RECIPE, replace(wanted, inputs=("/b.h5",))).begin({})
    assert [s.resources for s in site.submitted] == [Resources("", "proposal"), Resources("long", "proposal")]
    assert not site.submitted[0].hold
    assert site.submitted[0].tasks is None
    assert site.submitted[0].after == ()


def test_that_the_newest_of_many_quick_questions_wins(trial: TrialSession) -> None:
    questions = [trial.question({"factor": float(number), "takes": 1.0}) for number in range(20)]
    answers: dict[float, float] = {}

    def ask(number: int) -> None:
        try:
            answer = trial.ask(questions[number])
            answers[number] = answer.parameters["factor"]
        except CancelledError:
            answers[number] = -1.0

    with ThreadPoolExecutor(20) as pool:
        for number in range(20):
            pool.submit(ask, number)
    assert answers[19] == 19.0
    assert answers == {number: answers[number] if answers[number] == number else -1.0 for number in range(20)}
    assert computed(trial)[-1] == 19.0
    assert len(computed(trial)) < 15, "old questions are dropped, not worked off"


def test_that_a_fault_names_its_parameter(trial: TrialSession) -> None:
    answer = trial.ask({"factor": -1.0})
    assert answer.fault == "The factor (factor) is negative: choose one above 0."
    assert answer.parameter == "factor"
    assert answer.file == ""
    assert trial.ask({"factor": 2.0}).fault == "", "the trial goes on"


def test_that_wrong_values_are_told_without_asking(trial: TrialSession) -> None:
    with pytest.raises(RecipeError, match="Factor"):
        trial.ask({"factor": "much"})
    assert (folder(trial) / "trial/questions").read_text() == ""


def test_that_a_lost_link_changes_nothing_but_the_time(trial: TrialSession, link: BreakingLink,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_BETWEEN_ATTEMPTS_S", 0.01)
    link.lose_replies = 3
    answer = trial.ask({"factor": 4.0})
    assert answer.parameters["factor"] == 4.0
    assert len((folder(trial) / "trial/questions").read_text().splitlines()) == 1, "it is asked once"
    assert computed(trial) == [4.0]


def test_that_a_question_can_be_asked_again_after_its_patience(trial: TrialSession, link: BreakingLink) -> None:
    link.down.set()
    with pytest.raises(LinkLostError):
        trial.ask({"factor": 4.0}, patience_s=0.1)
    link.down.clear()
    assert trial.ask({"factor": 5.0}).parameters["factor"] == 5.0


def test_that_waiting_until_ready_outlasts_a_lost_link(new: Callable[[], TrialSession], link: BreakingLink) -> None:
    session, told = new(), []
    session.begin({})
    link.down.set()

    def tell(status: object) -> None:
        told.append(status)
        link.down.clear()

    assert session.wait_until_ready(tell, NEVER).phase is TrialPhase.READY
    assert "connection is lost" in told[0].sentence       # type: ignore[attr-defined]


def test_that_asking_can_be_given_up(trial: TrialSession) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"takes": 60.0}, stop)
        eventually(lambda: (folder(trial) / "computed").exists())
        stop.set()
        trial.end()
        with pytest.raises((CancelledError, TrialOverError)):
            asking.result(60)


def test_that_a_newer_question_of_the_form_takes_the_place_of_an_older_one(trial: TrialSession) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(trial.ask, {"factor": 1.0, "takes": 5.0})
        eventually(lambda: (folder(trial) / "computed").exists())
        assert trial.ask({"factor": 2.0}).parameters["factor"] == 2.0
        with pytest.raises(CancelledError):
            first.result(60)


@pytest.mark.parametrize("other", [replace(RECIPE, version="2.0"), replace(RECIPE, name="tripling")])
def test_that_another_version_gets_a_job_of_its_own(trial: TrialSession, site: OwnJobs, link: BreakingLink,
                                                    tmp_path: Path, other: object) -> None:
    TrialSession(site, lambda: link, other, spec(tmp_path / "scan.h5")).begin({})      # type: ignore[arg-type]
    assert len(site.submitted) == 2


def test_that_other_data_gets_a_job_of_its_own(trial: TrialSession, site: OwnJobs, link: BreakingLink,
                                               tmp_path: Path) -> None:
    TrialSession(site, lambda: link, RECIPE, spec(tmp_path / "other.h5")).begin({})
    assert len(site.submitted) == 2


def test_that_the_end_stops_the_job_and_takes_its_answers_away(trial: TrialSession, site: OwnJobs) -> None:
    answer = trial.ask({"factor": 1.0})
    trial.end()
    assert trial.job is not None
    assert site.job(trial.job.id).state is JobState.COMPLETED, "it was asked to, not killed"
    assert not Path(answer.file).exists()
    assert [p.name for p in (folder(trial) / "trial").iterdir() if "answer-" in p.name] == []
    trial.end()


def test_that_a_trial_that_is_left_while_it_is_submitted_ends(new: Callable[[], TrialSession], site: OwnJobs) -> None:
    session = new()
    session.end()
    session.begin({})
    assert session.job is not None
    assert site.job(session.job.id).state.ended


def test_that_a_job_that_does_not_end_is_cancelled(trial: TrialSession, site: OwnJobs,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_STOP_S", 0.2)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"takes": 60.0})
        eventually(lambda: (folder(trial) / "computed").exists())
        trial.end()
        assert trial.job is not None
        assert site.job(trial.job.id).state is JobState.FAILED
        with pytest.raises((CancelledError, TrialOverError, BatchError)):
            asking.result(60)


def test_that_a_trial_nobody_asks_ends_by_itself(tmp_path: Path, link: BreakingLink) -> None:
    site = OwnJobs(tmp_path, idle_min=0.005)
    try:
        session = TrialSession(site, lambda: link, RECIPE, spec(tmp_path / "scan.h5"))
        session.begin({})
        assert session.wait_until_ready(lambda _: None, NEVER).job is not None
        eventually(lambda: session.look().phase is TrialPhase.ENDED)
        with pytest.raises(TrialOverError) as over:
            session.ask({})
        assert over.value.summary == "The trial job has ended, as nothing was asked for 10 min."
        assert "Try" in over.value.remedy
        session.begin({})
        assert len(site.submitted) == 2, "another one"
    finally:
        site.close()


def test_that_a_killed_job_is_told(trial: TrialSession, site: OwnJobs) -> None:
    assert trial.job is not None
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(trial.ask, {"takes": 60.0})
        eventually(lambda: (folder(trial) / "computed").exists())
        site.kill(trial.job.id)
        with pytest.raises(TrialOverError, match="The trial job failed: killed"):
            asking.result(60)


def test_that_a_program_that_cannot_start_says_why(tmp_path: Path, link: BreakingLink) -> None:
    broken = replace(RECIPE, program="import notthere")
    site = OwnJobs(tmp_path, broken)
    session = TrialSession(site, lambda: link, broken, spec(tmp_path / "scan.h5"))
    session.begin({})
    status = session.wait_until_ready(lambda _: None, NEVER)
    assert status.phase is TrialPhase.ENDED
    assert status.failed
    assert "No module named 'notthere'" in status.sentence


@pytest.mark.parametrize("said", [
    {"file": "/etc/passwd"}, {"file": "../../secret.h5"}, {"file": 5}, {"file": ""}, {}, [], "text",
    {"file": "a.h5", "data_path": 7}])
def test_that_an_answer_is_believed_only_inside_its_folder(trial: TrialSession, said: object) -> None:
    line = json.dumps({"n": 1, **said}) if isinstance(said, dict) else json.dumps([{"n": 1}, said])
    (folder(trial) / "trial/answers").write_text('{"ready": true}\n' + line + "\n")
    answer = trial.ask({})
    assert answer.file == ""
    assert answer.fault


@pytest.mark.parametrize("more", ['"x": ' + "[" * 9000, '"file": "a.h5", "seconds": 1' + "0" * 400 + "}"])
def test_that_an_answer_without_end_is_no_accident(trial: TrialSession, more: str) -> None:
    (folder(trial) / "trial/answers").write_text('{"ready": true}\n{"n": 1, ' + more + "\n")
    answer = trial.ask({})
    assert (bool(answer.fault), answer.seconds) == ("[" in more, None)


def test_that_an_answer_that_names_no_node_is_where_the_recipe_says(trial: TrialSession) -> None:
    (folder(trial) / "trial/answers").write_text('{"ready": true}\n{"n": 1, "file": "trial/answer-1.h5"}\n')
    answer = trial.ask({})
    assert (answer.fault, answer.data_path) == ("", "/entry/doubled")


def test_that_a_recipe_without_a_trial_says_so(site: OwnJobs, link: BreakingLink, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be tried"):
        TrialSession(site, lambda: link, replace(RECIPE, trial=None), spec(tmp_path / "scan.h5"))


def test_that_a_folder_that_is_gone_is_told(trial: TrialSession) -> None:
    folder(trial).rename(folder(trial).with_name("purged"))
    assert trial.look().sentence == "The folder of the trial job is gone from the site."


JOB = Job("1", "near", "Trial", "doubling", "1.0", JobState.QUEUED, folder="/x")


@pytest.mark.parametrize(("job", "told", "phase", "words"), [
    (replace(JOB, reason="Priority"), Told.WAITING, TrialPhase.QUEUED, "waits in the queue: Priority."),
    (replace(JOB, reason="Priority", expected_start=4_000_000_000.0), Told.WAITING, TrialPhase.QUEUED, "It starts at"),
    (replace(JOB, state=JobState.HELD, reason="held by you"), Told.WAITING, TrialPhase.QUEUED, "is held: held by you"),
    (replace(JOB, state=JobState.RUNNING, node="cn1"), Told.WAITING, TrialPhase.STARTING, "started on cn1"),
    (replace(JOB, state=JobState.RUNNING, node="cn1"), Told.READY, TrialPhase.READY, "ready on cn1"),
    (JOB, Told.READY, TrialPhase.QUEUED, "waits in the queue"),
    (JOB, Told.WAITING, TrialPhase.QUEUED, "It starts by itself."),
    (replace(JOB, reason="the partition is not in service (PartitionDown)"), Told.WAITING, TrialPhase.QUEUED,
     "(PartitionDown). Choose another partition"),
    (replace(JOB, state=JobState.FAILED, reason="time limit reached", time_limit_s=1800), Told.READY,
     TrialPhase.ENDED, "reached its time limit of 30 min"),
    (replace(JOB, state=JobState.CANCELLED, reason="cancelled by you"), Told.READY, TrialPhase.ENDED,
     "The trial job was cancelled by you."),
    (replace(JOB, state=JobState.CANCELLED, reason="cancelled"), Told.READY, TrialPhase.ENDED,
     "The trial job was cancelled. "),
    (replace(JOB, state=JobState.FAILED, reason="out of memory"), Told.WAITING, TrialPhase.ENDED, "out of memory"),
    (replace(JOB, state=JobState.FAILED, reason="a node failed", last_lines=("h5py is old.",)), Told.WAITING,
     TrialPhase.ENDED, "The trial job failed: a node failed."),
    (replace(JOB, state=JobState.FAILED, reason="exit code 1", exit_code=1, last_lines=("The disk is full.",)),
     Told.ENDED, TrialPhase.ENDED, "The trial job failed (exit code 1): The disk is full."),
    (replace(JOB, state=JobState.COMPLETED), Told.ENDED, TrialPhase.ENDED, "ended, as nothing was asked for 10 min."),
    (replace(JOB, state=JobState.RUNNING, reason="ending"), Told.ENDED, TrialPhase.ENDED, "The trial job has ended. "),
    (JOB, Told.TAKEN, TrialPhase.ENDED, "Another form has taken this trial job up"),
    (replace(JOB, state=JobState.UNKNOWN), Told.WAITING, TrialPhase.STARTING, "Nothing is known"),
    (replace(JOB, state=JobState.CREATED), Told.WAITING, TrialPhase.STARTING, "being submitted"),
])
def test_that_every_state_is_one_sentence(job: Job, told: Told, phase: TrialPhase, words: str) -> None:
    status = status_of(job, told, RECIPE)
    assert status.phase is phase
    assert words in f"{status.sentence} {status.remedy}"
    assert status.remedy or phase in (TrialPhase.READY, TrialPhase.STARTING)


@pytest.mark.parametrize(("sentence", "values", "name"), [
    ("The factor (factor) is wrong.", {}, "factor"), ("/data/m.npy is no mask.", {"mask": "/data/m.npy"}, "mask"),
    ("“Factor”: /nope/longer/mask.edf is not at Near.", {}, "factor"),
    ("The mask file cannot be read.", {}, "mask"), ("It takes too long.", {}, "takes"),
    ("A factory is no word of ours.", {}, ""), ("There is no light.", {}, "")])
def test_that_the_parameter_a_sentence_names_is_found(sentence: str, values: dict[str, str], name: str) -> None:
    assert fault_parameter(RECIPE, sentence, values) == name
