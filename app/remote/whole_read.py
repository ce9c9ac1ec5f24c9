"""Reads a selection of any size into a ``.npy`` file: large ones in pieces along their slowest axis.

Runs on the caller's thread (the command line, a transfer); memory stays bounded by the piece, two are in flight. The
file appears under its name only when it is complete.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from app.errors import DataError, SelectionError, StorageFullError, UnreadableError
from app.model.data import Block, DataReference, Exactness, ReadRequest, Reduction, Selection, Statistics
from app.model.plot import PlotDescription
from app.remote.seams import BlockSource

PIECE_BYTES = 64 * 2**20

Wait = Callable[[Future[Any]], Any]


@dataclass(frozen=True)
class WholeRead:
    """What was read and written. ``shape`` and ``dtype`` are the file's; statistics are over the full selection.

    ``missing``: sentences about what could not be had; its values are what the file says stands for nothing.
    """

    signal: str
    selection: Selection
    shape: tuple[int, ...]
    dtype: str
    exactness: Exactness
    factor: tuple[int, int]
    reduction: Reduction
    statistics: Statistics
    bytes_received: int
    missing: tuple[str, ...] = ()


class WholeSource(BlockSource, Protocol):
    """Who tells what a dataset is, and reads it."""

    def plot(self, reference: DataReference) -> Future[PlotDescription]: ...


def read_whole(data: WholeSource, request: ReadRequest, out: Path, wait: Wait,
               progress: Callable[[float], None] = lambda done: None) -> WholeRead:
    """Read ``request`` and write it to ``out``.

    Args:
        wait: turns a Future into its result, as the caller's thread may wait.
        progress: told the share that is done, 0..1, between pieces.

    Raises:
        DataError: the selection does not fit, the data cannot be read, the file changed between two pieces, or ``out``
            cannot be written.
    """
    description = wait(data.plot(request.reference))
    pieces: list[ReadRequest] = [request]
    lead: tuple[int, ...] = ()
    if description.signal is not None and description.dtype:
        pieces, lead = split(request, description.shape, _itemsize(description.dtype))
    with _written(out) as file:
        return _read_pieces(data, request, pieces, lead, file, wait, progress)


def write_array(values: np.ndarray, out: Path) -> None:
    """Write an array that is here already to ``out``, as :func:`read_whole` does.

    Raises:
        DataError: ``out`` cannot be written.
    """
    with _written(out) as file:
        _write_header(file, values.dtype, values.shape)
        file.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)


def split(request: ReadRequest, shape: tuple[int, ...], itemsize: int) -> tuple[list[ReadRequest], tuple[int, ...]]:
    """Cut a request along its slowest axes so that no piece is much larger than ``PIECE_BYTES`` before pooling.

    Returns:
        The pieces in C order, and the lengths of the result's axes along which they were cut (none: one piece).
    """
    axes = resolve(request.selection, shape)
    kept = [i for i, axis in enumerate(axes) if isinstance(axis, range)]
    lengths = [len(_range(axes[i])) for i in kept]
    candidates = max(0, len(kept) - 2) if request.fit else len(kept)
    cuts, inner = 0, math.prod(lengths) * itemsize
    while inner > PIECE_BYTES and cuts < candidates:
        inner //= lengths[cuts]
        cuts += 1
    if not cuts:
        return [request], ()
    last = _range(axes[kept[cuts - 1]])
    step = max(1, PIECE_BYTES // max(1, inner))
    pieces = []
    for outer in itertools.product(*(_range(axes[i]) for i in kept[:cuts - 1])):
        for start in range(0, len(last), step):
            items = [_as_slice(a) if isinstance(a, range) else a for a in axes]
            for number, index in zip(kept, outer, strict=False):
                items[number] = slice(index, index + 1, 1)
            items[kept[cuts - 1]] = _as_slice(last[start:start + step])
            pieces.append(replace(request, selection=Selection(tuple(items))))
    return pieces, tuple(lengths[:cuts])


def resolve(selection: Selection, shape: tuple[int, ...]) -> list[int | range]:
    """Tie a selection to a shape: an integer or a range per axis.

    Raises:
        SelectionError: too many indices, or one outside the shape.
    """
    items = list(selection.items)
    if Ellipsis not in items:
        items.append(Ellipsis)
    at = items.index(Ellipsis)
    missing = len(shape) - (len(items) - 1)
    if missing < 0:
        raise SelectionError(f"The selection {selection} has {len(items) - 1} indices, but the data have "
                             f"{len(shape)} axes.",
                             remedy=f"The shape is {'×'.join(map(str, shape)) or 'scalar'}.")
    items[at:at + 1] = [slice(None)] * missing
    axes: list[int | range] = []
    for number, (item, length) in enumerate(zip(items, shape, strict=True)):
        if isinstance(item, slice):
            axes.append(range(length)[item])
            continue
        if not -length <= item < length:
            raise SelectionError(f"Index {item} is outside axis {number}, which has {length} elements.",
                                 remedy=f"Use an index from {-length} to {length - 1}.")
        axes.append(item % length)
    return axes


def merge(first: Statistics, second: Statistics) -> Statistics:
    """Statistics of two pieces together; what cannot be joined exactly is left out."""
    return Statistics(
        minimum=_either(min, first.minimum, second.minimum), maximum=_either(max, first.maximum, second.maximum),
        total=_either(lambda a, b: a + b, first.total, second.total), non_finite=first.non_finite + second.non_finite,
        masked=first.masked + second.masked, count=first.count + second.count)


def _read_pieces(data: BlockSource, request: ReadRequest, pieces: list[ReadRequest], lead: tuple[int, ...],
                 out: BinaryIO, wait: Wait, progress: Callable[[float], None]) -> WholeRead:
    pending = [data.read(piece) for piece in pieces[:2]]
    total: Statistics | None = None
    received = 0
    first: Block | None = None
    missing: dict[str, None] = {}
    shape: tuple[int, ...] = ()
    for number in range(len(pieces)):
        block: Block = wait(pending.pop(0))
        if number + 2 < len(pieces):
            pending.append(data.read(pieces[number + 2]))
        if first is None:
            first = replace(block, values=block.values[..., :0] if block.values.ndim else block.values)
            shape = lead + block.values.shape[len(lead):]
            _write_header(out, block.values.dtype, shape)
        elif block.generation != first.generation:
            raise DataError("The file was changed while it was read, so the parts would not belong together.",
                            remedy="Read it again when nobody writes to it any more, or select less of it.")
        missing.update(dict.fromkeys(block.missing))
        received += block.bytes_received
        total = block.statistics if total is None else merge(total, block.statistics)
        out.write(np.ascontiguousarray(block.values).reshape(-1).view(np.uint8).data)
        if len(pieces) > 1:
            progress((number + 1) / len(pieces))
    assert first is not None
    assert total is not None
    return WholeRead(first.signal, request.selection, tuple(shape), str(first.values.dtype), first.exactness,
                     first.factor, request.reduction, total, received, tuple(missing))


def _write_header(out: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    if dtype.hasobject:
        raise UnreadableError("These values have no fixed size, so they cannot be written as a .npy file.",
                              remedy="Look at them with: beamside tree TARGET")
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    try:
        np.lib.format.write_array_header_1_0(out, header)
    except UnicodeError:
        raise UnreadableError("The names of these fields do not fit into a .npy file.",
                              remedy="Read the fields' own datasets.") from None
    except ValueError:   # longer than 64 KiB
        np.lib.format.write_array_header_2_0(out, header)


@contextmanager
def _written(out: Path) -> Iterator[BinaryIO]:
    """A file that gets the name ``out`` when all is written; a device or a pipe is written as it is."""
    place = Path(os.path.realpath(out))   # behind a link the file is replaced, not the link
    temporary = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        if place.exists() and not place.is_file():
            temporary = place
        with temporary.open("wb") as file:
            yield file
        if temporary != place:
            os.replace(temporary, place)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageFullError(f"There is no space left for {out}.",
                                   remedy="Free some space or choose another place with -o.") from None
        raise DataError(f"{out} cannot be written: {error.strerror or error}.",
                        remedy="Choose another place with -o.") from None
    finally:
        if temporary != place:
            with suppress(OSError):   # its folder is gone, or was never there
                temporary.unlink(missing_ok=True)


def _range(axis: int | range) -> range:
    assert isinstance(axis, range)
    return axis


def _as_slice(axis: range) -> slice:
    return slice(axis.start, None if axis.stop < 0 else axis.stop, axis.step)


def _itemsize(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        return 8


def _either(join: Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return join(a, b)
