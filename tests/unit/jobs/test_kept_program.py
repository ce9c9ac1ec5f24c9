"""The program of direct execution lies at the site once; it is run only if it is ours and what it should be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.model.jobs import Resources
from app.model.site import BatchSettings, SiteProfile
from app.remote.jobs.batch_system import BatchSystem
from app.remote.scheduler.direct import Direct
from app.remote.scheduler.states import StepWish
from app.remote.seams import CommandResult
from tests.unit.jobs.conftest import FakeLink

PROFILE = SiteProfile("near", batch=BatchSettings("direct"))


class Measured(FakeLink):
    """A link that remembers how much each command sent: characters of its words, bytes of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, int]] = []

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        self.sent.append((sum(map(len, argv)), len(stdin)))
        return super().run(argv, stdin=stdin, timeout_s=timeout_s)


@pytest.fixture
def measured(own_home: Path) -> Measured:
    return Measured()


@pytest.fixture
def batch(measured: Measured) -> BatchSystem:
    return BatchSystem(PROFILE, lambda: measured)


def cache(home: Path) -> Path:
    (found,) = (home / ".cache/beamside").glob("program-*")
    return found


def test_that_the_program_is_sent_once_and_named_from_then_on(batch: BatchSystem, measured: Measured,
                                                             own_home: Path) -> None:
    for _ in range(3):
        assert batch.rows() == []
    assert batch.history(["7"], []).rows == ()
    first, *later = measured.sent
    assert first[1] > 10_000
    assert len(later) == 3, "one command each"
    assert all(words < 4000 and not sent for words, sent in later)
    assert cache(own_home).stat().st_mode & 0o777 == 0o600
    assert cache(own_home).parent.stat().st_mode & 0o022 == 0


def test_that_a_program_that_has_gone_is_brought_again(batch: BatchSystem, measured: Measured, own_home: Path) -> None:
    assert batch.rows() == []
    cache(own_home).unlink()
    assert batch.rows() == []
    assert len(measured.sent) == 3
    assert cache(own_home).exists()


@pytest.mark.parametrize("wrong", ["another text", "writable by others", "in a folder open to others",
                                   "a pipe"])
def test_that_nothing_is_run_that_another_could_have_written(batch: BatchSystem, measured: Measured, own_home: Path,
                                                            wrong: str) -> None:
    assert batch.rows() == []
    kept = cache(own_home)
    text = kept.read_text()
    kept.write_text(f"open({str(own_home / 'owned')!r}, 'w')\n" + text)
    if wrong == "writable by others":
        kept.write_text(text)
        kept.chmod(0o622)
    elif wrong == "in a folder open to others":
        kept.write_text(text)
        kept.parent.chmod(0o777)
    elif wrong == "a pipe":
        kept.unlink()
        os.mkfifo(kept, 0o600)
    assert batch.rows() == []
    assert not (own_home / "owned").exists()
    assert len(measured.sent) == 3, "it was asked for again"
    assert (kept.read_text(), kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o022) == (text, 0o600, 0)


def test_that_a_folder_that_the_cache_is_a_link_to_stays_as_it_is(batch: BatchSystem, own_home: Path) -> None:
    shared = own_home / "shared"
    shared.mkdir()
    shared.chmod(0o3777)
    (own_home / ".cache").mkdir(exist_ok=True)
    (own_home / ".cache/beamside").symlink_to(shared)
    for _ in range(3):
        assert batch.rows() == []
    assert (shared.stat().st_mode & 0o7777, list(shared.iterdir())) == (0o3777, [])


def test_that_a_home_that_takes_no_file_costs_a_round_trip_twice_at_most(batch: BatchSystem, measured: Measured,
                                                                        own_home: Path) -> None:
    (own_home / ".cache").mkdir(exist_ok=True)
    (own_home / ".cache/beamside").write_text("no folder")
    for _ in range(5):
        assert batch.rows() == []
    assert len(measured.sent) == 5 + 2


def test_that_a_login_script_that_reads_its_input_hides_nothing(measured: Measured, own_home: Path) -> None:
    (own_home / ".bash_profile").write_text("cat >/dev/null\n")
    batch = BatchSystem(SiteProfile("near", batch=BatchSettings("direct", login_shell=True)), lambda: measured)
    assert batch.rows() == []
    assert [p.name for p in batch.partitions()] == ["direct"]


def test_that_a_script_is_tried_by_the_kept_program_and_without_it(batch: BatchSystem, own_home: Path) -> None:
    script = "#!/bin/bash\n" + Direct().header(StepWish("beamside-x", "job", Resources(cpus=1)))
    assert batch.try_script("job.sh", script, Resources()) is None
    batch.rows()
    assert batch.try_script("job.sh", script, Resources()) is None
    os.unlink(cache(own_home))
    assert batch.try_script("job.sh", script, Resources()) is None
