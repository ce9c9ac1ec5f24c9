"""The demo batch system's queue: who waits for what, who runs next. The facility's asyncio thread.

First in, first out per node without backfill; the reasons are Slurm's words (squeue(1), "JOB REASON CODES").
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from app.facility.batch.cluster import CLUSTER, NODE, Cluster, partition
from app.facility.batch.records import Journal, Record, State
from app.facility.batch.running import Ending, RunningJob
from app.facility.batch.submission import Submission
from app.facility.state import write_private

log = logging.getLogger(__name__)

_REQUEUE_WAIT_MIN = 2           # as Slurm's own, unless it is configured
_DEPENDENCY = re.compile(r"(after|afterany|afterok|afternotok|aftercorr|singleton)((?::\d+(?:_\d+)?)*)")


def dependency_is_valid(text: str) -> bool:
    """Whether ``--dependency`` can be read; jobs it names need not be known (any more)."""
    if not text:
        return True
    matches = [_DEPENDENCY.fullmatch(part) for part in re.split(r"[,?]", text)]
    return all(m is not None and (m[1] == "singleton" or m[2]) for m in matches)


class Scheduler:
    """All jobs. ``records`` is oldest first."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.cluster = cluster
        self._folder = folder
        self._journal = Journal(folder / "jobs.jsonl")
        self.records: list[Record] = self._journal.load()
        self._last = max((max(r.id, r.raw_id) for r in self.records), default=0)
        self._running: dict[tuple[int, int], RunningJob] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._waiters: list[tuple[int, asyncio.Future[int]]] = []
        self._stopping = False
        for record in self.records:
            if record.state is State.RUNNING:
                self._set(record, state=State.NODE_FAIL, reason="NodeDown", ended=time.time(), completing=False)

    def next_id(self) -> int:
        return self._last + 1

    def submit(self, wanted: Submission) -> int:
        """Queue a job that was checked; returns its number."""
        self._last += 1
        number = self._last
        spool = self._spool(number)
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(spool / "slurm_script", wanted.script.encode("utf-8", "surrogateescape"))
        (spool / "slurm_script").chmod(0o700)
        write_private(spool / "environment", "\0".join(f"{k}={v}" for k, v in wanted.environment.items()
                                                       ).encode("utf-8", "surrogateescape"))
        for task in wanted.tasks or (None,):
            record = Record(
                id=number, task=task, name=wanted.name, partition=wanted.partition, account=wanted.account,
                user=self.cluster.user, uid=self.cluster.uid, cpus=wanted.cpus, limit_min=wanted.limit_min,
                workdir=wanted.workdir, submitted=time.time(), submit_line=wanted.submit_line,
                cpus_per_task=wanted.cpus_per_task, ntasks=wanted.ntasks, memory_mb=wanted.memory_mb,
                array=wanted.array, throttle=wanted.throttle,
                raw_id=number if task is None else 0, held=wanted.held, dependency=wanted.dependency,
                kill_on_invalid_dependency=wanted.kill_on_invalid_dependency, comment=wanted.comment,
                stdout=wanted.stdout, stderr=wanted.stderr, append=wanted.append, arguments=wanted.arguments,
                reason="Priority")
            self.records.append(record)
            self._journal.add(record)
        self.schedule()
        return number

    def find(self, number: int, task: int | None = None) -> list[Record]:
        """The records of a job, of one task, or of the task with this raw number."""
        if task is not None:
            return [r for r in self.records if r.id == number and r.task == task]
        found = [r for r in self.records if r.id == number]
        return found or [r for r in self.records if r.raw_id == number]

    def cancel(self, record: Record, by: int) -> None:
        """End a job as ``scancel`` does; one that has ended stays as it is."""
        if record.state is State.PENDING:
            self._set(record, state=State.CANCELLED, cancelled_by=by, ended=time.time())
            self._tell_waiters()
            self.schedule()
        elif record.state is State.RUNNING and not record.completing:
            record.cancelled_by = by
            self._set(record, completing=True)
            self._running[record.key].end(Ending.CANCELLED)

    def send_signal(self, record: Record, number: int) -> None:
        """Send a signal to a running job and leave it at that."""
        if record.key in self._running:
            self._running[record.key].signal(number)

    def requeue(self, record: Record) -> None:
        """End a running job and put it back into the queue, to start again a little later."""
        if record.key in self._running and not record.completing:
            self._set(record, completing=True)
            self._running[record.key].end(Ending.REQUEUED)

    def hold(self, record: Record, held: bool) -> None:
        if record.state is State.PENDING:
            self._set(record, held=held)
            self.schedule()

    async def ended(self, number: int) -> int:
        """Wait for all of a job; returns its (highest) exit code."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiters.append((number, future))
        self._tell_waiters()
        return await future

    def schedule(self) -> None:
        """Look at every waiting job once, and start what can start."""
        if self._stopping:
            return
        free_cpus = self.cluster.slots - sum(j.record.cpus for j in self._running.values())
        free_mb = self.cluster.memory_mb - sum(j.record.memory_mb or 0 for j in self._running.values())
        blocked = False
        for record in self.records:
            if record.state is not State.PENDING:
                continue
            reason = self._reason_to_wait(record)
            if record.state is not State.PENDING:
                continue
            if not reason and (record.cpus > free_cpus or (record.memory_mb or 0) > free_mb):
                reason = "Priority" if blocked else "Resources"
                blocked = True
            elif not reason and blocked:
                reason = "Priority"
            if reason:
                record.reason = reason
                if reason == "BeginTime":
                    asyncio.get_running_loop().call_later(record.begin - time.time(), self.schedule)
                continue
            free_cpus -= record.cpus
            free_mb -= record.memory_mb or 0
            self._start(record)

    async def stop(self) -> None:
        """End what runs; jobs that wait are still there at the next start."""
        self._stopping = True
        for job in tuple(self._running.values()):
            job.end(Ending.FACILITY_STOPPED)
        while self._endings:
            await asyncio.wait(tuple(self._endings), timeout=10)

    def _reason_to_wait(self, record: Record) -> str:
        if not self.cluster.up:
            return "PartitionDown"
        if record.held:
            return "JobHeldUser"
        if record.begin > time.time():
            return "BeginTime"
        state = self._dependency(record)
        if state == "DependencyNeverSatisfied" and record.kill_on_invalid_dependency:
            self._set(record, state=State.CANCELLED, ended=time.time(), reason=state)
            self._tell_waiters()
        if state:
            return state
        chosen = partition(record.partition)
        if chosen is None or record.limit_min > chosen.limit_min:
            return "PartitionTimeLimit"
        if record.throttle and sum(1 for j in self._running.values() if j.record.id == record.id) >= record.throttle:
            return "JobArrayTaskLimit"
        return ""

    def _dependency(self, record: Record) -> str:
        """``""`` when it may run, else Slurm's reason."""
        if not record.dependency:
            return ""
        any_of = "?" in record.dependency
        verdicts = [self._one_dependency(record, part) for part in re.split(r"[,?]", record.dependency)]
        if any_of:
            met, never = True in verdicts, all(v is None for v in verdicts)
        else:
            met, never = all(v is True for v in verdicts), None in verdicts
        return "" if met else "DependencyNeverSatisfied" if never else "Dependency"

    def _one_dependency(self, record: Record, text: str) -> bool | None:
        """True: met; False: not yet; ``None``: never."""
        match = _DEPENDENCY.fullmatch(text)
        assert match is not None
        kind = match[1]
        if kind == "singleton":
            earlier = [r for r in self.records if r.name == record.name and r.user == record.user and r.id < record.id]
            return all(r.state.ended for r in earlier)
        met = True
        for number in match[2].split(":")[1:]:
            for other in self._named(number):
                if kind == "aftercorr" and other.task != record.task and record.task is not None:
                    continue
                if kind == "after":
                    met = (met and other.started is not None) or other.state.ended
                    continue
                if not other.state.ended:
                    met = False
                elif (kind in ("afterok", "aftercorr")) != (other.state is State.COMPLETED) and kind != "afterany":
                    return None
        return met

    def _named(self, text: str) -> list[Record]:
        number, _, task = text.partition("_")
        return self.find(int(number), int(task) if task else None)

    def _start(self, record: Record) -> None:
        if record.task is not None and not record.restarts:
            others_wait = any(r.id == record.id and r.state is State.PENDING and r is not record for r in self.records)
            if others_wait:
                self._last += 1
            record.raw_id = self._last if others_wait else record.id
        self._set(record, state=State.RUNNING, reason="None", started=time.time())
        job = RunningJob(record, self._environment(record), self._spool(record.id) / "slurm_script", self.cluster)
        self._running[record.key] = job
        task = asyncio.get_running_loop().create_task(self._follow(job), name=f"job {record.label}")
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _follow(self, job: RunningJob) -> None:
        record = job.record
        try:
            result = await job.run()
            if result.state is State.PENDING:
                self._set(record, state=State.PENDING, reason=result.reason, started=None, submitted=time.time(),
                          begin=time.time() + _REQUEUE_WAIT_MIN * self.cluster.minute_s, restarts=record.restarts + 1,
                          completing=False)
            else:
                self._set(record, state=result.state, reason=result.reason, exit_code=result.exit_code,
                          signal=result.signal, max_rss_kb=result.max_rss_kb, ended=time.time(), completing=False)
        except Exception as error:                       # a job must never end without a state
            log.exception("job %s", record.label)
            self._set(record, state=State.NODE_FAIL, reason=str(error)[:80], ended=time.time(), completing=False)
        finally:
            del self._running[record.key]
        if not any(r.id == record.id and not r.state.ended for r in self.records):
            shutil.rmtree(self._spool(record.id), ignore_errors=True)
        self._tell_waiters()
        self.schedule()

    def _tell_waiters(self) -> None:
        for number, future in tuple(self._waiters):
            records = self.find(number)
            if all(r.state.ended for r in records):
                self._waiters.remove((number, future))
                if not future.done():
                    future.set_result(max((r.exit_code or int(r.state is not State.COMPLETED) for r in records),
                                          default=0))

    def _set(self, record: Record, **changes: object) -> None:
        for name, value in changes.items():
            setattr(record, name, value)
        self._journal.add(record)

    def _spool(self, number: int) -> Path:
        return self._folder / "spool" / f"job{number:05d}"

    def _environment(self, record: Record) -> dict[str, str]:
        text = (self._spool(record.id) / "environment").read_bytes().decode("utf-8", "surrogateescape")
        submitted = dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)
        kept = {k: v for k, v in submitted.items() if not k.startswith("SLURM_")}
        return kept | job_variables(record, self._tasks(record.id))

    def _tasks(self, number: int) -> list[int]:
        return [r.task for r in self.records if r.id == number and r.task is not None]


