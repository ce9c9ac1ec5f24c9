"""A machine without a batch system: the second account of a one-machine facility, whose jobs run directly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.peers.slurm import SlurmFacility


@dataclass(frozen=True)
class Workstation:
    """The same machine as another person sees it, who has no batch system."""

    facility: SlurmFacility

    @property
    def host(self) -> str:
        return self.facility.host

    @property
    def port(self) -> int:
        return self.facility.port

    @property
    def users(self) -> tuple[str, str]:
        first, second = self.facility.users
        return second, first

    def key(self, user: str) -> Path:
        return self.facility.key(user)

    def home(self, user: str) -> Path:
        return self.facility.home(user)

    def logs(self, lines: int = 20) -> str:
        return self.facility.logs(lines)
