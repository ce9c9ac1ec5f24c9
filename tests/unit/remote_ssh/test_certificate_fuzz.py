"""Whatever an authority answers: a sentence or a value, never anything else."""

from __future__ import annotations

import base64
import contextlib
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.errors import LoginRefusedError
from app.model.site import SshSettings
from app.remote.ssh.authority.answers import said_in
from app.remote.ssh.authority.certificate import check, read
from app.remote.ssh.authority.conch import _version_2, _version_3
from app.remote.ssh.authority.offer import Offer, fitting, parted
from app.remote.ssh.authority.step_ca import _known_by, _line
from tests.peers.sshd import UserAuthority, public_line

KIND, BLOB = UserAuthority(Ed25519PrivateKey.from_private_bytes(b"a" * 32)).sign(
    public_line(Ed25519PrivateKey.from_private_bytes(b"b" * 32)), ["ada", "bob"],
    options={"force-command": "x"}).split()[:2]
WIRE = base64.b64decode(BLOB)
SHORT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | SHORT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SHORT, inner, max_size=3), max_leaves=12)
NAMED = st.dictionaries(st.sampled_from(["resources", "projects", "platforms", "certificate", "short_name", "username",
                                         "hostname", "alias", "proxy_jump", "here", "p1"]), JSON | st.deferred(
                                             lambda: NAMED), max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(WIRE) - 1), st.integers(1, 255), st.integers(0, len(WIRE)))
def test_that_a_changed_or_cut_certificate_never_passes(at: int, by: int, length: int) -> None:
    changed = WIRE[:at] + bytes([WIRE[at] ^ by]) + WIRE[at + 1:]
    for wire in (changed, WIRE[:length], changed[:length], WIRE + changed[at:]):
        if wire == WIRE:
            continue
        with pytest.raises(LoginRefusedError):
            read(f"{KIND} {base64.b64encode(wire).decode()}")


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda data: base64.b64encode(data).decode()))
@example("A" * 100000)
@example("ssh-ed25519-cert-v01@openssh.com")
@example("\0")
@example("ssh-rsa-cert-v01@openssh.com AAAA\nssh-ed25519 AAAA")
def test_that_any_text_is_a_certificate_or_a_sentence(text: str) -> None:
    for line in (text, f"{KIND} {text}", _line(text)):
        with pytest.raises(LoginRefusedError) as caught:
            check(read(line), "ssh-ed25519 AAAA", time.time())
        assert caught.value.summary.startswith("The facility's SSH certificate cannot be used: ")
        assert "\n" not in caught.value.summary


@settings(max_examples=200, deadline=None)
@given(NAMED)
def test_that_any_answer_of_conch_is_offers(answer: dict[str, object]) -> None:
    offers = list(_version_2(answer))
    resources, associations = answer.get("resources"), answer.get("associations", answer)
    if isinstance(resources, dict) and isinstance(associations, dict):
        offers += _version_3(resources, associations, "text")
    assert all(isinstance(offer, Offer) and isinstance(offer.user, str) for offer in offers)
    with contextlib.suppress(LoginRefusedError):
        assert fitting(offers, SshSettings("here"))


@settings(max_examples=200, deadline=None)
@given(JSON, st.text())
def test_that_reasons_addresses_and_tokens_are_read_whatever_they_are(answer: object, text: str) -> None:
    for value in (said_in(answer), said_in({"message": text})):
        assert len(value) <= 200
        assert "\n" not in value
    host, port = parted(text)
    assert not host.startswith("-")
    assert 0 <= port < 65536
    assert _known_by(f"a.{text}.c")
