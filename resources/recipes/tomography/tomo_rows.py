"""Rows of frames, with as few bytes read as the files allow: hyperslabs of HDF5, places in images without compression.

What shares a chunk is read and decompressed once. How an image lies in its file is believed only after one whole image
read so was what fabio reads. Python 3.8, numpy.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct

import h5py
import numpy as np
from beamside_job import Fault

HELD_BYTES = 256 << 20
AT_ONCE = 64 << 10      # bytes that a file system reads in the time of one
HEADER = 1 << 20        # an EDF header is never longer
EDF_TYPES = {"unsignedbyte": "u1", "signedbyte": "i1", "unsignedshort": "u2", "signedshort": "i2", "unsignedinteger":
             "u4", "signedinteger": "i4", "unsignedlong": "u4", "signedlong": "i4", "unsigned64": "u8",
             "signed64": "i8", "floatvalue": "f4", "float": "f4", "doublevalue": "f8", "double": "f8"}
TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, OFFSETS, SAMPLES, STRIP_ROWS, KIND = \
    256, 257, 258, 259, 262, 266, 273, 277, 278, 339
# What a file that is none, was cut off or was made to deceive comes to: fabio reads it, or says what is wrong.
NOT_PLAIN = (OSError, ValueError, LookupError, OverflowError, struct.error)


def memory_bytes(cpus):
    """What the job may use, where its scheduler says so; 4 GB elsewhere."""
    for variable, count in (("SLURM_MEM_PER_NODE", 1), ("SLURM_MEM_PER_CPU", cpus)):
        if os.environ.get(variable, "").isdigit() and int(os.environ[variable]):
            return int(os.environ[variable]) * count * 10**6
    return 4000 * 10**6


def together(source, rows):
    """How many frames are best read at once: those that share the chunks of their data set, which would be read and
    decompressed again for each of them."""
    chunks = getattr(source.dataset, "chunks", None)
    if source.dataset is None or not chunks or len(source.leading) != 1:
        return 1
    return max(1, min(chunks[0], HELD_BYTES // (4 * rows * source.shape[1])))


def come_along(source):
    """How many rows of a frame are read at the cost of one: those of a chunk, or all of an image that is read whole."""
    height, width = source.shape
    few = max(1, AT_ONCE // (width * source.dtype.itemsize))
    if source.dataset is None:
        return min(few, height) if _is_plain(source) else height
    chunks = source.dataset.chunks or _chunks_behind(source.dataset)
    return min(chunks[-2] if chunks else few, height)


def _chunks_behind(dataset):
    """Those of the data set that the first part of a virtual one is; ``None``: it has none."""
    if not getattr(dataset, "is_virtual", False):
        return None
    first = dataset.virtual_sources()[0]
    folder = os.path.dirname(os.path.realpath(dataset.file.filename))
    with contextlib.suppress(OSError, KeyError):
        if first.file_name == ".":
            return dataset.file[first.dset_name].chunks
        with h5py.File(os.path.join(folder, first.file_name), "r") as file:
            return file[first.dset_name].chunks
    return None


def read_rows(source, start, stop, first, last):
    """(stop - start, last - first, columns) in the file's own type: the rows ``first`` to ``last`` of the frames.

    Raises:
        Fault: they cannot be read, or one of the frames was never written.
    """
    if source.dataset is None:
        return np.stack([_image_rows(source, number, first, last) for number in range(start, stop)])
    if stop - start == 1 and source.shape[0] == last - first:
        return source.raw(start)[None]
    try:
        source.check_written(start)     # the others share its chunk
        place = (slice(start, stop),) if len(source.leading) == 1 else source.part(start)
        read = source.dataset[(*place, slice(first, last))]
    except (OSError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        what = f"Frame {start}" if stop - start == 1 else f"One of the frames {start} to {stop - 1}"
        raise Fault(f"{what} of {source.name} cannot be read: {said}.") from None
    return read.reshape(stop - start, last - first, source.shape[1])


# -- Images -----------------------------------------------------------------------------------------------------------

class Plain:
    """Where the rows of an image lie: ``pieces`` of (first row, rows, offset), each of whole rows without gaps."""

    def __init__(self, path, shape, dtype, pieces):
        self.path, self.shape, self.dtype, self.pieces = path, tuple(shape), np.dtype(dtype), pieces

    def rows(self, first, last):
        """(last - first, columns); ValueError: the file is too short, or does not say where they all are."""
        out, missing = np.empty((last - first, self.shape[1]), self.dtype), last - first
        with open(self.path, "rb") as stream:
            for row, count, offset in self.pieces:
                low, high = max(first, row), min(last, row + count)
                if low < high:
                    stream.seek(offset + (low - row) * self.shape[1] * self.dtype.itemsize)
                    part = out[low - first:high - first]
                    if stream.readinto(memoryview(part).cast("B")) < part.nbytes:
                        raise ValueError(f"{self.path} ends too early")
                    missing -= high - low
        if missing:
            raise ValueError(f"{self.path} does not say where all its rows are")
        return out.astype(self.dtype.newbyteorder("="), copy=False)


def plain_image(path, page):
    """How the image lies in its file; ``None``: it is compressed, in colours, or of a kind not known here.

    Raises:
        those of NOT_PLAIN: it cannot be read.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix in (".tif", ".tiff"):
        return _tiff(path, page)
    return _edf(path) if suffix == ".edf" and page == 0 else None


