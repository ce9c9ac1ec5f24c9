"""What signing out ends: here, and everywhere."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.sites import Sites
from app.remote.ssh import shared_gateways
from app.remote.ssh.gateways import Gateway
from app.remote.ssh.route import Stop
from app.remote.ssh.shared_gateways import SharedGateways
from app.remote.ssh.unlocked_keys import UNLOCKED
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
    identity = sites.profile("other").identity
    return f"{identity.issuer} beamside {identity.ca_file}"


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


def test_that_sites_of_other_audiences_or_authorities_share_no_token(provider: FakeProvider, os_keyring: FakeKeyring,
                                                                     tmp_path: Path) -> None:
    copy = tmp_path / "ca.pem"
    copy.write_bytes(provider.pki.ca.read_bytes())
    sites = Sites((site("one", provider), site("two", provider, audience="urn:two"),
                   site("three", provider, ca_file=str(copy)), site("four", provider)))
    sites.sign_in("one", FakePerson())
    assert [name for name in ("one", "two", "three", "four") if sites.identity(name)] == ["one", "four"]
    sites.sign_in("two", FakePerson())
    tokens = [session.access_token() for name in ("one", "two")
              if (session := sites._session(sites.profile(name))) is not None]
    assert len(set(tokens)) == 2
    assert len(os_keyring.entries) == 2
    sites.end_sign_in("two")
    assert (sites.identity("one") is not None, sites.identity("two")) == (True, None)


@pytest.mark.parametrize(("kind", "ways"), [("step-ca", []), ("conch", [("browser", "code")])])
def test_that_step_ca_gets_a_sign_in_that_is_good_for_several_certificates(provider: FakeProvider,
                                                                          os_keyring: FakeKeyring, kind: str,
                                                                          ways: list[tuple[str, ...]]) -> None:
    asked: list[tuple[str, ...]] = []

    class Person(FakePerson):
        def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
            if len(ways) > 1:
                asked.append(tuple(ways))
            return "code"

    profile = site("one", provider)
    authority = CertificateAuthority(kind, "https://ca.example")
    Sites((replace(profile, ssh=replace(profile.ssh, certificate_authority=authority)),)).sign_in("one", Person())
    assert asked == ways


@pytest.mark.parametrize("everywhere", [False, True])
def test_that_signing_out_leaves_gateways_that_nobody_uses(sites: Sites, monkeypatch: pytest.MonkeyPatch,
                                                           everywhere: bool) -> None:
    link = Closable()
    pool = SharedGateways()
    monkeypatch.setattr(shared_gateways, "SHARED", pool)
    lease, _ = pool.borrow("hop", lambda: Gateway(link, Stop("hop", "hop"), None, ()), threading.Event())  # type: ignore[arg-type]
    (sites.sign_out_everywhere if everywhere else sites.end_sign_in)("one")
    assert not link.closed, "somebody uses it"
    lease.close()
    (sites.sign_out_everywhere if everywhere else sites.end_sign_in)("one")
    assert link.closed


class Closable:
    """A connection that is up until it is closed."""

    closed = False

    def set_keepalive(self, interval: int) -> None:
        """Nothing to keep."""

    def is_active(self) -> bool:
        return not self.closed

    is_authenticated = is_active

    def close(self) -> None:
        self.closed = True


def test_that_signing_out_everywhere_locks_keys_again(sites: Sites, tmp_path: Path) -> None:
    file = tmp_path / "id"
    file.write_text("x")
    UNLOCKED.put(file, [paramiko.PKey()])
    sites.end_sign_in("one")
    assert UNLOCKED.get(file)
    sites.sign_out_everywhere("one")
    assert not UNLOCKED.get(file)
