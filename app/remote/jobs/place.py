"""Where a job's folder goes: the visit's processed tree, else the user's home; never the raw data. Pure; any thread."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.errors import PermissionError_
from app.model.site import DataSettings

# Batch systems expand the first two in a job's folder; the index has a line for each job, and separators.
_REWRITTEN = re.compile(r"[%\\\x00-\x1f\x7f]")


@dataclass(frozen=True)
class JobPlace:
    """A folder for job folders. ``visit``: the visit it belongs to, ``raw``: that visit's raw data, if it has some."""

    folder: PurePosixPath
    visit: PurePosixPath | None = None
    raw: PurePosixPath | None = None


def job_place(home: PurePosixPath, data: DataSettings, file_path: PurePosixPath) -> JobPlace:
    """Where a job on ``file_path`` belongs, without its id: its visit's processed tree, else the user's home.

    A visit's folder whose name the batch system would rewrite is not used, nor one where results have no known place.

    Raises:
        PermissionError_: the profile's place for results is inside the raw data, or outside of the visit.
    """
    for root in data.roots if data.processed else ():
        pattern = re.sub(r"\\\{[^{}]*\\\}", "[^/]+", re.escape(root.rstrip("/")))
        match = re.match(f"({pattern})/", str(file_path))
        if match and not _REWRITTEN.search(match.group(1)):
            visit = PurePosixPath(match.group(1))
            place = JobPlace(visit / data.processed / "beamside", visit, visit / data.raw if data.raw else None)
            if ".." in place.folder.parts or PurePosixPath(data.processed).is_absolute() \
                    or (place.raw and inside(place.folder, place.raw)):
                raise raw_place(place.folder)
            return place
    return JobPlace(home_folder(home))


def home_folder(home: PurePosixPath) -> PurePosixPath:
    return home / "beamside-jobs"


def inside(path: PurePosixPath, folder: PurePosixPath) -> bool:
    """Whether ``path`` is ``folder`` or in it."""
    return path == folder or folder in path.parents


def raw_place(folder: PurePosixPath) -> PermissionError_:
    return PermissionError_(
        f"Results would be written to {folder}, which is among the raw data or outside of the visit.",
        remedy="Correct [data] processed in the site's profile: raw data is never written to.")
