"""Every way a Moonshot sign-in can fail has its own sentence; what the mechanism said is in the details only.

All of it happens for real: each row of the table is provoked at FreeRADIUS, in radsec.conf or at sshd.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import (
    BeamsideError,
    CancelledByUserError,
    LinkLostError,
    LoginRefusedError,
    ProviderError,
    UnreachableError,
)
from app.model.site import SiteProfile
from app.remote.moonshot import exchange
from app.remote.moonshot.refusals import NotAvailableError, PasswordRefusedError
from app.remote.sites import Sites
from tests.peers import moonshot_config as config
from tests.peers.interaction import FakePerson
from tests.peers.moonshot import GssSshd, MoonshotFacility, silent_radius
from tests.peers.ports import free_port

PASSWORDS = ("correct horse", "battery staple", "paper clip", "swordfish")
_ALICE = ("alice@facility.example", "correct horse")
_NOT_FOR_PEOPLE = re.compile(r"0x[0-9a-f]+|\d{6,}|GSS status|minor|stage|token|credential|RADIUS failure", re.I)


def refusal(profile: SiteProfile, identity: str, password: str, person: FakePerson | None = None) -> BeamsideError:
    """What a person is told."""
    person = person or FakePerson(answers=[[identity, password]] * 3)
    with pytest.raises(BeamsideError) as caught:
        Sites((profile,)).transport("moon", person).close()
    return caught.value


Trouble = Callable[[MoonshotFacility], contextlib.AbstractContextManager[object]]


def nothing(site: MoonshotFacility) -> contextlib.AbstractContextManager[object]:
    return contextlib.nullcontext()


def federation_down(site: MoonshotFacility) -> contextlib.AbstractContextManager[object]:
    return site.radius_route(config.radsec(site.folder, free_port()))


def radius_down(site: MoonshotFacility) -> contextlib.AbstractContextManager[object]:
    return site.radius_route(config.radius_over_udp(free_port()))


def no_configuration(site: MoonshotFacility) -> contextlib.AbstractContextManager[object]:
    return site.radius_route(None)


def broken_configuration(site: MoonshotFacility) -> contextlib.AbstractContextManager[object]:
    return site.radius_route(config.radsec(site.folder, site.radsec_port, "missing"))


@pytest.mark.parametrize(("identity", "password", "trouble", "kind", "stage", "says"), [
    ("alice@facility.example", "swordfish", nothing, PasswordRefusedError, "federation",
     "Your home institution (facility.example) did not accept this identity or password."),
    ("nobody@facility.example", "swordfish", nothing, PasswordRefusedError, "federation",
     "Your home institution (facility.example) did not accept this identity or password."),
    ("sam@facility.example", "paper clip", nothing, PasswordRefusedError, "federation",
     "Your home institution (facility.example) did not accept this identity or password."),
    ("x@refused.example", "swordfish", nothing, PasswordRefusedError, "federation",
     "Your home institution (refused.example) did not accept this identity or password."),
    ("x@unroutable.example", "swordfish", nothing, ProviderError, "federation",
     "Your home institution (unroutable.example) cannot be reached through this facility's federation."),
    (*_ALICE, federation_down, UnreachableError, "federation",
     "127.0.0.1 cannot reach the federation that leads to your home institution (facility.example)."),
    (*_ALICE, radius_down, UnreachableError, "federation",
     "127.0.0.1 cannot reach the federation that leads to your home institution (facility.example)."),
    ("bob@facility.example", "battery staple", nothing, LoginRefusedError, "account",
     "You are signed in as bob@facility.example, but 127.0.0.1 does not let that identity use the account LOGIN."),
    (*_ALICE, no_configuration, LoginRefusedError, "exchange",
     "127.0.0.1 broke off the sign-in with your home institution: its Moonshot service does not work."),
    (*_ALICE, broken_configuration, LinkLostError, "link",
     "127.0.0.1 hung up during the sign-in with your home institution."),
], ids=["wrong password", "unknown identity", "suspended", "refused at once", "no route", "federation down",
        "RADIUS down", "not mapped", "no radsec.conf", "broken radsec.conf"])
def test_that_each_fault_has_its_sentence(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                          caplog: pytest.LogCaptureFixture, identity: str, password: str,
                                          trouble: Trouble, kind: type[BeamsideError], stage: str, says: str) -> None:
    caplog.set_level(logging.DEBUG)
    with trouble(moonshot_site):
        error = refusal(moonshot_site.profile(moonshot_sshd), identity, password)
    assert type(error) is kind
    assert error.summary == says.replace("LOGIN", moonshot_site.login)
    assert error.remedy
    assert not _NOT_FOR_PEOPLE.search(error.summary.replace(moonshot_site.login, "") + error.remedy)
    assert f"stage: {stage}" in error.detail
    assert "stage: " in caplog.text, "the log has it all"
    told = "".join(traceback.format_exception(error)) + caplog.text + json.dumps(error.as_json())
    assert not [secret for secret in PASSWORDS if secret in told]


def test_that_an_account_nobody_has_is_told_as_an_offer_that_was_not_made(moonshot_site: MoonshotFacility,
                                                                         moonshot_sshd: GssSshd) -> None:
    error = refusal(moonshot_site.profile(moonshot_sshd, user="ghost"), *_ALICE)
    assert error.summary == "127.0.0.1 does not offer Moonshot for the account ghost."
    assert "stage: offer" in error.detail


def test_that_a_server_without_the_mechanism_is_told_alike(moonshot_site: MoonshotFacility) -> None:
    with moonshot_site.sshd(eap=False) as server:
        error = refusal(moonshot_site.profile(server), *_ALICE)
    assert error.summary == f"127.0.0.1 does not offer Moonshot for the account {moonshot_site.login}."


def test_that_a_server_without_gssapi_says_what_it_offers_before_any_question(moonshot_site: MoonshotFacility) -> None:
    person = FakePerson()
    with moonshot_site.sshd("GSSAPIAuthentication no", "PasswordAuthentication yes") as server:
        error = refusal(moonshot_site.profile(server), *_ALICE, person)
    assert error.summary == "127.0.0.1 does not offer Moonshot sign-in; it offers password."
    assert person.prompts == []


def test_that_a_server_with_another_name_is_told(moonshot_site: MoonshotFacility) -> None:
    with moonshot_site.sshd("GSSAPIStrictAcceptorCheck yes") as server:
        error = refusal(moonshot_site.profile(server), *_ALICE)
    assert error.summary == "The server calls itself something else than 127.0.0.1, so the sign-in was broken off."
    assert "stage: client" in error.detail


def test_that_the_next_method_is_tried_and_the_sentence_kept(moonshot_site: MoonshotFacility) -> None:
    methods = ("gssapi", "keyboard-interactive")
    with moonshot_site.sshd("PasswordAuthentication yes") as server:
        profile = moonshot_site.profile(server, methods=methods)
        person = FakePerson(answers=[["x@unroutable.example", "swordfish"], ["nope"], ["nope"], ["nope"]])
        error = refusal(profile, "", "", person)
    assert person.prompts[0][0] == "Sign in with your home institution"
    assert len(person.prompts) == 4, "Moonshot once, the server's own password three times"
    assert "cannot be reached through this facility's federation" in error.detail


def test_that_a_computer_without_the_mechanism_is_told_before_any_question(
        moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSS_MECH_CONFIG", "/dev/null")
    before = moonshot_sshd.log
    person = FakePerson()
    error = refusal(moonshot_site.profile(moonshot_sshd), *_ALICE, person)
    assert isinstance(error, NotAvailableError)
    assert "needs the Moonshot mechanism" in error.summary
    assert "moonshot-gss-eap" in error.remedy
    assert person.prompts == []
    assert moonshot_sshd.log == before, "no connection was made"


def test_that_other_ways_in_are_named_where_the_mechanism_is_missing(
        moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSS_MECH_CONFIG", "/dev/null")
    person = FakePerson()
    error = refusal(moonshot_site.profile(moonshot_sshd, methods=("gssapi", "keyboard-interactive")), *_ALICE, person)
    assert "This facility also offers: its own password." in error.remedy
    assert person.prompts == []


@contextlib.contextmanager
def _cancelled_when(person: FakePerson, ready: Callable[[], bool]) -> Iterator[list[float]]:
    """Cancels as soon as ``ready``; gives the moment of it."""
    moments: list[float] = []

    def watch() -> None:
        deadline = time.monotonic() + 120
        while not ready() and time.monotonic() < deadline:
            threading.Event().wait(0.02)
        moments.append(time.monotonic())
        person.cancelled.set()

    watcher = threading.Thread(target=watch, name="watcher")
    watcher.start()
    try:
        yield moments
    finally:
        watcher.join()


def test_that_a_silent_institution_is_waited_for_in_words_and_can_be_given_up(
        moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    person = FakePerson(answers=[list(_ALICE)])
    with silent_radius() as port, moonshot_site.radius_route(config.radius_over_udp(port)), \
            _cancelled_when(person, lambda: any("Waiting for your home" in said for said in person.said)) as at:
        error = refusal(moonshot_site.profile(moonshot_sshd), *_ALICE, person)
        ended = time.monotonic()
    assert isinstance(error, CancelledByUserError)
    assert ended - at[0] < 5, "far from the 40 s of a silent RADIUS server"     # usually 0.1 s
    assert _helpers() == []


def test_that_a_silence_without_end_is_told(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ANSWER_S", 1.0)
    with silent_radius() as port, moonshot_site.radius_route(config.radius_over_udp(port)):
        error = refusal(moonshot_site.profile(moonshot_sshd), *_ALICE)
    assert error.summary == "Your home institution (facility.example) did not answer in time."
    assert "stage: silence" in error.detail


def test_that_a_helper_that_dies_is_told(moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd) -> None:
    person = FakePerson(answers=[list(_ALICE)])
    killed: list[int] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            if any("Waiting for" in said for said in person.said):
                for pid in _helpers():
                    os.kill(pid, 9)
                    killed.append(pid)
            threading.Event().wait(0.02)

    with _slow_radius(moonshot_site, until=lambda: bool(killed)):
        killer = threading.Thread(target=kill, name="killer")
        killer.start()
        error = refusal(moonshot_site.profile(moonshot_sshd), *_ALICE, person)
        killer.join()
    assert killed
    assert error.summary == "The program that talks to your home institution ended unexpectedly."
    assert "status -9" in error.detail


@contextlib.contextmanager
def _slow_radius(site: MoonshotFacility, until: Callable[[], bool]) -> Iterator[None]:
    """RADIUS over UDP through a relay that holds the first answer back."""
    with socket.socket(type=socket.SOCK_DGRAM) as near, socket.socket(type=socket.SOCK_DGRAM) as far:
        near.bind(("127.0.0.1", 0))
        far.connect(("127.0.0.1", site.udp_port))
        near.settimeout(0.1)
        far.settimeout(5)
        over = threading.Event()

        def relay() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    packet, client = near.recvfrom(65536)
                    far.send(packet)
                    answer = far.recv(65536)
                    while not until() and not over.is_set():
                        threading.Event().wait(0.02)
                    near.sendto(answer, client)

        thread = threading.Thread(target=relay, name="relay")
        thread.start()
        try:
            with site.radius_route(config.radius_over_udp(near.getsockname()[1])):
                yield
        finally:
            over.set()
            thread.join()


def _helpers() -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"app.remote.moonshot.helper" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def test_that_the_password_is_in_no_argument_environment_log_or_file(
        moonshot_site: MoonshotFacility, moonshot_sshd: GssSshd, own_home: Path,
        caplog: pytest.LogCaptureFixture) -> None:
    """Looked for while the exchange goes on, in every process and file, and in a traceback with all its variables."""
    caplog.set_level(logging.DEBUG)
    seen: dict[str, bytes] = {}
    person = FakePerson(answers=[["alice@facility.example", "correct horse"]])

    def look() -> bool:
        if not any("Waiting for" in said for said in person.said):
            return False
        for pid in (os.getpid(), *_helpers()):
            for name in ("cmdline", "environ"):
                seen[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()
        return len(seen) >= 4

    sites = Sites((moonshot_site.profile(moonshot_sshd),))
    with _slow_radius(moonshot_site, until=lambda: False), _cancelled_when(person, look):
        with pytest.raises(CancelledByUserError) as caught:
            sites.transport("moon", person)
    assert len(seen) >= 4, "the helper was looked at too"
    assert any(b"app.remote.moonshot.helper" in text for text in seen.values())
    frames = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "Secret(…)" in frames, "the frames that know it are there"
    for home_file in own_home.rglob("*"):
        if home_file.is_file():
            seen[str(home_file)] = home_file.read_bytes()
    seen |= {"log": caplog.text.encode(), "traceback": frames.encode(), "sshd's log": moonshot_sshd.log.encode()}
    assert [name for name, text in seen.items() if b"correct horse" in text] == []
