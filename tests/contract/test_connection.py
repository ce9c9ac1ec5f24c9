"""A connection restores itself: killed agents, cut and frozen links, and what needs a person."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from app.errors import AgentError, LinkLostError, SignInNeededError, StorageFullError, UnreachableError
from app.model.data import DataReference, ReadRequest
from app.model.site import LOCAL, AgentSettings, SiteProfile
from app.remote.agent_zip import Upload, agent_zip, build_agent_zip, libraries
from app.remote.connection import Connection, ConnectionState
from app.remote.local_transport import LocalTransport
from app.remote.seams import Transport
from tests.contract.conftest import DEBIAN_PYTHON, QUICK, Site
from tests.contract.events import DEADLINE_S, Changes

FAKE = Path(__file__).with_name("fake_service.py")
STATES = ConnectionState


@pytest.fixture(scope="module")
def fake_agent() -> Upload:
    return build_agent_zip({"app/agent/service.py": FAKE.read_text("utf-8")})


def ask(path: object) -> ReadRequest:
    return ReadRequest(DataReference("site", PurePosixPath(str(path))))


def kill_agent(connection: Connection) -> None:
    os.kill(connection.data.status()["agent"]["pid"], signal.SIGKILL)


def states(changes: Changes) -> list[ConnectionState]:
    return [state for state, _ in changes.seen]


def test_that_a_killed_agent_costs_nothing_that_was_asked(connect: Callable[..., Connection], fake_agent: Upload,
                                                         tmp_path: Path, changes: Changes) -> None:
    connection = connect(agent=fake_agent)
    transport = connection.transport
    remove = connection.add_listener(changes)
    live = tmp_path / "live.h5"
    live.write_bytes(b"1")
    seen = Changes()
    watch = connection.data.watch(PurePosixPath(live), seen, (1, live.stat().st_mtime_ns))
    waiting = [connection.data.read(ask(tmp_path / "wait-go")) for _ in range(3)]
    kill_agent(connection)
    changes.until(lambda s: len(s) >= 2 and s[-1][0] is STATES.CONNECTED)
    live.write_bytes(b"22")
    (tmp_path / "go").touch()
    assert [future.result(DEADLINE_S).values.shape for future in waiting] == [(2, 2)] * 3
    seen.until(lambda s: bool(s) and s[-1][0] == 2)
    lost = [reason for state, reason in changes.seen if state is STATES.RECONNECTING]
    assert len(lost) == 1
    assert isinstance(lost[0], LinkLostError)
    assert connection.transport is transport, "the transport was alive and is used again"
    watch.close()
    remove()


def test_that_an_agent_killed_in_the_middle_of_a_reply_sends_it_again(connect: Callable[..., Connection],
                                                                     fake_agent: Upload) -> None:
    connection = connect(agent=fake_agent)
    started = connection.data.status()["bytes_received"]
    block = connection.data.read(ask("/square-4000"))
    while connection.data.status()["bytes_received"] < started + 200_000 and not block.done():
        threading.Event().wait(0.001)
    kill_agent(connection)
    values = block.result(DEADLINE_S).values
    assert int(values[-1, -1]) == 4000 * 4000 - 1


def test_that_a_cut_link_is_made_anew_and_a_frozen_one_is_shown(site: Site, connect: Callable[..., Connection],
                                                               fake_agent: Upload, tmp_path: Path,
                                                               changes: Changes) -> None:
    if site.cut is None or site.freeze is None:
        pytest.skip("this computer is no link that can be cut")
    connection = connect(agent=fake_agent)
    connection.add_listener(changes)
    waiting = connection.data.read(ask(tmp_path / "wait-go"))
    site.cut()
    changes.until(lambda s: bool(s) and s[-1][0] is STATES.CONNECTED)
    site.freeze(True)
    changes.until(lambda s: s[-1][0] is STATES.UNRESPONSIVE)
    site.freeze(False)
    changes.until(lambda s: s[-1][0] is STATES.CONNECTED)
    (tmp_path / "go").touch()
    assert waiting.result(DEADLINE_S).values.shape == (2, 2)


def test_that_what_needs_a_person_ends_reconnecting(site: Site, connect: Callable[..., Connection],
                                                    changes: Changes) -> None:
    opened: list[Transport] = []

    def open_once() -> Transport:
        if opened:
            raise SignInNeededError("Sign in again.")
        opened.append(site.open_transport())
        return opened[0]

    connection = connect(open_transport=open_once)
    connection.add_listener(changes)
    opened[0].close()
    changes.until(lambda s: bool(s) and s[-1][0] is STATES.DISCONNECTED)
    assert isinstance(connection.reason, SignInNeededError)
    with pytest.raises(SignInNeededError):
        connection.data.list_folder(PurePosixPath("~")).result(DEADLINE_S)
    with pytest.raises(LinkLostError):
        _ = connection.transport
    opened.clear()
    connection.open().result(60)
    assert connection.data.list_folder(PurePosixPath("/")).result(DEADLINE_S).entries


def test_that_a_network_that_comes_back_is_found(site: Site, connect: Callable[..., Connection],
                                                 changes: Changes) -> None:
    attempts: list[int] = []
    transports: list[Transport] = []

    def flaky() -> Transport:
        attempts.append(1)
        if 2 <= len(attempts) <= 3:
            raise UnreachableError("No route.")
        transports.append(site.open_transport())
        return transports[-1]

    connection = connect(open_transport=flaky)
    connection.add_listener(changes)
    transports[0].close()
    asked = connection.data.list_folder(PurePosixPath("/"))
    assert asked.result(DEADLINE_S).entries
    assert states(changes)[:3] == [STATES.RECONNECTING] * 3
    assert len(attempts) == 4


def test_that_a_first_failure_is_told_at_once() -> None:
    def fail() -> Transport:
        raise UnreachableError("Nobody there.")

    connection = Connection(SiteProfile("site"), fail, patience=QUICK)
    early = connection.data.list_folder(PurePosixPath("/"))
    with pytest.raises(UnreachableError):
        connection.open().result(10)
    assert connection.state is STATES.DISCONNECTED
    assert early.exception(10) is not None
    connection.close()


def test_that_closing_settles_what_waits_and_leaves_nothing(connect: Callable[..., Connection], fake_agent: Upload,
                                                           tmp_path: Path) -> None:
    connection = connect(agent=fake_agent)
    waiting = connection.data.read(ask(tmp_path / "wait-forever"))
    connection.close()
    assert isinstance(waiting.exception(1), LinkLostError)
    assert connection.state is STATES.DISCONNECTED
    assert connection.reason is None
    assert isinstance(connection.data.plot(ask("/x").reference).exception(1), LinkLostError)


def test_that_the_first_python_that_fits_is_taken_behind_any_banner(site: Site, tmp_path: Path) -> None:
    noise = "printf 'Welcome to the cluster\\nBEAMSIDE-AGENT 1 0\\n\\377'; echo MOTD >&2"
    settings = AgentSettings(python=("/nowhere/python3", f"{DEBIAN_PYTHON} -S", f"{noise}; {DEBIAN_PYTHON}"),
                             cache=str(tmp_path / "it's a cache"))
    connection = Connection(SiteProfile("site", agent=settings), site.open_transport, patience=QUICK)
    connection.open().result(60)
    assert connection.data.status()["agent"]["executable"] == DEBIAN_PYTHON
    assert connection.data.list_folder(PurePosixPath("/")).result(DEADLINE_S).entries
    connection.close()


def test_that_no_fitting_python_is_one_clear_sentence(tmp_path: Path) -> None:
    settings = AgentSettings(python=("/nowhere/python3", f"{DEBIAN_PYTHON} -S", "exit 5"), cache=str(tmp_path))
    connection = Connection(SiteProfile("site", title="Site X", agent=settings), LocalTransport, patience=QUICK)
    with pytest.raises(AgentError) as none:
        connection.open().result(60)
    assert none.value.summary == "No Python with numpy and h5py was found at Site X."
    assert none.value.detail.count("\n") == 2
    assert "numpy" in none.value.detail.splitlines()[1]
    connection.close()


def test_that_the_agent_is_private_whole_and_replaced_when_it_differs(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    profile = SiteProfile("site", agent=AgentSettings(python=(DEBIAN_PYTHON,), cache=str(cache)))
    placed = cache / agent_zip().name
    assert [library.library for library in libraries()] == ["libh5bshuf.so", "libh5blosc2.so"]
    for damage in (None, b"not a zip", agent_zip().data[:-1]):
        if damage is not None:
            placed.write_bytes(damage)
        connection = Connection(profile, LocalTransport, patience=QUICK)
        connection.open().result(60)
        connection.close()
        assert placed.read_bytes() == agent_zip().data
    for library in libraries():
        assert (cache / library.name).read_bytes() == library.data
    [compiled] = cache.glob(f"{placed.stem}-*.zip")        # by the site's Python
    assert sorted(p.name for p in cache.iterdir()) == sorted([placed.name, compiled.name,
                                                              libraries()[0].name.split("/")[0]])
    assert [path.stat().st_mode & 0o777 for path in (cache, placed, compiled)] == [0o700, 0o600, 0o600]
    assert sum(len(upload.sent) for upload in (agent_zip(), *libraries())) < 2 * 10**6


@pytest.mark.parametrize("here", [True, False])
def test_that_only_the_newest_agents_stay_in_the_cache(tmp_path: Path, own_home: Path, here: bool) -> None:
    cache = own_home / ".cache" / "beamside" if here else tmp_path / "cache"
    profile = LOCAL if here else SiteProfile("site", agent=AgentSettings(python=(DEBIAN_PYTHON,), cache=str(cache)))
    cache.mkdir(exist_ok=True)
    for age in range(8):
        for name in (f"agent-{age:016x}.zip", *([] if here else [f"agent-{age:016x}-cpython-38.zip"]),
                     f"plugins-{age:016x}/libh5bshuf.so", f".upload-{age}"):
            (cache / name).parent.mkdir(exist_ok=True)
            (cache / name).write_bytes(b"old")
            for path in {cache / name, (cache / name).parent} - {cache}:
                os.utime(path, (1.7e9 - age, 1.7e9 - age))
    (cache / "settings-of-another.zip").touch()
    for _ in range(2):
        connection = Connection(profile, LocalTransport, patience=QUICK)
        connection.open().result(60)
        connection.close()
    left = {path.name for path in cache.iterdir()}
    assert {agent_zip().name, "settings-of-another.zip"} <= left
    kept = ("",) if here else ("", "-cpython-38")           # what was compiled goes with what it was made of
    assert {name for name in left if name.startswith("agent-0")} == {
        f"agent-{age:016x}{what}.zip" for age in range(3) for what in kept}
    if not here:
        assert len([name for name in left if name.startswith("plugins-")]) == 2
        assert not [name for name in left if name.startswith(".upload-")]


def test_that_an_agent_in_use_counts_as_new(tmp_path: Path) -> None:
    profile = SiteProfile("site", agent=AgentSettings(python=(DEBIAN_PYTHON,), cache=str(tmp_path / "cache")))
    ages = []
    for _ in range(2):
        connection = Connection(profile, LocalTransport, patience=QUICK)
        connection.open().result(60)
        connection.close()
        placed = tmp_path / "cache" / agent_zip().name
        ages.append(placed.stat().st_mtime)
        os.utime(placed, (1e9, 1e9))
    assert ages[1] > 1.7e9


def test_that_a_full_disk_is_named_as_such(tmp_path: Path) -> None:
    settings = AgentSettings(python=(f"ulimit -f 8; {DEBIAN_PYTHON}",), cache=str(tmp_path / "cache"))
    connection = Connection(SiteProfile("site", agent=settings), LocalTransport, patience=QUICK)
    with pytest.raises(StorageFullError) as full:
        connection.open().result(60)
    assert "no room" in full.value.summary
    assert list((tmp_path / "cache").iterdir()) == []
    connection.close()


def test_that_an_agent_that_cannot_start_is_said_with_its_last_words(tmp_path: Path) -> None:
    broken = build_agent_zip({"__main__.py": "import sys; sys.exit('the disk is on fire')"})
    profile = SiteProfile("site", agent=AgentSettings(python=(DEBIAN_PYTHON,), cache=str(tmp_path)))
    connection = Connection(profile, LocalTransport, patience=QUICK, agent=broken)
    with pytest.raises(AgentError) as error:
        connection.open().result(60)
    assert "the disk is on fire" in error.value.detail
    connection.close()


def test_that_this_computer_needs_no_upload(own_home: Path) -> None:
    connection = Connection(LOCAL, LocalTransport, patience=QUICK)
    connection.open().result(60)
    assert [p.name for p in (own_home / ".cache" / "beamside").iterdir()] == [agent_zip().name]
    connection.close()


def test_that_opening_twice_is_opening_once(connect: Callable[..., Connection]) -> None:
    connection = connect()
    assert connection.open() is connection.open()
    assert connection.state is STATES.CONNECTED
