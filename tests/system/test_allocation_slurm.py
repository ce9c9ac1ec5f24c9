"""The agent inside an allocation of a real Slurm: kept through crash and cut, given back at the end, or by itself."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import paramiko
import pytest

from app.errors import AgentError, BeamsideError, LinkLostError, SubmissionRefusedError, UsageError
from app.model.site import AgentSettings, BatchSettings, SiteProfile, SshSettings
from app.remote.allocation import Allocation, place_of
from app.remote.connection import Connection, ConnectionState, Patience
from app.remote.ssh.transport import SshTransport
from tests.peers.slurm import SlurmFacility

PATIENCE_S = 240.0


def until(claim: Callable[[], Any], what: str = "") -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := claim()):
        assert time.monotonic() < deadline, what or claim
        time.sleep(0.1)
    return found


class Program:
    """A running client with its agent in an allocation called ``name``."""

    def __init__(self, site: SlurmFacility, name: str, idle_s: int = 600, partition: str = "debug",
                 **agent: Any) -> None:
        settings = {"memory_mb": 300, "workers": 1, "cores": 2, "time_min": 10, **agent}
        self.profile = SiteProfile("real", title="The Facility", ssh=SshSettings(site.host),
                                   agent=AgentSettings(run="batch", **settings),
                                   batch=BatchSettings("slurm", (partition,), poll_s=1))
        self.site = site
        self.said: list[str] = []
        self.links: list[SshTransport] = []
        self.states: list[ConnectionState] = []
        self.place = Allocation(self.profile, self.said.append, idle_s=idle_s, name=name)
        self.connection = Connection(self.profile, self._link, patience=Patience(agent_s=120), place=self.place)
        self.connection.add_listener(lambda state, reason: self.states.append(state))

    def _link(self) -> SshTransport:
        user = self.site.users[0]
        link = paramiko.Transport(socket.create_connection((self.site.host, self.site.port), 10))
        try:
            link.start_client(timeout=60)
            link.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(self.site.key(user))))
        except (paramiko.SSHException, EOFError, OSError) as error:
            link.close()
            raise LinkLostError("The connection is lost.") from error
        self.links.append(SshTransport(link, self.site.host))
        return self.links[-1]

    def opened(self) -> Program:
        self.connection.open().result(PATIENCE_S)
        return self

    @property
    def agent(self) -> dict[str, Any]:
        """What the agent says of itself."""
        status = self.connection.data.status()["agent"]
        assert isinstance(status, dict)
        return status

    def answers(self) -> bool:
        """Whether a folder can be listed."""
        with suppress(BeamsideError, TimeoutError):
            return bool(self.connection.data.list_folder(PurePosixPath("/")).result(PATIENCE_S).entries)
        return False


@pytest.fixture(scope="module")
def site(slurm_without_accounting: SlurmFacility) -> SlurmFacility:
    return slurm_without_accounting


@pytest.fixture
def start(site: SlurmFacility, request: pytest.FixtureRequest) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def make(**options: Any) -> Program:
        name = options.pop("name", f"agent-{abs(hash(request.node.name)) % 10 ** 8}")
        programs.append(Program(site, name, **options))
        return programs[-1]
    yield make
    for program in programs:
        program.connection.close(10)
    site.run("scancel", "-u", ",".join(site.users))
    until(lambda: not site.run("squeue", "-h").stdout.strip(), "jobs stay")


def jobs(program: Program) -> list[str]:
    """The ids of the program's allocations, in the queue or running."""
    return program.site.run("squeue", "-h", "-t", "pending,running", "-n", program.place.name,
                            "-o", "%i").stdout.split()


def state(program: Program) -> str:
    return program.site.run("squeue", "-h", "-n", program.place.name, "-o", "%t").stdout.strip()


def kill_agent(program: Program) -> None:
    """Kill the agent's front, which runs in the allocation."""
    pid = program.agent["pid"]
    assert f"SLURM_JOB_ID={program.place.job}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    os.kill(pid, 9)


@contextmanager
def full_node(site: SlurmFacility) -> Iterator[Callable[[], None]]:
    """All cores taken by somebody else; the value frees them."""
    job = site.run("sbatch", "--parsable", "--output=/dev/null", "--cpus-per-task=4", "--mem=100",
                   "--wrap", "sleep 300", user=site.users[1]).stdout.strip()
    until(lambda: site.run("squeue", "-h", "-j", job, "-o", "%t").stdout.strip() == "R")
    try:
        yield lambda: site.run("scancel", job) and None
    finally:
        site.run("scancel", job)


def test_that_the_agent_runs_in_an_allocation_with_all_its_cores_and_is_gone_at_the_end(
        start: Callable[..., Program], site: SlurmFacility) -> None:
    program = start().opened()
    assert program.answers()
    assert jobs(program) == [program.place.job]
    assert any(said.startswith("starting on cn1") for said in program.said)
    steps = site.run("squeue", "-h", "-s", "-j", program.place.job, "-o", "%i").stdout.split()
    assert f"{program.place.job}.0" in steps
    command = Path(f"/proc/{program.agent['pid']}/cmdline").read_text().split("\0")
    assert command[command.index("--digest"):][-3:-1] == ["--threads", "2"]
    program.connection.close(10)
    until(lambda: not jobs(program), "the job stays after closing")


