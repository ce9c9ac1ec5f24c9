"""Folders and files as the operating system tells them: ``list_folder``, ``stat``, generations. Front's file threads.

Standard library only; never opens a file, never follows a link to list it.
"""

from __future__ import annotations

import errno
import os
import stat as stat_module
from typing import Any, Dict, List, Optional, Tuple

from app.agent import numbered
from app.protocol.errors import WireError
from app.protocol.folder_columns import packed_names, packed_times
from app.protocol.natural import natural_order

_LETTERS = {stat_module.S_IFREG: "f", stat_module.S_IFDIR: "d", stat_module.S_IFLNK: "l"}
_FOLDER_ONLY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NONBLOCK", 0)
_FORMAT = stat_module.S_IFMT(0xFFFF)

# Names, letters, sizes, times in ns, links.
Columns = Tuple[List[str], List[str], List[Optional[int]], List[Optional[int]],
                Dict[int, Tuple[Optional[str], Optional[str]]]]


def resolve(path: str) -> str:
    """The absolute path: ``~`` is the home of the agent's user, relative ones begin there.

    Raises:
        WireError: it cannot be a path.
    """
    if "\0" in path:
        raise WireError("not_found", "A path cannot contain a zero byte.", "", "Check the path.")
    expanded = os.path.expanduser(path)
    return os.path.normpath(os.path.join(os.path.expanduser("~"), expanded))


def list_folder(path: str) -> Dict[str, Any]:
    """The folder's ``path`` and its entries as columns, folders (and links to folders) first, in natural order.

    ``names``, ``kinds`` (a letter each: ``f`` file, ``d`` folder, ``l`` link, ``o`` other), ``sizes`` and ``times`` (of
    modification, in ns); ``links`` says ``[position, target, kind of the target]`` of those that are links. Columns,
    because twenty thousand objects take ten times as long to write and to read; names and times as
    ``app.protocol.folder_columns`` packs them.
    """
    folder = resolve(path)
    try:
        names, letters, sizes, times, links = _look_through(folder)
    except OSError as error:
        raise error_of(error, folder) from None
    order = natural_order(names)
    if "d" in letters or links:
        is_folder = [letter == "d" for letter in letters]
        for position, (_, kind) in links.items():
            is_folder[position] = kind == "folder"
        order = [n for n in order if is_folder[n]] + [n for n in order if not is_folder[n]]
    return {"path": folder, "names": packed_names([names[n] for n in order]),
            "kinds": "".join([letters[n] for n in order]), "sizes": [sizes[n] for n in order],
            "times": packed_times([times[n] for n in order]),
            "links": [[place, *links[n]] for place, n in enumerate(order) if n in links] if links else []}


def stat(path: str) -> Dict[str, Any]:
    """One entry, and what it leads to: ``{"path", "name", "kind", "size", "mtime", "generation", …}``."""
    place = resolve(path)
    series = numbered.generation(place) if not os.path.lexists(place) else None
    if series is not None:
        return {"path": place, "name": os.path.basename(place), "kind": "file", "size": None,
                "mtime": series[1] / 1e9, "target": None, "target_kind": None, "generation": series}
    try:
        status = os.lstat(place)
        entry = _described(os.path.basename(place), place, status)
        entry["path"] = place
        entry["generation"] = generation(place)
    except OSError as error:
        raise error_of(error, place) from None
    return entry


def generation(path: str) -> Optional[List[int]]:
    """``[size, mtime_ns]`` of what the path leads to, or of a numbered series; ``None``: it is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return numbered.generation(path)
    return [status.st_size, status.st_mtime_ns]


def error_of(error: OSError, path: str) -> WireError:
    """The sentence for an operating system error."""
    shown = path.encode("utf-8", "backslashreplace").decode("utf-8")
    detail = "%s (errno %s)" % (error.strerror, error.errno)
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return WireError("not_found", "“%s” is not there." % shown, detail, "Check the path, or reload the folder.")
    if error.errno == errno.ENOTDIR:
        return WireError("not_found", "“%s” is not a folder." % shown, detail, "Name a folder.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return WireError("permission", "You may not read “%s”." % shown, detail,
                         "Ask its owner or the facility for access.")
    if error.errno == errno.ENAMETOOLONG:
        return WireError("not_found", "A name in “%s…” is too long to exist." % shown[:80], detail,
                         "Check the path.")
    if error.errno == errno.ELOOP:
        return WireError("not_found", "The links at “%s” lead in a circle." % shown, detail,
                         "Name the folder that is meant, or ask the owner of the links.")
    return WireError("data", "“%s” could not be read." % shown, detail, "Try again later.")


def _look_through(folder: str) -> Columns:
    """What is in a folder, unordered, and ``(target, kind of the target)`` of those that are links.

    Through a descriptor, where there are such: the system then looks for each name in the folder, not from the root.
    Columns, not rows: the collector of garbage would look at every row several times.
    """
    place: Any = os.open(folder, _FOLDER_ONLY) if os.scandir in os.supports_fd else folder
    names, letters, sizes, times = [], [], [], []  # type: List[str], List[str], List[Optional[int]], List[Optional[int]]
    links: Dict[int, Tuple[Optional[str], Optional[str]]] = {}
    try:
        with os.scandir(place) as found:
            for item in found:
                name = item.name
                names.append(name)
                try:
                    status = item.stat(follow_symlinks=False)
                except OSError:
                    letters.append("o")
                    sizes.append(None)
                    times.append(None)
                    continue
                letter = _LETTERS.get(status.st_mode & _FORMAT, "o")
                letters.append(letter)
                sizes.append(None if letter == "d" else status.st_size)
                times.append(status.st_mtime_ns)
                if letter == "l":
                    links[len(names) - 1] = _link(os.path.join(folder, name))
    finally:
        if place is not folder:
            os.close(place)
    return names, letters, sizes, times, links


def _described(name: str, path: str, status: os.stat_result) -> Dict[str, Any]:
    kind = _kind(status.st_mode)
    target, target_kind = _link(path) if kind == "link" else (None, None)
    return {"name": name, "kind": kind, "size": None if kind == "folder" else status.st_size,
            "mtime": status.st_mtime_ns / 1e9, "target": target, "target_kind": target_kind}


def _link(path: str) -> Tuple[Optional[str], Optional[str]]:
    try:
        target = os.readlink(path)
    except OSError:
        return None, None
    try:
        return target, _kind(os.stat(path).st_mode)
    except OSError:
        return target, None


def _kind(mode: int) -> str:
    if stat_module.S_ISREG(mode):
        return "file"
    if stat_module.S_ISDIR(mode):
        return "folder"
    return "link" if stat_module.S_ISLNK(mode) else "other"
