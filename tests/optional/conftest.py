"""Peers that take long to get and to start: collected only for ``./run test-peers``, which sets OPTIONAL=1.

A peer that cannot be had is skipped with the reason, and ``./run test-peers`` lists those in the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest

from tests.peers.keyrings import FakeKeyring


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Nothing here belongs to ``./run test``."""
    return None if os.environ.get("OPTIONAL") == "1" else True


@pytest.fixture
def os_keyring() -> Iterator[FakeKeyring]:
    """The operating system's keyring, for this test."""
    before = keyring.get_keyring()
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)
