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


@dataclass(frozen=True)
class SignedOut:
    """What signing out did.

    Attributes:
        sites: every site that used the sign-in, by name.
        revoked: whether the provider confirmed that the tokens are void.
        page: the provider's page that ends its own session in the browser, to be opened for the person; ``""``: none.
        certificates: why SSH certificates stay valid; one sentence for each authority that should have revoked them.
    """

    sites: tuple[str, ...] = ()
    revoked: bool = True
    page: str = ""
    certificates: tuple[str, ...] = ()
