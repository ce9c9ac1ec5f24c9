"""How the data on screen was made, asked once per entry of a file. GUI thread; the reading runs on the io pool."""

from __future__ import annotations

import functools
import logging
from collections import OrderedDict

from PySide6.QtCore import QObject, Signal

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.provenance import Provenance, Refill
from app.remote.analyses.provenance import read_provenance
from app.remote.analyses.refill import refill
from app.session.future_watcher import FutureWatcher
from app.session.session import Session

log = logging.getLogger(__name__)
_KEPT = 200
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".hf5", ".nxs", ".nx", ".nx5", ".nexus", ".cxi", ".nc4")

Key = tuple[str, str, str]


class ProvenanceSource(QObject):
    """Answers from what is known, else asks.

    Signals:
        known(DataReference, Provenance or None): of a node that was asked for.
        refilled(Refill): the wish of a result, looked up; failed(exception): it could not be.
    """

    known = Signal(object, object)
    refilled = Signal(object)
    failed = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._found: OrderedDict[Key, Provenance | None] = OrderedDict()

    def ask(self, reference: DataReference) -> None:
        """Tell how the entry that this node is in was made; ``known`` may come at once."""
        key = _key(reference)
        data = self._session.data(reference.site)
        if key in self._found:
            self.known.emit(reference, self._found[key])
        elif data is None or reference.file_path.suffix.lower() not in _SUFFIXES:
            self.known.emit(reference, None)
        else:
            FutureWatcher(self._session.submit(functools.partial(read_provenance, data, reference)), self,
                          functools.partial(self._take, reference), functools.partial(self._unread, reference))

    def forget(self, reference: DataReference) -> None:
        """The file was written anew."""
        self._found.pop(_key(reference), None)

    def look_up(self, provenance: Provenance) -> None:
        """Find out what the form of its recipe has to say to make it again."""
        site = provenance.result.site
        data, service = self._session.data(site), self._session.jobs(site)
        if data is None or service is None:
            self.failed.emit(BeamsideError("The connection to the site is closed.",
                                           remedy="Connect again, then open the recipe from the result."))
            return
        recipes = self._session.recipes(site)
        FutureWatcher(self._session.submit(lambda: refill(provenance, recipes, service, data)), self,
                      self._take_refill, self.failed.emit)

    def _take(self, reference: DataReference, provenance: Provenance | None) -> None:
        self._found[_key(reference)] = provenance
        while len(self._found) > _KEPT:
            self._found.popitem(last=False)
        self.known.emit(reference, provenance)

    def _unread(self, reference: DataReference, error: BaseException) -> None:
        """A file that does not tell says nothing: what is shown of it is told elsewhere."""
        if not isinstance(error, BeamsideError):
            log.error("unexpected error in reading provenance", exc_info=error)
        self.known.emit(reference, None)

    def _take_refill(self, found: Refill) -> None:
        self.refilled.emit(found)


def _key(reference: DataReference) -> Key:
    return reference.site, str(reference.file_path), reference.data_path.strip("/").split("/", 1)[0]
