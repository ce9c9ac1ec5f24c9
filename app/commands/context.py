"""What the commands share: the sites, one connection per site, the person at the terminal. No Qt."""

from __future__ import annotations

import getpass
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import TypeVar

from app.commands.output import Output
from app.commands.pages import open_page
from app.errors import CancelledByUserError, LinkLostError, NotFoundError, SignInNeededError, UsageError
from app.model.data import DataReference
from app.model.target import Target, site_prefix
from app.model.text import visible
from app.remote.connection import Connection, Patience
from app.remote.conversation import Conversation
from app.remote.jobs.service import JobService
from app.remote.seams import DataService, DeviceCode
from app.remote.sites import Sites

_T = TypeVar("_T")
_CLOSE_S = 5.0
_GIVE_UP_S = 600.0        # of a link that was lost: nobody may be there to see that it is tried again and again
_INTERRUPTED_CLOSE_S = 1.0
_LONGEST_WAIT_S = 3600.0
_WAYS = {"code": "with a code", "browser": "in the browser"}


class Context:
    """Opens what a command needs and closes it in the end (a context manager)."""

    def __init__(self, sites: Sites, output: Output) -> None:
        self.sites = sites
        self.output = output
        self.interaction = TerminalInteraction(output)
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> Context:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.interaction.cancelled.set()
        deadline_s = _INTERRUPTED_CLOSE_S if kind is KeyboardInterrupt else _CLOSE_S
        for connection in self._connections.values():
            connection.close(deadline_s)

    def connection(self, site: str) -> Connection:
        """The open connection to a site, opened (and signed in) on first use."""
        if site not in self._connections:
            connection = self.sites.open(site, self.interaction, Patience(give_up_s=_GIVE_UP_S))
            self._connections[site] = connection
            try:
                wait(connection.open())
            except CancelledByUserError:
                if not self.interaction.unanswered:
                    raise
                raise SignInNeededError(f"{self.interaction.unanswered}, and there is no terminal to answer at.",
                                        remedy="Run the command in a terminal, or name the user and a key in the site "
                                               "profile.") from None
        return self._connections[site]

    def data(self, site: str) -> DataService:
        return self.connection(site).data

    def jobs(self, site: str) -> JobService:
        """The batch system of a site; where the profile names none, one that is found there."""
        connection = self.connection(site)
        profile = self.sites.profile(site)
        if not profile.batch.system and not profile.is_local:
            found = self.sites.look_around(site, connection)
            if found is not None:
                self.sites.learn(site, found)
        return self.sites.jobs(site, connection)

    def target(self, text: str) -> Target:
        target = Target.parse(text, set(self.sites.names()))
        if target.site == "local":
            try:
                absolute = Path(os.path.abspath(os.path.expanduser(target.file or ".")))
            except FileNotFoundError:
                raise UsageError("The current folder is not there any more.",
                                 remedy="Go to another folder, or name the file by its whole path.") from None
            prefix = site_prefix(target.file)
            if prefix and not os.path.lexists(absolute):
                raise NotFoundError(f"There is no file “{target.file}”, and no site called “{prefix}”.",
                                    remedy=f"Known sites: {', '.join(self.sites.names())}. "
                                           "Add one with: beamside sites add FILE")
            return Target(target.site, absolute.as_posix(), target.data_path)
        return Target(target.site, target.file or "~", target.data_path)

    def reference(self, text: str) -> DataReference:
        """A TARGET as a reference; local files are made absolute, remote ones are the agent's to resolve."""
        target = self.target(text)
        return DataReference(target.site, PurePosixPath(target.file), target.data_path or "")


def wait(future: Future[_T], timeout_s: float = _LONGEST_WAIT_S) -> _T:
    """The result of a Future, in slices short enough for Ctrl+C to be heard everywhere.

    Raises:
        LinkLostError: no answer in time, or given up on the way.
    """
    waited = 0.0
    while True:
        try:
            return future.result(timeout=0.5)
        except FutureTimeout:
            if future.done():
                raise
            waited += 0.5
            if waited >= timeout_s:
                future.cancel()
                raise LinkLostError("The facility did not answer in time.", remedy="Try again.") from None
        except CancelledError:
            raise LinkLostError("The request was given up because the connection closed.",
                                remedy="Try again.") from None


class TerminalInteraction:
    """The person at a terminal: codes on standard error, prompts only where there is a terminal to type at."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._cancelled = threading.Event()
        self.unanswered = ""
        self._ways: tuple[str, ...] = ()
        self.way = "code"          # what works over a plain SSH login too; sign-in --browser changes it

    @property
    def cancelled(self) -> threading.Event:
        return self._cancelled

    def say(self, text: str) -> None:
        self._output.say(text)

    def show_device_code(self, site: str, code: DeviceCode) -> None:
        fields = {"site": site, "user_code": code.user_code, "verification_uri": code.verification_uri,
                  "verification_uri_complete": code.verification_uri_complete, "expires_at": code.expires_at}
        self._output.event("device_code", fields,
                           f"To sign in at {site}, open {code.verification_uri} on any device and enter the code\n\n"
                           f"    {code.user_code}\n\nor open {code.verification_uri_complete or code.verification_uri}")

    def device_code_settled(self, site: str) -> None:
        """Nothing of it has to be taken away; that it was answered is said by whoever got the answer."""

    def choose_way(self, site: str, ways: Sequence[str]) -> str | None:
        self._ways = tuple(ways)
        if self.way in ways:
            return self.way
        other = next(iter(ways), None)
        if other is not None:
            self._output.say(f"{site} offers no sign-in {_WAYS[self.way]}, but one {_WAYS[other]}.")
        return other

    def show_browser(self, site: str, url: str) -> threading.Event:
        opened = open_page(url)
        elsewhere = " (elsewhere, use sign-in --code)" if "code" in self._ways else ""
        hint = ("go on in the browser. If it shows nothing, open" if opened
                else f"open this address in a browser on this very computer{elsewhere}")
        self._output.event("browser", {"site": site, "url": url, "opened": opened},
                           f"To sign in at {site}, {hint}\n\n    {url}\n")
        return threading.Event()

    def browser_settled(self, site: str) -> None:
        """As :meth:`device_code_settled`."""

    def confirm_host_key(self, host: str, key_type: str, fingerprint: str, randomart: str = "") -> bool:
        return False

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        if sys.stdin is None or not sys.stdin.isatty():
            self.unanswered = f"{site} asks: {title}"
            return False
        self._output.say(f"{title}\n{text}")
        return _ask(f"{accept}? [y/N] ").strip().lower() in ("y", "yes")

    def answer_prompts(self, host: str, title: str, instructions: str, prompts: Sequence[tuple[str, bool]],
                       within_s: float = 0.0, conversation: Conversation | None = None) -> list[str] | None:
        note = conversation.note if conversation is not None else ""
        if not prompts:
            for line in filter(None, (visible(instructions, keep_lines=True).strip(), note)):
                self._output.say(line)
            return []
        if sys.stdin is None or not sys.stdin.isatty():
            self.unanswered = f"{host} asks for {prompts[0][0].strip().rstrip(':') or 'an answer'}"
            return None
        for line in (visible(title), visible(instructions, keep_lines=True).strip(), note):
            if line:
                self._output.say(line)
        answers = []
        for prompt, echo in ((visible(prompt), echo) for prompt, echo in prompts):
            self._output.say(f"{host} asks:")
            answers.append(_ask(prompt) if echo else getpass.getpass(prompt, stream=sys.stderr))
        return answers


def _ask(prompt: str) -> str:
    print(prompt, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().rstrip("\n")
