"""A data service and sites made of values, answered by the test when it wants. One per seam."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np

from app.errors import NotFoundError
from app.model.data import Block, DataReference, Exactness, ReadRequest, Selection, Statistics
from app.model.findings import Findings
from app.model.identity import SignedOut
from app.model.jobs import Account, Job, JobPart, JobSpec, JobState, Partition, Resources, Space
from app.model.nodes import EntryKind, FolderEntry, FolderListing, NodeInfo, NodeKind
from app.model.plot import PlotDescription, View
from app.model.site import BatchSettings, SiteProfile, SoftwareSettings, SshSettings
from app.recipes.availability import Availability, SoftwareState
from app.recipes.catalogue import shipped_recipes
from app.recipes.recipe import Recipe, RecipeStep
from app.remote.analyses.site_recipes import RecipeFault
from app.remote.jobs.draft import Draft, StepDraft
from app.remote.jobs.names import script_file
from app.remote.seams import Interaction
from app.remote.site_catalogue import SiteCatalogue


class FakeWatch:
    """A watch that tells what the test says."""

    def __init__(self, service: FakeDataService, on_change: Callable[[tuple[int, int]], None]) -> None:
        self._service = service
        self.on_change = on_change

    def close(self) -> None:
        self._service.watches.remove(self)


class FakeDataService:
    """Answers from a small made-up file system; reads wait for the test when ``hold`` is set."""

    def __init__(self) -> None:
        self.hold = False
        self.folders: dict[str, FolderListing | BaseException] = {}
        self.groups: dict[str, tuple[NodeInfo, ...] | BaseException] = {}
        self.plots: dict[str, PlotDescription | BaseException] = {}
        self.frames = np.arange(10 * 64 * 48, dtype=np.uint32).reshape(10, 64, 48)
        self.asked: list[tuple[str, Any]] = []
        self.watches: list[FakeWatch] = []
        self.generation = (1, 0)
        self.link: dict[str, Any] = {"latency_s": 0.031, "rate_bytes_s": 5.75e6, "bytes_received": 0}
        self.waiting: list[tuple[ReadRequest, Future[Block]]] = []

    def list_folder(self, path: PurePosixPath) -> Future[FolderListing]:
        self.asked.append(("list", path))
        return _settled(self.folders.get(str(path), NotFoundError(f"There is no folder “{path}”.")))

    def nodes(self, reference: DataReference, depth: int | None = 1, attributes: bool = True,
              expand: bool | None = None) -> Future[tuple[NodeInfo, ...]]:
        self.asked.append(("nodes", reference))
        return _settled(self.groups.get(f"{reference.file_path}::{reference.data_path}", ()))

    def plot(self, reference: DataReference) -> Future[PlotDescription]:
        self.asked.append(("plot", reference))
        return _settled(self.plots.get(str(reference), PlotDescription(View.NONE)))

    def show(self, reference: DataReference, fit: tuple[int, int], *, preview: tuple[int, int] | None = None,
             on_description: Callable[[PlotDescription], None] | None = None,
             on_part: Callable[[Block], None] | None = None, priority: int = 2, view: str = "",
             epoch: int = 0) -> Future[tuple[PlotDescription, Block | None]]:
        described = self.plots.get(str(reference), PlotDescription(View.NONE))
        self.asked.append(("show", reference))
        if isinstance(described, BaseException):
            return _settled(described)
        if on_description is not None:
            on_description(described)
        if described.view not in (View.IMAGE, View.STACK, View.VOLUME) or described.signal is None:
            return _settled((described, None))
        block: Future[Block] = Future()
        request = ReadRequest(replace(reference, data_path=described.signal),
                              Selection.frame((0,) * (len(described.shape) - 2)), fit)
        self.answer(request, block)
        return _settled((described, block.result()))

    def read(self, request: ReadRequest, *, priority: int = 2, view: str = "", epoch: int = 0,
             on_part: Callable[[Block], None] | None = None) -> Future[Block]:
        self.asked.append(("read", (request, priority)))
        future: Future[Block] = Future()
        if self.hold:
            self.waiting.append((request, future))
        else:
            self.answer(request, future)
        return future

    def answer(self, request: ReadRequest, future: Future[Block], error: BaseException | None = None) -> None:
        """Settle one read, as the reader thread would."""
        if not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(error)
            return
        values = np.asarray(self.frames[request.selection.items])
        full = values.shape
        factor = 1
        if request.fit is not None:
            while -(-full[-2] // factor) > request.fit[0] or -(-full[-1] // factor) > request.fit[1]:
                factor *= 2
            values = values[..., ::factor, ::factor]
        statistics = Statistics(count=values.size, minimum=0, maximum=int(values.max()), valid_minimum=0,
                                valid_maximum=int(values.max()), limits=(0.0, float(values.max())))
        future.set_result(Block(
            values, request.reference, request.selection, full, Exactness.POOLED if factor > 1 else Exactness.EXACT,
            (factor, factor), request.reduction, statistics if request.statistics else Statistics(),
            generation=self.generation, bytes_received=values.nbytes))

    def answer_all(self) -> None:
        """Settle every read that waits, oldest first."""
        while self.waiting:
            self.answer(*self.waiting.pop(0))

    def watch(self, path: PurePosixPath, on_change: Callable[[tuple[int, int]], None],
              known: tuple[int, int] | None = None) -> FakeWatch:
        watch = FakeWatch(self, on_change)
        self.watches.append(watch)
        return watch

    def change(self, generation: tuple[int, int] = (1, 1)) -> None:
        """The file is another one from now on; who watches hears of it."""
        self.generation = generation
        for watch in list(self.watches):
            watch.on_change(generation)

    def status(self) -> dict[str, Any]:
        return dict(self.link)

    def close(self) -> None:
        """Nothing is open."""


class FakeConnection:
    """A connection that stands at once, or fails."""

    def __init__(self, data: FakeDataService, error: BaseException | None = None, user: str = "") -> None:
        self.data = data
        self.error = error
        self.closed = threading.Event()
        self.listeners: list[Callable[..., None]] = []
        self.next_attempt_s: float | None = None
        self.transport = SimpleNamespace(user=user)
        self.hurried = 0

    def open(self) -> Future[None]:
        return _settled(self.error) if self.error is not None else _settled(None)

    def add_listener(self, listener: Callable[..., None]) -> Callable[[], None]:
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def reconnect_now(self) -> None:
        self.hurried += 1

    def close(self, deadline_s: float = 5.0) -> None:
        self.closed.set()


class FakeJobs:
    """A batch system of values."""

    available = True
    why_unavailable = ""

    def __init__(self) -> None:
        self.known: list[Job] = []
        self.prepared: list[JobSpec] = []
        self.submitted: list[Draft] = []
        self.refuse: BaseException | None = None
        self.polls = 0
        self.next_look_s = 1.0
        self.warnings: tuple[str, ...] = ()
        self.offered_accounts = [Account("ma4821", default=True), Account("inhouse")]
        self.offered_space = Space("/data/processed", free=800_000_000_000, total=1_000_000_000_000)
        self.starts_at: float | None = None
        self.starts_asked: list[JobSpec] = []
        self.specs: dict[str, JobSpec] = {}
        self.done: list[tuple[str, str]] = []                 # what was asked of which job
        self.logs_asked: list[tuple[str, str, int | None]] = []
        self.known_recipes = shipped_recipes()

    def recipes(self) -> list[Recipe]:
        return list(self.known_recipes.values())

    def partitions(self) -> list[Partition]:
        return [Partition("short", default=True, time_limit_s=3600, cpus_idle=12, cpus_total=96, waiting=3),
                Partition("gpu", up=False, reason="maintenance")]

    def accounts(self) -> list[Account]:
        return list(self.offered_accounts)

    def space(self, path: PurePosixPath) -> Space:
        return self.offered_space

    def expected_start(self, draft: Draft) -> float | None:
        self.starts_asked.append(draft.spec)
        return self.starts_at

    def prepare(self, spec: JobSpec) -> Draft:
        self.prepared.append(spec)
        if self.refuse is not None:
            raise self.refuse
        recipe = self.known_recipes[spec.recipe]
        steps = tuple(StepDraft(step.name, step.title, script_file(number), "#!/bin/bash\npython run.py\n",
                                spec.resources)
                      for number, step in enumerate(recipe.steps or (RecipeStep("run", recipe.title),), 1))
        return Draft(id="20261122-1", site=spec.site, name="ai", folder=PurePosixPath("/data/out/20261122-1"),
                     steps=steps, submission="#!/bin/sh\nsbatch job.sh\n", spec=spec, parameters=dict(spec.parameters),
                     inputs=spec.inputs, recipe=recipe, created=1.0, warnings=self.warnings)

    def finish(self, job_id: str, resources: Resources | None = None) -> Draft:
        self.done.append(("finish", job_id))
        asked = resources or Resources()
        draft = self.prepare(replace(self.specs[job_id], resources=Resources(
            time_limit_min=asked.time_limit_min or 20, memory_mb=asked.memory_mb or 4000)))
        first, *others = draft.steps
        return replace(draft, name=f"ai (tasks 2, 4 again) of {job_id}",
                       steps=(replace(first, tasks=5, only=(2, 4)), *others))

    def submit(self, draft: Draft) -> Job:
        self.submitted.append(draft)
        job = Job(id=draft.id, site=draft.site, name=draft.name, recipe=draft.recipe.name, version="1.0",
                  state=JobState.QUEUED, scheduler_id="4711", submitted=1.0, folder=str(draft.folder))
        self.known.insert(0, job)
        return job

    def jobs(self) -> list[Job]:
        self.polls += 1
        return list(self.known)

    def log(self, job_id: str, lines: int = 50, part: JobPart | None = None) -> str:
        self.logs_asked.append((job_id, part.step if part else "", part.task if part else None))
        return f"log of {job_id}\nlast line"

    def spec_of(self, job_id: str) -> JobSpec:
        return self.specs[job_id]

    def hold(self, job_id: str) -> Job:
        return self._become(job_id, "hold", JobState.HELD)

    def release(self, job_id: str) -> Job:
        return self._become(job_id, "release", JobState.QUEUED)

    def cancel(self, job_id: str) -> Job:
        return self._become(job_id, "cancel", JobState.CANCELLED)

    def forget(self, job_id: str) -> None:
        self.done.append(("forget", job_id))
        self.known = [job for job in self.known if job.id != job_id]

    def _become(self, job_id: str, what: str, state: JobState) -> Job:
        self.done.append((what, job_id))
        if self.refuse is not None:
            raise self.refuse
        self.known = [replace(job, state=state) if job.id == job_id else job for job in self.known]
        return next(job for job in self.known if job.id == job_id)


class _NoJobs(FakeJobs):
    """This computer's: there is none."""

    available = False
    why_unavailable = "There is no batch system on this computer."


