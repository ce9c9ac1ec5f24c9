"""What an examination leaves out, and why; at a site that is scripted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from app.errors import LinkError, LinkLostError
from app.model.doctor import Report, StepState
from app.model.site import LOCAL, AgentSettings, SiteProfile, SshSettings
from app.remote.doctor import network, report
from app.remote.doctor.examination import Patient, examine
from app.remote.local_transport import LocalTransport
from app.remote.seams import Interaction, Transport
from app.remote.ssh.connect import Watcher
from tests.peers.interaction import FakePerson

COMMAND = "Host far.example\n  ProxyCommand nc %h %p\n"


def far(**changes: Any) -> SiteProfile:
    return SiteProfile("far", "Far", ssh=SshSettings("far.example", methods=("key",)), **changes)


def here(_interaction: Interaction, _watcher: Watcher) -> Transport:
    return LocalTransport()


def found_at(profile: SiteProfile, connect: Callable[[Interaction, Watcher], Transport] = here) -> Report:
    return examine(Patient(profile, None, connect), FakePerson())


def state(found: Report, name: str) -> tuple[StepState, str]:
    return next((step.state, step.summary) for step in found.steps if step.name == name)


@pytest.fixture
def by_command(own_home: Path) -> None:
    """The site is reached by a command, so the network before it is not looked at."""
    (own_home / ".ssh").mkdir()
    (own_home / ".ssh" / "config").write_text(COMMAND)


def test_that_a_facility_without_a_known_host_is_wrong_usage() -> None:
    found = found_at(SiteProfile("far", "Far", ssh=SshSettings("")))
    assert found.failed is not None
    assert "not publicly known" in found.failed.summary
    assert report.exit_code(found) == 2


def test_that_a_fault_in_the_ssh_configuration_is_told_at_the_first_step(own_home: Path) -> None:
    (own_home / ".ssh").mkdir()
    (own_home / ".ssh" / "config").write_text("Host far.example\n  Port many\n")
    found = found_at(far())
    assert found.failed is not None
    assert (found.failed.name, found.failed.kind) == ("name", "usage")
    assert state(found, "login")[0] is StepState.SKIPPED


def test_that_a_site_behind_a_proxy_command_is_examined_from_there(by_command: None) -> None:
    found = found_at(far())
    assert state(found, "tcp") == (StepState.SKIPPED, "far.example is reached by the ProxyCommand in ~/.ssh/config.")
    assert state(found, "shell")[0] is StepState.PASSED
    assert state(found, "agent")[0] is not StepState.WAITING


def test_that_no_agent_is_started_where_it_belongs_into_a_job(by_command: None) -> None:
    found = found_at(far(agent=AgentSettings(run="batch")))
    assert "the examination submits none" in state(found, "agent")[1]
    assert state(found, "workers")[0] is StepState.SKIPPED


def test_that_a_connection_that_is_lost_on_the_way_is_told_once(by_command: None) -> None:
    class Dying(LocalTransport):
        @property
        def home(self) -> PurePosixPath:
            self.close()
            raise LinkLostError("The connection to far.example was lost.", remedy="Try again.")

    found = found_at(far(), lambda interaction, watcher: Dying())
    failed = [step.name for step in found.steps if step.state is StepState.FAILED]
    assert failed == ["python"]
    assert state(found, "clock") == (StepState.SKIPPED, "The connection was lost.")


def test_that_a_proxy_makes_up_for_a_direct_way_that_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = network.failed(LinkError("far.example did not answer.", remedy="x"))
    monkeypatch.setattr(network, "look_at_name", lambda stop, cancelled: network.passed("It has one."))
    monkeypatch.setattr(network, "look_at_addresses", lambda stop, cancelled: closed)
    monkeypatch.setattr(network, "look_at_proxy", lambda stop, direct, person: network.passed("SSH goes through it."))
    monkeypatch.setattr(network, "has_fallback", lambda stop: True)
    found = found_at(far())
    assert state(found, "tcp")[0] is StepState.WARNED
    assert state(found, "shell")[0] is StepState.PASSED


def test_that_this_computer_is_examined_without_a_network() -> None:
    found = found_at(LOCAL)
    assert [step.name for step in found.steps] == ["agent", "workers", "scheduler", "data_roots"]
    assert state(found, "workers")[0] is StepState.PASSED
    assert found.healthy
