"""A scrub over real OpenSSH while everything goes wrong: never a wrong or mislabelled picture; it goes on by itself."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.model.data import Block, DataReference
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.connection import Connection, Patience
from app.remote.ssh.connect import open_ssh
from app.session.viewed import Viewed
from app.views.dataset_tab import DatasetTab
from app.viz.stack_view import StackView
from tests.gui.local_window import picture_of
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.sshd import Sshd, public_line, sshd, write_private

PATIENCE_MS = 40_000
FRAMES, SIDE = 40, 700
QUICK = Patience(heartbeat_s=0.2, unresponsive_s=1.0, lost_s=2.0)


class WatchedTab(DatasetTab):
    """Remembers what it was given to show."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.seen: list[tuple[Block, tuple[int, ...], float]] = []
        super().__init__(*args, **more)

    def _drawn(self, block: Block, leading: tuple[int, ...], region: Any) -> None:
        self.seen.append((block, leading, time.monotonic()))
        super()._drawn(block, leading, region)


def write_stack(file: Path, tag: int, frames: int = FRAMES) -> None:
    """Every pixel says which file and which frame it belongs to; the last digit is noise."""
    noise = np.random.default_rng(tag).integers(0, 10, (SIDE, SIDE), np.uint32)
    with h5py.File(file, "w") as out:
        entry = out.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        group = entry.create_group("data")
        group.attrs.update({"NX_class": "NXdata", "signal": "data"})
        data = group.create_dataset("data", (frames, SIDE, SIDE), "u4", chunks=(1, SIDE, SIDE),
                                    maxshape=(None, SIDE, SIDE))
        for number in range(frames):
            data[number] = tag * 100_000 + number * 10 + noise


def tags_of(tab: WatchedTab) -> list[int]:
    """Which file each picture was from; fails where one stands under another frame's number."""
    tags = []
    for block, leading, _ in tab.seen:
        told = np.unique(block.values // 10)
        assert len(told) == 1, "a picture of several frames"
        tag, number = divmod(int(told[0]), 10_000)
        assert number == leading[0], "a picture under another frame's number"
        tags.append(tag)
    return tags


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    file = tmp_path / "data" / "stack.h5"
    file.parent.mkdir()
    write_stack(file, 1)
    return file


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    need_program("sshd", "openssh-server")
    key = Ed25519PrivateKey.generate()
    write_private(key, Path.home() / ".ssh" / "id_ed25519")
    with sshd(tmp_path / "sshd") as made:
        made.allow(public_line(key))
        yield made


@pytest.fixture
def connection(qtbot: Any, server: Sshd, tmp_path: Path) -> Iterator[Connection]:
    ssh = SshSettings("127.0.0.1", server.port, server.user, ("key",), (server.host_key_line,))
    agent = AgentSettings(python=(shlex.quote(sys.executable),), cache=str(tmp_path / "agent"), workers=2)
    profile = SiteProfile("far", ssh=ssh, agent=agent)
    made = Connection(profile, lambda: open_ssh(profile, FakePerson(), None), patience=QUICK)
    opened = made.open()
    qtbot.waitUntil(opened.done, timeout=PATIENCE_MS)
    yield made
    made.close(10)


@pytest.fixture
def tab(qtbot: Any, connection: Connection, stack: Path, tmp_path: Path) -> Iterator[WatchedTab]:
    store = BlockStore(tmp_path / "cached", 10**8)
    service = CachedDataService(connection.data, store, "far")
    tab = WatchedTab(service, DataReference("far", PurePosixPath(stack)), Viewed())
    tab.resize(900, 800)
    tab.show()
    qtbot.waitUntil(lambda: bool(tab.seen) and tab.statistics is not None, timeout=PATIENCE_MS)
    yield tab
    tab.close_sources()
    tab.close()
    tab.deleteLater()
    service.close()
    store.close()


def scrub(qtbot: Any, tab: WatchedTab, frames: range, meanwhile: Callable[[int], object] = lambda _frame: None) -> None:
    assert isinstance(tab.viewer, StackView)
    for frame in frames:
        tab.viewer.set_frame((frame,))
        meanwhile(frame)
        qtbot.wait(15)


def rests_on(tab: WatchedTab, frame: int, tag: int = 1) -> bool:
    """The full picture of this frame is the newest on screen."""
    if not tab.seen or tab.seen[-1][1] != (frame,):
        return False
    return tab.seen[-1][0].factor == (1, 1) and int(tab.seen[-1][0].values[0, 0]) // 100_000 == tag


def test_that_a_scrub_ends_on_its_frame_and_every_picture_is_its_own(qtbot: Any, tab: WatchedTab) -> None:
    scrub(qtbot, tab, range(1, 30))
    scrub(qtbot, tab, range(30, 10, -1))
    qtbot.waitUntil(lambda: rests_on(tab, 11), timeout=PATIENCE_MS)
    assert set(tags_of(tab)) == {1}
    assert isinstance(tab.viewer, StackView)
    qtbot.waitUntil(lambda: tab.viewer.slider._rows[0].position.text() == "11 / 39", timeout=PATIENCE_MS)


def test_that_a_cut_link_costs_a_moment_and_no_picture(qtbot: Any, tab: WatchedTab, server: Sshd,
                                                       connection: Connection) -> None:
    scrub(qtbot, tab, range(1, 12), lambda frame: server.cut() if frame == 6 else None)
    begun = time.monotonic()
    picture_of(tab).set_frame((33,))
    qtbot.waitUntil(lambda: rests_on(tab, 33), timeout=PATIENCE_MS)
    print(f"recovered {time.monotonic() - begun:.2f} s after the cut, signing in included")
    assert set(tags_of(tab)) == {1}
    assert tab.viewer is not None, "what was on screen stayed"


def test_that_a_stalled_link_goes_on_where_it_was(qtbot: Any, tab: WatchedTab, server: Sshd) -> None:
    scrub(qtbot, tab, range(1, 12), lambda frame: server.freeze(True) if frame == 6 else None)
    shown = len(tab.seen)
    qtbot.wait(600)
    server.freeze(False)
    qtbot.waitUntil(lambda: rests_on(tab, 11), timeout=PATIENCE_MS)
    assert len(tab.seen) > shown
    assert set(tags_of(tab)) == {1}


def test_that_killed_workers_are_told_or_replaced_and_never_lie(qtbot: Any, tab: WatchedTab,
                                                                connection: Connection) -> None:
    asked: Future[dict[str, Any]] = connection.data.agent_status()
    qtbot.waitUntil(asked.done, timeout=PATIENCE_MS)
    pids = [worker["pid"] for worker in asked.result()["workers"]]

    def kill(frame: int) -> None:
        if frame == 6:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)

    scrub(qtbot, tab, range(1, 12), kill)
    if not rests_on(tab, 11):
        qtbot.waitUntil(lambda: rests_on(tab, 11) or picture_of(tab).overlay.retry.isVisible(),
                        timeout=PATIENCE_MS)
    picture_of(tab).set_frame((20,))
    qtbot.waitUntil(lambda: rests_on(tab, 20), timeout=PATIENCE_MS)
    assert set(tags_of(tab)) == {1}


