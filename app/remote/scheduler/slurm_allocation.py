"""A place on a compute node that outlives what runs in it, in Slurm's words: builders and parsers. Pure; any thread.

The allocation is a batch job whose script only waits: a job in the queue and one that runs both survive the loss of
every link, and whatever runs in it is a step beside it. The script holds nothing but a lock that steps share while
they live; when nobody has held it for a while, it ends, and the allocation with it.
"""

from __future__ import annotations

from app.model.jobs import Resources
from app.remote.scheduler.slurm import Slurm
from app.remote.scheduler.states import StepWish

LOOK_S = 5

_KEEPER = """
# Keeps a place for Beamside's agent, which shares the lock while it runs. Ends by itself when it is not used.
place=/tmp/beamside-$SLURM_JOB_ID
mkdir -m 700 "$place" && : > "$place/lock" || exit 1
trap 'rm -rf "$place"; exit 0' TERM INT EXIT
unused=0
while [ $unused -lt {idle_s} ]; do
    sleep {look_s} &
    wait $!
    if flock -n -x "$place/lock" true; then unused=$((unused + {look_s})); else unused=0; fi
done
"""

# The step waits for the script's lock to be there, shares it, and becomes what it is given. Its first argument: how
# the program is told the number of its threads.
_ENTER = """
lock=/tmp/beamside-$SLURM_JOB_ID/lock
tries=0
while [ ! -e "$lock" ] && [ $tries -lt 50 ]; do sleep 0.2; tries=$((tries + 1)); done
exec 9< "$lock" || exit 1
flock -s 9
option=$1; shift
exec "$@" "$option" "${SLURM_CPUS_PER_TASK:-${SLURM_CPUS_ON_NODE:-1}}"
"""


def keeper_script(resources: Resources, job_name: str, idle_s: int) -> str:
    """The script of the job that keeps the allocation for ``idle_s`` seconds after its last use."""
    header = Slurm().header(StepWish(job_name, "beamside-agent", resources))
    return "#!/bin/sh\n" + header + _KEEPER.format(idle_s=idle_s, look_s=min(LOOK_S, idle_s))


def submit_argv() -> list[str]:
    """Takes the script on standard input; writes no log and is not started twice."""
    return ["sbatch", "--parsable", "--output=/dev/null", "--no-requeue"]


def step_argv(scheduler_id: str, cores: int | None, threads_option: str) -> list[str]:
    """What starts a program inside the allocation, its arguments to follow, with all of its memory.

    Args:
        cores: those of the allocation.
        threads_option: the program's option for the number of threads; it comes last, with that number.
    """
    if not scheduler_id.isdecimal():
        raise ValueError(f"not a Slurm job id: {scheduler_id!r}")
    shared = [f"--cpus-per-task={cores}"] if cores else []
    return ["srun", f"--jobid={scheduler_id}", "--overlap", "--nodes=1", "--ntasks=1", *shared, "--mem=0", "--quiet",
            "--unbuffered", "--mpi=none", "sh", "-c", _ENTER, "beamside-agent", threads_option]


def steps_argv(scheduler_id: str) -> list[str]:
    """Asks for the steps of a job."""
    return ["env", "LC_ALL=C", "squeue", "-h", "-s", "-j", scheduler_id, "-o", "%i"]


def parse_steps(output: str) -> int:
    """How many programs run in the allocation beside its own script."""
    return sum(1 for line in output.splitlines() if line.strip().rpartition(".")[2].isdecimal())
