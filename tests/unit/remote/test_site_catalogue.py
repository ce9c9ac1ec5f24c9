"""Which sites there are, and which of them are the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import paths
from app.errors import UsageError
from app.model.findings import Findings
from app.model.site import SiteProfile, SshSettings
from app.remote.connection import ConnectionState
from app.remote.site_catalogue import SiteCatalogue
from app.remote.sites import Sites
from tests.peers.interaction import FakePerson

PROFILE = 'schema = 1\nname = "{name}"\n# mine\n[ssh]\nhost = "{host}"\n'


def text(name: str = "mine", host: str = "h.example") -> str:
    return PROFILE.format(name=name, host=host)


def test_that_shipped_facilities_are_a_catalogue_and_not_the_users() -> None:
    catalogue = SiteCatalogue([SiteProfile("demo", ssh=SshSettings("127.0.0.1")), SiteProfile("lent")])
    catalogue.save(text())
    assert catalogue.yours() == ["local", "demo", "lent", "mine"]
    assert {"esrf", "psi"} <= set(catalogue.names())
    kinds = [catalogue.kind(name) for name in ("local", "demo", "lent", "mine", "psi")]
    assert kinds == ["local", "demo", "given", "own", "shipped"]


def test_that_a_facility_is_the_users_once_it_was_connected_to() -> None:
    sites = Sites()
    connection = sites.open("psi", FakePerson())
    for listener in connection._listeners:
        listener(ConnectionState.CONNECTING, None)
    assert "psi" not in sites.yours()
    for listener in connection._listeners:
        listener(ConnectionState.CONNECTED, None)
    assert "psi" in sites.yours()
    assert "psi" in Sites().yours(), "it is remembered"
    assert sites.catalogue.site("psi").kind == "shipped"
    sites.remove("psi")
    assert "psi" not in Sites().yours()
    assert "psi" in Sites().names()


def test_that_what_remembers_them_may_be_damaged() -> None:
    file = paths.state_dir() / "sites-used.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    for damaged in ("{", "3", '[3, "psi"]', "\x00"):
        file.write_text(damaged)
        assert SiteCatalogue().yours()[0] == "local"


def test_that_an_own_profile_stands_before_the_shipped_one_and_gives_way_when_removed() -> None:
    catalogue = SiteCatalogue()
    catalogue.save(text("alba", "login.alba.example"))
    assert (catalogue.kind("alba"), catalogue.profile("alba").ssh.host) == ("own", "login.alba.example")
    assert not catalogue.profile("alba").needs_host
    catalogue.remove("alba")
    assert (catalogue.kind("alba"), catalogue.profile("alba").needs_host) == ("shipped", True)


def test_that_saving_keeps_the_text_with_its_comments_and_a_fault_changes_nothing() -> None:
    catalogue = SiteCatalogue()
    catalogue.save(text())
    with pytest.raises(UsageError, match=r"the form: ssh\.host"):
        catalogue.save(text(host="a b"), "the form")
    assert catalogue.text("mine") == text()
    assert [file.name for file in (paths.config_dir() / "sites").iterdir()] == ["mine.toml"]


def test_that_a_profile_being_tried_leaves_nothing_behind() -> None:
    catalogue = SiteCatalogue()
    catalogue.give(SiteProfile("trial", ssh=SshSettings("h.example")))
    assert "trial" in catalogue.yours()
    catalogue.take_back("trial")
    assert "trial" not in catalogue.names()
    assert not (paths.config_dir() / "sites").exists()


def test_that_what_was_found_completes_a_profile_for_this_run_only(tmp_path: Path) -> None:
    catalogue = SiteCatalogue()
    catalogue.save(text())
    found = Findings("2026-11-22", "slurm", ("short", "long"), containers=("singularity", "podman"))
    catalogue.learn("mine", found)
    profile = catalogue.profile("mine")
    assert (profile.batch.system, profile.batch.partitions) == ("slurm", ("short", "long"))
    assert (profile.software.containers, profile.sources["batch.system"]) == ("podman", "probed 2026-11-22")
    assert catalogue.site("mine").profile.batch.system == "", "the profile itself is as its owner wrote it"
    assert SiteCatalogue().profile("mine").batch.system == ""


def test_that_what_a_profile_says_is_not_replaced_by_what_was_found() -> None:
    catalogue = SiteCatalogue()
    catalogue.save(text() + '[batch]\nsystem = "pbs"\n[software]\ncontainers = "none"\n')
    catalogue.learn("mine", Findings("2026-11-22", "slurm", ("short",), containers=("podman",)))
    profile = catalogue.profile("mine")
    assert (profile.batch.system, profile.batch.partitions, profile.software.containers) == ("pbs", (), "none")


@pytest.mark.parametrize("name", ["alba", "esrf", "ill"])
def test_that_a_facility_without_a_known_host_says_what_to_do(name: str) -> None:
    sites = Sites()
    for way in (sites.open, sites.transport):
        with pytest.raises(UsageError, match="not publicly known") as caught:
            way(name, FakePerson())
        assert f"beamside sites export {name}" in caught.value.remedy
        assert "host = " in caught.value.remedy
