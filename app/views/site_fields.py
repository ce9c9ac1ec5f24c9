"""The fields of a site profile as the editor shows them: words, help, and widgets that read and write one value each.

GUI thread. A widget gives what was typed, good or not: the parser of profiles judges it, and its sentence is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.views.labels import PlainLabel, set_state
from app.viz.icons import set_icon

TEXT, NUMBER, YES_NO, CHOICE, LINES, WORDS, PAIRS, LONG, HOPS = range(9)
_LINE = 19


@dataclass(frozen=True)
class FieldWords:
    """One value: its key, what it is called, what it means, how it is edited, and what it may be if that is a few."""

    key: str
    label: str
    help: str = ""
    kind: int = TEXT
    choices: tuple[str, ...] = ()


SECTIONS: tuple[tuple[str, tuple[FieldWords, ...]], ...] = (
    ("Site", (
        FieldWords("name", "Short name", "Begins the paths of this site; two or more of a-z, 0-9 and -"),
        FieldWords("title", "Title"),
        FieldWords("colour", "Colour", "Of its marks, such as #1f77b4"),
        FieldWords("contact", "Contact", "Whom to ask; shown in the doctor's report"),
        FieldWords("verified", "Source", "Where the profile as a whole comes from: doc: …, third-party: …, unverified"),
    )),
    ("Login", (
        FieldWords("ssh.host", "Host", "A name, an address, or an alias of ~/.ssh/config"),
        FieldWords("ssh.port", "Port", "", NUMBER),
        FieldWords("ssh.user", "User name", "Empty: from the certificate, or asked"),
        FieldWords("ssh.methods", "Ways to log in",
                   "In order: certificate, agent, key, keyboard-interactive, gssapi", WORDS),
        FieldWords("ssh.host_keys", "Host keys", "Key type and key, one per line; empty: known_hosts, or asked", LINES),
        FieldWords("ssh.hops", "Gateways", "In order; “Keep open”: an interactive session must stay open there", HOPS),
    )),
    ("Sign-in", (
        FieldWords("identity.method", "Method", "oidc: a sign-in page; moonshot: the home institution's account; "
                   "none: keys and prompts", CHOICE, ("none", "oidc", "moonshot")),
        FieldWords("identity.issuer", "Issuer", "Ask your facility and paste it here; UmbrellaID's own address is not "
                   "public, facilities sign you in with it"),
        FieldWords("identity.client_id", "Client", "As what the program is registered there"),
        FieldWords("identity.scopes", "Scopes", "Beyond openid, profile and offline_access", WORDS),
        FieldWords("identity.audience", "Audience", "For the certificate authority, if it wants one"),
        FieldWords("identity.redirect_port", "Redirect port", "0: any; a number for services that match exactly",
                   NUMBER),
        FieldWords("identity.redirect_host", "Redirect host", "127.0.0.1, or localhost for services that match exactly",
                   CHOICE, ("127.0.0.1", "localhost")),
        FieldWords("identity.redirect_path", "Redirect path", "/cb, or what such a service wants; may be empty"),
        FieldWords("identity.idp_hint", "Institution hint", "Keycloak's kc_idp_hint"),
        FieldWords("identity.ca_file", "CA file", "Of the issuer, if it is a private one"),
        FieldWords("identity.moonshot.ca", "RADIUS CA", "PEM text; with the server's name below", LONG),
        FieldWords("identity.moonshot.subject", "RADIUS server", "The name in its certificate"),
        FieldWords("identity.moonshot.pins", "RADIUS pins", "SHA-256 of its certificate, instead of a CA", LINES),
        FieldWords("ssh.certificate_authority.kind", "Certificates", "Who signs your SSH key", CHOICE,
                   ("", "conch", "cscs", "step-ca", "oinit")),
        FieldWords("ssh.certificate_authority.url", "Their address", "https://…; oinit's may be left empty"),
        FieldWords("ssh.certificate_authority.ca_file", "Their CA file"),
    )),
    ("Programs at the site", (
        FieldWords("agent.python", "Python", "Commands, one per line: the first with numpy and h5py is taken", LINES),
        FieldWords("agent.run", "Where it runs", "login: on the login node; batch: in an allocation", CHOICE,
                   ("login", "batch")),
        FieldWords("agent.workers", "Workers", "", NUMBER), FieldWords("agent.threads", "Threads of each", "", NUMBER),
        FieldWords("agent.memory_mb", "Memory of each (MB)", "", NUMBER),
        FieldWords("agent.time_min", "Allocation (minutes)", "0: the partition's default", NUMBER),
        FieldWords("agent.cores", "Allocation (cores)", "0: the default", NUMBER),
        FieldWords("agent.cache", "Cache folder"),
    )),
    ("Batch system", (
        FieldWords("batch.system", "System", "Empty: looked for after login", CHOICE,
                   ("", "slurm", "gridengine", "pbs", "direct")),
        FieldWords("batch.partitions", "Partitions", "Empty: asked of the system", WORDS),
        FieldWords("batch.trial_partition", "Partition of trials", "Where small jobs start at once; empty: as others"),
        FieldWords("batch.account", "Account"),
        FieldWords("batch.poll_s", "Ask every (s)", "", NUMBER),
        FieldWords("batch.login_shell", "Login shell", "Commands of the batch system need one", YES_NO),
        FieldWords("batch.parallel_environment", "Parallel environment", "Grid Engine: for jobs of several cores"),
        FieldWords("batch.memory_resource", "Memory resource", "Grid Engine, per core; empty: not asked for"),
        FieldWords("batch.gpu_resource", "GPU resource", "Grid Engine, per job"),
        FieldWords("batch.cpus", "CPUs for jobs", "Direct execution; 0: all of the machine", NUMBER),
    )),
    ("Data", (
        FieldWords("data.roots", "Roots", "One per line; with {proposal}, {beamline}, {date}, {visit} …", LINES),
        FieldWords("data.raw", "Raw data", "The folder's name below a visit"),
        FieldWords("data.processed", "Results", "The folder's name below a visit; empty: in your home folder"),
        FieldWords("data.confidential", "Confidential", "Nothing of the data is kept on this computer", YES_NO),
    )),
    ("Software", (
        FieldWords("software.setup", "Set-up", "Lines at the top of every job script", LINES),
        FieldWords("software.containers", "Containers", "Empty: looked for after login", CHOICE,
                   ("", "apptainer", "ch-run", "podman", "none")),
        FieldWords("software.binds", "Folders for containers", "Shown to containers besides those of a job", LINES),
        FieldWords("software.recipes", "Recipes", "Folders at the site, one per line", LINES),
        FieldWords("software.environments", "Environments", "name = command, one per line", PAIRS),
        FieldWords("software.images", "Container images", "name = path at the site, one per line", PAIRS),
    )),
)


class FieldEdit(QWidget):
    """One value with its label's words, help, source and fault.

    Signals:
        changed(key): by the person.
    """

    changed = Signal(str)

    def __init__(self, words: FieldWords, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.words = words
        self._edit = self._make()
        self._edit.setAccessibleName(words.label)
        self._edit.setAccessibleDescription(words.help)
        self._notes = PlainLabel(words.help, "muted", wrap=True)
        self._notes.setVisible(bool(words.help))
        self._source = PlainLabel("", "muted", wrap=True)
        self._source.hide()
        self._fault = PlainLabel("", wrap=True, selectable=True)
        set_state(self._fault, "error")
        self._fault.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self._edit)
        for note in (self._fault, self._notes, self._source):
            column.addWidget(note)

    @property
    def edit(self) -> QWidget:
        return self._edit

    @property
    def fault(self) -> str:
        return self._fault.text()

    @property
    def source(self) -> str:
        return self._source.text()

    def show_fault(self, sentence: str) -> None:
        self._fault.setText(sentence)
        self._fault.setVisible(bool(sentence))
        set_state(self._edit, "error" if sentence else "")

    def show_source(self, text: str) -> None:
        self._source.setText(text)
        self._source.setVisible(bool(text))

    def show_default(self, text: str) -> None:
        """What holds while nothing is said."""
        if isinstance(self._edit, (QLineEdit, QPlainTextEdit)):
            self._edit.setPlaceholderText(text)

    # -- the value --------------------------------------------------------------------------------------------------

    def value(self) -> Any:
        """As a TOML value; ``None``: nothing is said."""
        edit, kind = self._edit, self.words.kind
        if isinstance(edit, QCheckBox):
            return edit.isChecked()
        if isinstance(edit, QComboBox):
            return str(edit.currentData()) or None
        if isinstance(edit, HopsEdit):
            return edit.value() or None
        if isinstance(edit, QPlainTextEdit):
            text = edit.toPlainText()
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if kind == PAIRS:
                pairs = [line.partition("=") for line in lines]
                return {name.strip(): command.strip() for name, _, command in pairs} or None
            return text.strip() or None if kind == LONG else lines or None
        assert isinstance(edit, QLineEdit)
        text = edit.text().strip()
        if kind == WORDS:
            return [word for word in text.replace(",", " ").split() if word] or None
        if kind == NUMBER:
            return _number(text)
        return text or None

    def set_value(self, value: Any) -> None:
        """Show a TOML value, without telling of a change."""
        edit, kind = self._edit, self.words.kind
        before = edit.blockSignals(True)
        if isinstance(edit, QCheckBox):
            edit.setChecked(value is True)
        elif isinstance(edit, QComboBox):
            if edit.findData(str(value or "")) < 0:
                edit.addItem(str(value), str(value))          # what is no choice is shown, and told as a fault
            edit.setCurrentIndex(edit.findData(str(value or "")))
        elif isinstance(edit, HopsEdit):
            edit.set_value(value if isinstance(value, list) else [])
        elif isinstance(edit, QPlainTextEdit):
            if kind == PAIRS:
                edit.setPlainText("\n".join(f"{name} = {text}" for name, text in (value or {}).items()))
            else:
                edit.setPlainText(value if isinstance(value, str) else "\n".join(map(str, value or ())))
        elif isinstance(edit, QLineEdit):
            edit.setText(", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value))
        edit.blockSignals(before)

    def _make(self) -> QWidget:
        words = self.words
        if words.kind == YES_NO:
            tick = QCheckBox(words.label)
            tick.toggled.connect(self._tell)
            return tick
        if words.kind == CHOICE:
            box = QComboBox()
            for choice in words.choices:
                box.addItem(choice or "–", choice)
            box.currentIndexChanged.connect(self._tell)
            return box
        if words.kind == HOPS:
            hops = HopsEdit()
            hops.changed.connect(self._tell)
            return hops
        if words.kind in (LINES, PAIRS, LONG):
            text = QPlainTextEdit()
            text.setTabChangesFocus(True)
            text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
            text.setFixedHeight(_LINE * 3 + 16)
            text.textChanged.connect(self._tell)
            return text
        line = QLineEdit()
        line.textEdited.connect(self._tell)
        return line

    def _tell(self, *_changed: object) -> None:
        self.changed.emit(self.words.key)


class HopsEdit(QWidget):
    """Gateways as rows; what a row does not show of one is kept.

    Signals:
        changed().
    """

    changed = Signal()
    _COLUMNS = ("Host", "Port", "User name", "Ways to log in", "Keep open")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hops: list[dict[str, Any]] = []
        self.table = QTableWidget(0, len(self._COLUMNS))
        self.table.setHorizontalHeaderLabels(self._COLUMNS)
        self.table.setAccessibleName("Gateways")
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(28)
        self.table.setShowGrid(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for number, width in ((1, 54), (2, 92), (3, 160), (4, 84)):
            header.resizeSection(number, width)
        self.table.itemChanged.connect(self._edited)
        self.add_button = QPushButton("Add a gateway")
        set_icon(self.add_button, "plus")
        self.add_button.clicked.connect(self._add)
        remove = QPushButton("Remove")
        remove.clicked.connect(self._remove)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button)
        buttons.addWidget(remove)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.table)
        column.addLayout(buttons)

    def value(self) -> list[dict[str, Any]]:
        """Tables as in the file."""
        return [dict(hop) for hop in self._hops]

    def set_value(self, hops: list[dict[str, Any]]) -> None:
        self._hops = [dict(hop) for hop in hops if isinstance(hop, dict)]
        self._fill()

    def _fill(self) -> None:
        before = self.table.blockSignals(True)
        self.table.setRowCount(len(self._hops))
        for row, hop in enumerate(self._hops):
            methods = hop.get("methods")
            texts = (hop.get("host", ""), hop.get("port", ""), hop.get("user", ""),
                     ", ".join(map(str, methods)) if isinstance(methods, list) else "",
                     "yes" if hop.get("hold_session") is True else "")
            for column, text in enumerate(texts):
                self.table.setItem(row, column, QTableWidgetItem(str(text)))
        self.table.setFixedHeight(34 + 28 * max(1, min(4, len(self._hops))))
        self.table.blockSignals(before)

    def _edited(self, item: QTableWidgetItem) -> None:
        hop, text = self._hops[item.row()], item.text().strip()
        key = ("host", "port", "user", "methods", "hold_session")[item.column()]
        value: Any = text
        if key == "port":
            value = _number(text)
        elif key == "methods":
            value = [word for word in text.replace(",", " ").split() if word]
        elif key == "hold_session":
            value = text.lower() in ("yes", "true", "1", "x")
        if value in ("", None, [], False):
            hop.pop(key, None)
        else:
            hop[key] = value
        self.changed.emit()

    def _add(self) -> None:
        self._hops.append({"host": ""})
        self._fill()
        self.table.setCurrentCell(len(self._hops) - 1, 0)
        self.changed.emit()

    def _remove(self) -> None:
        row = self.table.currentRow()
        if 0 <= row < len(self._hops):
            del self._hops[row]
            self._fill()
            self.changed.emit()


def _number(text: str) -> Any:
    """A number if it is one, else the text, for the parser to judge; ``None``: nothing."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text or None
