"""What signing out ends: here, and everywhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from app.model.site import SiteProfile, SshSettings
from app.remote.sites import Sites
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki


def site(name: str, provider: FakeProvider, **changes: object) -> SiteProfile:
    return SiteProfile(name, identity=provider.settings(**changes), ssh=SshSettings("127.0.0.1"))


@pytest.fixture
def elsewhere(pki: Pki) -> Iterator[FakeProvider]:
    with fake_provider(pki) as other:
        yield other


@pytest.fixture
def sites(provider: FakeProvider, elsewhere: FakeProvider, os_keyring: FakeKeyring) -> Sites:
    """Two sites that share a sign-in, a third with its own client name there, and one of another provider."""
    provider.discovery_changes = {"end_session_endpoint": f"{provider.issuer}/end?x=1"}
    made = Sites((site("one", provider), site("two", provider),
                  site("three", provider, issuer=provider.issuer + "/", client_id="three"), site("other", elsewhere)))
    for name in ("one", "other"):
        made.sign_in(name, FakePerson())
    provider.claims = {"aud": "three"}
    made.sign_in("three", FakePerson())
    return made


def test_that_signing_out_ends_the_sign_in_of_all_sites_that_share_it(sites: Sites, os_keyring: FakeKeyring) -> None:
    done = sites.end_sign_in("one")
    assert (sorted(done.sites), done.page) == (["one", "two"], "")
    assert sites.identity("two") is None
    assert sites.identity("three") is not None
    assert sites.identity("other") is not None


def test_that_everywhere_is_every_site_at_that_provider(sites: Sites, provider: FakeProvider,
                                                        os_keyring: FakeKeyring) -> None:
    holders = [sites._session(sites.profile(name)) for name in ("one", "three")]
    for holder in holders:
        assert holder is not None
        holder.derived["certificates of a site"] = object()
    before = len(provider.requests)
    done = sites.sign_out_everywhere("one")
    assert (sorted(done.sites), done.revoked) == (["one", "three", "two"], True)
    assert done.page == f"{provider.issuer}/end?x=1&client_id=beamside"
    revoked = [(form["client_id"], form["token_type_hint"]) for path, form in provider.requests[before:]
               if path == "/revoke"]
    assert sorted(revoked) == [(client, kind) for client in ("beamside", "three")
                               for kind in ("access_token", "refresh_token")]
    assert [holder.derived for holder in holders if holder is not None] == [{}, {}]
    assert [name for name in sites.names() if sites.identity(name)] == ["other"]
    assert [account for _, account in os_keyring.entries] == [sites_account(sites)]


def sites_account(sites: Sites) -> str:
    return f"{sites.profile('other').identity.issuer} beamside"


def test_that_no_token_is_in_the_address_of_the_page(sites: Sites) -> None:
    assert "hint" not in sites.sign_out_everywhere("one").page


def test_that_a_provider_without_such_a_page_names_none(sites: Sites, elsewhere: FakeProvider) -> None:
    assert sites.sign_out_everywhere("other") == dataclasses.replace(sites.end_sign_in("local"), sites=("other",))


def test_that_it_is_forgotten_also_when_nobody_confirms(sites: Sites, provider: FakeProvider) -> None:
    provider.forced["/revoke"] = [(503, "later")] * 4
    done = sites.sign_out_everywhere("two")
    assert (done.revoked, sites.identity("one"), sites.identity("three")) == (False, None, None)


def test_that_a_redirect_of_the_revocation_gets_no_token(sites: Sites, provider: FakeProvider,
                                                         elsewhere: FakeProvider) -> None:
    provider.forced["/revoke"], provider.redirect = [(307, "there")] * 4, elsewhere.issuer + "/revoke"
    asked = len(elsewhere.requests)
    assert sites.end_sign_in("one").revoked is False
    assert len(elsewhere.requests) == asked


def test_that_the_site_is_told_when_its_sign_in_ends_too_early(sites: Sites) -> None:
    assert sites.outlives("one", 1e12) == ""
    assert sites.outlives("local", 1e12) == ""
    sites.keep_signed_in()
