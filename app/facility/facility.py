"""Puts the demo facility together and owns the order in which it starts and stops. Main thread, asyncio.

Everything listens on 127.0.0.1; everything written lies below the state folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from app.facility.batch.server import BatchServer
from app.facility.certificates import CertificateEndpoint
from app.facility.commands import write_commands
from app.facility.data.layout import make_data
from app.facility.gateway import Gateway
from app.facility.keys import load_keys
from app.facility.leftovers import MARK, end_leftovers
from app.facility.options import Options
from app.facility.persons import LOGIN_NAME
from app.facility.pin import Pin
from app.facility.profile import profile_text
from app.facility.provider import Provider
from app.facility.ssh_server import SshServer
from app.facility.state import StateFolder, write_private
from app.facility.tokens import Signer
from app.facility.web import HttpsServer

_KEPT_VARIABLES = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class Facility:
    """One demo facility, from ``start`` to ``stop``."""

    def __init__(self, state: StateFolder, options: Options, say: Callable[[str], None]) -> None:
        self._state = state
        self._options = options
        self._say = say
        self._web: list[HttpsServer] = []
        self._ssh: SshServer | None = None
        self._gateway: Gateway | None = None
        self._batch: BatchServer | None = None

    async def start(self) -> dict[str, Any]:
        """Make what is missing, listen, write the profile; returns the addresses."""
        state, options = self._state, self._options
        end_leftovers(state.path)
        keys = load_keys(state)
        make_data(state.data, options.data, self._say)
        pin = Pin()
        write_private(state.pin_file, pin.text + "\n")
        write_commands(state.bin, state.batch / "address")
        environment = self._environment()

        self._batch = BatchServer(state, options, environment)
        await self._batch.start()
        wished = _read_ports(state)
        self._ssh = SshServer(keys, pin, state.home, environment)
        ssh_port = await _listen(self._ssh, wished.get("ssh", 0))
        gateway_port = 0
        if options.gateway:
            self._gateway = Gateway(keys, pin, ssh_port)
            gateway_port = await _listen(self._gateway, wished.get("gateway", 0))
        provider_web = HttpsServer("provider", keys.tls, wished.get("provider", 0))
        ca_web = HttpsServer("certificates", keys.tls, wished.get("ca", 0))
        self._web = [provider_web, ca_web]
        issuer = provider_web.origin + ("" if options.pathless else "/op")
        signer = Signer(keys.signing_key, issuer, options.access_lifetime_s)
        provider_web.start(Provider(issuer, signer, pin, options, state.secrets / "refresh.json").app)
        ca_web.start(CertificateEndpoint(issuer, signer, keys.user_authority, options.certificate_lifetime_s,
                                         lambda: ssh_port).app)
        write_private(state.secrets / "ports.json", json.dumps(
            {"ssh": ssh_port, "provider": provider_web.port, "ca": ca_web.port, "gateway": gateway_port}))
        write_private(state.profile_file, profile_text(
            issuer=issuer, ca_url=ca_web.origin, ca_file=state.ca_file, ssh_port=ssh_port,
            host_key=keys.host_key_line, data=state.data, options=options,
            gateway=(gateway_port, self._gateway.host_key_line) if self._gateway is not None else None))
        addresses = {
            "profile": str(state.profile_file), "issuer": issuer, "ssh": f"127.0.0.1:{ssh_port}",
            "ssh_host": "127.0.0.1", "ssh_port": ssh_port, "ssh_user": LOGIN_NAME, "host_key": keys.host_key_line,
            "ca": ca_web.origin, "ca_file": str(state.ca_file), "pin_file": str(state.pin_file),
            "sign_in": f"{issuer}/device", "state": str(state.path), "home": str(state.home),
            "data": str(state.data), "bin": str(state.bin)}
        write_private(state.addresses_file, json.dumps(addresses))
        self._say(f"The demo facility is ready. Demo PIN for its sign-in pages: {pin.text}")
        return addresses

    async def stop(self) -> None:
        """Stop everything that was started, in the reverse order."""
        for web in self._web:
            await asyncio.to_thread(web.close)
        if self._gateway is not None:
            await self._gateway.close()
        if self._ssh is not None:
            await self._ssh.close()
        if self._batch is not None:
            await self._batch.stop()
        end_leftovers(self._state.path)

    def _environment(self) -> dict[str, str]:
        """What a command or job of the visitor finds in its environment: little, as at a real site."""
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        path = os.environ.get("PATH", "") if sys.platform == "win32" else _SYSTEM_PATH
        return kept | {
            "HOME": str(self._state.home), "USER": LOGIN_NAME, "LOGNAME": LOGIN_NAME, "SHELL": "/bin/sh",
            "PATH": f"{self._state.bin}{os.pathsep}{path}", MARK: str(self._state.path)}


async def _listen(server: SshServer | Gateway, wished: int) -> int:
    """At the port of the last time, if it is free."""
    try:
        return await server.start(wished)
    except OSError:
        return await server.start(0)


async def serve(state: StateFolder, options: Options, say: Callable[[str], None], ready: Callable[[str], None],
                until_input_closes: bool = False) -> None:
    """Run a facility until SIGTERM, SIGINT or, if wished, the end of standard input."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    _stop_on_signals(loop, asked_to_stop)
    if until_input_closes:
        threading.Thread(target=_wait_for_end_of_input, args=(loop, asked_to_stop), daemon=True,
                         name="facility-input").start()
    facility = Facility(state, options, say)
    try:
        addresses = await facility.start()
        ready(json.dumps(addresses))
        await asked_to_stop.wait()
    finally:
        await facility.stop()


def _stop_on_signals(loop: asyncio.AbstractEventLoop, asked_to_stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        if sys.platform == "win32":
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(asked_to_stop.set))
        else:
            loop.add_signal_handler(number, asked_to_stop.set)


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, asked_to_stop: asyncio.Event) -> None:
    while sys.stdin.buffer.read(4096):
        continue
    loop.call_soon_threadsafe(asked_to_stop.set)


def _read_ports(state: StateFolder) -> dict[str, int]:
    try:
        kept = json.loads((state.secrets / "ports.json").read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in kept.items() if isinstance(v, int)} if isinstance(kept, dict) else {}