def test_that_a_crash_of_the_agent_costs_no_new_place(start: Callable[..., Program]) -> None:
    program = start().opened()
    job, pid = program.place.job, program.agent["pid"]
    for _ in range(2):
        program.states.clear()
        kill_agent(program)
        until(lambda: ConnectionState.CONNECTED in program.states, "it does not come back")
        assert program.answers()
        assert program.agent["pid"] != pid
        assert jobs(program) == [job]
        assert program.place.job == job


def test_that_a_lost_link_costs_no_new_place(start: Callable[..., Program]) -> None:
    program = start().opened()
    job = program.place.job
    program.states.clear()
    program.links[-1].close()
    until(lambda: ConnectionState.CONNECTED in program.states, "it does not come back")
    assert program.answers()
    assert len(program.links) == 2
    assert jobs(program) == [job]


def test_that_a_program_that_was_killed_finds_its_place_again(start: Callable[..., Program]) -> None:
    first = start().opened()
    first.place.leave = lambda *_: None     # type: ignore[method-assign]
    first.connection.close(10)
    second = start(name=first.place.name).opened()
    assert jobs(second) == [second.place.job]
    assert not any(said.startswith("asking") for said in second.said)
    assert second.answers()


def test_that_a_place_that_another_program_uses_is_not_taken_from_it(start: Callable[..., Program]) -> None:
    first = start().opened()
    second = start(name=first.place.name).opened()
    assert first.place.job == second.place.job
    first.connection.close(10)
    assert second.answers()
    assert jobs(second) == [second.place.job]
    second.connection.close(10)
    until(lambda: not jobs(second), "the job stays after the last one left")


def test_that_a_place_to_which_nobody_came_back_ends_by_itself(start: Callable[..., Program]) -> None:
    program = start(idle_s=20).opened()      # as long as the agent may take to come
    assert jobs(program)
    program.place.leave = lambda *_: None   # type: ignore[method-assign]
    program.connection.close(10)
    until(lambda: not jobs(program), "the job outlives its use")


def test_that_waiting_says_why_and_goes_on_by_itself(start: Callable[..., Program], site: SlurmFacility) -> None:
    with full_node(site) as free:
        program = start()
        opened = program.connection.open()
        until(lambda: any(said.startswith(("queued: waiting for free nodes", "queued: other jobs"))
                          for said in program.said), program.said)
        assert state(program) == "PD"
        assert not opened.done()
        free()
        opened.result(PATIENCE_S)
        assert program.answers()


def test_that_waiting_can_be_given_up_at_any_time(start: Callable[..., Program], site: SlurmFacility) -> None:
    with full_node(site):
        program = start()
        opened = program.connection.open()
        until(lambda: any(said.startswith("queued: ") for said in program.said))
        program.connection.close(10)
        assert isinstance(opened.exception(PATIENCE_S), BeamsideError)
        until(lambda: not jobs(program), "the job stays in the queue")


def test_that_a_link_lost_in_the_queue_keeps_the_place_in_it(start: Callable[..., Program],
                                                            site: SlurmFacility) -> None:
    with full_node(site) as free:
        program = start()
        waited = program.connection.open()
        until(lambda: any(said.startswith("queued: ") for said in program.said))
        place = jobs(program)
        program.links[-1].close()
        assert isinstance(waited.exception(PATIENCE_S), LinkLostError)
        assert jobs(program) == place
        again = start(name=program.place.name)
        opened = again.connection.open()
        until(lambda: any(said.startswith("queued: ") for said in again.said))
        free()
        opened.result(PATIENCE_S)
        assert [again.place.job] == place


@pytest.mark.parametrize(("wanted", "words", "error"), [
    ({"time_min": 600}, "The batch system will never start the agent: ", AgentError),
    ({"cores": 400}, "The batch system will never start the agent: ", AgentError),
    ({"partition": "nosuch"}, "The partition “nosuch” does not exist", SubmissionRefusedError)])
def test_that_what_can_never_start_is_one_sentence_and_leaves_no_job(
        start: Callable[..., Program], wanted: dict[str, Any], words: str, error: type[BeamsideError]) -> None:
    program = start(**wanted)
    with pytest.raises(error) as caught:
        program.opened()
    assert words in caught.value.summary
    assert caught.value.summary.endswith(".")
    assert caught.value.remedy
    until(lambda: not jobs(program))


def test_that_a_profile_without_a_batch_system_says_so_and_others_run_on_the_login_node() -> None:
    with pytest.raises(UsageError):
        place_of(SiteProfile("x", ssh=SshSettings("h"), agent=AgentSettings(run="batch")), print)
    assert place_of(SiteProfile("x", ssh=SshSettings("h")), print) is None
