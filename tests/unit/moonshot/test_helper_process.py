"""The helper as seen from the program: noise, silence, death, cancellation; and what it may know."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from app.model.site import MoonshotSettings
from app.remote.moonshot.process import Helper, HelperCancelled, HelperError, Secret, Trusted, _environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no Moonshot on Windows")
SETTINGS = MoonshotSettings()
_PROLOGUE = """
import json, os, sys
def hear(): return json.loads(sys.stdin.readline())
def say(**values): print(json.dumps(values), flush=True)
hear(); say(ready=True)
"""


def helper(script: str, cancelled: threading.Event | None = None) -> Helper:
    gave_up = cancelled or threading.Event()
    return Helper(SETTINGS, gave_up.is_set, [sys.executable, "-c", _PROLOGUE + script])


def test_that_noise_on_its_output_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    made = helper("""
print("DEBUG mech_eap: hello")
print("[1, 2]")
print("Password: open sesame", file=sys.stderr, flush=True)
hear(); say(ready=True)
hear(); print("{not json"); say(token="AQI=", complete=True)
hear()
""")
    made.start("host", "alice@home.example", Secret("open sesame"), Trusted())
    assert made.step(b"") == b"\1\2"
    assert made.complete
    made.close()
    assert "the sign-in helper printed: Password: …" in caplog.text
    assert "open sesame" not in caplog.text


def test_that_its_death_is_told() -> None:
    made = helper("hear(); sys.exit(7)")
    with pytest.raises(HelperError, match=r"ended \(status -?\d+\)") as caught:
        made.start("host", "alice@home.example", Secret("x"), Trusted())
    assert caught.value.kind == "helper"
    made.close()
    made.close()


def test_that_waiting_for_it_can_be_given_up() -> None:
    gave_up = threading.Event()
    made = helper("hear(); sys.stdin.readline()", gave_up)
    gave_up.set()
    with pytest.raises(HelperCancelled):
        made.start("host", "alice@home.example", Secret("x"), Trusted())
    made.close()


def test_that_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(HelperError, match="did not start") as caught:
        Helper(SETTINGS, command=["/nonexistent/python"])
    assert caught.value.kind == "helper"


@pytest.mark.parametrize("mechanism", ["", "x", "1.2.840.113554.1.2.2", "1.3.6.1.5.5.15.1.1.17.1"])
def test_that_no_other_mechanism_gets_the_password(mechanism: str) -> None:
    with pytest.raises(HelperError, match="not one of Moonshot's"):
        Helper(MoonshotSettings(mechanism=mechanism))


def test_that_errors_arrive_whole() -> None:
    made = helper("""
hear(); say(ready=True)
hear(); say(error="gss", major=655360, minor=13, text="no", token="AQ==", seen=["ab"], refused=["ab"],
            rounds=7, seen_at=6)
hear()
""")
    made.start("host", "alice@home.example", Secret("x"), Trusted())
    with pytest.raises(HelperError, match="no") as caught:
        made.step(b"")
    error = caught.value
    assert (error.kind, error.major, error.minor, error.token) == ("gss", 655360, 13, b"\1")
    assert (error.seen, error.refused, error.rounds, error.seen_at) == (("ab",), ("ab",), 7, 6)
    made.close()


def test_that_the_real_helper_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder, whatever the environment says, with nothing of ours on its command line but its name."""
    monkeypatch.setenv("GSS_MECH_CONFIG", "/dev/null")
    monkeypatch.chdir("/")
    with pytest.raises(HelperError) as caught:
        Helper(SETTINGS)
    assert caught.value.kind in ("no-mechanism", "no-gssapi")


def test_that_its_environment_is_prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSSEAP_IDENTITY", "/home/alice/.gss_eap_id")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("OPENSSL_CONF", "/tmp/other.cnf")
    environment = _environment()
    assert environment["GSSEAP_IDENTITY"] == os.devnull
    assert "DISPLAY" not in environment
    legacy = Path(environment["OPENSSL_CONF"])
    assert "legacy = switched_on" in legacy.read_text()
    assert os.environ["OPENSSL_CONF"] == "/tmp/other.cnf", "only the helper's"


def test_that_a_secret_does_not_show_itself() -> None:
    secret = Secret("open sesame")
    assert "sesame" not in f"{secret!r} {secret} {[secret]} {vars(Trusted())}"
    assert secret.reveal() == "open sesame"


def test_that_other_systems_start_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.remote.moonshot.process.sys.platform", "darwin")
    with pytest.raises(HelperError, match="not tried on darwin") as caught:
        Helper(SETTINGS, command=["/nonexistent/python"])
    assert caught.value.kind == "no-gssapi"
