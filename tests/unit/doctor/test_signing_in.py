"""Sign-in as the doctor sees it, at a real HTTPS provider that can misbehave, and behind an inspecting authority."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.model.doctor import StepState
from app.model.site import IdentitySettings, SiteProfile, SshSettings
from app.remote import proxies, trust
from app.remote.doctor import network, signing_in
from app.remote.doctor.far_side import clock_found
from app.remote.signin.oidc import OidcSession
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.http_proxy import http_proxy
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki, make_pki


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return make_pki(tmp_path / "pki")


@pytest.fixture
def provider(pki: Pki) -> Iterator[FakeProvider]:
    with fake_provider(pki) as fake:
        yield fake
    trust.choose("")
    proxies.choose("")


def profile_for(provider: FakeProvider, *methods: str, **changes: Any) -> SiteProfile:
    settings = dataclasses.replace(provider.settings(), **changes)
    return SiteProfile("far", "Far Light Source", identity=settings,
                       ssh=SshSettings("far.example", methods=methods or ("certificate",)))


def test_that_a_provider_that_is_there_and_trusted_passes(provider: FakeProvider) -> None:
    skews: list[float] = []
    found = signing_in.look_at_provider(profile_for(provider), FakePerson(), skews)
    assert found.state is StepState.PASSED
    assert "with a code" in found.summary
    assert abs(skews[0]) < 5


def test_that_an_inspecting_authority_is_named_and_its_file_asked_for(provider: FakeProvider, pki: Pki,
                                                                     tmp_path: Path) -> None:
    facility = make_pki(tmp_path / "facility")
    profile = profile_for(provider, ca_file=str(facility.ca))
    found = signing_in.look_at_provider(profile, FakePerson(), [])
    assert (found.state, found.kind) == (StepState.FAILED, "provider")
    assert "is not trusted: it was issued by “Beamside test authority”." in found.summary
    assert "Network…" in found.remedy
    trust.choose(str(pki.ca))
    found = signing_in.look_at_provider(profile, FakePerson(), [])
    assert found.state is StepState.PASSED
    assert f"also trusted: {pki.ca}" in found.detail


def test_that_the_certificate_is_looked_at_through_the_proxy_that_sign_ins_go_through(
        provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "_is_here", lambda host: False)
    with http_proxy() as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        found = signing_in.look_at_provider(profile_for(provider, ca_file=""), FakePerson(), [])
        assert "issued by “Beamside test authority”" in found.summary
        assert len(proxy.asked) >= 2
        assert {line.split(":")[0] for line in proxy.asked} == {"CONNECT 127.0.0.1"}


def test_that_a_provider_that_is_not_there_is_told(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.vanish()
    asked: list[str] = []
    monkeypatch.setattr(network, "portal", lambda url: asked.append(url) or "")
    found = signing_in.look_at_provider(profile_for(provider), FakePerson(), [])
    assert (found.state, found.kind) == (StepState.FAILED, "provider")
    assert asked == [provider.settings().issuer]
    monkeypatch.setattr(network, "portal", lambda url: "login.hotel.example")
    found = signing_in.look_at_provider(profile_for(provider), FakePerson(), [])
    assert "captive portal" in found.summary


def test_that_sites_without_a_sign_in_are_not_asked_for_one() -> None:
    profile = SiteProfile("far", identity=IdentitySettings(), ssh=SshSettings("far.example"))
    assert signing_in.look_at_provider(profile, FakePerson(), []).state is StepState.SKIPPED
    assert signing_in.look_at_session(profile, None, FakePerson()).state is StepState.SKIPPED
    assert signing_in.look_at_authority(profile, None, FakePerson()).state is StepState.SKIPPED


def test_that_the_person_is_asked_once_and_who_it_is_is_told(provider: FakeProvider) -> None:
    session = OidcSession("far", provider.settings())
    person = FakePerson()
    for _ in range(2):
        found = signing_in.look_at_session(profile_for(provider), session, person)
        assert found.state is StepState.PASSED
        assert found.summary.startswith("Signed in as ")
    assert len(person.codes) == 1
    assert "for this run only" in found.detail
    keys = signing_in.look_at_session(profile_for(provider, "key"), session, person)
    assert keys.state is StepState.SKIPPED


@pytest.mark.parametrize(("skew", "state", "words"), [
    (20, StepState.PASSED, "agree"), (100, StepState.WARNED, "2 minutes ahead of the sign-in service's"),
    (-700, StepState.FAILED, "12 minutes behind the sign-in service's"),
])
def test_that_a_wrong_clock_of_this_computer_is_told_in_minutes(skew: float, state: StepState, words: str) -> None:
    found = clock_found(skew, skew, "")
    assert found.state is state
    assert words in found.summary


def test_that_a_wrong_clock_of_the_site_is_not_blamed_on_this_computer() -> None:
    found = clock_found(-3600, 1, "")
    assert (found.state, found.summary) == (StepState.WARNED, "The site's clock is 60 minutes fast.")
    assert clock_found(-3600, None, "").state is StepState.WARNED


def test_that_the_providers_date_is_what_is_compared(provider: FakeProvider) -> None:
    provider.date_offset_s = 600
    skews: list[float] = []
    signing_in.look_at_provider(profile_for(provider), FakePerson(), skews)
    assert -605 < skews[0] < -595
    assert "10 minutes behind the sign-in service's" in clock_found(None, skews[0], "").summary


def test_that_a_refused_certificate_says_who_shows_an_untrusted_one(provider: FakeProvider, tmp_path: Path) -> None:
    from app.model.site import CertificateAuthority

    session = OidcSession("far", provider.settings())
    session.sign_in(FakePerson())
    other = make_pki(tmp_path / "other")
    authority = CertificateAuthority("conch", f"https://127.0.0.1:{provider.port}", str(other.ca))
    profile = dataclasses.replace(profile_for(provider), ssh=SshSettings(
        "far.example", methods=("certificate",), certificate_authority=authority))
    found = signing_in.look_at_authority(profile, session, FakePerson())
    assert found.state is StepState.FAILED
    assert "issued by “Beamside test authority”" in found.detail
