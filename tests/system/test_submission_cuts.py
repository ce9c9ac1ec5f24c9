"""Submissions cut off at random points, by the network or by the death of the client: each is exactly one job.

``BEAMSIDE_CUTS=200`` for the whole; a few without. Single jobs, arrays and chains are mixed; most go to a partition
that starts nothing, the others run to their end. Slurm's own accounting, its queue, the folders and a new client have
to agree in the end: none lost, none doubled, none orphaned.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko
import pytest

from app.errors import LinkError
from app.model.jobs import InputExtent, JobSpec, JobState, Resources
from app.model.site import BatchSettings, SiteProfile
from app.recipes.recipe import Recipe, RecipeStep, ResourceRule
from app.remote.jobs.draft import Draft
from app.remote.jobs.names import job_of
from tests.peers.relay import Relay, relay
from tests.peers.slurm import SlurmFacility
from tests.peers.submitting import Address, Client, Order

_log = logging.getLogger(__name__)
CUTS = int(os.environ.get("BEAMSIDE_CUTS", "25"))
TOGETHER = 25       # in one test
AT_ONCE = 3
PATIENCE_S = 240.0
_SMALL = ResourceRule(Resources(time_limit_min=5, cpus=1, memory_mb=50))
_EACH = RecipeStep("each", "Each", _SMALL, frames_per_task=1)
KINDS = {
    "single": Recipe("single", "1", "Single", "pass", resources=_SMALL.base),
    "array": Recipe("array", "1", "Array", "pass", steps=(_EACH,)),
    "chain": Recipe("chain", "1", "Chain", "pass",
                    steps=(_EACH, RecipeStep("merge", "Merge", _SMALL), RecipeStep("view", "View", _SMALL))),
}


@dataclass(frozen=True)
class Cut:
    """One submission and how it is cut off, drawn from a seed."""

    number: int
    kind: str
    runs: bool
    how: str
    at: float
    again: float

    @classmethod
    def drawn(cls, number: int) -> Cut:
        dice = random.Random(f"cut {number}")
        return cls(number, dice.choice(tuple(KINDS)), dice.random() < 0.15,
                   dice.choices(("bytes", "time", "reset", "killed"), (4, 2, 2, 2))[0], dice.random(), dice.random())


@pytest.fixture(scope="module")
def profile() -> SiteProfile:
    return SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"))


def address(site: SlurmFacility, port: int) -> Address:
    return Address(site.host, port, site.users[0], str(site.key(site.users[0])))


@pytest.mark.parametrize("first", range(0, CUTS, TOGETHER))
def test_that_cut_submissions_are_each_exactly_one_job(slurm: SlurmFacility, profile: SiteProfile, first: int,
                                                       caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "paramiko")      # a lost connection is what this is about
    client = Client(address(slurm, slurm.port), profile, KINDS)
    scan = slurm.home(slurm.users[0]) / "cuts.dat"
    scan.write_bytes(b"")
    cuts = [Cut.drawn(number) for number in range(first, min(first + TOGETHER, CUTS))]
    extent = InputExtent((2, 10, 10), 1)
    drafts = {cut.number: client.jobs.prepare(JobSpec(
        "real", cut.kind, (str(scan),), {}, Resources(partition="" if cut.runs else "closed"), name=f"cut {cut.number}",
        extents=(extent,))) for cut in cuts}
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            happened = Counter(pool.map(lambda cut: submit(slurm, profile, cut, drafts[cut.number]), cuts))
        _log.warning("%d submissions: %s", len(cuts), dict(happened))
        assert sum(count for words, count in happened.items() if "interrupted" in words) >= len(cuts) // 4
        runs = [drafts[cut.number].id for cut in cuts if cut.runs]
        wait_until_ended(client, runs)
        check(slurm, client, list(drafts.values()), set(runs))
    finally:
        slurm.run("scancel", "-u", slurm.users[0], "-p", "closed")
        client.close()
        for thread in threading.enumerate():
            if isinstance(thread, threading.Timer):         # of handshakes that were cut off: paramiko lets them run
                thread.cancel()
            if isinstance(thread, (paramiko.Transport, threading.Timer)):
                thread.join(30)


def submit(site: SlurmFacility, profile: SiteProfile, cut: Cut, draft: Draft) -> str:
    """One submission with its cut; afterwards somebody who knows the draft makes sure. How it went."""
    with relay((site.host, site.port)) as between:
        near = address(site, between.port)
        if cut.how == "killed":
            words = submit_and_be_killed(Order(near, profile, draft), cut)
        else:
            client = Client(near, profile, KINDS)
            try:
                with cutting(between, cut) as cuts_made:
                    client.jobs.submit(draft)
                words = f"{cut.how}, interrupted" if cuts_made else f"{cut.how}, too late"
            except LinkError:
                words = f"{cut.how}, interrupted and given up"
            finally:
                client.close()
    with_eyes = Client(address(site, site.port), profile, KINDS)
    try:    # another client: it looks at the list, and submits again what is not there
        if draft.id not in {job.id for job in with_eyes.jobs.jobs()}:
            words += ", again"
            with_eyes.jobs.submit(draft)
        elif cut.again < 0.3:       # a form that is still open, and pressed again
            with_eyes.jobs.submit(draft)
    finally:
        with_eyes.close()
    return words


def submit_and_be_killed(order: Order, cut: Cut) -> str:
    with subprocess.Popen([sys.executable, "-m", "tests.peers.submitting"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pickle.dumps(order))
        process.stdin.close()
        assert process.stdout.readline() == b"ready\n"
        threading.Event().wait(cut.at * 0.8)
        process.kill()
        done = process.stdout.read()
    return "killed, too late" if done.strip() else "killed, interrupted"


@contextmanager
def cutting(between: Relay, cut: Cut) -> Iterator[list[float]]:
    """Cut the link once while the block runs, by bytes or after a time, and now and then once more."""
    made: list[float] = []
    over = threading.Event()
    if cut.how == "bytes":
        between.cut_after(int(cut.at * 30_000))

        def watch() -> None:
            while not over.wait(0.005):
                if between.rationed_out:
                    made.append(time.monotonic())
                    return
    else:
        def watch() -> None:
            for delay in (cut.at * 0.6, cut.again):
                if over.wait(delay):
                    return
                if between.connections:
                    made.append(time.monotonic())
                    if cut.how == "reset":
                        between.reset()
                    else:
                        between.cut()
    thread = threading.Thread(target=watch, name="cutting")
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join(10)


def wait_until_ended(client: Client, ids: list[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S + 3 * len(ids)
    while True:
        states = {job.id: job for job in client.jobs.jobs()}
        left = [i for i in ids if i not in states or not states[i].state.ended]
        if not left:
            return
        assert time.monotonic() < deadline, [states.get(i) for i in left[:3]]
        time.sleep(1)


def check(site: SlurmFacility, client: Client, drafts: list[Draft], run: set[str]) -> None:
    """The queue and accounting of Slurm, the folders, the index and a client all have each job once."""
    wanted = {f"beamside-{d.id}" + (f"-{k}" if k > 1 else ""): d for d in drafts for k in range(1, len(d.steps) + 1)}
    queued = ids_by_name(site.run("squeue", "-h", "-t", "all", "-o", "%F|%j").stdout)
    accounted = ids_by_name(site.run("sacct", "-n", "-X", "-P", "-a", "-S", "now-1hours", "-o", "JobID,JobName").stdout)
    for name in wanted:
        ids = queued.get(name, set()) | accounted.get(name, set())
        assert len(ids) == 1, f"{name} is {sorted(ids) or 'lost'}"
    ours = {d.id for d in drafts}
    home = site.home(site.users[0])
    folders = {path.name for path in (home / "beamside-jobs").iterdir()}
    assert ours <= folders
    assert not [name for name in folders if name.startswith(".")], "half a folder was left"
    index = {path.name for path in (home / ".local/share/beamside/jobs").iterdir()}
    assert ours <= index
    known = {job.id: job for job in client.jobs.jobs()}
    for draft in drafts:
        job, folder = known[draft.id], Path(draft.folder)
        told = [text.strip() for text in (folder / "submitted").read_text().split("\x1d")]
        names = [name for name in wanted if wanted[name] is draft]
        assert [{i} for i in told] == [queued.get(n, set()) | accounted.get(n, set()) for n in names]
        assert not (folder / "refused").exists()
        if draft.id in run:
            assert job.state is JobState.COMPLETED, job
        else:
            assert job.state is JobState.QUEUED, job
    earliest = min(draft.id for draft in drafts)        # others used this Slurm before, and removed their folders
    there = {name: found[0] for name in queued.keys() | accounted.keys()
             if (found := job_of(name)) and found[0] >= earliest}
    assert not [name for name, job_id in there.items() if job_id not in index], "a job without its folder"
    assert not [name for name, job_id in there.items() if job_id in ours and name not in wanted], "a step too many"
    assert all(job.ours for job in known.values() if job.id in ours)


def ids_by_name(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        number, _, name = line.partition("|")
        found.setdefault(name, set()).add(number.partition("_")[0])
    return found
