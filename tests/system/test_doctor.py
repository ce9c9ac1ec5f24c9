"""The connection doctor at real OpenSSH servers: one thing wrong at a time, told at its step; nothing is changed."""

from __future__ import annotations

import dataclasses
import io
import json
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from app import settings
from app.model.doctor import Report, Step, StepState
from app.model.site import (
    AgentSettings,
    CertificateAuthority,
    DataSettings,
    IdentitySettings,
    SiteProfile,
    SshSettings,
)
from app.remote.doctor import report
from app.remote.profile_text import exported_text
from app.remote.sites import Sites
from app.remote.ssh.host_keys import fingerprint, own_file
from tests.cli.running import Shell
from tests.peers.certificate_endpoint import certificate_endpoint
from tests.peers.fake_provider import fake_provider
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import openid_provider
from tests.peers.pki import make_pki
from tests.peers.sshd import Sshd, at, public_line, sshd, write_private

PYTHON = AgentSettings(python=(shlex.quote(sys.executable), "/usr/bin/python3"))


class Facility:
    """A gateway and a login node, and the person's key."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self.key = Ed25519PrivateKey.generate()
        write_private(self.key, home / ".ssh" / "id_ed25519")

    def server(self, name: str, *options: str, lets_in: bool = True, **more: Any) -> Sshd:
        made = self._stack.enter_context(sshd(self.folder / name, options=options, **more))
        if lets_in:
            made.allow(public_line(self.key))
        return made

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def facility(tmp_path: Path, own_home: Path) -> Iterator[Facility]:
    made = Facility(tmp_path, own_home)
    yield made
    made.close()


def site(target: SshSettings, *hops: SshSettings, **changes: Any) -> SiteProfile:
    values: dict[str, Any] = {"agent": PYTHON, "data": DataSettings(roots=("/etc",)), **changes}
    return SiteProfile("here", "Here Light Source", ssh=dataclasses.replace(target, hops=hops), **values)


def examine(profile: SiteProfile, person: FakePerson | None = None, told: list[Step] | None = None) -> Report:
    return Sites((profile,)).examine("here", person or FakePerson(), (told if told is not None else []).append)


def step(found: Report, name: str) -> Step:
    return next(step for step in found.steps if step.name == name)


def states(found: Report) -> dict[str, str]:
    return {step.name: step.state.value for step in found.steps}


def only_failure(found: Report) -> Step:
    failed = [step for step in found.steps if step.state is StepState.FAILED]
    assert len(failed) == 1, report.as_text(found)
    assert failed[0].remedy
    assert failed[0].tell == found.sentence
    assert failed[0].summary.rstrip(".") in found.sentence
    return failed[0]


def files_below(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_size) for path in folder.rglob("*") if path.is_file()
            and not path.name.endswith(".log")}


def test_that_a_healthy_way_over_two_servers_passes_and_nothing_is_changed(facility: Facility, own_home: Path,
                                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = facility.folder / "tmp"
    temporary.mkdir()
    hop = facility.server("hop")
    target = facility.server("target", f"SetEnv HOME={facility.folder}/target/home TMPDIR={temporary}")
    before = files_below(facility.folder) | files_below(own_home)
    told: list[Step] = []
    found = examine(site(at(target), at(hop)), told=told)
    assert found.healthy, report.as_text(found)
    assert found.sentence == ""
    assert report.exit_code(found) == 0
    assert "taken by the server: publickey" in step(found, "login").detail
    wanted = {"name", "tcp", "proxy", "hop_1", "ssh", "host_key", "login", "banner_noise", "shell", "python", "agent",
              "workers", "data_roots", "clock", "space"}
    assert {name for name, state in states(found).items() if state == "passed"} >= wanted, report.as_text(found)
    assert [s.name for s in told if s.state is StepState.RUNNING][:3] == ["name", "tcp", "proxy"]
    assert files_below(facility.folder) | files_below(own_home) == before
    assert target.log.count("Accepted publickey") == 1, "one connection for all that is looked at"


def test_that_a_gateway_that_is_down_fails_its_address_before_anything_is_asked(facility: Facility) -> None:
    target = facility.server("target")
    found = examine(site(at(target), at(target, port=1)))
    failed = only_failure(found)
    assert (failed.name, failed.kind) == ("tcp", "unreachable")
    assert "Connection refused" in failed.detail
    assert states(found)["hop_1"] == states(found)["agent"] == "skipped"
    assert report.exit_code(found) == 4


def test_that_a_second_gateway_that_is_down_is_the_one_that_is_crossed(facility: Facility) -> None:
    hop, target = facility.server("hop"), facility.server("target")
    found = examine(site(at(target), at(hop), at(target, port=1)))
    assert only_failure(found).name == "hop_2"
    assert states(found)["hop_1"] == "passed"
    assert "cannot be reached from the gateway 127.0.0.1" in found.sentence


def test_that_a_gateway_that_refuses_to_forward_is_crossed(facility: Facility) -> None:
    hop, target = facility.server("hop", "AllowTcpForwarding no"), facility.server("target")
    failed = only_failure(examine(site(at(target), at(hop))))
    assert failed.name == "hop_1"
    assert "does not forward connections" in failed.summary
    assert "logged in" in failed.detail


@pytest.mark.parametrize("where", ["hop_1", "host_key"])
def test_that_a_changed_key_is_told_with_both_fingerprints(facility: Facility, where: str) -> None:
    hop, target = facility.server("hop"), facility.server("target")
    other = public_line(Ed25519PrivateKey.generate())
    changed = {"host_keys": (other,)}
    found = examine(site(at(target, **(changed if where == "host_key" else {})),
                         at(hop, **(changed if where == "hop_1" else {}))), FakePerson(trusts=True))
    failed = only_failure(found)
    assert (failed.name, failed.kind) == (where, "host_key_changed")
    server = target if where == "host_key" else hop
    for line in (other, server.host_key_line):
        assert fingerprint(paramiko.Ed25519Key(data=_blob(line)).asbytes()) in failed.detail
    assert report.exit_code(found) == 4


def _blob(line: str) -> bytes:
    import base64

    return base64.b64decode(line.split()[1])


def test_that_an_unknown_key_is_reported_and_not_stored(facility: Facility) -> None:
    target = facility.server("target")
    found = examine(site(at(target, host_keys=())))
    failed = only_failure(found)
    assert (failed.name, failed.kind) == ("host_key", "host_key_unknown")
    assert fingerprint(_blob(target.host_key_line)) in failed.detail
    assert not own_file().exists()
    trusted = examine(site(at(target, host_keys=())), FakePerson(trusts=True))
    assert trusted.healthy, report.as_text(trusted)
    assert "vouched" in step(trusted, "host_key").summary
    assert "is known from" in step(examine(site(at(target, host_keys=()))), "host_key").summary


def test_that_a_refused_login_tells_what_was_tried(facility: Facility) -> None:
    target = facility.server("target", lets_in=False)
    found = examine(site(at(target)))
    failed = only_failure(found)
    assert (failed.name, failed.kind) == ("login", "login_refused")
    assert "id_ed25519" in failed.detail
    assert report.exit_code(found) == 5


def test_that_what_is_wrong_behind_the_login_is_told_each_at_its_step(facility: Facility) -> None:
    programs = facility.folder / "bin"
    programs.mkdir()
    date = programs / "date"
    date.write_text('#!/bin/sh\nexec /bin/date -d "now + 25 minutes" "$@"\n')
    date.chmod(0o755)
    target = facility.server("target", f"SetEnv HOME={facility.folder}/target/home PATH={programs}:/usr/bin:/bin")
    (target.home / ".bashrc").write_text("echo Welcome to Here\n")
    found = examine(site(at(target), agent=AgentSettings(python=("/no/such/python", "false")),
                         data=DataSettings(roots=("/no/such/{proposal}/data",))))
    assert step(found, "banner_noise").state is StepState.WARNED
    assert "print 16 bytes" in step(found, "banner_noise").summary
    assert "Welcome to Here" in step(found, "banner_noise").detail
    assert (step(found, "python").state, step(found, "python").kind) == (StepState.FAILED, "agent")
    assert "/no/such/python: does not run" in step(found, "python").detail
    assert states(found)["agent"] == states(found)["workers"] == "skipped"
    assert (step(found, "data_roots").state, step(found, "data_roots").kind) == (StepState.FAILED, "not_found")
    assert step(found, "clock").state is StepState.WARNED
    assert "25 minutes behind the site's" in step(found, "clock").summary
    assert found.failed is not None
    assert found.failed.name == "python"
    assert report.exit_code(found) == 4


def test_that_a_clock_that_the_sign_in_service_does_not_share_fails(facility: Facility) -> None:
    target = facility.server("target")
    with fake_provider(make_pki(facility.folder / "pki")) as provider:
        provider.date_offset_s = -900
        found = examine(site(at(target), identity=provider.settings()))
    failed = only_failure(found)
    assert failed.name == "clock"
    assert "15 minutes ahead of the sign-in service's" in failed.summary
    assert report.exit_code(found) == 5


@pytest.mark.parametrize("name", ["tcp", "ssh", "login", "python", "agent", "workers", "space"])
def test_that_it_can_be_cancelled_at_each_step(facility: Facility, name: str) -> None:
    temporary = facility.folder / "tmp"
    temporary.mkdir()
    target = facility.server("target", f"SetEnv HOME={facility.folder}/target/home TMPDIR={temporary}")
    person = FakePerson()
    told: list[Step] = []

    def tell(step: Step) -> None:
        told.append(step)
        if step.name == name and step.state is StepState.RUNNING:
            person.cancelled.set()
    found = Sites((site(at(target)),)).examine("here", person, tell)
    assert not found.complete
    assert all(step.is_settled for step in found.steps)
    assert step(found, "space").state is StepState.SKIPPED
    assert list(temporary.iterdir()) == [], "the agent's folder is gone"
    assert "ended before it was complete" in report.as_text(found)


def test_that_a_passphrase_is_asked_for_once_and_no_secret_is_in_the_report(facility: Facility, own_home: Path) -> None:
    passphrase = "correct horse battery staple"
    encrypted = facility.key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH,
                                           BestAvailableEncryption(passphrase.encode()))
    (own_home / ".ssh" / "id_ed25519").write_bytes(encrypted)
    pki = make_pki(facility.folder / "pki")
    target = facility.server("target")
    with openid_provider(pki) as provider, \
            certificate_endpoint(provider, target.authority, {"alice": target.user}, "127.0.0.1") as authority:
        profile = site(at(target, methods=("key",), user=target.user), identity=IdentitySettings())
        person = FakePerson(answers=[[passphrase]])
        locked = examine(profile, person)
        assert locked.healthy, report.as_text(locked)
        assert len(person.prompts) == 1
        signed = site(at(target, methods=("certificate",), user="", certificate_authority=CertificateAuthority(
            "conch", authority, str(pki.ca))), identity=provider.settings())
        person = FakePerson(on_code=provider.approve)
        found = examine(signed, person)
        assert found.healthy, report.as_text(found)
        assert len(person.codes) == 1
        assert step(found, "certificate").state is StepState.PASSED
        assert step(found, "sign_in").summary.startswith("Signed in as")
        secrets = [passphrase, *provider.issued()]
    own = io.BytesIO(encrypted).read().decode()
    secrets += [line for line in own.splitlines() if len(line) > 20 and "KEY" not in line]
    assert len(secrets) > 5
    for made in (locked, found):
        text = report.as_text(made) + json.dumps(report.as_json(made)) + str(made.steps)
        assert not [secret for secret in secrets if secret in text]


def known(shell: Shell, profile: SiteProfile, tmp_path: Path) -> Shell:
    """``shell`` with the site in its configuration."""
    file = tmp_path / "here.toml"
    text = exported_text(profile)
    if profile.ssh.user:       # which is not exported, since a profile is for others
        text = text.replace("[ssh]\n", f'[ssh]\nuser = "{profile.ssh.user}"\n')
    file.write_text(text, "utf-8")
    added = shell("sites", "add", str(file))
    assert added.code == 0, added.err
    return shell


def run(shell: Shell, profile: SiteProfile, tmp_path: Path, *more: str) -> Any:
    return known(shell, profile, tmp_path)("doctor", "here", *more, timeout_s=120)


def test_that_a_question_that_nobody_answers_is_a_sign_in_that_is_needed(facility: Facility, own_home: Path,
                                                                        tmp_path: Path) -> None:
    target = facility.server("target")
    done = run(Shell(), site(at(target, user="")), tmp_path, "--json")
    assert done.code == 5, done
    failed = next(step for step in done.value["steps"] if step["state"] == "failed")
    assert (failed["name"], failed["kind"]) == ("login", "sign_in_needed")
    assert failed["summary"] == "The user name at 127.0.0.1 is missing."
    assert "ssh.user" in failed["remedy"]


def test_that_the_command_prints_one_object_and_a_line_for_each_step(facility: Facility, own_home: Path,
                                                                     tmp_path: Path) -> None:
    target = facility.server("target")
    done = run(Shell(), site(at(target)), tmp_path, "--json")
    assert done.code == 0, done
    value = done.value
    assert value["healthy"] is True
    events = [json.loads(line) for line in done.err.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [event["name"] for event in steps] == [step["name"] for step in value["steps"]]
    assert all(event["state"] in ("passed", "warned", "skipped") for event in steps)
    people = Shell()("doctor", "here", timeout_s=120)
    assert people.code == 0
    assert people.out.startswith("Beamside connection report: Here Light Source (here)")
    assert "✓ Login at" in people.err


def test_that_the_command_ends_with_the_code_of_what_failed(facility: Facility, own_home: Path, tmp_path: Path) -> None:
    target = facility.server("target", lets_in=False)
    refused = run(Shell(), site(at(target)), tmp_path, "--json")
    assert refused.code == 5, refused
    assert refused.value["sentence"]
    gone = run(Shell(), site(at(target, port=1)), tmp_path, "--json")
    assert gone.code == 4, gone
    assert next(step for step in gone.value["steps"] if step["state"] == "failed")["kind"] == "unreachable"
    assert Shell()("doctor", "nowhere", "--json").code == 2


def test_that_an_inspecting_authority_is_named_until_its_file_is_in_the_settings(
        facility: Facility, own_home: Path, tmp_path: Path) -> None:
    target, inspecting = facility.server("target"), make_pki(tmp_path / "inspecting")
    with fake_provider(inspecting) as provider:
        profile = site(at(target), identity=dataclasses.replace(provider.settings(), ca_file=""))
        refused = run(Shell(), profile, tmp_path, "--json")
        assert refused.code == 5, refused
        failed = next(step for step in refused.value["steps"] if step["state"] == "failed")
        assert (failed["name"], failed["kind"]) == ("provider", "provider")
        assert "issued by “Beamside test authority”" in failed["summary"]
        assert "Network…" in failed["remedy"]
        assert next(step for step in refused.value["steps"] if step["name"] == "login")["state"] == "passed", \
            "the login needs no sign-in here"
        file = own_home / ".config" / "beamside" / "settings.json"
        settings.save(settings.Settings(ca_file=str(inspecting.ca)), file)
        assert Shell()("doctor", "here", "--json", timeout_s=120).code == 0


def test_that_an_interrupted_command_ends_with_130(facility: Facility, own_home: Path, tmp_path: Path) -> None:
    import signal

    target = facility.server("target")
    (target.home / ".bashrc").write_text("sleep 60\n")
    process = known(Shell(), site(at(target)), tmp_path).start("doctor", "here", "--json")
    assert process.stderr is not None
    seen = threading.Event()

    def look() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            if b'"login"' in line or b'"host_key"' in line:
                seen.set()
    reader = threading.Thread(target=look)
    reader.start()
    assert seen.wait(60)
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    out = process.stdout.read()
    assert process.wait(60) == 130
    reader.join(10)
    process.stdout.close()
    process.stderr.close()
    assert json.loads(out)["error"]["kind"] == "cancelled"