def job_variables(record: Record, tasks: Iterable[int]) -> dict[str, str]:
    """The ``SLURM_…`` variables of a job (sbatch(1), "OUTPUT ENVIRONMENT VARIABLES")."""
    values: dict[str, object] = {
        "SLURM_JOB_ID": record.raw_id, "SLURM_JOBID": record.raw_id, "SLURM_JOB_NAME": record.name,
        "SLURM_JOB_PARTITION": record.partition, "SLURM_JOB_ACCOUNT": record.account, "SLURM_JOB_USER": record.user,
        "SLURM_JOB_UID": record.uid, "SLURM_SUBMIT_DIR": record.workdir, "SLURM_SUBMIT_HOST": NODE,
        "SLURM_CLUSTER_NAME": CLUSTER, "SLURM_JOB_NODELIST": NODE, "SLURM_NODELIST": NODE, "SLURMD_NODENAME": NODE,
        "SLURM_JOB_NUM_NODES": 1, "SLURM_NNODES": 1, "SLURM_NODEID": 0, "SLURM_PROCID": 0, "SLURM_LOCALID": 0,
        "SLURM_GTIDS": 0, "SLURM_TASKS_PER_NODE": record.ntasks or 1, "SLURM_CPUS_ON_NODE": record.cpus,
        "SLURM_JOB_CPUS_PER_NODE": record.cpus, "ENVIRONMENT": "BATCH"}
    if record.cpus_per_task:
        values["SLURM_CPUS_PER_TASK"] = record.cpus_per_task
    if record.ntasks:
        values |= {"SLURM_NTASKS": record.ntasks, "SLURM_NPROCS": record.ntasks}
    if record.memory_mb is not None:
        values["SLURM_MEM_PER_NODE"] = record.memory_mb
    if record.task is not None:
        numbers = sorted(tasks)
        values |= {"SLURM_ARRAY_JOB_ID": record.id, "SLURM_ARRAY_TASK_ID": record.task,
                   "SLURM_ARRAY_TASK_COUNT": len(numbers), "SLURM_ARRAY_TASK_MIN": numbers[0],
                   "SLURM_ARRAY_TASK_MAX": numbers[-1],
                   "SLURM_ARRAY_TASK_STEP": numbers[1] - numbers[0] if len(numbers) > 1 else 1}
    return {k: str(v) for k, v in values.items()}

