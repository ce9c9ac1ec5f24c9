"""A real gnome-keyring on a session bus of its own, unlocked, for programs started with its environment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import secretstorage
from jeepney.io.blocking import open_dbus_connection

from tests.peers.need import need_program

START_S = 60.0


@contextlib.contextmanager
def secret_service(home: Path) -> Iterator[dict[str, str]]:
    """Start ``dbus-run-session`` with an unlocked gnome-keyring; yields the environment of programs that use it."""
    runner = need_program("dbus-run-session", "dbus")
    daemon = need_program("gnome-keyring-daemon", "gnome-keyring")
    (home / "run").mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data"),
                   "XDG_RUNTIME_DIR": str(home / "run")}
    environment.pop("PYTHON_KEYRING_BACKEND", None)   # found as on a desktop
    environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
    script = 'echo "$DBUS_SESSION_BUS_ADDRESS"; exec "$0" --foreground --unlock --components=secrets'
    session = subprocess.Popen([runner, "--", "sh", "-c", script, daemon], env=environment, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"a password for tests")
        session.stdin.close()
        address = session.stdout.readline().decode().strip()
        assert address, "no session bus"
        environment["DBUS_SESSION_BUS_ADDRESS"] = address
        _wait_for_daemon(session, address)
        yield environment
    finally:
        os.killpg(session.pid, signal.SIGTERM)   # dbus-run-session alone would leave its children behind
        session.wait(60)
        if session.stdout is not None:
            session.stdout.close()


def _wait_for_daemon(session: subprocess.Popen[bytes], address: str) -> None:
    deadline = time.monotonic() + START_S
    with contextlib.closing(open_dbus_connection(bus=address)) as bus:
        while time.monotonic() < deadline and session.poll() is None:
            if secretstorage.check_service_availability(bus):
                return
            time.sleep(0.05)
    raise RuntimeError("gnome-keyring did not start")
