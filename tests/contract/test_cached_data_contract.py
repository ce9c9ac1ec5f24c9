"""The data service's whole contract over the one with a disk cache before it, on this computer's own Python."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.remote.block_store import BlockStore
from app.remote.cached_data import CachedDataService
from app.remote.connection import Connection
from tests.contract.conftest import Site, local_site
from tests.contract.test_data_service_contract import *  # noqa: F403 - every test of the contract, once more


class CachedConnection:
    """A connection whose data come through a cache; everything else is the connection's."""

    def __init__(self, connection: Connection, store: BlockStore) -> None:
        self._connection = connection
        self.data: Any = _Cached(connection, store)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Cached(CachedDataService):
    """With what the tests ask of the agent's client beyond the seam."""

    def __init__(self, connection: Connection, store: BlockStore) -> None:
        super().__init__(connection.data, store, "site")
        self._client = connection.data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with local_site(tmp_path_factory.mktemp("local")) as made:
        yield made


@pytest.fixture(scope="module")
def python() -> str:
    return shlex.quote(sys.executable)


@pytest.fixture
def connect(connect: Callable[..., Connection],
            tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    stores: list[BlockStore] = []

    def make(*args: Any, **options: Any) -> CachedConnection:
        stores.append(BlockStore(tmp_path_factory.mktemp("cached"), 10**9))
        return CachedConnection(connect(*args, **options), stores[-1])

    yield make
    for store in stores:
        store.close()
