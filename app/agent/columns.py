"""Columns of numbers in a text: which lines are rows, where the numbers change, what the columns are called.

A table is an unbroken run of two or more lines with the same number of numbers each; empty lines and comments do not
break it, other text does. So nothing is guessed away: a text can hold several tables. Pure; any thread.
"""

from __future__ import annotations

import csv
import re
from array import array
from typing import Any, List, NamedTuple, Optional, Tuple

import numpy as np

MOST_TABLES = 1000
_COMMENTS = ("#", "%", ";", "!", "//", "@", "'")
_LOOKED_BACK = 12
_XDI_COLUMN = re.compile(r"^[#\s]*Column\.([0-9]+)\s*:\s*(\S+)(?:\s+(.*))?$", re.I)
_UNITS = re.compile(r"^(.+?)(?:\s+\(([^()]+)\)|\s*\[([^\[\]]+)\]|\((1/[^()]+|[^()]*\^-?[0-9][^()]*|[^()]*-1)\))$")
_WIDE = re.compile(r"\s{2,}|\t")


class Column(NamedTuple):
    """One column of a table: float64, or integers where they are too large for it."""

    name: str
    units: str
    values: Any


class Table(NamedTuple):
    """Neighbouring rows.

    Attributes:
        columns: all of the same length.
        first_line: counted from 1.
    """

    columns: Tuple[Column, ...]
    first_line: int

    @property
    def rows(self) -> int:
        return len(self.columns[0].values)


class Parsed(NamedTuple):
    """What a text holds.

    Attributes:
        tables: in the order of the text.
        header: what stands before the first table.
        left_out: numbers of the lines after it that hold numbers but belong to no table.
    """

    tables: Tuple[Table, ...]
    header: str
    left_out: Tuple[int, ...]


class _Run:
    """Rows while they are gathered."""

    def __init__(self, first: int, count: int, delimiter: Optional[str]) -> None:
        self.first, self.count, self.delimiter = first, count, delimiter
        self.lines: List[int] = []
        self.numbers = array("d")


def parse(text: str, is_chi: bool = False) -> Parsed:
    """Find the tables of a text.

    Args:
        is_chi: names are as in Fit2D's files: line 2 of the first column, line 3 of the others.
    """
    lines = text.splitlines()
    runs: List[_Run] = []
    run: Optional[_Run] = None
    for number, line in enumerate(lines):
        if _is_skipped(line):
            continue
        found = row_of(line, run.count if run is not None else 0)
        if found is None:
            run = None
            continue
        values, delimiter = found
        if run is None or len(values) != run.count or delimiter != run.delimiter:
            run = _Run(number, len(values), delimiter)
            runs.append(run)
        run.lines.append(number)
        run.numbers.extend(values)
    cut = _cut_row(runs, lines, text)
    kept = [one for one in runs if len(one.lines) > 1]
    if not kept:
        return Parsed((), text, ())
    left_out = [line for one in runs if len(one.lines) == 1 and one.first > kept[0].first for line in one.lines]
    tables = [Table(_columns_of(one, lines, is_chi), one.first + 1) for one in kept[:MOST_TABLES]]
    for one in kept[MOST_TABLES:]:
        left_out.extend(one.lines)
    numbers = tuple(sorted(line + 1 for line in left_out + cut))
    return Parsed(tuple(tables), "\n".join(lines[:kept[0].first]), numbers)


def row_of(line: str, expected: int = 0) -> Optional[Tuple[List[float], Optional[str]]]:
    """The numbers of a line and what separates them (``None``: blanks); ``None``: it is no row of numbers.

    Args:
        expected: how many there are in the line before; tells whether a last separator has an empty field after it.
    """
    if "_" in line:      # Python would read 1_000 as a number
        return None
    text = line.strip()
    values = _numbers(text.split())
    if values:
        return values, None
    for delimiter in (",", ";", "\t"):
        if delimiter in text:
            parts = [part.strip() for part in text.split(delimiter)]
            if parts[-1] == "" and len(parts) != expected:
                parts.pop()
            values = _numbers([part or "nan" for part in parts])
            if values and any(parts):
                return values, delimiter
    return None


def _numbers(tokens: List[str]) -> List[float]:
    try:
        return [float(token) for token in tokens]
    except ValueError:
        pass
    try:                 # Fortran's 1.0D+03
        return [float(re.sub("(?<=[0-9.])[dD](?=[-+0-9])", "e", token)) for token in tokens]
    except ValueError:
        return []


