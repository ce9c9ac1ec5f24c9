"""A site that stays connected: opens, watches over, restores and closes the transport and the agent on it.

One thread, ``connection-<site>``, does all that waits; listeners are called on it. What uses the site talks to
``data``, which outlives every reconnect. The window never calls anything here that blocks, except ``close``, which is
for other threads or has its deadline.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from enum import Enum

from app.errors import (
    AgentError,
    BeamsideError,
    CancelledByUserError,
    HostKeyChangedError,
    HostKeyUnknownError,
    LinkLostError,
    SignInError,
    UsageError,
)
from app.model.site import SiteProfile
from app.remote.agent_client import AgentClient
from app.remote.agent_session import AgentSession
from app.remote.agent_zip import Upload
from app.remote.allocation import Place
from app.remote.deploy import new_nonce, start_agent
from app.remote.seams import Transport

log = logging.getLogger(__name__)

_NEEDS_A_PERSON = (SignInError, HostKeyChangedError, HostKeyUnknownError, CancelledByUserError, UsageError)
_BACK_OFF_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
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
        agent_s: for an agent to say HELLO.
        give_up_s: of failed reconnecting, after which it stays disconnected.
        settled_s: a session that lived so long starts the back-off from the beginning.
    """

    heartbeat_s: float = 2.0
    unresponsive_s: float = 5.0
    lost_s: float = 15.0
    agent_s: float = 60.0
    give_up_s: float = 600.0
    settled_s: float = 10.0


Listener = Callable[[ConnectionState, BeamsideError | None], None]


class Connection:
    """One site. ``open`` may be called again after it was disconnected."""

    def __init__(self, profile: SiteProfile, open_transport: Callable[[], Transport], *,
                 patience: Patience = Patience(), agent: Upload | None = None, place: Place | None = None) -> None:
        self.profile = profile
        self._open_transport = open_transport
        self._patience = patience
        self._agent = agent
        self._place = place
        self._client = AgentClient(profile.name)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
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
            self._closing = False
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
        """Do not wait for the back-off to end."""
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
        failures, lost_at = 0, 0.0
        while not self._closing:
            try:
                session = self._connect()
            except BeamsideError as error:
                log.info("connecting to %s: %s", self.profile.name, error.summary)
                self._drop_transport()
                if self._is_final(error, opened.done(), lost_at):
                    self._disconnect(opened, error)
                    return
                failures = self._back_off(failures, error)
                continue
            self._tell(ConnectionState.CONNECTED, None)
            if not opened.done():
                opened.set_result(None)
            began = time.monotonic()
            reason = self._watch_over(session)
            lost_at = time.monotonic()
            self._end_session(session)
            if not self._closing:
                failures = self._back_off(0 if lost_at - began > self._patience.settled_s else failures, reason)
        self._drop_transport()
        self._disconnect(opened, None)

    def _connect(self) -> AgentSession:
        transport = self._transport
        if transport is None or not transport.alive:
            self._drop_transport()
            transport = self._open_transport()
            self._transport = transport
        if self._closing:
            raise LinkLostError("The connection was closed.")
        nonce = new_nonce()
        prefix = self._place.enter(transport, self._pause) if self._place is not None else ()
        stream = start_agent(transport, self.profile, nonce, self._agent, prefix)
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

    def _pause(self, seconds: float) -> bool:
        """Wait; whether the connection is to be closed."""
        if not self._closing:
            self._wake.wait(seconds)
            self._wake.clear()
        return self._closing

    def _watch_over(self, session: AgentSession) -> BeamsideError:
        """Ping and look until the session is over; why it is."""
        last_ping = time.monotonic()
        while not self._closing:
            self._wake.wait(min(_STEP_S, self._patience.heartbeat_s / 2))
            self._wake.clear()
            if self._ended is not None:
                return self._ended
            now = time.monotonic()
            silence = now - session.heard
            if silence > self._patience.lost_s:
                self._drop_transport()
                return LinkLostError(f"Nothing was heard from {self._title} for {silence:.0f} s.",
                                     remedy="The connection is restored by itself.")
            if now - last_ping >= self._patience.heartbeat_s:
                last_ping = now
                session.ping()
            self._show_silence(silence)
        return LinkLostError("The connection was closed.")

    def _show_silence(self, silence: float) -> None:
        silent = silence > self._patience.unresponsive_s
        if silent and self._state is ConnectionState.CONNECTED:
            self._tell(ConnectionState.UNRESPONSIVE, None)
        elif not silent and self._state is ConnectionState.UNRESPONSIVE:
            self._tell(ConnectionState.CONNECTED, None)

    def _back_off(self, failures: int, reason: BeamsideError) -> int:
        self._tell(ConnectionState.RECONNECTING, reason)
        if not self._closing:
            self._wake.wait(_BACK_OFF_S[min(failures, len(_BACK_OFF_S) - 1)])
            self._wake.clear()
        return failures + 1

    def _is_final(self, error: BeamsideError, was_connected: bool, lost_at: float) -> bool:
        if self._closing or not was_connected or isinstance(error, _NEEDS_A_PERSON):
            return True
        return time.monotonic() - lost_at > self._patience.give_up_s

    def _session_ended(self, session: AgentSession, reason: BeamsideError) -> None:
        if session is self._session:
            self._ended = reason
            self._wake.set()

    def _end_session(self, session: AgentSession) -> None:
        self._client.detach(session)
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
        shown = reason or LinkLostError("The connection was closed.")
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
