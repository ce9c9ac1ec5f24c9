"""A desktop's notification service on a session bus of its own: keeps what it was asked to show, and can be clicked."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

from tests.peers.need import need_program

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"


@dataclass
class NotificationService:
    """``shown``: (number, title, text, actions) in the order they came; ``replaced``: numbers of earlier ones."""

    address: str
    shown: list[tuple[int, str, str, list[str]]] = field(default_factory=list)
    replaced: list[int] = field(default_factory=list)
    bus: Any = None

    def click(self, number: int) -> None:
        """As a person clicks a notice."""
        self.bus.send(new_signal(DBusAddress(PATH, interface=NAME), "ActionInvoked", "us", (number, "default")))

    def serve(self) -> None:
        """Answer until the bus is gone."""
        with contextlib.suppress(ConnectionError, OSError, EOFError):
            while True:
                message = self.bus.receive()
                if message.header.message_type is not MessageType.method_call:
                    continue
                if message.header.fields.get(HeaderFields.member) == "Notify":
                    _app, replaces, _icon, title, text, actions, _hints, _timeout = message.body
                    number = replaces or len(self.shown) + 1
                    self.replaced += [replaces] if replaces else []
                    self.shown.append((number, title, text, list(actions)))
                    self.bus.send(new_method_return(message, "u", (number,)))


@contextlib.contextmanager
def session_bus(folder: Path) -> Iterator[str]:
    """A session bus without any service; yields its address."""
    daemon = need_program("dbus-daemon", "dbus")
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([daemon, "--session", "--nofork", "--nopidfile", f"--address=unix:path={folder}/bus",
                                "--print-address=1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        assert address, "no session bus"
        yield address
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout is not None:
            process.stdout.close()


@contextlib.contextmanager
def notification_service(address: str) -> Iterator[NotificationService]:
    """The service on that bus."""
    service = NotificationService(address)
    service.bus = open_dbus_connection(bus=address)
    Proxy(message_bus, service.bus).RequestName(NAME)
    thread = threading.Thread(target=service.serve, name="notifications", daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.bus.sock.shutdown(2)
        thread.join(5)
        service.bus.close()
