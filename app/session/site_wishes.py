"""What a site offers whoever fills in a form: partitions, accounts, room for results, the expected start.

GUI thread; the service is asked on the io pool. What cannot be found out is told as such, or left out. The expected
start is that of a draft: it is prepared as for a submission, which creates nothing.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from app.errors import BeamsideError
from app.model.jobs import JobSpec, Partition
from app.remote.jobs.draft import Draft
from app.remote.jobs.service import JobService
from app.remote.jobs.steps import ResolvedStep, Room, resolve_steps
from app.session.future_watcher import FutureWatcher
from app.session.session import Session

log = logging.getLogger(__name__)
_AGAIN_S = (60.0, 300.0)             # what is free in the partitions: at first, and at most, while the form is open
_START_HOLDS_S = 300.0               # the batch system is not asked again before, unless the moment has passed
_SETTLED_MS = 1200                   # nothing was changed for so long: now the batch system may be asked


class SiteWishes(QObject):
    """Asks for the expected start whenever what is wished for has settled, and for what is free in the partitions
    again and again, ever more seldom while nothing is changed in the form.

    Signals:
        partitions_known(list of Partition); accounts_known(list of Account); space_known(Space);
        start_known(seconds since the epoch, or None: not known); failed(name of the question, exception): of
        ``partitions``, ``accounts``, ``space`` and ``start``.
    """

    partitions_known = Signal(object)
    accounts_known = Signal(object)
    space_known = Signal(object)
    start_known = Signal(object)
    failed = Signal(str, object)

    def __init__(self, session: Session, service: JobService, site: str, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session
        self._service = service
        self.site = site
        self._partitions: list[Partition] = []
        self._spec: JobSpec | None = None
        self._place: PurePosixPath | None = None
        self._told_for: JobSpec | None = None
        self._start: float | None = None
        self._start_asked = 0.0
        self._partitions_asked: float | None = None
        self._every_s = _AGAIN_S[0]
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._ask_again)
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._settled.timeout.connect(self._ask_start)
        self.partitions_known.connect(self._keep_partitions)
        session.opened.connect(self._connected_anew)

    @property
    def partitions(self) -> list[Partition]:
        """Those that are known by now."""
        return self._partitions

    @property
    def partitions_as_of(self) -> float | None:
        """When they were last told, in seconds since the epoch; ``None``: never yet."""
        return self._partitions_asked

    @property
    def start_as_of(self) -> float:
        """When the expected start was told, in seconds since the epoch."""
        return self._start_asked

    def ask(self) -> None:
        """Everything that does not depend on what is wished for."""
        self._question("partitions", self._service.partitions, self.partitions_known.emit)
        self._question("accounts", self._service.accounts, self.accounts_known.emit)

    def ask_start(self, spec: JobSpec) -> None:
        """When such a job would start: asked when nothing has changed for a moment.

        Values of parameters make no difference, so that the batch system is not asked for each of them.
        """
        is_other = self._spec is not None and not self._is_wanted(spec)
        self._spec = spec
        if self._told_for != _what_counts(spec):
            self._settled.start()
        if is_other and self._every_s > _AGAIN_S[0]:                  # somebody is at it
            self._every_s = _AGAIN_S[0]
            self._again.start(round(1000 * self._every_s))

    def steps(self, recipe: Any, spec: JobSpec) -> tuple[list[ResolvedStep], list[str], str]:
        """What would be asked for, what was cut to the site's limits, and why it cannot be had (``""``: it can)."""
        profile = self._session.profile(self.site)
        room = Room(profile.title or profile.name, self._partitions, profile.batch.account)
        try:
            return (*resolve_steps(recipe, spec, spec.extents, room), "")
        except BeamsideError as error:
            return [], [], f"{error.summary} {error.remedy}".strip()

    def _connected_anew(self, site: str) -> None:
        service = self._session.jobs(site)
        if site == self.site and service is not None:
            self._service = service
            if not self._partitions:
                self.ask()

    def _keep_partitions(self, partitions: list[Partition]) -> None:
        self._partitions, self._partitions_asked = partitions, time.time()
        self._again.start(round(1000 * self._every_s))

    def _ask_again(self) -> None:
        """One question for the site; the start only if what was told is old or has passed."""
        self._every_s = min(1.5 * self._every_s, _AGAIN_S[1])
        self._again.start(round(1000 * self._every_s))
        if self._session.jobs(self.site) is None:
            return
        self._question("partitions", self._service.partitions, self.partitions_known.emit)
        now = time.time()
        if self._told_for is not None and (now - self._start_asked > _START_HOLDS_S
                                           or (self._start is not None and self._start < now)):
            self._ask_start()

    def _ask_start(self) -> None:
        spec = self._spec
        if spec is not None:
            self._question("start", functools.partial(self._service.prepare, spec),
                           functools.partial(self._take_draft, spec))

    def _take_draft(self, spec: JobSpec, draft: Draft) -> None:
        if not self._is_wanted(spec):
            return
        self._told_for = _what_counts(spec)
        place = draft.folder.parent
        if place != self._place:
            self._place = place
            self._question("space", functools.partial(self._service.space, place), self.space_known.emit)
        self._question("start", functools.partial(self._service.expected_start, draft),
                       functools.partial(self._take_start, spec))

    def _take_start(self, spec: JobSpec, when: float | None) -> None:
        if self._is_wanted(spec):
            self._start, self._start_asked = when, time.time()
            self.start_known.emit(when)

    def _is_wanted(self, spec: JobSpec) -> bool:
        """Nothing that counts was changed since it was asked."""
        return self._spec is not None and _what_counts(spec) == _what_counts(self._spec)

    def _question(self, name: str, work: Callable[[], Any], take: Callable[[Any], object]) -> None:
        FutureWatcher(self._session.submit(work), self, take, functools.partial(self._broke, name))

    def _broke(self, name: str, error: BaseException) -> None:
        log.info("%s at %s: %s", name, self.site, error)
        self.failed.emit(name, error)


def _what_counts(spec: JobSpec) -> JobSpec:
    """Of a submission, what its start depends on."""
    return replace(spec, parameters={}, name="", again="")
