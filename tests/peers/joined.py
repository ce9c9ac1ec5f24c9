"""A recipe of three steps whose middle one is an array that fails in part, and whose last one joins the parts.

``prepare`` makes a number, each of the tasks squares its share of twelve with it and keeps them in a file, ``join``
puts them together. Tasks fail whose numbers are in the file that the parameter ``breaks`` names.
"""

from __future__ import annotations

from app.model.jobs import Resources
from app.recipes.recipe import Output, Parameter, ParameterType, Recipe, RecipeStep, ResourceRule

ITEMS = 12
RESULT = [7 + n * n for n in range(ITEMS)]
_SMALL = ResourceRule(Resources(time_limit_min=5, cpus=1, memory_mb=200))
_PROGRAM = r"""
import json, os, pathlib, sys
step, number, count = os.environ["BEAMSIDE_STEP"], os.environ["BEAMSIDE_TASK"], int(os.environ["BEAMSIDE_TASKS"])
breaks = pathlib.Path(json.load(open("parameters.json"))["parameters"]["breaks"])
broken = breaks.read_text().split()
print("step", step, "task", number, flush=True)
if step == "prepare":
    pathlib.Path("prepared").write_text("7")
elif step == "each":
    if number in broken:
        sys.exit("This share cannot be computed.")
    plus, task = int(pathlib.Path("prepared").read_text()), int(number)
    mine = range(ITEMS * (task - 1) // count, ITEMS * task // count)
    pathlib.Path("parts").mkdir(exist_ok=True)
    pathlib.Path("parts", "part-%02d" % task).write_text(json.dumps([plus + n * n for n in mine]))
else:
    if "join" in broken:
        sys.exit("They cannot be joined.")
    found = [json.loads(path.read_text()) for path in sorted(pathlib.Path("parts").iterdir())]
    pathlib.Path("result.json").write_text(json.dumps([n for part in found for n in part]))
    for path in pathlib.Path("parts").iterdir():
        path.unlink()
""".replace("ITEMS", str(ITEMS))


def joined_recipe(version: str = "1.0", program: str = _PROGRAM) -> Recipe:
    return Recipe(
        "joined", version, "Joined", program, outputs=(Output("Squares", "result.json"),),
        parameters=(Parameter("breaks", ParameterType.TEXT, "Breaks", required=True),),
        steps=(RecipeStep("prepare", "Prepare", _SMALL), RecipeStep("each", "Each", _SMALL, frames_per_task=1),
               RecipeStep("join", "Join", _SMALL, only_after_array=True)))
