"""Certificates: asked of a real HTTPS endpoint, checked, used at a real OpenSSH server, renewed."""

from __future__ import annotations

import base64
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import BeamsideError, CancelledByUserError, LoginRefusedError
from app.model.site import SshSettings
from app.remote.ssh.authority.certificate import Certificate, check, read
from app.remote.ssh.authority.holder import holder_of
from app.remote.ssh.authority.offer import Offer, fitting, parted
from app.remote.ssh.connect import open_ssh
from tests.peers.certificate_endpoint import KINDS, Endpoint, endpoint
from tests.peers.interaction import FakePerson
from tests.peers.pki import Pki
from tests.peers.sshd import Sshd, UserAuthority, public_line, sshd
from tests.unit.remote_ssh.authorities import ISSUER, FakeTokens, site


@pytest.fixture
def authority(pki: Pki, server: Sshd) -> Iterator[Endpoint]:
    """An authority whose certificates the server trusts; ``ada`` is the user who runs the tests."""
    subjects = {"the-token": "ada", **{f"id-token-{n}": "ada" for n in range(9)}}
    with endpoint(pki, server.authority, {"ada": [server.user]}, subjects, host=f"127.0.0.1:{server.port}",
                  issuers=[ISSUER]) as running:
        yield running


def ours(text: str, **changes: Any) -> Certificate:
    """A certificate as the holder makes it."""
    found = read(text)
    return dataclasses.replace(found, **{"user": found.principals[0] if found.principals else "", **changes})


def line() -> str:
    return public_line(Ed25519PrivateKey.generate())


def test_that_a_certificate_lets_in_as_the_user_it_names(server: Sshd, authority: Endpoint) -> None:
    transport = open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert transport.user == server.user
    transport.close()


@pytest.mark.parametrize("kind", ["cscs", "step-ca"])
def test_that_the_account_comes_from_the_certificate_where_the_answer_does_not_say(
        server: Sshd, authority: Endpoint, kind: str) -> None:
    transport = open_ssh(site(server, authority, kind), FakePerson(), FakeTokens())
    assert transport.user == server.user
    transport.close()


def test_that_a_fresh_certificate_is_used_again_and_an_old_one_is_not(server: Sshd, authority: Endpoint) -> None:
    tokens = FakeTokens()
    for _ in range(2):
        open_ssh(site(server, authority), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 1
    authority.signing = {"valid_for_s": 299}   # less than five minutes: used once
    open_ssh(site(server, authority, user=server.user), FakePerson(), tokens).close()
    open_ssh(site(server, authority, user=server.user), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 3
    tokens.derived.clear()   # signed out
    open_ssh(site(server, authority), FakePerson(), tokens).close()
    assert authority.counts["/sign"] == 4
    keys = {request.values["public_key"] for request in authority.requests}
    assert len(keys) == 2, "a new sign-in has a new key"


def test_that_renewal_is_due_at_four_fifths_or_five_minutes() -> None:
    now = time.time()
    day = ours(UserAuthority().sign(line(), ["ada"], valid_from_s=0, valid_for_s=86400))
    assert day.fresh(now + 0.79 * 86400)
    assert not day.fresh(now + 0.81 * 86400)
    short = ours(UserAuthority().sign(line(), ["ada"], valid_from_s=0, valid_for_s=900))
    assert short.fresh(now + 590)
    assert not short.fresh(now + 610)
    slow = ours(short.text, clock_skew_s=-1800.0)   # this clock is half an hour behind
    assert slow.fresh(now - 1800 + 590)
    assert not slow.fresh(now - 1800 + 610)


def test_that_a_connection_outlives_its_certificate(server: Sshd, authority: Endpoint) -> None:
    authority.signing = {"valid_for_s": 3}
    transport = open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert transport.run(["sleep", "4"]).exit_code == 0
    assert transport.run(["echo", "still"]).stdout == b"still\n"
    transport.close()


# ---- what is refused before it is used ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("signing", "why"), [
    ({"valid_from_s": -7200, "valid_for_s": -3600}, "it ended at"),
    ({"valid_from_s": 1800, "valid_for_s": 3600}, "it is not valid before"),
    ({"principals": ["somebody-else"]}, "it is for somebody-else, not for ada.p1"),
    ({"principals": ["odd\x1b[31m"]}, r"it is for odd\\x1b\[31m, not for ada\.p1"),
    ({"principals": []}, "it names no account"),
    ({"host": True}, "it is for a host, not for a user"),
    ({"options": {"only-on@sundays.example": "yes"}}, r"a condition that Beamside does not know \(only-on@sundays"),
])
def test_that_a_certificate_that_cannot_work_is_refused_before_it_is_used(
        server: Sshd, authority: Endpoint, kind: str, signing: dict[str, Any], why: str) -> None:
    authority.accounts, authority.signing = {"ada": ["ada.p1"]}, signing
    with pytest.raises(LoginRefusedError, match=why):
        open_ssh(site(server, authority, kind, user="ada.p1"), FakePerson(), FakeTokens())
    assert "Accepted" not in server.log


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", ["another key", "a bare key", "damaged", "nonsense", "empty"])
def test_that_anothers_or_a_damaged_certificate_is_refused(server: Sshd, authority: Endpoint, kind: str,
                                                           wrong: str) -> None:
    def answered(public: str) -> str:
        if wrong == "a bare key":
            return public
        text = server.authority.sign(line() if wrong == "another key" else public, [server.user])
        blob = base64.b64decode(text.split()[1])
        damaged = base64.b64encode(blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:]).decode()
        given = {"another key": text, "damaged": f"{text.split()[0]} {damaged}", "nonsense": "nonsense", "empty": ""}
        return given[wrong]

    authority.accounts = {"ada": ["ada.p1"]} if kind == "conch2" else authority.accounts
    authority.certificate = answered
    why = {"another key": "it is for another key", "a bare key": "it is a bare key",
           "damaged": "its signature is wrong", "nonsense": "it cannot be read",
           "empty": "it cannot be read|gives no access"}[wrong]
    with pytest.raises(LoginRefusedError, match=why):
        open_ssh(site(server, authority, kind, user=authority.accounts["ada"][0]), FakePerson(), FakeTokens())
    assert "Accepted" not in server.log


