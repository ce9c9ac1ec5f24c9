"""Opening HDF5 files for reading, and saying in one sentence why one does not open.

Runs in a worker process of the agent, in one thread. Never writes, never locks: file locking is switched off before
h5py is imported, so a writer at the beamline is never disturbed.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import stat
from collections import OrderedDict
from typing import Any, Tuple

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

import h5py

from app.agent import numbered
from app.protocol.errors import WireError

try:
    importlib.import_module("hdf5plugin")  # registers the compression filters of photon science
except Exception as error:  # absent, or built for another h5py: reading says which filter is not available
    logging.getLogger(__name__).debug("no hdf5plugin: %s", error)

Generation = Tuple[int, int]

OPEN_FILES = 8
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_TEXT_KINDS = (
    (b"###CBF", "a CBF image"),
    (b"# XDI/", "an XDI text file (X-ray absorption)"),
    (b"#F ", "a SPEC text file"),
    (b"#S 1 ", "a SPEC text file"),
    (b"<<PMCA SPECTRUM>>", "an MCA text spectrum"),
    (b"\xd2\x04\x00\x00", "a MAR345 image"),
    (b"\x00\x00\x04\xd2", "a MAR345 image"),
    (b"# This is the simplest file format \"recognized\" by PyMca", "an MCA text spectrum"),
    (b"CDF\x01", "a netCDF classic file"),
    (b"CDF\x02", "a netCDF classic file"),
    (b"\x0e\x03\x13\x01", "an HDF4 file"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"II+\x00", "a BigTIFF image"),
    (b"MM\x00+", "a BigTIFF image"),
    (b"\x93NUMPY", "a NumPy array file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip-compressed file"),
    (b"BZh", "a bzip2-compressed file"),
    (b"%PDF", "a PDF document"),
    (b"MATLAB 5", "a MATLAB file of before version 7.3"),
)


def file_path_of(text: str) -> str:
    """The absolute path a request means: ``~`` is this user's home, relative paths start there."""
    expanded = os.path.expanduser(text)
    if not os.path.isabs(expanded):
        expanded = os.path.join(os.path.expanduser("~"), expanded)
    return os.path.normpath(expanded)


def generation_of(path: str) -> Generation:
    """(size in bytes, modification time in ns) of a file, or what stands for them of a numbered series.

    Raises:
        WireError: not found, no permission, or a folder.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        found = numbered.generation(path)
        if found is not None:
            return found[0], found[1]
        raise _os_error(path, error) from None
    if stat.S_ISDIR(status.st_mode):
        raise WireError("not_hdf5", "“%s” is a folder, not a file." % shown(path), remedy="Choose a file inside it.")
    if not stat.S_ISREG(status.st_mode):   # reading from a pipe would wait for ever
        raise WireError("not_hdf5", "“%s” is a device or a pipe, not a file." % shown(path), remedy="Choose a file.")
    return status.st_size, status.st_mtime_ns


def shown(path: str) -> str:
    """A path as it may stand in a sentence: undecodable bytes escaped."""
    try:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return path.encode("utf-8", "backslashreplace").decode("utf-8")


def what_it_seems(path: str) -> str:
    """What kind of file this is, from its first bytes, in words; ``""``: cannot say."""
    with open(path, "rb") as file:
        return what_a_head_seems(file.read(2048), path)


def what_a_head_seems(head: bytes, path: str) -> str:
    """What kind of file begins with ``head``, in words; ``""``: cannot say."""
    stripped = head.lstrip()
    for magic, words in _TEXT_KINDS:
        if stripped.startswith(magic):
            return words
    if stripped.startswith(b"{") and (b"HeaderID" in head or b"Dim_1" in head or b"EDF_" in head):
        return "an EDF image"
    if stripped.startswith(b"{") and b"HEADER_BYTES" in head:
        return "an ADSC image"
    if not head:
        return "an empty file"
    if b"\x00" not in head:
        return "an MCA text spectrum" if path.lower().endswith(".mca") else "a text file"
    return ""


def has_hdf5_signature(path: str) -> bool:
    """Whether an HDF5 superblock stands at offset 0, 512, 1024, 2048 … (the user block may push it back)."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        offset = 0
        while offset + len(SIGNATURE) <= size:
            file.seek(offset)
            if file.read(len(SIGNATURE)) == SIGNATURE:
                return True
            offset = offset * 2 or 512
    return False


