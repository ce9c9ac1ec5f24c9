"""A real OpenSSH server whose prompts come from PAM, as facilities have them. Needs root and libpam-python.

sshd's PAM service is called as its program is, so it runs under a name of its own and ``/etc/pam.d/sshd`` stays as it
is. The module (``pam_prompts.py``) asks what its steps say, which may be changed while the server runs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.peers.need import missing
from tests.peers.sshd import SSHD, Sshd, sshd

_MODULES = [Path(folder) / "pam_python.so" for folder in
            ("/lib/security", "/lib/x86_64-linux-gnu/security", "/lib/aarch64-linux-gnu/security")]
Step = dict[str, Any]


@dataclass
class PamSshd:
    """A running server with its steps."""

    sshd: Sshd
    place: Path

    def ask(self, *steps: Step, expired: Sequence[Step] = ()) -> None:
        """From now on ask these; ``expired``: the account wants a new password, and this is asked for it."""
        self.place.write_text(json.dumps({"auth": steps, "expired": list(expired)}))

    @property
    def given(self) -> list[str]:
        """What was answered, in order."""
        file = Path(f"{self.place}.given")
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextlib.contextmanager
def pam_sshd(folder: Path, *, options: Sequence[str] = (), steps: Sequence[Step] = (),
             port: int = 0) -> Iterator[PamSshd]:
    """Start a server that asks ``steps`` by keyboard-interactive, and stop it. ``options``: as for ``sshd``."""
    module = next((file for file in _MODULES if file.exists()), None)
    if module is None:
        missing("the PAM module pam_python.so (package libpam-python)")
    if os.geteuid() != 0:
        missing("root, for a PAM service")
    assert SSHD, "sshd is not installed (openssh-server)"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"beamside-{os.getpid()}-{folder.name}"[:60]
    program, place = folder / name, folder / "steps.json"
    program.symlink_to(SSHD)
    service = Path("/etc/pam.d") / name
    script = Path(__file__).with_name("pam_prompts.py").resolve()
    line = f"required {module} [{script}] [{place}]"
    service.write_text("".join(f"{kind} {line}\n" for kind in ("auth", "account", "password", "session")))
    try:
        with sshd(folder, options=[*options, "UsePAM yes", "KbdInteractiveAuthentication yes"], program=str(program),
                  port=port) as running:
            server = PamSshd(running, place)
            server.ask(*steps)
            yield server
    finally:
        service.unlink()
