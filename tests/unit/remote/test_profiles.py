"""Site profiles: what is read, and the sentence for every fault."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.model.site import IdentityMethod
from app.model.site_facts import facts_of
from app.remote.profile_text import commands_of, exported_text, line_of, profile_text
from app.remote.profiles import ProfileError, faults_in, parse_profile
from app.resources import resource_path

GOOD = """
schema = 1
name = "esrf"
title = "ESRF"
[identity]
method = "oidc"
issuer = "https://host/realms/x"
[identity.moonshot]
mechanism = "1.3.6.1.5.5.15.1.1.17"
[ssh]
host = "login.site.example"
[[ssh.hops]]
host = "gate.example"
hold_session = true
[ssh.certificate_authority]
kind = "conch"
url = "https://ca.site.example"
[batch]
system = "slurm"
poll_s = 2
[software]
containers = "ch-run"
binds = ["/mnt/store"]
recipes = ["/opt/recipes"]
[software.environments]
saxs = "module load pyfai"
[software.images]
tomography = "/opt/images/tomography"
"""


def test_that_a_whole_profile_is_read() -> None:
    profile = parse_profile(GOOD, "esrf.toml")
    assert profile.name == "esrf"
    assert profile.identity.method is IdentityMethod.OIDC
    assert profile.ssh.hops[0].hold_session
    assert profile.ssh.certificate_authority is not None
    assert profile.batch.poll_s == 2.0
    assert profile.software.environments == {"saxs": "module load pyfai"}
    assert profile.software.images == {"tomography": "/opt/images/tomography"}
    assert profile.software.binds == ("/mnt/store",)
    assert profile.agent.python == ("python3",)


@pytest.mark.parametrize(("change", "says"), [
    (("schema = 1", "schema = 2"), "schema must be 1"),
    (('name = "esrf"', 'name = "E"'), "name is 'E'"),
    (('name = "esrf"', 'name = "local"'), "name is 'local'"),
    (('name = "esrf"', ""), "name is missing"),
    (("https://host", "http://host"), "identity.issuer"),
    (('method = "oidc"', 'method = "magic"'), "identity.method is 'magic'"),
    (('host = "login.site.example"', "host = 3"), "ssh.host is 3"),
    (('host = "login.site.example"', 'hots = "x"'), "ssh.hots is not a known key"),
    (('"/mnt/store"', '"mnt"'), "software.binds has 'mnt'"),
    (('"/mnt/store"', '"/mnt/../etc"'), "software.binds has"),
    (('"/opt/recipes"', '"recipes"'), "software.recipes has 'recipes'"),
    (('"/opt/images/tomography"', '"--privileged"'), "software.images.tomography is '--privileged'"),
    (('"/opt/images/tomography"', '"localhost/tomography"'), "a whole path"),
    (('"/opt/images/tomography"', "7"), "software.images"),
    (('host = "login.site.example"', 'host = "x"\nport = 70000'), "ssh.port is 70000"),
    (('host = "login.site.example"', 'host = "x"\nmethods = ["telnet"]'), "ssh.methods names 'telnet'"),
    (('host = "login.site.example"', 'host = "x"\nhost_keys = ["AAAA"]'), "ssh.host_keys has the line"),
    (('system = "slurm"', 'system = "cron"'), "batch.system is 'cron'"),
    (("poll_s = 2", "poll_s = true"), "batch.poll_s is True"),
    (('kind = "conch"', 'kind = "shell"'), "certificate_authority.kind is 'shell'"),
    (('url = "https://ca.site.example"', 'url = ""'), "certificate_authority.url is ''"),
    (('url = "https://ca.site.example"', 'url = "http://ca.site.example"'), "certificate_authority.url is 'http://"),
    (("[batch]", "[batch"), "not valid TOML"),
    (('title = "ESRF"', 'colour = "red"'), "colour is 'red'"),
])
def test_that_a_fault_is_one_sentence_naming_file_and_key(change: tuple[str, str], says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(*change), "esrf.toml")
    assert caught.value.summary.startswith("esrf.toml: ")
    assert says in caught.value.summary
    assert caught.value.remedy


def test_that_only_oinits_address_may_be_left_to_the_name_service() -> None:
    authority = parse_profile(GOOD.replace('kind = "conch"\nurl = "https://ca.site.example"', 'kind = "oinit"'),
                              "esrf.toml").ssh.certificate_authority
    assert authority is not None
    assert (authority.kind, authority.url) == ("oinit", "")


_HOST = 'host = "login.site.example"'
PEM = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----"


@pytest.mark.parametrize(("change", "key", "says"), [
    ((_HOST, 'host = "me@login.site.example"'), "ssh.host", "belongs in ssh.user"),
    ((_HOST, 'host = "login.site.example:2222"'), "ssh.host", "belongs in ssh.port"),
    ((_HOST, 'host = "ssh://login.site.example"'), "ssh.host", "belongs in ssh.port"),
    ((_HOST, 'host = "login site"'), "ssh.host", "a host name or an address"),
    ((_HOST, f'{_HOST}\nuser = "a b"'), "ssh.user", "an account's name"),
    ((_HOST, f'{_HOST}\nuser = "-oProxyCommand=x"'), "ssh.user", "an account's name"),
    ((_HOST, f'{_HOST}\nhold_session = true'), "ssh.hold_session", "is for gateways"),
    ((_HOST, f'{_HOST}\nmethods = []'), "ssh.methods", "is empty"),
    (('host = "gate.example"', 'host = "you@gate.example"'), "ssh.hops[0].host", "belongs in ssh.hops[0].user"),
    (('host = "gate.example"', ""), "ssh.hops[0].host", "is missing"),
    (('host = "gate.example"', 'host = "gate.example"\ncolour = "#ffffff"'), "ssh.hops[0].colour", "not a known key"),
    (('method = "oidc"', 'method = "oidc"\nredirect_port = 70000'), "identity.redirect_port", "from 0 (any) to 65535"),
    (('method = "oidc"', 'method = "oidc"\nredirect_host = "evil.example"'), "identity.redirect_host", "127.0.0.1"),
    (('method = "oidc"', 'method = "oidc"\nredirect_path = "@evil.example/"'), "identity.redirect_path", "such as /cb"),
    (('mechanism = "1.3.6.1.5.5.15.1.1.17"', 'mechanism = "gss"'), "identity.moonshot.mechanism", "one of Moonshot's"),
    (('method = "oidc"', 'method = "moonshot"'), "ssh.methods", "has no “gssapi”"),
    (('mechanism = "1.3.6.1.5.5.15.1.1.17"', 'pins = ["abc"]'), "identity.moonshot.pins", "64 hexadecimal digits"),
    (('mechanism = "1.3.6.1.5.5.15.1.1.17"', 'ca = "abc"'), "identity.moonshot.ca", "is no certificate"),
    (('mechanism = "1.3.6.1.5.5.15.1.1.17"', f'ca = "{PEM}"'), "identity.moonshot.ca", "is no certificate"),
    (("poll_s = 2", "poll_s = 0"), "batch.poll_s", "from 0.1 to 86400"),
    (("[batch]", "[agent]\nworkers = 0\n[batch]"), "agent.workers", "from 1 to 64"),
    (("[batch]", "[agent]\npython = []\n[batch]"), "agent.python", "has no command"),
    (("[batch]", '[data]\nroots = ["data"]\n[batch]'), "data.roots", "beginning with / or ~"),
    (("[batch]", '[data]\nroots = ["/data/{proposl}"]\n[batch]'), "data.roots", "the placeholder {proposl}"),
    (("[batch]", '[data]\nroots = ["/data/{proposal"]\n[batch]'), "data.roots", "in pairs of braces"),
    (("[batch]", '[sources]\n"ssh.hots" = "unverified"\n[batch]'), "sources", "“ssh.hots”, which is no key"),
    (("[batch]", '[sources]\n"ssh.host" = "somebody"\n[batch]'), "sources", "one of doc: …, third-party: …"),
])
def test_that_values_have_bounds_and_the_key_at_fault_is_told(change: tuple[str, str], key: str, says: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace(*change), "esrf.toml")
    assert caught.value.key == key
    assert caught.value.summary == f"esrf.toml: {caught.value.sentence}"
    assert says in caught.value.sentence
    assert [fault.sentence for fault in faults_in(GOOD.replace(*change), "esrf.toml")] == [caught.value.sentence]


@pytest.mark.parametrize("host", ["gate", "gate.example.org", "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "my_alias"])
def test_that_names_aliases_and_addresses_are_hosts(host: str) -> None:
    assert parse_profile(GOOD.replace("login.site.example", host), "x").ssh.host == host


def test_that_one_fault_hides_no_other() -> None:
    text = GOOD.replace("schema = 1", "schema = 3").replace('name = "esrf"', 'name = "E"') \
        .replace("login.site.example", "me@host:22").replace("gate.example", "a b").replace('"slurm"', '"cron"')
    assert {fault.key for fault in faults_in(text, "x")} == {"schema", "name", "ssh.host", "ssh.hops[0].host",
                                                             "batch.system"}


def test_that_a_text_that_is_no_toml_names_its_line() -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(GOOD.replace("[batch]", "[batch"), "x")
    assert GOOD.splitlines()[caught.value.line - 1] == "[batch]"
    assert caught.value.key == ""


def test_that_the_line_of_a_key_is_found() -> None:
    lines = GOOD.splitlines()
    for key, line in (("name", 'name = "esrf"'), ("ssh.host", _HOST), ("ssh.hops[0].host", 'host = "gate.example"'),
                      ("ssh.hops[0].port", "[[ssh.hops]]"), ("batch.poll_s", "poll_s = 2"),
                      ("ssh.certificate_authority.url", 'url = "https://ca.site.example"'),
                      ("software.environments", "[software.environments]"), ("data.roots", "")):
        found = line_of(GOOD, key)
        assert (lines[found - 1] if found else "") == line, key


FACILITIES = sorted(resource_path("facilities").glob("*.toml"))


def test_that_thirteen_facilities_are_shipped() -> None:
    assert [file.stem for file in FACILITIES] == ["alba", "cscs", "desy", "diamond", "elettra", "esrf", "hzb", "hzdr",
                                                  "ill", "maxiv", "psi", "soleil", "xfel"]


@pytest.mark.parametrize("file", FACILITIES, ids=lambda file: file.stem)
def test_that_every_value_of_a_shipped_facility_says_where_it_comes_from(file: Path) -> None:
    profile = parse_profile(file.read_text("utf-8"), file.name)
    assert profile.name == file.stem
    assert faults_in(file.read_text("utf-8"), file.name) == []
    said = [fact for fact in facts_of(profile) if fact.state not in ("default", "unknown")]
    assert all(fact.state in ("documented", "third-party", "unverified") for fact in said), said
    assert profile.needs_host == (file.stem in ("alba", "elettra", "esrf", "hzb", "ill", "soleil"))
    assert not profile.ssh.user
    assert not profile.ssh.host_keys


def test_that_names_mark_colours_that_differ() -> None:
    colours = [parse_profile(file.read_text("utf-8"), file.name).colour for file in FACILITIES]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("text", [GOOD, *(file.read_text("utf-8") for file in FACILITIES)])
def test_that_a_profile_written_is_the_profile_read(text: str) -> None:
    profile = parse_profile(text, "x")
    assert parse_profile(profile_text(profile, "a comment"), "y") == profile


def test_that_texts_survive_being_written() -> None:
    profile = replace(parse_profile(GOOD, "x"), title='A "quoted" \\ title\twith ünïcode',
                      contact="two\nlines", sources={"ssh.host": "doc: “x”"})
    assert parse_profile(profile_text(profile), "y") == profile


def test_that_what_is_given_away_holds_nothing_private() -> None:
    profile = parse_profile(GOOD.replace(_HOST, f'{_HOST}\nuser = "smith"').replace(
        'host = "gate.example"', 'host = "gate.example"\nuser = "smith2"').replace(
        'kind = "conch"', 'kind = "conch"\nca_file = "/home/smith/ca.pem"').replace(
        "[identity.moonshot]", 'ca_file = "/home/smith/x.pem"\n[identity.moonshot]').replace(
        "poll_s = 2", 'poll_s = 2\naccount = "smith-project"'), "x")
    text = exported_text(profile)
    assert "smith" not in text
    again = parse_profile(text, "y")
    assert (again.ssh.host, again.ssh.hops[0].hold_session) == (profile.ssh.host, True)


def test_that_the_commands_a_profile_brings_are_listed() -> None:
    profile = parse_profile(GOOD.replace("[batch]", '[agent]\npython = ["python3", "rm -rf ~; python3"]\n[batch]'), "x")
    assert commands_of(profile) == [("agent.python", "rm -rf ~; python3"),
                                    ("software.environments.saxs", "module load pyfai"),
                                    ("software.images.tomography", "/opt/images/tomography"),
                                    ("software.recipes", "/opt/recipes")]