def _image_rows(source, number, first, last):
    if _is_plain(source):
        with contextlib.suppress(*NOT_PLAIN):
            found = plain_image(*source.place(number))
            if _is_like(found, source):
                return found.rows(first, last)
    return source.raw(number)[first:last]


def _is_plain(source):
    """Are the source's images read rightly without fabio? The first one tells, once."""
    if not hasattr(source, "plain"):
        source.plain = False
        with contextlib.suppress(*NOT_PLAIN):
            found = plain_image(*source.place(0))
            source.plain = _is_like(found, source) and np.array_equal(found.rows(0, source.shape[0]), source.raw(0))
    return source.plain


def _is_like(found, source):
    return found is not None and found.shape == tuple(source.shape) \
        and found.dtype.newbyteorder("=") == source.dtype.newbyteorder("=")


def _edf(path):
    with open(path, "rb") as stream:
        text = stream.read(4096)
        while b"}" not in text and len(text) < HEADER:
            more = stream.read(1 << 16)
            if not more:
                return None
            text += more
    end = text.find(b"}\n")
    parts = (part.partition("=") for part in text[:end].decode("latin-1").split(";")[:-1])
    fields = {re.split(r"[{}\n]", key)[-1].strip().lower(): value.strip().lower() for key, _, value in parts}
    kind = EDF_TYPES.get(fields.get("datatype", ""))
    if end < 0 or kind is None or fields.get("compression", "none") not in ("none", ""):
        return None
    order = ">" if fields.get("byteorder", "").startswith("high") else "<"
    shape = int(fields["dim_2"]), int(fields["dim_1"])
    return Plain(path, shape, order + kind, [(0, shape[0], end + 2)])


def _tiff(path, page):
    with open(path, "rb") as stream:
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        version = struct.unpack(order + "H", head[2:4])[0] if order else 0
        if version not in (42, 43):
            return None
        tags = _tiff_page(stream, path, page, order, version == 43)
        one = {key: tags.get(key, (usual,))[0] for key, usual in (
            (WIDTH, 0), (HEIGHT, 0), (BITS, 1), (COMPRESSION, 1), (PHOTOMETRIC, 1), (FILL_ORDER, 1), (SAMPLES, 1),
            (KIND, 1))}
    kind = {1: "u", 2: "i", 3: "f"}.get(one[KIND])
    if kind is None or one[BITS] not in (8, 16, 32, 64) or OFFSETS not in tags \
            or any(one[key] != 1 for key in (COMPRESSION, PHOTOMETRIC, FILL_ORDER, SAMPLES)):
        return None
    high = min(tags.get(STRIP_ROWS, (one[HEIGHT],))[0], one[HEIGHT])
    pieces = [(n * high, min(high, one[HEIGHT] - n * high), offset) for n, offset in enumerate(tags[OFFSETS])]
    return Plain(path, (one[HEIGHT], one[WIDTH]), f"{order}{kind}{one[BITS] // 8}", pieces)


_PAGES = ("", [])       # of the file of many pages that was read last: its name and where the known pages begin


def _tiff_page(stream, path, page, order, big):
    """The tags of a page: number -> values."""
    global _PAGES
    if _PAGES[0] != path:
        stream.seek(8 if big else 4)
        _PAGES = (path, [struct.unpack(order + ("Q" if big else "I"), stream.read(8 if big else 4))[0]])
    places = _PAGES[1]
    while len(places) <= page:
        places.append(_tiff_entries(stream, places[-1], order, big)[1])
    tags = {}
    for entry in _tiff_entries(stream, places[page], order, big)[0]:
        number, kind = struct.unpack(order + "HH", entry[:4])
        count = struct.unpack(order + ("Q" if big else "I"), entry[4:12 if big else 8])[0]
        letter = TIFF_TYPES.get(kind)
        if letter is None or number not in (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, OFFSETS,
                                                   SAMPLES, STRIP_ROWS, KIND):
            continue
        size, value = struct.calcsize(letter) * count, entry[12 if big else 8:]
        if size > len(value):
            stream.seek(struct.unpack(order + ("Q" if big else "I"), value)[0])
            value = _read(stream, size)
        tags[number] = struct.unpack(f"{order}{count}{letter}", value[:size])
    return tags


def _tiff_entries(stream, offset, order, big):
    """(entries, where the next page begins) of the page at ``offset``."""
    if not offset:
        raise ValueError("there are not so many pages")
    wide, counted, place = (20, "Q", "Q") if big else (12, "H", "I")
    stream.seek(offset)
    count = struct.unpack(order + counted, stream.read(struct.calcsize(counted)))[0]
    read = _read(stream, wide * count + struct.calcsize(place))
    return [read[n * wide:(n + 1) * wide] for n in range(count)], struct.unpack(order + place, read[wide * count:])[0]


def _read(stream, size):
    """So many bytes, which a file may claim to have that is shorter."""
    if size > os.fstat(stream.fileno()).st_size:
        raise ValueError(f"{stream.name} ends too early")
    return stream.read(size)
