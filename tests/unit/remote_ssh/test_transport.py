"""Commands over a real OpenSSH server."""

from __future__ import annotations

import os
import pwd
import threading
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from app.errors import LinkError, LinkLostError
from app.remote.ssh.transport import SshTransport
from tests.peers.need import missing
from tests.peers.sshd import Sshd

Connect = Callable[..., SshTransport]


def test_that_output_errors_and_exit_code_come_back(connect: Connect) -> None:
    result = connect().run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_that_arguments_are_never_read_by_a_shell(connect: Connect) -> None:
    words = ["$HOME", "a b", "'", '"', ";ls", "`id`", "*", "\n", "ä", "-n", "\\"]
    assert connect().run(["printf", "%s\\0", *words]).stdout == "\0".join([*words, ""]).encode()


def test_that_input_reaches_the_command_and_ends(connect: Connect) -> None:
    data = os.urandom(3_000_000)
    assert connect().run(["cat"], stdin=data).stdout == data


def test_that_a_command_that_ignores_its_input_ends(connect: Connect) -> None:
    assert connect().run(["true"], stdin=b"x" * 5_000_000).exit_code == 0


def test_that_standard_error_is_drained_while_output_waits(connect: Connect) -> None:
    result = connect().run(["sh", "-c", "head -c 5000000 /dev/zero >&2; echo done"])
    assert result.stdout == b"done\n"
    assert len(result.stderr) == 5_000_000


def test_that_a_missing_command_says_so(connect: Connect) -> None:
    result = connect().run(["no-such-command"])
    assert result.exit_code == 127
    assert "no-such-command" in result.error_text


def test_that_a_command_ended_by_a_signal_has_no_exit_code(connect: Connect) -> None:
    assert connect().run(["sh", "-c", "kill -9 $$"]).exit_code == -1


def test_that_a_slow_command_is_hung_up_on(connect: Connect) -> None:
    transport = connect()
    start = time.monotonic()
    with pytest.raises(LinkError, match="did not finish within 1 seconds"):
        transport.run(["sleep", "30"], timeout_s=1)
    assert time.monotonic() - start < 10
    assert transport.run(["echo", "still here"]).stdout == b"still here\n"


@pytest.mark.parametrize("where", ["", " >&2"])
def test_that_a_command_that_talks_without_end_is_hung_up_on(connect: Connect, monkeypatch: pytest.MonkeyPatch,
                                                             where: str) -> None:
    transport = connect()
    start = time.monotonic()
    with pytest.raises(LinkError, match="did not finish within 1 seconds"):
        transport.run(["sh", "-c", f"while :; do echo on and on; sleep 0.01; done{where}"], timeout_s=1)
    assert time.monotonic() - start < 10
    monkeypatch.setattr("app.remote.ssh.transport._MOST_BYTES", 1_000_000)
    with pytest.raises(LinkError, match="more than 1 MB"):
        transport.run(["sh", "-c", f"yes{where}"])
    assert time.monotonic() - start < 20, "as soon as it is too much, not at the deadline"
    assert transport.run(["echo", "still here"]).stdout == b"still here\n"


def test_that_names_that_are_not_utf_8_reach_the_command(connect: Connect) -> None:
    assert connect().run(["printf", "%s", b"caf\xe9".decode("utf-8", "surrogateescape")]).stdout == b"caf\xe9"


def test_that_noise_of_start_up_files_is_left_out(connect: Connect, server: Sshd) -> None:
    if not pwd.getpwnam(server.user).pw_shell.endswith("bash"):
        missing("bash as the login shell")
    (server.home / ".bashrc").write_text('echo "Welcome to the facility!"; echo "quota exceeded" >&2\n')
    transport = connect()
    result = transport.run(["sh", "-c", "echo out; echo err >&2"])
    assert (result.stdout, result.stderr) == (b"out\n", b"err\n")
    assert transport.home == PurePosixPath(server.home)
    assert b"Welcome" in transport.start(["true"]).read(1000)


def test_that_home_and_user_are_the_accounts(connect: Connect, server: Sshd) -> None:
    transport = connect()
    assert transport.user == server.user
    assert transport.home == PurePosixPath(server.home)


def test_that_many_threads_can_run_commands_at_once(connect: Connect) -> None:
    transport = connect()
    transport.run(["true"])
    results: list[bytes] = []

    def work(number: int) -> None:
        results.append(transport.run(["echo", str(number)]).stdout)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [f"{number}\n".encode() for number in range(6)]


