"""What a person can meet says what to do next: every error raised below ``app`` has a remedy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import app
from app import errors

ROOT = Path(app.__file__).parent
LAYERS = ("agent", "protocol", "recipes", "remote")
OURS = {name for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.BeamsideError)} | {"WireError"}
# Nobody can do anything about it, or the summary names what is expected.
SELF_EVIDENT = ("CancelledByUserError", "RecipeError", "unreadable", "internal", "cancelled")
ASKED_FOR = ("The connection was closed.", "No longer wanted.", "The agent is closing.")


def without_remedy(source: str) -> Iterator[str]:
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in OURS:
            continue
        kind = call.func.id
        place = 3 if kind == "WireError" else 2
        words = [part.value for part in ast.walk(call) if isinstance(part, ast.Constant)]
        if len(call.args) > place or any(keyword.arg in ("remedy", None) for keyword in call.keywords):
            continue
        if kind not in SELF_EVIDENT and not {*words} & {*SELF_EVIDENT, *ASKED_FOR}:
            yield f"line {call.lineno}: {ast.unparse(call)}"


def test_that_the_check_sees_a_missing_remedy() -> None:
    assert len(list(without_remedy('raise DataError("Bad.")\nraise DataError("Bad.", "x", "Do this.")'))) == 1


@pytest.mark.parametrize("layer", LAYERS)
def test_that_errors_say_what_to_do(layer: str) -> None:
    silent = [f"{file.relative_to(ROOT)} {fault}" for file in sorted((ROOT / layer).rglob("*.py"))
              for fault in without_remedy(file.read_text("utf-8"))]
    assert silent == []
