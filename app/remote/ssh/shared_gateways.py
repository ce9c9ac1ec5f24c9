"""Gateways that hold a session, of which a user may have only one: shared by all connections that go through them.

One is kept for a while after its last use, so that a site comes back after a fault without another one-time password.
Thread-safe; whoever needs it first opens it, the others wait for that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable

from app.errors import CancelledByUserError
from app.remote.ssh.gateways import Gateway

KEPT_S = 90.0   # a gateway that nobody uses


class Lease:
    """The right to use a shared gateway, given back with ``close``."""

    def __init__(self, gateway: Gateway, give_back: Callable[[], None]) -> None:
        self._gateway = gateway
        self._give_back = give_back
        self._lock = threading.Lock()
        self._given_back = False

    @property
    def gateway(self) -> Gateway:
        return self._gateway

    @property
    def lost_at(self) -> str:
        return self._gateway.lost_at

    def close(self) -> None:
        """Idempotent; the gateway itself stays for others and for a while."""
        with self._lock:
            given_back, self._given_back = self._given_back, True
        if not given_back:
            self._give_back()


class _Slot:
    """One shared gateway: who opens it holds ``opening``; ``users`` and ``gateway`` are guarded by the pool's lock."""

    def __init__(self) -> None:
        self.opening = threading.Lock()
        self.gateway: Gateway | None = None
        self.users = 0
        self.timer: threading.Timer | None = None


class SharedGateways:
    """Gateways of which there may be only one: opened by the first who needs it, kept while anybody does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def borrow(self, key: Hashable, make: Callable[[], Gateway], cancelled: threading.Event) -> tuple[Lease, bool]:
        """The gateway called ``key``, opened by ``make`` if there is none that lives.

        Returns:
            The lease, and whether the gateway was there before.

        Raises:
            CancelledByUserError: ``cancelled`` was set while somebody else was opening it.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
        while not slot.opening.acquire(timeout=0.2):
            if cancelled.is_set():
                raise CancelledByUserError("Connecting was cancelled.")
        try:
            with self._lock:
                gateway, old = slot.gateway, None
                if gateway is not None and not gateway.alive:
                    gateway, old, slot.gateway = None, gateway, None
                if gateway is not None:
                    self._use(slot)
            if old is not None:
                old.close()
            shared = gateway is not None
            if gateway is None:
                gateway = make()
                with self._lock:
                    slot.gateway, slot.users = gateway, 0
                    self._use(slot)
        finally:
            slot.opening.release()
        mine = gateway
        return Lease(mine, lambda: self._give_back(slot, mine)), shared

    def drop(self, lease: Lease) -> None:
        """Close a gateway that does not answer, whoever uses it; the next one who needs it opens it anew."""
        lease.close()
        lease.gateway.close()

    def close_idle(self) -> None:
        """Close at once what nobody uses."""
        with self._lock:
            idle = [slot for slot in self._slots.values() if slot.users == 0]
        for slot in idle:
            self._close_if_idle(slot, slot.gateway)

    def _use(self, slot: _Slot) -> None:
        slot.users += 1
        if slot.timer is not None:
            slot.timer.cancel()
            slot.timer = None

    def _give_back(self, slot: _Slot, gateway: Gateway) -> None:
        with self._lock:
            if slot.gateway is not gateway:
                return
            slot.users -= 1
            if slot.users:
                return
            if gateway.alive:
                slot.timer = threading.Timer(KEPT_S, self._close_if_idle, (slot, gateway))
                slot.timer.name = "gateway-kept"
                slot.timer.daemon = True
                slot.timer.start()
        if not gateway.alive:
            self._close_if_idle(slot, gateway)

    def _close_if_idle(self, slot: _Slot, gateway: Gateway | None) -> None:
        with self._lock:
            if gateway is None or slot.gateway is not gateway or slot.users:
                return
            slot.gateway = None
            timer, slot.timer = slot.timer, None
        if timer is not None:
            timer.cancel()
            if timer is not threading.current_thread():
                timer.join(5)
        gateway.close()


SHARED = SharedGateways()
