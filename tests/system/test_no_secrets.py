"""After a whole journey no token and no private key is in a log, a report, an argument list, an environment or a file.

Every other test is held to the same (``tests/conftest.py``); this one also looks at what other processes see, and at
what is left at the facility.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from app.model.jobs import JobSpec, JobState, Resources
from app.model.site import AgentSettings, BatchSettings, CertificateAuthority, SiteProfile, SshSettings
from app.recipes.catalogue import shipped_recipes
from app.remote.doctor import report as reports
from app.remote.jobs.service import JobService
from app.remote.sites import Sites
from tests.checks.secrets import Secrets
from tests.peers.certificate_endpoint import certificate_endpoint
from tests.peers.interaction import FakePerson
from tests.peers.openid_provider import OpenIdProvider, openid_provider
from tests.peers.pki import make_pki
from tests.peers.slurm import SlurmFacility

PATIENCE_S = 150.0


class Onlooker:
    """Notes the argument list and environment of every process that it can see, again and again."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._look, name="onlooker")

    def __enter__(self) -> Onlooker:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._enough.wait(0.02):
            for process in Path("/proc").glob("[0-9]*"):
                for name in ("cmdline", "environ"):
                    with contextlib.suppress(OSError):
                        self.seen.add((process / name).read_bytes())


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OpenIdProvider]:
    with openid_provider(make_pki(tmp_path / "pki"), access_token_s=600) as running:
        yield running


def test_that_secrets_are_nowhere_after_a_journey(slurm: SlurmFacility, provider: OpenIdProvider, own_home: Path,
                                                  caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    user = slurm.users[0]
    recipe = replace(shipped_recipes()["azimuthal-integration"], name="trial", parameters=(), environment="",
                     program="import os, sys; print(dict(os.environ), sys.argv)",
                     resources=Resources(time_limit_min=5, cpus=1, memory_mb=300))
    with (certificate_endpoint(provider, slurm.authority, {"alice": user}, slurm.host) as authority,
          Onlooker() as onlooker):
        profile = SiteProfile(
            "real", identity=provider.settings(), batch=BatchSettings("slurm"),
            ssh=SshSettings(slurm.host, slurm.port, "", ("certificate",), (slurm.host_key_line,),
                            certificate_authority=CertificateAuthority("conch", authority, str(provider.pki.ca))),
            agent=AgentSettings(python=(shlex.quote(sys.executable), "/usr/bin/python3")))
        sites = Sites((profile,))
        person = FakePerson(on_code=provider.approve)
        assert sites.sign_in("real", FakePerson(on_page=provider.answer, way="browser")).subject == "alice"
        assert sites.sign_out_everywhere("real").page
        assert sites.sign_in("real", person).subject == "alice"
        connection = sites.open("real", person)
        connection.open().result(PATIENCE_S)
        try:
            assert connection.data.list_folder(PurePosixPath("~")).result(PATIENCE_S).path
            jobs = JobService(profile, lambda: connection.transport, {"trial": recipe})
            job = jobs.submit(JobSpec("real", "trial", ("/etc/hostname",), {}, Resources()))
            deadline = time.monotonic() + PATIENCE_S
            while not jobs.job(job.id).state.ended:
                assert time.monotonic() < deadline, slurm.logs()
                threading.Event().wait(0.2)
            assert jobs.job(job.id).state is JobState.COMPLETED
            assert "PATH" in jobs.log(job.id), "the job's own environment was looked at"
        finally:
            connection.close()
        report = sites.examine("real", person, lambda _step: None)
        assert report.healthy, reports.as_text(report)
        secrets = provider.issued()
        sites.sign_out("real")
    assert len(secrets) >= 8, "two codes and three tokens each at least"
    ours = [record for record in caplog.records if not record.name.startswith("tests") and record.threadName != "robot"]
    places = {"the log": "\n".join(record.getMessage() for record in ours).encode(),
              "the doctor's report": (reports.as_text(report) + json.dumps(reports.as_json(report))).encode(),
              "an argument list or environment": b"\0".join(onlooker.seen)}
    roots = (own_home, slurm.layout.root / "home", slurm.layout.root / "log")
    places |= {str(file): file.read_bytes() for root in roots for file in root.rglob("*")
               if file.is_file() and not file.is_symlink()}
    assert any(name.endswith("job.sh") for name in places), "the job's folder is among the places"
    known = Secrets()
    for secret in secrets:
        known.register(secret, "a token or code")
    assert [name for name, content in places.items() if known.found_in(content)] == []
    assert [name for name, content in places.items() if b"PRIVATE KEY" in content] == []
