"""A long, thin link on one machine: two network namespaces joined by a packet-level emulator.

Real kernel TCP runs on both ends, so slow start, idle restart and queueing are real (linkemu.c: rate, delay, drop-tail
queue, loss; for kernels without ``sch_netem``). Needs root, iproute2 and a C compiler.

    with emulated_link(rate_mbit=50, round_trip_ms=30) as link:
        subprocess.Popen(link.at_the_facility(["sshd", …]))        # listens on link.facility_address
        subprocess.run(link.at_home([sys.executable, …]))
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.need import need_program

_SOURCE = Path(__file__).with_name("linkemu.c")


@dataclass(frozen=True)
class EmulatedLink:
    """A link that is up. ``home`` and ``facility`` are the namespaces' names."""

    home: str
    facility: str
    rate_mbit: float
    round_trip_ms: float
    emulator: subprocess.Popen[str]
    home_address: str = "10.77.0.1"
    facility_address: str = "10.77.0.2"

    def at_home(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs ``argv`` on the laptop's side."""
        return [*_inside(self.home), *argv]

    def at_the_facility(self, argv: Sequence[str]) -> list[str]:
        """The argument list that runs ``argv`` on the facility's side."""
        return [*_inside(self.facility), *argv]

    def bytes_carried(self) -> tuple[int, int]:
        """Bytes of IP packets delivered so far: (to the facility, from the facility)."""
        assert self.emulator.stdout is not None
        self.emulator.send_signal(signal.SIGUSR1)
        lines = [self.emulator.stdout.readline(), self.emulator.stdout.readline()]
        counts = [int(match.group(1)) for line in lines if (match := re.search(r"bytes=(\d+)", line))]
        return counts[0], counts[1]


@contextlib.contextmanager
def emulated_link(rate_mbit: float, round_trip_ms: float, *, queue_ms: float = 60,
                  loss_percent: float = 0) -> Iterator[EmulatedLink]:
    """Bring the link up and take it down with everything that runs in its namespaces."""
    ip, compiler = need_program("ip", "iproute2"), need_program("gcc", "gcc")
    word = secrets.token_hex(4)                    # nobody else's, and not of one that was killed
    names = (f"bs-home-{word}", f"bs-site-{word}")
    devices = (f"bsA{word}", f"bsB{word}")

    with contextlib.ExitStack() as stack:
        program = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bs-link-"))) / "linkemu"
        _run(compiler, "-O2", "-o", str(program), str(_SOURCE))
        for name in names:
            _run(ip, "netns", "add", name)
            stack.callback(_remove_namespace, ip, name)
            _run(*_inside(name), ip, "link", "set", "lo", "up")
        emulator = subprocess.Popen([str(program), *devices, str(rate_mbit), str(round_trip_ms / 2), str(queue_ms),
                                     str(loss_percent)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        stack.callback(_stop, emulator)
        assert emulator.stdout is not None
        if emulator.stdout.readline().strip() != "ready":
            raise RuntimeError("the link emulator did not start: /dev/net/tun is needed")
        link = EmulatedLink(*names, rate_mbit, round_trip_ms, emulator)
        for name, device, here, there in ((names[0], devices[0], link.home_address, link.facility_address),
                                          (names[1], devices[1], link.facility_address, link.home_address)):
            _run(ip, "link", "set", device, "netns", name)
            _run(*_inside(name), ip, "addr", "add", here, "peer", there, "dev", device)
            _run(*_inside(name), ip, "link", "set", device, "mtu", "1500", "txqueuelen", "2000", "up")
            # bbr, the default of some kernels, hides slow start; most facilities run cubic
            _run(*_inside(name), ip, "route", "replace", f"{there}/32", "dev", device, "src", here, "congctl", "cubic")
        yield link


def _inside(namespace: str) -> list[str]:
    """nsenter, not ``ip netns exec``: that remounts / and fails in a chroot."""
    return ["nsenter", f"--net=/run/netns/{namespace}"]


def _run(*argv: str) -> None:
    done = subprocess.run(argv, timeout=120, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip()}")


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    process.communicate(timeout=60)


def _remove_namespace(ip: str, name: str) -> None:
    pids = subprocess.run([ip, "netns", "pids", name], capture_output=True, text=True, timeout=60, check=False)
    for pid in pids.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while subprocess.run([ip, "netns", "del", name], capture_output=True, timeout=10, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"the network namespace {name} could not be removed")
        time.sleep(0.05)
