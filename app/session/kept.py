"""What outlasts the program, as it changes: the settings of the moment, told whenever they are to be written.

GUI thread; writes nothing itself.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal

from app.model.data import DataReference
from app.model.plot import PlotDescription
from app.session.memory import choices_key, remembered
from app.session.places import Places
from app.session.streaming import Streaming
from app.settings import Settings


class Kept(QObject):
    """Holds the :class:`Settings`; follows places and streaming.

    Signals:
        changed(Settings): to be written.
    """

    changed = Signal(object)

    def __init__(self, settings: Settings, places: Places, streaming: Streaming, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self._places = places
        self._streaming = streaming
        places.changed.connect(self._keep_places)
        streaming.changed.connect(self._keep_streaming)

    @property
    def settings(self) -> Settings:
        return self._settings

    def change(self, **values: Any) -> None:
        """Other values for these fields, to be written."""
        self.replace(self._settings.with_(**values))

    def replace(self, settings: Settings) -> None:
        """Other settings, to be written."""
        self._settings = settings
        self.changed.emit(settings)

    def choices(self, reference: DataReference, description: PlotDescription) -> dict[str, Any] | None:
        """How such data was looked at the last time, as JSON; ``None``: never."""
        return self._settings.choices.get(choices_key(reference, description))

    def keep_choices(self, reference: DataReference, description: PlotDescription, choices: dict[str, Any]) -> None:
        """How such data is looked at from now on, as JSON."""
        key = choices_key(reference, description)
        self.change(choices=remembered(self._settings.choices, key, choices))

    def _keep_places(self) -> None:
        self.change(recent=self._places.recent)

    def _keep_streaming(self) -> None:
        streaming = self._streaming
        self.change(quality=streaming.quality.value, prefetch_mb_per_hour=streaming.prefetch_mb_per_hour,
                    cache_mb=streaming.cache_mb)
