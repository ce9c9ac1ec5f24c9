"""Trouble of a whole cluster, made on real Slurm, and what is told of its jobs meanwhile: nothing is called failed that
is not, and everything is known again afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.errors import BatchError
from app.model.jobs import Job, JobState
from app.model.site import BatchSettings, SiteProfile
from tests.peers.job_client import PATIENCE_S, JobClient, job_client, parts_told, told, write_data
from tests.peers.one_machine import wait_for
from tests.peers.slurm import SlurmFacility

PROFILE = SiteProfile("real", title="The Facility", batch=BatchSettings("slurm"))


@pytest.fixture
def client(slurm_states: SlurmFacility) -> Iterator[JobClient]:
    write_data(slurm_states)
    with job_client(slurm_states, PROFILE) as client:
        yield client


def test_that_a_job_for_a_drained_cluster_says_why_it_waits(slurm_states: SlurmFacility, client: JobClient) -> None:
    for node in slurm_states.nature.nodes:
        slurm_states.admin.drain(node, "new firmware")
    try:
        waiting = client.until(client.submit("end"), lambda j: "service" in j.reason)
        assert waiting.state is JobState.QUEUED
        assert waiting.reason.startswith("the nodes it needs are not in service")
        wait_for("the partition to be out of service", PATIENCE_S, lambda: [         # what ends there has ended
            (p.up, p.reason) for p in client.jobs.partitions() if p.name == "debug"]
            == [(False, "none of its nodes is in service")])
    finally:
        for node in slurm_states.nature.nodes:
            slurm_states.admin.resume(node)
    assert client.ends(waiting).state is JobState.COMPLETED


def test_that_a_job_that_cannot_be_launched_is_held_with_the_reason(slurm_states: SlurmFacility,
                                                                   client: JobClient) -> None:
    with slurm_states.admin.failing_prolog():
        held = client.until(client.submit("end"), lambda j: j.state is JobState.HELD)
    assert held.reason.startswith("it could not be started on its node")
    for node in slurm_states.nature.nodes:
        slurm_states.admin.resume(node)
    client.jobs.release(held.id)
    assert client.ends(held).state is JobState.COMPLETED


def test_that_a_node_that_fails_is_the_reason_or_puts_the_job_back(slurm_states: SlurmFacility,
                                                                  client: JobClient) -> None:
    stays, lost = slurm_states.nature.nodes
    slurm_states.admin.drain(stays, "so that jobs run on the other")
    again, never_again = client.submit("once"), client.submit("wait")
    assert client.waits_in(again).node == client.waits_in(never_again).node == lost
    slurm_states.admin.resume(stays)
    slurm_states.admin.control("update", f"jobid={never_again.scheduler_id}", "requeue=0")
    slurm_states.admin.lose_node(lost)
    try:
        ended = client.ends(never_again)
        assert told(ended)[:2] == (JobState.FAILED, "a node failed")
        assert ended.node == lost
        done = client.ends(again)
        assert told(done) == (JobState.COMPLETED, "", 0, None)
        assert done.node == stays
    finally:
        slurm_states.admin.bring_node_back(lost)


def test_that_without_accounting_for_a_while_jobs_go_on_and_their_ends_come_later(slurm_states: SlurmFacility,
                                                                                 client: JobClient) -> None:
    with slurm_states.admin.accounting_away():
        good, bad = client.submit("end"), client.submit("fail")
        assert told(client.ends(bad))[:2] == (JobState.FAILED, "exit code 7")
        assert client.ends(good).state is JobState.COMPLETED
    assert told(client.ends(bad)) == (JobState.FAILED, "exit code 7", 7, None)


def test_that_without_a_controller_all_is_as_last_known_and_nothing_failed(slurm_states: SlurmFacility,
                                                                          client: JobClient) -> None:
    running, held = client.waits_in(client.submit("once")), client.submit("end", hold=True)
    client.until(held, lambda j: j.state is JobState.HELD)
    before = {job.id: job.state for job in client.jobs.jobs()}
    with slurm_states.admin.controller_away():
        seen = {job.id: job for job in client.jobs.jobs()}
        assert {job.id: job.state for job in seen.values()} == before
        assert seen[running.id].stale == seen[held.id].stale == (
            "Slurm does not answer at the moment; jobs that were submitted are not lost.")
        with pytest.raises(BatchError):
            client.submit("end")
        with job_client(slurm_states, PROFILE) as other:
            fresh = other.jobs.job(running.id)
            assert fresh.state is JobState.RUNNING
            assert fresh.stale
        assert {job.state for job in client.jobs.jobs()} & {JobState.FAILED, JobState.UNKNOWN} == (
            set(before.values()) & {JobState.FAILED, JobState.UNKNOWN})
    again = client.until(running, lambda j: not j.stale)
    assert again.state is JobState.RUNNING
    client.jobs.cancel(running.id)
    client.jobs.cancel(held.id)
    assert client.ends(running).state is client.ends(held).state is JobState.CANCELLED


def test_that_another_computer_sees_everything_with_its_parts(slurm_states: SlurmFacility, client: JobClient) -> None:
    array, chain = client.submit("half", recipe="array", tasks=2), client.submit("end", recipe="chain")
    client.cut()
    with job_client(slurm_states, PROFILE) as other, job_client(slurm_states, PROFILE) as third:
        ended = [other.ends(array), other.ends(chain)]
        assert [len(job.parts) for job in ended] == [2, 2]
        assert ended[0].reason == "1 of 2 tasks failed: exit code 3 (task 1)"
        for job in ended:
            seen = third.ends(job)
            assert (told(seen), parts_told(seen), seen.outputs) == (told(job), parts_told(job), job.outputs)
        assert {j.id for j in other.jobs.jobs() if j.ours} == {j.id for j in third.jobs.jobs() if j.ours}


def test_that_jobs_started_by_hand_are_seen_with_what_becomes_of_them(slurm_states: SlurmFacility,
                                                                     client: JobClient) -> None:
    done = slurm_states.run("sbatch", "--parsable", "-J", "by hand $(touch owned)", "-o", "/dev/null", "--wrap",
                            "exit 5", user=slurm_states.users[0])
    number = done.stdout.strip()
    seen = client.until(Job(number, "real", "", "", "", JobState.UNKNOWN), lambda j: j.state.ended)
    assert not seen.ours
    assert (seen.name, seen.state) == ("by hand $(touch owned)", JobState.FAILED)
