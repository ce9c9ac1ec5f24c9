"""Looking around at a site: the script in a real shell, and what is made of its words."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from app.model.findings import Findings, open_values
from app.model.site import AgentSettings, BatchSettings, DataSettings, SiteProfile, SoftwareSettings, SshSettings
from app.remote.local_transport import LocalTransport
from app.remote.probing import parse, probe

WORD = "cafe"


def fact(key: str, value: str) -> str:
    return f"\x1e{WORD} {key} {value}\x1f\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands alone in PATH but for what the script needs; put commands of a site there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "bash", "id", "hostname", "uname", "timeout", "cat", "printf"):
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(folder))
    return folder


def command(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def look(profile: SiteProfile) -> Findings:
    transport = LocalTransport()
    try:
        return probe(transport, profile)
    finally:
        transport.close()


def site(**more: Any) -> SiteProfile:
    return SiteProfile("here", ssh=SshSettings("h"), **more)


def test_that_a_site_with_slurm_is_understood(tools: Path) -> None:
    command(tools, "sinfo", r"printf 'gpu\nday*\nday*\nlong\n'; echo noise >&2")
    command(tools, "apptainer", "exit 0")
    command(tools, "ch-run", "exit 0")
    found = look(site())
    assert (found.system, found.partitions) == ("slurm", ("day", "gpu", "long")), "the default one first"
    assert (found.containers, found.runtime) == (("apptainer", "ch-run"), "apptainer")
    assert found.home == os.environ["HOME"]
    assert found.complete


@pytest.mark.parametrize(("commands", "system", "partitions"), [
    ({"qstat": "exit 1", "qconf": "echo all.q; echo long.q"}, "gridengine", ("all.q", "long.q")),
    ({"qstat": r"printf 'Queue   Max\n------- ---\nworkq 0\nbig 1\n'", "pbsnodes": ""}, "pbs", ("workq", "big")),
    ({"qstat": ""}, "", ()), ({}, "", ()),
    ({"sinfo": "exit 1"}, "slurm", ()),
])
def test_that_other_batch_systems_and_none_are_told_apart(tools: Path, commands: dict[str, str], system: str,
                                                           partitions: tuple[str, ...]) -> None:
    for name, script in commands.items():
        command(tools, name, script or "exit 0")
    found = look(site())
    assert (found.system, found.partitions) == (system, partitions)
    assert found.complete


def test_that_pythons_are_tried_with_what_they_lack(tools: Path) -> None:
    command(tools, "python3", "exit 3")
    command(tools, "good", 'exec /usr/bin/python3 "$@"')
    found = look(site(agent=AgentSettings(python=("python3", "nothing-of-that-name", "good -I"))))
    by_name = {python.command: python for python in found.pythons}
    assert not by_name["python3"].fits
    assert by_name["nothing-of-that-name"].version == ""
    assert by_name["good -I"].version.startswith("3.")
    assert found.python in ("good -I", "/usr/bin/python3", "")
    assert "module load python && python3" not in by_name, "without modules there is nothing to load"


def test_that_modules_are_looked_for_in_a_login_shell(tools: Path, own_home: Path) -> None:
    (own_home / ".bash_profile").write_text(
        "echo Welcome to the facility\nmodule() { PATH=$PATH:" + str(tools / "loaded") + "; }\nexport -f module\n")
    (tools / "loaded").mkdir()
    command(tools / "loaded", "python3", 'exec /usr/bin/python3 "$@"')
    found = look(site())
    assert found.modules
    loaded = next(python for python in found.pythons if python.command == "module load python && python3")
    assert loaded.version.startswith("3.")


def test_that_data_roots_are_looked_for_up_to_their_first_placeholder(tools: Path, tmp_path: Path,
                                                                    own_home: Path) -> None:
    (tmp_path / "data" / "visitor").mkdir(parents=True)
    (own_home / "mine").mkdir()
    roots = (f"{tmp_path}/data/visitor/{{proposal}}/{{beamline}}", f"{tmp_path}/gone/{{proposal}}", "~/mine",
             f"{tmp_path}/data/visitor-{{beamline}}/x")
    found = look(site(data=DataSettings(roots=roots)))
    assert [(folder.path, folder.there) for folder in found.folders] == [
        (f"{tmp_path}/data/visitor", True), (f"{tmp_path}/gone", False), (f"{own_home}/mine", True),
        (f"{tmp_path}/data", True)]


def test_that_banners_are_never_taken_for_facts() -> None:
    noise = "\x1eother batch pbs\x1f\nbatch slurm\n"
    text = noise + "Last login: today" + fact("home", "/home/x") + "half a line" + fact("batch", "slurm") + \
        fact("partition", "day*") + noise + fact("done", "yes")
    found = parse(text, WORD, (), ())
    assert (found.home, found.system, found.partitions, found.complete) == ("/home/x", "slurm", ("day",), True)


@pytest.mark.parametrize("text", ["", "\x1ecafe", fact("python", "9 3.11.1 "), fact("python", "1 three"),
                                  fact("partition", "*"), fact("home", "a\x00b")[:-3]])
def test_that_broken_answers_are_nothing_found(text: str) -> None:
    found = parse(text, WORD, ("python3",), (("/data/{x}", "/data"),))
    assert not found.complete
    assert (found.system, found.partitions, found.python) == ("", (), "")
    assert [folder.there for folder in found.folders] == [False]


def test_that_only_what_is_new_is_offered_and_taken_with_its_source() -> None:
    found = parse(fact("batch", "slurm") + fact("partition", "day") + fact("container", "podman") +
                  fact("python", "2 3.9.2 ") + fact("python", "1 3.6.8 ,numpy,h5py") + fact("done", "yes"), WORD,
                  ("python3", "/opt/python"), (), day="2026-11-22")
    profile = site(batch=BatchSettings("slurm"))
    assert found.values(profile) == {"batch.partitions": "day", "software.containers": "podman",
                                     "agent.python": "/opt/python"}
    taken = found.taken_by(profile, frozenset(["agent.python", "batch.system"]))
    assert taken.agent.python == ("/opt/python", "python3")
    assert taken.batch == profile.batch
    assert taken.sources == {"agent.python": "probed 2026-11-22"}
    assert found.completing(profile).batch.partitions == (), "a known system is asked whenever it is needed"


def test_that_a_profile_that_says_all_leaves_nothing_open() -> None:
    whole = site(batch=BatchSettings("slurm", ("day",)), software=SoftwareSettings(containers="none"),
                 agent=AgentSettings(python=("/opt/python",)))
    assert open_values(whole) == []
    assert open_values(site()) == ["batch.system", "batch.partitions", "software.containers", "agent.python"]
