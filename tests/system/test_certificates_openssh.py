"""Certificates at a real OpenSSH server: what "Authentication failed." hides, and each kind of authority to its end."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import LoginRefusedError
from app.model.site import CertificateAuthority, SiteProfile, SshSettings
from app.remote.signin.oidc import OidcSession
from app.remote.ssh.authority.certificate import check, read
from app.remote.ssh.authority.holder import CertificateHolder
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.login import Credentials, log_in
from tests.peers.accounts import make_account
from tests.peers.certificate_endpoint import checked_by, endpoint
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import Pki, make_pki
from tests.peers.sshd import Sshd, UserAuthority, sshd, write_private


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        yield running


def link_to(server: Sshd) -> paramiko.Transport:
    link = paramiko.Transport(socket.create_connection(("127.0.0.1", server.port), 10))
    link.set_log_channel("test")
    link.start_client(timeout=60)
    return link


def refused(server: Sshd, holder: CertificateHolder, text: str, **changes: Any) -> LoginRefusedError:
    """The error of a login with a certificate that was not checked before, after paramiko has said all it knows."""
    certificate = dataclasses.replace(read(text), user=server.user, **changes)
    link = link_to(server)
    with pytest.raises(paramiko.AuthenticationException) as bare:
        link.auth_publickey(server.user, holder.login_key(certificate))
    assert str(bare.value) == "Authentication failed."
    link.close()
    link = link_to(server)
    try:
        with pytest.raises(LoginRefusedError) as caught:
            log_in(link, "here", server.user, ("certificate",),
                   Credentials(certificate, holder.login_key(certificate)), FakePerson(), time.time())
    finally:
        link.close()
    assert caught.value.remedy.endswith(".")
    return caught.value


@pytest.fixture
def holder() -> CertificateHolder:
    return CertificateHolder(CertificateAuthority("conch", "https://ca.example"))


@pytest.mark.parametrize(("signing", "changes", "servers", "ours"), [
    ({"valid_from_s": -7200, "valid_for_s": -60}, {}, "Certificate invalid: expired",
     "here did not let ME in: the certificate ended at "),
    ({"valid_from_s": 90, "valid_for_s": 3600}, {}, "Certificate invalid: not yet valid",
     "here did not let ME in: the certificate is not valid before "),
    ({"valid_from_s": 90, "valid_for_s": 3600},
     {"clock_sentence": "This computer's clock is 2 minutes slow.", "clock_skew_s": -120.0},
     "Certificate invalid: not yet valid", "and this computer's clock is 2 minutes slow."),
    ({"principals": ["somebody", "else"]}, {}, "name is not a listed principal",
     "here did not let ME in: the certificate is for somebody, else, not for ME."),
    ({"principals": []}, {}, "Certificate lacks principal list",
     "here did not let ME in: the certificate names no account."),
    ({"options": {"source-address": "192.0.2.0/24,198.51.100.7"}}, {}, "not from a permitted source address",
     "here did not let ME in: the certificate may only be used from 192.0.2.0/24,198.51.100.7"),
    ({"options": {"only-on@sundays.example": "yes"}}, {}, 'Certificate critical option "only-on@sundays.example"',
     "here did not let ME in: the certificate carries a condition that this server may not know (only-on@sundays"),
], ids=["expired", "not yet valid", "clock", "wrong principal", "no principal", "source address", "unknown condition"])
def test_that_what_a_refusal_hides_is_found_out_here(server: Sshd, holder: CertificateHolder, signing: dict[str, Any],
                                                     changes: dict[str, Any], servers: str, ours: str) -> None:
    values = {"principals": [server.user], **signing}
    text = server.authority.sign(holder.public_line, values.pop("principals"), **values)
    error = refused(server, holder, text, **changes)
    assert servers in server.log, "it was refused for this reason and no other"
    assert ours.replace("ME", server.user) in error.summary


def test_that_an_authority_the_server_does_not_trust_is_named(server: Sshd, holder: CertificateHolder) -> None:
    stranger = UserAuthority()
    text = stranger.sign(holder.public_line, [server.user])
    error = refused(server, holder, text)
    assert "in order, so this server may not trust the authority that signed it" in error.summary
    assert read(text).authority in error.remedy
    assert read(text).authority.startswith("SHA256:")


def test_that_a_bare_key_says_no_more_at_the_server_and_is_told_before(server: Sshd, holder: CertificateHolder,
                                                                       tmp_path: Path) -> None:
    link = link_to(server)
    key = paramiko.Ed25519Key.from_private_key_file(str(write_private(Ed25519PrivateKey.generate(), tmp_path / "bare")))
    with pytest.raises(paramiko.AuthenticationException, match=r"^Authentication failed\.$"):
        link.auth_publickey(server.user, key)
    link.close()
    with pytest.raises(LoginRefusedError, match="The facility's SSH certificate cannot be used: it is a bare key"):
        read(holder.public_line)


def test_that_openssh_takes_what_passes_the_check(server: Sshd, holder: CertificateHolder) -> None:
    """The check is not stricter than the server: what it accepts logs in, whatever the harmless parts are."""
    for options, extensions in (({}, ("permit-pty",)), ({"source-address": "127.0.0.0/8,192.0.2.1"}, ()),
                                ({"force-command": "echo forced"}, ("permit-agent-forwarding", "odd@example")),
                                ({"verify-required": ""}, ("permit-port-forwarding",))):
        text = server.authority.sign(holder.public_line, [server.user, "other"], options=options, extensions=extensions)
        certificate = dataclasses.replace(read(text), user=server.user)
        check(certificate, holder.public_line, time.time())
        assert certificate.allows_hopping is ("permit-port-forwarding" in extensions)
        link = link_to(server)
        link.auth_publickey(server.user, holder.login_key(certificate))
        assert link.is_authenticated()
        link.close()


def test_that_ssh_keygen_reads_our_certificates_the_same(holder: CertificateHolder, tmp_path: Path) -> None:
    text = UserAuthority().sign(holder.public_line, ["ada", "bob"], options={"force-command": "x y"})
    (tmp_path / "cert.pub").write_text(text)
    shown = subprocess.run(["ssh-keygen", "-L", "-f", str(tmp_path / "cert.pub")], capture_output=True, text=True,
                           check=True, timeout=30).stdout
    ours = read(text)
    assert f"Signing CA: ED25519 {ours.authority} " in shown
    assert f"Serial: {ours.serial}\n" in shown
    assert f'Key ID: "{ours.key_id}"\n' in shown
    assert f"force-command {ours.forced_command}\n" in shown


# ---- from a sign-in at a real provider, through each kind of authority, to a shell --------------------------------


@pytest.fixture(scope="module")
def provider(pki: Pki) -> Iterator[OpenIdProvider]:
    with openid_provider(pki) as running:
        yield running


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every account can enter."""
    with tempfile.TemporaryDirectory(prefix="beamside-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def oinit_user() -> Iterator[str]:
    """The account that oinit's certificates log in as."""
    with contextlib.ExitStack() as stack:
        make_account("oinit", stack, shell="/bin/sh")
        yield "oinit"


def profile_for(server: Sshd, provider: OpenIdProvider, authority: CertificateAuthority) -> SiteProfile:
    return SiteProfile("here", identity=provider.settings(), ssh=SshSettings(
        "127.0.0.1", server.port, "", ("certificate",), (server.host_key_line,), authority))


def serving(pki: Pki, server: Sshd, provider: OpenIdProvider, kind: str, **values: Any) -> Any:
    audience = "beamside" if kind == "step-ca" else "ssh-ca"   # step-ca takes the ID token
    return endpoint(pki, server.authority, {"alice": [server.user]}, checked_by(provider, audience),
                    host=f"127.0.0.1:{server.port}", issuers=[provider.issuer], **values)


@pytest.mark.parametrize("kind", ["conch", "cscs", "step-ca"])
def test_that_a_sign_in_leads_to_a_shell_through_each_kind_of_authority(pki: Pki, server: Sshd, kind: str,
                                                                       provider: OpenIdProvider) -> None:
    session = OidcSession("here", provider.settings())
    person = FakePerson(on_code=provider.approve)
    with serving(pki, server, provider, kind, signing={"valid_for_s": 120}) as authority:
        profile = profile_for(server, provider, authority.settings(kind))
        for _ in range(2):   # a short certificate: each connection has a new one, of step-ca for a new ID token
            transport = open_ssh(profile, person, session)
            assert transport.run(["id", "-un"]).text.strip() == server.user
            transport.close()
        assert authority.counts[authority.path(kind)] == 2
    assert len(person.codes) == 1, "one sign-in"
    session.sign_out()
    assert not session.derived, "the key went with the sign-in"


def test_that_oinit_logs_in_as_its_user_and_its_forced_command_runs_ours(pki: Pki, server: Sshd, oinit_user: str,
                                                                         provider: OpenIdProvider,
                                                                         public_folder: Path) -> None:
    switch = public_folder / "oinit-switch"
    switch.write_text('#!/bin/sh\nSWITCHED_TO=$1 exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')
    switch.chmod(0o755)
    session = OidcSession("here", provider.settings())
    signing = {"options": {"force-command": f"{switch} alice1"}}
    with serving(pki, server, provider, "oinit", signing=signing) as authority:
        transport = open_ssh(profile_for(server, provider, authority.settings("oinit")),
                             FakePerson(on_code=provider.approve), session)
        done = transport.run(["sh", "-c", 'echo "$(id -un) $SWITCHED_TO"'])
        transport.close()
    assert done.stdout == b"oinit alice1\n"
    session.sign_out()


def test_that_a_token_of_another_provider_is_refused_by_the_authority(pki: Pki, server: Sshd,
                                                                      provider: OpenIdProvider) -> None:
    with openid_provider(pki) as other, serving(pki, server, provider, "conch") as authority:
        session = OidcSession("there", other.settings())
        with pytest.raises(LoginRefusedError, match="does not accept your sign-in"):
            open_ssh(profile_for(server, other, authority.settings("conch")), FakePerson(on_code=other.approve),
                     session)
        session.sign_out()


def test_that_a_certificate_that_ends_while_the_person_thinks_is_diagnosed(pki: Pki, server: Sshd,
                                                                          provider: OpenIdProvider) -> None:
    class SlowPerson(FakePerson):
        """Compares the fingerprint until the certificate has ended."""

        def confirm_host_key(self, *asked: str) -> bool:
            holder = next(iter(session.derived.values()))
            assert isinstance(holder, CertificateHolder)
            [held] = holder._held.values()
            self.cancelled.wait(max(0.0, held.valid_before - time.time()) + 0.1)
            return True

    session = OidcSession("here", provider.settings())
    with serving(pki, server, provider, "conch", signing={"valid_for_s": 3}) as authority:
        profile = profile_for(server, provider, authority.settings("conch"))
        profile = dataclasses.replace(profile, ssh=dataclasses.replace(profile.ssh, host_keys=()))
        with pytest.raises(LoginRefusedError, match="the certificate ended at") as caught:
            open_ssh(profile, SlowPerson(trusts=True, on_code=provider.approve), session)
    assert caught.value.remedy.startswith("Connect again for a new certificate")
    session.sign_out()

