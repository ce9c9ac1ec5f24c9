"""The one command that looks, takes what is missing and becomes the agent: what can go wrong on the way, in words."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import AgentError, LinkError
from app.model.site import AgentSettings, SiteProfile
from app.protocol.framing import MarkerScanner
from app.remote.agent_zip import Upload, agent_zip
from app.remote.deploy import new_nonce, start_agent
from app.remote.local_transport import LocalTransport
from tests.contract.conftest import DEBIAN_PYTHON

ANSWERS = "sh -c 'printf \"\\nBEAMSIDE-ANSWER %s {}\\n\" \"$7\"' x"       # $7: the nonce


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport()
    yield made
    made.close()


def site(folder: Path, *pythons: str) -> SiteProfile:
    return SiteProfile("site", title="Site X", agent=AgentSettings(python=pythons, cache=str(folder / "cache")))


def started(transport: LocalTransport, profile: SiteProfile, agent: Upload | None = None,
            within_s: float = 60.0) -> bytes:
    """What comes first, from the marker on."""
    nonce = new_nonce()
    stream, rest = start_agent(transport, profile, nonce, agent, within_s=within_s), None
    scanner = MarkerScanner(nonce)
    while rest is None:
        data = stream.read(65536)
        assert data, "it ended before it spoke"
        rest = scanner.feed(data)
    stream.close()
    return rest


def test_that_banners_cannot_pass_for_an_answer(transport: LocalTransport, tmp_path: Path) -> None:
    banner = ("printf 'BEAMSIDE-ANSWER 00 {\"run\": \"x\"}\\nBEAMSIDE-ANSWER \\377\\n'; "
              "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2")
    assert started(transport, site(tmp_path, f"{banner}; {DEBIAN_PYTHON}")) is not None


@pytest.mark.parametrize(("answer", "said"), [
    ('{\\\"python\\\": \\\"3.7.9\\\"}', "Python 3.7.9 is too old"), ("{}", "Python None is too old"),
    ("[", "is too old"),
    ('{\\\"python\\\": \\\"3.9.1\\\", \\\"missing\\\": \\\"No module named h5py\\\"}',
     "Python 3.9.1, No module named h5py")])
def test_that_a_python_that_does_not_fit_is_passed_over_and_named(transport: LocalTransport, tmp_path: Path,
                                                                  answer: str, said: str) -> None:
    unfit = ANSWERS.replace("{}", answer)
    assert started(transport, site(tmp_path, unfit, DEBIAN_PYTHON)) is not None
    with pytest.raises(AgentError) as none:
        started(transport, site(tmp_path, unfit, "exit 5"))
    assert none.value.summary == "No Python with numpy and h5py was found at Site X."
    assert said in none.value.detail.splitlines()[-2]
    assert none.value.detail.splitlines()[-1] == "exit 5: ended with status 5"


def test_that_an_upload_that_is_not_what_it_should_be_is_not_kept(transport: LocalTransport, tmp_path: Path) -> None:
    other = replace(agent_zip(), data=agent_zip().data[:-1])
    with pytest.raises(AgentError) as damaged:
        started(transport, site(tmp_path, DEBIAN_PYTHON), other)
    assert damaged.value.summary == "The agent was damaged while it was uploaded."
    assert list((tmp_path / "cache").iterdir()) == []


def test_that_a_cache_that_is_no_folder_is_named(transport: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("mine")
    with pytest.raises(AgentError) as refused:
        started(transport, site(tmp_path, DEBIAN_PYTHON))
    assert str(tmp_path / "cache") in refused.value.summary
    assert (tmp_path / "cache").read_text() == "mine"


def test_that_a_site_that_says_nothing_or_never_stops_is_given_up(transport: LocalTransport, tmp_path: Path) -> None:
    with pytest.raises(AgentError) as endless:
        started(transport, site(tmp_path, "yes; true"))
    assert "printed more than" in endless.value.summary
    with pytest.raises(LinkError) as late:
        started(transport, site(tmp_path, "exec sleep 60; true", DEBIAN_PYTHON), within_s=0.3)
    assert late.value.summary == "The site's Python did not answer in time."


def compiled_in(folder: Path) -> list[Path]:
    return [path for path in (folder / "cache").glob("agent-*.zip") if path.name.count("-") > 1]


def test_that_the_agent_is_compiled_once_and_again_when_that_is_damaged(transport: LocalTransport,
                                                                         tmp_path: Path) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    [made] = compiled_in(tmp_path)
    whole, number = made.read_bytes(), made.stat().st_ino
    assert made.name.startswith(agent_zip().name[:-4] + "-")
    with zipfile.ZipFile(made) as archive:
        names = set(archive.namelist())
    assert {"__main__.py", "app/agent/front.py", "app/agent/front.pyc", "app/protocol/framing.pyc"} <= names
    assert made.stat().st_mode & 0o077 == 0
    started(transport, profile)
    assert made.stat().st_ino == number
    made.write_bytes(whole[:-1000] + bytes(1000))
    started(transport, profile)
    assert made.read_bytes() == whole


def test_that_what_is_compiled_is_what_runs(transport: LocalTransport, tmp_path: Path) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    [made] = compiled_in(tmp_path)
    with zipfile.ZipFile(io.BytesIO(made.read_bytes())) as archive:
        kept = {item: archive.read(item) for item in archive.namelist() if item != "app/agent/greeting.py"}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for item, data in kept.items():
            archive.writestr(item, data)
        archive.writestr("app/agent/greeting.py", "raise SystemExit('the source was taken')")
    made.write_bytes(hashlib.sha256(changed.getvalue()).hexdigest().encode() + changed.getvalue())
    assert started(transport, profile) is not None


def test_that_an_agent_that_cannot_be_compiled_there_runs_as_it_came(transport: LocalTransport,
                                                                     tmp_path: Path) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    [made] = compiled_in(tmp_path)
    made.unlink()
    made.mkdir()
    (made / "in the way").touch()
    assert started(transport, profile) is not None


def test_that_nothing_is_run_from_a_folder_of_somebody_else(transport: LocalTransport, tmp_path: Path) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    os.chown(tmp_path / "cache", 12345, -1)      # as made beforehand, by another account, in a folder for everybody
    with pytest.raises(AgentError) as refused:
        started(transport, profile)
    assert refused.value.summary == (f"The folder {tmp_path / 'cache'} at the site belongs to another account, so "
                                     "nothing is run from there.")


@pytest.mark.parametrize("theirs", ["the agent", "what was compiled"])
@pytest.mark.parametrize("how", ["another account's", "writable for others"])
def test_that_no_file_of_somebody_else_is_run(transport: LocalTransport, tmp_path: Path, theirs: str,
                                              how: str) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    [made] = compiled_in(tmp_path)
    file = made if theirs == "what was compiled" else tmp_path / "cache" / agent_zip().name
    evil, ran = io.BytesIO(), tmp_path / "ran"
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("__main__.py", f"open({str(ran)!r}, 'w').close()")
    if file == made:
        file.write_bytes(hashlib.sha256(evil.getvalue()).hexdigest().encode() + evil.getvalue())
    number = file.stat().st_ino
    if how == "writable for others":
        file.chmod(0o666)
    else:
        os.chown(file, 12345, -1)
    assert started(transport, profile) is not None
    assert not ran.exists()
    found = file.stat()
    assert (found.st_ino != number, found.st_uid, found.st_mode & 0o077) == (True, os.getuid(), 0)


def test_that_a_folder_that_others_could_write_to_is_closed(transport: LocalTransport, tmp_path: Path) -> None:
    profile = site(tmp_path, DEBIAN_PYTHON)
    started(transport, profile)
    (tmp_path / "cache").chmod(0o777)
    started(transport, profile)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
