"""Which sites take the home institution's account, and connecting to them. Any thread; ``connected`` blocks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from app.errors import LinkLostError
from app.model.site import IdentityMethod, SiteProfile
from app.remote.moonshot.session import MoonshotSession
from app.remote.seams import Interaction

_T = TypeVar("_T")
METHOD = "gssapi"
_OTHERS = {"certificate": "a sign-in with the browser", "agent": "your SSH agent", "key": "an SSH key",
           "keyboard-interactive": "its own password"}


class MoonshotSessions:
    """The sign-ins of this run, one per site."""

    def __init__(self) -> None:
        self._sessions: dict[str, MoonshotSession] = {}
        self._lock = threading.Lock()

    def of(self, profile: SiteProfile) -> MoonshotSession | None:
        """The session of a site; ``None``: none of its servers takes Moonshot."""
        servers = (profile.ssh, *profile.ssh.hops)
        if profile.is_local or not any(METHOD in server.methods for server in servers):
            return None
        settings = profile.identity.moonshot
        with self._lock:
            session = self._sessions.get(profile.name)
            if session is None or session.settings != settings:
                others = tuple(words for method, words in _OTHERS.items() if method in profile.ssh.methods and (
                    method != "certificate" or profile.identity.method is IdentityMethod.OIDC))
                session = MoonshotSession(profile.name, profile.title or profile.ssh.host, settings, others)
                self._sessions[profile.name] = session
            return session


def connected(profile: SiteProfile, session: MoonshotSession, interaction: Interaction,
              connect: Callable[[], _T]) -> _T:
    """What ``connect`` gives. This computer is looked at first where Moonshot is the only way in; and once more, if the
    server hung up while the person was typing.

    Raises:
        NotAvailableError: this computer has no Moonshot, and a server on the way takes nothing else.
    """
    if any(server.methods == (METHOD,) for server in (profile.ssh, *profile.ssh.hops)) and not session.knows_password:
        session.probe(interaction)
    session.answered_late = False
    try:
        return connect()
    except LinkLostError:
        if not session.answered_late:
            raise
        return connect()
