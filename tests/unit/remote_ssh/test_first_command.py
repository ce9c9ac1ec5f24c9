"""The first command of a connection, which goes out right behind the request for its channel. A real OpenSSH server."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paramiko.common import MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST

from app.errors import LinkError
from app.remote.ssh.connect import open_ssh
from app.remote.ssh.first_command import Link
from app.remote.ssh.transport import SshTransport
from tests.peers.interaction import FakePerson
from tests.peers.sshd import Sshd, public_line, sshd, write_private
from tests.unit.remote_ssh.conftest import profile_for

Connect = Callable[..., SshTransport]


def test_that_the_first_command_waits_for_no_answer_and_the_next_ones_do(
        connect: Connect, server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    said: queue.Queue[int] = queue.Queue()
    send = Link._send_message  # type: ignore[attr-defined]

    def note(link: Link, message: paramiko.Message) -> None:
        kind = message.asbytes()[0]
        if kind in (MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST):     # an earlier channel's end may come late
            said.put(kind)
        send(link, message)

    transport, found = connect(), []
    monkeypatch.setattr(Link, "_send_message", note)
    for expected in ([MSG_CHANNEL_OPEN, MSG_CHANNEL_REQUEST], [MSG_CHANNEL_OPEN]):
        server.freeze(True)
        asking = threading.Thread(target=lambda: found.append(transport.run(["echo", "done"]).stdout))
        asking.start()
        try:
            assert [said.get(timeout=20) for _ in expected] == expected
            with pytest.raises(queue.Empty):
                said.get(timeout=0.3)
        finally:
            server.freeze(False)
        asking.join(20)
        while not said.empty():
            said.get()
    assert found == [b"done\n", b"done\n"]


def test_that_threads_that_begin_together_each_get_their_own_answer(connect: Connect) -> None:
    transport, results = connect(), {}

    def work(number: int) -> None:
        results[number] = transport.run(["echo", str(number)]).stdout

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {number: f"{number}\n".encode() for number in range(6)}


def test_that_a_server_that_opens_no_channel_at_all_is_told_in_a_sentence(tmp_path: Path, own_home: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    with sshd(tmp_path / "shut", options=["MaxSessions 0"]) as server:
        server.allow(public_line(key))
        transport = open_ssh(profile_for(server), FakePerson(), None)
        try:
            with pytest.raises(LinkError) as caught:
                transport.run(["true"])
        finally:
            transport.close()
    assert "refuses another channel" in caught.value.summary or "was lost" in caught.value.summary


def test_that_a_first_command_that_ends_at_once_is_not_taken_for_a_lost_link(
        connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its channel may be gone from paramiko's list before the thread that asked for it looks there."""
    open_session = Link.open_session

    def late(link: Link, timeout: float | None = None) -> paramiko.Channel:
        channel = open_session(link, timeout=timeout)
        deadline = time.monotonic() + 20
        while not channel.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        raise paramiko.SSHException("Unable to open channel.")

    transport = connect()
    monkeypatch.setattr(Link, "open_session", late)
    assert transport.run(["echo", "done"]).stdout == b"done\n"


def test_that_nothing_is_said_into_a_channel_that_was_closed(connect: Connect) -> None:
    transport = connect()
    transport.run(["true"])
    link = transport._link
    channel = link.open_session()
    channel.exec_command("cat")
    with channel.lock:
        late = channel._send_eof()                     # one thread ends the input …
    channel.close()                                    # … while another hangs up
    for _ in range(3):
        assert transport.run(["echo", "well"]).stdout == b"well\n"
        link._send_user_message(late)
    assert transport.run(["echo", "still"]).stdout == b"still\n"
    assert transport.alive
