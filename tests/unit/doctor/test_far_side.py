"""What a site is like, looked at with the real scripts on this computer or with a site's scripted answers."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from app.errors import SchedulerUnavailableError
from app.model.doctor import StepState
from app.model.site import AgentSettings, BatchSettings, DataSettings, SiteProfile, SshSettings
from app.remote.doctor import far_side
from app.remote.doctor.agent_trial import AgentTrial
from app.remote.local_transport import LocalTransport
from app.remote.seams import ByteStream, CommandResult
from tests.peers.need import need_program


class Site(LocalTransport):
    """This computer as a site. ``before``: what every command line begins with; ``noise``: printed by its shell."""

    def __init__(self, home: Path, *before: str, noise: str = "") -> None:
        super().__init__()
        self._home = home
        self._before = before
        self._noise = noise

    @property
    def home(self) -> PurePosixPath:
        return PurePosixPath(self._home)

    @property
    def user(self) -> str:
        return "ada"

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        return super().run([*self._before, *argv], stdin=stdin, timeout_s=timeout_s)

    def start(self, argv: Sequence[str]) -> ByteStream:
        noisy = ["sh", "-c", self._noise + '; exec "$@"', "shell"] if self._noise else []
        return super().start([*self._before, *noisy, *argv])


class Scripted(Site):
    """A site that answers from a table: a word of the command → (code, output, errors)."""

    def __init__(self, home: Path, answers: dict[str, tuple[int, str, str]]) -> None:
        super().__init__(home)
        self.answers = answers

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        for word, (code, output, errors) in self.answers.items():
            if any(word in part for part in argv):
                return CommandResult(code, output.encode(), errors.encode())
        return super().run(argv, stdin=stdin, timeout_s=timeout_s)


def profile(**changes: Any) -> SiteProfile:
    return SiteProfile("far", "Far", ssh=SshSettings("far.example"), **changes)


@pytest.fixture
def site(own_home: Path) -> Iterator[Site]:
    made = Site(own_home)
    yield made
    made.close()


@pytest.mark.parametrize(("noise", "state", "words"), [
    ("", StepState.PASSED, "Nothing is printed"), ("printf hello", StepState.WARNED, "print 5 bytes"),
    ("printf hello; printf oops >&2", StepState.WARNED, "print 9 bytes"),
    ("head -c 100000 /dev/zero", StepState.FAILED, "print 100000 bytes"),
    ("exit 3", StepState.FAILED, "does not run commands"),
])
def test_that_noise_of_start_up_files_is_counted(own_home: Path, noise: str, state: StepState, words: str) -> None:
    site = Site(own_home, noise=noise)
    opened: list[ByteStream] = []
    found = far_side.look_at_noise(site, opened)
    site.close()
    assert found.state is state
    assert words in found.summary
    assert len(opened) == 1


def test_that_a_posix_shell_passes_commands_unchanged_and_another_is_told(own_home: Path, site: Site) -> None:
    assert far_side.look_at_shell(site).state is StepState.PASSED
    found = far_side.look_at_shell(Scripted(own_home, {"doctor": (1, "", "Unmatched '\''.\n")}))
    assert (found.state, found.kind) == (StepState.FAILED, "connection")
    assert "Unmatched" in found.detail
    altered = far_side.look_at_shell(Scripted(own_home, {"doctor": (0, "/bin/tcsh\x1fit is changed", "")}))
    assert "/bin/tcsh" in altered.detail


def test_that_every_python_is_told_with_what_it_has_and_lacks(site: Site, tmp_path: Path) -> None:
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nword=$4\nprintf '\\036%s {\"python\": \"3.6.8\"}\\037' \"$word\"\n")
    bare = tmp_path / "bare-python"
    bare.write_text("#!/bin/sh\nword=$4\nprintf '\\036%s {\"python\": \"3.9.2\", \"numpy\": \"1.2\", "
                    "\"h5py\": \"\", \"h5py problem\": \"ImportError: libhdf5\"}\\037' \"$word\"\n")
    for file in (old, bare):
        file.chmod(0o755)
    names = (str(old), str(bare), "no-such-python", shlex.quote(sys.executable))
    found = far_side.look_at_pythons(site, profile(agent=AgentSettings(python=names)))
    lines = found.detail.splitlines()
    assert found.state is StepState.WARNED
    assert "Python 3.6.8 is too old" in lines[0]
    assert "lacks h5py (ImportError: libhdf5)" in lines[1]
    assert "not found" in lines[2]
    assert "with numpy" in lines[3]
    alone = far_side.look_at_pythons(site, profile(agent=AgentSettings(python=names[:3])))
    assert (alone.state, alone.kind) == (StepState.FAILED, "agent")
    assert "module" in alone.remedy


def test_that_packages_that_beamside_put_there_count(own_home: Path, site: Site, tmp_path: Path) -> None:
    major, minor = sys.version_info[:2]
    private = own_home / ".cache" / "beamside" / f"private-{major}.{minor}-{os.uname().machine}-0123456789abcdef"
    bare = tmp_path / "bare"
    bare.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -S \"$@\"\n")
    bare.chmod(0o755)
    lacking = profile(agent=AgentSettings(python=(str(bare),)))
    found = far_side.look_at_pythons(site, lacking)
    assert found.state is StepState.FAILED
    assert "offers to put a private one there" in found.remedy
    for name in ("numpy", "h5py"):
        (private / name).mkdir(parents=True)
        (private / name / "__init__.py").write_text("__version__ = '9.8'\n")
    found = far_side.look_at_pythons(site, lacking)
    assert found.state is StepState.PASSED
    assert "numpy 9.8" in found.summary
    assert "Beamside's own" in found.summary
    shutil.rmtree(private)
    private.symlink_to(Path(np.__file__).parent.parent)
    trial = AgentTrial(site, lacking)
    try:
        assert trial.look_at_agent().state is StepState.PASSED
    finally:
        trial.close()
        trial.tidy()
    assert Path(np.__file__).is_file(), "what is linked to stays"


def test_that_data_roots_are_counted_or_told(site: Site, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "data" / f"sc{number}").mkdir(parents=True)
    (tmp_path / "file").touch()
    roots = (f"{tmp_path}/data/{{proposal}}/RAW", f"{tmp_path}/file", f"{tmp_path}/none")
    found = far_side.look_at_roots(site, profile(data=DataSettings(roots=roots)))
    assert found.state is StepState.WARNED
    assert found.detail.splitlines() == [f"{tmp_path}/data: readable, 3 entries", f"{tmp_path}/file: is no folder",
                                         f"{tmp_path}/none: is not there"]
    gone = far_side.look_at_roots(site, profile(data=DataSettings(roots=(f"{tmp_path}/none",))))
    assert (gone.state, gone.kind) == (StepState.FAILED, "not_found")
    assert far_side.look_at_roots(site, profile()).state is StepState.SKIPPED


def test_that_a_data_root_that_may_not_be_read_is_told(own_home: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
    nobody = (need_program("setpriv", "util-linux"), "--reuid=65534", "--regid=65534", "--clear-groups")
    site = Site(own_home, *(nobody if os.geteuid() == 0 else ()))
    found = far_side.look_at_roots(site, profile(data=DataSettings(roots=(str(closed),))))
    site.close()
    assert (found.state, found.kind) == (StepState.FAILED, "data")
    assert found.summary == f"The data root {closed} may not be read by you."


def test_that_clocks_are_compared(own_home: Path, site: Site) -> None:
    assert far_side.look_at_clock(site, []).state is StepState.PASSED
    wrong = Site(own_home, "env", f"PATH={own_home / 'bin'}:{os.environ['PATH']}")
    (own_home / "bin").mkdir()
    date = own_home / "bin" / "date"
    date.write_text(f"#!/bin/sh\necho {int(time.time()) + 1200}\n")
    date.chmod(0o755)
    found = far_side.look_at_clock(wrong, [0.0])
    wrong.close()
    assert (found.state, found.summary) == (StepState.WARNED, "The site's clock is 20 minutes fast.")
    assert "this computer minus the sign-in service: +0 s" in found.detail


def test_that_room_is_looked_for_where_the_cache_will_be(own_home: Path, site: Site,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    found = far_side.look_at_space(site, profile())
    assert found.state is StepState.PASSED
    assert "are free" in found.summary
    assert not (own_home / ".cache" / "beamside").exists(), "nothing is made"
    for kilobytes, state in ((100, StepState.FAILED), (100_000, StepState.WARNED)):
        answer = f"yes {kilobytes} {own_home}"
        scripted = Scripted(own_home, {"df -Pk": (0, "", "")})
        monkeypatch.setattr(scripted, "run", _saying(answer))
        assert far_side.look_at_space(scripted, profile()).state is state
    monkeypatch.setattr(scripted, "run", _saying(f"no 99999999 {own_home}"))
    assert far_side.look_at_space(scripted, profile()).kind == "storage_full"
    monkeypatch.setattr(scripted, "run", _saying(f"yes 99999999 {own_home}",
                                                 "Disk quotas for user ada: /home 5000 5000"))
    assert "quota" in far_side.look_at_space(scripted, profile()).summary


def _saying(*facts: str) -> object:
    def run(argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 30.0) -> CommandResult:
        word = argv[4]
        return CommandResult(0, "".join(f"\x1e{word} {fact}\x1f" for fact in facts).encode(), b"")
    return run


def test_that_the_batch_system_is_told_with_its_partitions(own_home: Path) -> None:
    rows = "short* up 1:00:00 0/4/0/4 0/8/0/8\ngpu down 1:00:00 0/4/0/4 0/8/0/8\n".replace(" ", "\x1f")
    answers = {"--version": (0, "slurm 22.05.8\n", ""), "sinfo": (0, rows, ""), "squeue": (0, "", "")}
    found = far_side.look_at_scheduler(Scripted(own_home, answers), profile(batch=BatchSettings("slurm")))
    assert found.summary == "Slurm 22.05.8 answers; 1 of 2 partitions takes jobs."
    assert "gpu: down" in found.detail.splitlines()
    answers["squeue"] = (1, "", "slurm_load_jobs error: Unable to contact slurm controller")
    with pytest.raises(SchedulerUnavailableError):
        far_side.look_at_scheduler(Scripted(own_home, answers), profile(batch=BatchSettings("slurm")))
    answers = {"command -v": (0, "", "")}
    assert far_side.look_at_scheduler(Scripted(own_home, answers), profile()).state is StepState.SKIPPED


def test_that_the_agent_is_tried_in_a_folder_that_is_gone_afterwards(own_home: Path, site: Site, tmp_path: Path,
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    trial = AgentTrial(site, profile(agent=AgentSettings(python=(shlex.quote(sys.executable),), workers=3)))
    try:
        found = trial.look_at_agent()
        assert found.state is StepState.PASSED
        assert next(file.name for file in tmp_path.iterdir()).startswith("beamside-doctor-")
        workers = trial.look_at_workers()
        assert workers.state is StepState.PASSED
        assert "3 reads" in workers.summary
    finally:
        trial.close()
        trial.tidy()
        site.close()
    assert list(tmp_path.iterdir()) == []
    assert not (own_home / ".cache" / "beamside").exists()
