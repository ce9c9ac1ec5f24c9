"""What the connection doctor finds: steps from the user's computer to the data, each ticked or crossed. Frozen values.

No secret is ever in one: the report is made to be copied into a message to the facility's support.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class StepState(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    WARNED = "warned"           # works, with something worth telling
    FAILED = "failed"
    SKIPPED = "skipped"         # an earlier step failed, or the profile does not want it


@dataclass(frozen=True)
class Step:
    """One thing that was looked at.

    Attributes:
        name: stable, for scripts ("name", "tcp", "proxy", "host_key", "hop_1", "sign_in", "banner_noise", "shell",
            "python", "agent", "workers", "scheduler", "data_roots", "clock" …).
        title: for people ("Address of login.site.example").
        summary: what was found, one sentence. ``detail``: what the machine said. ``remedy``: what to do.
        seconds: how long it took; ``None``: not run.
        kind: of what failed, as in ``app.errors`` ("unreachable"); empty: it did not fail.
        tell: the sentence for the facility's support, if it failed.
    """

    name: str
    title: str
    state: StepState = StepState.WAITING
    summary: str = ""
    detail: str = ""
    remedy: str = ""
    seconds: float | None = None
    kind: str = ""
    tell: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether there is a result."""
        return self.state not in (StepState.WAITING, StepState.RUNNING)


@dataclass(frozen=True)
class ProfileFact:
    """One value of the site's profile, and where it comes from."""

    key: str
    value: str
    source: str = ""


@dataclass(frozen=True)
class Report:
    """All steps of one examination, in order.

    Attributes:
        site, title, contact: of the profile.
        sentence: what to send to support, one sentence with what failed where; empty when all is well.
        when: seconds since the epoch.
        version: Beamside's; ``versions``: what it runs on, (name, version) each.
        facts: what the profile says.
        complete: whether it was looked to the end; False: the person gave up.
    """

    site: str
    title: str
    contact: str
    steps: tuple[Step, ...]
    sentence: str
    when: float
    version: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    facts: tuple[ProfileFact, ...] = ()
    complete: bool = True

    @property
    def healthy(self) -> bool:
        return all(step.state is not StepState.FAILED for step in self.steps)

    @property
    def failed(self) -> Step | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.state is StepState.FAILED), None)
