"""Several forms of one person, and trials in trouble, on real Slurm over real SSH: who gets what, and what is told."""

from __future__ import annotations

import contextlib
import os
import pwd
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import pytest

from app.errors import StorageFullError
from app.model.jobs import JobState
from app.model.site import DataSettings
from app.remote.trials.session import TrialOverError, TrialSession
from tests.peers.slurm import SlurmFacility
from tests.peers.small_disk import small_disk
from tests.system.test_trials import DOUBLING, PATIENCE_S, Client, close, folder, ready, truth, until

CRASH = {"factor": 1e9}         # the program dies of a segmentation fault


@pytest.fixture
def new_client(slurm_states: SlurmFacility) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(data: DataSettings | None = None) -> Client:
        made.append(Client(slurm_states, {DOUBLING.name: DOUBLING}, {}, data=data))
        return made[-1]

    yield make
    close(made)


@pytest.fixture
def client(new_client: Callable[..., Client]) -> Client:
    return new_client()


@pytest.fixture
def scan(slurm_states: SlurmFacility, request: pytest.FixtureRequest) -> Path:
    path = slurm_states.home(slurm_states.users[0]) / f"{request.node.name[:60]}.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = [[1, 2], [3, 4]]
    account = pwd.getpwnam(slurm_states.users[0])
    os.chown(path, account.pw_uid, account.pw_gid)
    return path


def doubled(session: TrialSession, factor: float, takes: float = 0.0) -> float:
    answer = session.ask({"factor": factor, "takes": takes})
    assert answer.fault == ""
    with h5py.File(answer.file) as file:
        return float(file[answer.data_path][()])


def test_that_two_windows_have_trials_of_their_own_and_leave_no_job(client: Client, new_client: Callable[..., Client],
                                                                    scan: Path) -> None:
    one, other = client.trial(DOUBLING, scan), new_client().trial(DOUBLING, scan)
    ready(one)
    ready(other)
    assert folder(one) != folder(other)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(doubled, one, 1.0, 12.0)
        until((folder(one) / "computed").exists)
        assert doubled(other, 2.0) == 4.0
        assert not slow.done()
        assert slow.result(PATIENCE_S) == 2.0
    other.end()
    assert doubled(one, 3.0) == 6.0
    one.end()
    assert {truth(client, session).state for session in (one, other)} == {JobState.COMPLETED}


def test_that_another_computer_takes_up_what_a_killed_client_left(client: Client, new_client: Callable[..., Client],
                                                                  scan: Path) -> None:
    killed = client.trial(DOUBLING, scan)
    ready(killed)
    assert doubled(killed, 1.0) == 2.0
    client.cut()
    mark, = (folder(killed) / "trial").glob("form-*")
    os.utime(mark, (time.time() - 120,) * 2)             # a minute and more later
    heir = new_client().trial(DOUBLING, scan)
    ready(heir)
    assert folder(heir) == folder(killed)
    assert doubled(heir, 2.0) == 4.0
    client.down.clear()
    with pytest.raises(TrialOverError, match="Another form has taken"):
        killed.ask({"factor": 3.0})
    killed.end()
    assert doubled(heir, 4.0) == 8.0
    heir.end()


def test_that_parameters_a_program_dies_of_are_told_and_the_next_question_has_a_fresh_trial(client: Client,
                                                                                            scan: Path) -> None:
    session = client.trial(DOUBLING, scan)
    ready(session)
    with pytest.raises(TrialOverError) as over:
        session.ask(CRASH)
    assert over.value.summary == "The trial job failed: exit code 139 (segmentation fault)."
    again = client.trial(DOUBLING, scan)
    ready(again)
    assert folder(again) != folder(session)
    assert doubled(again, 2.0) == 4.0
    again.end()


@pytest.mark.parametrize("requeued", [True, False])
def test_that_a_trial_whose_node_fails_goes_on_elsewhere_or_says_so(slurm_states: SlurmFacility, client: Client,
                                                                    scan: Path, requeued: bool) -> None:
    stays, lost = slurm_states.nature.nodes
    slurm_states.admin.drain(stays, "so that the trial runs on the other")
    session = client.trial(DOUBLING, scan)
    ready(session)
    slurm_states.admin.resume(stays)
    assert session.job is not None
    job = client.jobs.job(session.job.id)
    assert job.node == lost
    slurm_states.admin.control("update", f"jobid={job.scheduler_id}", f"requeue={requeued:d}")
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(doubled, session, 2.0, 4.0)
        until((folder(session) / "computed").exists)
        slurm_states.admin.lose_node(lost)
        try:
            if requeued:                                 # the question that waited is answered by the next run
                assert asking.result(3 * PATIENCE_S) == 4.0
            else:
                with pytest.raises(TrialOverError, match="The trial job failed: a node failed"):
                    asking.result(3 * PATIENCE_S)
                session = client.trial(DOUBLING, scan)
                ready(session)
                assert doubled(session, 3.0) == 6.0
            assert client.jobs.job(session.job.id).node == stays        # type: ignore[union-attr]
            session.end()
        finally:
            slurm_states.admin.bring_node_back(lost)


def test_that_a_disk_that_is_full_is_told_and_the_trial_goes_on_when_there_is_room(
        slurm_states: SlurmFacility, new_client: Callable[..., Client]) -> None:
    visit = slurm_states.home(slurm_states.users[0]) / "tried"
    (visit / "RAW_DATA").mkdir(parents=True)
    (visit / "RAW_DATA" / "scan.dat").write_bytes(b"raw")
    with small_disk(visit / "small", 512):
        client = new_client(DataSettings(roots=(str(visit),), processed="small"))
        session = client.trial(DOUBLING, visit / "RAW_DATA" / "scan.dat")
        ready(session)
        assert doubled(session, 1.0) == 2.0
        with contextlib.suppress(OSError), open(visit / "small/filler", "wb", buffering=0) as filler:
            while filler.write(bytes(4096)) == 4096:
                pass
        try:
            told = session.ask({"factor": 2.0}).fault
        except StorageFullError as error:
            told = error.summary
        assert "full" in told
        (visit / "small/filler").unlink()
        assert doubled(session, 3.0) == 6.0
        session.end()
        assert truth(client, session).state is JobState.COMPLETED


def test_that_an_input_that_was_written_again_leaves_the_trial_its_job(client: Client, scan: Path) -> None:
    session = client.trial(DOUBLING, scan)
    ready(session)
    assert doubled(session, 1.0) == 2.0
    with h5py.File(scan, "a") as file:
        file["entry/more"] = 1
    assert doubled(session, 2.0) == 4.0
    assert session.ask({"factor": 3.0}).fault == ""
    session.end()
    assert truth(client, session).state is JobState.COMPLETED


def test_that_many_questions_leave_few_files(client: Client, scan: Path) -> None:
    session = client.trial(DOUBLING, scan)
    ready(session)
    for number in range(20):
        assert doubled(session, float(number)) == 2.0 * number
    assert len(list((folder(session) / "trial").glob("answer-*"))) <= 5
    assert len(list((folder(session) / "trial").iterdir())) <= 10
    session.end()
