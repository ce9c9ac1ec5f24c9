"""Providers and keyrings for the sign-in tests."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import pytest

from tests.peers.fake_provider import FakeProvider, fake_provider
from tests.peers.keyrings import FakeKeyring
from tests.peers.pki import Pki, make_pki


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def provider(pki: Pki) -> Iterator[FakeProvider]:
    with fake_provider(pki) as fake:
        yield fake


@pytest.fixture
def os_keyring() -> Iterator[FakeKeyring]:
    """The operating system's keyring, for this test."""
    before = keyring.get_keyring()
    fake = FakeKeyring()
    keyring.set_keyring(fake)
    yield fake
    keyring.set_keyring(before)
