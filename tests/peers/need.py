"""What a test needs of the machine: absent means skipped, or failed where CI promised it."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")


def system_tests_wanted() -> bool:
    """Whether real peers may be started on this machine."""
    return CI or os.environ.get("SYSTEM") == "1"


def missing(what: str) -> NoReturn:
    """Skip the test for want of ``what``; in CI fail it."""
    if CI:
        pytest.fail(f"missing: {what}", pytrace=False)
    pytest.skip(f"missing: {what}")


def need_program(name: str, package: str = "") -> str:
    """The path of a program, looked for in the system directories too (sshd is not on a user's PATH)."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if path is None:
        missing(f"the program {name}" + (f" (package {package})" if package else ""))
    return path
