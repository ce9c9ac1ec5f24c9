"""Image files read with fabio, one frame at a time, and arrays made of such frames.

fabio fills up files that end too early and only logs it: what it complains of is an error here. A frame that cannot be
had (its file is missing, damaged or of another shape) reads as invalid pixels, with a sentence of its own. Runs in a
worker process of the agent; frames of several files may be read by several threads at once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from app.agent.attributes import MAX_BYTES
from app.agent.cbf import has_pixels
from app.agent.mar345 import is_whole
from app.agent.openable import Array
from app.agent.opening import shown
from app.agent.reading import MAX_BYTES as MOST_BYTES
from app.agent.validity import sentinel_of
from app.protocol.errors import WireError

CANNOT_UNDO = "is packed in a way that fabio cannot undo"
CBF = "a CBF image"
MAR345 = "a MAR345 image"
KEPT_BYTES = 40 * 2 ** 20
_UNPACKED_BYTES = 64 * 2 ** 20
_MOST_STAMPS = 64
_MOST_SENTENCES = 20


class Unreadable(Exception):
    """A picture that cannot be had; the text is the end of a sentence that begins with its name."""


class Picture(NamedTuple):
    """One frame: (height, width), or (3 or 4, height, width) of a photograph's colours; and what its header says."""

    values: Any
    header: Dict[str, str]


class Frames:
    """Where the frames of an array come from.

    ``is_stamped``: from more than the one file that was opened; ``is_concurrent``: several threads may read at once.
    """

    is_stamped = False
    is_concurrent = False

    def frame(self, number: int) -> Any:
        """The values of one frame.

        Raises:
            Unreadable: it cannot be had.
        """
        raise NotImplementedError

    def stamp(self, number: int) -> Any:
        """What differs when the frame may."""
        return None

    def name(self, number: int) -> str:
        """What the frame is called in a sentence."""
        return "Frame %d" % number

    def close(self) -> None:
        """Let go of what is open."""


class InMemory(Array):
    """An array that is in memory as a whole."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self.shape = tuple(int(length) for length in values.shape)
        self.dtype = values.dtype

    def __getitem__(self, index: Any) -> Any:
        return np.array(self._values[index])


class Pictures(Array):
    """(frames, height, width), of which one frame at a time is read; some are kept while parts of them are asked for.

    Args:
        first: a frame, for shape and type of all.
    """

    def __init__(self, count: int, first: Any, frames: Frames) -> None:
        self.shape = (count,) + tuple(int(length) for length in first.shape)
        self.dtype = first.dtype
        self.is_concurrent = frames.is_concurrent
        self._frames = frames
        self._lock = threading.Lock()
        self._kept = OrderedDict()  # type: OrderedDict[int, Tuple[Any, Any]]
        self._kept_bytes = 0
        self._told = {}  # type: Dict[int, str]

    def __getitem__(self, index: Any) -> Any:
        leading, rest = index[0], tuple(index[1:])
        in_parts = any(range(length)[part] != range(length) for length, part in zip(self.shape[1:], rest)
                       if isinstance(part, slice)) or not all(isinstance(part, slice) for part in rest)
        if not isinstance(leading, slice):
            values = self._frame(int(leading), in_parts)[rest]
            return np.array(values) if in_parts else np.ascontiguousarray(values)
        numbers = range(self.shape[0])[leading]
        shape = np.empty((0,) + self.shape[1:], self.dtype)[(slice(None),) + rest].shape[1:]
        _refuse_too_large((len(numbers),) + shape, self.dtype)
        values = np.empty((len(numbers),) + shape, self.dtype)
        for position, number in enumerate(numbers):
            values[position] = self._frame(number, in_parts)[rest]
        return values

    def missing(self, leading: Sequence[Any]) -> List[str]:
        numbers = self._numbers(leading)
        with self._lock:
            found = [self._told[number] for number in sorted(self._told) if number in numbers]
        if len(found) > _MOST_SENTENCES:
            return found[:_MOST_SENTENCES] + ["%d more frames cannot be had." % (len(found) - _MOST_SENTENCES)]
        return found

    def stamp(self, leading: Sequence[Any]) -> Any:
        if not self._frames.is_stamped:
            return None
        numbers = self._numbers(leading)
        return tuple(self._frames.stamp(n) for n in numbers) if len(numbers) <= _MOST_STAMPS else object()

    def close(self) -> None:
        self._frames.close()
        with self._lock:
            self._kept.clear()
            self._kept_bytes = 0

    def _numbers(self, leading: Sequence[Any]) -> range:
        one = leading[0]
        return range(self.shape[0])[one] if isinstance(one, slice) else range(int(one), int(one) + 1)

    def _frame(self, number: int, in_parts: bool) -> Any:
        """The values of a frame, not to be changed; why they are none is in ``_told``."""
        stamp = self._frames.stamp(number)
        with self._lock:
            held = self._kept.get(number)
        if held is not None and held[0] == stamp:
            return held[1]
        values, sentence = self._read(number)
        if self._frames.stamp(number) != stamp:
            values, sentence = self._none(), "%s is being written." % self._frames.name(number)
        with self._lock:
            self._told.pop(number, None)
            if sentence:
                self._told[number] = sentence
            elif in_parts:
                self._keep(number, stamp, values)
        return values

    def _read(self, number: int) -> Tuple[Any, str]:
        try:
            values = self._frames.frame(number)
            if values.shape != self.shape[1:]:
                raise Unreadable("has another shape: %s instead of %s"
                                 % ("×".join(map(str, values.shape)), "×".join(map(str, self.shape[1:]))))
            if values.dtype != self.dtype:
                if not np.can_cast(values.dtype, self.dtype, "safe"):
                    raise Unreadable("has another type: %s instead of %s" % (values.dtype, self.dtype))
                values = values.astype(self.dtype)
        except Unreadable as error:
            return self._none(), "%s %s." % (self._frames.name(number), error)
        return values, ""

    def _none(self) -> Any:
        return np.full(self.shape[1:], sentinel_of(self.dtype), self.dtype)

    def _keep(self, number: int, stamp: Any, values: Any) -> None:
        """Keep a frame, of large ones the last only."""
        old = self._kept.pop(number, None)
        self._kept_bytes -= old[1].nbytes if old is not None else 0
        self._kept[number] = stamp, values
        self._kept_bytes += values.nbytes
        while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
            _, (_, gone) = self._kept.popitem(last=False)
            self._kept_bytes -= gone.nbytes


class FilesFrames(Frames):
    """A file for each frame; ``None``: there is none."""

    is_stamped = True
    is_concurrent = True

    def __init__(self, kind: str, paths: Sequence[Optional[str]], names: Sequence[str]) -> None:
        self._kind = kind
        self._paths = paths
        self._names = names

    def frame(self, number: int) -> Any:
        path = self._paths[number]
        if path is None:
            raise Unreadable("is missing")
        return one_picture(path, self._kind).values

    def stamp(self, number: int) -> Any:
        path = self._paths[number]
        return _stamp_of(path) if path is not None else None

    def name(self, number: int) -> str:
        return shown(self._names[number])


class FramesOfFile(Frames):
    """The frames of one file; it is opened anew now and then, since fabio keeps what it has unpacked."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._image = None  # type: Any
        self._unpacked = 0

    def frame(self, number: int) -> Any:
        with _reading() as complaints:
            if self._image is None or self._unpacked > _UNPACKED_BYTES:
                self.close()
                self._image = _fabio().open(self._path)
            one = self._image.get_frame(number)
            values = _values_of(one)
            self._unpacked += values.nbytes
            _refuse_incomplete(one, complaints)
        return values

    def close(self) -> None:
        image, self._image, self._unpacked = self._image, None, 0
        if image is not None:
            image.close()


