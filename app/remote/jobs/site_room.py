"""Room for results at a site: free space, and the user's quota where there is one. Blocking; writes nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from app.model.jobs import Space
from app.remote.jobs.store import after_mark
from app.remote.jobs.words import size_words
from app.remote.seams import Transport

_LITTLE = 500_000_000

# Sections: the nearest folder that exists, df, lfs quota, quota. Each may hang on a file server: it gets 5 s.
_ROOM = r"""
d=$1; while [ ! -e "$d" ] && [ "$d" != "${d%/*}" ]; do d=${d%/*}; done
d=${d:-/}
soon() { if command -v timeout >/dev/null; then timeout 5 "$@"; else "$@"; fi; }
printf '\036BEAMSIDE\036%s\035' "$d"
soon env LC_ALL=C df -Pk -- "$d" 2>/dev/null
printf '\035'
if command -v lfs >/dev/null 2>&1; then soon env LC_ALL=C lfs quota -q -u "$(id -un)" "$d" 2>/dev/null; fi
printf '\035'
if command -v quota >/dev/null 2>&1; then soon env LC_ALL=C quota -w -p 2>/dev/null; fi
:
"""
_COUNT = re.compile(r"\[?([0-9]+)\]?\*?")


def look_at_room(transport: Callable[[], Transport], path: PurePosixPath) -> Space:
    """The room at ``path``, or at its nearest folder that exists.

    Raises:
        LinkError, BatchError.
    """
    result = transport().run(["sh", "-c", _ROOM, "beamside", str(path)])
    return parse_room(str(path), after_mark(result).decode("utf-8", "replace"))


def parse_room(path: str, text: str) -> Space:
    """The room as the site printed it."""
    _, df, lfs, quota = [*text.split("\x1d"), "", "", "", ""][:4]
    device, total, free = _df(df)
    used, limit = _quota(lfs.split(), 0) if lfs.strip() else (None, None)
    if limit is None and device:
        for line in quota.splitlines():
            words = line.split()
            if words[:1] == [device]:
                used, limit = _quota(words, 0)
    return Space(path, free, total, used if limit is not None else None, limit)


def room_left(space: Space) -> int | None:
    """Bytes that can still be written; ``None``: not known."""
    left = [space.free] if space.free is not None else []
    if space.quota_limit is not None and space.quota_used is not None:
        left.append(max(0, space.quota_limit - space.quota_used))
    return min(left, default=None)


def room_warning(space: Space, needed: int) -> str:
    """One sentence if the room may not do for results of ``needed`` bytes or so; ``""``: it will, or is not known."""
    left = room_left(space)
    if left is None or left >= max(needed, _LITTLE):
        return ""
    quota = space.quota_limit is not None and (space.free is None or left < space.free)
    words = f"{size_words(left / 1e6)} {'of your quota are left' if quota else 'are free'} in {space.path}"
    if left == 0:
        words = f"There is no room left in {space.path}" + (" (your quota is used up)" if quota else "")
        return f"{words}: the results cannot be written."
    if needed > left:
        return f"Only {words}, and the input has {size_words(needed / 1e6)}: the results may not fit."
    return f"Only {words}: the results may not fit."


def _df(text: str) -> tuple[str, int | None, int | None]:
    lines = [line.split() for line in text.splitlines()[1:]]
    if not lines or len(lines[-1]) < 5:
        return "", None, None
    # the mount point may hold spaces, and so may the device: the numbers are found by the percent sign
    words = lines[-1]
    at = next((n for n, word in enumerate(words) if re.fullmatch(r"[0-9]+%|-", word) and n >= 4), None)
    if at is None:
        return "", None, None
    total, free = words[at - 3], words[at - 1]
    return (" ".join(words[:at - 3]), int(total) * 1024 if total.isdecimal() else None,
            int(free) * 1024 if free.isdecimal() else None)


def _quota(words: Sequence[str], name: int) -> tuple[int | None, int | None]:
    """Bytes used and allowed (the hard limit, else the soft one) in ``NAME used soft hard …`` of kilobytes."""
    counts = [_COUNT.fullmatch(word) for word in words[name + 1:name + 4]]
    if len(counts) < 3 or not all(counts):
        return None, None
    used, soft, hard = (int(match[1]) * 1024 for match in counts if match)
    return used, (hard or soft) or None
