"""Notices of the desktop by its notification service (org.freedesktop.Notifications on the session bus).

A thread of its own, begun with the first notice, talks to the bus and hears which notice was clicked; the GUI thread
never waits for it. Without a bus, or without such a service, :attr:`DesktopNotices.unavailable` is told.
"""

from __future__ import annotations

import logging
import queue
import threading
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.session.future_watcher import Mailbox

log = logging.getLogger(__name__)

_ADDRESS = ("/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications")
_PATIENCE_S = 3.0


@dataclass(frozen=True)
class Notice:
    """What is shown; ``key`` comes back when it is clicked. A later one with the same key takes its place."""

    key: str
    title: str
    text: str


class DesktopNotices(QObject):
    """Shows notices.

    Signals:
        clicked(key); unavailable(Notice): it could not be shown.
    """

    clicked = Signal(str)
    unavailable = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._wishes: queue.Queue[Any] = queue.Queue()
        self._thread: threading.Thread | None = None
        self._mailbox = Mailbox(self, self._told)

    def show(self, notice: Notice) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=_Talk(self._wishes, self._mailbox.post).run, name="notices",
                                            daemon=True)
            self._thread.start()
        self._wishes.put(notice)

    def close(self, within_s: float = _PATIENCE_S) -> None:
        """Hang up; what is shown stays (shutdown: the event loop is over)."""
        self._wishes.put(None)
        if self._thread is not None:
            self._thread.join(within_s)

    def _told(self, what: str | Notice) -> None:
        if isinstance(what, Notice):
            self.unavailable.emit(what)
        else:
            self.clicked.emit(what)


class _Talk:
    """The conversation with the service; everything in it is on its own thread."""

    def __init__(self, wishes: queue.Queue[Any], post: Any) -> None:
        self._wishes = wishes
        self._post = post
        self._keys: dict[int, str] = {}

    def run(self) -> None:
        try:
            from jeepney.io.threading import open_dbus_router  # not on every system
        except ImportError:
            self._refuse_all()
            return
        try:
            with open_dbus_router(bus="SESSION") as router:
                self._talk(router)
        except Exception as error:      # no bus, no service, a bus that goes away: whatever it is, nobody is stopped
            log.info("the desktop shows no notices: %s", type(error).__name__)
            self._refuse_all()

    def _talk(self, router: Any) -> None:
        from jeepney import DBusAddress, HeaderFields, MatchRule, new_method_call
        from jeepney.bus_messages import message_bus
        from jeepney.io.threading import Proxy

        address = DBusAddress(*_ADDRESS)
        clicks = MatchRule(type="signal", interface=_ADDRESS[2], member="ActionInvoked", path=_ADDRESS[0])
        Proxy(message_bus, router, timeout=_PATIENCE_S).AddMatch(clicks)
        with router.filter(clicks, queue=self._wishes):
            while (wish := self._wishes.get()) is not None:
                if isinstance(wish, Notice):
                    number = next((n for n, key in self._keys.items() if key == wish.key), 0)
                    call = new_method_call(address, "Notify", "susssasa{sv}i", (
                        "Beamside", number, "beamside", wish.title, wish.text, ["default", "Show"],
                        {"desktop-entry": ("s", "beamside")}, -1))
                    try:
                        reply = router.send_and_get_reply(call, timeout=_PATIENCE_S)
                    except TimeoutError:
                        self._post(wish)
                        continue
                    if HeaderFields.error_name in reply.header.fields:
                        log.info("the desktop shows no notice: %s", reply.header.fields[HeaderFields.error_name])
                        self._post(wish)
                    else:
                        self._keys[int(reply.body[0])] = wish.key
                elif wish.body[0] in self._keys:
                    self._post(self._keys[wish.body[0]])

    def _refuse_all(self) -> None:
        while (wish := self._wishes.get()) is not None:
            if isinstance(wish, Notice):
                self._post(wish)
