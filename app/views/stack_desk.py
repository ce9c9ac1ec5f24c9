"""A stack's picture with what is made of all its frames: the menu, profile and sinogram beneath it. GUI thread.

Offers only what the data can give; never waits. Projections and slices are tabs of their own, which it asks for.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QSplitter, QVBoxLayout, QWidget

from app.model.data import DataReference
from app.model.marks import Region
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription, View
from app.model.stack import PixelPoint, PixelRegion, StackOperation, StackProfile
from app.session.image_numbering import ImageNumbering
from app.session.picture_marks import PictureMarks
from app.session.profile_source import ProfileSource, leading_axis_name
from app.session.stack_snippets import profile_snippet, selection_snippet
from app.session.viewed import Viewed
from app.session.vocabulary import DataService
from app.views.messages import message_of
from app.views.projection_tab import ProjectionTab, projection_key
from app.views.sinogram_pane import SinogramPane
from app.views.slices_tab import SlicesTab, slices_key
from app.views.viewer_tab import TabWish
from app.viz.guides import Guides
from app.viz.profile_pane import ProfilePane
from app.viz.stack_tools import StackTools
from app.viz.stack_view import StackView

_ARROWS = {Qt.Key.Key_Up: (-1, 0), Qt.Key.Key_Down: (1, 0), Qt.Key.Key_Left: (0, -1), Qt.Key.Key_Right: (0, 1)}
_WITH_ARROWS = Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.KeypadModifier
_FAR_STEP = 10
_GAP_REACH = 64
_SHARE_BELOW = 0.45                    # of the height, for what is opened under the picture


@dataclass(frozen=True)
class Below:
    """What is open under a picture: a profile with its pixel (``None``: of a region), a sinogram with its row."""

    profile: bool = False
    point: tuple[int, int] | None = None
    row: int | None = None


class StackDesk(QWidget):
    """Holds one :class:`StackView` and what belongs to its stack.

    Signals:
        tab_requested(TabWish): a projection or the slices; failed(exception): told here already.
    """

    tab_requested = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: StackView, data: DataService, home: DataReference, reference: DataReference,
                 viewed: Viewed, marks: PictureMarks | None = None, parent: QWidget | None = None) -> None:
        """``home`` names the file of the description, ``reference`` the dataset that is shown."""
        super().__init__(parent)
        self.viewer = viewer
        self._data = data
        self._home = home
        self._reference = reference
        self._viewed = viewed
        self._marks = marks
        self.pane: ProfilePane | None = None
        self.sinogram: SinogramPane | None = None
        self._profiles: ProfileSource | None = None
        self.tools: StackTools | None = None
        self.guides: Guides | None = None
        self._numbering: ImageNumbering | None = None
        self._split = QSplitter(Qt.Orientation.Vertical)
        self._split.setChildrenCollapsible(False)
        self._below = QSplitter(Qt.Orientation.Horizontal)
        self._below.setChildrenCollapsible(False)
        self._below.hide()
        self._split.addWidget(viewer)
        self._split.addWidget(self._below)
        self._split.setStretchFactor(0, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._split)
        self.setFocusProxy(viewer)
        if is_stack(viewer.description):
            self._offer()

    # -- verbs ------------------------------------------------------------------------------------------------------

    def open_projection(self, operation: StackOperation) -> None:
        """All frames in one, in a tab of its own."""
        description, choices = self.viewer.description, self.viewer.choices
        make = functools.partial(ProjectionTab, self._data, self._reference, description, operation, choices,
                                 self._viewed, home=self._home)
        self.tab_requested.emit(TabWish(projection_key(self._reference, operation), make))

    def open_slices(self) -> None:
        """Three slices through the stack as a volume, in a tab of its own."""
        leading = self.viewer.leading
        make = functools.partial(SlicesTab, self._data, self._reference, self.viewer.description, leading,
                                 self.viewer.choices, self._viewed, home=self._home)
        self.tab_requested.emit(TabWish(slices_key(self._reference), make))

    def take_node(self, node: NodeInfo) -> None:
        """The metadata of the dataset is known: it may tell how its images were counted."""
        if self._numbering is not None:
            self._numbering.take_node(node)

    def close_sources(self) -> None:
        """Take back what was asked for; the viewer's marks live on."""
        if self._profiles is not None:
            self._profiles.close()
        if self.sinogram is not None:
            self.sinogram.close_source()
        if self._marks is not None and self.tools is not None:
            self._marks.changed.disconnect(self._follow_region)
            self._marks.selection_changed.disconnect(self._follow_region)
            self._marks = None

    def python(self, host: str) -> str:
        """A script for what is under the picture; empty: nothing is."""
        below = QApplication.focusWidget()
        if self.sinogram is not None and not self.sinogram.isHidden() and (
                not self.profile_open or (below is not None and self.sinogram.isAncestorOf(below))):
            return selection_snippet(self._reference, self.sinogram.selection,
                                     f"Row {self.sinogram.row} of every frame.", host)
        if self.pane is not None and self.pane.profile is not None and self.place is not None:
            return profile_snippet(self._reference, self.place, self.pane.chosen_number, host)
        return ""

    @property
    def below(self) -> Below:
        """What is open under the picture."""
        point = self.guides.point if self.guides is not None else None
        sinogram = self.sinogram
        return Below(self.profile_open, point, sinogram.row if sinogram is not None and self._sinogram_open else None)

    def restore(self, below: Below) -> None:
        """Open what was open before the picture was read anew, as far as its frames still have it."""
        if self.tools is None or self.guides is None:
            return
        height, width = self.viewer.description.shape[-2:]
        if below.profile:
            self.tools.profile.setChecked(True)
            if below.point is not None and below.point[0] < height and below.point[1] < width:
                self._show_point(below.point)
        if below.row is not None and below.row < height:
            self.tools.sinogram.setChecked(True)
            assert self.sinogram is not None
            self.sinogram.show_row(below.row)

    @property
    def _sinogram_open(self) -> bool:
        return self.sinogram is not None and not self.sinogram.isHidden()

    @property
    def place(self) -> PixelPoint | PixelRegion | None:
        """The place of the profile that is wanted or shown."""
        return self._profiles.place if self._profiles is not None and self.profile_open else None

    @property
    def profile_open(self) -> bool:
        return self.pane is not None and not self.pane.isHidden()

    # -- Qt ---------------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.tools is not None and (self.tools.handle_key(event) or self._move_by_key(event)):
            return
        super().keyPressEvent(event)

    def hideEvent(self, event: QHideEvent) -> None:
        if self._profiles is not None and self.pane is not None and self.pane.strip.working:
            self._profiles.cancel()
        super().hideEvent(event)

    # -- private ----------------------------------------------------------------------------------------------------

    def _offer(self) -> None:
        self.tools = tools = StackTools(self.viewer.toolbar, self.viewer.toolbar.fit,
                                        is_volume=self.viewer.description.view is View.VOLUME)
        tools.projection_chosen.connect(self.open_projection)
        tools.profile_toggled.connect(self._show_profile)
        tools.sinogram_toggled.connect(self._show_sinogram)
        tools.slices_chosen.connect(self.open_slices)
        self.guides = guides = Guides(self.viewer.image)
        guides.clicked.connect(self._point_clicked)
        guides.moved.connect(self._row_moved)
        self.viewer.frame_requested.connect(self._frame_chosen)
        if self._marks is not None:
            self._marks.changed.connect(self._follow_region)
            self._marks.selection_changed.connect(self._follow_region)
        self._numbering = ImageNumbering(self._data, self._reference, self)
        self._numbering.first_image_known.connect(self._name_images)

    def _name_images(self, first: int) -> None:
        if self.viewer.slider is not None:
            self.viewer.slider.set_first_image(first)

    # -- the profile ------------------------------------------------------------------------------------------------

    def _show_profile(self, shown: bool) -> None:
        assert self.guides is not None
        pane = self._make_pane() if shown else self.pane
        if pane is None:
            return
        pane.setVisible(shown)
        self._make_room()
        self.guides.set_clickable(shown)
        if not shown:
            assert self._profiles is not None
            self._profiles.cancel()
            self.guides.show_point(None)
            self.viewer.setFocus()
            return
        pane.show_frame(flat_index(self.viewer.leading, self.viewer.description))
        if self._marks is not None and self._marks.selected_region is not None:
            self._follow_region()
        else:
            self._show_point(self.viewer.image.cursor_value_position() or self._valid_middle())

    def _make_pane(self) -> ProfilePane:
        if self.pane is not None:
            return self.pane
        description = self.viewer.description
        self.pane = pane = ProfilePane(description, *leading_axis_name(description))
        self._profiles = source = ProfileSource(self._data, self._home, self._reference, description, self)
        source.started.connect(pane.show_asked)
        source.progressed.connect(pane.show_progress)
        source.ready.connect(self._profile_ready)
        source.stopped.connect(pane.show_stopped)
        source.axis_ready.connect(pane.show_axis)
        source.failed.connect(self._profile_failed)
        pane.cancel_requested.connect(source.cancel)
        pane.again_requested.connect(source.again)
        pane.frame_chosen.connect(self._go_to_frame)
        assert self.tools is not None
        pane.closed.connect(functools.partial(self.tools.profile.setChecked, False))
        self._below.addWidget(pane)
        return pane

    def _point_clicked(self, y: int, x: int) -> None:
        if self.profile_open and not self._on_a_region(y, x):
            self._show_point((y, x))

    def _on_a_region(self, y: int, x: int) -> bool:
        """A click on a region chooses that region."""
        regions = self._marks.marks.regions if self._marks is not None else ()
        return any(region.y0 <= y < region.y1 and region.x0 <= x < region.x1 for region in regions)

    def _show_point(self, point: tuple[int, int]) -> None:
        assert self._profiles is not None
        assert self.guides is not None
        self.guides.show_point(point)
        self._profiles.show(PixelPoint(*point))

    def _move_by_key(self, event: QKeyEvent) -> bool:
        """Arrow keys move the point of the profile, else the sinogram's row; by ten with Shift."""
        step = _ARROWS.get(Qt.Key(event.key()))
        if step is None or event.modifiers() & ~_WITH_ARROWS:
            return False
        far = _FAR_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
        point = self.guides.point if self.guides is not None else None
        if point is not None and self.profile_open:
            height, width = self.viewer.description.shape[-2:]
            y, x = point[0] + step[0] * far, point[1] + step[1] * far
            self._show_point((min(max(y, 0), height - 1), min(max(x, 0), width - 1)))
            return True
        if self.sinogram is not None and not self.sinogram.isHidden() and step[0]:
            self.sinogram.show_row(self.sinogram.row + step[0] * far)
            return True
        return False

    def _follow_region(self) -> None:
        """The selected region is what the profile is of."""
        region: Region | None = self._marks.selected_region if self._marks is not None else None
        if region is None or not self.profile_open or self._profiles is None or self.guides is None:
            return
        self.guides.show_point(None)
        self._profiles.show(region.as_pixel_region)

    def _profile_ready(self, place: PixelPoint | PixelRegion, profile: StackProfile) -> None:
        if self.pane is not None:
            self._viewed.stream(profile.bytes_received)
            self.pane.show_profile(place, profile)
            self.pane.show_frame(flat_index(self.viewer.leading, self.viewer.description))

    def _profile_failed(self, error: BaseException) -> None:
        if self.pane is not None:
            message = message_of(error)
            self.pane.show_error(message.summary, message.remedy)
        self.failed.emit(error)

    def _go_to_frame(self, number: int) -> None:
        if self.viewer.slider is not None:
            self.viewer.slider.set_frame_number(number)

    def _frame_chosen(self, leading: tuple[int, ...]) -> None:
        if self.pane is not None:
            self.pane.show_frame(flat_index(leading, self.viewer.description))
        if self.sinogram is not None and not self.sinogram.isHidden():
            self.sinogram.show_frame(leading)

    # -- the sinogram -----------------------------------------------------------------------------------------------

    def _show_sinogram(self, shown: bool) -> None:
        assert self.guides is not None
        if self.sinogram is None:
            if not shown:
                return
            self.sinogram = pane = SinogramPane(self._data, self._home, self._reference, self.viewer.description,
                                                self.viewer.leading, self._row_to_begin_with(),
                                                self.viewer.choices, self._viewed)
            pane.row_changed.connect(self.guides.show_row)
            pane.failed.connect(self.failed)
            assert self.tools is not None
            pane.closed.connect(functools.partial(self.tools.sinogram.setChecked, False))
            self._below.addWidget(pane)
        self.sinogram.setVisible(shown)
        self._make_room()
        self.guides.show_row(self.sinogram.row if shown else None)
        if shown:
            self.sinogram.show_frame(self.viewer.leading)
        else:
            self.viewer.setFocus()

    def _row_moved(self, y: int | None, _x: int | None) -> None:
        if y is not None and self.sinogram is not None:
            self.sinogram.show_row(y)

    # -- small ------------------------------------------------------------------------------------------------------

    def _middle(self) -> tuple[int, int]:
        """The pixel in the middle of what is on screen."""
        y0, y1, x0, x1, _, _ = self.viewer.visible_region
        height, width = self.viewer.description.shape[-2:]
        return min(int((y0 + y1) / 2), height - 1), min(int((x0 + x1) / 2), width - 1)

    def _row_to_begin_with(self) -> int:
        at = self.viewer.image.cursor_value_position()
        return (at or self._valid_middle())[0]

    def _valid_middle(self) -> tuple[int, int]:
        """As :meth:`_middle`, beside the gap that detectors like to have there."""
        y, x = self._middle()
        height, width = self.viewer.description.shape[-2:]
        for away in range(min(_GAP_REACH, height, width)):
            if not self.viewer.image.masked_at(max(y - away, 0), max(x - away, 0)):
                return max(y - away, 0), max(x - away, 0)
        return y, x

    def _make_room(self) -> None:
        """What is open beneath the picture stands side by side; the picture keeps the larger part."""
        open_below = [pane for pane in (self.pane, self.sinogram) if pane is not None and not pane.isHidden()]
        before = not self._below.isHidden()
        self._below.setVisible(bool(open_below))
        if open_below and not before:
            QTimer.singleShot(0, self._below, self._give_room)         # once it is laid out

    def _give_room(self) -> None:
        total = sum(self._split.sizes())
        self._split.setSizes([round(total * (1 - _SHARE_BELOW)), round(total * _SHARE_BELOW)])


def is_stack(description: PlotDescription) -> bool:
    """Whether there are frames that can be reduced: more than one, of real numbers, no colours."""
    if len(description.shape) < 3 or description.is_colour:
        return False
    try:
        kind = np.dtype(description.dtype).kind
    except TypeError:
        return False
    return kind in "iufb" and int(np.prod(description.shape[:-2])) > 1 and 0 not in description.shape


def flat_index(leading: tuple[int, ...], description: PlotDescription) -> int:
    """The leading indices joined flat."""
    number = 0
    for index, length in zip(leading, description.shape, strict=False):
        number = number * length + index
    return number
