"""Which RADIUS server is the right one: what the profile says, what the mechanism is told, what a refusal means."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import ProviderError
from app.model.site import MoonshotSettings
from app.remote.moonshot import known, refusals
from app.remote.moonshot.ending import ExchangeFailed
from app.remote.moonshot.gss import oid_der, oid_elements
from app.remote.moonshot.process import HelperError, Trusted
from app.remote.moonshot.refusals import Attempt, CertificateRefusedError, PasswordRefusedError, explain
from app.remote.moonshot.session import MoonshotSession
from tests.peers.need import need_module

bus = need_module("app.remote.moonshot.bus", "of Linux")
PEM = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n"
PRINT = "ab" * 32


def test_that_nothing_is_trusted_by_default() -> None:
    trust = bus.Trust()
    assert not trust.confirm(PRINT)
    assert trust.refused == [PRINT]


@pytest.mark.parametrize(("trust", "trusted"), [
    ({"pins": frozenset({PRINT})}, True), ({"pins": frozenset({"00" * 32})}, False),
    ({"ca": PEM, "subject": "radius.example"}, True), ({"ca": PEM}, False), ({"subject": "radius.example"}, False),
    ({"ca": PEM, "subject": "radius.example", "pins": frozenset({"00" * 32})}, False)])
def test_that_pins_decide_and_an_authority_needs_a_name(trust: dict[str, object], trusted: bool) -> None:
    assert bus.Trust(**trust).confirm(PRINT.upper()) is trusted


@pytest.mark.parametrize(("trust", "told"), [
    ({"pins": frozenset({PRINT})}, None), ({"ca": PEM}, None), ({"ca": "no PEM", "subject": "a.example"}, None),
    ({"ca": PEM, "subject": "a.example"}, ("", "AAEC", "", "DNS:a.example")),
    ({"ca": PEM, "subject": "CN=a.example"}, ("", "AAEC", "CN=a.example", ""))])
def test_that_the_mechanism_is_told_authority_and_name(trust: dict[str, object], told: object) -> None:
    assert bus.Trust(**trust).constraints() == told


def session(**settings: Any) -> MoonshotSession:
    return MoonshotSession("site", "The site", MoonshotSettings(**settings))


def test_that_an_authority_without_a_name_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ProviderError, match="not the server it is for"):
        session(ca=PEM).trusted("home.example")


def test_that_pins_may_be_written_as_openssl_writes_them() -> None:
    colons = ":".join(PRINT.upper()[i:i + 2] for i in range(0, 64, 2))
    assert session(pins=(colons, f"SHA256:{PRINT}")).trusted("home.example").pins == (PRINT, PRINT)


def test_that_confirmed_certificates_count_only_where_the_profile_says_nothing() -> None:
    known.remember_certificate("Home.Example", PRINT)
    assert session().trusted("home.example") == Trusted(pins=(PRINT,))
    assert session().trusted("other.example") == Trusted()
    assert session(pins=("00",)).trusted("home.example").pins == ("00",)
    assert not session(pins=("00",)).asks_about_certificates
    assert known.known_file().stat().st_mode & 0o077 == 0


def test_that_a_file_that_cannot_be_read_is_as_good_as_none() -> None:
    known.remember_identity("site", "alice@home.example")
    assert known.last_identity("site") == "alice@home.example"
    known.known_file().write_text("[")
    assert known.last_identity("site") == ""
    known.known_file().write_text('{"identities": ["x"], "servers": {"home.example": "y"}}')
    assert known.last_identity("site") == ""
    assert known.confirmed_certificates("home.example") == ()


def rejected(trusted: Trusted, **notes: Any) -> Exception:
    cause = HelperError("gss", "Invalid credential", major=0xA0000, minor=2109382912 + 13, **notes)
    return explain(ExchangeFailed("federation", str(cause), cause), Attempt("h", "u", "a@home.example", trusted))


CA = Trusted(PEM, "radius.example")


@pytest.mark.parametrize(("trusted", "notes", "kind"), [
    (Trusted(pins=(PRINT,)), {"seen": [PRINT], "rounds": 9, "seen_at": 6}, PasswordRefusedError),
    (Trusted(pins=("00",)), {"seen": [PRINT], "refused": [PRINT], "rounds": 7, "seen_at": 6}, CertificateRefusedError),
    (CA, {"seen": [PRINT], "rounds": 9, "seen_at": 6}, PasswordRefusedError),
    (CA, {"seen": [PRINT], "rounds": 8, "seen_at": 6}, PasswordRefusedError),
    (CA, {"seen": [PRINT], "rounds": 7, "seen_at": 6}, CertificateRefusedError),
    (CA, {"rounds": 7}, CertificateRefusedError),
    (CA, {"rounds": 3}, PasswordRefusedError),
], ids=["password", "pin", "password with CA", "suspended with CA", "name", "authority", "refused at once"])
def test_that_a_refused_certificate_is_told_from_a_refused_password(trusted: Trusted, notes: dict[str, object],
                                                                    kind: type[Exception]) -> None:
    assert type(rejected(trusted, **notes)) is kind


@pytest.mark.parametrize(("platform", "others", "summary", "remedy"), [
    ("linux", "", "needs the Moonshot mechanism", "moonshot-gss-eap). Ask the facility for another way"),
    ("linux", "key, agent", "needs the Moonshot mechanism", "This facility also offers: key, agent."),
    ("darwin", "key", "available on Linux only", "This facility also offers: key."),
    ("win32", "", "available on Linux only", "Ask the facility for another way")])
def test_that_a_computer_without_moonshot_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, platform: str,
                                                             others: str, summary: str, remedy: str) -> None:
    monkeypatch.setattr(refusals.sys, "platform", platform)
    error = refusals.not_available(others, "details")
    assert summary in error.summary
    assert remedy in error.remedy


def test_that_every_case_has_one_sentence_and_a_remedy() -> None:
    for case in (*refusals._BY_STAGE.values(), *refusals._BY_CODE.values()):
        filled = case.summary.format(host="h", user="u", identity="a@b.example", realm="b.example")
        assert filled.endswith(".")
        assert case.remedy.endswith(".")


@pytest.mark.parametrize(("dotted", "content"), [("1.3.6.1.5.5.15.1.1.17", "2b060105050f010111"),
                                                 ("1.2.840.113554.1.2.2", "2a864886f712010202"), ("2.999", "8837")])
def test_that_object_identifiers_are_encoded(dotted: str, content: str) -> None:
    assert oid_elements(dotted).hex() == content
    assert oid_der(dotted) == bytes((6, len(content) // 2)) + bytes.fromhex(content)


@pytest.mark.parametrize("dotted", ["", "1", "1.x", "3.1", "1.40", "1.-2"])
def test_that_what_is_no_object_identifier_is_refused(dotted: str) -> None:
    with pytest.raises(ValueError):
        oid_elements(dotted)
