"""What a look around showed, each thing found or not found, and a tick at what the profile is to take. GUI thread."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QScrollArea, QVBoxLayout, QWidget

from app.model.findings import Findings
from app.model.site import SiteProfile
from app.model.text import visible
from app.views.labels import PlainLabel, empty_layout, set_state

_MOST = 12


class FindingsPage(QScrollArea):
    """Rows: tick, what, what was found."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self._ticks: dict[str, QCheckBox] = {}
        self._heading = PlainLabel("", "heading", wrap=True)
        self._note = PlainLabel("", "muted", wrap=True)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(14)
        self._grid.setVerticalSpacing(8)
        self._grid.setColumnStretch(2, 1)
        body = self._body = QWidget()
        body.setProperty("role", "plain")
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(10)
        column.addWidget(self._heading)
        column.addWidget(self._note)
        column.addLayout(self._grid)
        column.addStretch(1)
        self.setWidget(body)

    @property
    def chosen(self) -> frozenset[str]:
        """The keys of the profile that are to be taken."""
        return frozenset(key for key, tick in self._ticks.items() if tick.isChecked())

    @property
    def ticks(self) -> dict[str, QCheckBox]:
        return self._ticks

    @property
    def words(self) -> str:
        """All that is said."""
        return "\n".join(label.text() for label in self._body.findChildren(PlainLabel))

    def show_nothing(self, profile: SiteProfile) -> None:
        """Connected, but the site let nobody look around."""
        self._begin(profile, "It could not be looked around, so the rest stays as it is. It can be filled in later.")

    def show_findings(self, found: Findings, profile: SiteProfile) -> None:
        """What was found, with ticks where the profile could take it."""
        self._begin(profile, "What is ticked goes into the profile, as found today." if found.values(profile) else
                    "The profile says all of it already." if found.complete else "Not all of it could be asked.")
        offered = found.values(profile)
        account = f"{found.user} on {found.host}" if found.user else ""
        self._row("", "Account", account, bool(account))
        self._row("batch.system" if "batch.system" in offered else "", "Batch system", found.system,
                  bool(found.system))
        if found.system:
            self._row("batch.partitions" if "batch.partitions" in offered else "", "Partitions",
                      _some(found.partitions), bool(found.partitions), chosen=False)
        fit = next((python for python in found.pythons if python.fits), None)
        tried = "; ".join(f"{python.command}: " + (f"{python.version} without {' and '.join(python.missing)}"
                                                   if python.missing else python.version or "not there")
                          for python in found.pythons)
        self._row("agent.python" if "agent.python" in offered else "", "Python with numpy and h5py",
                  f"{fit.command} ({fit.version})" if fit is not None else tried, fit is not None)
        self._row("", "Environment modules", "can be loaded" if found.modules else "", found.modules)
        self._row("software.containers" if "software.containers" in offered else "", "Containers",
                  ", ".join(found.containers), bool(found.containers))
        self._row("", "Home folder", found.home, bool(found.home))
        for folder in found.folders:
            self._row("", "Data", folder.path, folder.there)

    def _begin(self, profile: SiteProfile, note: str) -> None:
        self._ticks.clear()
        empty_layout(self._grid)
        self._heading.setText(f"{visible(profile.label)} is connected")
        self._note.setText(note)

    def _row(self, key: str, what: str, text: str, is_found: bool, chosen: bool = True) -> None:
        row = self._grid.rowCount()
        if key:
            tick = QCheckBox()
            tick.setChecked(chosen)
            tick.setAccessibleName(f"Take into the profile: {what}")
            self._ticks[key] = tick
            self._grid.addWidget(tick, row, 0)
        state = PlainLabel("found" if is_found else "not found")
        set_state(state, "ok" if is_found else "idle")
        label = PlainLabel(what)
        self._grid.addWidget(label, row, 1)
        self._grid.addWidget(PlainLabel(visible(text) or "–", "" if is_found else "muted", wrap=True), row, 2)
        self._grid.addWidget(state, row, 3)


def _some(names: tuple[str, ...]) -> str:
    rest = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {rest} more" if rest > 0 else "")
