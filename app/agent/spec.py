"""SPEC files, read with silx where the site has it, as an HDF5 file in memory with silx's layout.

``/1.1/measurement/COUNTER``, ``/1.1/instrument/positioners/MOTOR``, ``/1.1/title`` and so on; what a scan shows is its
last counter over its first column. A scan is copied when something in it is asked for. Runs in a worker process of the
agent, in one thread. Without silx: one sentence.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Dict, Optional

import h5py
import numpy as np

from app.agent.tables import MemoryFile
from app.protocol.errors import WireError

MOST_BYTES = 512 * 2 ** 20
_LOOKED_AT = 100


class SpecFile(MemoryFile):
    """The scans of one SPEC file; each is filled in when it is needed."""

    def __init__(self, path: str, stored: Any) -> None:
        super().__init__(path)
        self._stored = stored
        self._pending: Dict[str, bool] = {}
        for name in stored:
            scan = stored[name]
            group = self.create_group(name)
            group.attrs["NX_class"] = "NXentry"
            _copy_dataset(group, "title", scan["title"])
            self._pending[name] = True
        first = _first_with_data(stored)
        if first:
            self.attrs["default"] = first

    def prepare(self, data_path: str, depth: Optional[int]) -> None:
        scan = data_path.strip("/").split("/")[0]
        if scan:
            self._fill(scan)
        elif depth is None or depth > 1:
            for name in list(self._pending):
                self._fill(name)
        else:
            self._fill(str(self.attrs.get("default", "")))

    def close(self) -> None:
        super().close()
        stored, self._stored = self._stored, None
        if stored is not None:
            stored.close()

    def _fill(self, name: str) -> None:
        if not self._pending.pop(name, False):
            return
        scan, group = self._stored[name], self[name]
        for child in sorted(scan, key="measurement".__eq__):     # which refers to the others
            if child != "title":
                _copy(group, child, scan[child])
        columns = list(scan["measurement"]) if "measurement" in scan else []
        columns = [column for column in columns if hasattr(scan["measurement"][column], "dtype")]
        if columns:
            group.attrs["default"] = "measurement"
            group["measurement"].attrs["signal"] = columns[-1]
            if len(columns) > 1:
                group["measurement"].attrs["axes"] = [columns[0]]


def open_spec(path: str, name: str) -> Any:
    """A SPEC file as HDF5.

    Raises:
        WireError: no silx, too large, or silx cannot read it.
    """
    try:
        logging.getLogger("silx").setLevel(logging.CRITICAL)
        from silx.io import spech5
    except Exception as error:
        raise WireError("not_hdf5", "“%s” is a SPEC text file, and the facility's Python has no silx to read it."
                        % name, str(error), "Ask the facility to install silx, or convert the file to HDF5.") from None
    if os.path.getsize(path) > MOST_BYTES:
        raise WireError("unreadable", "“%s” is a SPEC file of more than 512 MB, too large to be read." % name,
                        remedy="Convert it to HDF5 with “silx convert”.")
    try:
        return SpecFile(path, _silx_file(spech5, path))
    except Exception as error:
        raise WireError("damaged", "“%s” is a SPEC text file that cannot be read." % name, str(error),
                        "If it is being written, wait; else copy it again from where it came.") from error


def _silx_file(spech5: Any, path: str) -> Any:
    return spech5.SpecH5(path)


def _first_with_data(stored: Any) -> str:
    names = list(stored)
    for name in names[:_LOOKED_AT]:
        try:
            counters = stored[name]["measurement"]
            if any(getattr(counters[counter], "size", 0) for counter in counters):
                return str(name)
        except (KeyError, ValueError, OSError):
            continue
    return names[0] if names else ""


def _copy(group: Any, name: str, node: Any) -> None:
    if hasattr(node, "dtype"):
        _copy_dataset(group, name, node)
        return
    made = group.create_group(name)
    _copy_attributes(made, node)
    spectra = []
    for child in node:
        if name == "measurement" and child.startswith("mca_"):
            spectra.append(child)       # the detector's, under another name
        else:
            _copy(made, child, node[child])
    for child in spectra:
        detector = group["instrument"][child]
        linked = made.create_group(child)
        linked["info"], linked["data"] = detector, detector["data"]


def _copy_dataset(group: Any, name: str, node: Any) -> None:
    values = node[()]
    if node.dtype.kind in "OSU":
        text = np.asarray(values, object)
        texts = np.array([_text(item) for item in text.reshape(-1)], object).reshape(text.shape)
        made = group.create_dataset(name, data=texts if texts.shape else texts[()], dtype=h5py.string_dtype())
    else:
        made = group.create_dataset(name, data=values)
    _copy_attributes(made, node)


def _copy_attributes(made: Any, node: Any) -> None:
    for key, value in node.attrs.items():
        plain = np.asarray(value)
        made.attrs[key] = _text(plain[()]) if plain.dtype.kind in "OSU" and not plain.shape else value


def _text(item: Any) -> str:
    text = item.decode("utf-8", "backslashreplace") if isinstance(item, bytes) else str(item)
    return text.replace("\x00", "�").encode("utf-8", "backslashreplace").decode("utf-8")
