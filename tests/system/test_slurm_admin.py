"""The one-machine Slurm can be given trouble, and comes back from it."""

from __future__ import annotations

from app.recipes.script import KILLS
from tests.peers.one_machine import wait_for
from tests.peers.slurm import SlurmFacility, has_memory_cgroups


def submitted(site: SlurmFacility, command: str, *options: str) -> str:
    done = site.run("sbatch", "--parsable", *options, "--wrap", command, user=site.users[0])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_that_memory_is_limited_as_the_nature_says(slurm_states: SlurmFacility) -> None:
    """The job's own script knows of what the kernel killed; Slurm, which hears of it besides, may not."""
    log = slurm_states.home(slurm_states.users[0]) / "greedy.log"
    greedy = submitted(slurm_states, KILLS + "\npython3 -c 'b = bytearray(400_000_000); import time; time.sleep(60)'\n"
                       "echo killed $(beamside_kills); exit 1", "--mem=100M", f"--output={log}")
    wait_for("the end", 120, lambda: slurm_states.admin.job_state(greedy) in ("OUT_OF_MEMORY", "FAILED"))
    assert slurm_states.nature.cgroups is has_memory_cgroups()
    assert ("killed 1\n" in log.read_text()) is slurm_states.nature.cgroups


def test_that_the_first_node_has_gpus_that_are_counted(slurm_states: SlurmFacility) -> None:
    first = slurm_states.nature.nodes[0]
    assert submitted(slurm_states, "sleep 60", "-p", "gpu", "--gres=gpu:2", "--time=1")
    waiting = submitted(slurm_states, "true", "-p", "gpu", "--gres=gpu:1", "--time=1")
    wait_for("the reason", 120, lambda: slurm_states.run(
        "squeue", "-h", "-j", waiting, "-o", "%r").stdout.strip() in ("Resources", "Priority"))
    assert slurm_states.run("sinfo", "-h", "-p", "gpu", "-o", "%N %G").stdout.strip() == f"{first} gpu:h100:2"
    slurm_states.run("scancel", "-u", slurm_states.users[0])


def test_that_a_drained_node_takes_no_jobs_until_it_is_resumed(slurm_states: SlurmFacility) -> None:
    node = slurm_states.nature.nodes[1]
    slurm_states.admin.drain(node, "to be repaired")
    waiting = submitted(slurm_states, "true", "-w", node)
    wait_for("the reason", 120, lambda: f"UnavailableNodes:{node}" in slurm_states.run(
        "squeue", "-h", "-j", waiting, "-o", "%r").stdout)
    slurm_states.admin.resume(node)
    wait_for("the end", 120, lambda: slurm_states.admin.job_state(waiting) == "COMPLETED")
