"""How the worker that signs in asks the person at the window.

A :class:`WindowInteraction` implements ``app.remote.seams.Interaction``: its methods are called on worker threads, emit
a queued signal and, where an answer is needed, block on an Event with a deadline. The window answers on the GUI thread
through the question's ``answer``. Cancelling lets every waiting call return at once.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

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

    def wait(self, cancelled: threading.Event, limit_s: float = ANSWER_WITHIN_S) -> Any:
        """Worker thread: the answer, or ``None`` when cancelled or after the limit."""
        waited = 0.0
        while not self._answered.wait(0.1):
            waited += 0.1
            if cancelled.is_set() or waited > limit_s:
                return None
        return self._value


@dataclass(eq=False)
class HostKeyQuestion(Question):
    """Is this server to be trusted? Answer True or False."""

    host: str = ""
    key_type: str = ""
    fingerprint: str = ""


@dataclass(eq=False)
class PromptsQuestion(Question):
    """The server's own prompts, shown verbatim. Answer a list of texts, or ``None`` to give up."""

    host: str = ""
    title: str = ""
    instructions: str = ""
    prompts: tuple[tuple[str, bool], ...] = ()


class WindowInteraction(QObject):
    """The window's end of opening a site and of keeping it open (a renewal may ask again).

    Signals (delivered on the GUI thread):
        said(text), code_shown(DeviceCode), code_settled(), host_key_asked(HostKeyQuestion),
        prompts_asked(PromptsQuestion), was_cancelled().
    """

    said = Signal(str)
    code_shown = Signal(object)
    code_settled = Signal()
    host_key_asked = Signal(object)
    prompts_asked = Signal(object)
    was_cancelled = Signal()

    _said = Signal(str)
    _code_shown = Signal(object)
    _code_settled = Signal()
    _host_key_asked = Signal(object)
    _prompts_asked = Signal(object)

    def __init__(self, site: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.site = site
        self._cancelled = threading.Event()
        queued = Qt.ConnectionType.QueuedConnection
        self._said.connect(self.said, queued)
        self._code_shown.connect(self.code_shown, queued)
        self._code_settled.connect(self.code_settled, queued)
        self._host_key_asked.connect(self.host_key_asked, queued)
        self._prompts_asked.connect(self.prompts_asked, queued)

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

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        self._code_shown.emit(code)

    def device_code_settled(self, site: str) -> None:
        self._code_settled.emit()

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str) -> bool:
        question = HostKeyQuestion(host=host, key_type=key_type, fingerprint=fingerprint)
        self._host_key_asked.emit(question)
        return bool(question.wait(self._cancelled))

    def answer_prompts(self, host: str, title: str, instructions: str,
                       prompts: Sequence[tuple[str, bool]]) -> list[str] | None:
        question = PromptsQuestion(host=host, title=title, instructions=instructions, prompts=tuple(prompts))
        self._prompts_asked.emit(question)
        answer = question.wait(self._cancelled)
        return list(answer) if answer is not None else None
