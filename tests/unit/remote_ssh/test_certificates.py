"""Certificates: asked of a real HTTPS endpoint, checked, used at a real OpenSSH server, renewed."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import LoginRefusedError, ProviderError
from app.model.site import CertificateAuthority, SiteProfile
from app.remote.ssh.certificates import CertificateHolder, Offer, check, choose
from app.remote.ssh.connect import open_ssh
from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki
from tests.peers.sshd import Sshd, UserAuthority, public_line
from tests.unit.remote_ssh.conftest import profile_for


class FakeTokens:
    """A sign-in session that is already there."""

    def __init__(self) -> None:
        self.derived: dict[str, object] = {}

    def access_token(self, interaction: object = None) -> str:
        return "the-token"


@pytest.fixture
def authority(pki: Pki) -> Iterator[FakeProvider]:
    with fake_provider(pki, prefix="") as fake:
        yield fake


def conch(server: Sshd, **signing: Any) -> Any:
    """How a conch authority answers, signing with the server's trusted key."""
    signing = {"principals": [server.user], **signing}
    principals = signing.pop("principals")

    def answer(public: str, bearer: str) -> tuple[int, dict[str, Any]]:
        assert bearer == "Bearer the-token"
        certificate = server.authority.sign(public, principals, **signing)
        return 200, {"resources": {"here": {"alias": "here", "hostname": f"127.0.0.1:{server.port}",
                                            "proxy_jump": None}},
                     "associations": {"resources": {"here": {"username": server.user, "certificate": certificate}}},
                     "user": "ada@light.example", "version": 3}

    return answer


def site(server: Sshd, authority: FakeProvider, **changes: Any) -> SiteProfile:
    endpoint = CertificateAuthority("conch", changes.pop("url", authority.origin), str(authority.pki.ca))
    return profile_for(server, **{"methods": ("certificate",), "user": "", "certificate_authority": endpoint,
                                  **changes})


def test_that_a_certificate_lets_in_as_the_user_it_names(server: Sshd, authority: FakeProvider) -> None:
    authority.certificate = conch(server)
    transport = open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert transport.user == server.user
    transport.close()


