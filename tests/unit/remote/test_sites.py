"""The sites a user knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import UnreachableError, UsageError
from app.model.site import SiteProfile, SshSettings
from app.remote.sites import Sites
from tests.peers.interaction import FakePerson
from tests.peers.ports import free_port

PROFILE = 'schema = 1\nname = "esrf"\n[ssh]\nhost = "h.example"\n'


def test_that_local_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PROFILE.replace("esrf", "aa"))
    sites = Sites()
    sites.add(tmp_path / "a.toml")
    assert sites.names()[:2] == ["local", "aa"]


def test_that_a_broken_profile_is_told_and_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAMSIDE_CONFIG_DIR", str(tmp_path))
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "good.toml").write_text(PROFILE)
    (tmp_path / "sites" / "bad.toml").write_text("schema = 9")
    sites = Sites()
    assert "esrf" in sites.names()
    assert [fault.summary.split(":")[0] for fault in sites.faults] == ["bad.toml"]


def test_that_a_missing_profile_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        Sites().add(tmp_path / "none.toml")


def test_that_only_own_sites_are_removed() -> None:
    with pytest.raises(UsageError, match="not one of your own"):
        Sites().remove("local")


def test_that_a_demo_that_is_not_running_is_told_so() -> None:
    port = free_port()
    sites = Sites((SiteProfile(name="demo", ssh=SshSettings(host="127.0.0.1", port=port, user="visitor1")),))
    with pytest.raises(UnreachableError, match="The demo facility is not running") as caught:
        sites.transport("demo", FakePerson())
    assert "beamside demo" in caught.value.remedy
