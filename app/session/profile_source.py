"""One pixel or region of every frame of a stack, with the axis it is drawn over. GUI thread; newest place wins.

While a point is moved, what was asked before is taken back; the profile on screen stays until the next one is there.
"""

from __future__ import annotations

import itertools
from concurrent.futures import Future

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.model.data import Block, DataReference, ReadRequest, Selection
from app.model.plot import PlotDescription
from app.model.stack import PixelPoint, PixelRegion, StackProfile, StackProgress
from app.remote.seams import DataService
from app.session.future_watcher import FutureWatcher, Mailbox
from app.session.newest_answer import NewestAnswer
from app.session.picture_keys import signal_reference
from app.session.projection_source import RemainingTime

_panels = itertools.count(1)
Place = PixelPoint | PixelRegion
PRIORITY = 2                           # somebody looks at the empty diagram


class ProfileSource(QObject):
    """Profiles of one stack.

    Signals:
        started(place); progressed(StackProgress, remaining seconds or None); ready(place, StackProfile);
        failed(exception); stopped(): taken back by the person;
        axis_ready(values): one number per frame, in place of the frame number.
    """

    started = Signal(object)
    progressed = Signal(object, object)
    ready = Signal(object, object)
    failed = Signal(object)
    stopped = Signal()
    axis_ready = Signal(object)

    def __init__(self, data: DataService, home: DataReference, reference: DataReference, description: PlotDescription,
                 parent: QObject | None = None) -> None:
        """``home`` names the file of the description, ``reference`` the dataset itself."""
        super().__init__(parent)
        self._data = data
        self._home = home
        self._reference = reference
        self._description = description
        self._view = f"profile-{next(_panels)}"
        self._place: Place | None = None
        self._mailbox: Mailbox | None = None
        self._axis: FutureWatcher | None = None
        self._axis_asked = False
        self._remaining = RemainingTime()
        self._asker = NewestAnswer(self._ask, self)
        self._asker.answered.connect(self._answered)
        self._asker.failed.connect(self._broke)

    @property
    def place(self) -> Place | None:
        """What is wanted or shown."""
        return self._place

    def show(self, place: Place) -> None:
        """Want this place."""
        self._ask_axis()
        self._place = place
        self._asker.want(place)

    def again(self) -> None:
        """Ask once more."""
        place = self._place
        if place is not None:
            self._asker.want(None)
            self._asker.want(place)

    def cancel(self) -> None:
        """Take the question back."""
        asked = self._mailbox is not None
        self._asker.want(None)
        self._listen(None)
        if asked:
            self.stopped.emit()

    def close(self) -> None:
        """Nobody looks any more."""
        self._asker.close()
        self._listen(None)
        if self._axis is not None:
            self._axis.drop()
            self._axis = None

    def _ask(self, place: Place, epoch: int) -> Future[StackProfile]:
        self._remaining = RemainingTime()
        mailbox = Mailbox(self, self._progressed)
        self._listen(mailbox)
        self.started.emit(place)
        return self._data.profile(self._reference, place, on_progress=mailbox.post, priority=PRIORITY,
                                  view=self._view, epoch=epoch)

    def _listen(self, mailbox: Mailbox | None) -> None:
        if self._mailbox is not None:
            self._mailbox.drop()
        self._mailbox = mailbox

    def _progressed(self, progress: StackProgress) -> None:
        self.progressed.emit(progress, self._remaining.after(progress))

    def _answered(self, place: Place, profile: StackProfile) -> None:
        self._listen(None)
        self.ready.emit(place, profile)

    def _broke(self, _place: Place, error: BaseException) -> None:
        self._listen(None)
        self.failed.emit(error)

    # -- the axis ---------------------------------------------------------------------------------------------------

    def _ask_axis(self) -> None:
        path = leading_axis(self._description)
        if path is None or self._axis_asked:
            return
        self._axis_asked = True
        request = ReadRequest(signal_reference(self._home, path), Selection(), statistics=False)
        self._axis = FutureWatcher(self._data.read(request, priority=PRIORITY), self, self._axis_arrived,
                                   self._no_axis)

    def _axis_arrived(self, block: Block) -> None:
        self._axis = None
        values = axis_values(block.values, self._description)
        if values is not None:
            self.axis_ready.emit(values)

    def _no_axis(self, _error: BaseException) -> None:
        """The frame number stands there as before."""
        self._axis = None


def leading_axis(description: PlotDescription) -> str | None:
    """The path of what the only leading axis of a stack stands for (omega), if there is such a thing."""
    if len(description.shape) != 3 or not description.axes:
        return None
    return description.axes[0]


def axis_values(values: np.ndarray, description: PlotDescription) -> np.ndarray | None:
    """One real, finite number per frame, or ``None``."""
    flat = np.ravel(values)
    if flat.size != description.shape[0] or flat.dtype.kind not in "iuf" or not np.isfinite(flat).all():
        return None
    return flat


def leading_axis_name(description: PlotDescription) -> tuple[str, str]:
    """(name, units) of the leading axis, for a title; ``("", "")``: it has none."""
    return ("", "") if leading_axis(description) is None else description.axis_words(0)


def leading_number_words(description: PlotDescription, value: float) -> str:
    """``centre 120.5 um``: a number of the leading axis, with the short name of its dataset."""
    name = (leading_axis(description) or "").rsplit("/", 1)[-1]
    return f"{name} {value:.6g} {leading_axis_name(description)[1]}".strip()
