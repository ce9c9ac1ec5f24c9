"""One login at one server: what is known, what was tried, and what a refusal means. On the connecting thread."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import paramiko

from app.errors import LinkLostError, LoginRefusedError, SignInError, UnreachableError
from app.remote.conversation import Conversation
from app.remote.seams import Interaction
from app.remote.ssh.ssh_config import NO_HINTS, LoginHints

GRACE_S = 120.0    # what sshd waits for a login unless told otherwise; no server says how long it does
_MOST_KEYS = 5     # servers hang up at the sixth refusal
_KEPT_FOR_DIALOG = 1
_TOO_MANY = "too many authentication failures"


@dataclass
class Attempt:
    """The link, who, and what has been tried.

    Attributes:
        began: ``time.monotonic()`` when the connection was made.
        allowed: the methods the server would take now.
        refusals: one line per thing tried, for the details.
        problem: the last method's own sentence.
        typed: how often answers of the person's were refused.
        token: whether an access token was given, and refused.
        stage: counts methods passed where several are wanted.
        keys: public keys already offered, in wire format.
    """

    link: paramiko.Transport
    host: str
    user: str
    interaction: Interaction
    hints: LoginHints = NO_HINTS
    began: float = field(default_factory=time.monotonic)
    allowed: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    problem: SignInError | UnreachableError | None = None
    tried_certificate: bool = False
    typed: int = 0
    token: bool = False
    stage: int = 0
    refused: int = 0
    keys: set[bytes] = field(default_factory=set)
    conversation: Conversation | None = None

    @property
    def done(self) -> bool:
        return self.link.is_authenticated()

    @property
    def server_waits_s(self) -> float:
        """How long the server probably still waits; 0: unknown, since it has waited longer than usual."""
        return max(0.0, GRACE_S - (time.monotonic() - self.began))

    def passed(self, still_wanted: Sequence[str]) -> None:
        """The server took a method; ``still_wanted`` are those it wants next, if it is not content."""
        if still_wanted:
            self.allowed = list(still_wanted)
            self.stage += 1

    def has_room(self, leave: int = 0) -> bool:
        """Whether the server stands another key that it refuses, and ``leave`` more."""
        dialogs = _KEPT_FOR_DIALOG if {"keyboard-interactive", "password"} & set(self.allowed) else 0
        return self.refused < _MOST_KEYS - dialogs - leave

    def may_offer(self, key: bytes, name: str, leave: int = 0) -> bool:
        """Whether there is room for another key. ``leave``: attempts that others will need."""
        if key in self.keys:
            return False
        if not self.has_room(leave):
            self.refusals.append(f"{name}: not tried, since servers hang up after six refusals")
            return False
        self.keys.add(key)
        return True


@contextlib.contextmanager
def refusal(attempt: Attempt, name: str) -> Iterator[None]:
    """Note that the server refuses what is done inside, under ``name``.

    Raises:
        LoginRefusedError, LinkLostError: it hung up.
    """
    try:
        yield
    except paramiko.BadAuthenticationType as error:
        attempt.allowed = list(error.allowed_types)
        attempt.refusals.append(f"{name}: the server does not accept this kind of login")
    except (paramiko.SSHException, EOFError, OSError) as error:
        farewell = str(getattr(attempt.link, "farewell", ""))
        if attempt.link.is_active() and not farewell:
            attempt.refused += 1
            attempt.refusals.append(f"{name}: refused")
            return
        attempt.link.close()
        tries = attempt.refused
        attempt.refusals.append(f"{name}: {farewell or error}")
        raise _hung_up(attempt, tries, farewell, str(error)) from None


def _hung_up(attempt: Attempt, tries: int, farewell: str, error: str) -> LoginRefusedError | LinkLostError:
    host, detail = attempt.host, "\n".join(attempt.refusals)
    if _TOO_MANY in farewell.lower():
        if attempt.typed:
            return LoginRefusedError(f"{host} hung up because too many logins failed.", detail,
                                     "Check user name and password, wait a moment and connect again.")
        return LoginRefusedError(
            f"{host} hung up because too many keys were tried ({tries + 1}).", detail,
            "Name the right key with IdentityFile and “IdentitiesOnly yes” in ~/.ssh/config, or take “agent” out of "
            "the login methods in the site profile.")
    if tries or attempt.typed:
        said = f"after {tries} refused attempt{'s' if tries != 1 else ''}" if tries else "instead of letting you in"
        return LoginRefusedError(f"{host} hung up {said}.", detail,
                                 "Name only the login methods that work there in the site profile.")
    return LinkLostError(f"{host} hung up during the login.", detail=error, remedy="Try again in a moment.")
