"""The text of ``submit.sh``: how the steps of one job are given to the batch system. Pure; any thread.

Constants and argument lists quoted by shlex; ids of steps that were accepted are digits, checked at the site. All
steps are accepted, or none is left: the first is held until the last is taken (where there is such a thing), and what
was taken before a refusal is cancelled. The answers become ``submitted``, a refusal's words ``refused``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from app.remote.jobs.names import script_file
from app.remote.scheduler.dialect import Dialect
from app.remote.scheduler.states import AFTER

BETWEEN = "\x1d"        # separates the answers in ``submitted``
LEFT = "beamside: could not be cancelled: "     # begins a line in ``refused``: something is left at the batch system
NOT_TAKEN = "beamside: not taken over: "            # begins a line in ``refused``: before anything was submitted
_STAND_IN = "4" * 18    # an id, where a dialect wants to see one; no batch system is likely to use it

_TEXT = r"""#!/bin/sh
# Gives this job to the batch system, step by step. Run once, in the job's folder; nothing a user typed is in here.
taken=
taken_by() {            # the id at the begin of the last line that has one, past what a login script printed
  sed -n 's/^[^0-9]*\([1-9][0-9]*\).*/\1/p' "$1" | tail -n 1
}
accepted() {            # STEP COMMAND…: gives one step to the batch system; its id is $after then
  n=$1
  shift
  "$@" </dev/null >".submit/out.$n" 2>.submit/errors
  code=$?
  [ "$code" -le 128 ] || exit 1         # it was killed, perhaps after the step was taken: found by its name later
  [ "$code" -eq 0 ] || refuse
  after=$(taken_by ".submit/out.$n")
  case $after in
    '') [ "$n" = "$steps" ] && [ -z "$taken" ] || exit 1 ;;    # taken, but not as what (a full disk): found by its name
  esac
  taken="$taken $after"
}
cancel_taken() {
  for after in $taken; do
    cancel >.submit/cancelled 2>&1 || printf '@LEFT@%s\n' "$after" >>.submit/errors
  done
}
refuse() {
  cancel_taken
  mv -f .submit/errors refused
  exit 0
}
cancel() {
  @CANCEL@
}
release() {
  @RELEASE@
}
"""
# What the completed parts of an earlier job left: its files but those of its record, as links where the file system has
# them (results are renamed into place, nothing is written into them), and its very program. A link costs no room, and
# the earlier job's folder may go.
_TAKE_OVER = r"""
old=@OLD@
take_over() {
  if [ -L "$old" ] || [ ! -d "$old" ] || [ ! -O "$old" ]; then
    printf '@NOT_TAKEN@the folder %s is not there any more, or is not yours\n' "$old" >&2
    return 1
  fi
  for from in "$old"/*; do
    name=${from##*/}
    case $name in
      job.json | parameters.json | submit.sh | submitted | refused | cancelled | final.json | environment.json | \
      job.sh | job-[0-9]*.sh | job.log | job.[0-9]*.log | job-[0-9]*.log | trial | __pycache__ | \
      status.* | status-[0-9]* | progress.* | progress-[0-9]* | usage.* | usage-[0-9]*) continue ;;
      *.py)
        if [ -L "$from" ] || [ ! -f "$from" ] || [ ! -O "$from" ]; then
          printf '%s is no file of yours, but would be run\n' "$from" >&2
          return 1
        fi
        rm -f -- "$name" && cp -p -- "$from" . || return 1
        continue ;;
    esac
    [ -e "$from" ] || [ -L "$from" ] || continue
    cp -al -- "$from" . 2>/dev/null && continue
    rm -rf -- "./$name" && cp -a -- "$from" . || return 1
  done
}
if ! take_over 2>.submit/errors; then
  printf '@NOT_TAKEN@%s\n' "$old" >>.submit/errors
  refuse
fi
"""
_RELEASE = r"""
tries=0 released=
after=$first
until { release >.submit/released 2>&1 && released=1; } || [ "$tries" -ge 5 ]; do sleep 2; tries=$((tries + 1)); done
[ -n "$released" ] || [ -e cancelled ] || exit 1        # found by its name later, and told that it is held
"""
_END = r"""
if [ -e cancelled ]; then cancel_taken; fi
n=1
while [ "$n" -le "$steps" ]; do
  [ "$n" = 1 ] || printf '\035'
  cat ".submit/out.$n"
  n=$((n + 1))
done >.submit/all && { chmod go-w .submit/all; mv -f .submit/all submitted; }
"""


def submission_text(dialect: Dialect, scripts: int, after: Sequence[str], held: bool,
                    wrap: Callable[[Sequence[str]], list[str]], taken_from: PurePosixPath | None = None) -> str:
    """The program for a job of ``scripts`` steps.

    Args:
        after: the batch system's ids that the first step waits for.
        held: the first step is held until the rest is accepted.
        wrap: puts a command into a login shell, where the site needs one.
        taken_from: the folder of an earlier job, whose completed parts this one goes on with.
    """
    first = wrap(dialect.submit_argv(script_file(1), bool(after)))
    waits = dialect.between_ids.join(after)
    lines = [f"steps={scripts}"]
    if taken_from is not None:
        lines.append(_TAKE_OVER.strip("\n").replace("@OLD@", shlex.quote(str(taken_from))))
    lines.append(f"accepted 1 {shlex.join(word.replace(AFTER, waits) for word in first)}")
    if held:
        lines.append("first=$after")
    for number in range(2, scripts + 1):
        lines.append(f"accepted {number} {_words(wrap(dialect.submit_argv(script_file(number), True)))}")
    end = [*([_RELEASE.strip("\n")] if held else []), _END.strip("\n")]
    return (_TEXT.replace("@LEFT@", LEFT).replace("@CANCEL@", _with_id(dialect.cancel_argv, wrap))
            .replace("@RELEASE@", _with_id(dialect.release_argv, wrap) if held else ":")
            + "\n".join([*lines, *end]).replace("@NOT_TAKEN@", NOT_TAKEN) + "\n")


def can_hold(dialect: Dialect) -> bool:
    """Whether jobs can be submitted held and released later."""
    return bool(dialect.release_argv([_STAND_IN]))


def _with_id(build: Callable[[Sequence[str]], list[str]], wrap: Callable[[Sequence[str]], list[str]]) -> str:
    """A command on the id in ``$after``."""
    argv = build([_STAND_IN])
    return _words([word.replace(_STAND_IN, AFTER) for word in wrap(argv)]) if argv else ":"


def _words(argv: Sequence[str]) -> str:
    """Shell words in which AFTER is the value of ``$after``, also where a word is itself a command line."""
    return " ".join('"$after"'.join(shlex.quote(part) if part else "" for part in word.split(AFTER)) if AFTER in word
                    else shlex.quote(word) for word in argv)