def first_picture(path: str, kind: str) -> Tuple[Picture, int]:
    """The first picture of a file of a kind, and how many it holds.

    Raises:
        Unreadable: it cannot be read.
        ImportError: there is no fabio.
    """
    fabio = _fabio()
    checked = {CBF: has_pixels, MAR345: is_whole}.get(kind)
    if checked is not None:
        with _reading():
            if not checked(path):
                raise Unreadable("is damaged or incomplete")
    with _reading() as complaints, fabio.open(path) as image:
        count = int(getattr(image, "nframes", 1) or 1)
        one = image.get_frame(0) if count > 1 else image
        picture = Picture(_values_of(one), {str(key): _short(value) for key, value in one.header.items()})
        _refuse_incomplete(one, complaints)
    return picture, count


def one_picture(path: str, kind: str) -> Picture:
    """The picture of a file that holds one.

    Raises:
        Unreadable: it cannot be read, or holds several.
    """
    picture, count = first_picture(path, kind)
    if count != 1:
        raise Unreadable("holds %d pictures, not one" % count)
    return picture


def _fabio() -> Any:
    import fabio
    return fabio


@contextlib.contextmanager
def _reading() -> Iterator[List[str]]:
    """Run fabio; what it logs as an error is gathered, whatever it raises becomes :class:`Unreadable`."""
    complaints = _Complaints()
    log = logging.getLogger("fabio")
    log.propagate = False
    log.addHandler(complaints)
    try:
        yield complaints.texts
    except (Unreadable, MemoryError, ImportError):
        raise
    except FileNotFoundError:
        raise Unreadable("is missing") from None
    except PermissionError:
        raise Unreadable("may not be read by you") from None
    except NotImplementedError:
        raise Unreadable(CANNOT_UNDO) from None
    except Exception as error:
        raise Unreadable("is damaged or incomplete (%s)"
                         % (str(error).splitlines() or [type(error).__name__])[0][:200]) from None
    finally:
        log.removeHandler(complaints)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts = []  # type: List[str]
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.texts.append(record.getMessage())


def _values_of(image: Any) -> Any:
    values = image.data
    if values is None or values.ndim < 2:
        raise Unreadable("is damaged or incomplete")
    if values.ndim == 3 and values.shape[2] in (3, 4):
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values)


def _refuse_incomplete(image: Any, complaints: List[str]) -> None:
    if complaints or getattr(image, "incomplete_data", False) or getattr(image, "incomplete_file", False):
        raise Unreadable("is damaged or incomplete%s" % (" (%s)" % complaints[0][:200] if complaints else ""))


def _refuse_too_large(shape: Tuple[int, ...], dtype: Any) -> None:
    size = int(np.dtype(dtype).itemsize)
    for length in shape:
        size *= length
    if size > MOST_BYTES:
        raise WireError("selection", "The selection holds %.1f GiB, more than the 1 GiB one reply may hold."
                        % (size / 2 ** 30), remedy="Select less of it, for example one frame at a time.")


def _stamp_of(path: str) -> Optional[Tuple[int, int]]:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _short(value: Any) -> str:
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= MAX_BYTES else text[:MAX_BYTES]
