"""Two real sites in one window, the demo facility and a plain OpenSSH server: one that dies leaves the other."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from app.remote.site_catalogue import SiteCatalogue, read_profile
from app.remote.sites import Sites
from app.session.session import SiteState
from app.views.new_site_dialog import NewSiteDialog
from app.views.question_dialogs import HostKeyDialog
from app.views.sign_in_dialog import SignInDialog
from app.views.site_marks import SiteRole
from tests.peers.demo_facility import DemoFacility
from tests.peers.sshd import Sshd

PATIENCE_MS = 60_000


@pytest.fixture(autouse=True)
def numbers(server: Sshd) -> None:
    """A file in the home folder."""
    with h5py.File(server.home / "numbers.h5", "w") as file:
        file["frames"] = np.arange(2 * 64 * 64, dtype=np.uint32).reshape(2, 64, 64)


def profile_text(server: Sshd) -> str:
    return (f'schema = 1\nname = "lab"\ntitle = "The lab"\ncolour = "#aa3377"\n[ssh]\nhost = "127.0.0.1"\n'
            f'port = {server.port}\nuser = "{server.user}"\nmethods = ["key"]\nhost_keys = ["{server.host_key_line}"]\n'
            f'[agent]\npython = ["{shlex.quote(sys.executable)}"]\n[data]\nroots = ["{server.home}"]\n')


def open_demo(qtbot: Any, program: Any, demo: DemoFacility) -> None:
    """Sign in at the demo facility; a robot approves in the browser."""
    dialogs: list[Any] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    program.session.open_site("demo")
    qtbot.waitUntil(lambda: bool(dialogs) and dialogs[0].page is not None, timeout=PATIENCE_MS)
    assert isinstance(dialogs[0], SignInDialog)
    robot = threading.Thread(target=demo.robot().sign_in, args=(dialogs[0].page.url,), name="robot")
    robot.start()
    wait_open(qtbot, program, "demo")
    robot.join(10)


def wait_open(qtbot: Any, program: Any, site: str) -> None:
    qtbot.waitUntil(lambda: program.session.state(site) is SiteState.OPEN, timeout=PATIENCE_MS)


def go(qtbot: Any, program: Any, target: str) -> Any:
    count = program.window.tabs.count()
    program.window.navigator.go_to_text(target)
    qtbot.waitUntil(lambda: program.window.tabs.count() > count, timeout=PATIENCE_MS)
    tab = program.window.current_tab
    qtbot.waitUntil(lambda: tab.statistics is not None, timeout=PATIENCE_MS)
    return tab


@pytest.mark.timeout(300)
def test_that_two_sites_are_open_at_once_and_one_that_dies_leaves_the_other(
        qtbot: Any, start: Any, demo_facility: DemoFacility, server: Sshd) -> None:
    SiteCatalogue().save(profile_text(server))
    program = start(Sites((read_profile(demo_facility.profile),)), width=1480)
    open_demo(qtbot, program, demo_facility)
    program.session.open_site("lab")
    wait_open(qtbot, program, "lab")

    first = go(qtbot, program, f"demo:{demo_facility.data}/visitor/sc5678/saxs/20261112/RAW_DATA/spheres/"
                               "spheres_0001.nxs")
    second = go(qtbot, program, f"lab:{server.home}/numbers.h5")
    bar, chooser = program.window.tabs.tabBar(), program.window.top_bar._sites
    assert [bar.tabData(1), bar.tabData(2)] == ["#0b67d0", "#aa3377"]
    assert program.session.identity("demo").name == "Ada Lindqvist"
    assert program.session.identity("lab") is None
    assert chooser.itemData(chooser.findData("demo"), SiteRole.NOTE) == "connected · Ada Lindqvist"
    qtbot.waitUntil(lambda: program.session.account("lab") != "", timeout=PATIENCE_MS)
    assert chooser.itemData(chooser.findData("lab"), SiteRole.NOTE) == f"connected · {server.user}@127.0.0.1"

    connection = program.session.connection("demo")
    server.cut()
    server.process.kill()                                  # the listener, so that it cannot be restored
    qtbot.waitUntil(lambda: program.session.state("lab") is SiteState.LOST, timeout=PATIENCE_MS)
    assert program.session.state("demo") is SiteState.OPEN
    assert program.session.connection("demo") is connection
    assert second.statistics is not None, "the picture stays"
    assert not chooser.itemData(chooser.findData("lab"), SiteRole.NOTE).startswith("connected")

    program.window.tabs.setCurrentWidget(first)
    assert program.window.navigator.site == "demo"
    again = go(qtbot, program, f"demo:{demo_facility.data}/visitor/sc5678/saxs/20261112/RAW_DATA/spheres/"
                               "spheres_0001.nxs::/entry/instrument/detector/data")
    assert again.statistics is not None
    program.session.close_site("lab")
    qtbot.waitUntil(lambda: program.session.state("lab") is SiteState.CLOSED, timeout=PATIENCE_MS)
    assert program.session.state("demo") is SiteState.OPEN


@pytest.mark.timeout(300)
def test_that_an_alias_of_the_ssh_configuration_becomes_a_site(qtbot: Any, start: Any, server: Sshd,
                                                               own_home: Path) -> None:
    """The assistant at a real server: its key is asked about, Python is found, the profile says when."""
    (own_home / ".ssh" / "config").write_text(
        f"Host lab\n  HostName 127.0.0.1\n  Port {server.port}\n  User {server.user}\n")
    program = start(Sites(), width=1480)
    dialogs: list[Any] = []
    program.window.asking.dialog_shown.connect(dialogs.append)
    assistant = program.window.site_forms.new_site()
    assert isinstance(assistant, NewSiteDialog)
    assistant.form.place.setText("lab")
    assistant.test()
    qtbot.waitUntil(lambda: bool(dialogs), timeout=PATIENCE_MS)
    assert isinstance(dialogs[0], HostKeyDialog)
    dialogs[0].accept()
    qtbot.waitUntil(lambda: assistant.page in ("found", "failed"), timeout=PATIENCE_MS)
    assert assistant.page == "found", assistant.sentence
    assert f"{server.user} on" in assistant.findings.words
    assert str(server.home) in assistant.findings.words
    assistant.save()
    qtbot.waitUntil(lambda: program.sites.site("lab").kind == "own", timeout=PATIENCE_MS)
    assert program.session.state("lab") is SiteState.OPEN
    assert SiteCatalogue().profile("lab").ssh.host == "lab"
