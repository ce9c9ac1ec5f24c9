"""The record of jobs at a site: a folder per job, and the user's index of them. Blocking; any thread.

A job's folder holds what was asked (``job.json``, ``parameters.json``, ``job.sh``, ``run.py``), what the batch system
answered (``submitted``: outputs of its submission commands), what the job says of itself (``status.json``,
``progress.json``, ``usage.json``, ``job.log``, for each step and task: :mod:`app.remote.jobs.names`) and, once known,
its end (``final.json``). Every file appears complete, by a rename. ``~/.local/share/beamside/jobs/<id>`` is one line,
the folder's path, so that all clients of a user see the same jobs. Reading is :mod:`app.remote.jobs.reading`.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from app.errors import BatchError, BeamsideError, NotFoundError, PermissionError_, StorageFullError
from app.remote.jobs.names import SUBMISSION
from app.remote.seams import CommandResult, Transport

_MARK = b"\x1eBEAMSIDE\x1e"
_NOT_WRITTEN = 81
_SUBMIT_TIMEOUT_S = 90.0
_LONGEST = 4_000_000
_DIGITS = 15
_MOST_TEXT = 60_000     # of paths in one command: Linux takes no argument of more than 128 kB
_ROOT = PurePosixPath("/")

_SUBMIT = r"""
keep_apart() {          # a folder of ours in which others may write: each may take away only what is their own
  case $(ls -ldn -- "$1" 2>/dev/null) in d????w???[-x]* | d???????w[-x]*)
    if [ -O "$1" ] && [ ! -L "$1" ]; then chmod +t -- "$1" 2>/dev/null; fi ;;
  esac
}
parent=$1 id=$2 index=$3 token=$4 inner=$5
folder=$parent/$id; part=$parent/.$id.$token
if [ -d "$folder" ]; then
  cat >/dev/null
else
  if mkdir -p -- "${parent%/*}" && mkdir -- "$parent" 2>/dev/null; then chmod +t -- "$parent" 2>/dev/null; fi
  mkdir -p -- "$parent" && keep_apart "$parent"
  mkdir -- "$part" && tar -xf - --no-same-owner -C "$part" && [ -f "$part/job.json" ] || {
    rm -rf -- "$part"; exit 81; }
  chmod -R go-w -- "$part" 2>/dev/null          # programs are in it, and others may write beside it
  mv -T -- "$part" "$folder" 2>/dev/null || { rm -rf -- "$part"; [ -d "$folder" ] || exit 81; }
fi
( umask 077 && mkdir -p -- "$index" && printf '%s\n' "$folder" >"$index/.$id.$token" &&
  mv -f -- "$index/.$id.$token" "$index/$id" ) || { [ -d "$folder/.submit" ] || rm -rf -- "$folder"; exit 81; }
setsid sh -c "$inner" beamside "$folder" "@SUBMISSION@" </dev/null >/dev/null 2>&1 &
wait "$!"
n=0
until [ -e "$folder/submitted" ] || [ -e "$folder/refused" ] || [ "$n" -ge 25 ]; do sleep 1; n=$((n+1)); done
printf '\036BEAMSIDE\036'
for f in submitted refused; do
  if [ -e "$folder/$f" ]; then printf '%s\036' "$f"; cat -- "$folder/$f"; break; fi