def open_hdf5(path: str) -> Any:
    """Open a file read-only and unlocked; a text file with columns of numbers as HDF5 in memory.

    Raises:
        WireError: with a sentence saying what is wrong with it and what to do.
    """
    try:
        with open(path, "rb"):
            pass
        if not has_hdf5_signature(path):
            from app.agent.tables import open_text  # which imports this module
            text = open_text(path, what_it_seems(path), shown(os.path.basename(path)))
            if text is None:
                raise _not_hdf5(path)
            return text
    except OSError as error:
        raise _os_error(path, error) from None
    try:
        return _opened(path)
    except Exception as error:
        text = str(error)
    if "already open" in text:  # a writer is at work; if it writes in SWMR mode, readers may join
        try:
            return _opened(path, swmr=True, libver="latest")
        except Exception as error:
            raise _damaged(path, text) from error
    raise _damaged(path, text)


def _opened(path: str, **how: Any) -> Any:
    file = h5py.File(path, "r", locking=False, **how)
    try:
        h5py.h5o.open(file.id, b"/")
    except Exception:
        file.close()
        raise
    return file


class OpenFiles:
    """The few files most recently used, kept open; one that was replaced or has grown is opened again."""

    def __init__(self, limit: int = OPEN_FILES) -> None:
        self._limit = limit
        self._files = OrderedDict()  # type: OrderedDict[str, Tuple[Generation, Any]]

    def get(self, path: str) -> Tuple[Any, Generation]:
        """The open ``h5py.File`` and the generation of it that is open."""
        generation = generation_of(path)
        held = self._files.pop(path, None)
        if held is not None and (held[0] != generation or not held[1]):
            held[1].close()
            held = None
        if held is None:
            held = (generation, open_hdf5(path))
        self._files[path] = held
        while len(self._files) > self._limit:
            _, (_, oldest) = self._files.popitem(last=False)
            oldest.close()
        return held[1], held[0]

    def close(self) -> None:
        """Close every file."""
        while self._files:
            self._files.popitem()[1][1].close()


def _os_error(path: str, error: OSError) -> WireError:
    name = shown(path)
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
        return WireError("not_found", "There is no file “%s”." % name, str(error),
                         "Check the name; it may have been moved or renamed.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return WireError("permission", "You are not allowed to read “%s”." % name, str(error),
                         "Ask the owner of the data or the facility for access.")
    if error.errno == errno.EISDIR:
        return WireError("not_hdf5", "“%s” is a folder, not a file." % name, remedy="Choose a file inside it.")
    return WireError("unreadable", "“%s” cannot be read: %s." % (name, error.strerror or error), str(error),
                     "Try again; if it happens again, tell the facility that its storage reports this.")


def _not_hdf5(path: str) -> WireError:
    kind = what_it_seems(path)
    name = shown(os.path.basename(path))
    if kind == "an empty file":
        return WireError("not_hdf5", "“%s” is empty." % name,
                         remedy="If it is being written, wait; else copy it again from where it came.")
    words = "it seems to be %s" % kind if kind else "its kind is not known"
    return WireError("not_hdf5", "“%s” is not an HDF5 file; %s." % (name, words),
                     remedy="Open an HDF5 or NeXus file, an image (CBF, EDF, TIFF, MAR), a SPEC file or a text "
                            "with columns of numbers.")


def _damaged(path: str, text: str) -> WireError:
    name = shown(os.path.basename(path))
    if "already open" in text or "h5clear" in text:
        return WireError("damaged", "“%s” is marked as still open for writing: it is being written, or its writer "
                         "crashed." % name, text,
                         "Wait until it is finished; if its writer crashed, run “h5clear -s” on a copy of the file.")
    if "truncated file" in text or "exceeds EOA" in text or "eof" in text.lower():
        return WireError("damaged", "“%s” is shorter than it says it should be, as after an interrupted copy."
                         % name, text, "Copy it again from where it came, and compare the sizes.")
    return WireError("damaged", "“%s” is damaged: the HDF5 library cannot open it." % name, text,
                     "Copy it again from where it came; “h5debug” may tell more.")
