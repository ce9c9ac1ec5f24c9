"""A file and the node in it, in few words: what tells one input from another stays. Pure; any thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator


def shortened_place(text: str, fits: Callable[[str], bool]) -> str:
    """``…/spheres_0001.nxs::/entry/…/data``: as much of ``FILE::/node`` as fits, the file's name before its folders,
    and the node's ends before what is between them. The shortest of these where none fits."""
    shorter = text
    for shorter in _from_long_to_short(text):
        if fits(shorter):
            break
    return shorter


def _from_long_to_short(text: str) -> Iterator[str]:
    file, mark, node = text.partition("::")
    folder, slash, name = file.rpartition("/")
    folders = [part for part in folder.split("/") if part]
    yield text
    for left_out in range(1, len(folders) + 1):
        kept = "/".join(["…", *folders[left_out:], name])
        yield f"{kept}{mark}{node}"
    name = f"…/{name}" if slash and folders else f"{slash}{name}"
    parts = [part for part in node.split("/") if part]
    for kept_parts in range(len(parts) - 2, 0, -1):
        yield f"{name}{mark}/{'/'.join(parts[:kept_parts])}/…/{parts[-1]}"
    if len(parts) > 1:
        yield f"{name}{mark}…/{parts[-1]}"
