"""What is sent to each kind of certificate authority, word for word, and what is made of its answers."""

from __future__ import annotations

import base64
import dataclasses
import logging
import socket
from collections.abc import Iterator
from typing import Any

import jwt
import pytest

from app.errors import CancelledByUserError, LoginRefusedError, ProviderError
from app.model.site import CertificateAuthority, IdentitySettings, SiteProfile, SshSettings
from app.remote.ssh.authority import dns_names, step_ca
from app.remote.ssh.authority.certificate import Certificate
from app.remote.ssh.authority.holder import CertificateHolder, holder_of, revoke_certificates
from tests.peers.certificate_endpoint import KINDS, Endpoint, endpoint
from tests.peers.interaction import FakePerson
from tests.peers.names import Names, name_server
from tests.peers.pki import Pki
from tests.peers.sshd import UserAuthority
from tests.unit.remote_ssh.authorities import ISSUER, FakeTokens


@pytest.fixture
def authority(pki: Pki) -> Iterator[Endpoint]:
    subjects = {"the-token": "ada", **{f"id-token-{n}": "ada" for n in range(9)}}
    with endpoint(pki, UserAuthority(), {"ada": ["ada.p1"]}, subjects, host="login.light.example",
                  issuers=[ISSUER]) as running:
        yield running


def site(authority: Endpoint, kind: str, *, issuer: str = ISSUER, user: str = "", **changes: Any) -> SiteProfile:
    return SiteProfile("here", identity=IdentitySettings(issuer=issuer), ssh=SshSettings(
        "login.light.example", user=user, certificate_authority=authority.settings(kind, **changes)))


def ask(profile: SiteProfile, tokens: FakeTokens, person: FakePerson | None = None) -> Certificate:
    return holder_of(tokens, profile).certificate(profile, tokens, person or FakePerson())


def public_line(tokens: FakeTokens) -> str:
    holder = next(iter(tokens.derived.values()))
    assert isinstance(holder, CertificateHolder)
    return holder.public_line


def token_for(audience: object) -> str:
    return jwt.encode({"sub": "ada", **({} if audience is None else {"aud": audience})}, "k" * 32, "HS256")


@pytest.mark.parametrize("kind", ["conch", "conch2", "cscs", "oinit"])
@pytest.mark.parametrize(("audience", "said"), [("https://other.example", "https://other.example"), (None, "anybody"),
                                                (["account", "x"], "account, x"), (3, "anybody")])
def test_that_a_token_that_is_not_for_the_authority_is_not_shown_to_it(authority: Endpoint, kind: str,
                                                                      audience: object, said: str) -> None:
    profile = site(authority, kind)
    profile = dataclasses.replace(profile, identity=IdentitySettings(issuer=ISSUER, audience="https://ca.example"))
    with pytest.raises(ProviderError) as caught:
        ask(profile, FakeTokens(token_for(audience)))
    assert caught.value.summary.startswith(
        f"The sign-in service made a token for {said}, not for https://ca.example, so it is not shown")
    assert not any(request.method == "POST" or "Authorization" in request.headers for request in authority.requests)


def test_that_a_token_for_the_authority_or_one_that_cannot_be_read_is_shown(authority: Endpoint) -> None:
    authority.subject_of = lambda token: "ada"
    profile = site(authority, "conch")
    profile = dataclasses.replace(profile, identity=IdentitySettings(issuer=ISSUER, audience="https://ca.example"))
    for token in (token_for("https://ca.example/"), token_for(["x", "https://ca.example"]), "opaque", "a.b.c",
                  "a.W10.c"):
        assert ask(profile, FakeTokens(token)).user == "ada.p1"


# ---- conch ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conch", "conch2"])
def test_that_conch_is_asked_with_the_key_in_the_query(authority: Endpoint, kind: str) -> None:
    tokens = FakeTokens()
    assert ask(site(authority, kind), tokens).user == "ada.p1"
    [request] = authority.requests
    assert (request.method, request.path) == ("GET", authority.path(kind))
    assert request.values == {"public_key": public_line(tokens)}
    assert request.headers["Authorization"] == "Bearer the-token"
    assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize("shape", ["", "projects", "documented"])
def test_that_all_shapes_of_conchs_associations_are_understood(authority: Endpoint, shape: str) -> None:
    authority.by_project, authority.proxy_jump = shape, "bastion.example"
    certificate = ask(site(authority, "conch"), FakeTokens())
    assert (certificate.user, certificate.proxy_jump) == ("ada.p1", "bastion.example")


