"""The seam to data files that are not HDF5: what the service asks of one, whatever its format.

An :class:`Openable` stands for one file or for a numbered series of files. Its arrays behave like numpy's under basic
indexing but read only what is asked for. Text files with columns need none of this: they are opened as HDF5 in memory
(:mod:`app.agent.tables`). Runs in a worker process of the agent; asked by one thread at a time, unless an array says
that several may.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Dict, List, Optional, Sequence, Tuple

from app.agent.opening import Generation, generation_of, shown
from app.protocol.errors import WireError

KEPT = 4


class Array:
    """One array of a file that is not HDF5.

    Attributes:
        shape: its lengths.
        dtype: the stored type.
        is_concurrent: several threads may ask at once.
    """

    shape: Tuple[int, ...] = ()
    dtype: Any = None
    is_concurrent = False

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> Any:
        """A new array of what a tuple of integers and slices selects; reads what it needs and no more."""
        raise NotImplementedError

    def missing(self, leading: Sequence[Any]) -> List[str]:
        """Sentences about frames of a selection that was read and could not be had; their pixels are invalid.

        Args:
            leading: integers and ascending slices, for the axes before the frame's two.
        """
        return []

    def stamp(self, leading: Sequence[Any]) -> Any:
        """What else than the file's generation the selected values depend on; differs when they may."""
        return None

    def close(self) -> None:
        """Let go of what is open."""


class Openable:
    """A data file that is not HDF5, or a series of them.

    Attributes:
        path: as it was asked for.
        generation: (size, time) it was opened in.
    """

    path = ""
    generation: Generation = (0, 0)

    def nodes(self, data_path: str, depth: Optional[int], attributes: bool, expand: bool) -> List[Dict[str, Any]]:
        """What ``nodes`` answers."""
        raise NotImplementedError

    def signal(self, data_path: Optional[str]) -> str:
        """The path of the array that ``data_path`` means (``None``: the one to be shown).

        Raises:
            WireError: there is none.
        """
        raise NotImplementedError

    def array(self, signal: str) -> Array:
        """The array at a path that :meth:`signal` gave."""
        raise NotImplementedError

    def description(self, data_path: Optional[str]) -> Dict[str, Any]:
        """What ``plot`` answers, ``limits`` left ``None``.

        Raises:
            WireError: there is no such node.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open."""


class Openables:
    """The few most recently used, each for the generation it was opened in."""

    def __init__(self) -> None:
        self._held: "OrderedDict[str, Tuple[Generation, Optional[Openable]]]" = OrderedDict()

    def get(self, path: str) -> Optional[Openable]:
        """What is at a path; ``None``: it is HDF5, or is opened as HDF5, or nothing that can be opened.

        Raises:
            WireError: it is not there, or of a kind that this facility cannot read, or damaged.
        """
        generation = generation_of(path)
        held = self._held.pop(path, None)
        if held is None or held[0] != generation:
            if held is not None and held[1] is not None:
                held[1].close()
            held = generation, _opened(path, generation)
        self._held[path] = held
        while len(self._held) > KEPT:
            _, (_, oldest) = self._held.popitem(last=False)
            if oldest is not None:
                oldest.close()
        return held[1]

    def close(self) -> None:
        """Close all."""
        while self._held:
            _, (_, held) = self._held.popitem()
            if held is not None:
                held.close()


def no_such_node(path: str, data_path: str) -> WireError:
    """The error for a path that is not in a file."""
    return WireError("not_found", "There is no “%s” in “%s”." % (shown(data_path), shown(os.path.basename(path))),
                     remedy="“tree” lists what is in the file.")


def _opened(path: str, generation: Generation) -> Optional[Openable]:
    from app.agent.images import open_image  # these import this module
    from app.agent.series import open_series
    found: Optional[Openable] = open_series(path, generation)
    return open_image(path, generation) if found is None else found
