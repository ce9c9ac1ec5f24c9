"""Text files with columns of numbers, opened as an HDF5 file in memory: ``/columns`` is an NXdata group.

The first column is the axis, the second the signal; a third that is called so holds the errors. A text with several
tables has ``/columns``, ``/columns_2`` and so on, the largest is shown first. Bounded by the size of the text. Runs in
a worker process of the agent, in one thread. SPEC files: :mod:`app.agent.spec`.
"""

from __future__ import annotations

import itertools
import os
import re
from typing import Any, Iterator, Optional, Tuple

import h5py
import numpy as np

from app.agent.columns import Column, Parsed, Table, parse
from app.agent.links import IN_MEMORY
from app.protocol.errors import WireError

KINDS = ("an XDI text file (X-ray absorption)", "an MCA text spectrum", "a text file")
SPEC = "a SPEC text file"
MOST_BYTES = 64 * 2 ** 20
_ERRORS = re.compile(r"^(err(or)?s?|sig(ma)?|std|s(tan)?d(ard)?[_ ]?dev(iation)?|unc(ertainty)?|i?dev|d_?i|di\(q\)|"
                     r"sigma[_ ]?i|i[_ ]?err(or)?|.*_errors?)$", re.I)
_numbers = itertools.count(1)


class MemoryFile(h5py.File):  # type: ignore[misc]
    """An HDF5 file in memory that stands for a text file.

    Attributes:
        notes: sentences about what of the text is not in what is shown first.
    """

    notes: Tuple[str, ...] = ()

    def __init__(self, path: str) -> None:
        super().__init__("%s%s%d" % (path, IN_MEMORY, next(_numbers)), "w", driver="core", backing_store=False,
                         libver="latest")
        self.attrs["NX_class"] = "NXroot"

    def prepare(self, data_path: str, depth: Optional[int]) -> None:
        """See that what is ``depth`` levels below a path (``None``: all) is there; a text file's always is."""


def open_text(path: str, kind: str, name: str) -> Optional[Any]:
    """A text file as HDF5; ``None``: it holds no columns of numbers, or is of another kind.

    Args:
        name: the file in a sentence.

    Raises:
        WireError: it cannot be read here.
        OSError: it cannot be opened.
    """
    if kind == SPEC:
        from app.agent.spec import open_spec  # which imports this module
        return open_spec(path, name)
    if kind not in KINDS:
        return None
    if os.path.getsize(path) > MOST_BYTES:
        raise WireError("unreadable", "“%s” is a text file of more than 64 MB, too large to be read as columns." % name,
                        remedy="Convert it to HDF5, or open a part of it.")
    with open(path, "rb") as stored:
        data = stored.read(MOST_BYTES + 1)
    if b"\x00" in data:
        return None
    parsed = parse(_decoded(data), path.lower().endswith(".chi"))
    if not parsed.tables:
        return None
    file = MemoryFile(path)
    try:
        _fill(file, parsed, os.path.basename(path))
    except BaseException:
        file.close()
        raise
    return file


def _fill(file: Any, parsed: Parsed, title: str) -> None:
    largest = max(parsed.tables, key=lambda table: table.rows * len(table.columns))
    for number, table in enumerate(parsed.tables):
        group = file.create_group("columns" if number == 0 else "columns_%d" % (number + 1))
        _fill_group(group, table)
        group.attrs["title"] = _text(title)
        group.attrs["first_line"] = table.first_line
        if table is largest:
            file.attrs["default"] = group.name.strip("/")
    if parsed.header.strip():
        file["header"] = _text(parsed.header)
    if parsed.left_out:
        file.attrs["lines_left_out"] = np.array(parsed.left_out, np.int64)
    file.notes = tuple(_notes(parsed))


def _notes(parsed: Parsed) -> Iterator[str]:
    if len(parsed.tables) > 1:
        yield "The text holds %d tables; the largest is shown." % len(parsed.tables)
    if parsed.left_out:
        count, first = len(parsed.left_out), parsed.left_out[0]
        yield ("Line %d holds numbers that belong to no table." % first if count == 1 else
               "%d lines hold numbers that belong to no table, the first is line %d." % (count, first))


def _fill_group(group: Any, table: Table) -> None:
    group.attrs["NX_class"] = "NXdata"
    names = [_write(group, column) for column in table.columns]
    signal = names[min(1, len(names) - 1)]
    group.attrs["signal"] = signal
    if len(names) > 1:
        group.attrs["axes"] = [names[0]]
    if len(names) > 2 and _ERRORS.match(table.columns[2].name):
        group[signal].attrs["uncertainties"] = names[2]


def _write(group: Any, column: Column) -> str:
    name = node_name(column.name)
    while name in group:
        name += "_"
    dataset = group.create_dataset(name, data=column.values)
    if name != column.name:
        dataset.attrs["long_name"] = _text(column.name)
    if column.units:
        dataset.attrs["units"] = _text(column.units)
    return name


def node_name(text: str) -> str:
    """A name as it may be a node's: as silx does, a percent sign for each slash."""
    name = _text(text).replace("/", "%")
    return name if name.strip(".") else "_" + name


def _text(text: str) -> str:
    return text.replace("\x00", "�").encode("utf-8", "backslashreplace").decode("utf-8")


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")