def test_that_one_certificate_for_all_resources_is_understood_too(authority: Endpoint) -> None:
    tokens, profile = FakeTokens(), site(authority, "conch")
    text = authority.authority.sign(holder_of(tokens, profile).public_line, ["ada.p1"])
    authority.forced["/sign"] = [(200, {   # conch 0.4
        "certificate": text, "resources": {"here": {"alias": "here", "hostname": "login.light.example"}},
        "associations": {"projects": {"p1": {"name": "", "resources": {"here": {"username": "ada.p1"}}}}},
        "user": "a@b", "version": 3})]
    assert ask(profile, tokens).user == "ada.p1"


@pytest.mark.parametrize("odd", [
    {"resources": [], "associations": {}}, {"resources": {}, "associations": None},
    {"platforms": 3, "projects": {"p1": "x"}}, {"resources": {"here": 3}, "associations": {"resources": {"here": []}}},
    {"resources": {}, "associations": {"projects": {"p1": 7}, "resources": 1}},
    {"resources": {}, "associations": {"resources": {"here": {"username": {}, "certificate": [1]}}}},
])
def test_that_odd_answers_of_conch_are_refused_in_words(authority: Endpoint, odd: dict[str, Any]) -> None:
    authority.forced["/sign"] = [(200, odd)]
    with pytest.raises((ProviderError, LoginRefusedError)):
        ask(site(authority, "conch"), FakeTokens())


# ---- CSCS -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/", "/api/v1/ssh-keys"])
def test_that_cscs_is_asked_for_a_day(authority: Endpoint, path: str) -> None:
    tokens = FakeTokens()
    profile = site(authority, "cscs", url=f"{authority.origin}/cscs{path}")
    assert ask(profile, tokens).user == "ada.p1"
    [request] = authority.requests
    assert (request.method, request.path) == ("POST", "/cscs/api/v1/ssh-keys/sign")
    assert request.values == {"publicKey": f"{public_line(tokens)} beamside\n", "duration": "1d"}
    assert request.headers["Authorization"] == "Bearer the-token"
    assert request.headers["X-Client-Type"] == "cli"
    assert request.headers["Content-Type"] == "application/json"


def test_that_signing_out_everywhere_revokes_what_the_service_lists(authority: Endpoint) -> None:
    tokens = FakeTokens()
    kinds = [authority.settings(kind) for kind in ("conch", "cscs", "cscs", "step-ca", "oinit")]
    assert revoke_certificates(kinds, tokens.access_token) == [], "those that cannot revoke are no failure"
    assert tokens.asked == 1
    assert authority.revoked == ["7", "8"], "number 5 was revoked before"
    asked = next(r for r in authority.requests if r.path == "/cscs/api/v1/ssh-keys")
    assert asked.values == {"include_revoked": "false", "include_expired": "false"}
    [first, _] = [r for r in authority.requests if r.path.endswith("/revoke")]
    assert (first.method, first.values) == ("PUT", {"serialNumber": "7", "reason": "user request"})


def test_that_a_revocation_that_fails_is_told(authority: Endpoint) -> None:
    def told() -> list[str]:
        return revoke_certificates([authority.settings("cscs")], FakeTokens().access_token)

    path = "/cscs/api/v1/ssh-keys/revoke"
    authority.forced[path] = [(405, ""), (200, {"revoked": False, "message": "no"})]   # PUT is not there: POST
    assert told() == ["The facility did not revoke all your SSH certificates."]
    assert [r.method for r in authority.requests if r.path == path] == ["PUT", "POST"]
    authority.forced["/cscs/api/v1/ssh-keys"] = [(503, "<html>")]
    assert told() == [f"The certificate authority at 127.0.0.1:{authority.port} is out of order at the moment."]
    authority.forced["/cscs/api/v1/ssh-keys"] = [(200, {"sshKeys": 3})]
    assert "does not understand (no sshKeys)" in told()[0]


# ---- step-ca --------------------------------------------------------------------------------------------------------


def test_that_step_ca_gets_a_new_id_token_each_time_and_no_access_token(authority: Endpoint) -> None:
    tokens, profile = FakeTokens(), site(authority, "step-ca")
    authority.signing = {"valid_for_s": 200}   # short: each connection needs a new one
    for _ in range(2):
        assert ask(profile, tokens).user == "ada.p1"
    assert [request.values["ott"] for request in authority.requests] == ["id-token-1", "id-token-2"]
    assert tokens.asked == 0
    request = authority.requests[0]
    assert (request.method, request.path) == ("POST", "/step-ca/1.0/ssh/sign")
    assert request.values == {"publicKey": public_line(tokens).split()[1], "ott": "id-token-1", "certType": "user"}
    assert "Authorization" not in request.headers
    assert base64.b64decode(request.values["publicKey"]).startswith(b"\0\0\0\x0bssh-ed25519")


