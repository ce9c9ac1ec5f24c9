"""Signing in with the home institution's account: real EAP-TTLS over RadSec, a real GSS-EAP sshd, nothing made up."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import CancelledByUserError, LinkLostError
from app.model.identity import Identity
from app.model.site import SshSettings
from app.remote.moonshot import known
from app.remote.moonshot.refusals import CertificateRefusedError, written
from app.remote.sites import Sites
from app.remote.ssh.shared_gateways import SHARED
from app.remote.ssh.transport import SshTransport
from tests.peers import moonshot_config as config
from tests.peers.interaction import FakePerson
from tests.peers.moonshot import HOST_NAME, GssSshd, MoonshotFacility, moonshot_facility

ALICE = ["alice@facility.example", "correct horse"]


def connect(sites: Sites, person: FakePerson) -> SshTransport:
    transport = sites.transport("moon", person)
    assert isinstance(transport, SshTransport)
    return transport


def who(transport: SshTransport) -> str:
    try:
        return transport.run(["id", "-un"]).text.strip()
    finally:
        transport.close()


def inner_logins(log: str) -> list[str]:
    """What reached the home institution's own check of a password."""
    return [line for line in log.splitlines() if "Login" in line and "via TLS tunnel" in line]


def test_that_a_person_signs_in_with_identity_and_password(moonshot_site: MoonshotFacility,
                                                           moonshot_sshd: GssSshd) -> None:
    before = len(moonshot_sshd.log), len(moonshot_site.radius_log)
    person = FakePerson(answers=[ALICE])
    transport = connect(Sites((moonshot_site.profile(moonshot_sshd),)), person)
    with transport._link.open_sftp_client() as files:
        assert ".k5login" in files.listdir(str(moonshot_site.home))
    assert who(transport) == moonshot_site.login
    assert "Accepted gssapi-with-mic" in moonshot_sshd.log[before[0]:]
    assert "alice@facility.example" in moonshot_sshd.log[before[0]:]
    radius = moonshot_site.radius_log[before[1]:]
    assert "Login OK: [@facility.example]" in radius, "only the realm is in the clear"
    (title, instructions, prompts), = person.prompts
    assert title == "Sign in with your home institution"
    assert "Your password goes to that institution only" in instructions
    assert [echo for _, echo in prompts] == [True, False]
    assert any("facility.example" in text for text in person.said)


def test_that_reconnecting_asks_nothing_and_signing_out_forgets(moonshot_site: MoonshotFacility,
                                                                moonshot_sshd: GssSshd) -> None:
    sites = Sites((moonshot_site.profile(moonshot_sshd),))
    assert sites.identity("moon") is None
    connect(sites, FakePerson(answers=[ALICE])).close()
    assert sites.identity("moon") == Identity("facility.example", "alice@facility.example")
    silent = FakePerson()
    assert who(connect(sites, silent)) == moonshot_site.login
    assert silent.prompts == []
    assert sites.end_sign_in("moon").sites == ("moon",)
    assert sites.identity("moon") is None
    again = FakePerson(answers=[["", ALICE[1]]])    # the identity is remembered, the password is not
    assert sites.sign_in("moon", again).subject == "alice@facility.example"
    assert "alice@facility.example" in again.prompts[0][1]
    assert ALICE[1] not in known.known_file().read_text()


def test_that_a_server_that_does_not_wait_for_the_password_is_called_again(moonshot_site: MoonshotFacility) -> None:
    with moonshot_site.sshd("LoginGraceTime 4") as server:
        class Slow(FakePerson):
            def answer_prompts(self, *question: object, **more: object) -> list[str] | None:
                deadline = 100
                while server.children() and deadline:
                    deadline -= 1
                    threading.Event().wait(0.1)
                return super().answer_prompts(*question, **more)   # type: ignore[arg-type]

        person = Slow(answers=[ALICE])
        assert who(connect(Sites((moonshot_site.profile(server),)), person)) == moonshot_site.login
        assert len(person.prompts) == 1


