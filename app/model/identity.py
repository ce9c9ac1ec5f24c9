"""Who is signed in. Frozen, no I/O, no secrets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """The account at an identity provider: (issuer, subject) is the identity; the rest is for display.

    ``expires_at``: when the session must be renewed by the person, seconds since the epoch; ``None``: unknown.
    ``kept``: whether tokens are in the OS keyring (False: in memory for this run only).
    """

    issuer: str
    subject: str
    name: str = ""
    email: str = ""
    expires_at: float | None = None
    kept: bool = False

    @property
    def label(self) -> str:
        return self.name or self.email or self.subject