FAR = SiteProfile("far", "Far Light Source", ssh=SshSettings("far.example"), batch=BatchSettings("slurm", poll_s=1),
                  software=SoftwareSettings(containers="none"))


class FakeSites:
    """Two sites: this computer, and one with a batch system."""

    def __init__(self, data: FakeDataService | None = None, jobs: FakeJobs | None = None) -> None:
        self.data = data or FakeDataService()
        self.batch = jobs or FakeJobs()
        self.error: BaseException | None = None
        self.user = ""                               # what sites call one
        self.opened: list[FakeConnection] = []
        self.faults: list[BaseException] = []
        self.findings: Findings | None = None
        self.catalogue = SiteCatalogue((FAR,))
        self.interactions: list[Interaction] = []
        self.during_open: Callable[[Interaction], None] = _nothing
        self.kept = 0
        self.looks = 0                               # at the software of a site
        self.seen: dict[str, Availability] = {}      # by the recipe's name
        self.left_out: tuple[RecipeFault, ...] = ()
        self.sign_in_ends: float | None = None       # seconds since the epoch

    def names(self) -> list[str]:
        return self.catalogue.names()

    def profile(self, name: str) -> SiteProfile:
        return self.catalogue.profile(name)

    def open(self, name: str, interaction: Interaction) -> Any:
        self.interactions.append(interaction)
        self.during_open(interaction)
        self.opened.append(FakeConnection(self.data, self.error, self.user))
        return self.opened[-1]

    def jobs(self, name: str, connection: Any) -> Any:
        return self.batch if name != "local" else _NoJobs()

    def recipes(self, name: str, connection: Any) -> Any:
        return SimpleNamespace(faults=self.left_out)

    def software(self, name: str, connection: Any, *, again: bool = False) -> list[Availability]:
        self.looks += 1
        return [self.seen.get(recipe.name, Availability(name, recipe, SoftwareState.READY, place="here"))
                for recipe in self.batch.recipes()]

    def identity(self, name: str) -> None:
        return None

    def outlives(self, name: str, until: float) -> str:
        ends = self.sign_in_ends
        return "" if ends is None or until <= ends else f"Your sign-in at {name} ends before."

    def sign_out(self, name: str) -> None:
        """Nobody is signed in."""

    def sign_out_everywhere(self, name: str) -> SignedOut:
        return SignedOut((name,))

    def remove_private_python(self, name: str, transport: Any) -> list[str]:
        return ["private-3.9-x86_64-0123456789abcdef"]

    def look_around(self, name: str, connection: Any, *, always: bool = False) -> Findings | None:
        return self.findings

    def learn(self, name: str, found: Findings) -> None:
        self.catalogue.learn(name, found)

    def keep_signed_in(self) -> None:
        """Nobody is signed in."""
        self.kept += 1


