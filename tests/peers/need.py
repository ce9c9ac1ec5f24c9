"""What a test needs of the machine: absent means skipped, or failed where CI promised it."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any, NoReturn

import pytest

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def system_tests_wanted() -> bool:
    """Whether real peers may be started on this machine."""
    return CI or os.environ.get("SYSTEM") == "1"


def missing(what: str) -> NoReturn:
    """Skip the test (while a file is imported, all of its tests) for want of ``what``; in CI fail it."""
    if CI:
        pytest.fail(f"missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}", allow_module_level=True)


def need_module(name: str, why: str = "") -> Any:
    """A module that not every Python has."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        missing(f"the Python module {name}" + (f" ({why})" if why else "") + f": {error}")


def need_root(what_for: str) -> None:
    """The rights of an administrator."""
    if os.geteuid() != 0:
        missing(f"root's rights, for {what_for}")


def need_program(name: str, package: str = "") -> str:
    """The path of a program, looked for in the system directories too (sshd is not on a user's PATH)."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        missing(f"the program {name}" + (f" (package {package})" if package else ""))
    return path
