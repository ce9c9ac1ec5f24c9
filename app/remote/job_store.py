"""The record of jobs at a site: a folder per job, and the user's index of them. Blocking; any thread.

A job's folder holds what was asked (``job.json``, ``parameters.json``, ``job.sh``, ``run.py``), what the batch system
answered (``submitted``: the output of its submission command), what the job says of itself (``status.json``,
``progress.json``, ``job.log``) and, once known, its end (``final.json``). Every file appears complete, by a rename.
``~/.local/share/beamside/jobs/<id>`` is one line, the folder's path, so that all clients of a user see the same jobs.

One remote command unpacks the folder, claims it by a rename and submits, detached from the connection. A link that
dies leaves either no folder (no job) or a folder whose submission goes on by itself: the same command may be sent
again, since the second to claim the folder does not submit. Nothing from a user is part of a shell's program text:
the programs are the constants below, everything else are their arguments.
"""

from __future__ import annotations

import io
import json
import re
import secrets
import tarfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from app.errors import BatchError, BeamsideError, PermissionError_, StorageFullError
from app.model.site import DataSettings
from app.remote.seams import CommandResult, Transport

LOG = "job.log"
SCRIPT = "job.sh"
_MARK = b"\x1eBEAMSIDE\x1e"
_RECORD_FILES = ("job.json", "submitted", "refused", "cancelled", "status.json", "progress.json", "final.json")
_NOT_WRITTEN = 81
_REWRITTEN = frozenset("%\\\n")    # Slurm expands the first two in a job's folder; the index has a line per job
_SUBMIT_TIMEOUT_S = 90.0

_SUBMIT = r"""
parent=$1 id=$2 index=$3 token=$4 inner=$5; shift 5
folder=$parent/$id; part=$parent/.$id.$token
if [ -d "$folder" ]; then
  cat >/dev/null
else
  mkdir -p -- "$parent" && mkdir -- "$part" && tar -xf - --no-same-owner -C "$part" && [ -f "$part/job.json" ] || {
    rm -rf -- "$part"; exit 81; }
  mv -T -- "$part" "$folder" 2>/dev/null || { rm -rf -- "$part"; [ -d "$folder" ] || exit 81; }
fi
( umask 077 && mkdir -p -- "$index" && printf '%s\n' "$folder" >"$index/.$id.$token" &&
  mv -f -- "$index/.$id.$token" "$index/$id" ) || { [ -d "$folder/.submit" ] || rm -rf -- "$folder"; exit 81; }
setsid sh -c "$inner" beamside "$folder" "$@" </dev/null >/dev/null 2>&1 &
wait "$!"
n=0
until [ -e "$folder/submitted" ] || [ -e "$folder/refused" ] || [ "$n" -ge 25 ]; do sleep 1; n=$((n+1)); done
printf '\036BEAMSIDE\036'
for f in submitted refused; do
  if [ -e "$folder/$f" ]; then printf '%s\036' "$f"; cat -- "$folder/$f"; break; fi
done
"""
_SUBMIT_DETACHED = r"""
trap '' HUP INT TERM
cd -- "$1" || exit 1
shift
[ ! -e cancelled ] && mkdir .submit 2>/dev/null || exit 0
if "$@" </dev/null >.submit/out 2>.submit/errors
then mv -f .submit/out submitted
elif [ "$?" -le 128 ]; then mv -f .submit/errors refused      # above: it was killed, perhaps after the job was taken
fi
"""
_RECORDS = r"""
index=$1 limit=$2; shift 2; names=$*
IFS= read -r skip
printf '\036BEAMSIDE\036'
cd -- "$index" 2>/dev/null || exec tar -cf - -T /dev/null
set -- *
[ "$#" -le "$limit" ] || shift "$(($# - limit))"
for id; do
  [ -f "$id" ] || continue
  printf '%s\0' "$index/$id"
  case " $skip " in *" $id "*) continue;; esac
  IFS= read -r folder <"$id" || continue
  for n in $names; do if [ -f "$folder/$n" ]; then printf '%s\0' "$folder/$n"; fi; done
done | tar -cPf - --null -T - --ignore-failed-read 2>/dev/null
"""
_PROBE = r"""
printf '\036BEAMSIDE\036'
for p; do
  d=$p; while [ ! -e "$d" ] && [ "$d" != "${d%/*}" ]; do d=${d%/*}; done
  if [ -e "$p" ]; then e=there; else e=absent; fi
  if [ -r "$p" ]; then r=readable; else r=closed; fi
  if [ -d "${d:-/}" ] && [ -w "${d:-/}" ]; then w=writable; else w=fixed; fi
  printf '%s %s %s\n' "$e" "$r" "$w"
done
"""
_WRITE = r"""cd -- "$1" && { cat >".$2.$3" && mv -f -- ".$2.$3" "$2" || { rm -f -- ".$2.$3"; exit 1; }; }"""
_TAILS = r"""
lines=$1; shift
printf '\036BEAMSIDE\036'
for f; do printf '\035'; tail -n "$lines" -- "$f" 2>/dev/null | tail -c 20000; done
"""
_REMOVE = r"""rm -rf -- "$1" && rm -f -- "$2" """


