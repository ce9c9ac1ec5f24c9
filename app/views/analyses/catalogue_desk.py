"""Opens the catalogue of analyses, and says which of them fit the data that is shown. GUI thread."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from app.model.data import DataReference
from app.session.fitting_data import FittingData, Offer
from app.session.session import Session
from app.session.site_software import SiteSoftware
from app.views.analyses.catalogue_dialog import CatalogueDialog


class CatalogueDesk(QObject):
    """One catalogue over the window.

    Signals:
        chosen(Recipe, DataReference): use it on this data; known(DataReference): what fits it may be another now;
        software_known(site): what can run there may be another now.
    """

    chosen = Signal(object, object)
    known = Signal(object)
    software_known = Signal(str)

    def __init__(self, session: Session, software: SiteSoftware, window: QWidget) -> None:
        super().__init__(window)
        self._session = session
        self._software = software
        self._window = window
        self._fitting = FittingData(session, self, software)
        software.looked.connect(self.software_known)
        self._fitting.known.connect(self.known)
        self._dialog: CatalogueDialog | None = None

    def offers(self, reference: DataReference, shape: Sequence[int] | None = None, dtype: str = "") -> list[Offer]:
        """The analyses of the data's site, those that fit first."""
        return self._fitting.offers(reference, shape, dtype)

    def show(self) -> CatalogueDialog:
        """The catalogue by itself."""
        return self.show_for(None)

    def show_for(self, reference: DataReference | None, shape: tuple[int, ...] | None = None,
                 dtype: str = "") -> CatalogueDialog:
        """The catalogue, to choose an analysis for some data; the one that is open already comes to the front."""
        if self._dialog is None:
            self._dialog = CatalogueDialog(self._session, self._software, self._fitting, self._window)
            self._dialog.chosen.connect(self.chosen)
        self._dialog.show_for(reference, shape, dtype)
        self._dialog.look()
        self._dialog.show()
        self._dialog.raise_()
        self._dialog.activateWindow()
        return self._dialog