def folder(path: str, *names: str) -> FolderListing:
    """A listing: names that end in ``/`` are folders."""
    entries = tuple(FolderEntry(name.rstrip("/"), EntryKind.FOLDER if name.endswith("/") else EntryKind.FILE,
                                None if name.endswith("/") else 4_880_000, 0.0) for name in names)
    return FolderListing(PurePosixPath(path), entries)


def group(path: str, **more: Any) -> NodeInfo:
    return NodeInfo(path, NodeKind.GROUP, has_children=True, **more)


def dataset(path: str, shape: tuple[int, ...] = (10, 64, 48), dtype: str = "uint32", **more: Any) -> NodeInfo:
    return NodeInfo(path, NodeKind.DATASET, shape=shape, dtype=dtype, **more)


def stack(path: str = "/entry/data/data", shape: tuple[int, ...] = (10, 64, 48)) -> PlotDescription:
    """How a stack of detector frames wants to be shown."""
    return PlotDescription(View.STACK, path, axes=(None,) * len(shape), normalization="log", shape=shape,
                           dtype="uint32", limits_rule="percentile 1-99", rule="default")


def _settled(outcome: Any) -> Future[Any]:
    future: Future[Any] = Future()
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
    return future


def _nothing(_interaction: Interaction) -> None:
    """No question is asked."""