done
""".replace("@SUBMISSION@", SUBMISSION)
_SUBMIT_DETACHED = r"""
trap '' HUP INT TERM
cd -- "$1" || exit 1
[ ! -e cancelled ] && mkdir -m 700 .submit 2>/dev/null || exit 0
exec sh "./$2"
"""
# A name of a series (scan_####.cbf) or a pattern stands for the files that have it: the first is looked at, all count.
_PROBE = r"""
printf '\036BEAMSIDE\036'
for p; do
  n=${p##*/} many=
  case $n in
    *'#'*) n=$(printf '%s' "$n" | sed 's/[][*?\\]/\\&/g; s/##*\([^#]*\)$/[0-9]*\1/') ;;
    *[*?[]*) ;;
    *) n= ;;
  esac
  if [ ! -e "$p" ] && [ -n "$n" ]; then
    many=$(timeout 20 find -L "${p%/*}/." -maxdepth 1 -name "$n" ! -type d -printf '%s %p\n' 2>/dev/null |
      LC_ALL=C sort -k 2 | awk 'NR == 1 { f = $0; sub(/^[0-9]+ /, "", f) } { s += $1 }
        END { if (NR) printf "%d %s", s, f }')
    [ -z "$many" ] || p=${many#* }
  fi
  d=$p; while [ ! -e "$d" ] && [ "$d" != "${d%/*}" ]; do d=${d%/*}; done
  if [ -e "$p" ]; then e=there; else e=absent; fi
  if [ -r "$p" ]; then r=readable; else r=closed; fi
  if [ -d "${d:-/}" ] && [ -w "${d:-/}" ]; then w=writable; else w=fixed; fi
  o=own
  if [ -d "$p" ]; then
    case $(ls -ldn -- "$p/." 2>/dev/null) in d????w???[-x]* | d???????w[-x]*) [ -O "$p" ] || o=open ;; esac
    s=$(timeout 10 du -sLk -- "$p" 2>/dev/null | awk '{ print $1 * 1024; exit }')
  else s=$(stat -Lc %s -- "$p" 2>/dev/null); fi
  [ -z "$many" ] || s=${many%% *}
  printf '%s %s %s %s %s %s\035' "$e" "$r" "$w" "${s:-0}" "$o" "$(readlink -f -- "${d:-/}")${p#"$d"}"
done
"""
_WRITE = r"""umask go-w; cd -- "$1" && { cat >".$2.$3" && mv -f -- ".$2.$3" "$2" || { rm -f -- ".$2.$3"; exit 1; }; }"""
# Lines: folder, name, text; and so on. What could not be written is named.
_WRITE_MANY = r"""
token=$1
umask go-w
printf '\036BEAMSIDE\036'
while IFS= read -r folder && IFS= read -r name && IFS= read -r text; do
  ( cd -- "$folder" && { printf '%s\n' "$text" >".$name.$token" && mv -f -- ".$name.$token" "$name" || {
    rm -f -- ".$name.$token"; exit 1; }; } ) || printf '%s/%s\n' "$folder" "$name"
done
"""
_TAILS = r"""
lines=$1; shift
printf '\036BEAMSIDE\036'
for f; do
  printf '\035%s\036' "$(df -Pk -- "${f%/*}" 2>/dev/null | awk 'END { print $4 }')"
  if [ -f "$f" ]; then tail -c 40000 -- "$f" 2>/dev/null | tail -n "$lines" | tr '\035' '?'; fi
done
"""
_READ = r"""printf '\036BEAMSIDE\036'; if [ -f "$1" ]; then head -c "$2" -- "$1"; fi """
_REMOVE = r"""rm -rf -- "$1" && rm -f -- "$2" """
_REOPEN = r"""for f; do rm -f -- "$f/final.json"; done"""
_FORGET = r"""rm -f -- "$1" """


@dataclass(frozen=True)
class Submission:
    """The answer to a submission: ``kind`` submitted, refused or ``""`` (still under way), and the words with it."""

    kind: str
    text: str


@dataclass(frozen=True)
class PathState:
    """What is known of a path at the site; ``writable``: it, or its nearest folder that exists, can be written.

    ``nbytes``: of the file, or of all in the folder; ``real``: without symbolic links; ``open_to_others``: a folder of
    somebody else's in which not only its owner may write, and everybody who may can take away what is another's.
    """

    exists: bool
    readable: bool
    writable: bool
    nbytes: int = 0
    real: PurePosixPath = _ROOT
    open_to_others: bool = False


@dataclass(frozen=True)
class LogTail:
    """The last lines of a log; ``free_kb``: room in the file system it is on, ``None``: not known."""

    text: str = ""
    free_kb: int | None = None


class JobStore:
    """Job folders and the index of one user at one site, over ``Transport.run``."""

    def __init__(self, transport: Callable[[], Transport]) -> None:
        self._transport = transport

    @property
    def home(self) -> PurePosixPath:
        return self._transport().home

    @property
    def index(self) -> PurePosixPath:
        """The folder of the index."""
        return self.home / ".local/share/beamside/jobs"

    def probe(self, paths: Sequence[PurePosixPath]) -> list[PathState]:
        return [state for some in _portions(paths) for state in self._probe(some)]

    def _probe(self, paths: Sequence[PurePosixPath]) -> list[PathState]:
        result = self.run(_PROBE, *(str(p) for p in paths), timeout_s=60.0)
        out = []
        for path, text in zip(paths, after_mark(result).decode("utf-8", "surrogateescape").split("\x1d"), strict=False):
            words = text.split(" ", 5)
            size = int(words[3]) if words[3:] and words[3].isdecimal() else 0
            out.append(PathState("there" in words[:1], "readable" in words[:2], "writable" in words[:3], size,
                                 PurePosixPath(words[5]) if words[5:] and words[5].startswith("/") else path,
                                 "open" in words[4:5]))
        return out

    def submit(self, folder: PurePosixPath, files: Mapping[str, str]) -> Submission:
        """Create ``folder`` with ``files`` and run its ``submit.sh``, once however often this is called.

        Raises:
            LinkError: the connection failed; whether the job exists is not known, calling again is safe.
            StorageFullError, PermissionError_, BatchError: nothing was created.
        """
        result = self.run(_SUBMIT, str(folder.parent), folder.name, str(self.index), secrets.token_hex(4),
                          _SUBMIT_DETACHED, stdin=_tar(files), timeout_s=_SUBMIT_TIMEOUT_S)
        if result.exit_code == _NOT_WRITTEN:
            raise not_written(folder, result.error_text)
        kind, _, text = after_mark(result).decode("utf-8", "replace").partition("\x1e")
        return Submission(kind, text)

    def write(self, folder: PurePosixPath, name: str, text: str) -> None:
        """Write one file of a job's folder, by a rename."""
        result = self.run(_WRITE, str(folder), name, secrets.token_hex(4), stdin=text.encode())
        if result.exit_code:
            raise not_written(folder, result.error_text)

    def write_lines(self, lines: Mapping[tuple[PurePosixPath, str], str]) -> str:
        """Write one line of text into each of several files (folder, name), by renames; what could not be written."""
        text = "".join(f"{folder}\n{name}\n{line}\n" for (folder, name), line in lines.items())
        result = self.run(_WRITE_MANY, secrets.token_hex(4), stdin=text.encode("utf-8", "surrogateescape"))
        return after_mark(result).decode("utf-8", "replace").strip()

    def log_tails(self, logs: Sequence[PurePosixPath], lines: int) -> list[LogTail]:
        """The last lines of each log; ``""`` where there is none."""
        return [tail for some in _portions(logs) for tail in self._log_tails(some, lines)]

    def _log_tails(self, logs: Sequence[PurePosixPath], lines: int) -> list[LogTail]:
        result = self.run(_TAILS, str(lines), *(str(log) for log in logs))
        out = []
        for text in after_mark(result).decode("utf-8", "replace").split("\x1d")[1:]:
            free, _, tail = text.partition("\x1e")
            out.append(LogTail(tail, int(free) if free.isdecimal() else None))
        return [*out, *[LogTail()] * len(logs)][:len(logs)]

    def read_json(self, path: PurePosixPath, *, exactly: bool = False) -> dict[str, Any]:
        """A JSON object in a job's folder; ``{}``: it is not there, or none. ``exactly``: with numbers of any size."""
        result = self.run(_READ, str(path), str(_LONGEST))
        return json_object(after_mark(result).decode("utf-8", "surrogateescape"), exactly=exactly)

    def remove(self, folder: PurePosixPath) -> None:
        """Take a job's folder and index entry away: it was refused, so there is no job."""
        self.run(_REMOVE, str(folder), str(self.index / folder.name))

    def forget(self, job_id: str) -> None:
        """Take a job out of the index; its folder stays as it is."""
        self.run(_FORGET, str(self.index / job_id))

    def reopen(self, folders: Sequence[PurePosixPath]) -> None:
        """Take away what was noted of the ends of jobs that run again."""
        for some in _portions(folders):
            self.run(_REOPEN, *(str(folder) for folder in some))

    def run(self, program: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        """Run a constant program of this store with arguments."""
        return self._transport().run(["sh", "-c", program, "beamside", *arguments], stdin=stdin, timeout_s=timeout_s)


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


def not_taken(job_id: str, folder: PurePosixPath, errors: str) -> BeamsideError:
    """Why an earlier job's completed parts could not be taken over, as an error to raise."""
    if re.search(r"no space left|quota exceeded", errors, re.I):
        return StorageFullError(f"There is no space left for the completed parts of the job {job_id}.", errors.strip(),
                                "Free some space or quota there and submit again; nothing was submitted.")
    return NotFoundError(f"The completed parts of the job {job_id} in {folder} could not be taken over.",
                         errors.strip(), "Submit the whole job again; nothing was submitted.")


def after_mark(result: CommandResult) -> bytes:
    """Standard output after our mark: login scripts may print before it.

    Raises:
        BatchError: the program did not run.
    """
    before, mark, after = result.stdout.partition(_MARK)
    if not mark:
        raise BatchError(f"The site did not run a command as expected (exit code {result.exit_code}).",
                         (result.error_text or before.decode("utf-8", "replace")).strip(),
                         "Check that the login shell at the site starts without errors.")
    return after


def json_object(text: str | None, *, exactly: bool = False) -> dict[str, Any]:
    """A JSON object; ``{}`` for what is none (a file that a full disk cut off says nothing). Numbers that are none, or
    too large to count or measure anything, are ``None``; ``exactly``: all are as written."""
    try:
        value = (json.loads(text) if exactly else json.loads(
            text, parse_int=_whole, parse_float=_finite, parse_constant=_finite)) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(text: str) -> int | None:
    return int(text) if len(text) <= _DIGITS else None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if abs(value) < 10.0 ** _DIGITS else None


def _portions(paths: Sequence[PurePosixPath]) -> Iterator[Sequence[PurePosixPath]]:
    """``paths`` in portions that fit into one command each."""
    first, length = 0, 0
    for number, path in enumerate(paths):
        size = 4 * len(str(path)) + 4       # in bytes, quoted
        if length + size > _MOST_TEXT and number > first:
            yield paths[first:number]
            first, length = number, 0
        length += size
    if first < len(paths):
        yield paths[first:]


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
