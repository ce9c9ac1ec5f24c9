"""Ways out other than a plain connection: HTTP proxies, for sign-in too, and the user's own ProxyCommand."""


from __future__ import annotations

import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from app.errors import CancelledByUserError, LinkLostError, UnreachableError, UsageError
from app.model.site import SiteProfile, SshSettings
from app.remote import proxies
from app.remote.signin.https import HttpsSession
from app.remote.ssh import dial
from app.remote.ssh.transport import SshTransport
from tests.peers.http_proxy import http_proxy
from tests.peers.interaction import FakePerson
from tests.peers.need import need_program
from tests.peers.pki import Pki
from tests.peers.ports import free_port
from tests.peers.sshd import Sshd
from tests.unit.remote_ssh.test_ssh_config import write

Connect = Callable[..., SshTransport]


@pytest.fixture(autouse=True)
def no_proxy_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No proxy but a test's own; loopback counts as far away, since that is where the tests' servers are."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(proxies, "_is_here", lambda host: False)
    yield
    proxies.choose("")
    proxies._choice.passwords.clear()


def test_that_ssh_on_a_port_that_the_proxy_lets_through_is_a_matter_of_the_profile(connect: Connect,
                                                                                   server: Sshd) -> None:
    with http_proxy(ports=frozenset({server.port})) as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        assert connect(port=server.port).alive
        with pytest.raises(UnreachableError, match="does not let connections to"):
            connect(port=22)


# ---- proxies

def test_that_the_chosen_proxy_is_used_and_asked_for_the_real_name(connect: Connect, server: Sshd) -> None:
    with http_proxy() as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        transport = connect(host="localhost")
        data = os.urandom(500_000)
        assert transport.run(["cat"], stdin=data).stdout == data
        assert proxy.asked == [f"CONNECT localhost:{server.port}"]
        assert proxy.carried > 1_000_000
        transport.close()


def test_that_the_proxy_s_password_is_asked_once_and_kept_for_the_next_time(connect: Connect, server: Sshd) -> None:
    with http_proxy(user="ada", password="pass:wörd") as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        person = FakePerson(answers=[["ada", "wrong"], ["ada", "pass:wörd"]])
        connect(person)
        (title, text, prompts), (_, again, _) = person.prompts
        assert title == f"Log in to the proxy 127.0.0.1:{proxy.port}"
        assert prompts == (("User name", True), ("Password", False))
        assert "unencrypted" in text
        assert "not accepted" in again
        connect(FakePerson())


def test_that_a_refused_password_and_giving_up_are_told(connect: Connect) -> None:
    with http_proxy(user="ada", password="secret") as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match="does not accept the user name and password"):
            connect(FakePerson(answers=[["ada", "wrong"]] * 9))
        with pytest.raises(CancelledByUserError, match="The login at the proxy"):
            connect(FakePerson())
    with http_proxy(user="ada", password="secret", scheme="NTLM") as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match="a kind of login that Beamside does not have: ntlm"):
            connect()


def test_that_a_proxy_that_refuses_the_port_points_to_443(connect: Connect, server: Sshd) -> None:
    with http_proxy(ports=frozenset({443})) as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match=r"does not let connections to 127.0.0.1, port ") as e:
            connect()
        assert "port 443" in e.value.remedy


