"""Paths inside HDF5 files: finding nodes through soft and external links, and saying where a link breaks.

Runs in a worker process of the agent, in one thread. Works on h5py's low level with names as bytes, since names
need not be UTF-8: outside this module they are ``str`` with surrogate escapes. Never reads data.
"""

from __future__ import annotations

import os
from typing import Any, List, NamedTuple, Tuple

import h5py
from h5py import h5g, h5l, h5o

from app.protocol.natural import natural_key

MAX_LINKS = 64  # a chain longer than this is a loop
IN_MEMORY = "\x1fin memory "  # between the path of a file and what tells its copies in memory apart


class Place(NamedTuple):
    """A node where it really lies: ``node`` (h5py Group, Dataset or Datatype), its file and its resolved path."""

    node: Any
    file_path: str
    data_path: str


class BrokenLink(Exception):
    """A path that leads nowhere; ``where`` is the link or name that does not exist, ``target`` what it points to."""

    def __init__(self, where: str, target: str = "") -> None:
        super().__init__(where)
        self.where = where
        self.target = target

    def __str__(self) -> str:
        return "%s → %s" % (self.where, self.target) if self.target else self.where


def encoded(name: str) -> bytes:
    """A name as HDF5 stores it."""
    return name.encode("utf-8", "surrogateescape")


def decoded(name: bytes) -> str:
    """A stored name as text, undecodable bytes as surrogate escapes."""
    return name.decode("utf-8", "surrogateescape")


def join(path: str, name: str) -> str:
    """``/a`` + ``b`` → ``/a/b``."""
    return ("" if path == "/" else path) + "/" + name


def parent_of(path: str) -> str:
    """``/a/b`` → ``/a``; ``/a`` → ``/``."""
    return path.rsplit("/", 1)[0] or "/"


def child_names(group: Any) -> List[str]:
    """Names of a group's links in natural order; those that can be listed when the group is damaged."""
    names = []  # type: List[bytes]
    group.id.links.iterate(lambda name: names.append(bytes(name)))
    return sorted((decoded(name) for name in names), key=natural_key)


def link_class(group: Any, name: str) -> int:
    """One of h5l.TYPE_HARD, TYPE_SOFT, TYPE_EXTERNAL or a user-defined class."""
    return int(group.id.links.get_info(encoded(name)).type)


def soft_target(group: Any, name: str) -> str:
    """The path text of a soft link."""
    return decoded(group.id.links.get_val(encoded(name)))


def external_target(group: Any, name: str) -> Tuple[str, str]:
    """(file name as stored, absolute path in that file) of an external link."""
    file_name, path = group.id.links.get_val(encoded(name))
    return decoded(file_name), "/" + decoded(path).strip("/")


def wrap(identifier: Any) -> Any:
    """The h5py object of a low-level identifier."""
    if isinstance(identifier, h5g.GroupID):
        return h5py.Group(identifier)
    if isinstance(identifier, h5py.h5d.DatasetID):
        return h5py.Dataset(identifier)
    return h5py.Datatype(identifier)


def open_child(group: Any, name: str) -> Any:
    """The node a link of ``group`` leads to; raises what HDF5 raises (KeyError, OSError, RuntimeError …)."""
    return wrap(h5o.open(group.id, encoded(name)))


def file_of(node: Any) -> str:
    """The absolute path of the file a node lies in; of a file in memory, that of the one it stands for."""
    return os.path.abspath(os.fsdecode(h5py.h5f.get_name(node.id)).partition(IN_MEMORY)[0])


def resolve(file: Any, path: str) -> Place:
    """Follow ``path`` from the root of ``file`` through every soft and external link.

    Raises:
        BrokenLink: something on the way does not exist.
    """
    return _resolve(h5py.Group(file["/"].id), file_of(file), path, 0)


def resolve_from(place: Place, path: str) -> Place:
    """As :func:`resolve`; a relative ``path`` starts at ``place`` (a group)."""
    root = place.node if place.data_path == "/" else wrap(h5o.open(place.node.id, b"/"))
    return _resolve(root, place.file_path, path if path.startswith("/") else join(place.data_path, path), 0)


def _resolve(root: Any, file_path: str, path: str, followed: int) -> Place:
    node, here = root, "/"
    parts = [part for part in path.split("/") if part not in ("", ".")]
    for position, part in enumerate(parts):
        if not isinstance(node, h5py.Group):
            raise BrokenLink(join(here, part))
        rest = "/".join(parts[position + 1:])
        child = join(here, part)
        try:
            kind = link_class(node, part)
            if kind == h5l.TYPE_HARD:
                node, here = open_child(node, part), child
                continue
            target = _target_text(node, part, kind)
        except Exception as error:
            raise BrokenLink(child) from error
        if followed >= MAX_LINKS:
            raise BrokenLink(child, target)
        try:
            if kind == h5l.TYPE_SOFT:
                text = soft_target(node, part)
                onward = text if text.startswith("/") else join(here, text)
                place = _resolve(root, file_path, onward, followed + 1)
            elif kind == h5l.TYPE_EXTERNAL:
                landed = open_child(node, part)
                place = _resolve(wrap(h5o.open(landed.id, b"/")) if isinstance(landed, h5py.Group)
                                 else h5py.Group(landed.file["/"].id),
                                 file_of(landed), external_target(node, part)[1], followed + 1)
            else:
                raise BrokenLink(child, target)
        except Exception as error:
            raise BrokenLink(child, target) from error
        if not rest:
            return place
        return _resolve_rest(place, rest, followed + 1)
    return Place(node, file_path, here)


def _resolve_rest(place: Place, rest: str, followed: int) -> Place:
    if not isinstance(place.node, h5py.Group):
        raise BrokenLink(join(place.data_path, rest))
    root = h5py.Group(h5o.open(place.node.id, b"/"))
    return _resolve(root, place.file_path, join(place.data_path, rest), followed)


def _target_text(group: Any, name: str, kind: int) -> str:
    if kind == h5l.TYPE_SOFT:
        return soft_target(group, name)
    if kind == h5l.TYPE_EXTERNAL:
        return "%s::%s" % external_target(group, name)
    return "link of class %d" % kind
