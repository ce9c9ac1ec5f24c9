"""The files of a numbered series, looked up in their folder. Standard library only; the front and the workers.

A folder is listed again when its time changes, or when that is too recent to tell. Any thread.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from typing import List, NamedTuple, Optional, Tuple

from app.protocol.series import members_of, split_pattern

_KEPT = 8
_SETTLED_NS = 2 * 10 ** 9


class Members(NamedTuple):
    """The files of a series: numbers ascending, and the names that have them."""

    numbers: Tuple[int, ...]
    names: Tuple[str, ...]


_lock = threading.Lock()
_known = OrderedDict()  # type: OrderedDict[str, Tuple[int, bool, Members]]


def is_series(path: str) -> bool:
    """Whether a path has the form of a series' name (``scan_####.cbf``). A file of that very name comes first."""
    return split_pattern(os.path.basename(path)) is not None


def members(path: str) -> Members:
    """The files that belong to the series now.

    Raises:
        OSError: its folder cannot be listed.
    """
    folder, pattern = os.path.split(path)
    now = os.stat(folder).st_mtime_ns
    with _lock:
        held = _known.get(path)
        if held is not None and held[0] == now and held[1]:
            _known.move_to_end(path)
            return held[2]
    settled = abs(time.time_ns() - now) > _SETTLED_NS
    with os.scandir(folder) as entries:
        found = members_of(pattern, [entry.name for entry in entries])
    made = Members(tuple(number for number, _ in found), tuple(name for _, name in found))
    with _lock:
        _known[path] = now, settled, made
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return made


def generation(path: str) -> Optional[List[int]]:
    """What stands for size and time of a series: they differ when files came, went, or the last was written on.

    The number of files times the last one's size, and the newer of the folder's and the last file's times; ``None``:
    there is no such series.
    """
    if not is_series(path):
        return None
    try:
        found = members(path)
        if not found.names:
            return None
        folder = os.stat(os.path.dirname(path))
        last = os.stat(os.path.join(os.path.dirname(path), found.names[-1]))
    except OSError:
        return None
    return [len(found.names) * last.st_size, max(folder.st_mtime_ns, last.st_mtime_ns)]
