"""The emulated link is as long and as thin as it says."""

from __future__ import annotations

import subprocess
import sys

from tests.peers.link import EmulatedLink, emulated_link

SERVER = """
import socket
listener = socket.create_server(("10.77.0.2", 7000))
print("up", flush=True)
connection, _ = listener.accept()
connection.sendall(b"x" * int(input()))
"""
CLIENT = """
import socket, time
begun = time.monotonic()
connection = socket.create_connection(("10.77.0.2", 7000), timeout=30)
connected, count = time.monotonic() - begun, 0
while data := connection.recv(65536):
    count += len(data)
print(connected, count * 8e-6 / (time.monotonic() - begun - connected))
"""


def measured(link: EmulatedLink) -> tuple[float, float]:
    """The time that a connection takes, in s, and the rate of six million bytes, in Mbit/s."""
    with subprocess.Popen(link.at_the_facility([sys.executable, "-c", SERVER]), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == "up\n"
        server.stdin.write("6000000\n")
        server.stdin.close()
        answer = subprocess.run(link.at_home([sys.executable, "-c", CLIENT]), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60, check=True)
    round_trip_s, rate_mbit = (float(word) for word in answer.stdout.split())
    return round_trip_s, rate_mbit


def test_that_the_link_has_the_rate_and_the_round_trip_it_was_asked_for() -> None:
    found = []
    with emulated_link(rate_mbit=50, round_trip_ms=30) as link:
        for _attempt in range(5):                          # what a busy machine measures is slower than the link is
            found.append(measured(link))
            assert found[-1][0] >= 0.029
            assert found[-1][1] < 50
            if min(round_trip_s for round_trip_s, _ in found) < 0.08 and max(rate for _, rate in found) > 20:
                break
        else:
            raise AssertionError(found)
        assert link.bytes_carried()[1] > 6_000_000