def test_that_a_fresh_certificate_is_used_again_and_an_old_one_is_not(server: Sshd, authority: FakeProvider) -> None:
    authority.certificate, tokens = conch(server), FakeTokens()
    for _ in range(2):
        open_ssh(site(server, authority), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 1
    authority.certificate = conch(server, valid_for_s=299)   # less than five minutes: used once
    open_ssh(site(server, authority, user=server.user), FakePerson(), tokens).close()
    open_ssh(site(server, authority, user=server.user), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 3
    tokens.derived.clear()   # signed out
    open_ssh(site(server, authority), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 4
    keys = {form["public_key"] for path, form in authority.requests if path == "/sign"}
    assert len(keys) == 2, "a new sign-in has a new key"


@pytest.mark.parametrize(("signing", "why"), [
    ({"valid_from_s": -7200, "valid_for_s": -3600}, "it ended at"),
    ({"valid_from_s": 1800, "valid_for_s": 3600}, "it is not valid before"),
    ({"principals": ["somebody-else"]}, "it is for somebody-else, not for"),
    ({"principals": []}, "it names no account"),
    ({"host": True}, "it is for a host"),
])
def test_that_a_certificate_that_cannot_work_is_refused_before_it_is_used(server: Sshd, authority: FakeProvider,
                                                                          signing: dict[str, Any], why: str) -> None:
    authority.certificate = conch(server, **signing)
    with pytest.raises(LoginRefusedError, match=why):
        open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert "Accepted" not in server.log


def test_that_a_wrong_clock_is_named(server: Sshd, authority: FakeProvider) -> None:
    for valid, offset_s, what in (((1800, 3600), 1800, "30 minutes slow"), ((-3600, -1200), -1200, "20 minutes fast")):
        authority.certificate = conch(server, valid_from_s=valid[0], valid_for_s=valid[1])
        authority.date_offset_s = offset_s
        with pytest.raises(LoginRefusedError) as caught:
            open_ssh(site(server, authority), FakePerson(), FakeTokens())
        assert f"clock is {what}" in caught.value.summary
        assert caught.value.remedy == "Set this computer's clock, then connect again."


@pytest.mark.parametrize("changes", [{"public": True}, {"text": "ssh-ed25519"}, {"text": "nonsense"},
                                     {"tampered": True}])
def test_that_anothers_or_a_damaged_certificate_is_refused(changes: dict[str, Any]) -> None:
    holder, ca = CertificateHolder(), UserAuthority()
    public = public_line(Ed25519PrivateKey.generate()) if changes.get("public") else holder.public_line
    text = changes.get("text") or ca.sign(public, ["ada"])
    if changes.get("tampered"):
        kind, blob = text.split()[:2]
        text = f"{kind} {blob[:-20]}{'A' * 16}{blob[-4:]}"
    with pytest.raises(LoginRefusedError, match="cannot be used"):
        check(Offer(text), holder.public_line, "", time.time())


def test_that_a_bare_key_is_no_certificate() -> None:
    holder = CertificateHolder()
    with pytest.raises(LoginRefusedError, match="bare key"):
        check(Offer(holder.public_line), holder.public_line, "", time.time())


def test_that_a_server_that_does_not_trust_the_authority_is_diagnosed(server: Sshd, authority: FakeProvider) -> None:
    server.authority.key = Ed25519PrivateKey.generate()
    authority.certificate = conch(server)
    with pytest.raises(LoginRefusedError, match="may not trust the authority"):
        open_ssh(site(server, authority), FakePerson(), FakeTokens())


def test_that_a_certificate_bound_to_another_address_is_diagnosed(server: Sshd, authority: FakeProvider) -> None:
    authority.certificate = conch(server, options={"source-address": "192.0.2.1/32"})
    with pytest.raises(LoginRefusedError, match=r"may only be used from 192\.0\.2\.1/32"):
        open_ssh(site(server, authority), FakePerson(), FakeTokens())


def test_that_a_connection_outlives_its_certificate(server: Sshd, authority: FakeProvider) -> None:
    authority.certificate = conch(server, valid_for_s=3)
    transport = open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert transport.run(["sleep", "4"]).exit_code == 0
    assert transport.run(["echo", "still"]).stdout == b"still\n"
    transport.close()


def test_that_the_token_goes_over_https_only(server: Sshd, authority: FakeProvider) -> None:
    with pytest.raises(ProviderError, match="must begin with https"):
        open_ssh(site(server, authority, url=f"http://127.0.0.1:{authority.port}"), FakePerson(), FakeTokens())
    assert authority.counts["/sign"] == 0


def test_that_the_token_never_follows_a_redirect(server: Sshd, authority: FakeProvider, pki: Pki) -> None:
    with fake_provider(pki, prefix="") as elsewhere:
        authority.redirect = f"{elsewhere.origin}/sign"
        authority.forced["/sign"] = [(302, "moved")]
        with pytest.raises(ProviderError, match="elsewhere, which is refused"):
            open_ssh(site(server, authority), FakePerson(), FakeTokens())
        assert not elsewhere.requests


def test_that_a_netrc_file_does_not_replace_the_token(server: Sshd, authority: FakeProvider, own_home: Path) -> None:
    (own_home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    authority.certificate = conch(server)   # it looks at the Authorization header
    open_ssh(site(server, authority), FakePerson(), FakeTokens()).close()


@pytest.mark.parametrize(("answer", "error", "sentence"), [
    ((401, {"error": "token expired"}), LoginRefusedError, "does not give you an SSH certificate: token expired"),
    ((403, {"message": "no account"}), LoginRefusedError, "no account"),
    ((500, {"message": "Something went wrong: nothing"}), ProviderError, "could not make a certificate: Something"),
    ((502, "<h1>Bad gateway</h1>"), ProviderError, "could not make a certificate"),
    ((200, "<html>"), ProviderError, "could not make a certificate"),
    ((200, {"hello": 1}), ProviderError, "does not understand"),
    ((200, {"padding": "x" * (2 << 20)}), ProviderError, "too long"),
])
def test_that_a_refusal_of_the_authority_is_told(server: Sshd, authority: FakeProvider, answer: Any,
                                                error: type[Exception], sentence: str) -> None:
    authority.forced["/sign"] = [answer]
    with pytest.raises(error, match=sentence) as caught:
        open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert "the-token" not in json.dumps(caught.value.__dict__)


def test_that_an_authority_of_an_unknown_kind_is_told(server: Sshd, authority: FakeProvider) -> None:
    profile = site(server, authority)
    assert profile.ssh.certificate_authority is not None
    odd = dataclasses.replace(profile, ssh=dataclasses.replace(
        profile.ssh, certificate_authority=dataclasses.replace(profile.ssh.certificate_authority, kind="oinit")))
    with pytest.raises(ProviderError, match="not supported yet"):
        open_ssh(odd, FakePerson(), FakeTokens())


def test_that_the_account_of_the_profile_is_chosen_among_several(server: Sshd) -> None:
    offers = [Offer("a", "127.0.0.1", "ada.p1"), Offer("b", "127.0.0.1", "ada.p2"), Offer("c", "other", "ada.p3")]
    assert choose(offers, profile_for(server, user="ada.p2")).text == "b"
    with pytest.raises(LoginRefusedError, match=r"several accounts at 127\.0\.0\.1: ada\.p1, ada\.p2"):
        choose(offers, profile_for(server, user=""))
    with pytest.raises(LoginRefusedError, match="no access") as caught:
        choose(offers, profile_for(server, user="ada.p3"))
    assert "ada.p3 at other" in caught.value.detail


def test_that_older_and_project_shaped_answers_are_understood(server: Sshd, authority: FakeProvider) -> None:
    def version_2(public: str, _bearer: str) -> tuple[int, dict[str, Any]]:
        return 200, {"certificate": server.authority.sign(public, [server.user, "ada.p1"]), "short_name": "ada",
                     "platforms": {"here": {"hostname": "127.0.0.1"}}, "projects": {"p1": ["here"]}, "version": 2}

    authority.certificate = version_2
    with pytest.raises(LoginRefusedError, match=r"did not let ada\.p1 in"):   # no such account on this machine
        open_ssh(site(server, authority), FakePerson(), FakeTokens())

    shaped = conch(server)

    def by_project(public: str, bearer: str) -> tuple[int, dict[str, Any]]:
        status, answer = shaped(public, bearer)
        answer["associations"] = {"projects": {"p1": {"name": "one", **answer["associations"]}}}
        return status, answer

    authority.certificate = by_project
    open_ssh(site(server, authority), FakePerson(), FakeTokens()).close()


def test_that_renewal_is_due_at_four_fifths_or_five_minutes() -> None:
    holder, ca = CertificateHolder(), UserAuthority()
    now = time.time()
    day = check(Offer(ca.sign(holder.public_line, ["ada"], valid_from_s=0, valid_for_s=86400)), holder.public_line, "",
                now + 10)
    assert day.fresh(now + 0.79 * 86400)
    assert not day.fresh(now + 0.81 * 86400)
    short = check(Offer(ca.sign(holder.public_line, ["ada"], valid_from_s=0, valid_for_s=900)), holder.public_line, "",
                  now + 10)
    assert short.fresh(now + 590)
    assert not short.fresh(now + 610)
