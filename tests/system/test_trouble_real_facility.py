"""What goes wrong at a facility, met by an ordinary user over real OpenSSH with the agent on Debian's own Python: each
costs one sentence, and nothing else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.errors import BeamsideError, DataError, LinkLostError, NotFoundError, PermissionError_, StorageFullError
from app.model.data import Block, DataReference, ReadRequest
from app.model.site import AgentSettings, BatchSettings, SiteProfile, SshSettings
from app.remote.agent_zip import agent_zip
from app.remote.connection import Connection, ConnectionState, Patience
from app.remote.seams import Transport
from app.remote.ssh.connect import open_ssh
from tests.contract.events import Changes
from tests.peers.interaction import FakePerson
from tests.peers.slurm import SlurmFacility
from tests.peers.small_disk import small_disk
from tests.peers.sshd import public_line, sshd, write_private

DEBIAN_PYTHON = "/usr/bin/python3"
DEADLINE_S = 120.0
STATES = ConnectionState
QUICK = Patience(heartbeat_s=0.2, unresponsive_s=1.0, lost_s=2.0)
GOOD_SIDE = 3000


@pytest.fixture
def user(slurm: SlurmFacility) -> str:
    return slurm.users[0]


@pytest.fixture
def folder(slurm: SlurmFacility, user: str) -> Iterator[Path]:
    """An empty folder of the visitor's."""
    place = slurm.home(user) / "trouble"
    place.mkdir()
    give(place, user)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def good(folder: Path, user: str) -> Path:
    """A file whose only frame takes several messages of the wire, whatever is done to pack it."""
    path = folder / "good.h5"
    frames = np.random.default_rng(5).integers(0, 2**32, (1, GOOD_SIDE, GOOD_SIDE), dtype=np.uint32)
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = frames
    give(path, user)
    return path


@pytest.fixture
def profile(slurm: SlurmFacility, user: str, own_home: Path) -> SiteProfile:
    (own_home / ".ssh").mkdir()
    shutil.copy(slurm.key(user), own_home / ".ssh" / "id_ed25519")
    ssh = SshSettings(slurm.host, slurm.port, user, ("key",), (slurm.host_key_line,))
    return SiteProfile("real", title="The Facility", ssh=ssh, agent=AgentSettings(python=(DEBIAN_PYTHON,)),
                       batch=BatchSettings("slurm"))


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def connect() -> Iterator[Callable[..., Connection]]:
    made: list[Connection] = []

    def make(profile: SiteProfile, open_transport: Callable[[], Transport] | None = None) -> Connection:
        made.append(Connection(profile, open_transport or (lambda: open_ssh(profile, FakePerson(), None)),
                               patience=QUICK))
        made[-1].open().result(DEADLINE_S)
        return made[-1]

    yield make
    for connection in made:
        connection.close(10)


