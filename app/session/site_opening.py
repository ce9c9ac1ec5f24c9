"""What waits while a site is opened: signing in, connecting, asking what can be computed there.

Io threads only. Never touches Qt but through the interaction, which carries questions to the window.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Protocol

from app.errors import BeamsideError, CancelledByUserError, UnreachableError
from app.model.doctor import Report, Step
from app.model.identity import Identity, SignedOut
from app.model.site import SiteProfile
from app.recipes.recipe import Recipe
from app.remote.connection import Connection, Listener
from app.remote.jobs.service import JobService
from app.remote.seams import Interaction, Transport
from app.session.interaction import WindowInteraction

log = logging.getLogger(__name__)

OPENED_WITHIN_S = 1800.0             # a person may be signing in with a phone


class SiteBook(Protocol):
    """What the session needs of ``app.remote.sites.Sites``; what opens and signs out may block."""

    def names(self) -> list[str]: ...
    def profile(self, name: str) -> SiteProfile: ...
    def open(self, name: str, interaction: Interaction) -> Connection: ...
    def jobs(self, name: str, connection: Connection) -> JobService: ...
    def sign_out(self, name: str) -> None: ...
    def sign_out_everywhere(self, name: str) -> SignedOut: ...
    def identity(self, name: str) -> Identity | None: ...
    def outlives(self, name: str, until: float) -> str: ...
    def examine(self, name: str, interaction: Interaction, tell: Callable[[Step], None]) -> Report: ...
    def remove_private_python(self, name: str, transport: Transport) -> list[str]: ...


@dataclass(frozen=True)
class OpenedSite:
    """A connection that stands and what comes with it."""

    connection: Connection
    jobs: JobService
    recipes: tuple[Recipe, ...]
    identity: Identity | None


def open_site(book: SiteBook, name: str, interaction: WindowInteraction, known: Connection | None,
              listener: Listener) -> OpenedSite:
    """Connect, and be told by ``listener`` of every later state.

    Args:
        known: the connection that the site had; it is opened again rather than made anew.

    Raises:
        CancelledByUserError: the person gave up; the connection is closed, as after every error.
    """
    connection = known or book.open(name, interaction)
    if known is None:
        connection.add_listener(listener)          # before it stands: it may be lost again while the rest is asked
    try:
        _wait_opened(connection.open(), interaction)
        if interaction.cancelled.is_set():
            raise CancelledByUserError("Connecting was cancelled.")
        service, recipes = services(book, name, connection)
        identity = book.identity(name)
    except BaseException:
        connection.close()
        raise
    return OpenedSite(connection, service, recipes, identity)


def services(book: SiteBook, name: str, connection: Connection) -> tuple[JobService, tuple[Recipe, ...]]:
    """The batch system of an open site, and what can be computed there."""
    service = book.jobs(name, connection)
    return service, tuple(service.recipes()) if service.available else ()


def account_at(book: SiteBook, name: str, connection: Connection) -> str:
    """``user@host`` as the site itself says; empty: this computer, or it does not say. Blocks for a round trip."""
    profile = book.profile(name)
    if profile.is_local:
        return ""
    try:
        user = connection.transport.user
    except BeamsideError as error:
        log.info("site %s: the account is not known: %s", profile.name, error)
        return ""
    return f"{user}@{profile.ssh.host}" if user else ""


def _wait_opened(opened: Future[None], interaction: WindowInteraction) -> None:
    """Wait until the connection stands, the person gave up or the deadline."""
    deadline = time.monotonic() + OPENED_WITHIN_S
    while True:
        try:
            opened.result(timeout=0.2)
            return
        except FutureTimeoutError:
            if opened.done():
                raise
        if interaction.cancelled.is_set():
            raise CancelledByUserError("Connecting was cancelled.")
        if time.monotonic() > deadline:
            raise UnreachableError("The facility did not let us in within half an hour.", remedy="Try again.")
