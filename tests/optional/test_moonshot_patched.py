"""Moonshot at an sshd patched as real sites' are: accounts by ``local-login-user``, AES-256; and the long wait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.errors import LoginRefusedError, UnreachableError
from app.remote.sites import Sites
from tests.peers import moonshot_config as config
from tests.peers.interaction import FakePerson
from tests.peers.moonshot import AES256, GssSshd, MoonshotFacility, moonshot_facility, silent_radius
from tests.peers.moonshot_openssh import patched_sshd

pytestmark = pytest.mark.timeout(1500)
ALICE, BOB = ["alice@facility.example", "correct horse"], ["bob@facility.example", "battery staple"]


@pytest.fixture(scope="module")
def site() -> Iterator[MoonshotFacility]:
    with moonshot_facility() as running:
        (running.home / ".k5login").unlink()    # only what RADIUS says counts
        yield running


@pytest.fixture(scope="module")
def server(site: MoonshotFacility, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GssSshd]:
    with site.sshd(program=str(patched_sshd(tmp_path_factory.mktemp("openssh")))) as running:
        yield running


@pytest.mark.parametrize("mechanism", ["1.3.6.1.5.5.15.1.1.17", AES256])
def test_that_the_account_comes_from_the_home_institution(site: MoonshotFacility, server: GssSshd,
                                                          mechanism: str) -> None:
    profile = site.profile(server, moonshot=site.settings(mechanism=mechanism))
    transport = Sites((profile,)).transport("moon", FakePerson(answers=[ALICE]))
    assert transport.run(["id", "-un"]).text.strip() == site.login
    transport.close()
    assert f"Authorized to {site.login}, GSS-EAP name alice@facility.example (local-login-user)" in server.log


def test_that_somebody_without_an_account_is_told_who_they_are(site: MoonshotFacility, server: GssSshd) -> None:
    with pytest.raises(LoginRefusedError, match="You are signed in as bob@") as caught:
        Sites((site.profile(server),)).transport("moon", FakePerson(answers=[BOB]))
    assert "stage: account" in caught.value.detail


def test_that_a_silent_radius_server_ends_with_the_facilitys_own_verdict(site: MoonshotFacility,
                                                                         server: GssSshd) -> None:
    """40 s, which no setting of the facility's changes; Beamside waits 60."""
    person = FakePerson(answers=[ALICE])
    profile = replace(site.profile(server), title="The silent facility")
    with silent_radius() as port, site.radius_route(config.radius_over_udp(port)):
        with pytest.raises(UnreachableError, match="cannot reach the federation"):
            Sites((profile,)).transport("moon", person)
    assert any("Waiting for your home institution" in said for said in person.said)