def test_that_a_file_replaced_during_a_scrub_is_read_anew(qtbot: Any, tab: WatchedTab, stack: Path) -> None:
    other = stack.with_name("other.h5")
    write_stack(other, 2)
    told: list[str] = []
    tab.told.connect(told.append)
    scrub(qtbot, tab, range(1, 25), lambda frame: os.replace(other, stack) if frame == 10 else None)
    qtbot.waitUntil(lambda: rests_on(tab, 24, tag=2), timeout=PATIENCE_MS)
    tags = tags_of(tab)
    assert tags == sorted(tags), "once the new file is shown, the old one never is again"
    qtbot.waitUntil(lambda: told == ["stack.h5 has changed; what is shown was read again."], timeout=PATIENCE_MS)
    assert tab.leading == (24,)


def test_that_a_file_truncated_during_a_scrub_is_told(qtbot: Any, tab: WatchedTab, stack: Path) -> None:
    failures: list[BaseException] = []
    tab.failed.connect(failures.append)
    scrub(qtbot, tab, range(1, 12), lambda frame: os.truncate(stack, 100_000) if frame == 6 else None)
    qtbot.waitUntil(lambda: bool(failures), timeout=PATIENCE_MS)
    assert set(tags_of(tab)) == {1}
    write_stack(stack, 3)
    qtbot.waitUntil(lambda: rests_on(tab, tab.leading[0], tag=3) if tab.leading else False, timeout=PATIENCE_MS)
    tags_of(tab)


def test_that_a_growing_stack_gets_more_frames_and_keeps_its_place(qtbot: Any, tab: WatchedTab, stack: Path) -> None:
    scrub(qtbot, tab, range(1, 6))
    qtbot.waitUntil(lambda: rests_on(tab, 5), timeout=PATIENCE_MS)
    with h5py.File(stack, "a") as out:
        data = out["entry/data/data"]
        data.resize(FRAMES + 5, axis=0)
        for number in range(FRAMES, FRAMES + 5):
            data[number] = 100_000 + number * 10
    assert isinstance(tab.viewer, StackView)
    qtbot.waitUntil(lambda: tab.viewer.slider.shape == (FRAMES + 5,), timeout=PATIENCE_MS)
    assert tab.leading == (5,)
    tab.viewer.set_frame((FRAMES + 3,))
    qtbot.waitUntil(lambda: rests_on(tab, FRAMES + 3), timeout=PATIENCE_MS)
    tags_of(tab)


def test_that_a_removed_file_is_told_and_its_picture_stays(qtbot: Any, tab: WatchedTab, stack: Path) -> None:
    stack.unlink()
    assert isinstance(tab.viewer, StackView)
    qtbot.waitUntil(lambda: "gone" in tab.viewer.overlay.summary.text(), timeout=PATIENCE_MS)
    write_stack(stack, 4)
    qtbot.waitUntil(lambda: rests_on(tab, 0, tag=4), timeout=PATIENCE_MS)
