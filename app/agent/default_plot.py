"""Finding what a file wants to be shown as: NeXus defaults first, then known layouts, then the largest dataset.

The rules and their names are those of docs/cli.md (``plot``). A dead or dangling link met on the way is named in
``missing`` and the next rule is tried. Runs in a worker process of the agent, in one thread; reads no data.
"""

from __future__ import annotations

from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

import h5py
from h5py import h5o

from app.agent import layouts, links
from app.agent.attributes import get_attribute, get_text, sentence
from app.agent.opening import shown
from app.agent.sources import filter_sentence, filters_of, missing_sources

MAX_CHAIN = 32

Hit = Tuple[links.Place, str, links.Place]  # the group, the signal's name in it, the signal


class Found(NamedTuple):
    """What is to be shown.

    ``signal``: the dataset where it lies; ``group``: the group it is described by (the NXdata, or where it lies);
    ``name``: its name in that group.
    """

    rule: str
    signal: Optional[links.Place]
    group: Optional[links.Place]
    name: str
    missing: Tuple[str, ...]


def find(root: links.Place) -> Found:
    """The default plot of a file."""
    missing = []  # type: List[str]
    for rule, finder in (("default", _default), ("entry_default", _entry_default),
                         ("first_nxdata", _first_nxdata), ("legacy_signal", _legacy_signal),
                         ("known_layout", _known_layout), ("largest", _largest)):
        try:
            found = finder(root, missing)
        except Exception as error:  # a damaged object on the way: the next rule may do without it
            missing.append("a damaged object (%s)" % sentence(error))
            continue
        if found is not None:
            group, name, signal = found
            return Found(rule, signal, group, name, _tidy(missing + _absent(signal)))
    return Found("none", None, None, "", _tidy(missing))


def find_given(root: links.Place, data_path: str) -> Found:
    """The plot of a named node: a dataset itself, or a group's signal by its own defaults.

    Raises:
        links.BrokenLink: the path leads nowhere.
    """
    place = links.resolve(root.node, data_path)
    missing = []  # type: List[str]
    if isinstance(place.node, h5py.Dataset):
        parent = links.resolve(root.node, links.parent_of(data_path))
        name = data_path.rstrip("/").rsplit("/", 1)[-1]
        return Found("given", place, parent, name, _tidy(_absent(place)))
    if not isinstance(place.node, h5py.Group):
        return Found("given", None, None, "", ())
    if place.data_path == "/":
        return find(place)._replace(rule="given")
    quiet = []  # type: List[str]
    found = (_follow_default(place, missing) or _signal_of(place, quiet) or _below(place, missing)
             or _largest(place, missing))
    if found is None:
        return Found("given", None, None, "", _tidy(missing + quiet))
    group, name, signal = found
    return Found("given", signal, group, name, _tidy(missing + _absent(signal)))


def is_plottable(node: Any) -> bool:
    """Whether a node is a dataset of numbers with at least one element and one dimension."""
    try:
        return bool(isinstance(node, h5py.Dataset) and node.shape and node.size and node.dtype.kind in "iufcb")
    except Exception:
        return False


def signal_name(group: Any) -> str:
    """The name an NXdata's ``@signal`` gives, or its sibling with the legacy ``@signal=1``; ``""``: none."""
    name = get_text(group, "signal")
    return name or legacy_signal_name(group)


def legacy_signal_name(group: Any) -> str:
    """The child dataset with ``@signal=1`` (an integer or text), in natural order; ``""``: none."""
    for name in links.child_names(group):
        try:
            value = get_attribute(links.open_child(group, name), "signal")
        except Exception:
            continue
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        if value == 1 or (isinstance(value, str) and value.strip() == "1"):
            return name
    return ""


def _default(root: links.Place, missing: List[str]) -> Optional[Hit]:
    return _follow_default(root, missing)


