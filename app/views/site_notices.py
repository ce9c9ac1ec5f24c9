"""What becomes of connections, told once each: failed, lost, back again. GUI thread."""

from __future__ import annotations

from PySide6.QtCore import QObject

from app.errors import BeamsideError
from app.session.session import Session, SiteState
from app.views.messages import Message, Messages, NoticeBar


class SiteNotices(QObject):
    """Follows a session; what it told is taken back when it is settled."""

    def __init__(self, session: Session, messages: Messages, notice: NoticeBar, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._messages = messages
        self._notice = notice
        self._lost: set[str] = set()
        self._failed: dict[str, Message] = {}
        session.failed.connect(self._site_failed)
        session.lost.connect(self._site_lost)
        session.state_changed.connect(self._state_changed)

    def _site_failed(self, name: str, error: BaseException) -> None:
        self._messages.tell(error)
        self._failed[name] = self._messages.all[-1]

    def _site_lost(self, name: str, error: BaseException | None) -> None:
        words = "The connection was lost; it is being restored." if self._session.state(name) is SiteState.LOST \
            else "The connection was lost."
        told = BeamsideError(f"{self._session.title(name)}: {words}",
                             remedy="What is on screen stays; nothing at the facility is harmed.")
        self._messages.tell(error or told)
        self._lost.add(name)

    def _state_changed(self, name: str) -> None:
        state = self._session.state(name)
        if name in self._failed and state in (SiteState.OPENING, SiteState.OPEN):
            self._notice.answer(self._failed.pop(name))
        if name in self._lost and state is SiteState.OPEN:
            self._lost.discard(name)
            self._notice.hide()
            self._messages.say(f"The connection to {self._session.title(name)} is back.")
