"""What the files of jobs at a site say, read cheaply: one remote command a look, only what changed since the last.

Blocking; one look at a time (the caller's lock). The first look reads everything; later ones are told the index's
checksum, so that nothing is sent while no job came or went, and read files that changed in the folders that are still
of interest. Once in a while everything is read again. Small files are concatenated at the site by one program.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from app.model.jobs import JobState
from app.remote.jobs.names import is_job_id
from app.remote.jobs.store import JobStore, after_mark, json_object

MOST_STEPS, MOST_PARTS = 100, 100_000       # what a folder may claim, whoever wrote it
_ALL_AGAIN_S = 600.0
_MARGIN_MIN = 3             # clocks of a file server and a login node differ, and caches lag behind
_EVER_MIN = 99_999_999
_NAMES = ("job.json", "submitted", "refused", "cancelled", "final.json", "status*.json", "progress*.json",
          "usage*.json")
# A file begins with 0x1E, its path and 0x1D; folders that are not there stand between 0x1C. What is in a file cannot
# look like the beginning of another: others may be able to write in a job's folder.
_CAT = r"""{ gsub(/[\034\036]/, "?")
if (FNR == 1) { name = FILENAME; gsub(/[\034-\036]/, "?", name); printf "\036%s\035", name }
print }"""
# Of the files of parts only those of parts that the job has, by its own record: whoever else may write in its folder
# cannot make us read a million. Records that are files, an empty line, names; no other character is in those.
_OWN = r"""
function look(folder,   line) {
  seen[folder] = 1
  if (!((folder "/job.json") in records)) return
  while ((getline line < (folder "/job.json")) > 0)
    while (steps[folder] + 0 <= @STEPS@ && match(line, /"tasks": *[0-9]+/)) {
      n = substr(line, RSTART, RLENGTH)
      sub(/.*[^0-9]/, "", n)
      steps[folder]++
      if (n + 0 > tasks[folder] + 0) tasks[folder] = n + 0
      line = substr(line, RSTART + RLENGTH)
    }
  close(folder "/job.json")
}
begun == 0 && $0 != "" { records[$0]; next }
begun == 0 { begun = 1; next }
{
  at = match($0, /[^\/]*$/)
  name = substr($0, at)
  if (name !~ /^(status|progress|usage)/) { print; next }
  if (name !~ /^(status|progress|usage)(-[1-9][0-9]*)?(\.[1-9][0-9]*)?\.json$/) next
  folder = substr($0, 1, at - 2)
  if (!(folder in seen)) look(folder)
  sub(/^[a-z]+/, "", name)
  sub(/\.json$/, "", name)
  split(name, number, ".")
  step = number[1] == "" ? 1 : substr(number[1], 2) + 0
  if (step <= (steps[folder] + 0 < 1 ? 1 : steps[folder]) && step <= @STEPS@ && number[2] + 0 <= tasks[folder] + 0 &&
      ++count[folder] <= @FILES@) print
}""".replace("@STEPS@", str(MOST_STEPS)).replace("@FILES@", str(3 * (MOST_PARTS + MOST_STEPS)))
_LOOK = r"""
index=$1 known=$2 limit=$3 minutes=$4 read=$5 cat=$6 own=$7
printf '\036BEAMSIDE\036'
ids=
cd -- "$index" 2>/dev/null && ids=$(LC_ALL=C ls | tail -n "$limit")
sum=$(printf '%s\n' "$ids" | cksum)
if [ "$sum" != "$known" ]; then printf '%s\n%s\n' "$sum" "$ids"; fi
printf '\034\n'
if [ -n "$known" ]; then cat; else
  for id in $ids; do
    IFS= read -r folder <"$id" && printf '%s\0' "$folder"
  done 2>/dev/null
fi | LC_ALL=C xargs -0 -r sh -c "$read" beamside "$cat" "$minutes" "$own"
"""
_MORE = r"""
index=$1 minutes=$2 read=$3 cat=$4 own=$5
printf '\036BEAMSIDE\036\034\n'
cd -- "$index" || exit 1
while IFS= read -r id; do
  IFS= read -r folder <"$id" && printf '%s\0' "$folder"
done 2>/dev/null | LC_ALL=C xargs -0 -r sh -c "$read" beamside "$cat" "$minutes" "$own"
"""
# Ended jobs are read from two files; what is no file of a sensible size is none. Arguments: awk's program, minutes,
# awk's program that says which files are the job's own, folders.
_READ = r"""
cat=$1 minutes=$2 own=$3; shift 3
for f; do [ -d "$f" ] || printf '\034%s\034' "$f"; done
for f; do
  if [ -d "$f" ] && { [ ! -f "$f/final.json" ] || [ -L "$f/final.json" ]; }; then printf '%s\0' "$f"; fi
done | xargs -0 -r sh -c 'minutes=$1 cat=$2 own=$3; shift 3
{ find "$@" -maxdepth 1 -name job.json -type f -size -4097k
  echo
  find "$@" -maxdepth 1 "(" @NAMES@ ")" ! -name "*[!a-z0-9.-]*" -type f -size -4097k -mmin "-$minutes"; } 2>/dev/null |
  awk "$own" | tr "\n" "\0" | xargs -0 -r awk "$cat" 2>/dev/null' beamside "$minutes" "$cat" "$own"
for f; do
  if [ -f "$f/final.json" ] && [ ! -L "$f/final.json" ]; then printf '%s\0' "$f/job.json" "$f/final.json"; fi
