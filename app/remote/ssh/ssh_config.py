"""What the user's own ``~/.ssh/config`` says about a host. Read, never written; no command in it is run here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LoginHints:
    """Which of the user's keys are meant for one host, as the SSH configuration says.

    Attributes:
        identity_files: private keys to try, in order; empty: those ``ssh`` tries by default.
        certificate_files: certificates that belong to some of them, or to keys of the agent.
        identities_only: keys of the agent count only if they are among ``identity_files``.
        agent_socket: the agent's socket; empty: the one of the environment; ``none``: no agent.
    """

    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    agent_socket: str = ""


NO_HINTS = LoginHints()
