"""“Copy as Python” of a recipe: values are values, whatever they hold."""

from __future__ import annotations

import ast
import math
import random
from dataclasses import replace
from typing import Any

import pytest

from app.errors import RecipeError
from app.recipes.recipe import Recipe
from app.recipes.snippets import filled_snippet, literal

SNIPPET = '''#!/usr/bin/env python3
"""What it does."""

INPUTS = []
PARAMETERS = {}

FOUND = [INPUTS, PARAMETERS]
'''
HOSTILE = ["'", '"', "'''", '"""', "\\", "\n", "\r", "\x00", "\x1b[2J", "]\nimport os", "}\nraise SystemExit(1)\n{",
           "{0}", "%s", "\\1", "\\g<0>", "$(touch x)", "`id`", "INPUTS = []", "\nPARAMETERS = {}\n", "\u202e", "\u2028",
           "\udc80", "µ Å 日本", "#", "{INPUTS}", "-" * 300]


@pytest.fixture
def recipe() -> Recipe:
    return Recipe("doubling", "1.0", "Doubling", "print()", snippet=SNIPPET)


def run(text: str) -> list[Any]:
    """What the script has found, after nothing but its own statements ran."""
    tree = ast.parse(text)
    assert [type(node).__name__ for node in tree.body] == ["Expr", "Assign", "Assign", "Assign"]
    values: dict[str, Any] = {}
    exec(compile(tree, "snippet.py", "exec"), {"__builtins__": {"float": float}}, values)
    return values["FOUND"]


@pytest.mark.parametrize("value", HOSTILE, ids=[str(n) for n in range(len(HOSTILE))])
def test_that_no_value_breaks_out(recipe: Recipe, value: str) -> None:
    inputs, parameters = [value, f"/data/{value}.h5::/entry"], {"mask": value, value: 1}
    assert run(filled_snippet(recipe, inputs, parameters)) == [inputs, parameters]


def test_that_the_host_and_the_title_are_only_comments(recipe: Recipe) -> None:
    for text in HOSTILE:
        named = replace(recipe, title=text, version=text)
        assert run(filled_snippet(named, ["/a"], {"n": 1}, host=text)) == [["/a"], {"n": 1}]


def test_that_random_values_come_back_as_they_are(recipe: Recipe) -> None:
    chance = random.Random(5)

    def value(depth: int = 0) -> Any:
        kinds = ["text", "int", "float", "bool", "none"] + (["list", "table"] if depth < 4 else [])
        kind = chance.choice(kinds)
        if kind == "text":
            return "".join(chance.choice([*HOSTILE, chr(chance.randrange(0x110000))]) for _ in range(4))
        if kind == "int":
            return chance.randrange(-2**70, 2**70)
        if kind == "float":
            return chance.uniform(-1e9, 1e9) * 10.0 ** chance.randrange(-300, 290)
        if kind == "list":
            return [value(depth + 1) for _ in range(3)]
        if kind == "table":
            return {str(value(9)): value(depth + 1) for _ in range(3)}
        return chance.choice([True, False]) if kind == "bool" else None

    for _ in range(300):
        parameters = {f"p{number}": value() for number in range(4)}
        assert run(filled_snippet(recipe, ["/data/a.h5"], parameters)) == [["/data/a.h5"], parameters]


def test_that_numbers_that_are_none_are_written_so(recipe: Recipe) -> None:
    found = run(filled_snippet(recipe, [], {"a": math.inf, "b": -math.inf, "c": math.nan}))[1]
    assert found["a"] == math.inf
    assert found["b"] == -math.inf
    assert math.isnan(found["c"])


def test_that_a_value_of_another_type_is_refused() -> None:
    class Sly(str):
        def __repr__(self) -> str:
            return "__import__('os').system('true')"

    deep: list[Any] = []
    deep.append(deep)
    for wrong in (object(), {1: 2}, b"bytes", {"a": {1}}, deep):
        with pytest.raises(RecipeError):
            literal(wrong)
    assert ast.literal_eval(literal(Sly("a"))) == "a"
    assert ast.literal_eval(literal({Sly("k"): 1})) == {"k": 1}


def test_that_a_recipe_without_a_script_says_so(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="no script to copy"):
        filled_snippet(replace(recipe, snippet=""), [], {})


@pytest.mark.parametrize("faulty", ["print(1)\n", SNIPPET + "\nINPUTS = []\n", SNIPPET.replace("PARAMETERS = {}", "")])
def test_that_a_snippet_without_its_two_lines_is_refused(recipe: Recipe, faulty: str) -> None:
    with pytest.raises(RecipeError, match="to fill in"):
        filled_snippet(replace(recipe, snippet=faulty), ["/a"], {"n": 1})
