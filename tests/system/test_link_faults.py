"""Link faults at random moments while somebody browses and streams over real OpenSSH: each is recovered from without a
click, no wrong picture is shown, and nothing is left behind. ``BEAMSIDE_FAULTS`` says how many (``./run soak``: 200).
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.data import Block, DataReference, Exactness
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote import surroundings
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.connection import Connection, ConnectionState, Patience
from app.remote.ssh.connect import open_ssh
from app.session.viewed import Viewed
from app.views.dataset_tab import DatasetTab
from app.viz.stack_view import StackView
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.relay import Relay, relay
from tests.peers.sshd import Sshd, public_line, sshd, write_private

pytestmark = [pytest.mark.system, pytest.mark.timeout(3600)]
FAULTS = int(os.environ.get("BEAMSIDE_FAULTS", "30"))
SEED = int(os.environ.get("BEAMSIDE_FAULTS_SEED", "4"))
FRAMES, SIDE = 40, 700
WITHIN_MS = 60_000
QUICK = Patience(heartbeat_s=0.3, unresponsive_s=1.0, lost_s=2.5, proof_s=1.0, agent_s=20.0, settled_s=0.2)


class WatchedTab(DatasetTab):
    """Remembers what it was given to show."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.seen: list[tuple[Block, tuple[int, ...], Any]] = []
        super().__init__(*args, **more)

    def _drawn(self, block: Block, leading: tuple[int, ...], region: Any) -> None:
        self.seen.append((block, leading, region))
        super()._drawn(block, leading, region)


@dataclass
class Laptop:
    """This computer's clock and network, as far as the connection sees them."""

    slept_s: float = 0.0
    moved: bool = False

    def clock(self) -> float:
        return time.monotonic() + self.slept_s


@dataclass
class Place:
    """A user's window on a site, and everything on the way that can be broken."""

    folder: Path
    stack: Path
    frames: np.ndarray
    key: Ed25519PrivateKey
    laptop: Laptop
    server: contextlib.AbstractContextManager[Sshd] = field(init=False)
    sshd: Sshd = field(init=False)
    relay: Relay = field(init=False)
    connection: Connection = field(init=False)
    lost: list[ConnectionState] = field(default_factory=list)

    def start_server(self, port: int = 0) -> Sshd:
        known: dict[str, Any] = {}
        if "sshd" in vars(self):
            known = {"host_key": self.sshd.host_key, "authority": self.sshd.authority}
        self.server = sshd(self.folder / "sshd", port=port, **known)
        self.sshd = self.server.__enter__()
        return self.sshd

    def stop_server(self) -> None:
        """It and every session on it, as by a reboot."""
        self.server.__exit__(None, None, None)


def write_stack(file: Path) -> np.ndarray:
    noise = np.random.default_rng(1).integers(0, 10, (SIDE, SIDE), np.uint32)
    frames = np.stack([100_000 + number * 10 + np.roll(noise, 7 * number, 0) for number in range(FRAMES)])
    with h5py.File(file, "w") as out:
        group = out.create_group("entry/data")
        out["entry"].attrs["NX_class"] = "NXentry"
        group.attrs.update({"NX_class": "NXdata", "signal": "data"})
        group.create_dataset("data", data=frames.astype("u4"), chunks=(1, SIDE, SIDE))
    return frames.astype("u4")


