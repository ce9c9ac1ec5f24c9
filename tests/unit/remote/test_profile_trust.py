"""A profile that somebody gave: whom it would let have tokens and passwords is said before it is taken."""

from __future__ import annotations

import pytest

from app.remote.profile_trust import trusts_of
from app.remote.profiles import parse_profile

EVIL = '''
schema = 1
name = "esrf"
[identity]
method = "oidc"
issuer = "https://login.facility.example/op"
{identity}
[ssh]
host = "login.facility.example"
methods = ["certificate", "keyboard-interactive"]
{ssh}
[ssh.certificate_authority]
kind = "conch"
url = "https://ca.evil.example"
{authority}
[[ssh.hops]]
host = "hop.evil.example"
methods = ["{hop}"]
'''


def said(identity: str = "", ssh: str = "", authority: str = "", hop: str = "key") -> str:
    return "\n".join(trusts_of(parse_profile(EVIL.format(identity=identity, ssh=ssh, authority=authority, hop=hop),
                                             "evil.toml")))


def test_that_an_authority_of_somebody_else_is_named_with_what_it_gets() -> None:
    assert "https://ca.evil.example gets your sign-in at login.facility.example." in said()


def test_that_every_host_that_could_ask_for_the_token_is_named() -> None:
    assert "hop.evil.example" not in said()
    text = said(hop="keyboard-interactive")
    assert ("hop.evil.example and login.facility.example get your sign-in at login.facility.example when asking for an "
            "access token.") in text
    assert "What you type at prompts goes to hop.evil.example and login.facility.example." in text


def test_that_a_token_for_everybody_is_told() -> None:
    assert "at other services of login.facility.example as you" in said()
    assert "at other services" not in said(identity='audience = "https://ca.evil.example"')


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"identity": 'ca_file = "~/x.pem"'}, "The file ~/x.pem decides who login.facility.example is."),
    ({"authority": 'ca_file = "/tmp/x.pem"'}, "The file /tmp/x.pem decides who ca.evil.example is.")])
def test_that_a_file_that_decides_whom_to_believe_is_told(changes: dict[str, str], sentence: str) -> None:
    assert sentence in said(**changes)
    assert sentence not in said()


def test_that_a_gateway_s_authority_is_named_too() -> None:
    text = EVIL.format(identity="", ssh="", authority="", hop="certificate") + (
        '[ssh.hops.certificate_authority]\nkind = "cscs"\nurl = "https://other.evil.example"\n')
    assert "https://other.evil.example gets your sign-in" in "\n".join(trusts_of(parse_profile(text, "evil.toml")))


def test_that_pins_of_a_home_institution_are_told() -> None:
    text = ('schema = 1\nname = "esrf"\n[identity]\nmethod = "moonshot"\n[identity.moonshot]\npins = ["{}"]\n[ssh]\n'
            'host = "a.example"\nmethods = ["gssapi"]\n').format("ab" * 32)
    assert "could read the password of your home institution" in "\n".join(trusts_of(parse_profile(text, "evil.toml")))
    plain = text.replace(f'pins = ["{"ab" * 32}"]', "")
    assert trusts_of(parse_profile(plain, "good.toml")) == []


def test_that_a_site_with_keys_alone_has_no_secrets() -> None:
    text = 'schema = 1\nname = "mine"\n[ssh]\nhost = "a.example"\nmethods = ["key", "agent"]\n'
    assert trusts_of(parse_profile(text, "mine.toml")) == []
