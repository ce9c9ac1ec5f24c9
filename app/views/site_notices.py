"""What becomes of connections, told once each: failed, lost, back again. GUI thread.

A link that is back within a moment is not worth a word. One that stays away says when it is tried again, and lets the
person try now; one that needs the person says so, with a button.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal

from app.errors import BeamsideError, SignInError
from app.session.link_words import attempt_words
from app.session.session import Session, SiteState
from app.views.messages import Message, Messages, NoticeBar

WORTH_TELLING_MS = 1500
_REMEDY = "What is on screen stays; nothing at the facility is harmed."


class SiteNotices(QObject):
    """Follows a session; what it told is taken back when it is settled.

    Signals:
        why_wanted(site): the person wants to know why it cannot be connected to.
    """

    why_wanted = Signal(str)

    def __init__(self, session: Session, messages: Messages, notice: NoticeBar, parent: QObject,
                 told_elsewhere: Callable[[str], bool] = lambda site: False) -> None:
        """``told_elsewhere``: whether somebody else says why this site cannot be connected to."""
        super().__init__(parent)
        self._session = session
        self._messages = messages
        self._notice = notice
        self._told_elsewhere = told_elsewhere
        self._waiting: dict[str, QTimer] = {}                # lost just now; perhaps not worth a word
        self._lost: dict[str, Message] = {}
        self._failed: dict[str, Message] = {}
        session.failed.connect(self._site_failed)
        session.lost.connect(self._site_lost)
        session.link_measured.connect(self._count)
        session.cleaned.connect(self._cleaned)
        session.state_changed.connect(self._state_changed)

    def _cleaned(self, name: str, folders: list[str]) -> None:
        title = self._session.title(name)
        self._messages.say(f"The private Python at {title} was removed, and the connection closed." if folders else
                           f"There is no private Python at {title}.")

    def _site_failed(self, name: str, error: BaseException) -> None:
        if self._told_elsewhere(name):
            return
        self._failed[name] = message = self._messages.tell(error)
        if not self._session.profile(name).needs_host:
            self._notice.offer(message, "Find out why", functools.partial(self.why_wanted.emit, name))

    def _site_lost(self, name: str, error: BaseException | None) -> None:
        away = name in self._lost or self._session.state(name) is not SiteState.LOST
        if away or isinstance(error, SignInError):
            self._forget_timer(name)
            self._tell(name)
        elif name not in self._waiting:
            timer = self._waiting[name] = QTimer(self, singleShot=True, interval=WORTH_TELLING_MS)
            timer.timeout.connect(functools.partial(self._still_lost, name))
            timer.start()

    def _still_lost(self, name: str) -> None:
        self._forget_timer(name)
        if self._session.state(name) is SiteState.LOST:
            self._tell(name)

    def _tell(self, name: str) -> None:
        """The newest reason, with what can be done about it."""
        error, state = self._session.error(name), self._session.state(name)
        words = "The connection was lost; it is being restored." if state is SiteState.LOST \
            else "The connection was lost."
        told = BeamsideError(f"{self._session.title(name)}: {words}", remedy=_REMEDY)
        self._lost[name] = message = self._messages.tell(error or told)
        if state is SiteState.LOST and not isinstance(error, SignInError):
            self._notice.offer(message, "Try now", functools.partial(self._session.try_now, name))
            self._count(name)
        elif state is SiteState.FAILED:
            words = "Sign in again" if isinstance(error, SignInError) else "Connect again"
            self._notice.offer(message, words, functools.partial(self._session.open_site, name))

    def _count(self, name: str) -> None:
        """The seconds until the next attempt go by."""
        message, error = self._lost.get(name), self._session.error(name)
        if message is None or self._session.state(name) is not SiteState.LOST or isinstance(error, SignInError):
            return
        left = attempt_words(self._session.next_attempt_s(name))
        end = "" if left.endswith("…") else "."
        self._notice.reword(message, f"{message.summary} {left[0].upper()}{left[1:]}{end}")

    def _state_changed(self, name: str) -> None:
        state = self._session.state(name)
        if name in self._failed and state in (SiteState.OPENING, SiteState.OPEN):
            self._notice.answer(self._failed.pop(name))
        if state in (SiteState.OPEN, SiteState.UNRESPONSIVE, SiteState.CLOSED, SiteState.OPENING):
            self._forget_timer(name)
            message = self._lost.pop(name, None)
            if message is not None:
                self._notice.answer(message)
                if state is SiteState.OPEN:
                    self._messages.say(f"The connection to {self._session.title(name)} is back.")

    def _forget_timer(self, name: str) -> None:
        timer = self._waiting.pop(name, None)
        if timer is not None:
            timer.stop()
            timer.deleteLater()
