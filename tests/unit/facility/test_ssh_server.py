"""The demo's SSH server as paramiko, the client's library, meets it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    SSHCertificateBuilder,
    SSHCertificateType,
    load_ssh_private_key,
)

from tests.peers.demo_facility import DemoFacility
from tests.unit.facility.test_provider import Client as ProviderClient
from tests.unit.facility.test_provider import signed_in


def private_key(key: Ed25519PrivateKey, certificate: str = "") -> paramiko.Ed25519Key:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    made = paramiko.Ed25519Key.from_private_key(io.StringIO(text))
    if certificate:
        made.load_certificate(certificate)
    return made


def own_certificate(facility: DemoFacility, key: Ed25519PrivateKey, *, principal: str = "visitor1", start: int = -60,
                    end: int = 600, authority: Ed25519PrivateKey | None = None) -> str:
    """One signed with the facility's authority behind its back."""
    if authority is None:
        kept = load_ssh_private_key((Path(facility.addresses["state"]) / "keys" / "ssh_user_ca").read_bytes(), None)
        assert isinstance(kept, Ed25519PrivateKey)
        authority = kept
    now = int(time.time())
    return (SSHCertificateBuilder().public_key(key.public_key()).serial(1).type(SSHCertificateType.USER).key_id(b"x")
            .valid_principals([principal.encode()]).valid_after(now + start).valid_before(now + end)
            .sign(authority).public_bytes().decode())


def transport_to(facility: DemoFacility) -> paramiko.Transport:
    transport = paramiko.Transport(("127.0.0.1", facility.addresses["ssh_port"]))
    transport.start_client(timeout=10)
    return transport


@pytest.fixture
def transport(demo_facility: DemoFacility) -> Iterator[paramiko.Transport]:
    """A transport that is logged in by certificate."""
    key = Ed25519PrivateKey.generate()
    made = transport_to(demo_facility)
    made.auth_publickey("visitor1", private_key(key, own_certificate(demo_facility, key)))
    yield made
    made.close()