@pytest.fixture
def place(qtbot: Any, tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    need_program("sshd", "openssh-server")
    laptop = Laptop()
    monkeypatch.setattr(surroundings, "_clock_of_sleep", lambda: laptop.clock)
    ours = surroundings._is_ours
    monkeypatch.setattr(surroundings, "_is_ours", lambda address: not laptop.moved and ours(address))
    stack = tmp_path / "data" / "stack.h5"
    stack.parent.mkdir()
    made = Place(tmp_path, stack, write_stack(stack), Ed25519PrivateKey.generate(), laptop)
    write_private(made.key, own_home / ".ssh" / "id_ed25519")
    server = made.start_server()
    server.allow(public_line(made.key))
    with relay(("127.0.0.1", server.port)) as made.relay:
        yield made
        if "connection" in vars(made):
            made.connection.close(10)
    made.stop_server()


@pytest.fixture
def tab(qtbot: Any, place: Place) -> Iterator[WatchedTab]:
    ssh = SshSettings("127.0.0.1", place.relay.port, place.sshd.user, ("key",), (place.sshd.host_key_line,))
    agent = AgentSettings(python=(shlex.quote(sys.executable),), cache=str(place.folder / "agent"), workers=2)
    profile = SiteProfile("far", ssh=ssh, agent=agent)
    connection = place.connection = Connection(profile, lambda: open_ssh(profile, FakePerson(), None), patience=QUICK)
    connection.add_listener(lambda state, _reason: place.lost.append(state))
    opened = connection.open()
    qtbot.waitUntil(opened.done, timeout=WITHIN_MS)
    store = BlockStore(place.folder / "cached", 10**6)            # small, so that most pictures come over the link
    service = CachedDataService(connection.data, store, "far")
    tab = WatchedTab(service, DataReference("far", PurePosixPath(place.stack)), Viewed())
    tab.resize(900, 800)
    tab.show()
    qtbot.waitUntil(lambda: bool(tab.seen) and tab.statistics is not None, timeout=WITHIN_MS)
    yield tab
    tab.close_sources()
    tab.close()
    tab.deleteLater()
    service.close()
    store.close()


# -- what goes wrong ---------------------------------------------------------------------------------------------------

Fault = Callable[[Any, Place, random.Random], None]


def cut(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    place.relay.cut()


def reset(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    place.relay.reset()


def half_open(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    place.relay.fall_silent()


def stall(qtbot: Any, place: Place, dice: random.Random) -> None:
    """Short, or longer than the link is waited for."""
    place.relay.stall(True)
    qtbot.wait(dice.choice((300, 1500, 3500)))
    place.relay.stall(False)


def agent_killed(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    pid = place.connection.data.status()["agent"].get("pid")
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def worker_killed(_qtbot: Any, place: Place, dice: random.Random) -> None:
    pid = place.connection.data.status()["agent"].get("pid")
    workers = subprocess.run(["pgrep", "-P", str(pid or 0)], capture_output=True, text=True, check=False).stdout.split()
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(dice.choice(workers)), signal.SIGKILL)


def sshd_restarted(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    port = place.sshd.port
    place.stop_server()
    place.start_server(port)


def rebooted(qtbot: Any, place: Place, dice: random.Random) -> None:
    port = place.sshd.port
    place.stop_server()
    qtbot.wait(dice.randint(300, 2000))
    place.start_server(port)


def slept(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    """The laptop's lid was closed for an hour, and what it was connected to is gone."""
    place.relay.fall_silent()
    place.laptop.slept_s += 3600


def slept_shortly(_qtbot: Any, place: Place, _dice: random.Random) -> None:
    """The connection has survived the sleep."""
    place.laptop.slept_s += 60


def moved(qtbot: Any, place: Place, _dice: random.Random) -> None:
    """The laptop has another address; nobody tells the server, and packets to the old one are lost."""
    before = len(place.lost)
    place.relay.fall_silent()
    place.laptop.moved = True
    qtbot.waitUntil(lambda: ConnectionState.RECONNECTING in place.lost[before:], timeout=WITHIN_MS)
    place.laptop.moved = False


KINDS: tuple[Fault, ...] = (cut, reset, half_open, stall, agent_killed, worker_killed, sshd_restarted, rebooted, slept,
                            slept_shortly, moved)


# -- what has to hold --------------------------------------------------------------------------------------------------

def check(place: Place, block: Block, leading: tuple[int, ...], region: Any) -> None:
    """A picture is that of its frame, to the last digit (or to what it says)."""
    stored = place.frames[leading[0]]
    if region is not None:
        stored = stored[region[0]:region[1], region[2]:region[3]]
    factor = block.factor[0]
    height, width = (-(-side // factor) for side in stored.shape)
    padded = np.zeros((height * factor, width * factor), stored.dtype)
    padded[:stored.shape[0], :stored.shape[1]] = stored
    truth = padded.reshape(height, factor, width, factor).max(axis=(1, 3))
    assert block.values.shape == truth.shape
    if block.exactness in (Exactness.EXACT, Exactness.POOLED):
        np.testing.assert_array_equal(block.values, truth)
    else:
        assert block.exactness is Exactness.QUANTISED
        assert np.abs(block.values.astype("f8") - truth).max() <= block.max_error


def rests_on(tab: WatchedTab, frame: int) -> bool:
    if not tab.seen or tab.seen[-1][1] != (frame,):
        return False
    block, _, region = tab.seen[-1]
    return block.factor == (1, 1) and region is None and block.exactness is Exactness.EXACT


def go_on(qtbot: Any, tab: WatchedTab, place: Place, frame: int) -> None:
    """What somebody who came back would do: nothing, but for wanting another picture and a folder."""
    assert isinstance(tab.viewer, StackView)
    listing = place.connection.data.list_folder(PurePosixPath(place.stack.parent))
    tab.viewer.set_frame((frame,))
    deadline = time.monotonic() + WITHIN_MS / 1000
    while not (rests_on(tab, frame) and listing.done()):
        assert time.monotonic() < deadline, f"frame {frame} is not there: {tab.seen[-1][1:]}, {place.lost[-6:]}"
        if tab.viewer.overlay.retry.isVisible():        # a crashed worker's picture is told, never made up
            tab.viewer.overlay.retry.click()
        qtbot.wait(20)
    assert [entry.name for entry in listing.result().entries] == ["stack.h5"]


def handles() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def remote_processes(place: Place) -> list[int]:
    """What runs at the site for this user: agents and their workers, whoever their parent is by now."""
    cache, found = os.fsencode(place.folder / "agent"), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if cache in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_that_link_faults_cost_a_moment_and_nothing_else(qtbot: Any, place: Place, tab: WatchedTab) -> None:
    dice = random.Random(SEED)
    assert isinstance(tab.viewer, StackView)
    frame, counted, slowest, pictures = 0, Counter[str](), (0.0, ""), 0
    order = [KINDS[number % len(KINDS)] for number in range(FAULTS)]
    dice.shuffle(order)
    go_on(qtbot, tab, place, 1)
    threads, files, far = {thread.name for thread in threading.enumerate()}, handles(), len(remote_processes(place))
    begun = time.monotonic()
    for fault in order:
        steps = dice.randint(3, 14)
        at = dice.randrange(steps)
        for step in range(steps):
            frame = (frame + dice.choice((1, 1, 1, 2, -1, 13))) % FRAMES
            tab.viewer.set_frame((frame,))
            if step == at:
                place.connection.data.list_folder(PurePosixPath("/"))
                fault(qtbot, place, dice)
            qtbot.wait(dice.randint(5, 30))
        since = time.monotonic()
        frame = (frame + dice.randint(3, 30)) % FRAMES
        go_on(qtbot, tab, place, frame)
        slowest = max(slowest, (time.monotonic() - since, fault.__name__))
        for block, leading, region in tab.seen:
            check(place, block, leading, region)
        pictures += len(tab.seen)
        tab.seen.clear()
        counted[fault.__name__] += 1
        qtbot.waitUntil(lambda: place.connection.state is ConnectionState.CONNECTED,
                        timeout=WITHIN_MS)
    print(f"{sum(counted.values())} faults, {sum(counted.values())} recoveries in {time.monotonic() - begun:.0f} s, "
          f"{pictures} pictures compared; slowest {slowest[0]:.1f} s ({slowest[1]}); {dict(counted)}")
    assert ConnectionState.DISCONNECTED not in place.lost[place.lost.index(ConnectionState.CONNECTED):]
    assert pictures > FAULTS
    nothing_is_left(qtbot, place, threads, files, far)


def nothing_is_left(qtbot: Any, place: Place, threads: set[str], files: int, far: int) -> None:
    """One connection's threads, files and remote processes, as before the first fault; then none."""
    place.relay._living()    # forget what ended

    def calm() -> bool:
        now = {thread.name for thread in threading.enumerate() if not thread.name.startswith(("relay", "Thread-"))}
        return not now - threads and handles() <= files + 4 and len(remote_processes(place)) <= far + 1

    try:
        qtbot.waitUntil(calm, timeout=30_000)
    except AssertionError:
        raise AssertionError(f"{sorted(t.name for t in threading.enumerate())}, {handles()} files, {files} before, "
                             f"{len(remote_processes(place))} processes, {far} before") from None
    names = Counter(thread.name for thread in threading.enumerate() if thread.name.startswith(("far-", "connection-")))
    assert set(names.values()) == {1}, names
    print(f"threads as before; {handles()} open files ({files} before the first fault), "
          f"{len(remote_processes(place))} processes at the site ({far} before)")
    place.connection.close(10)
    qtbot.waitUntil(lambda: not place.sshd.busy and not remote_processes(place),
                    timeout=30_000)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("far-", "connection-", "agent-"))]
