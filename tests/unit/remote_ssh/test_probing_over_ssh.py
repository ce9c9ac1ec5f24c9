"""Looking around over a real SSH connection, with a login shell that talks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.model.site import AgentSettings, DataSettings
from app.remote.probing import probe
from app.remote.ssh.transport import SshTransport
from tests.peers.sshd import Sshd
from tests.unit.remote_ssh.conftest import profile_for


def test_that_a_talkative_shell_hides_nothing(server: Sshd, connect: Callable[..., SshTransport]) -> None:
    for name in (".bashrc", ".bash_profile", ".profile"):
        (server.home / name).write_text("echo 'Welcome! batch slurm'; printf '\\036word batch pbs\\037'; "
                                        "echo 'Quota: 3 GB' >&2\n")
    (server.home / "data").mkdir()
    profile = replace(profile_for(server), agent=AgentSettings(python=("no-such-python", "/usr/bin/python3")),
                      data=DataSettings(roots=("~/data/{proposal}", "/nowhere/{proposal}")))
    found = probe(connect(), profile)
    assert found.complete
    assert (found.user, found.home) == (server.user, str(server.home))
    assert [folder.there for folder in found.folders] == [True, False]
    assert found.pythons[0].version == ""
    assert found.pythons[1].version.startswith("3.")
    assert found.system != "pbs"
