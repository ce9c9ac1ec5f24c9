"""A site that stays connected: opens, watches over, restores and closes the transport and the agent on it.

One thread, ``connection-<site>``, does all that waits; listeners are called on it. What uses the site talks to
``data``, which outlives every reconnect. The window never calls anything here that blocks, except ``close``, which is
for other threads or has its deadline. A loss costs no click: the site is tried again after pauses, and at once when the
computer wakes up or its network comes back. Only what needs the person ends that, after one prompt.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from enum import Enum

from app.errors import AgentError, BeamsideError, LinkLostError, SignInNeededError
from app.model.site import SiteProfile
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import Upload
from app.remote.allocation import Place
from app.remote.attempts import Attempts, told_as
from app.remote.deploy import NoUsablePythonError, new_nonce, start_agent
from app.remote.noted_person import NotedPerson
from app.remote.private_python import provide
from app.remote.seams import ByteStream, Transport
from app.remote.surroundings import Route, Sleeping, endpoints_of

log = logging.getLogger(__name__)

_STEP_S = 0.5
_LEAVE_S = 4.0


class ConnectionState(Enum):
    """What a person needs to know of a connection."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    UNRESPONSIVE = "unresponsive"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"


@dataclass(frozen=True)
class Patience:
    """How long a connection waits, in seconds.

    Attributes:
        heartbeat_s: between two pings.
        unresponsive_s: silence after which the state says so.
        lost_s: silence after which the link is given up and made anew.
        proof_s: for a sign of life after this computer slept.
        agent_s: for an agent to say HELLO.
        give_up_s: of failed reconnecting, after which it stays disconnected; by default a network may be away for ever.
        settled_s: a session that lived so long starts the back-off from the beginning.
    """

    heartbeat_s: float = 2.0
    unresponsive_s: float = 5.0
    lost_s: float = 15.0
    proof_s: float = 4.0
    agent_s: float = 60.0
    give_up_s: float = math.inf
    settled_s: float = 10.0


USUAL = Patience()
Listener = Callable[[ConnectionState, BeamsideError | None], None]


