"""What those who took the images call the first frame of a stack. GUI thread; asked in the background, never waits.

Dectris detectors number images from 1 and say so at the dataset (``image_nr_low``); macromolecular crystallography
(NXmx) counts from 1 by custom. HDF5 counts from 0: the screen shows both.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.nodes import NodeInfo
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher

FIRST_IMAGE = "image_nr_low"
COUNTS_FROM_ONE = "NXmx"
_PRIORITY = 5


class ImageNumbering(QObject):
    """Finds out for one dataset; silent when nothing is known.

    Signals:
        first_image_known(number).
    """

    first_image_known = Signal(int)

    def __init__(self, data: DataService, reference: DataReference, parent: QObject | None = None) -> None:
        """``reference`` names the dataset itself."""
        super().__init__(parent)
        self._data = data
        self._reference = reference

    def take_node(self, node: NodeInfo) -> None:
        """The dataset's own metadata is known."""
        first = node.attributes.get(FIRST_IMAGE)
        if isinstance(first, int) and not isinstance(first, bool):
            self.first_image_known.emit(first)
            return
        entry = self._reference.data_path.strip("/").split("/")[0]
        definition = DataReference(self._reference.site, self._reference.file_path, f"/{entry}/definition")
        if "/" in self._reference.data_path.strip("/"):
            request = ReadRequest(definition, Selection(), statistics=False)
            FutureWatcher(self._data.read(request, priority=_PRIORITY), self, self._definition_arrived, self._unknown)

    def _definition_arrived(self, block: Block) -> None:
        if block.values.size != 1:
            return
        value = block.values.ravel()[0]
        if (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)) == COUNTS_FROM_ONE:
            self.first_image_known.emit(1)

    def _unknown(self, _error: BaseException) -> None:
        """Frames have their index alone."""
