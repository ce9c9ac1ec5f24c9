"""Folders that others of the proposal can write in: whatever stands there, the other jobs are told as they are."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import pytest

from app.model.jobs import JobKind, JobSpec, JobState
from app.remote.jobs.service import JobService
from app.remote.jobs.store import JobStore
from app.remote.seams import CommandResult
from tests.peers.need import need_program, need_root
from tests.unit.jobs.conftest import FakeLink
from tests.unit.jobs.fake_slurm import FakeSlurm
from tests.unit.jobs.test_jobs_following import known_jobs

need_program("setsid", "util-linux")

FORGED = '\x1e{home}/beamside-jobs/{victim}/final.json\x1d{{"state": "failed", "reason": "forged", "ended": 1}}\n'
JOB = '{{"id": "{id}", "name": "n", "recipe": "chain", "version": "1", "created": {created}, "steps": {steps}}}'


def filled(text: str) -> Callable[[Path, str, Path], None]:
    return lambda folder, victim, home: _write(folder / "job.json", text.format(
        id=folder.name, victim=victim, home=home, created=1795343001, steps="[]"))


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _huge(folder: Path, victim: str, home: Path) -> None:
    with open(folder / "progress.json", "wb") as stream:
        stream.truncate(300_000_000)


def _pipe(name: str, *beside: str) -> Callable[[Path, str, Path], None]:
    def make(folder: Path, victim: str, home: Path) -> None:
        for other in beside:
            (folder / other).write_text('{"state": "failed"}')
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    return make


def _log(folder: Path, victim: str, home: Path) -> None:
    (folder / "status.json").write_text('{"state": "ended", "rc": 7, "started": 1, "ended": 2}')
    os.mkfifo(folder / "job.log")


def _id(folder: Path) -> None:
    (folder / "submitted").unlink()
    (folder / "status.json").write_text('{"state": "started", "rc": null, "scheduler_id": "0"}')


HOSTILE: dict[str, Callable[[Path, str, Path], None]] = {
    "deep": filled("[" * 200_000),
    "deep object": lambda f, v, h: _write(f / "status.json", '{"a":' * 100_000),
    "number without end": lambda f, v, h: _write(f / "job.json", JOB.format(
        id=f.name, created="1" + "0" * 400, steps="[]")),
    "infinite": lambda f, v, h: _write(f / "job.json", JOB.format(id=f.name, created="1e999", steps="[]")),
    "not a number": lambda f, v, h: _write(f / "job.json", JOB.format(id=f.name, created="NaN", steps="[]")),
    "time limit without end": lambda f, v, h: _write(f / "job.json", JOB.format(
        id=f.name, created="1", steps='[{"name": "x", "tasks": 0, "resources": {"time_limit_min": 1'
            + "0" * 400 + "}}]")),
    "steps": lambda f, v, h: _write(f / "job.json", JOB.format(
        id=f.name, created="1", steps=json.dumps([{"name": "x", "tasks": 100_000}] * 300))),
    "another's file": filled(JOB + "\n" + FORGED),
    "another's folder": filled(JOB + "\n\x1c/x/{victim}\x1c\n"),
    "huge": _huge,
    "pipe": _pipe("job.json", "final.json"),
    "pipe for a status": _pipe("status.json"),
    "pipe for a log": _log,
    "final that is none": lambda f, v, h: _write(f / "final.json", '{"state": "running", "scheduler_id": "--me"}'),
    "final of numbers": lambda f, v, h: _write(f / "final.json", '{"state": "failed", "ended": 1' + "0" * 400 + "}"),
    "year": lambda f, v, h: _write(f / "job.json", JOB.format(id=f.name, created="1e14", steps="[]")),
    "id": lambda f, v, h: _id(f),
    "progress": lambda f, v, h: _write(
        f / "progress.json", '{"done": 1e999, "total": NaN, "time": NaN, "preview": "a"}'),
}


@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_that_what_stands_in_one_folder_concerns_no_other_job(service: JobService, slurm: FakeSlurm, own_home: Path,
                                                              what: str) -> None:
    hostile, victim = known_jobs(own_home, slurm, 2)
    HOSTILE[what](own_home / "beamside-jobs" / hostile, victim, own_home)
    if what in ("pipe for a log", "id"):
        slurm.set("1000", live=False, past=False)
    for _ in range(2):
        found = {job.id: job for job in service.jobs()}
        seen = found[victim]
        assert (seen.state, seen.stale, seen.scheduler_id) == (JobState.QUEUED, "", "1001")
        assert seen.folder == str(own_home / "beamside-jobs" / victim)
        if hostile in found:
            time.localtime(found[hostile].submitted)
            json.dumps([found[hostile].progress, found[hostile].ended], allow_nan=False)


def test_that_only_files_of_parts_that_a_job_has_are_read(service: JobService, slurm: FakeSlurm, link: FakeLink,
                                                          own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job_id,) = known_jobs(own_home, slurm, 1)
    folder = own_home / "beamside-jobs" / job_id
    said = json.loads((folder / "job.json").read_text())
    steps = [{"name": "each", "tasks": 3, "resources": {}}, {"name": "merge", "tasks": 0, "resources": {}}]
    _write(folder / "job.json", json.dumps({**said, "steps": steps}, indent=1))
    real = ("status.1", "status.3", "status-2", "progress.2", "usage-2")
    false = ("status.4", "status.01", "status.1000000", "status-3", "status-2.1.1", "status.x", "statuses", "status.1 ",
             "usage-0", "status.1\nstatus.2", *(f"status.{n}" for n in range(4, 3000)))
    for stem in (*real, *false):
        _write(folder / f"{stem}.json", '{"state": "started"}')
    read: list[bytes] = []
    run = link.run

    def heard(argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        result = run(argv, stdin=stdin, timeout_s=timeout_s)
        read.append(result.stdout)
        return result
    monkeypatch.setattr(link, "run", heard)
    assert [job.id for job in service.jobs()] == [job_id]
    names = {Path(os.fsdecode(path)).name for text in read for path in re.findall(rb"\x1e([^\x1d\x1e]*)\x1d", text)}
    assert names - {"job.json", "submitted", ""} == {f"{stem}.json" for stem in real}
    assert sum(map(len, read)) < 10_000


def test_that_nobody_else_can_change_what_a_job_will_run(service: JobService, scan: Path, own_home: Path) -> None:
    before = os.umask(0o002)        # as facilities set it for people who share a visit
    try:
        job = service.submit(JobSpec("near", "chain", (str(scan),), {}, kind=JobKind.TRIAL))
    finally:
        os.umask(before)
    folder = Path(job.folder)
    assert (folder / "trial/questions").exists()
    assert (folder / ".submit").stat().st_mode & 0o077 == 0
    for path in (folder, *folder.rglob("*")):
        assert path.parent.name == ".submit" or not path.stat().st_mode & 0o022, path
    assert folder.parent.stat().st_mode & stat.S_ISVTX, "nor put another folder into its place"


def test_that_a_separator_in_a_log_shifts_no_other_log(tmp_path: Path, link: FakeLink) -> None:
    first, second, third = logs = [tmp_path / f"{n}.log" for n in range(3)]
    first.write_text("a\x1d1\x1eb\x1d\n")
    third.write_text("c\n")
    assert not second.exists()
    tails = JobStore(lambda: link).log_tails([PurePosixPath(log) for log in logs], 10)
    assert [tail.text for tail in tails] == ["a?1\x1eb?\n", "", "c\n"]


def test_that_a_series_or_a_pattern_stands_for_its_files(tmp_path: Path, link: FakeLink) -> None:
    folder = tmp_path / "it's [1] $(touch owned) #2"
    folder.mkdir()
    for number in (9, 10, 11):
        (folder / f"a#b_{number}.cbf").write_bytes(bytes(number))
    (folder / "a#b_x.cbf").write_bytes(bytes(1000))
    (folder / "literal_#.cbf").write_bytes(bytes(5))
    (folder / "literal_1.cbf").write_bytes(bytes(50))
    names = ("a#b_#.cbf", "a#b_##.cbf", "a?b_*.cbf", "literal_#.cbf", "c_###.cbf", "c_*.cbf", "a[#]b_#.cbf",
             "a#b_9.cbf")
    states = JobStore(lambda: link).probe([PurePosixPath(folder / name) for name in names])
    assert [state.nbytes for state in states] == [30, 30, 1030, 5, 0, 0, 0, 9]
    assert [state.exists for state in states] == [True] * 4 + [False] * 3 + [True]
    assert states[0].readable
    assert not list(tmp_path.rglob("owned"))
    assert not list(Path().glob("owned"))


def test_that_many_files_with_long_names_fit_into_commands_that_a_site_takes(
        tmp_path: Path, link: FakeLink, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    run = link.run

    def measured(argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        sizes.append(len(shlex.join(argv).encode()))
        return run(argv, stdin=stdin, timeout_s=timeout_s)
    monkeypatch.setattr(link, "run", measured)
    folder = tmp_path / ("ü'" * 80) / ("'" * 250)
    folder.mkdir(parents=True)
    (folder / "299.cbf").write_text("x")
    paths = [PurePosixPath(folder / f"{n}.cbf") for n in range(300)]
    store = JobStore(lambda: link)
    assert [state.exists for state in store.probe(paths)] == [False] * 299 + [True]
    assert [tail.text for tail in store.log_tails(paths, 3)] == [""] * 299 + ["x"]
    assert sum(sizes) > 8 * 128_000
    assert max(sizes) < 128_000, "Linux takes no longer argument, and sshd makes one of the whole command"


def place_of(scan: Path, mode: int) -> Path:
    """Where jobs on the scan go: a folder that is there already."""
    place = scan.parent.parent / "PROCESSED_DATA/beamside"
    place.mkdir(parents=True)
    place.chmod(mode)
    return place


@pytest.mark.parametrize(("mode", "after"), [(0o2775, 0o3775), (0o777, 0o1777), (0o2755, 0o2755), (0o3775, 0o3775)])
def test_that_an_old_folder_of_ours_is_closed_to_others_tricks(service: JobService, scan: Path, mode: int,
                                                               after: int) -> None:
    place = place_of(scan, mode)
    draft = service.prepare(JobSpec("near", "chain", (str(scan),), {}))
    assert draft.folder.parent == PurePosixPath(place)
    assert draft.warnings == ()
    service.submit(draft)
    assert stat.S_IMODE(place.stat().st_mode) == after


@pytest.mark.parametrize(("mode", "open_to_others"), [(0o2775, True), (0o777, True), (0o757, True), (0o2755, False),
                                                      (0o3775, False), (0o1777, False)])
def test_that_a_folder_of_somebody_else_is_told_of_once(service: JobService, scan: Path, mode: int,
                                                       open_to_others: bool) -> None:
    need_root("a folder of somebody else")
    place = place_of(scan, mode)
    os.chown(place, 12345, 12345)
    place.chmod(mode)
    spec = JobSpec("near", "chain", (str(scan),), {})
    told = service.prepare(spec).warnings
    assert len(told) == open_to_others
    assert all(f"Everybody who may write in {place} can put another program" in sentence for sentence in told)
    assert service.prepare(spec).warnings == ()
