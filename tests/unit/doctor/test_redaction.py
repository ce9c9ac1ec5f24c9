"""What a report must not hold, and what it must keep."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from app.remote.doctor.redaction import LEFT_OUT, redacted

JWT = jwt.encode({"sub": "alice", "exp": 1}, "a key that is long enough for HS256", "HS256")
OPAQUE = "5cAgcYQemg3e2yv6JADv4N8P2WmcW4kPIkNWeox6TOE"   # the same in every process of a run
FINGERPRINT = "SHA256:+58mj1Vt4t/WhzuFCZ4mCtuw7igw272Ua7Gr8YbkCAg"
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIw4rRPU9lDU3KzSnla2O70Vq0+3rPnSQdpIASxvX2H0"
PRIVATE = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEA\nAAAA\n-----END OPENSSH PRIVATE KEY-----"


@pytest.mark.parametrize(("text", "secret"), [
    (f"Authorization: Bearer {OPAQUE}", OPAQUE), (f"the answer was {JWT}.", JWT.split(".")[1]), (PRIVATE, "b3Blbn"),
    ("Bearer short1token", "short1token"), (f"refresh {OPAQUE} ended", OPAQUE),
    ('{"access_token": "abc.def", "n": 1}', "abc.def"), ("password=hunter2 and more", "hunter2"),
    ("Password: 'correct horse' typed", "horse"), ("https://ada:secret@proxy.example:3128/", "secret"),
    ("GET https://op.example/cb?code=4711&state=x failed", "4711"), ("client_secret = s3cr3t", "s3cr3t"),
    ("user_code: WDJB-MJHT", "WDJB"), ("Proxy-Authorization: Basic YWRhOnNlY3JldA==", "YWRh"),
    (PRIVATE.split("-----END")[0], "b3Blbn"), ("mail ada.lovelace@site.example", "lovelace"),
])
def test_that_secrets_are_left_out(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redacted(text)


@pytest.mark.parametrize("text", [
    f"offered: ssh-ed25519 {FINGERPRINT}", KEY_LINE, "ed25519 key of login.site.example, port 2222",
    "/data/visitor/in1234/bm29/20261122/RAW_DATA/sample_0001/scan0001/eiger_0000.h5", "user “ada” at far.example",
    "agent: eac04ab73c5267e2bc56f4846014c19d5bdd7b8ef460415a0f2fbcb17952a34d", "ssh: Permission denied (publickey).",
    "https://login.site.example:8443/realms/site", "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10",
    "The access token was refused.", "methods in the profile: certificate, keyboard-interactive",
])
def test_that_what_support_needs_is_kept(text: str) -> None:
    assert redacted(text) == text


def test_that_mail_addresses_keep_their_institution_and_the_home_folder_is_not_named(own_home: Path) -> None:
    assert redacted("alice@university.example") == "…@university.example"
    assert redacted(f"{own_home}/.ssh/known_hosts, line 3") == "~/.ssh/known_hosts, line 3"
    assert redacted("token=x1") == f"token={LEFT_OUT}"
