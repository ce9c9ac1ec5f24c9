"""Which analysis is offered first for some data, once its groups are known."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject

from app.model.data import DataReference
from app.recipes.catalogue import shipped_recipes
from app.recipes.fitting import DataFacts
from app.remote.analyses.metadata_defaults import InputMetadata
from app.session.fitting_data import FittingData

SCAN = DataReference("far", PurePosixPath("/data/scan.nxs"), "/entry/data/data")


class _Closed:
    """A session whose site has the shipped recipes and is not connected."""

    def recipes(self, _site: str) -> list[Any]:
        return sorted(shipped_recipes().values(), key=lambda recipe: recipe.name)

    def data(self, _site: str) -> None:
        return None


def first(classes: tuple[str, ...], layouts: tuple[str, ...] = ()) -> tuple[str, str]:
    parent = QObject()
    fitting = FittingData(_Closed(), parent)  # type: ignore[arg-type]
    assert fitting.offers(SCAN, (9, 4, 4), "<u2")[0].recipe.name == "azimuthal-integration", "nobody looked yet"
    fitting._take(SCAN, InputMetadata(DataFacts(SCAN.file_path, classes, layouts, 3, "u"), {}))
    offer = fitting.offers(SCAN, (9, 4, 4), "<u2")[0]
    return offer.recipe.name, offer.why_not


def test_that_the_analysis_made_for_the_data_is_offered_first() -> None:
    assert first(("NXtomo",)) == ("tomography", "")
    assert first((), ("data-exchange",)) == ("tomography", "")
    assert first(("NXsas",)) == ("azimuthal-integration", "")
    assert first((), ("bliss",)) == ("azimuthal-integration", "")
