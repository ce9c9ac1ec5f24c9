"""What every dialect promises, whatever it is given: values reach a header or a command as themselves, or not at all.

The same claims on real batch systems: tests/system/test_dialects_real.py.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from app.errors import BeamsideError, SchedulerUnavailableError, SubmissionRefusedError
from app.model.jobs import Resources
from app.model.site import BatchSettings
from app.remote.scheduler.dialect import AFTER, Dialect, dialect_for
from app.remote.scheduler.direct import Direct
from app.remote.scheduler.gridengine import GridEngine
from app.remote.scheduler.slurm import Slurm
from app.remote.scheduler.states import StepWish
from tests.contract.hostile import HOSTILE

DIALECTS = (Slurm(), GridEngine(), Direct())
PREFIX = {"Slurm": "#SBATCH --", "Grid Engine": "#$ -", "Direct execution": "#DIRECT {"}
NUMBERS = (0, -1, True, 1.5, float("nan"), 10**30, "1", "1\n#SBATCH --wrap=x")
each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda d: d.title)

WISHES: dict[str, Callable[[str], StepWish]] = {
    "job name": lambda text: StepWish(text, "job", Resources()),
    "log": lambda text: StepWish("beamside-1", text, Resources()),
    "partition": lambda text: StepWish("beamside-1", "job", Resources(partition=text)),
    "account": lambda text: StepWish("beamside-1", "job", Resources(account=text)),
}
ARGUMENTS: dict[str, Callable[[Dialect, str], list[str]]] = {
    "script": lambda dialect, text: dialect.submit_argv(text),
    "script after another": lambda dialect, text: dialect.submit_argv(text, after=True),
    "script of a trial": lambda dialect, text: dialect.test_argv(text),
    "cancelled id": lambda dialect, text: dialect.cancel_argv(["7", text]),
    "held id": lambda dialect, text: dialect.hold_argv([text]),
    "released id": lambda dialect, text: dialect.release_argv([text, "7"]),
    "id of the history": lambda dialect, text: dialect.history_argv([text]),
    "name of the history": lambda dialect, text: dialect.history_by_name_argv(["beamside-1", text]),
}
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,127}")


def is_one_sentence(error: BaseException | None) -> bool:
    text = error.summary if isinstance(error, BeamsideError) else str(error)
    return text.isprintable() and 0 < len(text) < 200


def answer_or_refusal(ask: Callable[..., Any], *what: Any) -> tuple[Any, Exception | None]:
    """What is given, or the refusal: one of the two that are allowed, in one sentence."""
    try:
        return ask(*what), None
    except (ValueError, SubmissionRefusedError, SchedulerUnavailableError) as error:
        refused = error
    assert is_one_sentence(refused)
    return None, refused


def values(header: str) -> list[str]:
    """The words of a header, as the batch system reads them."""
    if header.startswith("#DIRECT "):
        return [str(value) for value in json.loads(header[8:]).values()]
    return [word for line in header.splitlines() for word in re.split(r"[ =]", line)]


@each_dialect
@pytest.mark.parametrize("field", WISHES)
def test_that_a_value_of_a_header_is_one_word_of_it_or_refused(dialect: Dialect, field: str) -> None:
    plain = dialect.header(StepWish("beamside-1", "job", Resources()))
    for text in HOSTILE:
        header, refused = answer_or_refusal(lambda text: dialect.header(WISHES[field](text)), text)
        if refused is not None:
            assert isinstance(refused, SubmissionRefusedError)
            assert text or field in ("job name", "log")
        elif text:
            assert len(header.split("\n")) - len(plain.split("\n")) in (0, 1)
            assert all(line.startswith(PREFIX[dialect.title]) for line in header.splitlines())
            assert SAFE.fullmatch(text)
            assert text in values(header) or f"{text}.log" in values(header)
        else:
            assert header == plain


@each_dialect
@pytest.mark.parametrize("field", ARGUMENTS)
def test_that_a_value_of_a_command_is_refused_unless_it_is_what_it_should_be(dialect: Dialect, field: str) -> None:
    for text in HOSTILE:
        argv, refused = answer_or_refusal(ARGUMENTS[field], dialect, text)
        if refused is None:
            assert SAFE.fullmatch(text)
            assert "id" not in field.split()
            assert any(text in re.split(r"[,=]", word) for word in argv)


@pytest.mark.parametrize("dialect", [Slurm(), GridEngine()], ids=lambda d: d.title)
def test_that_a_users_name_is_an_argument_of_its_own_or_refused(dialect: Dialect) -> None:
    for text in (*HOSTILE, "me", "DESY\\me", "me@esrf.fr", "host$"):
        for ask in (dialect.list_argv, dialect.accounts_argv):
            argv, refused = answer_or_refusal(ask, text)
            assert (refused is None) == bool(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._@+\\$-]*[A-Za-z0-9_$])?", text)
                                             and len(text) < 129)
            assert refused is not None or text in argv


@pytest.mark.parametrize("field", ["parallel_environment", "memory_resource", "gpu_resource"])
def test_that_what_a_profile_says_of_grid_engine_is_one_word_or_refused(field: str) -> None:
    wish = StepWish("beamside-1", "job", Resources(cpus=4, memory_mb=100, gpus=1))
    for text in HOSTILE:
        settings = replace(BatchSettings("gridengine"), **{field: text})        # type: ignore[arg-type]
        header, refused = answer_or_refusal(dialect_for("gridengine", "far", settings).header, wish)
        if refused is None:
            assert all(line.startswith("#$ -") for line in header.splitlines())
            assert text == "" or SAFE.fullmatch(text)


@each_dialect
@pytest.mark.parametrize("field", ["time_limit_min", "cpus", "memory_mb", "gpus", "tasks", "at_once"])
def test_that_a_number_is_one_or_refused(dialect: Dialect, field: str) -> None:
    for number in NUMBERS:
        if not number and field in ("gpus", "tasks"):
            continue                                      # no GPUs, no array
        wish = {"tasks": 5, field: number} if field in ("tasks", "at_once") else {}
        resources = {} if wish else {field: number}
        asked = StepWish("beamside-1", "job", Resources(**resources), **wish)       # type: ignore[arg-type]
        header, refused = answer_or_refusal(dialect.header, asked)
        assert isinstance(refused, SubmissionRefusedError), (number, header)


@each_dialect
@pytest.mark.parametrize("ids", [[], "7", ["7"] * 6000, [7], ["7", ""], ["07"], ["0"], ["7_1"], ["7.1"], ["9" * 19]])
def test_that_only_ids_of_whole_jobs_are_acted_on(dialect: Dialect, ids: Sequence[str]) -> None:
    for act in (dialect.cancel_argv, dialect.hold_argv, dialect.release_argv, dialect.history_argv):
        with pytest.raises(ValueError):
            act(ids)


@each_dialect
def test_that_an_id_found_in_an_answer_is_one_that_may_be_acted_on(dialect: Dialect) -> None:
    assert dialect.parse_submit("Welcome!\n4711\n") == "4711"
    for text in (*HOSTILE, "-1", "0", "4711 4712", "x4711"):
        found = dialect.parse_submit(f"{text}\n")
        assert found is None
    assert dialect.cancel_argv(["4711"])[-1] == "4711"


@each_dialect
def test_that_a_step_after_others_names_their_place_once(dialect: Dialect) -> None:
    argv = dialect.submit_argv("job-2.sh", after=True)
    assert sum(word.count(AFTER) for word in argv) == 1
    assert not any(AFTER in word for word in dialect.submit_argv("job.sh"))
    several = [word.replace(AFTER, dialect.between_ids.join(["7", "8"])) for word in argv]
    assert any(re.search(r"\b7[:,]8\b", word) for word in several)


@each_dialect
def test_that_hostile_answers_cost_no_more_than_the_look(dialect: Dialect) -> None:
    for text in HOSTILE:
        for parse in (dialect.parse_list, dialect.parse_history, dialect.parse_partitions, dialect.parse_accounts):
            for answer in (text, text * 50, f"7\x1f{text}\x1f" * 9, f"<?xml version='1.0'?><a>{text}</a>",
                           f"jobnumber {text}\nfailed {text}\n"):
                found, refused = answer_or_refusal(parse, answer)
                assert isinstance(found, list) or isinstance(refused, SchedulerUnavailableError)
        for error in (dialect.refusal(text, Resources(text, text)), dialect.unreachable(1, text)):
            assert is_one_sentence(error)
        assert dialect.control_problem(1, text, text).isprintable()
        dialect.end_told_by_log(text)
        dialect.parse_test(0, text, text)


@each_dialect
def test_that_the_lines_of_a_script_are_shell_and_set_the_three_variables(dialect: Dialect) -> None:
    header = dialect.header(StepWish("beamside-1", "job", Resources("", "", 5, 2, 100), 3, 2, True))
    script = f'#!/bin/bash\n{header}set -u\n{dialect.variables}echo "$BEAMSIDE_JOB_ID,$BEAMSIDE_TASK,$BEAMSIDE_CPUS"\n'
    done = subprocess.run(["bash"], input=script, capture_output=True, text=True, timeout=30, check=False,
                          env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, ",,1\n", "")


@each_dialect
def test_that_every_command_survives_being_joined_for_a_shell(dialect: Dialect) -> None:
    for argv in (dialect.submit_argv("job.sh", after=True), dialect.list_argv("me"), dialect.history_argv(["7"]),
                 dialect.history_by_name_argv(["beamside-1"]), dialect.partitions_argv(), dialect.cancel_argv(["7"])):
        assert shlex.split(shlex.join(argv)) == argv
        assert not any("\0" in word for word in argv)
        assert sum(len(word) + 1 for word in argv) < 64_000     # far below what any system takes


@each_dialect
@pytest.mark.parametrize("errors", ["sh: 1: {}: not found", "bash: line 1: {}: command not found",
                                    "env: '{}': No such file or directory"])
def test_that_missing_commands_are_told_with_a_remedy(dialect: Dialect, errors: str) -> None:
    program = {"Slurm": "sbatch", "Grid Engine": "qsub", "Direct execution": "python3"}[dialect.title]
    error = dialect.refusal(errors.format(program), Resources())
    assert isinstance(error, SchedulerUnavailableError)
    assert error.remedy


@pytest.mark.parametrize(("system", "words"), [("pbs", "not supported yet"), ("lsf", "not supported yet"),
                                               ("$(x)", "not supported yet")])
def test_that_a_system_that_was_never_met_is_refused_in_one_sentence(system: str, words: str) -> None:
    with pytest.raises(SchedulerUnavailableError, match=words) as refused:
        dialect_for(system, "far")
    assert is_one_sentence(refused.value)
    assert refused.value.remedy