def _follow_default(start: links.Place, missing: List[str]) -> Optional[Hit]:
    place, seen = start, set()  # type: Tuple[links.Place, Any]
    for _ in range(MAX_CHAIN):
        target = get_text(place.node, "default") if isinstance(place.node, h5py.Group) else ""
        if place is not start and _is_nxdata(place.node):
            return _signal_of(place, missing)
        if not target:
            if place is not start:
                missing.append("%s: the @default chain ends here, without an NXdata" % shown(place.data_path))
            return None
        try:
            onward = links.resolve_from(place, target)
        except links.BrokenLink as broken:
            missing.append("%s: @default names %s, which is not there" % (shown(place.data_path), shown(str(broken))))
            return None
        if isinstance(onward.node, h5py.Dataset):
            return _plottable_hit(place, target, onward, missing)
        if (onward.file_path, onward.data_path) in seen:
            missing.append("%s: the @default chain runs in a circle" % shown(onward.data_path))
            return None
        seen.add((onward.file_path, onward.data_path))
        place = onward
    return None


def _plottable_hit(group: links.Place, target: str, signal: links.Place, missing: List[str]) -> Optional[Hit]:
    if not is_plottable(signal.node):
        missing.append("%s: @default names a dataset that cannot be plotted" % shown(group.data_path))
        return None
    parent = links.resolve_from(group, links.parent_of(target)) if "/" in target.strip("/") else group
    return parent, target.rsplit("/", 1)[-1], signal


def _is_nxdata(node: Any) -> bool:
    if not isinstance(node, h5py.Group):
        return False
    return get_text(node, "NX_class") == "NXdata" or (not get_text(node, "default") and bool(get_text(node, "signal")))


def _signal_of(group: links.Place, missing: List[str], legacy: Optional[bool] = None) -> Optional[Hit]:
    """The signal of an NXdata group. ``legacy``: only by ``@signal=1`` (True), only by the group's (False), both."""
    try:
        by_group = get_text(group.node, "signal") if legacy is not True else ""
        name = by_group or (legacy_signal_name(group.node) if legacy is not False else "")
        if not name:
            if legacy is None:
                missing.append("%s: it names no signal" % shown(group.data_path))
            return None
        signal = links.resolve_from(group, name)
    except links.BrokenLink as broken:
        missing.append(shown(str(broken)))
        return None
    except Exception:
        missing.append("%s: it cannot be read" % shown(group.data_path))
        return None
    if not is_plottable(signal.node):
        missing.append("%s: the signal cannot be plotted" % shown(signal.data_path))
        return None
    return group, name, signal


def _entry_default(root: links.Place, missing: List[str]) -> Optional[Hit]:
    for entry in _entries(root):
        if get_text(entry.node, "default"):
            found = _follow_default(entry, missing)
            if found is not None:
                return found
    return None


def _first_nxdata(root: links.Place, missing: List[str]) -> Optional[Hit]:
    for group in _nxdata_groups(root, missing):
        found = _signal_of(group, missing, legacy=False)
        if found is not None:
            return found
    return None


def _legacy_signal(root: links.Place, missing: List[str]) -> Optional[Hit]:
    for group in _nxdata_groups(root, []):
        found = _signal_of(group, missing, legacy=True)
        if found is not None:
            return found
    return None


def _known_layout(root: links.Place, missing: List[str]) -> Optional[Hit]:
    for _, path in layouts.candidates(root.node):
        try:
            signal = links.resolve(root.node, path)
            parent = links.resolve(root.node, links.parent_of(path))
        except links.BrokenLink as broken:
            if broken.target:
                missing.append(shown(str(broken)))
            continue
        if is_plottable(signal.node) and not _unreadable(signal, missing):
            return parent, path.rsplit("/", 1)[-1], signal
    return None


def _below(place: links.Place, missing: List[str]) -> Optional[Hit]:
    for name, child in layouts.groups_of(place.node, ("NXdata",)):
        inner = links.Place(child, place.file_path, links.join(place.data_path, name))
        found = _signal_of(inner, missing)
        if found is not None:
            return found
    return None


