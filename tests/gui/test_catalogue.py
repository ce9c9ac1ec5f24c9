"""The catalogue of analyses, and the menus that offer them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QLabel, QMenu, QPushButton

from app.model.data import DataReference
from app.recipes.availability import Availability, SoftwareState
from app.recipes.recipe import Accepts, Recipe, Requirement
from app.remote.analyses.site_recipes import RecipeFault
from app.session.fitting_data import Offer
from app.session.session import SiteState
from app.views.analyses.analyses_menu import add_analyses
from app.views.analyses.catalogue_dialog import CatalogueDialog
from app.views.submit.submit_dialog import SubmitDialog
from tests.gui.fakes import FakeSites, dataset, folder, stack

FITS = Recipe("reduce", "1.2", "Reduction", "pass", summary="Reduces frames.", technique="SAXS", licence="MIT",
              contact="saxs@far.example", requires=(Requirement("pyFAI", "2023.1"),),
              references=("https://doi.org/10/abc",), accepts=Accepts(rank_minimum=2))
VOLUME = Recipe("volume", "2.0", "Tomography", "pass", technique="CT", origin="/sw/recipes/volume",
                accepts=Accepts(rank_minimum=4))
IMAGE = DataReference("far", PurePosixPath("/data/raw/scan.h5"), "/entry/data/data")


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.batch.known_recipes = {"reduce": FITS, "volume": VOLUME}
    fake_sites.data.folders["~"] = folder("/data/raw", "scan.h5")
    fake_sites.data.groups["/data/raw/scan.h5::/"] = (dataset("/data"),)
    fake_sites.data.plots[str(IMAGE)] = stack()
    program = start(fake_sites, width=1280)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)    # or it would come to the front later
    program.window.navigator.go_to_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    return program


def choose(dialog: CatalogueDialog, title: str) -> None:
    row = next(row for row in range(dialog.rows.count()) if dialog.rows.item(row).text().startswith(title))
    dialog.rows.setCurrentRow(row)


def test_that_a_long_title_leaves_the_window_its_size(qtbot: Any, program: Any, fake_sites: FakeSites) -> None:
    title = "Reduction with everything that anybody ever wished for " * 4
    inspector = program.window.inspector
    inspector.show_recipes([Offer(FITS)])
    least = inspector.minimumSizeHint().width()
    inspector.show_recipes([Offer(replace(FITS, title=title))])
    assert inspector.minimumSizeHint().width() == least
    tips = [button.toolTip() for button in inspector.findChildren(QPushButton) if button.text().startswith(title)]
    assert title in tips[0]
    menu = QMenu(program.window)
    add_analyses(menu, [Offer(replace(FITS, title=title)), Offer(FITS)], print, print)
    assert len(menu.actions()[0].text()) == 60
    assert [action.text() for action in menu.actions()][1:] == ["Reduction…", "More analyses…"]


def test_that_it_says_what_is_installed_where_and_why_something_is_not(qtbot: Any, program: Any,
                                                                       fake_sites: FakeSites) -> None:
    fake_sites.seen = {
        "reduce": Availability("far", FITS, SoftwareState.READY, place="module load pyfai",
                               versions=(("pyFAI", "2024.5"),)),
        "volume": Availability("far", VOLUME, SoftwareState.MISSING, "algotom is not in the environment “ct”.")}
    fake_sites.left_out = (RecipeFault("/sw/recipes/x", "/sw/recipes/x is a link, which is not followed."),)
    dialog = program.window.catalogue_desk.show()
    qtbot.waitUntil(lambda: "ready" in dialog.page.words)
    choose(dialog, "Reduction")
    for words in ("Reduction  1.2", "SAXS", "MIT", "saxs@far.example", "pyFAI>=2023.1", "https://doi.org/10/abc",
                  "Far Light Source: ready", "in module load pyfai", "pyFAI 2024.5", "came with the program"):
        qtbot.waitUntil(lambda words=words: words in dialog.page.words)
    choose(dialog, "Tomography")
    for words in ("Far Light Source: not ready", "algotom is not in the environment “ct”.", "/sw/recipes/volume"):
        qtbot.waitUntil(lambda words=words: words in dialog.page.words)
    assert dialog.rows.currentItem().data(Qt.ItemDataRole.AccessibleTextRole).endswith("not ready")


def test_that_each_recipe_that_is_left_out_has_a_row_with_its_own_sentence(qtbot: Any, program: Any,
                                                                          fake_sites: FakeSites) -> None:
    fake_sites.left_out = (RecipeFault("/sw/recipes/x", "/sw/recipes/x is a link, which is not followed."),
                           RecipeFault("/sw/recipes/y", "/sw/recipes/y/recipe.toml: “title” is missing."))
    dialog = program.window.catalogue_desk.show()
    qtbot.waitUntil(lambda: dialog.rows.count() == 4)
    assert dialog.note.text() == "", "no sentence of another recipe at the one that is shown"
    choose(dialog, "x · left out")
    qtbot.waitUntil(lambda: "/sw/recipes/x is a link, which is not followed." in dialog.page.words)
    assert "Left out at Far Light Source" in dialog.page.words
    assert "Where it can run" not in dialog.page.words
    choose(dialog, "y · left out")
    qtbot.waitUntil(lambda: "“title” is missing" in dialog.page.words)
    assert "is a link" not in dialog.page.words
    assert dialog.rows.currentItem().data(Qt.ItemDataRole.AccessibleTextRole) == "y · left out: left out"
    choose(dialog, "Reduction")
    qtbot.waitUntil(lambda: "Where it can run" in dialog.page.words)
    assert "“title” is missing" not in dialog.page.words


def test_that_the_list_shows_the_state_at_the_site_of_the_data(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    window = program.window
    fake_sites.seen = {"reduce": Availability("far", FITS, SoftwareState.READY)}
    program.software.look("far")
    qtbot.waitUntil(lambda: bool(program.software.rows("far")))
    dialog = window.catalogue_desk.show()
    both = {"far": Availability("far", FITS, SoftwareState.MISSING, "pyFAI is not there."),
            "local": Availability("local", FITS, SoftwareState.READY)}
    monkeypatch.setattr(dialog, "_seen", lambda recipe: both if recipe == FITS else {"local": None})
    dialog.show_for(None)
    choose(dialog, "Reduction")
    assert dialog.rows.currentItem().toolTip() == "ready"
    dialog.show_for(IMAGE, (10, 64, 48), "uint32")
    choose(dialog, "Reduction")
    assert dialog.rows.currentItem().toolTip() == "not ready"
    choose(dialog, "Tomography")
    assert dialog.rows.currentItem().toolTip() == "not at the site of this data"


def test_that_what_can_run_is_offered_first_and_what_lacks_software_says_so(
        qtbot: Any, program: Any, fake_sites: FakeSites, monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(FITS, name="own", title="Own reduction", accepts=Accepts())
    monkeypatch.setattr(program.session, "recipes", lambda _site: [FITS, own])
    sentence = "The environment “saxs” is not in the site's profile."
    fake_sites.seen = {"reduce": Availability("far", FITS, SoftwareState.MISSING, sentence)}
    window = program.window
    window.data_desk.open(IMAGE)
    said = f"A job would probably fail: {sentence}"
    qtbot.waitUntil(lambda: said in [label.text() for label in window.inspector.findChildren(QLabel)])
    wanted = [("Own reduction…", "primary"), ("Reduction…", ""), ("More analyses…", "link")]
    qtbot.waitUntil(lambda: [(button.text(), button.property("role")) for button
                             in window.inspector.findChildren(QPushButton) if button.text() in dict(wanted)] == wanted)
    form = window.submit(FITS, IMAGE)
    qtbot.waitUntil(lambda: form.notice.text() == said)
    form.tell("This input is not there any more.")
    assert form.notice.text().splitlines() == [said, "This input is not there any more."]
    menu = QMenu(window)
    add_analyses(menu, window.catalogue_desk.offers(IMAGE, (10, 64, 48), "uint32"), print, print)
    assert [action.text() for action in menu.actions()][:2] == ["Own reduction…",
                                                                "Reduction… – would probably fail here"]
    assert fake_sites.looks == 1, "a site is looked at once"
    ready = window.submit(own, IMAGE)
    assert ready.notice.isHidden()


def test_that_it_opens_from_the_menu_and_looks_again_when_asked(qtbot: Any, program: Any,
                                                                fake_sites: FakeSites) -> None:
    window = program.window
    next(action for action in window.actions() if action.text() == "Analyses…").trigger()
    qtbot.waitUntil(lambda: fake_sites.looks == 1)
    dialog = window.findChild(CatalogueDialog)
    qtbot.waitUntil(lambda: ": ready" in dialog.page.words)
    qtbot.mouseClick(dialog.again_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: fake_sites.looks == 2)
    assert dialog.use_button.isHidden(), "no data was named"


def test_that_analyses_are_found_by_words(qtbot: Any, program: Any) -> None:
    dialog = program.window.catalogue_desk.show()
    qtbot.keyClicks(dialog.search, "ct")
    titles = [dialog.rows.item(row).text() for row in range(dialog.rows.count())]
    assert titles == ["Reduction 1.2 · SAXS", "Tomography 2.0 · CT"], "“Reduction” has those letters too"
    dialog.search.clear()
    qtbot.keyClicks(dialog.search, "tomography")
    assert dialog.rows.count() == 1


def test_that_an_analysis_is_used_on_the_data_it_fits(qtbot: Any, program: Any) -> None:
    desk = program.window.catalogue_desk
    dialog = desk.show_for(IMAGE, (10, 64, 48), "uint32")
    choose(dialog, "Tomography")
    assert not dialog.use_button.isEnabled()
    assert dialog.note.text() == "Tomography takes data of at least 4 dimensions; this has 3."
    choose(dialog, "Reduction")
    qtbot.mouseClick(dialog.use_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(program.window.findChildren(SubmitDialog)))
    assert program.window.findChildren(SubmitDialog)[-1].recipe == FITS


def test_that_missing_software_is_told_where_an_analysis_is_chosen(qtbot: Any, program: Any,
                                                                   fake_sites: FakeSites) -> None:
    fake_sites.seen = {"reduce": Availability("far", FITS, SoftwareState.MISSING, "pyFAI is not in “saxs”.")}
    dialog = program.window.catalogue_desk.show_for(IMAGE, (10, 64, 48), "uint32")
    choose(dialog, "Reduction")
    qtbot.waitUntil(lambda: dialog.note.text() == "A job would probably fail: pyFAI is not in “saxs”.")
    assert dialog.use_button.isEnabled()


def test_that_a_site_that_does_not_answer_is_told(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str, connection: Any, *, again: bool = False) -> list[Availability]:
        raise ConnectionError("gone")

    monkeypatch.setattr(fake_sites, "software", broken)
    dialog = program.window.catalogue_desk.show()
    qtbot.waitUntil(lambda: "Far Light Source: not known" in dialog.page.words)


def test_that_what_does_not_fit_is_greyed_with_the_reason(qtbot: Any, program: Any) -> None:
    window = program.window
    window.data_desk.open(IMAGE)
    qtbot.waitUntil(lambda: window.current_tab is not None and window.current_tab.description is not None)
    buttons = {button.text(): button for button in window.inspector.findChildren(QPushButton)}
    qtbot.waitUntil(lambda: "Reduction…" in {b.text() for b in window.inspector.findChildren(QPushButton)})
    buttons = {button.text(): button for button in window.inspector.findChildren(QPushButton)}
    assert buttons["Reduction…"].isEnabled()
    assert not buttons["Tomography…"].isEnabled()
    assert "at least 4 dimensions" in buttons["Tomography…"].toolTip()
    qtbot.mouseClick(buttons["More analyses…"], Qt.MouseButton.LeftButton)
    assert not window.findChild(CatalogueDialog).use_button.isHidden()


def test_that_the_tree_offers_analyses_with_their_reasons(qtbot: Any, program: Any) -> None:
    panel, files = program.window.files_panel, program.window.files
    qtbot.waitUntil(lambda: files.child_named(QModelIndex(), "scan.h5").isValid())
    file = files.child_named(QModelIndex(), "scan.h5")
    files.fetchMore(file)
    qtbot.waitUntil(lambda: files.child_named(file, "data").isValid())
    menu = panel.context_menu(panel.tree.model().mapFromSource(files.child_named(file, "data")))
    texts = {action.text(): action.isEnabled() for action in menu.actions()}
    assert texts["Reduction…"]
    assert texts["Tomography – takes data of at least 4 dimensions; this has 3"] is False
    assert texts["More analyses…"]
    menu.close()