def test_that_an_older_step_ca_is_asked_under_its_older_name(authority: Endpoint) -> None:
    tokens, profile = FakeTokens(), site(authority, "step-ca")
    text = authority.authority.sign(holder_of(tokens, profile).public_line, ["ada.p1"])
    authority.forced = {"/step-ca/1.0/ssh/sign": [(404, "404 page not found")],
                        "/step-ca/1.0/sign-ssh": [(201, {"crt": text.split()[1]})]}
    assert ask(profile, tokens).user == "ada.p1"


class SameTokens(FakeTokens):
    """ID tokens as a provider gives them: those of one second are the same, or all carry the sign-in's nonce."""

    def __init__(self, tokens: list[str]) -> None:
        super().__init__()
        self._tokens = tokens

    def id_token(self) -> str:
        self.id_tokens += 1
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]


def test_that_no_id_token_is_used_twice(authority: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_ca, "_NEXT_SECOND_S", 0.0)
    authority.signing = {"valid_for_s": 200}
    tokens, profile = SameTokens(["id-token-1", "id-token-1", "id-token-2"]), site(authority, "step-ca")
    for _ in range(2):
        ask(profile, tokens)
    assert [request.values["ott"] for request in authority.requests] == ["id-token-1", "id-token-2"]
    with pytest.raises(LoginRefusedError, match="takes each sign-in for one certificate only") as caught:
        ask(profile, tokens)
    assert caught.value.remedy.startswith("Sign out and in again, with a code instead of the browser")
    assert len(authority.requests) == 2, "known without asking"


def test_that_renewed_id_tokens_with_the_same_nonce_are_one_sign_in(authority: Endpoint,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_ca, "_NEXT_SECOND_S", 0.0)
    renewed = [jwt.encode({"sub": "ada", "nonce": "n1", "iat": n}, "k" * 32, "HS256") for n in range(3)]
    authority.subject_of = lambda token: "ada"
    authority.signing = {"valid_for_s": 200}
    tokens = SameTokens(renewed)
    ask(site(authority, "step-ca"), tokens)
    with pytest.raises(LoginRefusedError, match="takes each sign-in for one certificate only"):
        ask(site(authority, "step-ca"), tokens)
    assert len(authority.requests) == 1
    authority.forced[authority.path("step-ca")] = [(401, {"message": "not authorised"})]   # another program's doing
    with pytest.raises(LoginRefusedError, match="does not accept your sign-in: not authorised") as caught:
        ask(site(authority, "step-ca"), SameTokens(renewed))
    assert caught.value.remedy.startswith("It may have given a certificate for this sign-in before: sign out and")


def test_that_the_profiles_user_may_be_any_of_step_cas_names(authority: Endpoint) -> None:
    user, tokens = "ada.p1@light.example", FakeTokens()
    assert ask(site(authority, "step-ca", user=user), tokens).user == user
    with pytest.raises(LoginRefusedError, match=r"it is for ada\.p1, ada\.p1@light\.example, not for bob"):
        ask(site(authority, "step-ca", user="bob"), tokens)


# ---- oinit ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    with name_server({}) as running:
        monkeypatch.setattr(dns_names, "NAMESERVERS", ["127.0.0.1"])
        monkeypatch.setattr(dns_names, "PORT", running.port)
        yield running


def test_that_oinit_is_asked_for_the_host_and_logs_in_as_its_own_user(authority: Endpoint) -> None:
    tokens = FakeTokens()
    certificate = ask(site(authority, "oinit"), tokens)
    assert (certificate.user, certificate.principals) == ("oinit", ("oinit", "ada.p1"))
    assert certificate.forced_command == "oinit-switch ada.p1"
    assert not certificate.allows_hopping
    info, request = authority.requests
    assert (info.method, info.path) == ("GET", "/ca/oinit/api/v1/login.light.example")
    assert (request.method, request.path) == ("POST", "/ca/oinit/api/v1/login.light.example/certificate")
    assert request.values == {"publickey": public_line(tokens), "token": "the-token"}
    assert not any("Authorization" in each.headers for each in authority.requests)


def test_that_the_profiles_account_is_taken_where_the_certificate_has_it(authority: Endpoint) -> None:
    assert ask(site(authority, "oinit", user="ada.p1"), FakeTokens()).user == "ada.p1"
    authority.signing = {"principals": ["ada.p1"]}   # a host group without the user oinit
    assert ask(site(authority, "oinit"), FakeTokens()).user == "ada.p1"


@pytest.mark.parametrize("prefix", ["/api/v1", ""])
def test_that_an_older_oinit_is_found_below_its_older_address(authority: Endpoint, prefix: str) -> None:
    tokens, profile = FakeTokens(), site(authority, "oinit")
    text = authority.authority.sign(holder_of(tokens, profile).public_line, ["oinit", "ada"])
    place = f"/ca{prefix}/login.light.example"
    authority.forced = {"/ca/oinit/api/v1/login.light.example": [(404, "404 page not found")],
                        place: [(200, {"publickey": "", "providers": [{"url": f"{ISSUER}/", "scopes": []}]})],
                        f"{place}/certificate": [(201, {"certificate": text})]}
    assert ask(profile, tokens).user == "oinit"


