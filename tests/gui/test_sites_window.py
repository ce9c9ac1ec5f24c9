"""Sites in the window: which are shown where, told apart by name and colour, and what can be done with them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QFileDialog

from app.application import Program
from app.errors import UnreachableError
from app.model.findings import Findings, PythonFound
from app.model.identity import Identity, SignedOut
from app.remote.site_catalogue import SiteCatalogue
from app.session.jobs_model import Column
from app.session.session import SiteState
from app.views.import_dialog import ImportDialog
from app.views.new_site_dialog import NewSiteDialog
from app.views.site_editor import SiteEditor
from app.views.site_marks import SiteRole
from app.views.top_bar import ALL_SITES
from app.viz.site_colour import LEAST_CONTRAST, contrast, mark_colour
from app.viz.theme import theme_named
from tests.gui.fakes import FakeSites, folder, stack

OWN = 'schema = 1\nname = "{name}"\ntitle = "{title}"\ncolour = "{colour}"\n# kept\n[ssh]\nhost = "{name}.example"\n'


def own(name: str, title: str = "", colour: str = "#aa3377") -> str:
    return OWN.format(name=name, title=title or name, colour=colour)


@pytest.fixture
def program(qtbot: Any, start: Any, fake_sites: FakeSites) -> Any:
    fake_sites.data.folders["~"] = folder("/home/me", "a.h5")
    for site in ("far", "mine"):
        fake_sites.data.plots[f"{site}:/home/me/a.h5"] = stack()
    fake_sites.catalogue.save(own("mine", "My cluster"))
    program = start(fake_sites, width=0)
    program.dialogs = []
    program.window.site_forms.dialog_shown.connect(program.dialogs.append)
    qtbot.waitUntil(lambda: program.session.state("local") is SiteState.OPEN)
    return program


def shown(qtbot: Any, program: Any, kind: type) -> Any:
    qtbot.waitUntil(lambda: bool(program.dialogs) and isinstance(program.dialogs[-1], kind))
    return program.dialogs[-1]


def rows(chooser: Any) -> list[str]:
    return [chooser.itemText(row) for row in range(chooser.count())]


def tree(files: Any) -> list[str]:
    return [files.index(row, 0).data() for row in range(files.rowCount())]


def cards(program: Any) -> list[str]:
    return list(program.window.start_page._cards)


def facilities(program: Any) -> list[str]:
    found = program.window.start_page.facilities.rows
    return [found.item(row).text() for row in range(found.count()) if not found.item(row).isHidden()]


# -- the lists --------------------------------------------------------------------------------------------------------


def test_that_your_sites_are_cards_and_shipped_facilities_a_list_beside_them(program: Program) -> None:
    assert cards(program) == ["local", "far", "mine"]
    assert len(facilities(program)) == 13
    assert rows(program.window.top_bar._sites) == ["This computer", "Far Light Source", "My cluster", ALL_SITES]


def test_that_facilities_are_found_by_name_and_say_what_is_known(qtbot: Any, program: Program) -> None:
    found = program.window.start_page.facilities
    qtbot.keyClicks(found.search, "esr")
    assert facilities(program) == ["ESRF"]
    item = next(found.rows.item(row) for row in range(13) if not found.rows.item(row).isHidden())
    assert item.data(SiteRole.NOTE) == "host not known: will be asked"
    found.search.setText("no such place")
    assert facilities(program) == []
    assert found._nothing.isVisibleTo(found)


def test_that_a_facility_that_was_connected_to_becomes_a_card(qtbot: Any, program: Program,
                                                              fake_sites: FakeSites) -> None:
    fake_sites.catalogue.note_use("psi")
    program.window.navigator.go_to_site("psi")
    qtbot.waitUntil(lambda: program.session.state("psi") is SiteState.OPEN)
    assert "psi" in cards(program)
    assert "PSI" in rows(program.window.top_bar._sites)
    assert "PSI" not in facilities(program)


def test_that_thirty_sites_with_long_names_leave_the_window_its_size(qtbot: Any, program: Program,
                                                                    fake_sites: FakeSites) -> None:
    for number in range(30):
        fake_sites.catalogue.save(own(f"s{number:02d}", f"Site {number} " + "of a very long name " * 8))
    program.places.visit("s01:/data/visitor/" + "a-long-folder/" * 12 + "scan_0001.h5")
    program.sites.changed.emit()
    assert len(cards(program)) == 33
    program.window.resize(800, 700)
    qtbot.waitUntil(lambda: program.window.width() == 800)
    assert program.window.start_page.horizontalScrollBar().maximum() == 0


# -- told apart -------------------------------------------------------------------------------------------------------


def test_that_tabs_tree_chooser_and_jobs_carry_the_sites_mark(qtbot: Any, program: Program) -> None:
    window = program.window
    for site in ("far", "mine"):
        window.navigator.go_to_site(site)
        qtbot.waitUntil(lambda site=site: program.session.state(site) is SiteState.OPEN)
        window.navigator.go_to_text(f"{site}:/home/me/a.h5")
        qtbot.waitUntil(lambda site=site: (window.current_tab is not None
                        and window.current_tab.reference.site == site))
    bar = window.tabs.tabBar()
    assert [bar.tabData(1), bar.tabData(2)] == ["#1f77b4", "#aa3377"]
    assert "My cluster" in window.tabs.tabToolTip(2)
    assert "Far Light Source" in window.tabs.tabToolTip(1)
    assert window.files_panel.mark._colour == "#aa3377"
    assert "My cluster" in window.files_panel.tree.toolTip()
    window.tabs.setCurrentIndex(1)
    assert window.files_panel.mark._colour == "#1f77b4"
    chooser = window.top_bar._sites
    assert chooser.itemData(chooser.findData("mine"), SiteRole.NOTE) == "connected"
    assert program.jobs.headerData(Column.SITE, Qt.Orientation.Horizontal) == "Site"


def test_that_the_chooser_says_who_is_signed_in_where(qtbot: Any, program: Program,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    who = Identity("https://op", "1", "Ada Lindqvist")
    monkeypatch.setattr(program.session, "identity", lambda name: who if name == "far" else None)
    program.session.identity_changed.emit("far")
    chooser = program.window.top_bar._sites
    assert chooser.itemData(chooser.findData("far"), SiteRole.NOTE) == "not connected · Ada Lindqvist"
    assert chooser.itemData(chooser.findData("mine"), SiteRole.NOTE) == "not connected"


def test_that_an_account_that_was_reached_by_key_or_password_is_shown_with_its_site(
        qtbot: Any, program: Program, fake_sites: FakeSites, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_sites.user, window = "a" * 24, program.window
    account = f"{fake_sites.user}@mine.example"
    program.window.navigator.go_to_site("mine")
    qtbot.waitUntil(lambda: program.session.account("mine") == account)
    chooser, bar, list_ = window.top_bar._sites, window.top_bar, window.site_forms.show_sites("mine")
    assert chooser.itemData(chooser.findData("mine"), SiteRole.NOTE) == f"connected · {account}"
    assert bar.identity_text == account[:27] + "…"
    assert account in bar._who.toolTip()
    assert bar._who.isVisibleTo(window)
    assert window.start_page._cards["mine"]._who.text() == f"as {account}"
    assert list_._who.text() == f"Logged in as {account}"
    assert program.session.account("local") == ""
    who = Identity("https://op", "1", "Ada Lindqvist")
    monkeypatch.setattr(program.session, "identity", lambda name: who if name == "mine" else None)
    program.session.identity_changed.emit("mine")
    assert bar.identity_text == "Ada Lindqvist"
    assert account in bar._who.toolTip()
    assert list_._who.text() == f"Signed in as Ada Lindqvist · logged in as {account}"
    monkeypatch.setattr(program.session, "identity", lambda name: None)
    program.session.close_site("mine")
    assert chooser.itemData(chooser.findData("mine"), SiteRole.NOTE) == "not connected"
    assert not bar._who.isVisibleTo(window)
    assert not list_._who.isVisibleTo(list_)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("colour", ["#ffffff", "#000000", "#ffee00", "#202740", "#8dc63f", "#7f7f7f", "nonsense"])
def test_that_marks_can_be_seen_in_every_colour(theme: str, colour: str) -> None:
    drawn = mark_colour(colour, theme_named(theme))
    for surface in (theme_named(theme).window, theme_named(theme).panel):
        assert contrast(drawn, QColor(surface)) >= LEAST_CONTRAST


def test_that_a_mark_keeps_its_hue() -> None:
    assert abs(mark_colour("#ffee00", theme_named("light")).hslHueF() - QColor("#ffee00").hslHueF()) < 0.01
    assert mark_colour("#c62f2f", theme_named("light")).name() == "#c62f2f", "what can be seen is left alone"


# -- the Sites dialog ------------------------------------------------------------------------------------------------


def test_that_each_site_is_connected_and_hung_up_from_the_list(qtbot: Any, program: Program) -> None:
    dialog = program.window.site_forms.show_sites("mine")
    assert dialog.name == "mine"
    assert "not connected" in dialog.words
    qtbot.mouseClick(dialog.connect_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.session.state("mine") is SiteState.OPEN)
    assert dialog.connect_button.text() == "Disconnect"
    dialog.show_site("far")
    assert dialog.connect_button.text() == "Connect"
    dialog.show_site("mine")
    qtbot.mouseClick(dialog.connect_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: program.session.state("mine") is SiteState.CLOSED)
    assert program.session.state("local") is SiteState.OPEN


def test_that_values_are_shown_with_their_source(program: Program) -> None:
    dialog = program.window.site_forms.show_sites("diamond")
    assert "public scripts" in dialog.words
    assert "third-party" in dialog.words
    assert dialog.edit_button.text() == "Make it your own…"


def test_that_signing_out_everywhere_hangs_up_on_all_sites_of_the_provider(qtbot: Any, program: Program,
                                                                          fake_sites: FakeSites,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr("app.views.site_forms.QDesktopServices.openUrl", lambda url: pages.append(url.toString()))
    monkeypatch.setattr(fake_sites, "sign_out_everywhere",
                        lambda name: SignedOut(("far", "mine"), True, "https://op/end"))
    for site in ("far", "mine"):
        program.session.open_site(site)
        qtbot.waitUntil(lambda site=site: program.session.state(site) is SiteState.OPEN)
    program.window.site_forms.show_sites("far").everywhere_button.click()
    qtbot.waitUntil(lambda: program.session.state("mine") is SiteState.CLOSED)
    assert program.session.state("local") is SiteState.OPEN
    titles = ", ".join(program.session.title(site) for site in ("far", "mine"))
    assert program.messages.all[-1].summary == f"Signed out of {titles}."
    assert pages == ["https://op/end"]


@pytest.mark.parametrize("sign_out", ["here", "everywhere", "everywhere, from another site"])
def test_that_signing_out_takes_the_files_off_the_screen_and_leaves_the_tabs(
        qtbot: Any, program: Program, fake_sites: FakeSites, monkeypatch: pytest.MonkeyPatch, sign_out: str) -> None:
    monkeypatch.setattr(fake_sites, "sign_out_everywhere", lambda name: SignedOut(("far", "mine")))
    files, session = program.window.files, program.session
    session.open_site("far")
    program.window.navigator.go_to_text("mine:/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None)
    program.window.navigator.go_to_site("mine")
    qtbot.waitUntil(lambda: files.is_loaded(QModelIndex()) and tree(files) == ["a.h5"])
    if sign_out == "here":
        session.sign_out("mine")
    else:
        session.sign_out_everywhere("mine" if sign_out == "everywhere" else "far")
    qtbot.waitUntil(lambda: tree(files) == ["Not connected"])
    assert files.site == program.window.navigator.site == "mine"
    assert program.window.current_tab is not None
    program.window.navigator.go_to_site("mine")
    qtbot.waitUntil(lambda: tree(files) == ["a.h5"])


def test_that_removing_a_site_closes_its_tabs_and_browses_this_computer(qtbot: Any, program: Program) -> None:
    program.window.navigator.go_to_text("mine:/home/me/a.h5")
    qtbot.waitUntil(lambda: program.window.current_tab is not None)
    dialog = program.window.site_forms.show_sites("mine")
    dialog.remove_button.click()
    qtbot.waitUntil(lambda: "mine" not in cards(program))
    assert program.window.tabs.count() == 1
    assert program.window.navigator.site == "local"
    assert dialog.name == "local"


# -- New site --------------------------------------------------------------------------------------------------------


def test_that_a_host_name_becomes_a_tried_site_with_what_was_found(qtbot: Any, program: Program,
                                                                   fake_sites: FakeSites) -> None:
    fake_sites.findings = Findings("2026-11-22", "slurm", ("day",), True,
                                   (PythonFound("python3", "3.6.8", ("numpy", "h5py")),
                                    PythonFound("/opt/python", "3.11.2")), (), "/home/me", "me", "login1",
                                   ("apptainer",))
    dialog = program.window.site_forms.new_site()
    assert dialog.focusWidget() is dialog.form.place, "what is typed at once is the host"
    qtbot.keyClicks(dialog.form.place, "ssh://me@login.sunlab.example:2222")
    assert (dialog.form.name.text(), dialog.form.title.text()) == ("sunlab", "Sunlab")
    qtbot.mouseClick(dialog.test_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: dialog.page == "found")
    assert program.session.state("sunlab") is SiteState.OPEN
    assert "me on login1" in dialog.findings.words
    assert dialog.findings.chosen == {"batch.system", "software.containers", "agent.python"}
    dialog.findings.ticks["software.containers"].setChecked(False)
    qtbot.mouseClick(dialog.save_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "sunlab" in cards(program) and program.sites.site("sunlab").kind == "own")
    saved = SiteCatalogue().profile("sunlab")
    assert (saved.ssh.host, saved.ssh.port, saved.ssh.user) == ("login.sunlab.example", 2222, "me")
    assert (saved.batch.system, saved.software.containers) == ("slurm", "")
    assert saved.agent.python == ("/opt/python", "python3")
    assert saved.sources == {"batch.system": "probed 2026-11-22", "agent.python": "probed 2026-11-22"}
    assert program.session.state("sunlab") is SiteState.OPEN, "it stays connected"


def test_that_a_trial_that_fails_says_why_and_leaves_nothing(qtbot: Any, program: Program,
                                                             fake_sites: FakeSites) -> None:
    fake_sites.error = UnreachableError("no.example does not answer.", remedy="Check the network.")
    asked: list[str] = []
    program.window.site_forms.set_doctor(asked.append)
    dialog = program.window.site_forms.new_site()
    dialog.form.place.setText("gate.no.example")
    dialog.test()
    qtbot.waitUntil(lambda: dialog.page == "failed")
    assert dialog.sentence == "no.example does not answer."
    assert not program.window.notice.isVisible(), "it is told once"
    assert "no.example does not answer." not in [message.summary for message in program.messages.all]
    dialog.doctor_button.click()
    assert asked == ["no"]
    dialog.back_button.click()
    assert dialog.form.place.text() == "gate.no.example"
    dialog.reject()
    assert "no" not in fake_sites.catalogue.names()
    program.session.open_site("far")
    qtbot.waitUntil(program.window.notice.isVisible)
    assert cards(program) == ["local", "far", "mine"]


def test_that_a_trial_can_be_stopped(qtbot: Any, program: Program, fake_sites: FakeSites) -> None:
    stopped: list[bool] = []

    def ask(interaction: Any) -> None:
        stopped.append(interaction.cancelled.wait(20))

    fake_sites.during_open = ask
    dialog = program.window.site_forms.new_site()
    dialog.form.place.setText("slow.example")
    dialog.test()
    qtbot.waitUntil(lambda: program.session.state("slow") is SiteState.OPENING)
    dialog.cancel_button.click()
    assert dialog.page == "form"
    qtbot.waitUntil(lambda: stopped == [True])
    qtbot.waitUntil(lambda: program.session.state("slow") is not SiteState.OPENING)


@pytest.mark.parametrize(("place", "says"), [
    ("", "Type the host's name"), ("two words", "is no host"), ("ssh://", "is no host"), ("host:99999", "is no host"),
    ("-oProxyCommand=x", "a host name or an address"),
])
def test_that_a_host_that_cannot_be_is_told_at_once(program: Program, place: str, says: str) -> None:
    dialog = program.window.site_forms.new_site()
    dialog.form.place.setText(place)
    dialog.test()
    assert dialog.page == "form"
    assert says in dialog.sentence
    assert dialog.form.place.property("state") == "error"
    dialog.form.place.setText("good.example")
    assert dialog.sentence == ""


def test_that_a_site_that_is_known_by_its_address_is_called_by_it(program: Program) -> None:
    dialog = program.window.site_forms.new_site()
    dialog.form.place.setText("you@192.0.2.1:2222")
    assert (dialog.form.name.text(), dialog.form.title.text()) == ("site", "192.0.2.1")


def test_that_a_name_that_is_taken_is_told(program: Program) -> None:
    dialog = program.window.site_forms.new_site()
    dialog.form.place.setText("mine.example")
    assert dialog.form.name.text() == "mine-2"
    dialog.form.name.setText("mine")
    dialog.test()
    assert "a site called “mine” already" in dialog.sentence


@pytest.mark.parametrize("way", ["choose", "card"])
def test_that_a_facility_without_a_known_host_asks_for_it_prefilled(qtbot: Any, program: Program, way: str) -> None:
    if way == "choose":
        program.window.site_desk.choose("esrf")
    else:
        found = program.window.start_page.facilities
        found.search.setText("ESRF")
        qtbot.keyClick(found.search, Qt.Key.Key_Return)
    dialog = shown(qtbot, program, NewSiteDialog)
    assert dialog.form.gateways.text() == "firewall.esrf.fr:5022"
    assert dialog.form.name.text() == "esrf"
    dialog.form.place.setText("login.nice.example")
    dialog.test()
    qtbot.waitUntil(lambda: dialog.page in ("found", "trial") and program.session.state("esrf") is SiteState.OPEN)
    profile = program.session.profile("esrf")
    assert profile.ssh.hops[0].host == "firewall.esrf.fr"
    assert profile.data.roots == ("/data/visitor/{proposal}/{beamline}/{date}",)
    dialog.close()
    assert program.session.profile("esrf").needs_host, "what was not saved is forgotten"


# -- import, export, edit --------------------------------------------------------------------------------------------


def test_that_the_commands_of_an_imported_profile_are_shown_before_it_is_taken(qtbot: Any, program: Program,
                                                                              tmp_path: Path) -> None:
    file = tmp_path / "lab.toml"
    file.write_text(own("lab", "The lab") + '[software]\nsetup = ["source /opt/it.sh"]\n', "utf-8")
    program.window.site_forms.import_from(str(file))
    dialog = shown(qtbot, program, ImportDialog)
    assert "source /opt/it.sh" in dialog.commands
    assert "lab.example" in dialog.sentences
    assert "lab" not in cards(program)
    dialog.add_button.click()
    qtbot.waitUntil(lambda: "lab" in cards(program))
    assert SiteCatalogue().text("lab") == file.read_text("utf-8"), "with its comments"


def test_that_a_profile_with_faults_is_not_taken_and_all_are_told(qtbot: Any, program: Program,
                                                                  tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(own("bad", colour="red").replace("bad.example", "me@bad.example"), "utf-8")
    program.window.site_forms.import_from(str(file))
    dialog = shown(qtbot, program, ImportDialog)
    assert any("colour is 'red'" in text for text in dialog.sentences)
    assert any("belongs in ssh.user" in text for text in dialog.sentences)
    assert dialog.add_button.isHidden()


def test_that_a_missing_file_is_told(qtbot: Any, program: Program, tmp_path: Path) -> None:
    program.window.site_forms.import_from(str(tmp_path / "none.toml"))
    qtbot.waitUntil(lambda: any("There is no file" in message.summary for message in program.messages.all))


def test_that_export_writes_what_may_be_given_away(qtbot: Any, program: Program, tmp_path: Path) -> None:
    program.window.site_forms.export("mine")
    chooser = shown(qtbot, program, QFileDialog)
    chooser.fileSelected.emit(str(tmp_path / "out.toml"))
    chooser.close()
    qtbot.waitUntil(lambda: (tmp_path / "out.toml").exists())
    assert 'host = "mine.example"' in (tmp_path / "out.toml").read_text("utf-8")


@pytest.fixture
def editor(qtbot: Any, program: Any) -> Any:
    program.window.site_forms.edit("mine")
    return shown(qtbot, program, SiteEditor)


def type_into(editor: Any, key: str, text: str) -> None:
    edit = editor.fields[key].edit
    edit.setText(text)
    edit.textEdited.emit(text)


def test_that_an_invalid_value_is_told_at_its_field_in_the_parsers_words(editor: Any) -> None:
    type_into(editor, "ssh.port", "many")
    type_into(editor, "colour", "red")
    assert editor.fields["ssh.port"].fault == "ssh.port is 'many'; expected a whole number."
    assert editor.fields["colour"].fault == "colour is 'red'; expected a colour such as #1f77b4."
    assert editor.fields["ssh.port"].edit.property("state") == "error"
    assert not editor.save_button.isEnabled()
    type_into(editor, "ssh.port", "2222")
    type_into(editor, "colour", "")
    assert editor.fields["ssh.port"].fault == editor.fields["colour"].fault == ""
    assert editor.save_button.isEnabled()


def test_that_what_the_form_saves_is_read_again_as_it_was_typed(qtbot: Any, program: Any, editor: Any) -> None:
    type_into(editor, "title", 'A "new" title')
    type_into(editor, "ssh.methods", "certificate, key")
    editor.fields["data.roots"].edit.setPlainText("/data/{proposal}\n~/mine")
    editor.fields["software.environments"].edit.setPlainText("saxs = module load a=b")
    editor.fields["identity.method"].edit.setCurrentIndex(1)
    type_into(editor, "identity.issuer", "https://issuer.example")
    hops = editor.fields["ssh.hops"].edit
    hops.add_button.click()
    hops.table.item(0, 0).setText("gate.example")
    hops.table.item(0, 1).setText("5022")
    hops.table.item(0, 4).setText("yes")
    editor.save_button.click()
    qtbot.waitUntil(lambda: program.session.profile("mine").title == 'A "new" title')
    saved = SiteCatalogue().profile("mine")
    assert saved.ssh.methods == ("certificate", "key")
    assert saved.data.roots == ("/data/{proposal}", "~/mine")
    assert saved.software.environments == {"saxs": "module load a=b"}
    assert saved.identity.issuer == "https://issuer.example"
    assert (saved.ssh.hops[0].host, saved.ssh.hops[0].port, saved.ssh.hops[0].hold_session) == ("gate.example", 5022,
                                                                                                True)


def test_that_text_that_is_edited_as_text_keeps_its_comments_and_names_the_line_at_fault(qtbot: Any, program: Any,
                                                                                         editor: Any) -> None:
    editor.tabs.setCurrentIndex(1)
    assert "# kept" in editor.raw.toPlainText()
    editor.raw.setPlainText(own("mine", "Mine") + "[ssh")
    assert "Line 8" in editor.sentence
    assert not editor.save_button.isEnabled()
    assert not editor.tabs.isTabEnabled(0), "what is no TOML has no form"
    editor.raw.setPlainText(own("mine", "Mine") + "port = 0\n")
    assert editor.sentence.startswith("Line 8: ssh.port is 0")
    editor.raw.setPlainText(own("mine", "Mine") + "port = 2222\n")
    editor.tabs.setCurrentIndex(0)
    assert editor.fields["ssh.port"].edit.text() == "2222"
    editor.save_button.click()
    qtbot.waitUntil(lambda: program.session.profile("mine").ssh.port == 2222)
    assert SiteCatalogue().text("mine") == own("mine", "Mine") + "port = 2222\n"


def test_that_sources_are_shown_and_a_changed_value_is_the_users_own_word(qtbot: Any, program: Any) -> None:
    program.window.site_forms.edit("psi")
    editor = shown(qtbot, program, SiteEditor)
    assert editor.fields["ssh.host"].source == "From third parties: public scripts"
    assert editor.fields["ssh.hops"].source.startswith("Documented: psi.ch")
    type_into(editor, "ssh.host", "other.psi.ch")
    assert editor.fields["ssh.host"].source == ""
    editor.save_button.click()
    qtbot.waitUntil(lambda: program.sites.site("psi").kind == "own")
    assert program.session.profile("psi").sources["ssh.host"] == "unverified"


def test_that_a_site_that_is_renamed_leaves_no_other_behind(qtbot: Any, program: Any, editor: Any) -> None:
    type_into(editor, "name", "renamed")
    editor.save_button.click()
    qtbot.waitUntil(lambda: "renamed" in cards(program))
    qtbot.waitUntil(lambda: "mine" not in cards(program))


# -- what is found by itself -------------------------------------------------------------------------------------------


def test_that_what_a_login_shows_is_used_and_offered_for_saving(qtbot: Any, program: Any,
                                                                fake_sites: FakeSites) -> None:
    fake_sites.findings = Findings("2026-11-22", "slurm", ("day",), containers=("podman",))
    with contextlib.ExitStack() as stack_:
        stack_.enter_context(qtbot.waitSignal(program.probing.learned))
        program.session.open_site("mine")
    assert program.session.profile("mine").batch.system == "slurm"
    dialog = program.window.site_forms.show_sites("mine")
    assert "batch.system slurm" in dialog.words
    dialog.save_found_button.click()
    editor = shown(qtbot, program, SiteEditor)
    editor.save_button.click()
    qtbot.waitUntil(lambda: SiteCatalogue().profile("mine").batch.system == "slurm")
    assert "# probed" not in SiteCatalogue().text("mine")
    assert SiteCatalogue().profile("mine").sources["batch.system"] == "probed 2026-11-22"


def test_that_a_site_that_says_all_is_left_alone(qtbot: Any, program: Any, fake_sites: FakeSites,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(fake_sites, "look_around", lambda name, connection, **more: looks.append(name))
    program.session.open_site("far")
    qtbot.waitUntil(lambda: program.session.state("far") is SiteState.OPEN)
    assert looks == []