def test_that_a_clock_that_is_wrong_here_is_no_reason_to_refuse() -> None:
    public = line()
    for skew in (-1800.0, 1800.0):
        text = UserAuthority().sign(public, ["ada"], valid_from_s=-60 - skew, valid_for_s=300 - skew)
        with pytest.raises(LoginRefusedError, match="cannot be used"):
            check(ours(text), public, time.time())
        check(ours(text, clock_skew_s=skew), public, time.time())


def test_that_a_wrong_clock_is_named_when_the_server_refuses(server: Sshd, authority: Endpoint) -> None:
    for valid, offset_s, what in (((1700, 3600), 1800, "30 minutes slow"), ((-3600, -1100), -1200, "20 minutes fast")):
        authority.signing = {"valid_from_s": valid[0], "valid_for_s": valid[1]}
        authority.date_offset_s = offset_s
        with pytest.raises(LoginRefusedError) as caught:
            open_ssh(site(server, authority), FakePerson(), FakeTokens())
        assert f"this computer's clock is {what}" in caught.value.summary
        assert "Failed publickey" in server.log, "it was tried, since the clock that is wrong may be this one"


@pytest.mark.parametrize(("kind", "told"), [("conch", True), ("oinit", False)])
def test_that_a_forced_command_is_told_where_it_is_not_usual(server: Sshd, authority: Endpoint, kind: str,
                                                             told: bool) -> None:
    authority.signing = {"options": {"force-command": "menu"}}
    person, tokens, profile = FakePerson(), FakeTokens(), site(server, authority, kind, user=server.user)
    assert holder_of(tokens, profile).certificate(profile, tokens, person).forced_command == "menu"
    assert any("replaces every command by “menu”" in text for text in person.said) is told


# ---- which account, which way ---------------------------------------------------------------------------------------


def test_that_the_person_chooses_among_several_accounts_once(server: Sshd, authority: Endpoint) -> None:
    authority.accounts = {"ada": ["ada.p1", server.user]}
    person, tokens = FakePerson(answers=[["ada.p3"], [server.user]]), FakeTokens()
    profile = site(server, authority)
    open_ssh(profile, person, tokens).close()
    assert [title for title, _, _ in person.prompts] == ["Which account?"] * 2
    assert f"\n1.  ada.p1 (project p1)\n2.  {server.user} (project {server.user})\n" in person.prompts[0][1]
    assert "“ada.p3” is none of them" in person.prompts[1][1]
    authority.signing = {"valid_for_s": 200}
    holder_of(tokens, profile)._held.clear()
    open_ssh(profile, person, tokens).close()
    assert len(person.prompts) == 2, "not asked again"


@pytest.mark.parametrize("given", ["p2", "ada.p2", " 2 "])
def test_that_a_project_or_number_may_be_named_instead_of_the_account(server: Sshd, authority: Endpoint,
                                                                      given: str) -> None:
    authority.accounts = {"ada": ["ada.p1", "ada.p2"]}
    person = FakePerson(answers=[["0"], ["3"], [given]])
    certificate = holder_of(tokens := FakeTokens(), profile := site(server, authority)).certificate(
        profile, tokens, person)
    assert certificate.user == "ada.p2"


def test_that_who_does_not_choose_is_told_what_to_write(server: Sshd, authority: Endpoint) -> None:
    authority.accounts = {"ada": ["ada.p1", "ada.p2"]}
    with pytest.raises(LoginRefusedError, match=r"several accounts at 127\.0\.0\.1: ada\.p1 .*ada\.p2") as caught:
        open_ssh(site(server, authority), FakePerson(), FakeTokens())
    assert caught.value.remedy == "Name the one to use as user in the site profile."
    person = FakePerson()
    person.cancelled.set()
    with pytest.raises(CancelledByUserError):
        open_ssh(site(server, authority), person, FakeTokens())


