"""Batch systems that refuse a job or do not answer: errors with a sentence and a remedy. Pure: no I/O, any thread."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.errors import BeamsideError, SchedulerUnavailableError, StorageFullError, SubmissionRefusedError
from app.model.jobs import Resources

_FULL = re.compile(r"No space left|quota exceeded", re.I)


@dataclass(frozen=True)
class Refusals:
    """How one batch system says no.

    Attributes:
        system: its name, as it begins a sentence.
        unanswered: what its commands write when nobody answers them.
        missing: what is written where there are no such commands.
        known: pattern, sentence and remedy of each refusal; sentences name what was asked for (:func:`asked_words`).
    """

    system: str
    unanswered: re.Pattern[str]
    missing: re.Pattern[str]
    known: tuple[tuple[str, str, str], ...]

    def is_missing(self, errors: str) -> bool:
        """Whether the commands were not found."""
        return bool(self.missing.search(errors))

    def unreachable(self, exit_code: int, errors: str) -> SchedulerUnavailableError:
        """The error for a command that got no answer."""
        if exit_code in (126, 127) or self.is_missing(errors):
            return SchedulerUnavailableError(
                f"{self.system}'s commands were not found at the site.", errors.strip(),
                "If they need a login shell or a module, set [batch] login_shell = true in the site's profile.")
        return SchedulerUnavailableError(
            f"{self.system} does not answer at the moment; jobs that were submitted are not lost.", errors.strip(),
            "Try again in a minute.")

    def refusal(self, errors: str, asked: Mapping[str, object], said: str) -> BeamsideError:
        """The error for a submission that failed.

        Args:
            asked: what sentences may name.
            said: the batch system's own sentence, for a refusal that is not known.
        """
        if self.unanswered.search(errors) or self.is_missing(errors):
            return self.unreachable(1, errors)
        known = () if _FULL.search(errors) else self.known
        for pattern, summary, remedy in known:
            if re.search(pattern, errors, re.I):
                return SubmissionRefusedError(summary.format_map(asked), errors.strip(), remedy)
        return refused(f"{self.system} refused the job: {said}" if said else f"{self.system} refused the job.", errors)


def asked_words(resources: Resources, queue: str, account: str) -> dict[str, str]:
    """What was asked for, as sentences about a refusal name it; what was not said is the site's own choice.

    ``queue``: the partition “x”; ``needs``: the 2 CPUs and 4000 MB that the job asks for; ``Queue``, ``Account`` and
    ``Time`` begin a sentence. ``queue`` and ``account``: what these are called by the batch system.
    """
    named = f"the {queue} “{resources.partition}”" if resources.partition else f"the default {queue}"
    cpus, memory, gpus, minutes = resources.cpus, resources.memory_mb, resources.gpus, resources.time_limit_min
    asked = [text for text in (_counted(cpus, "CPU"), f"{memory} MB" if memory else "", _counted(gpus, "GPU")) if text]
    listed = f"{', '.join(asked[:-1])} and {asked[-1]}" if asked[1:] else "".join(asked)
    return {"queue": named, "Queue": named[:1].upper() + named[1:],
            "needs": f"the {listed} that the job asks for" if asked else "what the job asks for",
            "cpus": _counted(cpus, "CPU") or "several CPUs",
            "memory": f"the {memory} MB of memory" if memory else "the memory",
            "Account": f"The {account} “{resources.account}”" if resources.account else f"Your default {account}",
            "Time": "The default time limit" if minutes is None else f"The time limit of {minutes} min"}


def _counted(count: int | None, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}" if count else ""


def refused(summary: str, errors: str) -> BeamsideError:
    """The error for a refusal of which no more is known than ``summary`` says, or for a full disk."""
    if _FULL.search(errors):
        return StorageFullError("There is no space left where the job was to be written.", errors.strip(),
                                "Free some space or quota and submit again.")
    return SubmissionRefusedError(summary, errors.strip(), "Change what is asked for and submit again.")
