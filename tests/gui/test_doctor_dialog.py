"""The connection doctor's window: steps as they come, the report as it is copied, cancelling; the network settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QContextMenuEvent, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QMenu

from app.application import Program
from app.errors import UnreachableError
from app.model.doctor import Report, Step, StepState
from app.model.site import SiteProfile
from app.remote import proxies, trust
from app.remote.doctor import report as reports
from app.remote.seams import Interaction
from app.session.network_settings import NetworkSettings
from app.views.doctor_dialog import DoctorDialog
from app.views.facility_card import FacilityCard
from app.views.network_dialog import NetworkDialog
from app.views.question_dialogs import HostKeyDialog
from tests.gui.fakes import FakeSites
from tests.peers.pki import make_pki

FAILED = Step("tcp", "Connection to far.example", StepState.FAILED, "far.example did not answer.",
              "192.0.2.1: no answer", "Check the network.", 6.0, "unreachable", "On a day, far.example did not answer.")
STEPS = (Step("name", "Address of far.example", StepState.PASSED, "It has one.", seconds=0.2), FAILED,
         Step("agent", "Agent", StepState.SKIPPED, "Not looked at."))


class ExaminedSites(FakeSites):
    """Sites whose examination tells ``steps``; with ``hold`` it waits until it is cancelled."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = steps or STEPS
        self.hold = threading.Event()
        self.hold.set()
        self.contact = "help@far.example"
        self.runs = 0
        self.ended = threading.Event()

    def profile(self, name: str) -> SiteProfile:
        from dataclasses import replace

        found = super().profile(name)
        return found if found.is_local else replace(found, contact=self.contact)

    def examine(self, name: str, interaction: Interaction, tell: Callable[[Step], None]) -> Report:
        self.runs += 1
        self.during_open(interaction)
        profile = self.profile(name)
        for step in self.steps:
            tell(Step(step.name, step.title))
        complete = True
        for step in self.steps:
            tell(Step(step.name, step.title, StepState.RUNNING))
            while not self.hold.wait(0.01):
                if interaction.cancelled.is_set():
                    complete = False
                    break
            if complete:
                tell(step)
        self.ended.set()
        return reports.make_report(profile, self.steps if complete else (), 0.0, complete)


@pytest.fixture
def sites() -> ExaminedSites:
    return ExaminedSites()


@pytest.fixture
def program(start: Callable[..., Program], sites: ExaminedSites) -> Program:
    return start(sites)


def doctor(program: Program) -> DoctorDialog:
    return program.window.doctor_desk.examine("far")


def shows(qtbot: Any, condition: Callable[[], bool]) -> None:
    qtbot.waitUntil(condition, timeout=10_000)


def test_that_steps_come_one_by_one_and_the_failing_one_says_what_to_do(qtbot: Any, program: Program,
                                                                      sites: ExaminedSites) -> None:
    sites.hold.clear()
    dialog = doctor(program)
    shows(qtbot, lambda: dialog.rows.get("name") is not None
          and dialog.rows["name"].step.state is StepState.RUNNING)
    assert [row.step.state for row in dialog.rows.values()][1:] == [StepState.WAITING] * 2
    assert not dialog.copy.isEnabled()
    sites.hold.set()
    shows(qtbot, lambda: "fails at" in dialog.verdict_text)
    assert dialog.verdict_text == "It fails at “Connection to far.example”."
    row = dialog.rows["tcp"]
    assert "failed" in row.accessibleName()
    shown = {label.text() for label in row.findChildren(type(row._summary)) if label.isVisible()}
    assert {"far.example did not answer.", "→ Check the network.", "6.0 s"} <= shown
    assert "192.0.2.1: no answer" not in shown
    row.details.click()
    assert row._detail.isVisible()
    assert dialog.sentence_text == FAILED.tell


def test_that_what_is_copied_is_what_is_shown(qtbot: Any, program: Program) -> None:
    dialog = doctor(program)
    shows(qtbot, dialog.copy.isEnabled)
    qtbot.mouseClick(dialog.copy, Qt.MouseButton.LeftButton)
    copied = QGuiApplication.clipboard().text()
    assert copied == dialog.report_text
    assert "✗ Connection to far.example: far.example did not answer." in copied
    assert dialog.copy.text() == "Copied"


