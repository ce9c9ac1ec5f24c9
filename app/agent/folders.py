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
from app.protocol.natural import natural_key

_LETTERS = {stat_module.S_IFREG: "f", stat_module.S_IFDIR: "d", stat_module.S_IFLNK: "l"}


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
        with os.scandir(folder) as found:
            rows = [_row(item) for item in found]
    except OSError as error:
        raise error_of(error, folder) from None
    rows.sort()
    links = [[position, row[6], row[7]] for position, row in enumerate(rows) if row[3] == "l"]
    return {"path": folder, "names": packed_names([row[2] for row in rows]),
            "kinds": "".join([row[3] for row in rows]), "sizes": [row[4] for row in rows],
            "times": packed_times([row[5] for row in rows]), "links": links}


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


def _row(item: "os.DirEntry[str]") -> Tuple[Any, ...]:
    """(no folder, natural key, name, letter, size, time in ns, target, kind of the target): rows sort as shown."""
    key, name = natural_key(item.name)
    try:
        status = item.stat(follow_symlinks=False)
    except OSError:
        return (True, key, name, "o", None, None, None, None)
    letter = _LETTERS.get(stat_module.S_IFMT(status.st_mode), "o")
    if letter == "l":
        target, kind = _link(item.path)
        return (kind != "folder", key, name, letter, status.st_size, status.st_mtime_ns, target, kind)
    size = None if letter == "d" else status.st_size
    return (letter != "d", key, name, letter, size, status.st_mtime_ns, None, None)


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
