"""What client and trial job say to each other: two files in the job's folder at the site. Blocking; any thread.

A trial belongs to one form: the file ``trial/form-NAME`` says to which, and each command of that form renews its time.
A form that was not heard of for a minute (its program was killed, its computer sleeps) may be replaced by another,
which renames that file; from then on the first one is told so, and neither asks nor ends anything there.

A question is one line of JSON at the end of ``trial/questions``, an answer one in ``trial/answers``, which begins with
``{"ready":true}``. One remote command asks and waits, in a loop at the site, until the answer is there, somebody asked
something newer, or the job has ended; it gives up by itself after its time, so that nothing is left behind by a link
that dies. Asking the same again adds no second line: it goes on waiting. Nothing from a user is part of a shell's
program text.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from app.errors import BatchError
from app.remote.jobs.store import json_object, not_written
from app.remote.seams import CommandResult, Transport

TURN_S = 0.1
_MARK = b"\x1eBEAMSIDE\x1e"
_REACH_S = 30.0            # for the way there and back, beside what is waited at the site
_LONGEST_LINE = 20_000     # of an answer

_COMMON = r"""
folder=$1 turns=$2 form=form-$3
say() { printf '\036BEAMSIDE\036%s\036%s\n' "$1" "$2"; exit 0; }
over() { grep -Eqs '"state": *"ended"' "$folder/status.json"; }
pause() { sleep 0.1 2>/dev/null || sleep 1; }
cd -- "$folder" 2>/dev/null && mkdir -p trial && cd trial || say gone ''
{ [ -e questions ] || : >>questions; } && { [ -e answers ] || : >>answers; } || exit 81
mine() {       # the first form of all makes the folder "taken", which only one can
  if [ ! -e "$form" ]; then
    if [ -d taken ] || ! mkdir taken; then [ -d taken ] && return 1; exit 81; fi
    : >>"$form" || { rmdir taken; exit 81; }
  fi
  touch -c -- "$form"
}
"""
_TAKE = _COMMON + r"""
idle() { [ -n "$(find "$1" -prune -mmin +1)" ]; }
if [ ! -e "$form" ]; then
  set -- form-*
  if [ -e "$1" ]; then
    idle "$1" && mv -- "$1" ".$form" 2>/dev/null || say taken ''      # one of several gets it
    touch -c -- ".$form" && mv -- ".$form" "$form"
  else
    idle questions || say taken ''      # just submitted: its form has not said so yet
  fi
fi
mine || say taken ''
"""
_LOOK = _COMMON + r"""
mine || say taken ''
"""
_LOOK_ON = r"""
i=0
until grep -qs '"ready"' answers || over || [ "$i" -ge "$turns" ]; do pause; i=$((i+1)); done
last=$(tail -n 1 questions | head -c 20000)
if over; then say ended "$last"; fi
if grep -qs '"ready"' answers; then say ready "$last"; fi
say waiting "$last"
"""
_ASK = _COMMON + r"""
mine || say taken ''
n=$4 head=$5
line=$(cat)
newest() { tail -n 1 questions | sed -n 's/^{"n": *\([0-9]*\),.*/\1/p'; }
put() { printf '%s\n' "$line" >>questions || exit 81; }
if ! grep -qF -- "$head" questions; then
  last=$(newest)
  if [ -n "$last" ] && [ "$last" -ge "$n" ]; then say behind "$last"; fi
  put
fi
i=0
while :; do
  answer=$(grep -a -E -m 1 '"n": *'"$n"'[,}]' answers | head -c 20000)
  if [ -n "$answer" ]; then say answer "$answer"; fi
  if ! tail -n 1 questions | grep -qF -- "$head"; then
    last=$(newest)
    if [ -z "$last" ] || [ "$last" -ge "$n" ]; then say superseded ''; fi
    put          # an older one was put at the same moment and came after it
  fi
  if over; then say ended ''; fi
  if [ "$i" -ge "$turns" ]; then say waiting ''; fi
  pause; i=$((i+1))
