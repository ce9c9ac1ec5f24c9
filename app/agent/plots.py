"""What a file or node asks to be shown as, and the frame it begins with: the answers of ``plot`` without ``limits``.

Keeps a few answers, each for the generation of the file it is about. Called from one thread of a worker process.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from app.agent.description import Description, is_colour, leading_axes, nothing
from app.agent.holding import Holding, Selected, Source
from app.agent.opening import generation_of
from app.agent.sources import is_virtual
from app.agent.statistics import statistics_of

KEPT = 32
PICTURES = ("image", "stack", "volume")


class Shown(NamedTuple):
    """How something is shown.

    Attributes:
        answer: the fields of ``PlotDescription``; ``limits`` only if they are known already.
        source: what holds the signal; ``None``: there is nothing to show.
        items: the selection of what is shown first.
        key: under which the answer is kept once it has limits; ``None``: it may change without its file.
    """

    answer: Dict[str, Any]
    source: Optional[Source]
    items: List[Any]
    key: Any

    @property
    def is_picture(self) -> bool:
        """Whether what is shown first is a picture."""
        return self.source is not None and self.answer["view"] in PICTURES

    @property
    def is_colour(self) -> bool:
        """Whether it is a picture whose last axis is colour."""
        return is_colour(self.answer["interpretation"], tuple(self.answer["shape"]))


class Plots:
    """Describes files and nodes."""

    def __init__(self, holding: Holding) -> None:
        self._holding = holding
        self._kept = OrderedDict()  # type: OrderedDict[Any, Dict[str, Any]]

    def shown(self, file_path: str, data_path: Optional[str]) -> Shown:
        """How a file, or a node in it, asks to be shown.

        Raises:
            WireError: it cannot be opened.
            links.BrokenLink: the path leads nowhere.
        """
        other = self._holding.other(file_path)
        if other is not None:
            answer = other.description(data_path)
            if answer["signal"] is None:
                return Shown(answer, None, [], None)
            source = Source(answer["signal"], file_path, other.generation, None, other)
            return Shown(answer, source, frame_items(answer, tuple(answer["shape"])), None)
        key = (file_path, data_path, generation_of(file_path))
        found = self._holding.find(file_path, data_path)
        if found.signal is None:
            return Shown(nothing(found), None, [], None)
        place = found.signal
        if key in self._kept:
            answer = dict(self._kept[key])
        else:
            answer = Description(found, file_path).as_json()
            answer["missing"].extend(self._holding.notes(file_path))
        source = Source(answer["signal"], file_path, key[2], place, None)
        shape = tuple(int(n) for n in place.node.shape or ())
        steady = place.file_path == file_path and not found.missing and not is_virtual(place.node)
        return Shown(answer, source if answer["view"] not in ("table", "none") else None,
                     frame_items(answer, shape), key if steady else None)

    def known(self, file_path: str, data_path: Optional[str]) -> Optional[Dict[str, Any]]:
        """A whole answer that is kept, without opening anything."""
        found = self._kept.get((file_path, data_path, generation_of(file_path)))
        return None if found is None else dict(found)

    def keep(self, shown: Shown) -> None:
        """Keep an answer that has its limits."""
        if shown.key is None:
            return
        self._kept[shown.key] = dict(shown.answer)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def close(self) -> None:
        """Forget everything."""
        self._kept.clear()


def limits_of(selected: Selected) -> Optional[List[float]]:
    """The limits of what is shown first; of complex numbers those of their magnitudes."""
    if selected.values.dtype.kind == "c":
        found = statistics_of(np.abs(selected.values), selected.invalid)
    else:
        found = selected.counted()
    limits = found.get("limits")
    return None if limits is None else [float(limit) for limit in limits]


def frame_items(answer: Dict[str, Any], shape: Tuple[int, ...]) -> List[Any]:
    """The selection of the frame an answer begins with."""
    leading = leading_axes(answer["view"], answer["interpretation"], shape)
    if answer["frame"] is None or not leading:
        return ["..."]
    return [int(n) for n in np.unravel_index(answer["frame"], leading)] + ["..."]