def give(path: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    os.chown(path, account.pw_uid, account.pw_gid)


def at(path: Path, data_path: str = "") -> DataReference:
    return DataReference("real", PurePosixPath(path), data_path)


def read(connection: Connection, path: Path, view: str = "") -> Any:
    return connection.data.read(ReadRequest(at(path, "/entry/data/data")), view=view, epoch=1)


def assert_whole(block: Block, path: Path) -> None:
    with h5py.File(path) as file:
        assert np.array_equal(block.values, file["entry/data/data"][()])


def until_bytes_flow(connection: Connection, before: int, answer: Any) -> None:
    """Wait until some, and not all, of an answer is here."""
    while connection.data.status()["bytes_received"] < before + 500_000:
        assert not answer.done(), "the answer came too fast to be interrupted"
        threading.Event().wait(0.001)


def assert_one_sentence(error: BeamsideError) -> None:
    assert error.summary.endswith("."), error.summary
    assert "\n" not in error.summary
    assert "Traceback" not in error.summary + error.remedy
    assert error.remedy, f"what to do about it is not said: {error.summary}"


def test_that_damaged_and_foreign_files_cost_one_sentence_each(
        connect: Callable[..., Connection], profile: SiteProfile, folder: Path, good: Path, beamside_data: Path,
        user: str) -> None:
    for file in (*sorted((beamside_data / "corrupt").iterdir()), beamside_data / "spectro" / "APS_spec_data.dat"):
        shutil.copy(file, folder / file.name)
    (folder / "empty.h5").touch()
    (folder / "short.h5").write_bytes(good.read_bytes()[:5000])
    (folder / "zeros.h5").write_bytes(bytes(10000))
    connection = connect(profile)
    told: dict[str, set[str]] = {}
    for file in sorted(folder.iterdir()):
        give(file, user)
        for ask in (lambda f: connection.data.nodes(at(f), None), lambda f: connection.data.plot(at(f)),
                    lambda f: connection.data.read(ReadRequest(at(f)))):
            error = ask(file).exception(DEADLINE_S)
            if error is not None:
                assert isinstance(error, DataError), (file.name, repr(error))
                assert_one_sentence(error)
                told.setdefault(file.name, set()).add(error.kind)
    assert "worker_lost" in told["cve-2024-29157.h5"]
    for name in ("empty.h5", "short.h5", "zeros.h5", "3790_infinite_loop.h5", "h5clear_status_noclose.h5",
                 "cve-2025-2912.h5", "h5clear_fsm_persist_greater.h5", "APS_spec_data.dat"):
        assert told[name] <= {"damaged", "not_hdf5"}, (name, told[name])
    assert "good.h5" not in told
    assert connection.state is STATES.CONNECTED
    assert_whole(read(connection, good).result(DEADLINE_S), good)


def test_that_a_crash_costs_its_worker_while_other_files_go_on(
        connect: Callable[..., Connection], profile: SiteProfile, folder: Path, good: Path,
        beamside_data: Path) -> None:
    bad = folder / "bad.h5"
    shutil.copy(beamside_data / "corrupt" / "cve-2024-29157.h5", bad)
    connection = connect(profile)
    pid = connection.data.status()["agent"]["pid"]
    reading = read(connection, good, "a")
    listing = connection.data.list_folder(PurePosixPath(folder))
    lost = connection.data.nodes(at(bad), None).exception(DEADLINE_S)
    assert isinstance(lost, DataError)
    assert lost.kind == "worker_lost"
    assert_one_sentence(lost)
    assert_whole(reading.result(DEADLINE_S), good)
    assert len(listing.result(DEADLINE_S).entries) == 2
    assert connection.data.nodes(at(good), None).result(DEADLINE_S)
    workers = connection.data.agent_status().result(DEADLINE_S)["workers"]
    assert sum(worker["restarts"] for worker in workers) == 1
    assert connection.data.status()["agent"]["pid"] == pid


def test_that_what_vanished_or_is_not_ours_is_told_so(connect: Callable[..., Connection], profile: SiteProfile,
                                                      folder: Path, good: Path, user: str) -> None:
    secret, closed = folder / "secret.h5", folder / "closed"
    shutil.copy(good, secret)
    secret.chmod(0o600)                                    # root's
    closed.mkdir(0o700)
    connection = connect(profile)
    entries = connection.data.list_folder(PurePosixPath(folder)).result(DEADLINE_S).entries
    assert {"good.h5", "secret.h5", "closed"} == {entry.name for entry in entries}
    good.unlink()
    for answer, kind in ((connection.data.nodes(at(good)), NotFoundError),
                         (connection.data.plot(at(good)), NotFoundError),
                         (read(connection, good), NotFoundError), (connection.data.nodes(at(secret)), PermissionError_),
                         (read(connection, secret), PermissionError_),
                         (connection.data.list_folder(PurePosixPath(closed)), PermissionError_),
                         (connection.data.nodes(at(closed / "x.h5")), PermissionError_),
                         (connection.data.list_folder(PurePosixPath(folder / "nowhere")), NotFoundError)):
        error = answer.exception(DEADLINE_S)
        assert isinstance(error, kind), repr(error)
        assert_one_sentence(error)


@pytest.mark.parametrize("how", ["agent killed", "link cut", "link frozen"])
def test_that_an_answer_cut_in_the_middle_comes_all_the_same(
        slurm: SlurmFacility, connect: Callable[..., Connection], profile: SiteProfile, good: Path, folder: Path,
        changes: Changes, how: str) -> None:
    connection = connect(profile)
    connection.add_listener(changes)
    transport = connection.transport
    older = read(connection, good, "slider")
    newer = connection.data.read(ReadRequest(at(good, "/entry/data/data")), view="slider", epoch=2)
    assert older.cancelled()
    until_bytes_flow(connection, connection.data.status()["bytes_received"], newer)
    if how == "agent killed":
        os.kill(connection.data.status()["agent"]["pid"], signal.SIGKILL)
    elif how == "link cut":
        slurm.sshd.cut()
    else:
        slurm.sshd.freeze(True)
    other = connection.data.list_folder(PurePosixPath(folder))
    try:
        changes.until(lambda s: any(state is STATES.RECONNECTING for state, _ in s))
    finally:
        slurm.sshd.freeze(False)
    assert_whole(newer.result(DEADLINE_S), good)
    assert len(other.result(DEADLINE_S).entries) == 1
    assert connection.state is STATES.CONNECTED
    assert (connection.transport is transport) == (how == "agent killed"), "a link that is well is used again"
    lost = [reason for state, reason in changes.seen if state is STATES.RECONNECTING]
    assert isinstance(lost[0], LinkLostError)
    assert_one_sentence(lost[0])


def test_that_a_full_home_is_told_and_leaves_nothing(connect: Callable[..., Connection], profile: SiteProfile,
                                                     folder: Path, user: str) -> None:
    with small_disk(folder / "small") as disk:
        give(disk, user)
        full = SiteProfile("real", title="The Facility", ssh=profile.ssh,
                           agent=AgentSettings(python=(DEBIAN_PYTHON,), cache=str(disk / "cache")))
        with pytest.raises(StorageFullError) as error:
            connect(full)
        assert_one_sentence(error.value)
        assert list((disk / "cache").iterdir()) == []


def test_that_a_home_with_any_name_works_behind_a_noisy_shell(
        connect: Callable[..., Connection], tmp_path: Path, own_home: Path) -> None:
    home = tmp_path / "it's a “home” of $HOME né%20"
    home.mkdir()
    noise = "printf 'Willkommen \\377\\n\\nBEAMSIDE-ANSWER {}\\nBEAMSIDE-AGENT 1 0\\n'; echo motd >&2\n"
    for name in (".bashrc", ".profile", ".bash_profile"):
        (home / name).write_text(noise)
    with h5py.File(home / "scan 1.h5", "w") as file:
        file["entry/data/data"] = np.arange(6)
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    quoted = str(home).replace('"', '\\"')
    with sshd(tmp_path / "ssh", options=[f'SetEnv "HOME={quoted}"']) as server:
        server.allow(public_line(key))
        ssh = SshSettings("127.0.0.1", server.port, server.user, ("key",), (server.host_key_line,))
        pythons = ("/nowhere/python3", "module load nothing && python3", f"{DEBIAN_PYTHON} -S", DEBIAN_PYTHON)
        connection = connect(SiteProfile("odd", ssh=ssh, agent=AgentSettings(python=pythons)))
        assert connection.transport.home == PurePosixPath(home)
        assert (home / ".cache/beamside" / agent_zip().name).is_file()
        assert len(list((home / ".cache/beamside").glob("*.zip"))) == 2       # as it came, and compiled
        names = {e.name for e in connection.data.list_folder(PurePosixPath("~")).result(DEADLINE_S).entries}
        assert "scan 1.h5" in names
        block = connection.data.read(ReadRequest(DataReference("odd", PurePosixPath("scan 1.h5"), "/entry/data/data")))
        assert block.result(DEADLINE_S).values.tolist() == [0, 1, 2, 3, 4, 5]
        connection.close()
