"""The frames of an input: HDF5 (any leading dimensions, virtual, linked), edf, cbf, tif, series and folders of them.

Reads only. Every fault names the input, and the frame if it is about one. Python 3.8, numpy, h5py; hdf5plugin (for
compressed frames) and fabio (for anything but HDF5) where they are installed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import queue
import re
import sys
import threading

import h5py
import numpy as np
from beamside_metadata import groups, member, text_of
from beamside_task import Fault

try:
    import hdf5plugin  # noqa: F401  (registers bitshuffle and others)
except ImportError:
    print("hdf5plugin is not installed here: compressed frames may not be readable.", file=sys.stderr)

IMAGE_SUFFIXES = (".edf", ".cbf", ".tif", ".tiff", ".img", ".mccd", ".mar3450", ".sfrm", ".kccd", ".dm3", ".spe")
_NOT_FRAMES = ("pixel_mask", "flatfield", "mask")


class Source:
    """The frames of one input, numbered from 0, leading dimensions counted as one (the last one fastest).

    Args:
        name (str): ``FILE``, ``FILE::/path`` (a data set, or a group whose signal is meant), a folder of images, or a
            pattern as ``img_*.cbf``. Without a path the file's default plot is taken, else its largest stack.
        series (list of str): the files, if ``name`` is only what the user calls them.

    Attributes:
        name: as given. shape: (height, width) in pixels. dtype: of the values in the file. leading: the other
        dimensions. file, dataset: h5py's, ``None`` for other images. files: the images of a series.

    Raises:
        Fault: not there, not readable, or no frames in it.
    """

    def __init__(self, name, series=None):
        self.name = name
        self.file = self.dataset = None
        self.files = []
        path, separator, inside = name.partition("::/")
        if series is None and os.path.isfile(path) and h5py.is_hdf5(path):
            self.file = open_hdf5(path)
            self.dataset = find_data(self.file, "/" + inside if separator else None, path)
            check_parts(self.dataset, path)
            self.leading, self.shape = self.dataset.shape[:-2], self.dataset.shape[-2:]
            self.dtype = self.dataset.dtype
        else:
            self.files = list(series) if series is not None else image_files(path)
            first = open_image(self.files[0])
            self._each = first.nframes
            counts = [self._each] if self._each == 1 else [open_image(file).nframes for file in self.files]
            self.leading = (len(self.files) if self._each == 1 else sum(counts),)
            self._starts = np.cumsum([0] + counts)
            self.shape, self.dtype = tuple(first.shape[-2:]), np.dtype(first.data.dtype)
        if not len(self):
            raise Fault(f"{name} holds no frames: its data set is empty ({by(self.dataset.shape)}).")

    def __len__(self):
        return int(np.prod(self.leading, dtype=np.int64))

    def raw(self, number):
        """(height, width) in the file's own type.

        Raises:
            Fault: it cannot be read.
        """
        try:
            if self.dataset is None:
                values = self._image(number)
            else:
                self.check_written(number)
                values = self.dataset[self.part(number)]
        except (OSError, RuntimeError, ValueError, EOFError) as error:
            said = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise Fault("Frame {} of {} cannot be read: {}.".format(number, self.name, said.rstrip("."))) from None
        if values.shape != self.shape:
            raise Fault(f"Frame {number} of {self.name} has {by(values.shape)} pixels, but the first one has"
                        f" {by(self.shape)}.")
        return values

    def frame(self, number, sentinels=True):
        """(height, width) float32; NaN where nothing was measured (see `without_sentinels`)."""
        raw = self.raw(number)
        return without_sentinels(raw) if sentinels else raw.astype(np.float32)

    def frames(self, numbers, sentinels=True, ahead=2):
        """Iterate over (number, frame); up to ``ahead`` frames are read by a thread while you compute."""
        return read_ahead(lambda number: self.frame(number, sentinels), numbers, ahead)

    def part(self, number):
        """The place of a frame among the leading dimensions: a tuple of int."""
        return tuple(int(n) for n in np.unravel_index(number, self.leading)) if self.leading else ()

    def header(self):
        """The header of the first image, a dict as fabio has it; empty for HDF5."""
        return dict(open_image(self.files[0]).header) if self.files else {}

    def close(self):
        if self.file is not None:
            self.file.close()

    def place(self, number):
        """(file, number in it) of a frame that is an image."""
        if self._each == 1:
            return self.files[number], 0
        which = int(np.searchsorted(self._starts, number, "right")) - 1
        return self.files[which], number - int(self._starts[which])

    def check_written(self, number):
        """A frame that was never written reads as zeros: refuse that."""
        if self.dataset.chunks is None or getattr(self.dataset, "is_virtual", False) \
                or not hasattr(self.dataset.id, "get_chunk_info_by_coord"):
            return      # not chunked, or h5py before 3.0
        if self.dataset.id.get_chunk_info_by_coord((*self.part(number), 0, 0)).byte_offset is None:
            raise Fault(f"Frame {number} of {self.name} was never written: the scan may have been stopped.")

    def _image(self, number):
        file, place = self.place(number)
        image = open_image(file)
        return image.getframe(place).data if image.nframes > 1 else image.data


def sources(names):
    """The `Source` of each input; neighbours that are single images of one folder and kind are one series."""
    out, run = [], []

    def end_run():
        if len(run) > 1:
            out.append(Source(f"{run[0]} … {os.path.basename(run[-1])}", series=run[:]))
        elif run:
            out.append(Source(run[0]))
        run.clear()

    for name in names:
        is_image = "::/" not in name and name.lower().endswith(IMAGE_SUFFIXES) and os.path.isfile(name)
        if not is_image or (run and _kind(run[-1]) != _kind(name)):
            end_run()
        if is_image:
            run.append(name)
        else:
            out.append(Source(name))
    end_run()
    return out


def _kind(path):
    return os.path.dirname(path), os.path.splitext(path)[1].lower()


def read_ahead(function, items, ahead=2):
    """Iterate over (item, ``function(item)``) in their order, computed by a thread up to ``ahead`` items before they
    are asked for. What it raises is raised here, at its item; the thread ends when the iteration does."""
    results = queue.Queue(max(1, ahead))
    stop = threading.Event()

    def put(what):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                results.put(what, timeout=0.2)
                return

    def work():
        for item in items:
            if stop.is_set():
                return
            try:
                put((item, function(item), None))
            except BaseException as error:      # raised where the item is wanted
                put((item, None, error))
                return
        put(None)

    thread = threading.Thread(target=work, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            got = results.get()
            if got is None:
                return
            if got[2] is not None:
                raise got[2]
            yield got[:2]
            got = None      # the frame is the caller's now: it must not live on here while the next one is waited for
    finally:
        stop.set()
        thread.join()


def without_sentinels(raw):
    """(height, width) float32; NaN where a detector says that it measured nothing: the largest value of an unsigned
    type (and the one below it from 32 bits on), negative values of a signed one, and what is not finite."""
    values = raw.astype(np.float32)
    if raw.dtype.kind == "b":
        return values
    if raw.dtype.kind == "u":
        values[raw >= np.iinfo(raw.dtype).max - (1 if raw.dtype.itemsize >= 4 else 0)] = np.nan
    elif raw.dtype.kind == "i":
        values[raw < 0] = np.nan
    else:
        values[~np.isfinite(values)] = np.nan
    return values


def select_frames(chosen, count, name):
    """The numbers of the frames that a text as ``0:100``, ``::10``, ``3`` or several with commas means, as numpy does;
    empty: all ``count``.

    Raises:
        Fault: it does not fit the ``count`` frames of ``name``, or selects none of them.
    """
    if not chosen or not chosen.strip():
        return list(range(count))
    numbers, out = range(count), []
    for piece in chosen.split(","):
        try:
            if ":" in piece:
                out.extend(numbers[slice(*[int(n) if n.strip() else None for n in piece.split(":")])])
            else:
                out.append(numbers[int(piece)])
        except (IndexError, ValueError):
            raise Fault(f"The frames “{piece.strip()}” do not fit the {count} frames of {name}.") from None
    if not out:
        raise Fault(f"The frames “{chosen}” select nothing of the {count} frames of {name}.")
    return out


def beyond(chosen, count, what="frames", name="The data"):
    """One sentence if the text names anything that the ``count`` of ``what`` do not have, which is then left out; else
    an empty text. The form and the command line say the same before a job is submitted."""
    there = "{} has {} {}".format(name, count, what if count != 1 else what[:-1])
    for piece in (chosen or "").split(","):
        try:
            numbers = [int(n) if n.strip() else None for n in piece.split(":")]
        except ValueError:
            continue
        if len(numbers) == 1:
            if numbers[0] is not None and not -count <= numbers[0] < count:
                return f"{there}, counted from 0: there is no {numbers[0]}."
            continue
        if len(numbers) > 3 or 0 in numbers[2:]:
            continue
        used = range(count)[slice(*numbers)]
        if not used:
            return f"{there}, counted from 0: “{piece.strip()}” selects none of them."
        if any(n is not None and not -count <= n <= count for n in numbers[:2]):
            last = f"{used[0]} to {used[-1]} are" if len(used) > 1 else f"only {used[0]} is"
            return f"{there}: of “{piece.strip()}”, {last} used."
    return ""


def open_hdf5(path):
    """The file, read-only and not locked (its detector may be writing)."""
    try:
        try:
            return h5py.File(path, "r", locking=False)
        except (TypeError, ValueError):     # before h5py 3.5
            return h5py.File(path, "r")
    except OSError as error:
        raise Fault("{} cannot be opened: {}.".format(path, str(error).strip().rstrip("."))) from None


def open_image(path):
    """What fabio makes of a file that is not HDF5."""
    try:
        import fabio
    except ImportError:
        raise Fault(f"{path} is not HDF5, and fabio, which reads other images, is not installed here.") \
            from None
    try:
        return fabio.open(path)
    except Exception as error:
        raise Fault(f"{path} is neither HDF5 nor an image that fabio reads ({type(error).__name__}).") from None


def image_files(path):
    """The image files that a path means: itself, those of a folder, or those that match a pattern, by their numbers."""
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        found = [os.path.join(path, name) for name in os.listdir(path) if name.lower().endswith(IMAGE_SUFFIXES)]
        kinds = {os.path.splitext(name)[1].lower() for name in found}
        if len(kinds) > 1:
            raise Fault("The folder {} holds images of several kinds ({}): name those that are meant, for example {}."
                        .format(path, ", ".join(sorted(kinds)), os.path.join(path, "*" + sorted(kinds)[0])))
        if not found:
            raise Fault("The folder {} holds no images ({} …).".format(path, ", ".join(IMAGE_SUFFIXES[:3])))
    elif "#" in os.path.basename(path):
        found = _numbered(path)
    else:
        found = [name for name in glob.glob(path) if os.path.isfile(name)] if glob.has_magic(path) else []
        if not found:
            raise Fault(f"The input {path} is not there.")
    return sorted(found, key=_by_numbers)


def _numbered(path):
    """The files of a series as Beamside names it: ``scan_####.cbf``, # for the digits of its numbers.

    Where numbers lack, it shows frames without data, which would shift all that are counted here.
    """
    folder, name = os.path.split(path)
    stem, width, suffix = re.fullmatch("(.*?)(#+)([^#]*)", name).groups()
    found = {}
    for file in os.listdir(folder) if os.path.isdir(folder) else []:
        match = re.fullmatch(re.escape(stem) + "([0-9]+)" + re.escape(suffix), file)
        if match and (int(match.group(1)) not in found or len(match.group(1)) == len(width)):
            found[int(match.group(1))] = os.path.join(folder, file)
    if not found:
        raise Fault(f"There are no files {path}, where # stands for the digits of a number.")
    lacking = sorted(set(range(min(found), max(found))).difference(found)) if max(found) < 10 ** 7 else []
    if lacking:
        raise Fault(f"The series {path} has no file with the number {lacking[0]}{_more(lacking)}, so its frames cannot "
                    f"be counted as they are shown: name the files that are there, "
                    f"{os.path.join(folder, stem + '*' + suffix)}.")
    return list(found.values())


def _more(lacking):
    return f" (nor {len(lacking) - 1} others)" if len(lacking) > 1 else ""


def _by_numbers(path):
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"([0-9]+)", path)]


def find_data(file, data_path, name):
    """The data set named, or the signal of the group named, or the file's default plot, or its largest stack."""
    node = file
    if data_path is not None:
        try:
            node = file[data_path]
        except (KeyError, OSError):
            raise Fault(f"{name} has no readable node {data_path}.") from None
    found = node if isinstance(node, h5py.Dataset) else next(filter(holds_frames, _candidates(node)), None)
    if found is None or not holds_frames(found):
        place = f"{name}::{data_path}" if data_path else name
        raise Fault(f"{place} holds no frames: a numeric data set of two or more dimensions is needed.")
    return found


