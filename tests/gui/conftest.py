"""A running window on fake or real sites, and its orderly end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.application import Program
from app.remote.demo import DemoFacility
from tests.gui.fakes import FakeSites

WIDTH = 980


@pytest.fixture
def fake_sites() -> FakeSites:
    return FakeSites()


@pytest.fixture
def start(qtbot: Any, qapp: Any) -> Iterator[Callable[..., Program]]:
    """``start(sites, target="")`` shows a window; every window is ended after the test.

    ``width``: the screen of these tests is narrow, and pictures are to be exact; 0: as it is at first.
    """
    programs: list[Program] = []

    def begin(sites: Any, target: str = "", demo: DemoFacility | None = None, width: int = WIDTH) -> Program:
        program = Program(qapp, sites, demo)
        programs.append(program)
        program.start(target)
        if width:
            program.window.resize(width, program.window.height())
        return program

    yield begin
    for program in programs:
        program.window.close()
        program.shut_down()
        program.deleteLater()
    qapp.sendPostedEvents(None, 52)                    # QEvent::DeferredDelete
    qapp.processEvents()