def test_that_a_message_to_support_has_the_sentence(qtbot: Any, program: Program, sites: ExaminedSites,
                                                    monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[QUrl] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    dialog = doctor(program)
    shows(qtbot, dialog.send.isEnabled)
    qtbot.mouseClick(dialog.send, Qt.MouseButton.LeftButton)
    text = unquote(opened[0].toEncoded().data().decode())
    assert text.startswith("mailto:help@far.example?subject=Beamside: connection to Far Light Source&body=On a day")
    assert QGuiApplication.clipboard().text() == dialog.report_text


@pytest.mark.parametrize(("contact", "words"), [("", ""), ("the user office", ""), ("javascript:alert(1)", ""),
                                                ("https://far.example/help", "Open the support page…")])
def test_that_only_addresses_are_opened(qtbot: Any, program: Program, sites: ExaminedSites, contact: str,
                                        words: str) -> None:
    sites.contact = contact
    dialog = doctor(program)
    shows(qtbot, dialog.copy.isEnabled)
    assert dialog.send.isVisible() is bool(words)
    assert not words or dialog.send.text() == words


def test_that_it_can_be_cancelled_and_run_again(qtbot: Any, program: Program, sites: ExaminedSites) -> None:
    sites.hold.clear()
    dialog = doctor(program)
    shows(qtbot, lambda: bool(dialog.rows))
    assert dialog.again.text() == "Cancel"
    qtbot.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: dialog.verdict_text == "The examination was cancelled.")
    sites.hold.set()
    qtbot.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: "fails at" in dialog.verdict_text)
    assert sites.runs == 2


def test_that_closing_ends_the_examination_and_the_next_one_is_new(qtbot: Any, program: Program,
                                                                   sites: ExaminedSites) -> None:
    sites.hold.clear()
    dialog = doctor(program)
    assert doctor(program) is dialog, "one for each site"
    shows(qtbot, lambda: bool(dialog.rows))
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    shows(qtbot, sites.ended.is_set)
    sites.hold.set()
    again = doctor(program)
    shows(qtbot, lambda: "fails at" in again.verdict_text)


def test_that_questions_of_an_examination_reach_the_person_and_end_with_it(qtbot: Any, program: Program,
                                                                           sites: ExaminedSites) -> None:
    answers: list[bool] = []

    def ask(interaction: Interaction) -> None:
        answers.append(interaction.confirm_host_key("far.example", "ssh-ed25519", "SHA256:abc"))
    sites.during_open = ask
    dialog = doctor(program)
    window = program.window
    shows(qtbot, lambda: bool(window.findChildren(HostKeyDialog)))
    window.findChildren(HostKeyDialog)[0].accept()
    shows(qtbot, lambda: answers == [True] and dialog.copy.isEnabled())
    qtbot.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: any(d.isVisible() for d in window.findChildren(HostKeyDialog)))
    dialog.close()
    shows(qtbot, lambda: answers == [True, False])
    shows(qtbot, lambda: not any(d.isVisible() for d in window.findChildren(HostKeyDialog)))


def test_that_all_is_well_is_said_and_a_warning_too(qtbot: Any, program: Program, sites: ExaminedSites) -> None:
    sites.steps = STEPS[:1]
    dialog = doctor(program)
    shows(qtbot, lambda: dialog.verdict_text == "All is well.")
    assert dialog.sentence_text == ""
    sites.steps = (Step("clock", "Clocks", StepState.WARNED, "A minute off."),)
    qtbot.mouseClick(dialog.again, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: dialog.verdict_text == "It works; one thing is worth a look.")
    assert list(dialog.rows) == ["clock"]