done | xargs -0 -r sh -c 'cat=$1; shift
find "$@" -maxdepth 0 -type f -size -4097k -exec awk "$cat" {} + 2>/dev/null' beamside "$cat"
""".replace("@NAMES@", " -o ".join(f'-name "{name}"' for name in _NAMES))
_ENDS = tuple(state.value for state in JobState if state.ended)
_PART_FILE = re.compile(r"(status|progress|usage)((?:-[0-9]{1,4})?(?:\.[0-9]{1,9})?)\.json")


@dataclass(frozen=True)
class JobRecord:
    """What the files of one job say.

    Attributes:
        submitted: the outputs of the submission commands; ``None``: not there.
        status, progress, usage: of each part by its stem (:func:`app.remote.jobs.names.part_stem`).
        gone: its folder is not there (any more): the rest is what it said last.
    """

    id: str
    folder: PurePosixPath
    job: Mapping[str, Any] = field(default_factory=dict)
    submitted: str | None = None
    refused: str | None = None
    cancelled: str | None = None
    status: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    progress: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    usage: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    final: Mapping[str, Any] = field(default_factory=dict)
    gone: bool = False


class JobReader:
    """The records of one user's jobs at one site."""

    def __init__(self, store: JobStore, limit: int) -> None:
        self._store = store
        self._limit = limit
        self._sum = ""
        self._ids: list[str] = []
        self._files: dict[str, dict[str, str]] = {}
        self._folders: dict[str, PurePosixPath] = {}
        self._gone: set[str] = set()
        self._records: dict[str, JobRecord] = {}
        self._looked_at = 0.0
        self._all_at = 0.0

    def look(self, settled: Collection[str]) -> dict[str, JobRecord]:
        """The newest jobs by id; what is known of those in ``settled`` is not looked at again each time.

        Raises:
            LinkError, BatchError: nothing was learnt.
        """
        now = time.monotonic()
        if now - self._all_at > _ALL_AGAIN_S:
            self._sum = ""
        whole, minutes = not self._sum, _EVER_MIN if not self._sum else int((now - self._looked_at) / 60) + _MARGIN_MIN
        folders = [] if whole else [str(f) for i, f in self._folders.items() if i not in settled]
        result = self._store.run(_LOOK, str(self._store.index), self._sum, str(self._limit), str(minutes), _READ, _CAT,
                                 _OWN, stdin="".join(f"{f}\0" for f in folders).encode("utf-8", "surrogateescape"),
                                 timeout_s=120.0 if whole else 30.0)
        index, _, rest = after_mark(result).decode("utf-8", "surrogateescape").partition("\x1c\n")
        before = self._files
        if whole:
            self._files, self._folders, self._records, self._gone = {}, {}, {}, set()
        else:
            self._gone &= set(settled)
        changed = self._take(rest)
        self._files |= {job_id: before[job_id] for job_id in self._gone if whole and job_id in before}
        if index:
            self._sum, *ids = index.splitlines()
            self._ids = [job_id for job_id in ids if is_job_id(job_id)]
        if new := [job_id for job_id in self._ids if job_id not in self._folders and not whole]:
            result = self._store.run(_MORE, str(self._store.index), str(_EVER_MIN), _READ, _CAT, _OWN,
                                     stdin="".join(f"{i}\n" for i in new).encode())
            changed |= self._take(after_mark(result).decode("utf-8", "surrogateescape").partition("\x1c\n")[2])
        self._looked_at = now
        self._all_at = now if whole else self._all_at
        return self._build(changed)

    def drop(self, job_id: str) -> None:
        """Read everything of a job at the next look: it is another folder now."""
        for kept in (self._files, self._folders, self._records):
            kept.pop(job_id, None)
        self._gone.discard(job_id)

    def _take(self, text: str) -> set[str]:
        """Take files and missing folders out of what the site printed; the ids with news."""
        changed: set[str] = set()
        for chunk in text.split("\x1e"):
            path, mark, content = chunk.partition("\x1d")
            if not mark:
                content = chunk
            tail, *gone = content.split("\x1c")
            for folder in gone[::2]:
                if is_job_id((lost := PurePosixPath(folder)).name):
                    self._gone.add(lost.name)
                    self._folders[lost.name] = lost
                    changed.add(lost.name)
            if mark and is_job_id((file := PurePosixPath(path)).parent.name):
                job_id = file.parent.name
                self._folders[job_id] = file.parent
                self._files.setdefault(job_id, {})[file.name] = tail
                changed.add(job_id)
        return changed

    def _build(self, changed: Collection[str]) -> dict[str, JobRecord]:
        out: dict[str, JobRecord] = {}
        for job_id in self._ids:
            record = self._records.get(job_id)
            if job_id in changed or record is None or record.gone != (job_id in self._gone):
                record = self._record(job_id)
            if record is not None:
                out[job_id] = record
        self._records = out
        return dict(out)

    def _record(self, job_id: str) -> JobRecord | None:
        files, folder = self._files.get(job_id, {}), self._folders.get(job_id)
        gone, job = job_id in self._gone, json_object(files.get("job.json"))
        if folder is None or (job.get("id") != job_id and not gone):
            return None
        parts: dict[str, dict[str, Mapping[str, Any]]] = {"status": {}, "progress": {}, "usage": {}}
        for name, text in files.items():
            if match := _PART_FILE.fullmatch(name):
                parts[match[1]][match[2]] = json_object(text)
        final = json_object(files.get("final.json"))
        return JobRecord(job_id, folder, job, files.get("submitted"), files.get("refused"), files.get("cancelled"),
                         **parts, final=final if final.get("state") in _ENDS else {}, gone=gone)
