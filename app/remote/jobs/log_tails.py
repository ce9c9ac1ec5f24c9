"""The ends of the logs of jobs that went wrong, or whose own record is missing: what one of them says, and for how long
it is kept. Blocking; under the caller's lock.

A log is read again only after a while, and of a job with many parts only the first that matter.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from app.model.jobs import JobState
from app.remote.jobs.names import part_stem
from app.remote.jobs.parts import StepTruth
from app.remote.jobs.reading import JobRecord
from app.remote.jobs.record import recorded_steps
from app.remote.jobs.store import JobStore, LogTail

_LINES = 300
_OF_ONE_JOB = 8
_FRESH_S = 60.0
_LITTLE_ROOM_KB = 1024
_NO_ROOM = ("No space left on device", "Disk quota exceeded")

_PartKey = tuple[str, int, int | None]      # the job's id, step and task


class LogTails:
    """The ends of logs of the jobs of one site, by part."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self._kept: dict[_PartKey, tuple[float, LogTail]] = {}

    def read(self, records: Mapping[str, JobRecord], steps: Mapping[str, Iterable[StepTruth]]) -> None:
        """Read the logs of those parts of jobs (by id) that failed, or whose own record is missing."""
        now, wanted = time.monotonic(), []
        for job_id, truths in steps.items():
            record, count = records[job_id], 0
            for step in truths:
                for truth in step.parts:
                    key = (job_id, step.step.number, truth.part.task)
                    stem = part_stem(step.step.number, truth.part.task)
                    own_end = record.status.get(stem, {}).get("state") == "ended"
                    bad = truth.state in (JobState.FAILED, JobState.CANCELLED, JobState.UNKNOWN)
                    if record.gone or not (bad or (truth.state is JobState.COMPLETED and not own_end)):
                        continue
                    count += 1
                    if count <= _OF_ONE_JOB and now - self._kept.get(key, (-1e9, LogTail()))[0] > _FRESH_S:
                        wanted.append(key)
        logs = [records[job_id].folder / recorded_steps(records[job_id])[step - 1].log(task)
                for job_id, step, task in wanted]
        for key, tail in zip(wanted, self._store.log_tails(logs, _LINES), strict=True):
            self._kept[key] = (now, tail)

    def text(self, job_id: str, step: int, task: int | None) -> str:
        """The last lines of a part's log; ``""``: it was not read, or is empty."""
        return self._of(job_id, step, task).text

    def no_room(self, job_id: str, step: int, task: int | None) -> bool:
        """Whether a part's log says, or the file system it is on, that there is no space left."""
        tail = self._of(job_id, step, task)
        return (any(words in tail.text for words in _NO_ROOM)
                or (tail.free_kb is not None and tail.free_kb < _LITTLE_ROOM_KB))

    def jobs(self) -> set[str]:
        """The jobs of which a log is known."""
        return {key[0] for key in self._kept}

    def drop(self, job_id: str) -> None:
        self._kept = {key: tail for key, tail in self._kept.items() if key[0] != job_id}

    def _of(self, job_id: str, step: int, task: int | None) -> LogTail:
        return self._kept.get((job_id, step, task), (0.0, LogTail()))[1]
