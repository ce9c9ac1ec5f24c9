"""The batch script of one step of a job: constant text, the site's own lines, and paths quoted by shlex.

No I/O. Nothing a user types is part of it: inputs and parameters are in ``parameters.json``. The script leaves its
own record in the job's folder (``status…json``, ``usage…json``, renamed into place), because a batch system may forget
a job soon after its end, and what it ran with (``environment.json``, once).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from app.recipes.set_up_words import line_words

_RULE = "# -- {} "


@dataclass(frozen=True)
class Earlier:
    """Parts that have to have succeeded: ``tasks`` (0: it is no array) of the step with that stem in ``folder``, or
    ``only`` some of them."""

    folder: PurePosixPath
    stem: str
    tasks: int
    title: str
    only: tuple[int, ...] = ()


@dataclass(frozen=True)
class StepScript:
    """One step's script.

    Attributes:
        header: the batch system's directives (scheduler dialect), one per line.
        folder: the job's folder at the site.
        name, stem: ``BEAMSIDE_STEP``; what the step's files carry: ``""`` for step 1, ``-2`` …
        tasks: 0: it is no array.
        variables: the dialect's lines that set ``BEAMSIDE_JOB_ID``, ``BEAMSIDE_TASK`` and ``BEAMSIDE_CPUS``.
        setup: lines of the site profile for every job.
        environment: the site profile's line for this recipe's environment; ``""``: none. The job ends where it fails.
        container: words before the program that run it in a container; ``""``: none.
        image: that container's image, for the record.
        earlier: what the script has to look at itself, where the batch system's dependencies do not know success.
        records: it writes ``environment.json``.
        only: the tasks that run: the batch system's first is the first of them; empty: all.
        environment_name: what the profile calls the environment.
    """

    header: str
    folder: PurePosixPath
    name: str = "run"
    stem: str = ""
    tasks: int = 0
    variables: str = ""
    setup: Sequence[str] = ()
    environment: str = ""
    container: str = ""
    image: str = ""
    earlier: Sequence[Earlier] = ()
    records: bool = True
    only: Sequence[int] = ()
    environment_name: str = ""

    def text(self) -> str:
        """The text of ``job.sh``, ``job-2.sh`` …"""
        site = [*self.setup, *([self._environment()] if self.environment else [])]
        python = f"{self.container.strip()} python3".strip()
        number = [_INDEX, *([self._numbers()] if self.only else []), _NAMES]
        parts = ["#!/bin/bash", self.header.rstrip("\n"), "\n" + _title("What this is"),
                 f"BEAMSIDE_FOLDER={shlex.quote(str(self.folder))}",
                 f"BEAMSIDE_STEP={shlex.quote(self.name)}", f"BEAMSIDE_STEM={shlex.quote(self.stem)}",
                 f"BEAMSIDE_TASKS={max(self.tasks, 1)}", f"BEAMSIDE_IMAGE={shlex.quote(self.image)}",
                 self.variables.strip("\n"), *number, "\n" + _title("Its own record"), KILLS, _STATUS, _USAGE]
        if self.earlier:
            parts += ["\n" + _title("What has to have succeeded before"), _EARLIER,
                      *(self._check(each) for each in self.earlier)]
        if site:
            parts += ["\n" + _title("The site's own lines (its profile)"), *site]
        if self.records:
            parts += ["\n" + _title("What it runs with"), _RECORD.replace("@PYTHON@", python)]
        return "\n".join(parts) + "\n\n" + _title("The analysis") + "\n" + _RUN.replace("@PYTHON@", python)

    def _environment(self) -> str:
        """The environment's line, in this shell. What ends the job there, even the shell itself, is told as it ends."""
        told = shlex.quote(line_words(self.environment_name, self.environment))
        return (f"set +eu\nbeamside_setting_up={told}\neval {shlex.quote(self.environment)} || exit\n"
                "set +eu\nbeamside_setting_up=")

    def _numbers(self) -> str:
        """The number of this task, from its place among those that run."""
        return (f"set -- {' '.join(str(int(n)) for n in self.only)}\n"
                'shift "$((${BEAMSIDE_TASK:-1} - 1))"\nBEAMSIDE_TASK=$1\nset --')

    @staticmethod
    def _check(each: Earlier) -> str:
        place = shlex.quote(str(each.folder / f"status{each.stem}"))
        tasks = " ".join(str(int(n)) for n in each.only) if each.only else (
            f"$(seq {int(each.tasks)})" if each.tasks else '""')
        return f"beamside_earlier {place} {shlex.quote(each.title)} {tasks}"


def _title(text: str) -> str:
    return (_RULE.format(text)).ljust(100, "-")


