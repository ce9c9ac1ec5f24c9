"""From what a person types about a site to a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.model.site import IdentityMethod, SiteProfile
from app.remote.profile_text import profile_text
from app.remote.profiles import faults_in, parse_profile
from app.resources import resource_path
from app.session.new_site import (
    MOONSHOT,
    PAGE,
    NewSite,
    gateways_text,
    profile_for,
    suggested_colour,
    suggested_name,
    suggested_title,
)


def made(**said: str) -> SiteProfile:
    profile = profile_for(NewSite(**{"place": "login.lab.example", "name": "lab", **said}))
    assert isinstance(profile, SiteProfile), profile
    assert faults_in(profile_text(profile), "x") == []
    return profile


@pytest.mark.parametrize(("place", "host", "port", "user"), [
    ("login.lab.example", "login.lab.example", 22, ""), ("you@host", "host", 22, "you"),
    ("host:2222", "host", 2222, ""),
    ("ssh://you@host:2222", "host", 2222, "you"), ("ssh://host/", "host", 22, ""), ("alias", "alias", 22, ""),
    ("192.0.2.1", "192.0.2.1", 22, ""), ("[2001:db8::1]:2222", "2001:db8::1", 2222, ""),
    ("  you@host  ", "host", 22, "you"), ("first@second@host", "host", 22, "first@second"),
])
def test_that_places_are_read_as_people_write_them(place: str, host: str, port: int, user: str) -> None:
    profile = profile_for(NewSite(place, name="lab"))
    assert isinstance(profile, SiteProfile)
    assert (profile.ssh.host, profile.ssh.port, profile.ssh.user) == (host, port, user)


def test_that_the_field_for_the_user_wins() -> None:
    assert made(place="you@host", user="me").ssh.user == "me"


@pytest.mark.parametrize(("said", "says"), [
    (NewSite(""), "Type the host's name"), (NewSite("a b"), "“a b” is no host"),
    (NewSite("host", gateways="gate:x"), "“gate:x” is no gateway"),
    (NewSite("host", way=PAGE, issuer="http://op"), "begins with https://"),
    (NewSite("host", way=PAGE, authority_kind="conch"), "the address of the certificate authority"),
])
def test_that_what_is_missing_is_said_in_a_sentence(said: NewSite, says: str) -> None:
    sentence = profile_for(said)
    assert isinstance(sentence, str)
    assert says in sentence
    assert sentence.endswith(".")


def test_that_gateways_stay_in_order() -> None:
    profile = made(gateways="you@one.example:5022, two.example")
    assert [(hop.host, hop.port, hop.user) for hop in profile.ssh.hops] == [("one.example", 5022, "you"),
                                                                            ("two.example", 22, "")]
    assert gateways_text(profile) == "you@one.example:5022, two.example"


def test_that_each_way_of_signing_in_has_its_methods() -> None:
    keys = made()
    assert (keys.identity.method, keys.ssh.methods[0]) == (IdentityMethod.NONE, "agent")
    page = made(way=PAGE, issuer="https://op.example", client_id="desktop", authority_kind="conch",
                authority_url="https://ca.example")
    assert (page.identity.issuer, page.identity.client_id) == ("https://op.example", "desktop")
    assert page.ssh.methods[0] == "certificate"
    assert page.ssh.certificate_authority is not None
    without = made(way=PAGE)
    assert (without.identity.issuer, without.ssh.methods[0]) == ("", "agent"), "UmbrellaID: until the issuer is known"
    assert made(way=MOONSHOT).ssh.methods[0] == "gssapi"
    assert made(way=PAGE, authority_kind="oinit").ssh.certificate_authority is not None


def test_that_what_is_known_of_a_facility_is_kept() -> None:
    file: Path = resource_path("facilities", "esrf.toml")
    base = parse_profile(file.read_text("utf-8"), file.name)
    profile = profile_for(NewSite("login.nice.example", gateways="me@firewall.esrf.fr:5022", name="esrf",
                                  title="ESRF"), base)
    assert isinstance(profile, SiteProfile)
    assert profile.data == base.data
    assert profile.sources["data.roots"] == base.sources["data.roots"]
    assert (profile.ssh.hops[0].user, profile.ssh.hops[0].methods) == ("me", base.ssh.hops[0].methods)


@pytest.mark.parametrize(("place", "name"), [
    ("login.esrf.fr", "esrf"), ("you@max-exfl-display.desy.de", "desy"), ("ssh.diamond.ac.uk", "diamond"),
    ("offline-fe1.maxiv.lu.se", "maxiv"), ("alias", "alias"), ("192.0.2.1", "site"), ("[::1]", "site"), ("", ""),
    ("UPPER.Example.ORG", "example"), ("x", "site"), ("login.cluster", "login"),
])
def test_that_a_short_name_is_suggested(place: str, name: str) -> None:
    assert suggested_name(place) == name


def test_that_titles_and_colours_are_suggested() -> None:
    assert (suggested_title("esrf"), suggested_title("elettra")) == ("ESRF", "Elettra")
    assert suggested_title("esrf", "you@login.esrf.example") == "ESRF"
    for place, title in (("192.0.2.1", "192.0.2.1"), ("you@192.0.2.1:2222", "192.0.2.1"), ("[::1]:22", "::1")):
        assert suggested_title(suggested_name(place), place) == title
    colours = [suggested_colour(set(), number) for number in range(12)]
    assert len(set(colours)) == 12
    assert suggested_colour({colours[0]}, 0) == colours[1]
