"""The demo facility behind a gateway that wants a session held open."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from app.errors import LinkError
from app.model.site import SiteProfile
from app.remote.profiles import parse_profile
from app.remote.signin.oidc import OidcSession
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.shared_gateways import SHARED
from tests.peers.demo_facility import DemoFacility, running_facility
from tests.peers.interaction import FakePerson


@pytest.fixture(scope="module")
def facility(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoFacility]:
    with running_facility(tmp_path_factory.mktemp("demo"), gateway=True, jobs=False) as running:
        yield running


@pytest.fixture(autouse=True)
def gateways_left() -> Iterator[None]:
    yield
    SHARED.close_idle()


def with_pins(profile: SiteProfile) -> SiteProfile:
    """The profile with the PIN in place of certificates."""
    hop = dataclasses.replace(profile.ssh.hops[0], methods=("keyboard-interactive",))
    return dataclasses.replace(profile, ssh=dataclasses.replace(profile.ssh, methods=hop.methods, hops=(hop,)))


def test_that_the_profile_leads_over_the_gateway(facility: DemoFacility) -> None:
    profile = parse_profile(facility.profile.read_text("utf-8"), "demo")
    assert profile.ssh.hops[0].hold_session
    person = FakePerson(answers=[[facility.pin], [facility.pin]])
    transport = open_ssh(with_pins(profile), person, None)
    try:
        assert transport.run(["echo", "hi"]).stdout == b"hi\n"
        assert len(person.prompts) == 2
        again = open_ssh(with_pins(profile), FakePerson(answers=[[facility.pin]]), None)
        assert again.alive, "the gateway did not ask again"
        again.close()
    finally:
        transport.close()


def test_that_one_certificate_opens_both(facility: DemoFacility) -> None:
    profile = parse_profile(facility.profile.read_text("utf-8"), "demo")
    session = OidcSession("demo", profile.identity)
    person = FakePerson(on_code=lambda code: facility.robot().approve(code.verification_uri_complete))
    transport = open_ssh(profile, person, session)
    try:
        assert transport.run(["echo", "hi"]).stdout == b"hi\n"
        assert person.prompts == []
    finally:
        transport.close()


def test_that_it_lets_nothing_through_without_a_session_and_nowhere_else(facility: DemoFacility,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.remote.ssh.gateways._READY_S", 0.5)
    profile = with_pins(parse_profile(facility.profile.read_text("utf-8"), "demo"))
    hop = dataclasses.replace(profile.ssh.hops[0], hold_session=False)
    profile = dataclasses.replace(profile, ssh=dataclasses.replace(profile.ssh, hops=(hop,)))
    with pytest.raises(LinkError, match="does not forward connections"):
        open_ssh(profile, FakePerson(answers=[[facility.pin]]), None)
    elsewhere = dataclasses.replace(profile.ssh, port=1, hops=(dataclasses.replace(hop, hold_session=True),))
    profile = dataclasses.replace(profile, ssh=elsewhere)
    with pytest.raises(LinkError, match="does not let connections through"):
        open_ssh(profile, FakePerson(answers=[[facility.pin]]), None)
