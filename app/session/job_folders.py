"""What a job's folder holds for the person: its results before the files that it worked with. Pure; any thread."""

from __future__ import annotations

import fnmatch

from app.model.nodes import EntryKind, FolderEntry, FolderListing

WORKING_TITLE = "Files of the job"
_SIGNS = frozenset({"job.json", "parameters.json"})
_WORKING_FILES = ("*.py", "*.sh", "job*.log", "job.json", "parameters.json", "environment.json", "final.json",
                  "status*.json", "progress*.json", "usage*.json", "submitted", "refused", "cancelled")
_WORKING_FOLDERS = frozenset({"__pycache__", "trial"})


def is_job_folder(listing: FolderListing) -> bool:
    """Whether these are the files of one of our jobs."""
    return {entry.name for entry in listing.entries} >= _SIGNS


def is_working_file(entry: FolderEntry) -> bool:
    """Whether a job was made of it or keeps its record there; all else in its folder is a result or somebody's own."""
    if entry.kind is EntryKind.FOLDER:
        return entry.name in _WORKING_FOLDERS
    return any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in _WORKING_FILES)
