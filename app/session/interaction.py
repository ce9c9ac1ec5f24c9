"""How the worker that signs in asks the person at the window.

A :class:`WindowInteraction` implements ``app.remote.seams.Interaction``: its methods are called on worker threads, emit
a queued signal and, where an answer is needed, block on an Event with a deadline. The window answers on the GUI thread
through the question's ``answer``. Cancelling lets every waiting call return at once.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from app.remote.conversation import Conversation
from app.remote.seams import DeviceCode

ANSWER_WITHIN_S = 600.0


@dataclass(eq=False)
class Question:
    """Something asked of the person; answered once, from the GUI thread."""

    _answered: threading.Event = field(default_factory=threading.Event)
    _value: Any = None

    def answer(self, value: Any) -> None:
        """Let the worker go on; a second answer changes nothing."""
        if not self._answered.is_set():
            self._value = value
            self._answered.set()

    def wait(self, cancelled: threading.Event, limit_s: float = ANSWER_WITHIN_S,
             over: threading.Event | None = None, still: Callable[[], bool] | None = None) -> Any:
        """Worker thread: the answer, or ``None`` when cancelled, ``over``, no ``still`` or after the limit."""
        waited = 0.0
        while not self._answered.wait(0.1):
            waited += 0.1
            if cancelled.is_set() or waited > limit_s or (over is not None and over.is_set()):
                return None
            if still is not None and not still():
                return None
        return self._value


@dataclass(eq=False)
class HostKeyQuestion(Question):
    """Is this server to be trusted? Answer True or False."""

    host: str = ""
    key_type: str = ""
    fingerprint: str = ""
    randomart: str = ""


@dataclass(eq=False)
class PromptsQuestion(Question):
    """The server's own prompts, shown verbatim. Answer a list of texts, or ``None`` to give up.

    Without prompts it is what the server says while it is waited for. ``note`` is Beamside's own word to it.
    """

    host: str = ""
    title: str = ""
    instructions: str = ""
    prompts: tuple[tuple[str, bool], ...] = ()
    within_s: float = 0.0
    note: str = ""
    warns: bool = False
    conversation: Conversation | None = None


@dataclass(eq=False)
class ConfirmQuestion(Question):
    """A yes or no about something that costs or changes something. Answer True or False; ``accept`` is the button."""

    site: str = ""
    title: str = ""
    text: str = ""
    accept: str = ""


@dataclass(frozen=True)
class BrowserPage:
    """A sign-in that goes on in this computer's browser; setting ``use_code`` asks for a device code instead."""

    url: str
    use_code: threading.Event = field(default_factory=threading.Event, compare=False)


class WindowInteraction(QObject):
    """The window's end of opening a site and of keeping it open (a renewal may ask again).

    Signals (delivered on the GUI thread):
        said(text), browser_shown(BrowserPage), browser_done(), code_shown(DeviceCode), code_settled(),
        host_key_asked(HostKeyQuestion), prompts_asked(PromptsQuestion), prompts_over(Conversation),
        confirm_asked(ConfirmQuestion), confirm_over(ConfirmQuestion), was_cancelled().

    Attributes:
        way: how the person likes to sign in, "browser" or "code".
        ways: what the provider offers, once it is known.
    """

    said = Signal(str)
    browser_shown = Signal(object)
    browser_done = Signal()
    confirm_asked = Signal(object)
    confirm_over = Signal(object)
    code_shown = Signal(object)
    code_settled = Signal()
    host_key_asked = Signal(object)
    prompts_asked = Signal(object)
    prompts_over = Signal(object)
    was_cancelled = Signal()

    _said = Signal(str)
    _browser_shown = Signal(object)
    _browser_done = Signal()
    _confirm_asked = Signal(object)
    _confirm_over = Signal(object)
    _code_shown = Signal(object)
    _code_settled = Signal()
    _host_key_asked = Signal(object)
    _prompts_asked = Signal(object)
    _prompts_over = Signal(object)

    def __init__(self, site: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.site = site
        self.way = "browser"
        self.ways: tuple[str, ...] = ()
        self._cancelled = threading.Event()
        self._conversations: weakref.WeakSet[Conversation] = weakref.WeakSet()
        queued = Qt.ConnectionType.QueuedConnection
        self._said.connect(self.said, queued)
        self._browser_shown.connect(self.browser_shown, queued)
        self._browser_done.connect(self.browser_done, queued)
        self._confirm_asked.connect(self.confirm_asked, queued)
        self._confirm_over.connect(self.confirm_over, queued)
        self._code_shown.connect(self.code_shown, queued)
        self._code_settled.connect(self.code_settled, queued)
        self._host_key_asked.connect(self.host_key_asked, queued)
        self._prompts_asked.connect(self.prompts_asked, queued)
        self._prompts_over.connect(self.prompts_over, queued)

    @property
    def cancelled(self) -> threading.Event:
        return self._cancelled

    def begin(self) -> None:
        """GUI thread: another attempt starts; an earlier refusal no longer counts."""
        self._cancelled.clear()

    def cancel(self) -> None:
        """GUI thread: the person gave up; every waiting worker call returns."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            self.was_cancelled.emit()

    # -- called on worker threads -----------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        self._said.emit(text)

    def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
        self.ways = tuple(ways)
        if self._cancelled.is_set() or not ways:
            return None
        return self.way if self.way in ways else ways[0]

    def show_browser(self, site: str, url: str) -> threading.Event:
        page = BrowserPage(url)
        self._browser_shown.emit(page)
        return page.use_code

    def browser_settled(self, site: str) -> None:
        self._browser_done.emit()

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        self._code_shown.emit(code)

    def device_code_settled(self, site: str) -> None:
        self._code_settled.emit()

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool:
        question = HostKeyQuestion(host=host, key_type=key_type, fingerprint=fingerprint, randomart=randomart)
        self._host_key_asked.emit(question)
        return bool(question.wait(self._cancelled))

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        question = PromptsQuestion(host=host, title=title, instructions=instructions, prompts=tuple(prompts),
                                   within_s=within_s, conversation=conversation)
        if conversation is None:
            if not prompts:
                return []
            self._prompts_asked.emit(question)
            answer = question.wait(self._cancelled)
        else:
            question.note, question.warns = conversation.note, conversation.warns
            self._prompts_asked.emit(question)
            if conversation not in self._conversations:
                self._conversations.add(conversation)
                conversation.when_over(lambda: self._prompts_over.emit(conversation))
            answer = question.wait(self._cancelled, over=conversation.over) if prompts else ()
        return list(answer) if answer is not None else None

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        question = ConfirmQuestion(site=site, title=title, text=text, accept=accept)
        self._confirm_asked.emit(question)
        agreed = bool(question.wait(self._cancelled, still=still))
        self._confirm_over.emit(question)              # whatever ended it: nothing is asked any more
        return agreed
