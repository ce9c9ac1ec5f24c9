"""Which analysis is offered first for some data, once its groups are known."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from PySide6.QtCore import QObject

from app.model.data import DataReference
from app.recipes.catalogue import shipped_recipes
from app.recipes.fitting import DataFacts
from app.recipes.recipe import Accepts, Recipe
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


class _WithItsOwn(_Closed):
    """A site that keeps recipes of its own."""

    def recipes(self, _site: str) -> list[Any]:
        return [Recipe("anything", "1", "A first name", "pass"),
                Recipe("frames", "1", "B frames", "pass", accepts=Accepts(rank_minimum=2)), *super().recipes(_site)]


def test_that_what_fits_best_is_offered_before_what_takes_anything() -> None:
    parent = QObject()
    fitting = FittingData(_WithItsOwn(), parent)  # type: ignore[arg-type]
    names = [offer.recipe.name for offer in fitting.offers(SCAN, (9, 4, 4), "<u2")]
    assert names == ["azimuthal-integration", "frames", "anything", "tomography"], "nobody looked yet"
    fitting._take(SCAN, InputMetadata(DataFacts(SCAN.file_path, ("NXsas",), (), 3, "u"), {}))
    offers = fitting.offers(SCAN, (9, 4, 4), "<u2")
    assert [offer.recipe.name for offer in offers] == names
    assert [offer.why_not for offer in offers] == ["", "", "", "Tomography does not take NXsas data."]
    fitting._take(SCAN, InputMetadata(DataFacts(SCAN.file_path, ("NXtomo",), (), 3, "u"), {}))
    assert fitting.offers(SCAN, (9, 4, 4), "<u2")[0].recipe.name == "tomography"


def test_that_the_analysis_made_for_the_data_is_offered_first() -> None:
    assert first(("NXtomo",)) == ("tomography", "")
    assert first((), ("data-exchange",)) == ("tomography", "")
    assert first(("NXsas",)) == ("azimuthal-integration", "")
    assert first((), ("bliss",)) == ("azimuthal-integration", "")
