"""``beamside`` as its users start it: a process of its own (``shell``), or many commands on one agent (``run``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import InProcess, Shell


@pytest.fixture
def shell(own_home: Path) -> Shell:
    """Every command is a process; HOME and the XDG folders are the test's own."""
    return Shell()


@pytest.fixture
def run(own_home: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """Many commands of ``app.cli.main`` on one agent, which a process each would start anew."""
    with InProcess(capfd, monkeypatch) as commands:
        yield commands
