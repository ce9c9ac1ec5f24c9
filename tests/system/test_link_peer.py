"""The emulated link is as long and as thin as it says."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.peers.link import emulated_link

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


def test_that_the_link_has_the_rate_and_the_round_trip_it_was_asked_for() -> None:
    with emulated_link(rate_mbit=50, round_trip_ms=30) as link:
        server = subprocess.Popen(link.at_the_facility([sys.executable, "-c", SERVER]), stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        assert server.stdin is not None
        assert server.stdout.readline() == "up\n"
        server.stdin.write("6000000\n")
        server.stdin.close()
        begun = time.monotonic()
        answer = subprocess.run(link.at_home([sys.executable, "-c", CLIENT]), stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=60, check=True)
        assert time.monotonic() - begun < 30
        server.wait(10)
        server.stdout.close()
        round_trip_s, rate_mbit = (float(word) for word in answer.stdout.split())
        assert 0.029 <= round_trip_s < 0.08
        assert 20 < rate_mbit < 50
        assert link.bytes_carried()[1] > 6_000_000