def _is_skipped(line: str) -> bool:
    text = line.strip()
    return not text or text.startswith(_COMMENTS)


def _cut_row(runs: List[_Run], lines: List[str], text: str) -> List[int]:
    """Take away a last row that ends too early, as in a file that is being written: its last number may be cut."""
    if not runs or text.endswith(("\n", "\r")) or runs[-1].lines[-1] != len(lines) - 1:
        return []
    run = runs[-1]
    lengths = {len(lines[number]) for number in run.lines[:-1]}
    if len(run.lines) < 3 or len(lengths) != 1 or len(lines[-1]) >= lengths.pop():
        return []
    del run.numbers[-run.count:]
    return [run.lines.pop()]


def _columns_of(run: _Run, lines: List[str], is_chi: bool) -> Tuple[Column, ...]:
    values = np.array(run.numbers, np.float64).reshape(-1, run.count)
    found = []
    for number, (name, units) in enumerate(_names_of(run, lines, is_chi)):
        column = np.ascontiguousarray(values[:, number])
        finite = column[np.isfinite(column)]
        if finite.size and np.abs(finite).max() >= 2 ** 53:
            column = _exact_integers([lines[line] for line in run.lines], run.delimiter, number, column)
        found.append(Column(name, units, column))
    return tuple(found)


def _exact_integers(rows: List[str], delimiter: Optional[str], number: int, rounded: Any) -> Any:
    """Integers beyond what float64 can tell apart, as integers; others as they are."""
    try:
        numbers = [int(row.strip().split(delimiter)[number]) for row in rows]
        return np.array(numbers, np.uint64 if min(numbers) >= 0 and max(numbers) >= 2 ** 63 else np.int64)
    except (ValueError, OverflowError):
        return rounded


def _names_of(run: _Run, lines: List[str], is_chi: bool) -> List[Tuple[str, str]]:
    names: List[Tuple[str, str]] = []
    if is_chi and run.first >= 3:
        names = [_with_units(lines[1 if number == 0 else 2].strip()) for number in range(run.count)]
    names = names or _xdi_names(run, lines) or _header_names(run, lines)
    taken, unique = set(), []
    for number in range(run.count):
        name, units = names[number] if number < len(names) else ("", "")
        name = name or "column_%d" % (number + 1)
        base, more = name, 2
        while name in taken:
            name, more = "%s_%d" % (base, more), more + 1
        taken.add(name)
        unique.append((name, units))
    return unique


def _xdi_names(run: _Run, lines: List[str]) -> List[Tuple[str, str]]:
    found = {}
    for line in lines[:run.first]:
        match = _XDI_COLUMN.match(line)
        if match:
            found[int(match.group(1))] = match.group(2), (match.group(3) or "").strip()
    return [found.get(number + 1, ("", "")) for number in range(run.count)] if found else []


def _header_names(run: _Run, lines: List[str]) -> List[Tuple[str, str]]:
    """The nearest line above with a word for each column."""
    looked = 0
    for line in reversed(lines[max(0, run.first - 200):run.first]):
        text = line.strip()
        if not text.strip("#%;!/@'-=* \t"):
            continue
        for words in _words_of(text, run.delimiter):
            if run.count == 1 and (looked or len(text.lstrip("#%;!/@'").split()) != 1):
                return []
            if len(words) == run.count and not _numbers(words):
                return [_with_units(word) for word in words]
        looked += 1
        if looked == _LOOKED_BACK:
            break
    return []


def _words_of(text: str, delimiter: Optional[str]) -> List[List[str]]:
    bare = text.lstrip("#%;!/@'").strip()
    if text.startswith("#L "):
        bare = text[3:].strip()
    if delimiter is not None:
        try:
            return [[word.strip() for word in next(csv.reader([bare], delimiter=delimiter, skipinitialspace=True))]]
        except (csv.Error, StopIteration):
            return []
    return [[word for word in _WIDE.split(bare) if word], bare.split()]


def _with_units(word: str) -> Tuple[str, str]:
    match = _UNITS.match(word)
    if not match:
        return word, ""
    return match.group(1).strip(), (match.group(2) or match.group(3) or match.group(4)).strip()
