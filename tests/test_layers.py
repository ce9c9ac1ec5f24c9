"""The import picture of docs/architecture.md, read from the source: which part may import what."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "app").rglob("*.py"))

BASE = {"app", "errors", "resources", "paths"}       # what every part may import, except protocol and agent
ALLOWED = {
    "errors": set(), "resources": set(), "paths": set(), "protocol": {"protocol"}, "agent": {"agent", "protocol"},
    "model": BASE | {"model"}, "recipes": BASE | {"recipes", "model"},
    "remote": BASE | {"remote", "recipes", "protocol", "model"}, "settings": BASE | {"settings", "model"},
    "session": BASE | {"session", "remote", "recipes", "model", "settings"}, "viz": BASE | {"viz", "model"},
    "views": BASE | {"views", "session", "viz", "model", "settings"}, "render": BASE | {"model"},
    "cli": BASE | {"cli", "remote", "recipes", "model", "render", "settings"}, "facility": BASE | {"facility"},
    "application": BASE | {"views", "viz", "session", "remote", "recipes", "model", "settings"},
    "__main__": BASE | {"cli", "application"}, "app": set(),
}
QT = {"PySide6", "pyqtgraph", "silx.gui", "qtawesome", "shiboken6"}
WIDGETS = {"views", "viz", "application"}
FACILITY_PYTHON = {"numpy", "h5py", "hdf5plugin", "blosc2", "fabio", "silx"}   # beyond the standard library, on site


def part_of(module: str) -> str:
    """``app.remote.jobs.service`` → ``remote``; ``app.commands.data`` → ``cli``; ``app`` itself → ``app``."""
    name = module.split(".")[1] if "." in module else "app"
    return "cli" if name == "commands" else name


def imports_of(source: Path) -> set[str]:
    """Every module that a file imports anywhere, ``from app.model import data`` as ``app.model.data``."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{source}: imports are absolute"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def of_package(modules: set[str], packages: set[str]) -> set[str]:
    return {m for m in modules if any(m == p or m.startswith(p + ".") for p in packages)}


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: str(s.relative_to(ROOT)))
def test_that_imports_follow_the_picture(source: Path) -> None:
    module = ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    part, imports = part_of(module), imports_of(source)
    assert part in ALLOWED, f"{module} is in no layer: add it to docs/architecture.md and here"
    ours = {m for m in of_package(imports, {"app"}) if m != "app.__version__"}
    wrong = {m for m in ours if part_of(m) not in ALLOWED[part]}
    assert not wrong, f"{part} may not import {sorted(wrong)}"
    qt = of_package(imports, QT)
    if part == "session":
        qt = {m for m in qt if not m.startswith(("PySide6.QtCore", "shiboken6"))}
    assert part in WIDGETS or not qt, f"{part} may not import {sorted(qt)}"
    if part in ("agent", "protocol"):
        foreign = {m.split(".")[0] for m in imports} - sys.stdlib_module_names - FACILITY_PYTHON - {"app", "__main__"}
        assert not foreign, f"{part} runs on a facility's own Python, without {sorted(foreign)}"
