"""What runs at a facility runs in the facility's own Python, from 3.8 on: looked for in the source.

Which files these are is said once, in ``pyproject.toml``: those that the linter takes for Python 3.8. vermin knows
since when there are which modules, functions and arguments; what it cannot know without types is looked for here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from app.remote import private_boot

ROOT = Path(__file__).parent.parent
TARGETS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["per-file-target-version"]
FILES = sorted({file for pattern, target in TARGETS.items() if target == "py38"
                for file in ROOT.glob(pattern.replace("/**", "/**/*")) if file.suffix == ".py"})
NEWER_METHODS = {"removeprefix", "removesuffix", "is_relative_to", "with_stem", "hardlink_to", "bit_count"}
BUILTIN_TYPES = {"list", "dict", "tuple", "set", "frozenset", "type"}


def test_that_agent_protocol_and_recipes_are_among_them() -> None:
    named = {str(file.relative_to(ROOT)) for file in FILES}
    assert {"app/agent/__main__.py", "app/protocol/messages.py", "resources/recipes/common/beamside_job.py",
            "resources/recipes/tomography/run.py", "app/remote/scheduler/direct_keeper.py"} <= named


def test_that_what_runs_at_the_facility_parses_as_python_3_8() -> None:
    for file in FILES:
        ast.parse(file.read_text("utf-8"), str(file.relative_to(ROOT)), feature_version=(3, 8))


def test_that_what_runs_at_the_facility_uses_nothing_newer_than_python_3_8(tmp_path: Path) -> None:
    for name in ("LOOK", "INSTALL"):
        (tmp_path / f"private_boot_{name}.py").write_text(getattr(private_boot, name))
    done = subprocess.run(
        [sys.executable, "-c", "from vermin import main; main()", "--no-config-file", "--quiet", "--no-tips",
         "--violations", "-vvv", "--processes=1", "--target=3.8-", *map(str, FILES), *map(str, tmp_path.iterdir())],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_that_nothing_needs_a_newer_method_or_a_type_that_takes_no_subscript_yet() -> None:
    assert not [f"{file.relative_to(ROOT)}:{what}" for file in FILES
                for what in newer(ast.parse(file.read_text("utf-8")))]


def newer(tree: ast.AST) -> Iterator[str]:
    """``line: what``, of what runs: annotations do not, nor what only the type checker sees."""
    left_out = {id(node) for part in never_run(tree) for node in ast.walk(part)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in NEWER_METHODS:
            yield f"{node.lineno}: {node.attr}"
        if (isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in BUILTIN_TYPES
                and id(node) not in left_out):
            yield f"{node.lineno}: {node.value.id}[…]"


def never_run(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            yield from node.body