def _largest(root: links.Place, missing: List[str]) -> Optional[Hit]:
    best, best_size = None, 0  # type: Optional[Tuple[links.Place, str]], int
    for dataset, path in _datasets(root):
        size = int(dataset.size) * int(dataset.dtype.itemsize)
        if size > best_size and not _unreadable(links.Place(dataset, root.file_path, path), missing):
            best, best_size = (links.Place(dataset, root.file_path, path), path), size
    if best is None:
        return None
    signal, path = best
    parent_path = links.parent_of(path)
    parent = root.node if parent_path == root.data_path else links.resolve(root.node, parent_path).node
    return links.Place(parent, root.file_path, parent_path), path.rsplit("/", 1)[-1], signal


def _datasets(root: links.Place) -> Iterator[Tuple[Any, str]]:
    """Plottable datasets below a group, depth first in natural order, each object once, links not followed."""
    seen = set()
    stack = [(root.node, root.data_path, iter(_names(root.node)))]
    while stack:
        group, path, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        try:
            if links.link_class(group, name) != h5py.h5l.TYPE_HARD:
                continue
            child = links.open_child(group, name)
            address = int(h5o.get_info(child.id).addr)
        except Exception:
            continue
        if address in seen:
            continue
        seen.add(address)
        here = links.join(path, name)
        if isinstance(child, h5py.Group):
            stack.append((child, here, iter(_names(child))))
        elif is_plottable(child):
            yield child, here


def _names(group: Any) -> List[str]:
    try:
        return links.child_names(group)
    except Exception:
        return []


def _entries(root: links.Place) -> List[links.Place]:
    found = []
    for name in _names(root.node):
        try:
            if links.link_class(root.node, name) == h5py.h5l.TYPE_HARD:
                child = links.open_child(root.node, name)
                place = links.Place(child, root.file_path, links.join(root.data_path, name))
            else:
                place = links.resolve_from(root, name)
        except Exception:
            continue
        if isinstance(place.node, h5py.Group) and (get_text(place.node, "NX_class") in ("NXentry", "NXsubentry")
                                                   or get_text(place.node, "default")):
            found.append(place)
    return found


def _nxdata_groups(root: links.Place, missing: List[str]) -> Iterator[links.Place]:
    for entry in _entries(root):
        if get_text(entry.node, "NX_class") != "NXentry":
            continue
        for name in _names(entry.node):
            path = links.join(entry.data_path, name)
            try:
                place = links.resolve_from(entry, name)
            except links.BrokenLink as broken:
                if broken.target:
                    missing.append(shown(str(broken)))
                continue
            if isinstance(place.node, h5py.Group) and get_text(place.node, "NX_class") == "NXdata":
                here = place.file_path == entry.file_path and place.data_path == path
                yield place if not here else links.Place(place.node, place.file_path, path)


def _unreadable(signal: links.Place, missing: List[str]) -> bool:
    try:
        absent = [step.name for step in filters_of(signal.node) if not step.available]
        raw = signal.node.id.get_create_plist().get_external_count() and missing_sources(signal.node, signal.file_path)
    except Exception:
        missing.append("%s: it cannot be read" % shown(signal.data_path))
        return True
    if absent:
        missing.append("%s: %s" % (shown(signal.data_path), filter_sentence(absent)))
    if raw:
        missing.append("%s: its raw data file %s" % (shown(signal.data_path), ", ".join(raw)))
    return bool(absent or raw)


def _absent(signal: links.Place) -> List[str]:
    try:
        absent = [step.name for step in filters_of(signal.node) if not step.available]
        gone = missing_sources(signal.node, signal.file_path)
    except Exception:
        return []
    named = ["%s: %s" % (shown(signal.data_path), filter_sentence(absent))] if absent else []
    return named + ["%s → %s" % (shown(signal.data_path), name) for name in gone]


def _tidy(missing: List[str]) -> Tuple[str, ...]:
    return tuple(dict.fromkeys(missing))