@dataclass(frozen=True)
class JobRecord:
    """What the files of one job say. ``submitted`` is the submission command's output, ``None``: not there."""

    id: str
    folder: PurePosixPath
    job: Mapping[str, Any] = field(default_factory=dict)
    submitted: str | None = None
    refused: str | None = None
    cancelled: bool = False
    status: Mapping[str, Any] = field(default_factory=dict)
    progress: Mapping[str, Any] = field(default_factory=dict)
    final: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """The answer to a submission: ``kind`` submitted, refused or ``""`` (still under way), and the words with it."""

    kind: str
    text: str


@dataclass(frozen=True)
class PathState:
    """What is known of a path at the site; ``writable``: it, or its nearest folder that exists, can be written."""

    exists: bool
    readable: bool
    writable: bool


class JobStore:
    """Job folders and the index of one user at one site, over ``Transport.run``."""

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._transport = transport

    @property
    def home(self) -> PurePosixPath:
        return self._transport().home

    def probe(self, paths: Sequence[PurePosixPath]) -> list[PathState]:
        result = self._sh(_PROBE, *(str(p) for p in paths))
        lines = _after_mark(result).decode("utf-8", "replace").splitlines()
        return [PathState("there" in w, "readable" in w, "writable" in w) for w in (line.split() for line in lines)]

    def submit(self, folder: PurePosixPath, files: Mapping[str, str], argv: Sequence[str]) -> Submission:
        """Create ``folder`` with ``files`` and run ``argv`` in it, once however often this is called.

        Raises:
            LinkError: the connection failed; whether the job exists is not known, calling again is safe.
            StorageFullError, PermissionError_, BatchError: nothing was created.
        """
        home = self.home
        result = self._sh(_SUBMIT, str(folder.parent), folder.name, str(_index(home)), secrets.token_hex(4),
                          _SUBMIT_DETACHED, *argv, stdin=_tar(files), timeout_s=_SUBMIT_TIMEOUT_S)
        if result.exit_code == _NOT_WRITTEN:
            raise not_written(folder, result.error_text)
        kind, _, text = _after_mark(result).decode("utf-8", "replace").partition("\x1e")
        return Submission(kind, text)

    def records(self, finished: Collection[str], limit: int) -> dict[str, JobRecord | None]:
        """The newest ``limit`` jobs by id; ``None`` for those in ``finished``, which are not read again."""
        home = self.home
        skip = " ".join(finished).encode() + b"\n"
        result = self._sh(_RECORDS, str(_index(home)), str(limit), *_RECORD_FILES, stdin=skip)
        return _parse_records(_after_mark(result), _index(home), finished)

    def write(self, folder: PurePosixPath, name: str, text: str) -> None:
        """Write one file of a job's folder, by a rename."""
        result = self._sh(_WRITE, str(folder), name, secrets.token_hex(4), stdin=text.encode())
        if result.exit_code:
            raise not_written(folder, result.error_text)

    def log_tails(self, folders: Sequence[PurePosixPath], lines: int) -> list[str]:
        """The last lines of each job's log, ``""`` where there is none."""
        if not folders:
            return []
        result = self._sh(_TAILS, str(lines), *(str(f / LOG) for f in folders))
        texts = _after_mark(result).decode("utf-8", "replace").split("\x1d")[1:]
        return [*texts, *[""] * len(folders)][:len(folders)]

    def remove(self, folder: PurePosixPath) -> None:
        """Take a job's folder and index entry away: it was refused, so there is no job."""
        self._sh(_REMOVE, str(folder), str(_index(self.home) / folder.name))

    def _sh(self, program: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        return self._transport().run(["sh", "-c", program, "beamside", *arguments], stdin=stdin, timeout_s=timeout_s)


def new_job_id() -> str:
    """A unique name that sorts by time: ``20261122-103004-1f09ac``."""
    return time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(3)


def job_folder(home: PurePosixPath, data: DataSettings, file_path: PurePosixPath) -> PurePosixPath:
    """Where a job on ``file_path`` belongs, without its id: its visit's processed tree, else the user's home.

    A visit's folder whose name the batch system would rewrite is not used, nor one where results have no known place.
    """
    for root in data.roots if data.processed else ():
        pattern = re.sub(r"\\\{[^{}]*\\\}", "[^/]+", re.escape(root.rstrip("/")))
        match = re.match(f"({pattern})/", str(file_path))
        if match and not _REWRITTEN & set(match.group(1)):
            return PurePosixPath(match.group(1)) / data.processed / "beamside"
    return home_folder(home)


def home_folder(home: PurePosixPath) -> PurePosixPath:
    return home / "beamside-jobs"


def not_written(folder: PurePosixPath, errors: str) -> BeamsideError:
    """Why a job's folder could not be written, as an error to raise."""
    if re.search(r"no space left|quota exceeded", errors, re.I):
        return StorageFullError(f"There is no space left to write the job's folder {folder}.", errors.strip(),
                                "Free some space or quota there and submit again; nothing was submitted.")
    if re.search(r"permission denied|read-only|not permitted", errors, re.I):
        return PermissionError_(f"You may not write the job's folder {folder}.", errors.strip(),
                                "Ask the facility for the right to write there; nothing was submitted.")
    return BatchError(f"The job's folder {folder} could not be written.", errors.strip(),
                      "Look at the details, or show them to the facility's support.")


def _index(home: PurePosixPath) -> PurePosixPath:
    return home / ".local/share/beamside/jobs"


def _after_mark(result: CommandResult) -> bytes:
    """Standard output after our mark: login scripts may print before it."""
    before, mark, after = result.stdout.partition(_MARK)
    if not mark:
        raise BatchError(f"The site did not run a command as expected (exit code {result.exit_code}).",
                         (result.error_text or before.decode("utf-8", "replace")).strip(),
                         "Check that the login shell at the site starts without errors.")
    return after


def _tar(files: Mapping[str, str]) -> bytes:
    """``files`` as a tar; ``job.json`` last, so that its presence says all came."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in sorted(files, key=lambda n: (n == "job.json", n)):
            content = files[name].encode("utf-8", "surrogateescape")
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), int(time.time())
            info.mode = 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _parse_records(archive: bytes, index: PurePosixPath, finished: Collection[str]) -> dict[str, JobRecord | None]:
    texts: dict[PurePosixPath, str] = {}
    folders: dict[str, PurePosixPath] = {}
    for path, text in _members(archive):
        if path.parent == index:
            folders[path.name] = PurePosixPath(text.split("\n", 1)[0])
        else:
            texts[path] = text
    out: dict[str, JobRecord | None] = {}
    for job_id, folder in folders.items():
        if job_id in finished:
            out[job_id] = None
            continue
        job = _json(texts.get(folder / "job.json"))
        if job.get("id") != job_id:
            continue
        out[job_id] = JobRecord(
            job_id, folder, job, texts.get(folder / "submitted"), texts.get(folder / "refused"),
            folder / "cancelled" in texts, _json(texts.get(folder / "status.json")),
            _json(texts.get(folder / "progress.json")), _json(texts.get(folder / "final.json")))
    return out


def _members(archive: bytes) -> Iterator[tuple[PurePosixPath, str]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", errors="surrogateescape") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield PurePosixPath(member.name), content.read().decode("utf-8", "surrogateescape")
    except tarfile.TarError as error:
        raise BatchError("The records of the jobs could not be read at the site.", str(error),
                         "Check that the program tar is there.") from None


def _json(text: str | None) -> dict[str, Any]:
    """A JSON object; ``{}`` for what is none (a file that a full disk cut off says nothing)."""
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
