"""Browser sessions of the sign-in pages: who typed the PIN, and which forms are ours. Any thread.

A cookie of this origin names a session; forms carry a token made from it and from a secret of this start, so a page of
another site cannot send them. Only the right PIN makes a session able to approve anything, and for an hour at most.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from dataclasses import dataclass

from app.facility.persons import Person

COOKIE = "__Host-beamside-demo"
_LIFETIME_S = 3600.0
_LIMIT = 1000


@dataclass
class Session:
    """One browser. ``person``: who signed in with the PIN, or ``None``."""

    id: str
    person: Person | None = None
    expires_at: float = 0.0


class Sessions:
    """All browsers since the start."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._signed_in: dict[str, Session] = {}

    def get(self, cookie: str | None) -> Session:
        """The session a cookie names, or a new one that may do nothing yet."""
        if cookie and len(cookie) == 43:
            with self._lock:
                session = self._signed_in.get(cookie)
            if session is None:
                return Session(cookie)
            if session.expires_at > time.monotonic():
                return session
        return Session(secrets.token_urlsafe(32))

    def sign_in(self, person: Person) -> Session:
        """A session, under a new name, that may approve as this person."""
        session = Session(secrets.token_urlsafe(32), person, time.monotonic() + _LIFETIME_S)
        with self._lock:
            while len(self._signed_in) >= _LIMIT:
                self._signed_in.pop(next(iter(self._signed_in)))
            self._signed_in[session.id] = session
        return session

    def sign_out(self, session: Session) -> None:
        with self._lock:
            self._signed_in.pop(session.id, None)

    def form_token(self, session: Session) -> str:
        """What a form of this session must carry."""
        return hmac.new(self._secret, session.id.encode(), hashlib.sha256).hexdigest()

    def is_ours(self, session: Session, token: str) -> bool:
        return hmac.compare_digest(self.form_token(session).encode(), token.encode())
