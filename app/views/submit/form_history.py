"""Undo and redo over all fields of a form: who edits what, and what it was before. GUI thread.

A field tells what it holds as an opaque state and takes it back. Consecutive edits of one field are one step, until
another one is edited or the focus leaves it; what the program fills in is no step, and is not undone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from PySide6.QtCore import QEvent, QObject, Signal, SignalInstance
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QWidget


class Editable(Protocol):
    """A part of a form that can be edited.

    ``edited`` is told after the person changed it, ``filled`` after the program did.
    """

    @property
    def edited(self) -> SignalInstance: ...
    @property
    def filled(self) -> SignalInstance: ...
    @property
    def editors(self) -> Sequence[QWidget]: ...
    def state(self) -> Any: ...
    def restore(self, state: Any) -> None: ...
    def show_focus(self) -> None: ...


@dataclass
class _Edit:
    part: Editable
    before: Any
    after: Any


class FormHistory(QObject):
    """The steps that were taken in a form.

    Signals:
        changed(): there is something to undo or to redo, or no longer; moved(): a step was undone or redone.
    """

    changed = Signal()
    moved = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._parts: list[Editable] = []
        self._known: dict[int, Any] = {}
        self._done: list[list[_Edit]] = []
        self._undone: list[list[_Edit]] = []
        self._group: list[_Edit] | None = None
        self._closed = True                  # the next edit begins a new step

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def watch(self, part: Editable) -> None:
        """Remember what is edited here; Ctrl+Z in its editors is ours, not that of one line of text."""
        self._parts.append(part)
        self._known[id(part)] = part.state()
        part.edited.connect(functools.partial(self._edited, part))
        part.filled.connect(functools.partial(self._filled, part))
        for editor in part.editors:
            editor.installEventFilter(self)

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """Everything that is edited inside is undone at once."""
        self._group = []
        try:
            yield
        finally:
            group, self._group = self._group, None
            self._closed = True
            if group:
                self._take(group)
                self._closed = True

    def begin_anew(self) -> None:
        """As the form is now, it was opened: nothing before is a step."""
        self._done.clear()
        self._undone.clear()
        self._closed = True
        self._known = {id(part): part.state() for part in self._parts}
        self.changed.emit()

    def undo(self) -> None:
        if self._done:
            step = self._done.pop()
            self._undone.append(step)
            self._apply([(edit.part, edit.before) for edit in reversed(step)])

    def redo(self) -> None:
        if self._undone:
            step = self._undone.pop()
            self._done.append(step)
            self._apply([(edit.part, edit.after) for edit in step])

    # -- inside -----------------------------------------------------------------------------------------------------

    def _edited(self, part: Editable) -> None:
        before, after = self._known[id(part)], part.state()
        if before == after:
            return
        self._known[id(part)] = after
        edit = _Edit(part, before, after)
        if self._group is not None:
            self._group.append(edit)
        else:
            self._take([edit])

    def _take(self, step: list[_Edit]) -> None:
        last = self._done[-1] if self._done and not self._closed else []
        if len(last) == len(step) == 1 and last[0].part is step[0].part:
            last[0].after = step[0].after
        else:
            self._done.append(step)
        self._closed = False
        self._undone.clear()
        self.changed.emit()

    def _filled(self, part: Editable) -> None:
        self._known[id(part)] = part.state()

    def _apply(self, states: list[tuple[Editable, Any]]) -> None:
        for part, state in states:
            part.restore(state)
            self._known[id(part)] = part.state()
        states[-1][0].show_focus()
        self._closed = True
        self.changed.emit()
        self.moved.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Undo and redo of the whole form, wherever in it the keys are."""
        kind = event.type()
        if kind == QEvent.Type.FocusOut:
            self._closed = True
        if isinstance(event, QKeyEvent) and kind in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress):
            undo, redo = event.matches(QKeySequence.StandardKey.Undo), event.matches(QKeySequence.StandardKey.Redo)
            if undo or redo:
                event.accept()
                if kind == QEvent.Type.KeyPress:
                    (self.undo if undo else self.redo)()
                return True
        return super().eventFilter(watched, event)