def run(transport: paramiko.Transport, command: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    channel = transport.open_session(timeout=10)
    channel.settimeout(20)
    channel.exec_command(command)
    channel.sendall(stdin)
    channel.shutdown_write()
    out, err = channel.makefile("rb").read(), channel.makefile_stderr("rb").read()
    code = channel.recv_exit_status()
    channel.close()
    return code, out, err


def test_that_a_certificate_from_the_endpoint_opens_the_door(demo_facility: DemoFacility) -> None:
    provider = ProviderClient(demo_facility)
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    answer = provider.sign(signed_in(demo_facility, provider)["access_token"], public).json()
    granted = answer["associations"]["resources"]["demo"]
    assert (granted["username"], answer["version"]) == ("visitor1", 3)
    transport = transport_to(demo_facility)
    transport.auth_publickey(granted["username"], private_key(key, granted["certificate"]))
    code, out, err = run(transport, "echo $USER $HOME; pwd; command -v sbatch; echo oops >&2; exit 3")
    home, commands = str(demo_facility.home), demo_facility.addresses["bin"]
    assert (code, out.decode(), err) == (3, f"visitor1 {home}\n{home}\n{commands}/sbatch\n", b"oops\n")
    transport.close()
    provider.session.close()


@pytest.mark.parametrize("fault", ["expired", "not yet", "principal", "foreign", "bare key", "other user"])
def test_that_a_certificate_that_is_not_good_is_refused(demo_facility: DemoFacility, fault: str) -> None:
    key = Ed25519PrivateKey.generate()
    certificate = {"expired": lambda: own_certificate(demo_facility, key, start=-900, end=-300),
                   "not yet": lambda: own_certificate(demo_facility, key, start=300),
                   "principal": lambda: own_certificate(demo_facility, key, principal="root"),
                   "foreign": lambda: own_certificate(demo_facility, key, authority=Ed25519PrivateKey.generate()),
                   "bare key": lambda: "",
                   "other user": lambda: own_certificate(demo_facility, key, principal="root")}[fault]()
    transport = transport_to(demo_facility)
    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_publickey("root" if fault == "other user" else "visitor1", private_key(key, certificate))
    transport.close()


def test_that_the_pin_is_asked_for_with_its_prompt(demo_facility: DemoFacility) -> None:
    transport = transport_to(demo_facility)
    with pytest.raises(paramiko.BadAuthenticationType) as refusal:
        transport.auth_none("visitor1")
    assert set(refusal.value.allowed_types) >= {"publickey", "keyboard-interactive"}
    asked = []

    def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        asked.extend(prompts)
        return [demo_facility.pin] * len(prompts)
    transport.auth_interactive("visitor1", answer)
    assert asked == [("Demo PIN: ", False)]
    assert transport.is_authenticated()
    transport.close()


def test_that_a_wrong_pin_does_not_open_the_door(demo_facility: DemoFacility) -> None:
    transport = transport_to(demo_facility)
    with pytest.raises(paramiko.AuthenticationException):
        transport.auth_interactive("visitor1", lambda *_: ["00000001"])
    transport.close()


def test_that_python3_is_one_with_h5py(transport: paramiko.Transport) -> None:
    code, out, err = run(transport, "python3 -I -c 'import h5py, numpy; print(h5py.__name__)'")
    assert (code, out) == (0, b"h5py\n"), err


def test_that_bytes_pass_unchanged_both_ways(transport: paramiko.Transport) -> None:
    data = bytes(range(256)) * 8000
    assert run(transport, "cat", data) == (0, data, b"")


def test_that_a_signal_is_told_as_one(transport: paramiko.Transport) -> None:
    assert run(transport, "kill -9 $$")[0] == -1


def test_that_a_closed_channel_ends_its_command(demo_facility: DemoFacility, transport: paramiko.Transport) -> None:
    channel = transport.open_session(timeout=10)
    channel.exec_command("trap '' HUP; echo $$ > pid.txt; while :; do sleep 0.2; done")
    pid_file = demo_facility.home / "pid.txt"
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    channel.close()
    process = Path("/proc") / pid_file.read_text().strip()
    while process.exists():
        assert time.monotonic() < deadline, "the command lives on"
        time.sleep(0.05)


def test_that_a_detached_command_survives_its_channel(demo_facility: DemoFacility,
                                                      transport: paramiko.Transport) -> None:
    assert run(transport, "setsid sh -c 'sleep 1; echo done > detached.txt' >/dev/null 2>&1 </dev/null &")[0] == 0
    deadline = time.monotonic() + 20
    while not (demo_facility.home / "detached.txt").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_that_files_begin_in_the_home_directory(demo_facility: DemoFacility, transport: paramiko.Transport) -> None:
    sftp = paramiko.SFTPClient.from_transport(transport)
    assert sftp is not None
    assert sftp.normalize(".") == str(demo_facility.home)
    with sftp.open("note.txt", "wb") as file:
        file.write(b"hello")
    assert (demo_facility.home / "note.txt").read_bytes() == b"hello"
    sftp.posix_rename("note.txt", "other.txt")
    assert "other.txt" in sftp.listdir(".")
    sftp.close()


def test_that_nothing_is_forwarded(transport: paramiko.Transport) -> None:
    with pytest.raises(paramiko.ChannelException) as refusal:
        transport.open_channel("direct-tcpip", ("127.0.0.1", 22), ("127.0.0.1", 0), timeout=10)
    assert refusal.value.code == 1
    with pytest.raises(paramiko.SSHException):
        transport.request_port_forward("127.0.0.1", 0)


def test_that_a_shell_is_refused_in_one_sentence(transport: paramiko.Transport) -> None:
    channel = transport.open_session(timeout=10)
    channel.settimeout(10)
    channel.invoke_shell()
    assert b"no interactive shell" in channel.makefile_stderr("rb").read()
    channel.close()


def test_that_the_provider_is_not_reachable_without_its_authority(demo_facility: DemoFacility) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{demo_facility.addresses['ca']}/health", timeout=10)