class Connection:
    """One site. ``open`` may be called again after it was disconnected."""

    def __init__(self, profile: SiteProfile, open_transport: Callable[[], Transport], *,
                 patience: Patience = USUAL, agent: Upload | None = None, place: Place | None = None,
                 person: NotedPerson | None = None) -> None:
        """``person``: who ``open_transport`` asks, so that a loss costs one prompt at most."""
        self.profile = profile
        self._open_transport = open_transport
        self._patience = patience
        self._agent = agent
        self._place = place
        self._person = person
        if person is not None:
            person.on_asked = self._tell_of_prompt
        self._client = AgentClient(profile.name)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._hurry = False
        self._next_attempt_at: float | None = None
        self._endpoints: tuple[str, str] | None = None
        self._state = ConnectionState.DISCONNECTED
        self._reason: BeamsideError | None = None
        self._listeners: list[Listener] = []
        self._transport: Transport | None = None
        self._session: AgentSession | None = None
        self._ended: BeamsideError | None = None
        self._thread: threading.Thread | None = None
        self._opened: Future[None] = Future()

    @property
    def state(self) -> ConnectionState:
        return self._state

    @property
    def reason(self) -> BeamsideError | None:
        """Why it is not connected; ``None`` while it is, or when it was closed."""
        return self._reason

    @property
    def next_attempt_s(self) -> float | None:
        """Seconds until the next attempt while it waits for one; ``None``: it is trying, or there will be none."""
        at = self._next_attempt_at
        return None if at is None else max(0.0, at - time.monotonic())

    @property
    def data(self) -> AgentClient:
        """Files and HDF5; valid as long as this object."""
        return self._client

    @property
    def transport(self) -> Transport:
        """The transport of this moment.

        Raises:
            LinkLostError: there is none.
        """
        transport = self._transport
        if transport is None or not transport.alive:
            raise LinkLostError(f"There is no connection to {self._title} at the moment.",
                                remedy="Wait until it is restored, or connect again.")
        return transport

    def open(self) -> Future[None]:
        """Connect; the Future settles when the agent has answered, or fails with the reason."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive() and self._state is not ConnectionState.DISCONNECTED:
                return self._opened
            self._closing = self._hurry = False
            self._opened = Future()
            self._opened.set_running_or_notify_cancel()
            self._client.reopen()
            self._thread = threading.Thread(target=self._run, args=(self._opened, self._thread),
                                            name=f"connection-{self.profile.name}", daemon=True)
            self._state = ConnectionState.CONNECTING
            self._thread.start()
            return self._opened

    def add_listener(self, listener: Listener) -> Callable[[], None]:
        """Be told of every state, on the connection's thread; the result ends that."""
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._remove_listener(listener)

    def reconnect_now(self) -> None:
        """Do not wait for the next attempt, nor for a link that does not answer."""
        self._hurry = True
        self._wake.set()

    def close(self, deadline_s: float = 5.0) -> None:
        """End the session, the transport and the thread, within the deadline."""
        deadline = time.monotonic() + deadline_s
        self._closing = True
        self._wake.set()
        self._client.close()
        session, transport, thread = self._session, self._transport, self._thread
        if session is not None:
            session.close(max(0.1, deadline - time.monotonic()))
        if transport is not None and self._place is None:
            transport.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.1, deadline - time.monotonic()))      # which gives back the place
            if thread.is_alive():
                log.warning("the connection to %s is still closing", self.profile.name)
        if transport is not None:
            transport.close()

    @property
    def _title(self) -> str:
        return self.profile.title or self.profile.name

    def _remove_listener(self, listener: Listener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)

    def _run(self, opened: Future[None], previous: threading.Thread | None) -> None:
        if previous is not None:
            previous.join()
        try:
            self._stay_connected(opened)
        except Exception as error:
            log.exception("the connection to %s failed in an unexpected way", self.profile.name)
            self._disconnect(opened, BeamsideError("The connection failed in an unexpected way.", repr(error),
                                                   "Please report it with the details."))

    def _stay_connected(self, opened: Future[None]) -> None:
        self._tell(ConnectionState.CONNECTING, None)
        attempts, lost_at = Attempts(self._patience.give_up_s), 0.0
        while not self._closing:
            try:
                session = self._connect()
            except BeamsideError as error:
                log.info("connecting to %s: %s", self.profile.name, error.summary)
                self._drop_transport()
                asked = self._person is not None and self._person.was_asked
                if self._closing or not opened.done():
                    self._disconnect(opened, error)
                    return
                if attempts.is_final(error, asked, time.monotonic() - lost_at):
                    self._disconnect(opened, told_as(error, self._title, asked))
                    return
                self._back_off(attempts, error)
                continue
            self._tell(ConnectionState.CONNECTED, None)
            if not opened.done():
                opened.set_result(None)
            began = time.monotonic()
            reason = self._watch_over(session)
            lost_at = time.monotonic()
            attempts.succeeded(lost_at - began, self._patience.settled_s)
            self._end_session(session)
            if not self._closing:
                self._back_off(attempts, reason)
        self._drop_transport()
        self._disconnect(opened, None)

    def _connect(self) -> AgentSession:
        if self._person is not None:
            self._person.begin()
        transport = self._transport
        if transport is None or not transport.alive:
            self._drop_transport()
            transport = self._open_transport()
            self._transport = transport
            self._endpoints = endpoints_of(transport)
        if self._closing:
            raise LinkLostError("The connection was closed.")
        nonce = new_nonce()
        prefix = self._place.enter(transport, self._pause) if self._place is not None else ()
        stream = self._start(transport, nonce, prefix)
        session = AgentSession(self.profile.name, stream, nonce, self._client.receive, self._session_ended,
                               pack=not self.profile.is_local)
        self._ended = None
        self._session = session
        session.start()
        try:
            session.hello.result(self._patience.agent_s)
        except (FutureTimeoutError, BeamsideError) as error:
            self._end_session(session)
            if isinstance(error, BeamsideError):
                raise
            raise AgentError(f"The agent at {self._title} did not answer within {self._patience.agent_s:.0f} s.",
                             remedy="Connect again, or try another login node.") from None
        self._client.attach(session)
        return session

    def _start(self, transport: Transport, nonce: str, prefix: Sequence[str]) -> ByteStream:
        """The agent; where no Python can run it, after the person was offered one."""
        within_s = self._patience.agent_s
        try:
            return start_agent(transport, self.profile, nonce, self._agent, prefix, within_s)
        except NoUsablePythonError as lack:
            if self._person is None:
                raise
            provide(transport, self.profile, lack, self._person, new_nonce(), prefix)
        return start_agent(transport, self.profile, nonce, self._agent, prefix, within_s)

    def _pause(self, seconds: float) -> bool:
        """Wait; whether the connection is to be closed."""
        if not self._closing:
            self._wake.wait(seconds)
            self._wake.clear()
        return self._closing

    def _watch_over(self, session: AgentSession) -> BeamsideError:
        """Ping and look until the session is over; why it is."""
        last_ping = time.monotonic()
        excused_until = -math.inf      # silence before that is not held against the link
        sleeping, route = Sleeping(), Route(self._endpoints)
        self._hurry = False
        while not self._closing:
            self._wake.wait(min(_STEP_S, self._patience.heartbeat_s / 2))
            self._wake.clear()
            if self._ended is not None:
                return self._ended
            now = time.monotonic()
            if sleeping.look():
                log.info("%s: this computer stood still", self.profile.name)
                excused_until = now - max(0.0, self._patience.lost_s - self._patience.proof_s)
                last_ping = -math.inf
            silence = now - session.heard
            if now - max(session.heard, excused_until) > self._patience.lost_s:
                return self._lose(f"Nothing was heard from {self._title} for {silence:.0f} s.")
            if route.has_lost_its_address:
                return self._lose(f"This computer’s network changed, so the connection to {self._title} ended.")
            if self._hurry and self._state is ConnectionState.UNRESPONSIVE:
                return self._lose(f"{self._title} did not answer, so the connection is made anew.")
            self._hurry = False
            if now - last_ping >= self._patience.heartbeat_s:
                last_ping = now
                session.ping()
            self._show_silence(silence)
        return LinkLostError("The connection was closed.")

    def _lose(self, why: str) -> LinkLostError:
        self._drop_transport()
        return LinkLostError(why, remedy="The connection is restored by itself.")

    def _show_silence(self, silence: float) -> None:
        silent = silence > self._patience.unresponsive_s
        if silent and self._state is ConnectionState.CONNECTED:
            self._tell(ConnectionState.UNRESPONSIVE, None)
        elif not silent and self._state is ConnectionState.UNRESPONSIVE:
            self._tell(ConnectionState.CONNECTED, None)

    def _back_off(self, attempts: Attempts, reason: BeamsideError) -> None:
        """Wait for the next attempt, no longer than until something speaks for trying at once."""
        sleeping, route = Sleeping(), Route(self._endpoints)
        self._hurry = False
        until = time.monotonic() + attempts.pause_s()
        self._next_attempt_at = until
        self._tell(ConnectionState.RECONNECTING, reason)
        while not self._closing and not self._hurry and (left := until - time.monotonic()) > 0:
            self._wake.wait(min(left, _STEP_S))
            self._wake.clear()
            if sleeping.look() or route.changed():
                log.info("%s: this computer woke up or its network changed", self.profile.name)
                attempts.hurry()
                break
        self._next_attempt_at = None

    def _tell_of_prompt(self) -> None:
        """Any thread: what connects is about to ask the person."""
        if self._state is ConnectionState.RECONNECTING:
            self._tell(ConnectionState.RECONNECTING, SignInNeededError(
                f"{self._title} wants you to sign in again.", remedy="Answer its question; what is on screen stays."))

    def _session_ended(self, session: AgentSession, reason: BeamsideError) -> None:
        if session is self._session:
            self._ended = reason
            self._wake.set()

    def _end_session(self, session: AgentSession) -> None:
        transport = self._transport
        self._client.detach(session, blamed=transport is not None and transport.alive)
        self._session = None
        session.close()

    def _drop_transport(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            if self._place is not None and self._closing and transport.alive:
                self._place.leave(transport, _LEAVE_S)
            transport.close()

    def _disconnect(self, opened: Future[None], reason: BeamsideError | None) -> None:
        if self._closing:
            reason = None
        shown = reason or LinkLostError("The connection was closed.",
                                        remedy="Connect to the site again; then it is shown.")
        self._client.fail(shown)
        self._tell(ConnectionState.DISCONNECTED, reason)
        if not opened.done():
            opened.set_exception(shown)

    def _tell(self, state: ConnectionState, reason: BeamsideError | None) -> None:
        with self._lock:
            self._state, self._reason = state, reason
            listeners = list(self._listeners)
        log.info("%s: %s%s", self.profile.name, state.value, f" ({reason.summary})" if reason else "")
        for listener in listeners:
            try:
                listener(state, reason)
            except Exception:
                log.exception("a listener of the connection failed")
