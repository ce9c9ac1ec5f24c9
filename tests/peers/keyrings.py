"""A keyring for tests of one process: keeps entries in memory, and can be locked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import keyring.backend
import keyring.errors

from tests.checks.secrets import register


class FakeKeyring(keyring.backend.KeyringBackend):
    """A working backend; ``locked`` makes every call fail as a keyring does that nobody unlocks."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check()
        for secret in _secrets_in(password):
            register(secret, "what the keyring was given")
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        if (service, username) not in self.entries:
            raise keyring.errors.PasswordDeleteError("not there")
        del self.entries[service, username]

    def _check(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("locked")


def _secrets_in(text: str) -> Iterator[str]:
    """The refresh tokens and the sealing key of an entry; names and addresses are no secrets."""
    def walk(value: Any) -> Iterator[str]:
        for name, each in value.items() if isinstance(value, dict) else ():
            if name in ("secret", "key") and isinstance(each, str):
                yield each
            yield from walk(each)

    try:
        yield from walk(json.loads(text))
    except ValueError:
        yield text