def test_that_a_wrong_password_can_be_mended(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    person = FakePerson(answers=[["alice", "x"], ["alice@facility.example", "wrong"], ["", ALICE[1]]])
    assert who(connect(Sites((moonshot_site.profile(moonshot_sshd),)), person)) == moonshot_site.login
    notices = [instructions.splitlines()[0] for _, instructions, _ in person.prompts]
    assert notices[1].startswith("An identity looks like name@institution")
    assert notices[2] == "Your home institution (facility.example) did not accept this identity or password."


@pytest.mark.parametrize("who_signs_in", ["zoë", "mira"])
def test_that_other_alphabets_and_mschapv2_work(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                                who_signs_in: str) -> None:
    member = moonshot_site.members[who_signs_in]
    person = FakePerson(answers=[[member.identity, member.password]])
    assert who(connect(Sites((moonshot_site.profile(moonshot_sshd),)), person)) == moonshot_site.login


def test_that_plain_radius_works(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    with moonshot_site.radius_route(config.radius_over_udp(moonshot_site.udp_port)):
        assert who(connect(Sites((moonshot_site.profile(moonshot_sshd),)), FakePerson(answers=[ALICE]))) \
            == moonshot_site.login


@pytest.mark.parametrize("trust", ["another pin", "another CA", "another name", "part of the name", "another subject",
                                   "CA and another pin"])
def test_that_another_radius_server_never_gets_the_password(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                                            trust: str) -> None:
    other_ca = (moonshot_site.folder / "certs/other-ca.pem").read_text()
    wrong = "00" * 32
    settings = {
        "another pin": moonshot_site.settings(pins=(wrong,)),
        "another CA": moonshot_site.settings(pins=(), ca=other_ca, subject=HOST_NAME),
        "another name": moonshot_site.settings(pins=(), ca=moonshot_site.ca, subject="radius.evil.example"),
        "part of the name": moonshot_site.settings(pins=(), ca=moonshot_site.ca, subject="facility.example"),
        "another subject": moonshot_site.settings(pins=(), ca=moonshot_site.ca, subject="CN=radius.evil.example"),
        "CA and another pin": moonshot_site.settings(pins=(wrong,), ca=moonshot_site.ca, subject=HOST_NAME)}[trust]
    before = len(moonshot_site.radius_log)
    person = FakePerson(answers=[ALICE, ALICE], trusts=True)
    with pytest.raises(CertificateRefusedError, match="is not the one that is expected") as caught:
        connect(Sites((moonshot_site.profile(moonshot_sshd, moonshot=settings),)), person)
    assert "Do not try again" in caught.value.remedy
    assert (written(moonshot_site.pin) in caught.value.remedy) == (trust != "another CA")
    assert len(person.prompts) == 1, "the password is not asked again"
    assert person.keys_asked == [], "what the profile says is not the person's to change"
    assert inner_logins(moonshot_site.radius_log[before:]) == []


@pytest.mark.parametrize("subject", [HOST_NAME, f"CN={HOST_NAME}"])
def test_that_the_authority_and_the_name_are_enough(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                                    subject: str) -> None:
    settings = moonshot_site.settings(pins=(), ca=moonshot_site.ca, subject=subject)
    profile = moonshot_site.profile(moonshot_sshd, moonshot=settings)
    assert who(connect(Sites((profile,)), FakePerson(answers=[ALICE]))) == moonshot_site.login


def test_that_renewed_certificates_need_nothing_with_an_authority_and_are_asked_about_without() -> None:
    with moonshot_facility() as site, site.sshd() as server:
        by_name = site.profile(server, moonshot=site.settings(pins=(), ca=site.ca, subject=HOST_NAME))
        unknown = site.profile(server, moonshot=site.settings(pins=()))
        careful = FakePerson(answers=[ALICE])
        with pytest.raises(CertificateRefusedError, match="is not known yet"):
            connect(Sites((unknown,)), careful)
        (asked_of, kind, print_), = careful.keys_asked
        assert (asked_of, kind) == ("the sign-in server of facility.example", "RADIUS")
        assert re.sub("[: ]", "", print_).lower() == f"sha-256{site.pin}"
        assert inner_logins(site.radius_log) == []
        trusting = FakePerson(answers=[ALICE], trusts=True)
        assert who(connect(Sites((unknown,)), trusting)) == site.login
        assert len(trusting.prompts) == len(trusting.keys_asked) == 1
        later = FakePerson(answers=[ALICE])
        assert who(connect(Sites((unknown,)), later)) == site.login
        assert later.keys_asked == [], "it is remembered"
        before = len(inner_logins(site.radius_log))
        with site.radius_certificate():
            assert who(connect(Sites((by_name,)), FakePerson(answers=[ALICE]))) == site.login
            with pytest.raises(CertificateRefusedError, match="is not the one that is expected") as caught:
                connect(Sites((unknown,)), FakePerson(answers=[ALICE], trusts=True))
            assert str(known.known_file()) in caught.value.remedy
            assert len(inner_logins(site.radius_log)) == before + 1, "that of the right one"


def test_that_an_identity_file_does_not_switch_the_check_off(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                                             own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own_home / ".gss_eap_id"
    file.write_text("\n".join(ALICE) + "\n")
    monkeypatch.setenv("GSSEAP_IDENTITY", str(file))
    before = len(moonshot_site.radius_log)
    profile = moonshot_site.profile(moonshot_sshd, moonshot=moonshot_site.settings(pins=("00" * 32,)))
    with pytest.raises(CertificateRefusedError):
        connect(Sites((profile,)), FakePerson(answers=[ALICE]))
    assert inner_logins(moonshot_site.radius_log[before:]) == []


def test_that_twenty_and_eight_at_once_leave_nothing_behind(moonshot_site: MoonshotFacility,
                                                            moonshot_sshd: GssSshd) -> None:
    sites = Sites((moonshot_site.profile(moonshot_sshd),))
    connect(sites, FakePerson(answers=[ALICE])).close()
    open_files = len(os.listdir("/proc/self/fd"))
    temporary = set(Path("/tmp").iterdir())
    for _ in range(20):
        connect(sites, FakePerson()).close()
    with ThreadPoolExecutor(8) as pool:
        transports = list(pool.map(lambda _: connect(sites, FakePerson()), range(8)))
    assert all(transport.alive for transport in transports)
    for transport in transports:
        transport.close()
    deadline = 600
    while moonshot_sshd.children() and deadline:
        deadline -= 1
        threading.Event().wait(0.1)
    assert moonshot_sshd.children() == []
    assert len(os.listdir("/proc/self/fd")) <= open_files
    assert [path for path in set(Path("/tmp").iterdir()) - temporary if "moonshot" in path.name] == []


def test_that_gateway_and_server_take_the_same_account(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    with moonshot_site.sshd() as inner:
        gateway = SshSettings("127.0.0.1", moonshot_sshd.port, moonshot_site.login, ("gssapi",),
                              (moonshot_sshd.host_key_line,))
        sites = Sites((moonshot_site.profile(inner, hops=(gateway,)),))
        person = FakePerson(answers=[ALICE])
        assert who(connect(sites, person)) == moonshot_site.login
        assert len(person.prompts) == 1
        assert "Accepted gssapi-with-mic" in inner.log
    SHARED.close_idle()


def test_that_a_lost_link_comes_back_with_no_click(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    sites = Sites((moonshot_site.profile(moonshot_sshd),))
    person = FakePerson(answers=[ALICE])
    transport = connect(sites, person)
    transport._link.sock.close()
    with pytest.raises(LinkLostError):
        transport.run(["true"])
    transport.close()
    assert who(connect(sites, person)) == moonshot_site.login
    assert len(person.prompts) == 1


def test_that_giving_up_at_the_question_gives_up(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    with pytest.raises(CancelledByUserError):
        connect(Sites((moonshot_site.profile(moonshot_sshd),)), FakePerson())
