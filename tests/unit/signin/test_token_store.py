"""Where a sign-in is kept: short ones in the keyring, long ones in a sealed file whose key is there."""

from __future__ import annotations

import base64
import dataclasses
import json
import stat
from pathlib import Path

import pytest

from app import paths
from app.remote.signin import sealed
from app.remote.signin.token_store import ENTRY_LIMIT, StoredSession, TokenStore
from tests.peers.keyrings import FakeKeyring

LONG = "r" * 1500


def session(refresh_token: str, end: float | None = None) -> StoredSession:
    cache = {"RefreshToken": {"one": {"secret": refresh_token, "last_modification_time": "1"}}, "Account": {}}
    return StoredSession("https://op", "alice", "Alice", "a@x", cache, end)


@pytest.fixture
def store(os_keyring: FakeKeyring) -> TokenStore:
    return TokenStore("https://op", "beamside")


def sealed_files() -> list[Path]:
    return sorted(paths.state_dir().rglob("*.sealed"))


def test_that_a_short_session_is_in_the_keyring_alone(store: TokenStore, os_keyring: FakeKeyring) -> None:
    store.save(session("short", 17.0))
    assert store.load() == session("short", 17.0)
    assert sealed_files() == []


def test_that_no_entry_is_too_long_for_windows(store: TokenStore, os_keyring: FakeKeyring) -> None:
    for length in (1, 600, 900, 1000, 1200, 5000):
        store.save(session("r" * length))
        [entry] = os_keyring.entries.values()
        assert len(entry.encode("utf-16-le")) < 2560
        assert store.load() == session("r" * length)


def test_that_a_long_session_is_sealed_in_a_private_file(store: TokenStore, os_keyring: FakeKeyring) -> None:
    store.save(session(LONG))
    [file] = sealed_files()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert b"rrrr" not in file.read_bytes()
    assert b"alice" not in file.read_bytes()
    [entry] = os_keyring.entries.values()
    assert len(base64.b64decode(json.loads(entry)["key"])) == 32
    assert TokenStore("https://op", "beamside").load() == session(LONG), "another program reads it"


def test_that_every_writing_takes_a_new_nonce_and_the_same_key(store: TokenStore, os_keyring: FakeKeyring) -> None:
    store.save(session(LONG))
    first, before = sealed_files()[0].read_bytes(), dict(os_keyring.entries)
    store.save(session(LONG))
    assert sealed_files()[0].read_bytes()[:40] != first[:40]
    assert os_keyring.entries == before, "the file changes in one step, the keyring not at all"


def test_that_a_sealed_file_that_was_changed_is_no_session(store: TokenStore) -> None:
    store.save(session(LONG))
    [file] = sealed_files()
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:60] + bytes([whole[60] ^ 1]) + whole[61:], b"", b"x" * 100):
        file.write_bytes(damaged)
        assert store.load() is None
    file.write_bytes(whole)
    assert store.load() is not None


def test_that_one_sealed_file_cannot_stand_in_for_another(tmp_path: Path) -> None:
    key = sealed.new_key()
    sealed.write(tmp_path / "one", "text", key, "alice's")
    assert sealed.read(tmp_path / "one", key, "alice's") == "text"
    assert sealed.read(tmp_path / "one", key, "mallory's") is None
    assert sealed.read(tmp_path / "one", sealed.new_key(), "alice's") is None


def test_that_forgetting_removes_key_and_file(store: TokenStore, os_keyring: FakeKeyring) -> None:
    store.save(session(LONG))
    store.forget()
    assert (os_keyring.entries, sealed_files(), store.load()) == ({}, [], None)


def test_that_a_session_that_became_short_leaves_no_file(store: TokenStore) -> None:
    store.save(session(LONG))
    store.save(session("short"))
    assert sealed_files() == []
    assert store.load() == session("short")


def test_that_a_folder_that_cannot_be_written_means_this_run_only(store: TokenStore) -> None:
    (paths.state_dir()).mkdir(parents=True, exist_ok=True)
    (paths.state_dir() / "sign-in").write_text("not a folder")
    store.save(session(LONG))
    assert not store.kept
    assert "cannot be written" in store.why_not_kept
    assert store.load() == session(LONG)


def test_that_a_keyring_with_errors_of_its_own_is_like_none(store: TokenStore, os_keyring: FakeKeyring,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: str) -> None:
        raise OSError(1783, "The stub received bad data")   # as Windows says of what is too long

    monkeypatch.setattr(os_keyring, "set_password", fail)
    store.save(session("short"))
    assert not store.kept
    assert store.load() == session("short")


def test_that_a_locked_keyring_gets_no_sealed_file(store: TokenStore, os_keyring: FakeKeyring) -> None:
    os_keyring.locked = True
    store.save(session(LONG))
    assert sealed_files() == []
    assert store.load() == session(LONG)


@pytest.mark.parametrize("entry", ["", "{}", "[]", "null", '{"key":"!"}', '{"key":5}', '{"key":"AAAA"}', "nonsense"])
def test_that_a_broken_entry_is_no_session(store: TokenStore, os_keyring: FakeKeyring, entry: str) -> None:
    os_keyring.entries["beamside", "https://op beamside"] = entry
    assert store.load() is None
    store.save(session(LONG))
    assert store.load() == session(LONG)


def test_that_entries_of_earlier_versions_are_read(store: TokenStore, os_keyring: FakeKeyring) -> None:
    old = dataclasses.asdict(session("short"))
    del old["expires_at"]
    os_keyring.entries["beamside", "https://op beamside"] = json.dumps(old)
    assert store.load() == session("short")
    assert ENTRY_LIMIT < 1280


def test_that_no_session_shows_its_token(store: TokenStore) -> None:
    assert "secret" not in repr(session("secret"))
