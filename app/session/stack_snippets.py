"""“Copy as Python” of what was made of a stack: projections, profiles, slices. Text only; quoted with ``repr``; no I/O.

The scripts need h5py and numpy and give the numbers on screen: what is invalid is left out by the same rule
(docs/cli.md), type and mask value are the same.
"""

from __future__ import annotations

from app.model.data import DataReference, Selection
from app.model.stack import PixelPoint, PixelRegion, StackOperation

_VALID = '''

def pixel_mask(file, node):
    """The NeXus pixel mask that belongs to the frames, True where masked."""
    folders = [file[{folder!r}]]
    for name in ("instrument", "NXinstrument"):
        instrument = file.get("/".join(["", {entry!r}, name]))
        if isinstance(instrument, h5py.Group):
            folders += [part for part in instrument.values() if isinstance(part, h5py.Group)]
    for folder in folders:
        mask = folder.get("pixel_mask")
        if isinstance(mask, h5py.Dataset) and mask.dtype.kind in "iub" and mask.shape[-2:] == node.shape[-2:]:
            if mask.size == node.shape[-2] * node.shape[-1]:
                return mask[()].reshape(node.shape[-2:]) != 0
    return np.zeros(node.shape[-2:], bool)


def valid_in(values):
    """True where a number was measured: no mask value, not negative (integers), finite."""
    if values.dtype.kind == "u":
        return values != np.iinfo(values.dtype).max
    if values.dtype.kind == "i":
        return values >= 0
    return np.isfinite(values)

'''

_PROJECT = {
    StackOperation.MAX: '''        better = valid & (gone | (frame > data))
        data[better] = frame[better]
''',
    StackOperation.MIN: '''        better = valid & (gone | (frame < data))
        data[better] = frame[better]
''',
    StackOperation.SUM: '''        data[valid] += frame[valid].astype(data.dtype)
''',
    StackOperation.MEAN: '''        count += valid
        data[valid] += frame[valid]
''',
    StackOperation.STD: '''        count += valid
        step = np.where(valid, frame.astype("f8") - mean, 0)
        mean += step / np.maximum(count, 1)
        data += step * np.where(valid, frame.astype("f8") - mean, 0)
''',
}
_START = {
    StackOperation.MAX: '    data = np.zeros(node.shape[-2:], node.dtype.newbyteorder("="))\n',
    StackOperation.MIN: '    data = np.zeros(node.shape[-2:], node.dtype.newbyteorder("="))\n',
    StackOperation.SUM: '''    data = np.zeros(node.shape[-2:], {"i": "i8", "f": "f8"}.get(node.dtype.kind, "u8"))
''',
    StackOperation.MEAN: '    data, count = np.zeros(node.shape[-2:]), np.zeros(node.shape[-2:], int)\n',
    StackOperation.STD: '''    data, mean = np.zeros(node.shape[-2:]), np.zeros(node.shape[-2:])
    count = np.zeros(node.shape[-2:], int)
''',
}
_END = {StackOperation.MEAN: "data = data / np.maximum(count, 1)\n",
        StackOperation.STD: "data = np.sqrt(data / np.maximum(count, 1))\n"}


def projection_snippet(reference: DataReference, operation: StackOperation, host: str = "") -> str:
    """A script that makes ``data``, all frames of a stack in one: (height, width); ``gone``: where nothing is valid."""
    return (_opening(reference, f"The {operation.value} of all frames.", host, numpy=True) + _valid(reference)
            + f"with h5py.File({str(reference.file_path)!r}, 'r') as file:\n    node = file[{reference.data_path!r}]\n"
            + "    masked = pixel_mask(file, node)\n    gone = np.ones(node.shape[-2:], bool)\n" + _START[operation]
            + "    for index in np.ndindex(node.shape[:-2]):\n        frame = node[index]\n"
            + "        valid = valid_in(frame) & ~masked\n" + _PROJECT[operation] + "        gone &= ~valid\n"
            + _END.get(operation, "")
            + 'data[gone] = {"u": np.iinfo(data.dtype).max, "i": -1}.get(data.dtype.kind, 0) '
              'if data.dtype.kind in "iub" else np.nan\nprint(data)\n')


def profile_snippet(reference: DataReference, place: PixelPoint | PixelRegion, number: str = "mean",
                    host: str = "") -> str:
    """A script that makes ``data``, one number per frame.

    Args:
        place: a pixel: its stored values; a region: ``number`` of its valid pixels.
        number: mean, sum, max or min.
    """
    text = _opening(reference, "One pixel or region through all frames.", host, numpy=True)
    open_file = (f"with h5py.File({str(reference.file_path)!r}, 'r') as file:\n"
                 f"    node = file[{reference.data_path!r}]\n")
    if isinstance(place, PixelPoint):
        return text + "\n" + open_file + f"    data = node[..., {place.y}, {place.x}]\nprint(data)\n"
    rows, columns = (f"{_bound(a)}:{_bound(b)}" for a, b in (place.rows, place.columns))
    kind = 'dtype="f8"' if number == "mean" else ""
    wide = '.astype({"i": "i8", "f": "f8"}.get(node.dtype.kind, "u8"))' if number == "sum" else ""
    return (text + _valid(reference) + open_file + f"    masked = pixel_mask(file, node)[{rows}, {columns}]\n"
            + "    data = []\n    for index in np.ndindex(node.shape[:-2]):\n"
            + f"        part = node[(*index, slice({_slice(place.rows)}), slice({_slice(place.columns)}))]\n"
            + f"        part = part[valid_in(part) & ~masked]{wide}\n"
            + f"        data.append(part.{number}({kind})"
            + f"{'' if number == 'sum' else ' if part.size else np.nan'})\n"
            + "    data = np.array(data).reshape(node.shape[:-2])\nprint(data)\n")


def selection_snippet(reference: DataReference, selection: Selection, what: str, host: str = "",
                      transposed: bool = False) -> str:
    """A script that reads one selection: a slice of a volume, a sinogram."""
    text = _opening(reference, what, host, numpy=False)
    return (text + f"\nwith h5py.File({str(reference.file_path)!r}, 'r') as file:\n"
            + f"    data = file[{reference.data_path!r}][{selection}]{'.T' if transposed else ''}\nprint(data)\n")


def _opening(reference: DataReference, what: str, host: str, numpy: bool) -> str:
    lines = [f"# {what}"]
    if host:
        lines.append(f"# This file lies at {host!r}: run this there.")
    lines += ["import h5py", *(["import numpy as np"] if numpy else []), "try:",
              "    import hdf5plugin  # noqa: F401  (compression filters)", "except ImportError:", "    pass"]
    return "\n".join(lines) + "\n"


def _valid(reference: DataReference) -> str:
    folder, _, _ = reference.data_path.rpartition("/")
    entry = reference.data_path.strip("/").split("/")[0]
    return _VALID.format(folder=folder or "/", entry=entry)


def _bound(value: int | None) -> str:
    return "" if value is None else str(value)


def _slice(pair: tuple[int | None, int | None]) -> str:
    return f"{pair[0]}, {pair[1]}"
