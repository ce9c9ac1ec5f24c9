"""Programs that are not Python are told where a recipe is read; nothing of them is run."""

from __future__ import annotations

import warnings

import pytest

from app.errors import RecipeError
from app.recipes.recipe_text import parse_recipe

TOML = 'schema = 1\nname = "a"\nversion = "1"\ntitle = "A"\n'
BROKEN = "import os\n\ndef run(task)\n    pass\n"


@pytest.mark.parametrize(("program", "files", "snippet", "said"), [
    (BROKEN, {}, "", "the program run.py beside it is not valid Python: line 3: expected ':'."),
    ("x = 1\n", {"more.py": "return 1\n"}, "", "the program more.py beside it is not valid Python: line 1: 'return'"),
    ("x = 1\n", {}, "print 'x'\n", "the program snippet.py beside it is not valid Python: line 1: Missing"),
    ("x = 1\0\n", {}, "", "the program run.py beside it is not valid Python: source code string cannot contain null"),
    ("x = " + "(" * 300 + ")" * 300, {}, "",
     "the program run.py beside it is not valid Python: line 1: too many nested"),
])
def test_that_a_program_that_is_no_python_is_told_with_line_and_message(program: str, files: dict[str, str],
                                                                        snippet: str, said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        parse_recipe(TOML, program, "/sw/a/recipe.toml", files=files, snippet=snippet)
    assert refused.value.summary.startswith("/sw/a/recipe.toml: " + said)


def test_that_reading_a_program_runs_nothing_and_warns_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe = parse_recipe(TOML, 'print("ran")\nx = "\\d"\nraise SystemExit(3)\n')
    assert recipe.name == "a"
    assert capsys.readouterr().out == ""