def test_that_a_token_goes_only_to_an_authority_that_takes_our_issuer(authority: Endpoint) -> None:
    tokens = FakeTokens()
    for issuers in (["https://elsewhere.example"], []):
        authority.issuers = issuers
        with pytest.raises(LoginRefusedError, match="does not take sign-ins of https://issuer") as caught:
            ask(site(authority, "oinit"), tokens)
        assert caught.value.detail == f"It takes: {''.join(issuers) or 'none'}."
    assert tokens.asked == 0
    assert all(request.method == "GET" for request in authority.requests)


def test_that_a_host_the_authority_does_not_know_is_told(authority: Endpoint) -> None:
    authority.host = "other.light.example"
    with pytest.raises(ProviderError, match=r"Host 'login\.light\.example' is not managed by this CA"):
        ask(site(authority, "oinit"), FakeTokens())
    assert len(authority.requests) == 1, "it is there, so no other address is tried"


@pytest.mark.parametrize("name", ["_oinit-ca.login.light.example", "_oinit-ca.light.example"])
def test_that_an_authority_found_by_name_gets_the_token_only_if_the_person_agrees(
        authority: Endpoint, names: Names, name: str) -> None:
    names.texts[name] = [f"{authority.origin}/ca"]
    tokens, profile = FakeTokens(), site(authority, "oinit", url="")
    person = FakePerson()
    with pytest.raises(CancelledByUserError, match=r"127\.0\.0\.1:\d+ was not trusted"):
        ask(profile, tokens, person)
    assert not authority.requests
    [(title, text, accept)] = person.confirmations
    assert title == f"Use the certificate authority 127.0.0.1:{authority.port}?"
    assert f"{authority.origin}/ca makes the certificates for login.light.example" in text
    assert accept == "Use it"
    person.agrees = True
    authority.signing = {"valid_for_s": 200}
    for _ in range(2):
        assert ask(profile, tokens, person).user == "oinit"
    assert len(person.confirmations) == 2, "not asked again in this sign-in"
    assert names.asked[0] == "_oinit-ca.login.light.example"


@pytest.mark.parametrize("record", ["http://ca.example", "ca.example", "ftp://ca.example", "https://", ""])
def test_that_a_published_address_without_https_is_none(authority: Endpoint, names: Names, record: str) -> None:
    names.texts["_oinit-ca.login.light.example"] = [record]
    with pytest.raises(ProviderError, match=r"No certificate authority is published for login\.light\.example"):
        ask(site(authority, "oinit", url=""), FakeTokens(), FakePerson(agrees=True))
    assert names.asked == ["_oinit-ca.login.light.example", "_oinit-ca.light.example"]


def test_that_a_name_service_that_is_silent_is_given_up(authority: Endpoint, names: Names,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(dns_names, "PORT", silent.getsockname()[1])
        monkeypatch.setattr(dns_names, "LOOKUP_S", 0.3)
        with pytest.raises(ProviderError, match="No certificate authority is published"):
            ask(site(authority, "oinit", url=""), FakeTokens())


def test_that_an_issuer_is_needed_for_oinit(authority: Endpoint) -> None:
    with pytest.raises(LoginRefusedError, match="does not take sign-ins of this site"):
        ask(site(authority, "oinit", issuer=""), FakeTokens())


def test_that_holders_of_different_authorities_have_different_keys(authority: Endpoint) -> None:
    tokens = FakeTokens()
    holders = {holder_of(tokens, site(authority, kind)).public_line for kind in ("conch", "conch2", "cscs")}
    assert len(holders) == 3
    assert holder_of(tokens, site(authority, "cscs")).authority == CertificateAuthority(
        "cscs", f"{authority.origin}/cscs", str(authority.pki.ca))


@pytest.mark.parametrize("kind", KINDS)
def test_that_no_token_and_no_key_is_logged(authority: Endpoint, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    tokens, profile = FakeTokens(), site(authority, kind)
    ask(profile, tokens)
    authority.forced[authority.path(kind)] = [(500, {"message": "no"})]
    holder = holder_of(tokens, profile)
    holder._held.clear()
    with pytest.raises(ProviderError) as caught:
        ask(profile, tokens)
    secret = holder._private.private_bytes_raw()
    places = [*(record.getMessage() for record in caplog.records), repr(holder), str(caught.value.__dict__)]
    assert any("certificate for" in place for place in places), "the log was looked at"
    for place in places:
        assert "the-token" not in place
        assert "id-token" not in place
        assert secret.hex() not in place
        assert base64.b64encode(secret).decode().rstrip("=") not in place