def test_that_several_principals_are_asked_too(server: Sshd, authority: Endpoint) -> None:
    authority.signing = {"principals": ["ada2", server.user]}
    transport = open_ssh(site(server, authority, "cscs"), FakePerson(answers=[[server.user]]), FakeTokens())
    assert transport.user == server.user
    transport.close()


def test_that_the_profiles_account_and_host_are_chosen() -> None:
    offers = [Offer("a", "h", "ada.p1"), Offer("b", "h", "ada.p2"), Offer("c", "other:2222", "ada.p3"),
              Offer("d", "node", "ada.p4", alias="batch", project="p4")]
    assert [o.text for o in fitting(offers, SshSettings("h", user="ada.p2"))] == ["b"]
    assert [o.text for o in fitting(offers, SshSettings("h"))] == ["a", "b"]
    assert [o.text for o in fitting(offers, SshSettings("OTHER", 2222))] == ["c"]
    assert [o.text for o in fitting(offers, SshSettings("batch"))] == ["d"]
    assert [o.text for o in fitting(offers, SshSettings("p4.batch"))] == ["d"]
    with pytest.raises(LoginRefusedError, match=r"no access to h as ada\.p3") as caught:
        fitting(offers, SshSettings("h", user="ada.p3"))
    assert "ada.p3 at other" in caught.value.detail
    with pytest.raises(LoginRefusedError, match="no access to other"):
        fitting(offers, SshSettings("other", 22))


def test_that_the_authority_tells_the_host_behind_an_alias_and_the_gateway(server: Sshd, authority: Endpoint) -> None:
    authority.proxy_jump = "bastion.example:2022"
    profile, tokens = site(server, authority, host="here.example"), FakeTokens()
    certificate = holder_of(tokens, profile).certificate(profile, tokens, FakePerson())
    assert parted(certificate.hostname) == ("127.0.0.1", server.port)
    assert parted(certificate.proxy_jump) == ("bastion.example", 2022)
    profile = site(server, authority)
    certificate = holder_of(tokens, profile).certificate(profile, tokens, FakePerson())
    assert certificate.hostname == "", "the profile has the address"
    assert certificate.proxy_jump == "bastion.example:2022"


def test_that_an_alias_of_the_authority_leads_to_its_host(server: Sshd, authority: Endpoint) -> None:
    transport = open_ssh(site(server, authority, host="here.example", port=22), FakePerson(), FakeTokens())
    assert transport.run(["echo", "there"]).stdout == b"there\n"
    transport.close()


def test_that_the_gateway_the_authority_names_is_gone_through(server: Sshd, authority: Endpoint,
                                                             tmp_path: Path) -> None:
    with sshd(tmp_path / "gate", authority=server.authority) as gate:
        authority.proxy_jump = f"127.0.0.1:{gate.port}"
        authority.signing = {"extensions": ("permit-pty", "permit-port-forwarding"), "valid_for_s": 200}
        person = FakePerson(trusts=True)
        transport = open_ssh(site(server, authority), person, FakeTokens())
        assert transport.run(["echo", "behind"]).stdout == b"behind\n"
        transport.close()
        assert f"Accepted publickey for {server.user}" in gate.log
        assert len(person.keys_asked) == 1, "the gateway's key, which no profile pins"
        assert authority.counts["/sign"] == 1, "one certificate for both"
        authority.signing = {"extensions": ("permit-pty",)}
        with pytest.raises(BeamsideError, match="certificate does not allow hopping"):
            open_ssh(site(server, authority), FakePerson(trusts=True), FakeTokens())


def test_that_what_is_no_address_is_not_taken_for_one() -> None:
    assert parted("bastion.example") == ("bastion.example", 0)
    assert parted("%r@bastion.example:22") == ("bastion.example", 22)
    assert parted("[2001:db8::1]:22") == ("2001:db8::1", 22)
    for odd in ("-oProxyCommand=x", "a b", "host:99999", "host;rm", "", "host/x"):
        assert parted(odd) == ("", 0)


def test_that_two_connections_ask_for_one_certificate(server: Sshd, authority: Endpoint) -> None:
    tokens, profile = FakeTokens(), site(server, authority)
    found: list[Certificate] = []
    threads = [threading.Thread(target=lambda: found.append(
        holder_of(tokens, profile).certificate(profile, tokens, FakePerson()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({certificate.text for certificate in found}) == 1
    assert len(found) == 4
    assert authority.counts["/sign"] == 1


def test_that_a_netrc_file_does_not_replace_the_token(server: Sshd, authority: Endpoint, own_home: Path) -> None:
    (own_home / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    open_ssh(site(server, authority), FakePerson(), FakeTokens()).close()
    assert authority.requests[-1].headers["Authorization"] == "Bearer the-token"
