"""What every tab of the window is: facts for the window and the inspector, and the verbs they call. GUI thread.

A tab shows data that can be looked at in the inspector (statistics, limits, node) whatever it made of them. The window
knows tabs only by this; each kind overrides what it can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.model.data import DataReference, Statistics
from app.model.nodes import NodeInfo
from app.model.plot import PlotDescription
from app.session.vocabulary import DataService
from app.views.picture_answers import PictureAnswers
from app.viz.choices import ViewChoices


@dataclass(frozen=True)
class TabWish:
    """A tab that is wanted: ``key`` finds it if it is open already, ``make`` makes it."""

    key: str
    make: Callable[[], ViewerTab]


class ViewerTab(QWidget):
    """A tab.

    Signals:
        described(PlotDescription); statistics_changed(Statistics); limits_changed((lo, hi));
        node_known(NodeInfo); choices_made(PlotDescription, ViewChoices); failed(exception); retitled(text);
        tab_requested(TabWish): show this beside it.
    """

    described = Signal(object)
    statistics_changed = Signal(object)
    limits_changed = Signal(object)
    node_known = Signal(object)
    choices_made = Signal(object, object)
    failed = Signal(object)
    retitled = Signal(str)
    tab_requested = Signal(object)

    reference: DataReference
    key: str = ""
    icon_name: str = ""
    description: PlotDescription | None = None
    statistics: Statistics | None = None
    node: NodeInfo | None = None
    viewer: QWidget | None = None
    answers: PictureAnswers | None = None

    # -- facts ------------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        """Short words for the tab."""
        return ""

    @property
    def signal_reference(self) -> DataReference:
        """The dataset that is shown."""
        return self.reference

    @property
    def is_picture(self) -> bool:
        """Whether it has colour limits."""
        return False

    @property
    def picture_name(self) -> str:
        """What the statistics are of, in a word."""
        return "frame"

    def python(self, host: str) -> str:
        """A script that gives the numbers on screen; ``host``: where the file lies, if not here."""
        return ""

    # -- verbs ------------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Ask again for everything."""

    def use_service(self, data: DataService) -> None:
        """The site was connected anew: read from there from now on."""

    def set_limits(self, low: float, high: float) -> None:
        """Fixed colour limits."""

    def set_auto_limits(self) -> None:
        """Colour limits that follow the picture."""

    def set_choices(self, choices: ViewChoices) -> None:
        """Choices made before for data like this."""

    def go_to(self, y: int, x: int) -> None:
        """Show where a pixel of the picture lies."""

    def close_sources(self) -> None:
        """The tab is going: take back what was asked for."""
