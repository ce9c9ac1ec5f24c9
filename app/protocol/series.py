"""Numbered image files that belong together: ``scan_0001.cbf … scan_3600.cbf`` is the series ``scan_####.cbf``.

Shared by the agent, which reads such a series as one stack, and the client, which shows it as one entry. Names only:
no I/O. Pure; any thread.
"""

from __future__ import annotations

from itertools import groupby, repeat
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from app.protocol.natural import by_shape

LEAST = 3
_IMAGES = frozenset(("cbf", "edf", "tif", "tiff", "mccd", "marccd", "img", "mar345", "mar1200", "mar1600", "mar1800",
                     "mar2000", "mar2300", "mar2400", "mar3000", "mar3450"))
_PACKED = frozenset(("gz", "bz2"))
_MOST_DIGITS = 18


class Series(NamedTuple):
    """Files of one folder that differ in one number.

    Attributes:
        name: with ``#`` for the digits, as many as the shortest number has.
        numbers: ascending.
        members: where each is among the names that were given.
    """

    name: str
    numbers: Tuple[int, ...]
    members: Tuple[int, ...]

    @property
    def gaps(self) -> int:
        """How many numbers between the first and the last have no file."""
        return self.numbers[-1] - self.numbers[0] + 1 - len(self.numbers)


def split_name(name: str) -> Optional[Tuple[str, str, str]]:
    """What stands before the number, its digits, and the suffix; ``None``: it is no numbered image."""
    end = name.rfind(".")
    last = name[end + 1:].lower()
    if last in _PACKED:
        whole, end = end, name.rfind(".", 0, end)
        last = name[end + 1:whole].lower()
    if last not in _IMAGES or end < 0:
        return None
    stem = name[:end].rstrip("0123456789")
    digits = name[len(stem):end]
    if not digits or len(digits) > _MOST_DIGITS or not digits.isascii():
        return None
    return stem, digits, name[end:]


def series_in(names: Sequence[str]) -> List[Series]:
    """The series among the names of a folder, each of three files or more, in the order of their first members.

    Where a number is there twice (``1`` and ``01``), files whose numbers have as many digits belong together.
    """
    groups: Dict[Tuple[str, str], List[Tuple[int, int, int]]] = {}
    for shape, places in by_shape(names).items():
        parts = split_name(names[places[0]])
        if any(b"0" in suffix for suffix in shape.split(b".")[1:][-2:]):      # .mar345 and .mar346 have one shape
            _take_each(names, places, groups)
        elif parts is not None:
            _take_alike(names, places, parts, groups)
    found: List[Series] = []
    for (stem, suffix), files in groups.items():
        for together in _apart(files):
            if len(together) >= LEAST:
                together.sort()         # of several shapes
                numbers, digits, positions = zip(*together)
                found.append(Series(stem + "#" * min(digits) + suffix, numbers, positions))
    found.sort(key=lambda series: min(series.members))
    return found


def split_pattern(name: str) -> Optional[Tuple[str, int, str]]:
    """The stem, the number of ``#`` and the suffix of a series' name; ``None``: it is no name of a series."""
    parts = split_name(name.replace("#", "0"))
    if parts is None or "#" not in name:
        return None
    end = len(name) - len(parts[2])
    stem = name[:end].rstrip("#")
    return (stem, end - len(stem), name[end:]) if len(stem) < end else None


def members_of(pattern: str, names: Sequence[str]) -> List[Tuple[int, str]]:
    """(number, name) of the files that belong to a series, by number; the number of ``#`` matters only where a
    number is there twice."""
    wanted = split_pattern(pattern)
    if wanted is None:
        return []
    stem, width, suffix = wanted
    found: Dict[int, str] = {}
    for name in names:
        if not (name.startswith(stem) and name.endswith(suffix)):
            continue
        digits = name[len(stem):len(name) - len(suffix)]
        if not digits or len(digits) > _MOST_DIGITS or not (digits.isascii() and digits.isdigit()):
            continue
        if int(digits) not in found or len(digits) == width:
            found[int(digits)] = name
    return sorted(found.items())


def frame_numbers(numbers: Sequence[int]) -> List[int]:
    """The numbers of the frames of a stack: all from the first to the last, unless most of them have no file."""
    if not numbers:
        return []
    span = numbers[-1] - numbers[0] + 1
    return list(range(numbers[0], numbers[-1] + 1)) if span <= 2 * len(numbers) else list(numbers)


def _take_each(names: Sequence[str], positions: List[int],
               groups: Dict[Tuple[str, str], List[Tuple[int, int, int]]]) -> None:
    for position in positions:
        parts = split_name(names[position])
        if parts is not None:
            stem, digits, suffix = parts
            groups.setdefault((stem, suffix), []).append((int(digits), len(digits), position))


def _take_alike(names: Sequence[str], positions: List[int], parts: Tuple[str, str, str],
                groups: Dict[Tuple[str, str], List[Tuple[int, int, int]]]) -> None:
    """Names of one shape, which have stem, number and suffix at the same places."""
    start, length, suffix = len(parts[0]), len(parts[1]), parts[2]
    stems = [names[position][:start] for position in positions]
    numbers = [int(names[position][start:start + length]) for position in positions]
    begin = 0
    for stem, alike in groupby(stems):           # in natural order they come one after the other
        end = begin + len(list(alike))
        groups.setdefault((stem, suffix), []).extend(zip(numbers[begin:end], repeat(length), positions[begin:end]))
        begin = end


def _apart(files: List[Tuple[int, int, int]]) -> List[List[Tuple[int, int, int]]]:
    if len({number for number, _, _ in files}) == len(files):
        return [files]
    by_width: Dict[int, List[Tuple[int, int, int]]] = {}
    for file in files:
        by_width.setdefault(file[1], []).append(file)
    return list(by_width.values())
