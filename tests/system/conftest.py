"""Peers that several system tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.peers.moonshot import GssSshd, MoonshotFacility, moonshot_facility
from tests.peers.slurm import SlurmFacility, slurm_facility


@pytest.fixture(scope="session")
def moonshot_site() -> Iterator[MoonshotFacility]:
    """FreeRADIUS with RadSec and what a GSS-EAP sshd needs, for the whole run."""
    with moonshot_facility() as site:
        yield site


@pytest.fixture(scope="session")
def moonshot_sshd(moonshot_site: MoonshotFacility) -> Iterator[GssSshd]:
    """A server of that site."""
    with moonshot_site.sshd() as server:
        yield server


@pytest.fixture(scope="session")
def slurm_states() -> Iterator[SlurmFacility]:
    """Real Slurm of its own, for tests that disturb it: two nodes, two GPUs, memory limited by the kernel if it can."""
    with slurm_facility(nodes=2, gpus=2, cgroups=True) as site:
        yield site
