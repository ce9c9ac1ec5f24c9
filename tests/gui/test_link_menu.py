"""The link menu says and changes what links may cost; confidential data stays off the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.model.site import DataSettings, SiteProfile
from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.session.io_pool import IoPool
from app.session.link_pace import Quality
from app.session.session import Session, SiteState
from app.session.streaming import Streaming
from app.views.link_menu import LinkMenu
from tests.gui.fakes import FakeSites


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BlockStore]:
    store = BlockStore(tmp_path / "data", 10**9)
    yield store
    store.close()


@pytest.fixture
def pool() -> Iterator[IoPool]:
    pool = IoPool()
    yield pool
    pool.shut_down()


class ConfidentialSites(FakeSites):
    """Data that must not be kept anywhere."""

    def profile(self, name: str) -> SiteProfile:
        return replace(super().profile(name), data=DataSettings(confidential=True))


@pytest.mark.parametrize(("sites", "site", "kept"), [
    (FakeSites(), "far", True), (FakeSites(), "local", False), (ConfidentialSites(), "far", False)])
def test_that_only_what_may_be_kept_goes_through_the_disk_cache(
        qtbot: Any, store: BlockStore, pool: IoPool, sites: FakeSites, site: str, kept: bool) -> None:
    session = Session(sites, pool, store=store)
    session.open_site(site)
    qtbot.waitUntil(lambda: session.state(site) is SiteState.OPEN)
    assert isinstance(session.data(site), CachedDataService) is kept
    assert session.data(site) is session.data(site), "the same service as long as the connection is the same"
    session.close()


def test_that_the_menu_says_what_is_used_and_kept(qtbot: Any, store: BlockStore) -> None:
    streaming = Streaming("automatic", 200, store, 1000)
    menu = LinkMenu(streaming)
    qtbot.addWidget(menu)
    words = [action.text() for action in menu.actions() if action.text()]
    assert words[0].startswith("Automatic: ")
    assert words[-2:] == ["Fetched ahead: 0 B of 200 MB this hour", "Kept on this computer: 0 B of 1 GB"]
    store.put("a", 100, lambda: bytes(5000))
    qtbot.waitUntil(lambda: streaming.cached_bytes == 5000)
    menu.mirror()
    assert menu.forget.text() == "Forget cached data (5.00 kB)"
    menu.forget.trigger()
    qtbot.waitUntil(lambda: streaming.cached_bytes == 0)
    qtbot.waitUntil(lambda: not menu.forget.isEnabled())


def test_that_a_choice_counts_at_once_and_is_remembered(qtbot: Any, start: Any, fake_sites: FakeSites) -> None:
    program = start(fake_sites)
    menu = program.window.top_bar.link_menu
    next(action for action in menu.actions() if action.text().startswith("Save data")).trigger()
    assert program.streaming.quality is Quality.SAVE
    assert program.window.settings.quality == "save"
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    program.window.top_bar.show_site("far")
    assert "saving data" in program.window.top_bar.link_text
