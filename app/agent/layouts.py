"""File layouts known by name: where each keeps the data people look at first, when no NeXus default says so.

Data Exchange, CXI, BLISS, LIMA, NXcanSAS, EuXFEL, NeXus detectors and sub-entries. Each rule gives candidate paths in
order of preference; whoever asks checks that they are plottable. Runs in a worker process of the agent, in one
thread; reads names, shapes and attributes, never data.
"""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Tuple

import h5py

from app.agent import links
from app.agent.attributes import get_text

Finder = Callable[[Any], Iterator[str]]


def candidates(root: Any) -> Iterator[Tuple[str, str]]:
    """(layout name, data path) of what known layouts would show, best first."""
    for name, finder in _LAYOUTS:
        try:
            for path in finder(root):
                yield name, path
        except Exception:  # a damaged group ends one layout's search, not the plot
            continue


def groups_of(group: Any, nx_class: Tuple[str, ...] = ()) -> Iterator[Tuple[str, Any]]:
    """(name, group) of the readable child groups in natural order, of the given NX classes only if any are given."""
    for name in links.child_names(group):
        try:
            child = links.open_child(group, name)
        except Exception:
            continue
        if isinstance(child, h5py.Group) and (not nx_class or get_text(child, "NX_class") in nx_class):
            yield name, child


def entries_of(root: Any) -> List[Tuple[str, Any]]:
    """The NXentry groups of a file in natural order."""
    return list(groups_of(root, ("NXentry",)))


def _data_exchange(root: Any) -> Iterator[str]:
    if "exchange" in root:
        yield "/exchange/data"
        for name, _ in groups_of(root):
            if name.startswith("exchange"):
                yield "/%s/data" % name


def _cxi(root: Any) -> Iterator[str]:
    for entry, group in groups_of(root):
        if not entry.startswith("entry_"):
            continue
        for part in ("image_1", "data_1"):
            yield "/%s/%s/data" % (entry, part)
        for name, instrument in groups_of(group):
            if name.startswith("instrument_"):
                for detector, _ in groups_of(instrument):
                    if detector.startswith("detector_"):
                        yield "/%s/%s/%s/data" % (entry, name, detector)


def _detectors(root: Any) -> Iterator[str]:
    """BLISS, LIMA and NeXus at large: the largest frames among the detectors of all entries."""
    found = []  # type: List[Tuple[int, int, str]]
    for entry, group in entries_of(root):
        for name, instrument in groups_of(group, ("NXinstrument",)):
            for detector, place in groups_of(instrument, ("NXdetector",)):
                size = _size_of(place, "data")
                if size:
                    found.append((-size, len(found), "/%s/%s/%s/data" % (entry, name, detector)))
    for _, _, path in sorted(found):
        yield path


def _lima(root: Any) -> Iterator[str]:
    for entry, group in groups_of(root):
        if entry.startswith("entry_") and "measurement" in group:
            yield "/%s/measurement/data" % entry


def _cansas(root: Any) -> Iterator[str]:
    for entry, group in groups_of(root):
        if get_text(group, "canSAS_class") == "SASentry":
            for name, data in groups_of(group):
                if get_text(data, "canSAS_class") == "SASdata":
                    yield "/%s/%s/I" % (entry, name)


def _euxfel(root: Any) -> Iterator[str]:
    if "INSTRUMENT" not in root or "INDEX" not in root:
        return
    found = []  # type: List[Tuple[int, int, int, str]]

    def visit(group: Any, path: str) -> None:
        for name in links.child_names(group):
            child = links.open_child(group, name)
            here = links.join(path, name)
            if isinstance(child, h5py.Group):
                visit(child, here)
            elif child.ndim >= 2 and name not in ("trainId", "pulseId", "cellId", "timestamp"):
                is_image = any(here.endswith(end) for end in ("/image/data", "/image/pixels", "/data/adc"))
                found.append((0 if is_image else 1, -child.size * child.dtype.itemsize, len(found), here))

    visit(root["INSTRUMENT"], "/INSTRUMENT")
    for _, _, _, path in sorted(found):
        yield path


def _subentries(root: Any) -> Iterator[str]:
    for entry, group in entries_of(root):
        for name, subentry in groups_of(group, ("NXsubentry", "NXprocess", "NXcollection")):
            for data, place in groups_of(subentry, ("NXdata",)):
                signal = get_text(place, "signal")
                if signal:
                    yield "/%s/%s/%s/%s" % (entry, name, data, signal)


def _size_of(group: Any, name: str) -> int:
    try:
        node = links.open_child(group, name)
    except Exception:
        return 0
    if not isinstance(node, h5py.Dataset) or not node.shape or node.ndim < 2 or node.dtype.kind not in "iuf":
        return 0
    return int(node.size) * int(node.dtype.itemsize)


_LAYOUTS = (
    ("Data Exchange", _data_exchange), ("CXI", _cxi), ("NXcanSAS", _cansas), ("EuXFEL", _euxfel),
    ("NeXus sub-entry", _subentries), ("NeXus detector", _detectors), ("LIMA", _lima),
)  # type: Tuple[Tuple[str, Finder], ...]