@pytest.mark.parametrize(("answer", "said"), [
    (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot reach 127.0.0.1, port"),
    (b"HTTP/1.0 504 Timeout\r\n\r\n", "cannot reach 127.0.0.1, port"),
    (b"HTTP/1.1 405 Method Not Allowed\r\n\r\n", "does not let connections"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer as an HTTP proxy"),
    (b"x" * 20000, "does not answer as an HTTP proxy"),
    (b"\x00\xff\r\n\r\n", "does not answer as an HTTP proxy"),
])
def test_that_other_answers_of_a_proxy_are_told(connect: Connect, answer: bytes, said: str) -> None:
    with http_proxy(answer=answer) as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match=said):
            connect()


def test_that_a_proxy_that_is_not_there_is_told(connect: Connect) -> None:
    port = free_port()
    proxies.choose(f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError, match=f"The proxy 127.0.0.1:{port} cannot be reached: conn") as e:
        connect()
    assert "HTTPS_PROXY" in e.value.remedy


def test_that_a_proxy_may_be_spoken_to_over_tls(connect: Connect, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.certificate, pki.key)
    with http_proxy(context) as proxy:
        proxies.choose(f"https://127.0.0.1:{proxy.port}")
        with pytest.raises(UnreachableError, match="cannot be spoken to securely"):
            connect()
        monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
        transport = connect()
        data = os.urandom(3_000_000)
        assert transport.run(["cat"], stdin=data).stdout == data
        transport.close()


def test_that_the_system_s_proxy_helps_where_ssh_does_not_get_out(
        connect: Connect, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    real = dial.dial

    def blocked(host: str, port: int, **named: Any) -> socket.socket:
        if port == server.port:
            raise UnreachableError(f"{host}, port {port} did not answer within 15 seconds.")
        return real(host, port, **named)

    monkeypatch.setattr("app.remote.ssh.connect.dial", blocked)
    with http_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        person = FakePerson()
        connect(person)
        assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port}"]
        assert any("Trying the proxy" in said for said in person.said)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with pytest.raises(UnreachableError, match="did not answer"):
            connect()
        monkeypatch.delenv("NO_PROXY")
        proxies.choose("none")
        with pytest.raises(UnreachableError, match="did not answer"):
            connect()
        assert len(proxy.asked) == 1
    proxies.choose("")
    with pytest.raises(UnreachableError, match=r"did not answer within 15 seconds\. The proxy .* cannot be reached"):
        connect()


def test_that_the_chosen_proxy_serves_sign_in_too(pki: Pki) -> None:
    with http_proxy() as proxy:
        proxies.choose(f"http://127.0.0.1:{proxy.port}")
        with HttpsSession(str(pki.ca)) as web, pytest.raises(requests.RequestException):
            web.get("https://127.0.0.1:1/")
        assert proxy.asked == ["CONNECT 127.0.0.1:1"]


def test_that_the_system_s_proxy_serves_sign_in(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with HttpsSession(str(pki.ca)) as web:
            with pytest.raises(requests.RequestException):
                web.get("https://127.0.0.1:1/")
            proxies.choose("none")
            with pytest.raises(requests.RequestException):
                web.get("https://127.0.0.1:1/")
        assert proxy.asked == ["CONNECT 127.0.0.1:1"]


@pytest.mark.parametrize("text", ["socks5://host:1", "http://", "http://host:port", "http://host:1/path", "ftp://host"])
def test_that_what_is_no_http_proxy_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is not the address of an HTTP proxy"):
        proxies.choose(text)
    assert proxies.for_ssh("host") is None


def test_that_no_password_is_taken_into_the_setting() -> None:
    with pytest.raises(UsageError, match="must not hold") as caught:
        proxies.choose("http://ada:geheim@host:3128")
    with pytest.raises(UsageError) as other:
        proxies.choose("http://ada:geheim@host:x")
    for error in (caught.value, other.value):
        assert "geheim" not in f"{error.summary}{error.detail}{error.remedy}"
    assert "geheim" not in repr(proxies.parse_proxy("http://ada:geheim@host:3128"))


def test_that_this_computer_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    proxies.choose("http://proxy.example:3128")
    for host in ("localhost", "127.0.0.1", "::1", "127.9.9.9"):
        assert proxies.for_ssh(host) is None
    assert proxies.for_ssh("login.example") == proxies.Proxy("proxy.example", 3128)


# ---- the user's own command

def test_that_the_user_s_proxy_command_carries_the_connection(connect: Connect, server: Sshd) -> None:
    need_program("ssh", "openssh-client")
    import sys

    carry = Path(__file__).with_name("carry.py")
    write(f"Host there\n  HostName 127.0.0.1\n  Port {server.port}\n  ProxyCommand {sys.executable} {carry} %h %p\n")
    transport = connect(host="there", port=22)
    data = os.urandom(500_000)
    assert transport.run(["cat"], stdin=data).stdout == data
    transport.close()


def test_that_a_proxy_command_that_fails_is_told_with_its_words(connect: Connect) -> None:
    write("Host there\n  ProxyCommand echo no way out >&2; exit 7\n")
    with pytest.raises(UnreachableError, match="The ProxyCommand for there ended with code") as caught:
        connect(host="there", port=22)
    assert "no way out" in caught.value.detail
    assert "ssh there" in caught.value.remedy
    write("Host there\n  ProxyCommand no-such-program\n")
    with pytest.raises(UnreachableError, match="The ProxyCommand for there ended with code 127"):
        connect(host="there", port=22)


def test_that_a_proxy_command_ends_with_its_connection(connect: Connect, server: Sshd) -> None:
    import sys

    carry = Path(__file__).with_name("carry.py")
    write(f"Host there\n  ProxyCommand {sys.executable} {carry} 127.0.0.1 {server.port}\n")
    transport = connect(host="there", port=22)
    server.cut()
    deadline = time.monotonic() + 20
    while transport.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(LinkLostError, match=r"to the ProxyCommand for there was lost|to there was lost"):
        transport.run(["true"])


def test_that_a_profile_brings_no_command(server: Sshd) -> None:
    assert not {"proxy_command", "command"} & set(SshSettings.__dataclass_fields__)
    assert not hasattr(SiteProfile("x").ssh, "command")
