"""Signing out everywhere has SSH certificates revoked, where their authority can, before the tokens are gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.sites import Sites
from tests.peers.certificate_endpoint import Endpoint, endpoint
from tests.peers.fake_provider import FakeProvider
from tests.peers.interaction import FakePerson
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki
from tests.peers.sshd import UserAuthority


@pytest.fixture
def authority(pki: Pki) -> Iterator[Endpoint]:
    with endpoint(pki, UserAuthority(), {"ada": ["ada"]}, lambda token: "ada") as running:
        yield running


def sites_with(provider: FakeProvider, *authorities: CertificateAuthority) -> Sites:
    """A site behind a gateway, each with an authority of its own."""
    hop, end = (SshSettings("127.0.0.1", certificate_authority=authority) for authority in authorities)
    site = SiteProfile("one", identity=provider.settings(), ssh=SshSettings(
        "127.0.0.1", certificate_authority=end.certificate_authority, hops=(hop,)))
    made = Sites((site,))
    made.sign_in("one", FakePerson())
    return made


def test_that_certificates_are_revoked_with_the_sign_in(provider: FakeProvider, os_keyring: FakeKeyring,
                                                        authority: Endpoint) -> None:
    sites = sites_with(provider, authority.settings("cscs"), authority.settings("conch"))
    done = sites.sign_out_everywhere("one")
    assert (done.revoked, done.certificates) == (True, ())
    assert authority.revoked == ["7", "8"]


def test_that_signing_out_here_revokes_no_certificates(provider: FakeProvider, os_keyring: FakeKeyring,
                                                       authority: Endpoint) -> None:
    sites_with(provider, authority.settings("cscs"), authority.settings("conch")).end_sign_in("one")
    assert not authority.requests


def test_that_an_authority_that_is_down_does_not_keep_anyone_signed_in(provider: FakeProvider, authority: Endpoint,
                                                                       os_keyring: FakeKeyring) -> None:
    sites = sites_with(provider, authority.settings("cscs", url="https://127.0.0.1:1"), authority.settings("conch"))
    done = sites.sign_out_everywhere("one")
    assert done.certificates == ("The certificate authority at 127.0.0.1:1 cannot be reached.",)
    assert sites.identity("one") is None
    assert sites.sign_out_everywhere("one").certificates == (), "nobody is signed in, so nothing is asked"