def _candidates(group):
    """Data sets that may be meant, most likely first; links are followed."""
    yield signal_of(group)
    for data in groups(group, "NXdata", 4):
        yield signal_of(data)
        yield member(data, "data")
    sizes = {}
    for parent in [group] + groups(group, None, 6):
        for key in parent:
            node = member(parent, key)
            if holds_frames(node) and key not in _NOT_FRAMES:
                if key.startswith("data_0") and sum(k.startswith("data_0") for k in parent) > 1:
                    raise Fault("{0} holds its frames in several parts: name one, for example {0}::{1}/{2}.".format(
                        group.file.filename, parent.name.rstrip("/"), key))
                sizes.setdefault((len(node.shape) > 2, node.size), node)
    for key in sorted(sizes, reverse=True):
        yield sizes[key]


def holds_frames(node):
    return isinstance(node, h5py.Dataset) and len(node.shape or ()) >= 2 and node.dtype.kind in "iufb"


def signal_of(group, depth=0):
    """The data set that NeXus' ``signal`` and ``default`` lead to; ``None``: they lead to none."""
    for key in (text_of(group.attrs.get("signal")), text_of(group.attrs.get("default"))):
        node = member(group, key) if key else None
        if isinstance(node, h5py.Dataset):
            return node
        if isinstance(node, h5py.Group) and depth < 8:
            return signal_of(node, depth + 1)
    return None


def check_parts(dataset, path):
    """A virtual data set reads as zeros where a part is missing: refuse that."""
    if not getattr(dataset, "is_virtual", False):
        return
    for part in dataset.virtual_sources():
        place = os.path.join(os.path.dirname(os.path.realpath(dataset.file.filename)), part.file_name)
        if part.file_name == ".":
            there, place = member(dataset.file, part.dset_name) is not None, part.dset_name
        else:
            there = "%" in part.file_name or os.path.exists(place)
        if not there:
            raise Fault(f"Frames of {path} are missing: its part {place} is not there.")


def by(shape):
    """A shape in words: ``3 × 4``."""
    return " × ".join(str(n) for n in shape)
