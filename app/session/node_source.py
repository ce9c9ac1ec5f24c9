"""What HDF5 says of the dataset that is shown: type, filters, attributes. GUI thread; never waits."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.errors import BeamsideError
from app.model.data import DataReference
from app.model.nodes import NodeInfo
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher


class NodeSource(QObject):
    """Finds one node among those of its group.

    Signals:
        found(NodeInfo or None): what there is under that name; failed(exception): a fault of ours. A file that does not
        tell is none: the picture is there, and without its metadata the inspector says so.
    """

    found = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = ""

    def ask(self, data: DataService, reference: DataReference) -> None:
        """Look for this node; nothing is asked for a whole file."""
        path = reference.data_path
        if not path or path == "/":
            return
        group, _, self._name = path.rpartition("/")
        parent = DataReference(reference.site, reference.file_path, group or "/")
        FutureWatcher(data.nodes(parent, depth=1), self, self._arrived, self._broke)

    def _arrived(self, nodes: tuple[NodeInfo, ...]) -> None:
        self.found.emit(next((node for node in nodes if node.name == self._name), None))

    def _broke(self, error: BaseException) -> None:
        if not isinstance(error, BeamsideError):
            self.failed.emit(error)
