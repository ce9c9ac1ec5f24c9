"""The batch script of a job: constant text, the site's own lines, and the folder quoted by shlex.

No I/O. Nothing a user types is part of it: inputs and parameters are in ``parameters.json``. The script leaves its
own record, ``status.json`` (renamed into place), because a batch system may forget a job soon after its end.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

_PRELUDE = r"""
# -- The job's own record: who runs it, since when, and how it ended ------------------------------
beamside_started=$(date +%s)
beamside_status() {
  printf '{"state":"%s","rc":%s,"started":%s,"ended":%s,"host":"%s","scheduler_id":"%s"}\n' \
    "$1" "$2" "$beamside_started" "$3" "${HOSTNAME:-$(uname -n)}" "${SLURM_JOB_ID:-}" \
    >"$BEAMSIDE_FOLDER/.status.$$" && mv -f "$BEAMSIDE_FOLDER/.status.$$" "$BEAMSIDE_FOLDER/status.json"
}
beamside_end() {
  beamside_rc=$?
  trap - EXIT
  beamside_status ended "$beamside_rc" "$(date +%s)"
  exit "$beamside_rc"
}
trap beamside_end EXIT
trap 'exit 143' TERM
beamside_status started null null
export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
"""

_RUN = r"""
# -- The analysis ---------------------------------------------------------------------------------
cd "$BEAMSIDE_FOLDER" || exit 1
python3 run.py parameters.json </dev/null &
beamside_child=$!
trap 'kill -TERM "$beamside_child" 2>/dev/null; wait "$beamside_child"; exit 143' TERM
wait "$beamside_child"
exit "$?"
"""


def job_script(header: str, folder: PurePosixPath, setup: Sequence[str] = (), environment: str = "") -> str:
    """The text of ``job.sh``.

    Args:
        header: the batch system's directives (scheduler dialect), one per line.
        folder: the job's folder at the site.
        setup: lines of the site profile for every job.
        environment: the site profile's line for this recipe's environment; ``""``: none.
    """
    site = [*setup, *([environment] if environment else [])]
    parts = ["#!/bin/bash", header.rstrip("\n"), f"BEAMSIDE_FOLDER={shlex.quote(str(folder))}", _PRELUDE.strip("\n")]
    if site:
        parts += ["\n# -- The site's own lines (its profile) " + "-" * 59, *site]
    return "\n".join(parts) + "\n" + _RUN
