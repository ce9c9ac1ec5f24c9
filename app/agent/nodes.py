"""The tree of an HDF5 file as JSON node objects, exactly as docs/cli.md describes ``tree``.

Runs in a worker process of the agent, in one thread. Nothing a file contains may throw out of the walk: what cannot
be read is listed as ``unreadable`` and hides no other. Soft and external links are listed, never walked into.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import h5py
from h5py import h5d, h5l, h5o, h5s

from app.agent import links
from app.agent.attributes import attributes_of, get_text, sentence, text_of, value_json
from app.agent.object_headers import ObjectHeaders
from app.agent.sources import filters_of, is_virtual, trouble_with

Node = Dict[str, Any]


def walk(place: links.Place, depth: Optional[int], attributes: bool) -> List[Node]:
    """``place`` and everything below it to ``depth`` levels (``None``: all), depth first in natural order."""
    first_paths = {}  # type: Dict[str, str]
    headers = ObjectHeaders.of(place.node)
    try:
        described = describe(place.node, place.data_path, place.file_path, attributes)
    except Exception as error:
        described = {"path": place.data_path, "kind": "unreadable", "error": sentence(error)}
    first_paths[described.get("object", "")] = place.data_path
    found = [described]
    stack = []  # type: List[Tuple[Any, str, Any]]
    if isinstance(place.node, h5py.Group) and depth != 0:
        stack.append((place.node, place.data_path, iter(_names(place.node, described))))
    while stack:
        group, path, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        described, child = describe_link(group, links.join(path, name), name, place.file_path, attributes, headers)
        found.append(described)
        if child is None:
            continue
        known = first_paths.setdefault(described.get("object", ""), described["path"])
        if known != described["path"]:
            described["same_as"] = known
        elif isinstance(child, h5py.Group) and (depth is None or len(stack) < depth):
            stack.append((child, described["path"], iter(_names(child, described))))
    return found


def children(place: links.Place, path: str, attributes: bool) -> List[Node]:
    """One level for the tree on screen: the links of a group under ``path``, each with what it leads to."""
    holder = {}  # type: Node
    found = []  # type: List[Node]
    first_paths = {}  # type: Dict[str, str]
    headers = ObjectHeaders.of(place.node)
    for name in _names(place.node, holder):
        node, child = describe_link(place.node, links.join(path, name), name, place.file_path, attributes,
                                    headers)
        if child is not None:
            known = first_paths.setdefault(node.get("object", ""), node["path"])
            if known != node["path"]:
                node["same_as"] = known
        elif node["kind"] in ("soft_link", "external_link") and not node["broken"]:
            child = _follow(node, place, name, attributes)
        if isinstance(child, h5py.Group):
            node["has_children"] = _has_children(child)
            title = _title(child, node.get("nx_class", ""))
            if title:
                node["title"] = title
        found.append(node)
    if "error" in holder:
        found.append({"path": links.join(path, "?"), "kind": "unreadable", "error": holder["error"]})
    return found


def describe_link(group: Any, path: str, name: str, file_path: str, attributes: bool,
                  headers: Optional[ObjectHeaders] = None) -> Tuple[Node, Any]:
    """The node object of one link, and what it leads to if it is a readable hard link: an h5py Group or something else.

    ``headers``: of the file of the group, if its bytes may be read.
    """
    try:
        kind = links.link_class(group, name)
        if kind == h5l.TYPE_SOFT:
            return {"path": path, "kind": "soft_link", "target": links.soft_target(group, name),
                    "broken": not _opens(group, name)}, None
        if kind == h5l.TYPE_EXTERNAL:
            target = "%s::%s" % links.external_target(group, name)
            return {"path": path, "kind": "external_link", "target": target,
                    "broken": not _opens(group, name)}, None
        if kind != h5l.TYPE_HARD:
            return {"path": path, "kind": "unreadable", "error": "a user-defined link of class %d" % kind}, None
        opened = h5o.open(group.id, links.encoded(name))
        if headers is not None and isinstance(opened, h5d.DatasetID):
            simple = _describe_simple(opened, path, attributes, headers)
            if simple is not None:
                return simple, opened
        child = links.wrap(opened)
    except Exception as error:
        return {"path": path, "kind": "unreadable", "error": sentence(error)}, None
    try:
        return describe(child, path, file_path, attributes), child
    except Exception as error:
        return {"path": path, "kind": "unreadable", "error": sentence(error)}, None


def describe(node: Any, path: str, file_path: str, attributes: bool) -> Node:
    """The node object of an open group, dataset or named type."""
    described = {"path": path, "kind": kind_of(node), "object": object_of(node)}  # type: Node
    if isinstance(node, h5py.Dataset):
        _describe_dataset(node, described, file_path)
    elif isinstance(node, h5py.Datatype):
        described["dtype"] = _dtype_text(node, described)
    found = attributes_of(node) if attributes else None
    _add_attributes(described, found, node)
    return described


def _describe_simple(opened: Any, path: str, attributes: bool, headers: ObjectHeaders) -> Optional[Node]:
    """As :func:`describe`, of an unchunked dataset whose header says it all; ``None``: it does not."""
    address = int(h5o.get_info(opened).addr)
    header = headers.read(address)
    if header is None:
        return None
    described = {"path": path, "kind": "dataset", "object": str(address), "shape": header.dataset.shape}  # type: Node
    if header.dataset.maxshape is not None:
        described["maxshape"] = header.dataset.maxshape
    described["dtype"] = header.dataset.dtype
    _add_attributes(described, header.attributes, None)
    if not attributes:
        del described["attributes"]
    return described


def _add_attributes(described: Node, found: Optional[Node], node: Any) -> None:
    """``found``: all attributes, which are told; ``None``: only the two that everybody wants, asked of ``node``."""
    for key, name in (("nx_class", "NX_class"), ("units", "units")):
        text = get_text(node, name) if found is None else text_of(found.get(name))
        if text:
            described[key] = text
    if found is not None:
        described["attributes"] = found


def kind_of(node: Any) -> str:
    """``group``, ``dataset`` or ``named_type``."""
    if isinstance(node, h5py.Group):
        return "group"
    return "dataset" if isinstance(node, h5py.Dataset) else "named_type"


def object_of(node: Any) -> str:
    """What identifies the object in its file, whatever path led to it."""
    return str(int(h5o.get_info(node.id).addr))


def _describe_dataset(dataset: Any, described: Node, file_path: str) -> None:
    space = dataset.id.get_space()
    if space.get_simple_extent_type() == h5s.NULL:
        described["shape"] = None
    else:
        described["shape"] = [int(n) for n in space.get_simple_extent_dims()]
        described["maxshape"] = [None if n in (h5s.UNLIMITED, 2 ** 64 - 1) else int(n)
                                 for n in space.get_simple_extent_dims(True)]
    described["dtype"] = _dtype_text(dataset, described)
    if described["dtype"] is None:
        del described["dtype"]
    plist = dataset.id.get_create_plist()
    if plist.get_layout() == h5py.h5d.CHUNKED:
        described["chunks"] = [int(n) for n in plist.get_chunk()]
        filters = filters_of(dataset)
        described["filters"] = [{"id": step.id, "name": step.name} for step in filters]
        if all(step.available for step in filters):
            return
    elif plist.get_layout() != h5py.h5d.VIRTUAL and not plist.get_external_count():
        return
    trouble = trouble_with(dataset, file_path)
    if trouble:
        described.setdefault("error", trouble)
    if is_virtual(dataset) and trouble:
        described["broken"] = True


def _dtype_text(node: Any, described: Node) -> Optional[str]:
    try:
        return str(node.dtype)
    except Exception as error:
        described["error"] = "Its type has no counterpart here: %s" % sentence(error)
        return None


def _names(group: Any, described: Node) -> List[str]:
    try:
        return links.child_names(group)
    except Exception as error:
        described["error"] = "Its contents cannot be listed: %s" % sentence(error)
        return []


def _opens(group: Any, name: str) -> bool:
    try:
        h5o.open(group.id, links.encoded(name))
    except Exception:
        return False
    return True


def _follow(node: Node, place: links.Place, name: str, attributes: bool) -> Any:
    try:
        end = links.resolve_from(place, name)
        described = describe(end.node, node["path"], end.file_path, attributes)
    except Exception as error:
        node["error"] = sentence(error)
        return None
    node["leads_to"] = described["kind"]
    for key in ("nx_class", "shape", "dtype", "chunks", "maxshape", "filters", "units", "error", "attributes"):
        if key in described:
            node[key] = described[key]
    return end.node


def _has_children(group: Any) -> bool:
    try:
        return bool(group.id.get_num_objs())
    except Exception:
        return False


def _title(group: Any, nx_class: str) -> str:
    if nx_class not in ("NXentry", "NXsubentry"):
        return ""
    for name in ("title", "start_time"):
        text = text_dataset(group, name)
        if text:
            return text
    return ""


def text_dataset(group: Any, name: str) -> str:
    """The text of a small string dataset of a group; ``""`` if there is none."""
    try:
        node = links.open_child(group, name)
        if not isinstance(node, h5py.Dataset) or node.size != 1:
            return ""
        value = value_json(node[()])
    except Exception:
        return ""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value.strip() if isinstance(value, str) else ""
