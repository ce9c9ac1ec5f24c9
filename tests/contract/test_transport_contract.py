"""What every transport promises (app/remote/seams.py), over each of them."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from app.errors import LinkError, LinkLostError
from app.remote.seams import Transport
from tests.contract.conftest import Site


def test_that_a_command_gives_its_outputs_and_status(transport: Transport) -> None:
    result = transport.run(["sh", "-c", "printf out; printf err >&2; exit 3"])
    assert (result.exit_code, result.stdout, result.stderr) == (3, b"out", b"err")


def test_that_arguments_arrive_unchanged(transport: Transport) -> None:
    arguments = ["", "a b", "$HOME", "`id`", "'", '"', "\\", "*", "é\n", ";", "~", "-n", "--"]
    result = transport.run(["sh", "-c", "printf '%s\\0' \"$@\"", "x", *arguments])
    assert result.stdout.decode().split("\0")[:-1] == arguments


def test_that_input_of_any_size_and_content_reaches_the_command(transport: Transport) -> None:
    data = bytes(range(256)) * 16384
    result = transport.run(["cat"], stdin=data, timeout_s=60)
    assert result.stdout == data


def test_that_a_command_that_ignores_its_input_does_not_hang(transport: Transport) -> None:
    result = transport.run(["sh", "-c", "exit 0"], stdin=bytes(4 * 2**20), timeout_s=30)
    assert result.exit_code == 0


def test_that_a_missing_command_is_status_127(transport: Transport) -> None:
    assert transport.run(["/nowhere/no-such-command"]).exit_code == 127


def test_that_a_command_ended_by_a_signal_is_told_as_one(transport: Transport) -> None:
    assert transport.run(["sh", "-c", "kill -9 $$"]).exit_code in (-1, 128 + 9)     # or a shell in between says so


def test_that_a_command_that_takes_too_long_is_an_error_in_time(transport: Transport) -> None:
    started = time.monotonic()
    with pytest.raises(LinkError) as late:
        transport.run(["sleep", "60"], timeout_s=0.5)
    assert time.monotonic() - started < 20
    assert "did not finish" in late.value.summary
    assert transport.run(["echo", "still"]).stdout == b"still\n"


def test_that_a_command_whose_child_keeps_its_output_is_an_error_in_time(transport: Transport, tmp_path: Path) -> None:
    child = "setsid sh -c 'echo $$ > \"$0\"; exec sleep 60' \"$0\" & sleep 60"
    started = time.monotonic()
    try:
        with pytest.raises(LinkError):
            transport.run(["sh", "-c", child, str(tmp_path / "pid")], timeout_s=1)
        assert time.monotonic() - started < 20
    finally:
        if (tmp_path / "pid").exists():
            transport.run(["kill", "-9", (tmp_path / "pid").read_text().strip()])


def test_that_home_and_user_are_those_of_the_account(transport: Transport) -> None:
    assert transport.home.is_absolute()
    assert transport.user == transport.run(["id", "-un"]).text.strip()


def test_that_commands_run_side_by_side(transport: Transport) -> None:
    results: list[bytes] = []
    threads = [threading.Thread(target=lambda n=n: results.append(transport.run(["echo", str(n)]).stdout))
               for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [f"{n}\n".encode() for n in range(6)]


def test_that_a_stream_carries_bytes_both_ways_and_ends(transport: Transport) -> None:
    stream = transport.start(["sh", "-c", "echo ready; echo warning >&2; cat; exit 4"])
    assert stream.read(100) == b"ready\n"
    assert stream.read_error(100) == b"warning\n"
    data, got = bytes(range(256)) * 800, b""
    writer = threading.Thread(target=stream.write, args=(data,))
    writer.start()
    while len(got) < len(data):
        piece = stream.read(70000)
        assert piece
        got += piece
    writer.join(30)
    assert got == data
    assert stream.exit_code(0.05) is None
    stream.close()


def test_that_the_end_of_a_process_ends_its_stream(transport: Transport) -> None:
    stream = transport.start(["sh", "-c", "exit 7"])
    assert stream.read(10) == b""
    assert stream.read_error(10) == b""
    assert stream.exit_code(10) == 7
    stream.close()


@pytest.mark.parametrize("what", ["stream", "transport"])
def test_that_closing_makes_blocked_reads_return(site: Site, what: str) -> None:
    transport = site.open_transport()
    stream = transport.start(["cat"])
    stream.write(b"x")
    assert stream.read(1) == b"x"
    reader = threading.Thread(target=stream.read, args=(10,))
    reader.start()
    (stream if what == "stream" else transport).close()
    reader.join(15)
    assert not reader.is_alive()
    stream.close()
    transport.close()


def test_that_writing_to_an_ended_process_is_a_lost_link(transport: Transport) -> None:
    stream = transport.start(["sh", "-c", "exit 0"])
    assert stream.read(1) == b""
    stream.exit_code(10)
    with pytest.raises(LinkLostError):
        stream.write(bytes(8 * 2**20))
    stream.close()


def test_that_a_closed_transport_is_not_alive_and_refuses_in_words(site: Site) -> None:
    transport = site.open_transport()
    assert transport.alive
    transport.close()
    transport.close()
    assert not transport.alive
    with pytest.raises(LinkError):
        transport.run(["true"])
    with pytest.raises(LinkError):
        transport.start(["true"])
