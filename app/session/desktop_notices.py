"""Notices of the desktop by its notification service (org.freedesktop.Notifications on the session bus).

A thread of its own, begun with the first notice, talks to the bus and hears which notice was clicked; the GUI thread
never waits for it. Without a bus, or without such a service, :attr:`DesktopNotices.unavailable` is told.
"""

from __future__ import annotations

import html
import logging
import queue
import threading
from collections.abc import Callable
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

    def close(self) -> None:
        """Hang up soon; what is shown stays."""
        self._wishes.put(None)

    def wait_closed(self, within_s: float = _PATIENCE_S) -> None:
        """Until the conversation is over; blocks, never called by the GUI thread."""
        if self._thread is not None:
            self._thread.join(within_s)

    def _told(self, what: str | Notice) -> None:
        if isinstance(what, Notice):
            self.unavailable.emit(what)
        else:
            self.clicked.emit(what)


class _Talk:
    """The conversation with the service; everything in it is on its own thread, except :meth:`_listen`."""

    def __init__(self, wishes: queue.Queue[Any], post: Callable[[Any], None]) -> None:
        self._wishes = wishes
        self._post = post
        self._keys: dict[int, str] = {}             # of what is shown
        self._asked: dict[int, Notice] = {}         # by the serial number of the call

    def run(self) -> None:
        try:
            from jeepney.io.threading import open_dbus_connection  # not on every system
            connection = open_dbus_connection(bus="SESSION")
        except Exception as error:                  # no library, no bus, one that refuses: nobody is stopped
            log.info("the desktop shows no notices: %s", error)
            self._refuse_all()
            return
        listener = threading.Thread(target=self._listen, args=(connection,), name="notices heard", daemon=True)
        listener.start()
        try:
            self._talk(connection)
        except OSError as error:
            log.info("the desktop shows no more notices: %s", error)
            self._refuse_all()
        finally:
            connection.interrupt()
            listener.join()
            connection.close()

    def _listen(self, connection: Any) -> None:
        """Pass on what the bus says, until it is gone or nobody wants to hear."""
        from jeepney.io.threading import ReceiveStopped

        try:
            while True:
                self._wishes.put(connection.receive())
        except (OSError, EOFError, ReceiveStopped):
            self._wishes.put(_Gone())

    def _talk(self, connection: Any) -> None:
        from jeepney import MatchRule
        from jeepney.bus_messages import message_bus

        clicks = MatchRule(type="signal", interface=_ADDRESS[2], member="ActionInvoked", path=_ADDRESS[0])
        connection.send(message_bus.AddMatch(clicks))
        while True:
            try:
                item = self._wishes.get(timeout=_PATIENCE_S if self._asked else None)
            except queue.Empty:
                self._miss(*self._asked)
                continue
            if item is None:
                return
            if isinstance(item, Notice):
                self._ask(connection, item)
            elif isinstance(item, _Gone):
                self._miss(*self._asked)
                raise ConnectionResetError("the session bus is gone")
            else:
                self._hear(item)

    def _ask(self, connection: Any, notice: Notice) -> None:
        from jeepney import DBusAddress, new_method_call

        number = next((number for number, key in self._keys.items() if key == notice.key), 0)
        serial = next(connection.outgoing_serial)
        self._asked[serial] = notice
        connection.send(new_method_call(DBusAddress(*_ADDRESS), "Notify", "susssasa{sv}i", (
            "Beamside", number, "beamside", notice.title, html.escape(notice.text, quote=False), ["default", "Show"],
            {"desktop-entry": ("s", "beamside")}, -1)), serial=serial)

    def _hear(self, message: Any) -> None:
        from jeepney import HeaderFields, MessageType

        fields = message.header.fields
        serial = fields.get(HeaderFields.reply_serial)
        if message.header.message_type is MessageType.error:
            log.info("the desktop shows no notice: %s", fields.get(HeaderFields.error_name))
            self._miss(serial)
        elif serial in self._asked:
            self._keys[int(message.body[0])] = self._asked.pop(serial).key
        elif fields.get(HeaderFields.member) == "ActionInvoked" and message.body[0] in self._keys:
            self._post(self._keys[message.body[0]])

    def _miss(self, *serials: int) -> None:
        for serial in serials:
            notice = self._asked.pop(serial, None)
            if notice is not None:
                self._post(notice)

    def _refuse_all(self) -> None:
        while (wish := self._wishes.get()) is not None:
            if isinstance(wish, Notice):
                self._post(wish)


class _Gone:
    """What is heard when there is nothing to hear any more."""
