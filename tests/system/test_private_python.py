"""A site whose Python has no packages: offered, put there over real OpenSSH, used, removed; whatever goes wrong."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import h5py
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app import paths
from app.errors import AgentError, CancelledByUserError, LinkError, LinkLostError, StorageFullError
from app.model.data import DataReference, ReadRequest
from app.model.site import AgentSettings, SiteProfile, SshSettings
from app.remote.connection import Connection
from app.remote.deploy import NoUsablePythonError
from app.remote.noted_person import NotedPerson
from app.remote.private_python import remove
from app.remote.profile_text import profile_text
from app.remote.ssh.connect import open_ssh
from tests.peers.interaction import FakePerson
from tests.peers.kept import kept_folder
from tests.peers.need import need_program
from tests.peers.small_disk import small_disk
from tests.peers.sshd import Sshd, public_line, sshd, write_private

pytestmark = pytest.mark.system
DEADLINE_S = 120.0
OPENED_S = 300.0


class ThinkingPerson(FakePerson):
    """Is asked, and meanwhile the server dies."""

    def __init__(self, server: Sshd) -> None:
        super().__init__(agrees=True)
        self._server = server
        self.let_go = threading.Event()

    def confirm(self, site: str, title: str, text: str, accept: str, still: Callable[[], bool] | None = None) -> bool:
        assert still is not None
        assert still()
        self._server.cut()
        while still() and not self.cancelled.wait(0.05):
            pass
        self.let_go.set()
        return False


class Watcher(FakePerson):
    """Does something when a sentence begins with given words."""

    def __init__(self, words: str = "", do: Callable[[], object] = lambda: None, agrees: bool = True) -> None:
        super().__init__(agrees=agrees)
        self._words, self._do = words, do

    def say(self, text: str) -> None:
        super().say(text)
        if self._words and text.startswith(self._words):
            self._do()


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian's Python without any package."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python3"


@pytest.fixture
def server(tmp_path: Path, own_home: Path) -> Iterator[Sshd]:
    need_program("sshd", "openssh-server")
    key = Ed25519PrivateKey.generate()
    write_private(key, own_home / ".ssh" / "id_ed25519")
    paths.cache_dir().mkdir(parents=True, exist_ok=True)
    (paths.cache_dir() / "wheels").symlink_to(kept_folder("wheels"))
    with sshd(tmp_path / "sshd") as made:
        made.allow(public_line(key))
        yield made


def site(server: Sshd, python: Path | str, cache: Path) -> SiteProfile:
    ssh = SshSettings("127.0.0.1", server.port, server.user, ("key",), (server.host_key_line,))
    command = python if isinstance(python, str) else shlex.quote(str(python))
    return SiteProfile("far", title="Site X", ssh=ssh, agent=AgentSettings(python=(command,), cache=str(cache)))


def connected(profile: SiteProfile, person: FakePerson) -> Connection:
    noted = NotedPerson(person)
    connection = Connection(profile, lambda: open_ssh(profile, noted, None), person=noted)
    connection.open().result(OPENED_S)
    return connection


def refused(profile: SiteProfile, person: FakePerson) -> BaseException:
    noted = NotedPerson(person)
    connection = Connection(profile, lambda: open_ssh(profile, noted, None), person=noted)
    error = connection.open().exception(OPENED_S)
    connection.close()
    assert error is not None
    return error


def left_at(cache: Path) -> list[str]:
    return [path.name for path in cache.iterdir() if "private" in path.name or path.name.startswith(".upload")]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_that_a_private_python_is_offered_used_remembered_and_removed(server: Sshd, bare_python: Path,
                                                                      tmp_path: Path) -> None:
    cache, file = tmp_path / "a cache", tmp_path / "a.h5"
    with h5py.File(file, "w") as out:
        out["image"] = np.arange(12).reshape(3, 4)
    profile, person = site(server, bare_python, cache), FakePerson(agrees=True)
    connection = connected(profile, person)
    request = ReadRequest(DataReference("far", PurePosixPath(file), "/image"))
    np.testing.assert_array_equal(connection.data.read(request).result(DEADLINE_S).values, np.arange(12).reshape(3, 4))
    workers = connection.data.agent_status().result(DEADLINE_S)["workers"]
    assert workers, "they find the packages too"
    [(title, text, accept)] = person.confirmations
    print(title, text, sep="\n")
    assert (title, accept) == ("Put a private Python environment at Site X?", "Install it there")
    assert str(cache) in text
    assert text.count(" MB") >= 2
    assert any(said.startswith("Sending a private Python to Site X: ") for said in person.said)
    connection.close()
    [private] = left_at(cache)
    assert private.startswith("private-3.")
    assert (cache / private).stat().st_mode & 0o077 == 0

    again = FakePerson(agrees=False)
    connection = connected(profile, again)
    assert not again.confirmations, "it lies there, so nobody is asked"
    assert remove(connection.transport, profile) == [private]
    assert remove(connection.transport, profile) == []
    connection.close()
    assert left_at(cache) == []
    assert isinstance(refused(profile, again), NoUsablePythonError)
    assert len(again.confirmations) == 1


def test_that_nothing_is_put_there_without_consent(server: Sshd, bare_python: Path, tmp_path: Path) -> None:
    error = refused(site(server, bare_python, tmp_path / "cache"), FakePerson(agrees=False))
    assert isinstance(error, NoUsablePythonError)
    assert error.summary == "No Python with numpy and h5py was found at Site X."
    assert "ask the facility" in error.remedy
    assert left_at(tmp_path / "cache") == []


def test_that_a_link_that_dies_while_the_person_thinks_takes_the_question_along(server: Sshd, bare_python: Path,
                                                                               tmp_path: Path) -> None:
    person = ThinkingPerson(server)
    error = refused(site(server, bare_python, tmp_path / "cache"), person)
    assert person.let_go.is_set()
    assert isinstance(error, LinkLostError)
    assert error.summary == "The connection to Site X was lost while you were asked about a private Python."
    assert error.remedy == "Nothing was put there. Connect again."
    assert left_at(tmp_path / "cache") == []


def test_that_a_site_without_any_python_is_one_sentence(server: Sshd, tmp_path: Path) -> None:
    person = FakePerson(agrees=True)
    error = refused(site(server, "/nowhere/python3", tmp_path / "cache"), person)
    assert isinstance(error, NoUsablePythonError)
    assert "3.8 or newer" in error.remedy
    assert not person.confirmations


def test_that_a_small_disk_is_told_before_anybody_is_asked(server: Sshd, bare_python: Path, tmp_path: Path) -> None:
    person = FakePerson(agrees=True)
    with small_disk(tmp_path / "small", 2048) as place:
        error = refused(site(server, bare_python, place / "cache"), person)
        assert left_at(place / "cache") == []
    assert isinstance(error, StorageFullError)
    assert "needs" in error.summary
    assert "are free" in error.summary
    assert not person.confirmations


def test_that_a_disk_that_is_full_on_the_way_leaves_nothing(server: Sshd, bare_python: Path, tmp_path: Path) -> None:
    python = f"ulimit -f 4000; {shlex.quote(str(bare_python))}"
    error = refused(site(server, python, tmp_path / "cache"), FakePerson(agrees=True))
    assert isinstance(error, StorageFullError)
    assert error.summary.startswith("There is no room for a private Python")
    assert left_at(tmp_path / "cache") == []


def test_that_a_place_that_cannot_be_written_to_is_told(server: Sshd, bare_python: Path) -> None:
    person = FakePerson(agrees=True)
    error = refused(site(server, bare_python, Path("/proc/beamside")), person)
    assert isinstance(error, AgentError)
    assert error.summary == "A private Python cannot be stored in /proc/beamside at the site."
    assert not person.confirmations


def test_that_a_cancelled_upload_leaves_nothing(server: Sshd, bare_python: Path, tmp_path: Path) -> None:
    person = Watcher("Sending", lambda: person.cancelled.set())
    error = refused(site(server, bare_python, tmp_path / "cache"), person)
    assert isinstance(error, CancelledByUserError)
    until(lambda: left_at(tmp_path / "cache") == [])


def test_that_a_cut_upload_is_never_used(server: Sshd, bare_python: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    error = refused(site(server, bare_python, cache), Watcher("Sending", server.cut))
    assert isinstance(error, LinkError)
    assert not any(name.startswith("private-") for name in left_at(cache))
    connection = connected(site(server, bare_python, cache), FakePerson(agrees=True))
    assert connection.data.list_folder(PurePosixPath("/")).result(DEADLINE_S).entries
    connection.close()
    file = paths.config_dir() / "sites" / "far.toml"
    file.parent.mkdir(parents=True)
    file.write_text(profile_text(site(server, bare_python, cache)), "utf-8")
    for removed in (left_at(cache), []):
        done = subprocess.run([sys.executable, "-m", "app", "sites", "clean", "far", "--json"], capture_output=True,
                              check=True, text=True)
        told = json.loads(done.stdout)
        assert (told["cleaned"], sorted(told["removed"])) == ("far", sorted(removed))
    assert left_at(cache) == []
