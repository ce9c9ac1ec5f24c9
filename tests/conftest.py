"""What every test is held to: nothing left running, nothing wrong in the log, no GUI thread that waited.

Each test gets its own home and XDG directories and a keyring that keeps nothing. The checks themselves are in
``tests/checks``; the servers that system tests talk to are in ``tests/peers``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QT_API"] = "pyside6"
os.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"

import pytest

from app.remote import proxies
from tests.checks.gui_thread import GuiThreadWatch
from tests.checks.leaks import Leftovers
from tests.checks.logged_errors import LoggedErrors
from tests.checks.secret_places import PLACES
from tests.checks.secret_sources import listen
from tests.checks.sharing import ByFileAndPeer, turn
from tests.peers.gridengine import GridFacility, gridengine_facility
from tests.peers.need import CI, missing, system_tests_wanted
from tests.peers.slurm import SlurmFacility, slurm_facility

ROOT = Path(__file__).parent.parent
_SHARING = pytest.StashKey[ByFileAndPeer]()
_PATIENCE_S = 420       # with a system test and the peers that it is the first to want, on a busy machine
# Who starts the tests in the background has Ctrl+C (with nohup, a hangup) ignored; what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def beamside_data() -> Path:
    """The measured files: $BEAMSIDE_DATA, or ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("BEAMSIDE_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not folder.is_dir():
        missing(f"the measured data ({folder}); set BEAMSIDE_DATA to where it is")
    return folder


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own, with the XDG directories in it; nothing typed for a proxy before."""
    monkeypatch.setattr(proxies._choice, "passwords", {})
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name, folder in (("CONFIG", ".config"), ("CACHE", ".cache"), ("DATA", ".local/share"),
                         ("STATE", ".local/state"), ("RUNTIME", "run")):
        (home / folder).mkdir(parents=True, mode=0o700)
        monkeypatch.setenv(f"XDG_{name}_{'DIR' if name == 'RUNTIME' else 'HOME'}", str(home / folder))
    for name in ("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "BEAMSIDE_CONFIG_DIR", "BEAMSIDE_CACHE_DIR",
                 "BEAMSIDE_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="session", autouse=True)
def no_secret_anywhere() -> Iterator[None]:
    """Fails the run (its last test) if a secret of any test is in a log, an output, a file, an argument list …"""
    PLACES.start()
    listen()
    yield
    found = PLACES.everything()
    PLACES.close()
    if found:
        pytest.fail("secrets were told during the run: " + "; ".join(found), pytrace=False)


@pytest.fixture(autouse=True)
def no_secret_told(no_secret_anywhere: None, own_home: Path) -> Iterator[None]:
    """Fails the test during which a secret got to such a place (``tests/checks/secret_places.py``)."""
    PLACES.begin(*(own_home / name for name in (".config", ".cache", ".local", "run")))
    yield
    found = PLACES.end()
    if found:
        pytest.fail("secrets were told: " + "; ".join(found), pytrace=False)


@pytest.fixture(autouse=True)
def nothing_left_running(own_home: Path, no_secret_told: None) -> Iterator[None]:
    """Fails the test that leaves a thread or a child process behind."""
    before = Leftovers.now()
    yield
    left = before.what_is_new(deadline_s=5.0)
    if left:
        pytest.fail("left running: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def no_logged_errors(request: pytest.FixtureRequest) -> Iterator[LoggedErrors]:
    """Fails the test during which the program logged an error; ``@pytest.mark.logs_errors("regex")`` allows some."""
    allowed = [str(pattern) for mark in request.node.iter_markers("logs_errors") for pattern in mark.args]
    with LoggedErrors(allowed) as log:
        yield log
    if log.unexpected:
        pytest.fail("logged: " + "; ".join(log.unexpected), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """In tests marked ``gui``, code of ours that waits on the GUI thread fails the test."""
    if item.get_closest_marker("gui") is None:
        yield
        return
    with GuiThreadWatch(ROOT / "app") as watch:
        outcome = yield
    if watch.waits and outcome.excinfo is None:
        outcome.force_exception(AssertionError("the GUI thread waited: " + "; ".join(watch.waits)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Iterator[None]:
    """What the test printed is looked at before its end."""
    outcome = yield
    if call.when == "call":
        report = outcome.get_result()
        PLACES.say("what was printed", report.capstdout)
        PLACES.say("what was printed", report.capstderr)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFileAndPeer:
    """``-n``: how the tests are shared out among processes."""
    made = ByFileAndPeer(config, log)
    config.stash[_SHARING] = made
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Whether one of the processes was left alone with long tests."""
    if _SHARING in config.stash:
        terminalreporter.write_line(f"Last tests: {config.stash[_SHARING].ends()}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests below tests/gui are marked ``gui``, those below tests/system ``system``; of several, the longest first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(item.nodeid))
    for item in items:
        parts = item.path.relative_to(ROOT).parts if item.path.is_relative_to(ROOT) else ()
        if "gui" in parts:
            item.add_marker("gui")
        if "system" in parts:
            item.add_marker("system")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_PATIENCE_S))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """System tests run as root with SYSTEM=1 or CI=true."""
    if item.get_closest_marker("system") is None:
        return
    if not system_tests_wanted():
        pytest.skip("needs real peers: run as root with SYSTEM=1")
    if os.geteuid() != 0:
        if CI:
            pytest.fail("system tests need root", pytrace=False)
        pytest.skip("system tests need root")


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmFacility]:
    """Real sshd and Slurm with accounting, shared by the whole run; marked tests only (``system``)."""
    with slurm_facility(accounting=True) as site:
        yield site


@pytest.fixture(scope="session")
def slurm_without_accounting() -> Iterator[SlurmFacility]:
    """Real sshd and Slurm where ``sacct`` fails and finished jobs are forgotten after 15 s."""
    with slurm_facility(accounting=False, min_job_age_s=15) as site:
        yield site


@pytest.fixture(scope="session")
def gridengine() -> Iterator[GridFacility]:
    """Real sshd and Grid Engine in a network namespace, shared by the whole run; marked tests only (``system``)."""
    with gridengine_facility() as site:
        yield site