_INDEX = r"""case $BEAMSIDE_TASK in undefined|0) BEAMSIDE_TASK= ;; esac
beamside_index=$BEAMSIDE_TASK"""

_NAMES = r"""[ -z "$BEAMSIDE_TASK" ] || BEAMSIDE_STEM="$BEAMSIDE_STEM.$BEAMSIDE_TASK"
OMP_NUM_THREADS="${BEAMSIDE_CPUS:=1}"
export BEAMSIDE_FOLDER BEAMSIDE_STEP BEAMSIDE_STEM BEAMSIDE_TASK BEAMSIDE_TASKS BEAMSIDE_JOB_ID BEAMSIDE_CPUS
export OMP_NUM_THREADS"""

# Slurm puts a job into a control group of its own, job_…, whose limit of memory the kernel enforces (v1 or v2). What it
# kills there Slurm hears of beside the job's end, on a busy node too late; the group has counted it by then.
KILLS = r"""beamside_kills() {      # how many of the job's processes the kernel killed, its memory being at the limit
  while IFS=: read -r beamside_n beamside_what beamside_group; do
    case $beamside_what:$beamside_group in
      memory:*/job_[0-9]*) beamside_group=/memory$beamside_group ;;
      :*/job_[0-9]*) ;;
      *) continue ;;
    esac
    set --
    while case $beamside_group in */job_[0-9]*) ;; *) false ;; esac; do
      for beamside_n in limit_in_bytes max_usage_in_bytes oom_control events; do
        [ ! -r "/sys/fs/cgroup$beamside_group/memory.$beamside_n" ] ||
          set -- "$@" "/sys/fs/cgroup$beamside_group/memory.$beamside_n"
      done
      beamside_group=${beamside_group%/*}
    done
    [ $# -eq 0 ] || awk 'FILENAME ~ /limit_in_bytes$/ { limit = $1 }
      FILENAME ~ /max_usage_in_bytes$/ && $1 >= 0.99 * limit || $1 == "oom" && $2 > 0 { full = 1 }
      $1 == "oom_kill" && $2 > kills { kills = $2 }
      END { if (full) printf "%d", kills }' "$@"
    return
  done </proc/self/cgroup
}"""

_STATUS = r"""beamside_started=$(date +%s)
beamside_status() {
  printf '{"state":"%s","rc":%s,"started":%s,"ended":%s,"host":"%s","scheduler_id":"%s","oom_kills":%s}\n' \
    "$1" "$2" "$beamside_started" "$3" "${HOSTNAME:-$(uname -n)}" "$BEAMSIDE_JOB_ID" "${beamside_killed:-0}" \
    >"$BEAMSIDE_FOLDER/.status$BEAMSIDE_STEM.$$" &&
    mv -f "$BEAMSIDE_FOLDER/.status$BEAMSIDE_STEM.$$" "$BEAMSIDE_FOLDER/status$BEAMSIDE_STEM.json" ||
    rm -f "$BEAMSIDE_FOLDER/.status$BEAMSIDE_STEM.$$"
}
beamside_end() {
  beamside_rc=$?
  [ "$BASHPID" = "$$" ] || exit "$beamside_rc"  # a helper of this script that has not unset its traps yet
  trap - EXIT
  trap '' TERM USR1 USR2 XCPU
  set +eu
  case ${beamside_setting_up:+$beamside_rc} in
    '') ;;
    0) printf '%s ended the shell.\n' "$beamside_setting_up" >&2; beamside_rc=1 ;;
    *) printf '%s ended with exit code %s.\n' "$beamside_setting_up" "$beamside_rc" >&2 ;;
  esac
  [ -z "${beamside_setting_up:-}" ] || beamside_sampler=     # just begun, it might say something; it ends soon
  if [ -n "${beamside_sampler:-}" ]; then kill "$beamside_sampler"; wait "$beamside_sampler"; fi 2>/dev/null
  case $beamside_rc in 0 | 143) ;; *) beamside_killed=$(beamside_kills 2>/dev/null) ;; esac
  beamside_status ended "$beamside_rc" "$(date +%s)"
  exit "$beamside_rc"
}
beamside_stop() {       # told to end: by a person, at the time limit, or a little before it
  [ "$BASHPID" = "$$" ] || exit 143
  trap '' TERM USR1 USR2 XCPU
  beamside_setting_up=
  beamside_status stopping null null
  if [ -n "${beamside_child:-}" ]; then kill -TERM "$beamside_child" 2>/dev/null; wait "$beamside_child"; fi
  exit 143
}
trap beamside_end EXIT
trap beamside_stop TERM USR1 USR2 XCPU
beamside_status started null null"""