def test_that_a_failed_connection_offers_to_find_out_why(qtbot: Any, program: Program, sites: ExaminedSites) -> None:
    sites.error = UnreachableError("far.example did not answer.", remedy="Check the network.")
    program.session.open_site("far")
    window = program.window
    shows(qtbot, lambda: window.notice.action.isVisible() and window.notice.action.text() == "Find out why")
    qtbot.mouseClick(window.notice.action, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: bool(window.findChildren(DoctorDialog)))
    dialog = window.findChildren(DoctorDialog)[0]
    assert not dialog.isModal()
    shows(qtbot, lambda: "fails at" in dialog.verdict_text)


def test_that_the_menu_and_a_facilitys_card_lead_to_it(qtbot: Any, program: Program, sites: ExaminedSites) -> None:
    window = program.window
    assert {"Examine the connection", "Network"} <= set(window._actions.names)
    assert window._actions.run("Examine the connection")
    card = next(card for card in window.findChildren(FacilityCard) if card._name == "far")
    QGuiApplication.sendEvent(card, QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, card.rect().center(),
                                                        card.mapToGlobal(card.rect().center())))
    menu = card.findChildren(QMenu)[0]
    next(action for action in menu.actions() if "Examine" in action.text()).trigger()
    shows(qtbot, lambda: {d._examination.site for d in window.findChildren(DoctorDialog)} == {"local", "far"})
    menu.close()


def test_that_a_remedy_in_the_network_settings_leads_there(qtbot: Any, program: Program, sites: ExaminedSites) -> None:
    sites.steps = (Step("provider", "Sign-in service", StepState.FAILED, "It is not trusted.", "", trust.REMEDY, 1.0,
                        "provider", "Tell."),)
    dialog = doctor(program)
    shows(qtbot, lambda: "provider" in dialog.rows and dialog.rows["provider"].network.isVisible())
    dialog.rows["provider"].network.click()
    assert program.window.findChildren(NetworkDialog)


@pytest.fixture
def network(qtbot: Any, program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[NetworkDialog]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield program.window.doctor_desk.show_network()
    trust.choose("")
    proxies.choose("")


def test_that_proxy_and_ca_file_are_used_and_remembered_without_the_password(
        qtbot: Any, program: Program, network: NetworkDialog, tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki")
    network.kind.setCurrentIndex(2)
    network.proxy.setText("http://proxy.example:3128")
    network.user.setText("ada")
    network.password.setText("correct horse")
    network.ca_file.setText(str(pki.ca))
    network.ca_file.editingFinished.emit()
    shows(qtbot, lambda: network.who_text == "It holds “Beamside test authority”.")
    kept: list[NetworkSettings] = []
    network.saved.connect(kept.append)
    qtbot.mouseClick(network.save, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: bool(kept))
    assert trust.chosen_file() == str(pki.ca)
    proxy = proxies.for_ssh("far.example")
    assert proxy is not None
    assert (proxy.name, proxy.user, proxy.password) == ("proxy.example:3128", "ada", "correct horse")
    settings = program.window.settings
    assert (settings.proxy, settings.ca_file) == ("http://proxy.example:3128", str(pki.ca))
    assert "correct horse" not in str(settings)
    again = program.window.doctor_desk.show_network()
    assert again is not network
    assert (again.kind.currentIndex(), again.proxy.text()) == (2, "http://proxy.example:3128")
    assert again.password.text() == ""


@pytest.mark.parametrize(("proxy", "file", "words"), [
    ("socks5://x", "", "not the address of an HTTP proxy"), ("http://ada:x@proxy:1", "", "must not hold"),
    ("", "", "not the address"), ("http://proxy:1", "/no/such.pem", "cannot be read"),
])
def test_that_what_cannot_be_used_is_told_and_nothing_changes(qtbot: Any, program: Program, network: NetworkDialog,
                                                              proxy: str, file: str, words: str) -> None:
    network.kind.setCurrentIndex(2)
    network.proxy.setText(proxy)
    network.ca_file.setText(file)
    qtbot.mouseClick(network.save, Qt.MouseButton.LeftButton)
    shows(qtbot, lambda: words in network.problem_text)
    assert network.isVisible()
    assert network.save.isEnabled()
    assert program.window.settings.proxy == ""
    assert proxies.for_ssh("far.example") is None
