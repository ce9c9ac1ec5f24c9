"""Trials of parameters on a small part of the data: how the trial job does, and what it answers. Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from app.model.jobs import Job


class TrialPhase(Enum):
    """STARTING: being submitted, or running but not ready yet. READY: it takes questions."""

    STARTING = "starting"
    QUEUED = "queued"
    READY = "ready"
    ENDED = "ended"


class TrialState(Enum):
    """Where a form's trial is. OFF: nobody asked for it yet. FAULT: the newest question was answered by a fault."""

    OFF = "off"
    WAITING = "waiting"
    READY = "ready"
    COMPUTING = "computing"
    ANSWERED = "answered"
    FAULT = "fault"
    ENDED = "ended"


@dataclass(frozen=True)
class TrialStatus:
    """How the trial job does, in one sentence and with what to do about it (``remedy``, may be empty)."""

    phase: TrialPhase
    sentence: str
    remedy: str = ""
    job: Job | None = None
    failed: bool = False


@dataclass(frozen=True)
class TrialAnswer:
    """What came of one question: a file at the site and the node in it, or a ``fault`` in one sentence.

    Attributes:
        parameters: complete, as they were asked with.
        seconds: how long the job computed; ``None``: it does not say.
        waited_s: from the question to the answer, the way there and back included.
        parameter: name of the parameter that the fault is about; ``""``: none that is known.
    """

    number: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    data_path: str = ""
    seconds: float | None = None
    waited_s: float = 0.0
    fault: str = ""
    parameter: str = ""
