"""The batch contract (tests/contract/test_batch_contract.py), held against real Slurm."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.contract import test_batch_contract
from tests.contract.batch_systems import BatchSystem, Ran
from tests.peers.slurm import SlurmFacility

globals().update({name: claim for name, claim in vars(test_batch_contract).items() if name.startswith("test_that_")})


@pytest.fixture
def batch(slurm: SlurmFacility) -> BatchSystem:
    """Slurm's commands as the visitor on the login node."""
    user = slurm.users[0]
    environment = {"PATH": "/usr/bin:/bin", "SLURM_CONF": str(slurm.slurm_conf), "LANG": "C.UTF-8",
                   "HOME": str(slurm.home(user)), "USER": user, "LOGNAME": user}
    folder = Path(slurm.home(user)) / "batch-contract"

    def run(argv: Sequence[str], stdin: str = "") -> Ran:
        done = subprocess.run(list(argv), input=stdin, capture_output=True, text=True, env=environment, timeout=60,
                              cwd=slurm.home(user), user=user, group=user, extra_groups=[], check=False)
        return Ran(done.returncode, done.stdout, done.stderr)
    run(["mkdir", "-p", str(folder)])
    return BatchSystem(run, str(folder), user, 60, "debug")
