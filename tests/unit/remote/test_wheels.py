"""Packages for a site's Python: which are asked for, and the sentence when they cannot be had. pip itself is run."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from app import paths
from app.errors import AgentError, CancelledByUserError, UnreachableError
from app.remote.wheels import PACKAGES, SitePython, _known, fetch

OLD = SitePython((3, 9), "x86_64", (2, 17))


@pytest.fixture(autouse=True)
def no_index(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched by these tests."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")


def test_that_every_common_python_has_its_packages_by_their_digest() -> None:
    known = _known()
    assert {f"cp3{minor}-{machine}" for minor in range(8, 14) for machine in ("x86_64", "aarch64")} <= set(known)
    for packages in known.values():
        assert set(packages) == set(PACKAGES)
        for pin in packages.values():
            assert re.fullmatch(r"[0-9a-f]{64}", pin["sha256"])


def test_that_platforms_are_those_that_run_there_newest_first() -> None:
    assert OLD.tag == "cp39"
    assert OLD.prefix == "private-3.9-x86_64-"
    assert OLD.platforms[:3] == ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "manylinux_2_16_x86_64")
    assert OLD.platforms[-1] == "manylinux1_x86_64"
    assert "manylinux_2_28_x86_64" not in OLD.platforms
    assert SitePython((3, 12), "aarch64", None).platforms == ("musllinux_1_2_aarch64", "musllinux_1_1_aarch64")


@pytest.mark.parametrize("python", [OLD, SitePython((3, 99), "x86_64", (2, 36))])
def test_that_packages_that_do_not_exist_are_told_as_such(python: SitePython) -> None:
    with pytest.raises(AgentError) as none:
        fetch(python, threading.Event())
    version = "{}.{}".format(*python.version)
    assert none.value.summary == f"There are no ready-made packages for Python {version} on x86_64."
    assert list((paths.cache_dir() / "wheels" / f"{python.tag}-x86_64").iterdir()) == []


def test_that_an_index_out_of_reach_is_no_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(UnreachableError) as away:
        fetch(OLD, threading.Event())
    assert "could not be fetched" in away.value.summary
    assert "proxy" in away.value.remedy


def test_that_fetching_can_be_cancelled() -> None:
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(CancelledByUserError):
        fetch(OLD, cancelled)