# The memory of all processes of the job's session. Pages that processes share count for each of them.
_USAGE = r"""beamside_usage() {
  beamside_session=$(ps -o sess= -p $$ | tr -d ' ')
  [ "${beamside_session:-0}" -gt 0 ] || return
  beamside_most=0 beamside_pause=1 beamside_sleep=
  trap '[ -z "$beamside_sleep" ] || kill "$beamside_sleep" 2>/dev/null; exit 0' TERM
  while kill -0 $$ 2>/dev/null; do
    beamside_now=$(ps -o rss= -s "$beamside_session" | awk '{ kb += $1 } END { printf "%d", kb / 1024 }')
    [ "${beamside_now:-0}" -le "$beamside_most" ] || beamside_most=$beamside_now
    printf '{"memory_mb":%s,"most_mb":%s,"time":%s}\n' "${beamside_now:-0}" "$beamside_most" "$(date +%s)" \
      >"$BEAMSIDE_FOLDER/.usage$BEAMSIDE_STEM.$$" &&
      mv -f "$BEAMSIDE_FOLDER/.usage$BEAMSIDE_STEM.$$" "$BEAMSIDE_FOLDER/usage$BEAMSIDE_STEM.json"
    beamside_left=$beamside_pause
    while [ "$beamside_left" -gt 0 ] && kill -0 $$ 2>/dev/null; do      # a script that is killed has nobody to tell it
      sleep 1 &
      beamside_sleep=$!
      wait "$beamside_sleep"
      beamside_left=$((beamside_left - 1))
    done
    [ "$beamside_pause" -ge 8 ] && beamside_pause=10 || beamside_pause=$((beamside_pause * 2))
  done
}
beamside_usage </dev/null >/dev/null 2>&1 &
beamside_sampler=$!"""

# The files of other nodes may come a little late. Arguments: files' stem, what the step is called, its tasks.
# What was cancelled before it started leaves no file at all.
_EARLIER = r"""beamside_earlier() {
  beamside_tries=0
  beamside_stem=$1 beamside_title=$2
  shift 2
  for beamside_n; do
    beamside_file=$beamside_stem${beamside_n:+.$beamside_n}.json
    beamside_place=${beamside_file%/*}
    until grep -qs '"state":"ended"' "$beamside_file" || [ "$beamside_tries" -ge 30 ] ||
      [ -e "$beamside_place/cancelled" ]; do
      ls "$beamside_place" >/dev/null 2>&1
      sleep 1
      beamside_tries=$((beamside_tries + 1))
    done
    if ! grep -qs '"state":"ended","rc":0,' "$beamside_file"; then
      printf 'This step was not run, since %s before it did not succeed.\n' "$beamside_title" >&2
      exit 1
    fi
  done
}"""

_RECORD = r"""beamside_record() {
  @PYTHON@ -c '
import json, os, platform, sys, time
try:
    from importlib import metadata
    packages = {str(d.metadata["Name"]): d.version for d in metadata.distributions()}
except ImportError:
    packages = {}
said = os.environ.get
print(json.dumps({
    "schema": 1, "written": time.time(), "host": platform.node(), "system": platform.platform(),
    "python": {"version": platform.python_version(), "executable": sys.executable, "prefix": sys.prefix},
    "packages": dict(sorted(packages.items())), "modules": [m for m in said("LOADEDMODULES", "").split(":") if m],
    "virtual_environment": said("VIRTUAL_ENV", ""), "conda_environment": said("CONDA_PREFIX", ""),
    "image": said("BEAMSIDE_IMAGE", ""), "scheduler_id": said("BEAMSIDE_JOB_ID", ""),
    "cpus": said("BEAMSIDE_CPUS", "")}, indent=1))' >"$BEAMSIDE_FOLDER/.environment.$$" 2>/dev/null &&
    mv -f "$BEAMSIDE_FOLDER/.environment.$$" "$BEAMSIDE_FOLDER/environment.json" ||
    rm -f "$BEAMSIDE_FOLDER/.environment.$$"
}
beamside_recorder=
export BEAMSIDE_IMAGE
case $beamside_index in
  ''|1) beamside_record </dev/null 2>/dev/null &
        beamside_recorder=$! ;;
esac"""

_RUN = r"""cd "$BEAMSIDE_FOLDER" || exit 1
trap '' USR1 USR2 XCPU        # sent to all processes of a job: the program hears SIGTERM, from here
@PYTHON@ run.py parameters.json </dev/null &
beamside_child=$!
trap beamside_stop USR1 USR2 XCPU
wait "$beamside_child"
beamside_code=$?
[ -z "${beamside_recorder:-}" ] || wait "$beamside_recorder"
exit "$beamside_code"
"""