done
"""
_STOP = _COMMON + r"""
mine || say taken ''
over || printf '{"stop": true}\n' >>questions
i=0
until over || [ "$i" -ge "$turns" ]; do pause; i=$((i+1)); done
if over; then say ended ''; fi
say waiting ''
"""
_CLEAN = r"""
cd -- "$1/trial" 2>/dev/null && [ -e "form-$2" ] &&
  rm -f -- answer-*.h5 .answer-*.h5 answer-*.part .answer-*.part
:
"""
_ASKED_FOR = r"""printf '\036BEAMSIDE\036'; head -c 1000000 -- "$1/job.json" 2>/dev/null; :"""


class Told(Enum):
    """What the folder says."""

    READY = "ready"
    WAITING = "waiting"
    ANSWER = "answer"
    SUPERSEDED = "superseded"
    BEHIND = "behind"
    ENDED = "ended"
    GONE = "gone"
    TAKEN = "taken"        # it is another form's


@dataclass(frozen=True)
class Reply:
    """``line`` with READY and WAITING: the last question there is; with ANSWER: the answer; with BEHIND: a number."""

    told: Told
    line: str = ""


@dataclass(frozen=True)
class Question:
    """One question. ``number`` counts up; ``head`` is how its line begins, no other line does."""

    number: int
    head: str
    line: str


def question(number: int, parameters: Mapping[str, Any]) -> Question:
    """A question with these complete parameters."""
    by = secrets.token_hex(4)
    text = json.dumps({"n": number, "by": by, "parameters": dict(parameters)})
    return Question(number, text[:text.index('"parameters"')], text)


class TrialFolder:
    """The folder of one trial job, for one form (hexadecimal digits)."""

    def __init__(self, transport: Callable[[], Transport], folder: PurePosixPath, form: str) -> None:
        self._transport = transport
        self.folder = folder
        self._form = form

    def take(self) -> Reply:
        """Take the trial up, at once: it is this form's, or another's that was not heard of for a minute.

        Raises:
            LinkError, BatchError, StorageFullError, PermissionError_.
        """
        return self._say(_TAKE + _LOOK_ON, 0.0)

    def look(self, wait_s: float) -> Reply:
        """Whether the job is ready, waited for up to ``wait_s``.

        Raises:
            LinkError, BatchError, StorageFullError, PermissionError_.
        """
        return self._say(_LOOK + _LOOK_ON, wait_s)

    def ask(self, asked: Question, wait_s: float) -> Reply:
        """Ask, unless it was asked before, and wait for the answer up to ``wait_s``.

        Raises:
            LinkError: whether it was asked is not known, asking the same again is safe.
            BatchError, StorageFullError, PermissionError_.
        """
        return self._say(_ASK, wait_s, str(asked.number), asked.head, stdin=asked.line.encode() + b"\n")

    def stop(self, wait_s: float) -> Reply:
        """Tell the job to end and wait up to ``wait_s`` until it has."""
        return self._say(_STOP, wait_s)

    def clean(self) -> None:
        """Remove the answers; whoever shows one has read it."""
        self._transport().run(["sh", "-c", _CLEAN, "beamside", str(self.folder), self._form])

    def asked_for(self) -> dict[str, Any]:
        """What the folder's ``job.json`` holds; ``{}``: nothing that can be read."""
        result = self._transport().run(["sh", "-c", _ASKED_FOR, "beamside", str(self.folder)])
        return json_object(result.stdout.partition(_MARK)[2].decode("utf-8", "replace"))

    def _say(self, program: str, wait_s: float, *arguments: str, stdin: bytes = b"") -> Reply:
        argv = ["sh", "-c", program, "beamside", str(self.folder), str(max(0, round(wait_s / TURN_S))), self._form,
                *arguments]
        result = self._transport().run(argv, stdin=stdin, timeout_s=2 * wait_s + _REACH_S)
        return self._read(result)

    def _read(self, result: CommandResult) -> Reply:
        if result.exit_code == 81:
            raise not_written(self.folder, result.error_text)
        kind, _, line = result.stdout.partition(_MARK)[2].decode("utf-8", "replace").partition("\x1e")
        try:
            return Reply(Told(kind), line.rstrip("\n")[:_LONGEST_LINE])
        except ValueError:
            raise BatchError("The trial job could not be asked: the site did not run a command as expected.",
                             result.error_text.strip() or result.text.strip(),
                             "Check that the login shell at the site starts without errors.") from None