def test_that_a_stream_carries_bytes_both_ways(connect: Connect) -> None:
    stream = connect().start(["cat"])
    stream.write(b"hello")
    assert stream.read(100) == b"hello"
    assert stream.exit_code(0.05) is None
    stream.close()
    stream.close()
    assert stream.read(100) == b""
    with pytest.raises(LinkLostError):
        stream.write(b"too late")


def test_that_a_stream_tells_how_it_ended(connect: Connect) -> None:
    stream = connect().start(["sh", "-c", "echo bye >&2; exit 7"])
    assert stream.read(10) == b""
    assert stream.read_error(10) == b"bye\n"
    assert stream.exit_code(10) == 7


def test_that_closing_a_stream_frees_a_blocked_reader_and_writer(connect: Connect) -> None:
    stream = connect().start(["sleep", "30"])
    ended = []

    def read() -> None:
        ended.append(stream.read(10))

    def write() -> None:
        try:
            stream.write(b"x" * 20_000_000)   # more than the window: blocks, since sleep never reads
        except LinkLostError:
            ended.append(b"lost")

    threads = [threading.Thread(target=read), threading.Thread(target=write)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while stream._channel.out_window_size and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    stream.close()
    for thread in threads:
        thread.join(10)
    assert sorted(ended) == [b"", b"lost"]


def test_that_a_cut_link_is_noticed_everywhere(connect: Connect, server: Sshd) -> None:
    transport = connect()
    stream = transport.start(["cat"])
    failures: list[BaseException] = []

    def run() -> None:
        try:
            transport.run(["sleep", "30"])
        except LinkLostError as error:
            failures.append(error)

    running = threading.Thread(target=run)
    running.start()
    deadline = time.monotonic() + 10
    while len(transport._link._channels.values()) < 2 and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    server.cut()
    assert stream.read(1) == b""
    running.join(10)
    assert len(failures) == 1
    assert not transport.alive
    with pytest.raises(LinkLostError):
        stream.write(b"x")
    with pytest.raises(LinkLostError, match="was lost"):
        transport.run(["true"])
    with pytest.raises(LinkLostError):
        transport.start(["true"])


def test_that_a_silent_server_does_not_hold_a_command_for_ever(connect: Connect, server: Sshd) -> None:
    transport = connect()
    server.freeze(True)
    try:
        start = time.monotonic()
        with pytest.raises(LinkError):
            transport.run(["true"], timeout_s=1)
        assert time.monotonic() - start < 10
        server.freeze(False)
        assert transport.run(["echo", "awake"]).stdout == b"awake\n", "a short deadline does not cost the connection"
        server.freeze(True)
        start = time.monotonic()
        transport.close()
        assert time.monotonic() - start < 5
    finally:
        server.freeze(False)


def test_that_a_closed_transport_is_not_alive(connect: Connect) -> None:
    transport = connect()
    assert transport.alive
    transport.close()
    transport.close()
    assert not transport.alive
    with pytest.raises(LinkLostError):
        transport.run(["true"])


def test_that_a_full_disk_is_the_commands_own_error(connect: Connect, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        missing("/dev/full")
    result = connect().run(["sh", "-c", "cat > /dev/full"], stdin=b"x" * 100_000)
    assert result.exit_code != 0
    assert "No space left" in result.error_text


def test_that_a_refused_channel_is_not_a_lost_link(connect: Connect, server: Sshd) -> None:
    transport = connect()
    streams = [transport.start(["cat"]) for _ in range(10)]   # sshd's MaxSessions
    with pytest.raises(LinkError, match="refuses another channel") as caught:
        transport.run(["true"])
    assert not isinstance(caught.value, LinkLostError)
    assert transport.alive
    streams[0].close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert transport.run(["echo", "again"]).stdout == b"again\n"
            return
        except LinkError:
            threading.Event().wait(0.05)
    pytest.fail("no channel after one was closed")


def test_that_gcm_is_negotiated_and_small_packets_leave_at_once(connect: Connect) -> None:
    import socket

    transport = connect()
    assert transport._link.remote_cipher == "aes128-gcm@openssh.com"
    assert transport._link.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert transport._link.packetizer.REKEY_BYTES > 2**35
