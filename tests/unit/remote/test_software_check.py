"""What a catalogue says is there is there, in the version it says; why something is not is one sentence."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.model.site import BatchSettings, SiteProfile, SoftwareSettings
from app.recipes.availability import Availability, Installed, Place, SoftwareState, is_older, judge
from app.recipes.recipe import Recipe, Requirement
from app.remote.analyses.software_check import availability, parse
from app.remote.local_transport import LocalTransport

OWN = f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    made = LocalTransport()
    yield made
    made.close()


def recipe(*requires: Requirement, environment: str = "saxs", **changes: Any) -> Recipe:
    return replace(Recipe("count", "1.2", "Count", "pass", requires=requires, environment=environment,
                          licence="MIT", contact="a@b.example", technique="SAXS"), **changes)


def profile(*setup: str, containers: str = "", images: dict[str, str] | None = None,
            **environments: str) -> SiteProfile:
    return SiteProfile("site", batch=BatchSettings("slurm"), software=SoftwareSettings(
        setup=setup, containers=containers, images=images or {}, environments=environments or {"saxs": OWN}))


def only(transport: LocalTransport, site: SiteProfile, what: Recipe) -> Availability:
    (row,) = availability(transport, site, [what])
    return row


def test_that_what_is_installed_is_found_with_its_version(transport: LocalTransport) -> None:
    wanted = recipe(Requirement("h5py", "3.0"), Requirement("NumPy"), Requirement(program="tar"))
    row = only(transport, profile(), wanted)
    assert (row.state, row.sentence) == (SoftwareState.READY, "")
    assert dict(row.versions) == {"h5py": importlib.metadata.version("h5py"),
                                  "NumPy": importlib.metadata.version("numpy"), "tar": ""}
    assert row.place == f"saxs: {OWN}"
    said = json.loads(json.dumps(row.as_json()))
    assert (said["state"], said["licence"], said["versions"]["h5py"]) == ("ready", "MIT", row.versions[0][1])


def test_that_nothing_heavy_is_imported(transport: LocalTransport, tmp_path: Path) -> None:
    (tmp_path / "numpy.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w')")
    site = profile(saxs=f"{OWN}; export PYTHONPATH={shlex.quote(str(tmp_path))}")
    assert only(transport, site, recipe(Requirement("numpy"))).state is SoftwareState.READY
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(("requires", "sentence"), [
    ((Requirement("nosuchone"),), "nosuchone is not installed in the environment “saxs”: ask the site to install it."),
    ((Requirement("nosuchone"), Requirement("nonsuch"), Requirement(program="dials.index")),
     ("nosuchone, nonsuch and the program dials.index are not installed in the environment “saxs”: ask the site to "
      "install them.")),
    ((Requirement("h5py", "99.1"),), (f"h5py in the environment “saxs” is {importlib.metadata.version('h5py')}; the "
                                      "recipe needs 99.1 or later.")),
])
def test_that_what_lacks_is_told_in_one_sentence(transport: LocalTransport, requires: tuple[Requirement, ...],
                                                 sentence: str) -> None:
    row = only(transport, profile(), recipe(*requires))
    assert (row.state, row.sentence) == (SoftwareState.MISSING, sentence)


def test_that_an_environment_the_profile_does_not_have_is_told(transport: LocalTransport) -> None:
    row = only(transport, profile(), recipe(Requirement("nosuchone"), environment="tomography"))
    assert (row.state, row.sentence) == (SoftwareState.MISSING,
                                         "The environment “tomography” is not in the site's profile.")
    row = only(transport, profile(OWN), recipe(Requirement("h5py"), environment="tomography"))
    assert row.state is SoftwareState.READY


def test_that_the_sites_lines_are_run_as_for_a_job(transport: LocalTransport, tmp_path: Path) -> None:
    tool = tmp_path / "tool-of-the-site"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    line = f"PATH={shlex.quote(str(tmp_path))}:$PATH; set -- a b"
    site = profile("echo noise; printf '\\036x 0 done -\\037'", saxs=line)
    assert only(transport, site, recipe(Requirement(program=tool.name))).state is SoftwareState.READY


@pytest.mark.parametrize(("line", "state", "words"), [
    ("exit 3", SoftwareState.MISSING, "its line “exit 3” ended with exit code 3."),
    ("exit 0", SoftwareState.MISSING, "its line “exit 0” ended the shell."),
    ("false; nosuchcommand", SoftwareState.MISSING, "its line “false; nosuchcommand” ended with exit code 127."),
    ("set -e; false; true", SoftwareState.READY, ""),
    ("set -u; echo $NOBODY_SET_THIS", SoftwareState.MISSING, "ended with exit code "),
    ("PATH=/nowhere", SoftwareState.MISSING, "no python3 in the environment"),
    ("python3() { return 1; }; module load tomo/9; true", SoftwareState.MISSING,
     "“saxs” cannot be set up: module: command not found."),
    ("python3() { return 1; }\nif", SoftwareState.MISSING, "its line “python3() { return 1; } if” ended with exit"),
    ("python3() { return 1; }", SoftwareState.MISSING, "no python3 in the environment"),
])
def test_that_a_line_that_fails_is_not_taken_for_a_missing_package(transport: LocalTransport, line: str,
                                                                   state: SoftwareState, words: str) -> None:
    row = only(transport, profile(saxs=line), recipe())
    assert row.state is state, row.sentence
    assert words in row.sentence


def test_that_an_environment_that_fails_is_not_ready_whatever_is_found_without_it(transport: LocalTransport) -> None:
    """A job ends there, with the same words."""
    row = only(transport, profile(OWN, broken="nosuchmodule load nothere/1.0"),
               recipe(Requirement("h5py"), environment="broken"))
    assert row.state is SoftwareState.MISSING
    assert row.sentence == ("The environment “broken” could not be set up: its line “nosuchmodule load nothere/1.0” "
                            "ended with exit code 127.")
    assert row.caution == "Setting it up printed: “nosuchmodule: command not found”"
    assert row.versions == ()
    image = recipe(Requirement("h5py"), environment="broken", image="saxs")
    (row,) = availability(transport, profile(containers="podman", images={"saxs": "saxs:1"}, broken="false"), [image])
    assert row.sentence.endswith("its line “false” ended with exit code 1."), "it runs before the container"


def test_that_the_status_of_the_lines_for_every_job_says_nothing(transport: LocalTransport) -> None:
    row = only(transport, profile("set -eu", "false; (exit 3)", saxs=f"{OWN}; : $UNSET_BY_ANYBODY"),
               recipe(Requirement("h5py")))
    assert (row.state, row.sentence, row.caution) == (SoftwareState.READY, "", "")


@pytest.mark.parametrize(("said", "told"), [
    ("echo fine; echo 'ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for x' >&2; echo more",
     "ModuleCmd_Load.c(213):ERROR:105: Unable to locate a modulefile for x"),
    ("nosuchmodule load x", "nosuchmodule: command not found"),
    ("printf '\\033[1;31mError\\033[0m: no\\037\\036w 0 done\\n'", "Error: now 0 done"),
    ("echo Loaded x; echo 0 errors", "")])
def test_that_what_a_line_complains_of_is_told_though_it_succeeds(transport: LocalTransport, said: str,
                                                                told: str) -> None:
    """Old environment modules end with 0 when they fail."""
    row = only(transport, profile(saxs=f"{OWN}; {said}; true"), recipe(Requirement("h5py")))
    assert (row.state, row.sentence) == (SoftwareState.READY, "")
    assert row.caution == (f"Setting it up printed: “{told}”" if told else "")
    assert row.as_json()["caution"] == row.caution
    row = only(transport, profile(saxs=f"{OWN}; {said}; true"), recipe(Requirement("nosuchone")))
    assert row.state is SoftwareState.MISSING
    assert told in row.sentence


def test_that_a_version_that_cannot_be_read_is_told_with_the_one_that_is_needed() -> None:
    wanted = recipe(Requirement("numpy", "1.20"), Requirement("h5py", "3.0"), Requirement("NoNeed"))
    row = judge("s", wanted, Place("the environment “a”"),
                Installed("3.11", {"numpy": "1.24.2", "h5py": "", "NoNeed": ""}))
    assert row.state is SoftwareState.READY
    assert row.versions_text == "numpy 1.24.2, h5py (version unknown; 3.0 or later is needed), NoNeed"


def test_that_several_environments_are_looked_at_at_once(transport: LocalTransport) -> None:
    site = profile(a=OWN, b="export PATH=/usr/bin:/bin")
    recipes = [recipe(Requirement("h5py"), environment="a", name="one", title="One"),
               recipe(Requirement("PySide6"), environment="b", name="two", title="Two"),
               recipe(Requirement("PySide6-Essentials"), environment="a", name="three", title="Three")]
    rows = {row.recipe.name: row.state for row in availability(transport, site, recipes)}
    assert (rows["one"], rows["two"]) == (SoftwareState.READY, SoftwareState.MISSING)


def test_that_an_image_is_looked_into(transport: LocalTransport, tmp_path: Path) -> None:
    """With a runtime that only leaves its own words away: what it runs is run."""
    (tmp_path / "podman").write_text('#!/bin/bash\nwhile [ "$1" != saxs:1 ]; do shift; done; shift; exec "$@"\n')
    (tmp_path / "podman").chmod(0o755)
    site = profile(f"PATH={shlex.quote(str(tmp_path))}:$PATH; {OWN}", containers="podman",
                   images={"saxs": "saxs:1"})
    row = only(transport, site, recipe(Requirement("h5py"), image="saxs"))
    assert (row.state, row.sentence) == (SoftwareState.READY, "")
    assert row.place == "saxs:1 (podman)"
    row = only(transport, site, recipe(Requirement("nosuchone"), image="saxs"))
    assert row.sentence == "nosuchone is not installed in the container image saxs:1: ask the site to install it."


def test_that_programs_are_looked_for_in_the_image_and_not_on_the_node(transport: LocalTransport,
                                                                       tmp_path: Path) -> None:
    for folder, name in (("node", "only.outside"), ("image", "only.inside")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("#!/bin/sh\n")
        (tmp_path / folder / name).chmod(0o755)
    (tmp_path / "node" / "podman").write_text(
        '#!/bin/bash\nwhile [ "$1" != saxs:1 ]; do shift; done; shift\n'
        f'inside={shlex.quote(str(tmp_path / "image"))}; while IFS= read -r -d: folder; do\n'
        '  [ -e "$folder/only.outside" ] || inside=$inside:$folder\ndone <<<"$PATH:"\nexport PATH=$inside; exec "$@"\n')
    (tmp_path / "node" / "podman").chmod(0o755)
    site = profile(f"PATH={shlex.quote(str(tmp_path / 'node'))}:$PATH; {OWN}", containers="podman",
                   images={"saxs": "saxs:1"})
    sentences = [only(transport, site, recipe(Requirement(program=name), image="saxs")).sentence
                 for name in ("only.inside", "only.outside")]
    assert sentences[0] == ""
    assert "only.outside is not installed in the container image" in sentences[1]
    assert only(transport, site, recipe(Requirement(program="only.outside"))).sentence == ""


@pytest.mark.parametrize(("containers", "images", "state", "words"), [
    ("none", {"saxs": "/img"}, SoftwareState.MISSING, "runs no containers"),
    ("podman", {}, SoftwareState.MISSING, "“saxs” is not in the site's profile ([software.images])"),
    ("podman", {"saxs": "/no/image.tar"}, SoftwareState.MISSING, "/no/image.tar cannot be used: it is not there"),
    ("apptainer", {"saxs": "/etc/hostname"}, SoftwareState.UNKNOWN, "does not have what runs containers"),
])
def test_that_an_image_that_cannot_be_used_is_told(transport: LocalTransport, containers: str, images: dict[str, str],
                                                   state: SoftwareState, words: str) -> None:
    row = only(transport, profile("PATH=/usr/bin:/bin", containers=containers, images=images), recipe(image="saxs"))
    assert (row.state, words in row.sentence) == (state, True), row.sentence


@pytest.mark.parametrize("name", ["$(touch owned)", "`touch owned`", "a b", "'; touch owned; '", "-c"])
def test_that_a_requirement_is_never_program_text(transport: LocalTransport, tmp_path: Path, name: str,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = only(transport, profile(), recipe(Requirement(package=name), Requirement(program=name)))
    assert row.state is SoftwareState.MISSING
    assert not list(tmp_path.rglob("owned"))


def test_that_noise_and_forged_answers_are_no_facts() -> None:
    text = "Welcome \x1ew 0 begun -\x1f \x1ex 0 done -\x1f\x1ew 0 python {bad\x1f\x1ew 7 done -\x1f\x1ew 0 done -\x1f"
    assert parse(text, "w", 1) == [Installed("", {}, ())]
    assert parse("", "w", 2)[1].problem
    assert parse('\x1ew 0 begun -\x1f\x1ew 0 python [1]\x1f\x1ew 0 done -\x1f', "w", 1)[0].python == ""


def test_that_what_nobody_looked_at_is_not_called_missing() -> None:
    assert judge("s", recipe(), Place("the environment “a”"), None).state is SoftwareState.UNKNOWN


@pytest.mark.parametrize(("version", "wanted", "older"), [
    ("2023.9", "2023.10", True), ("2023.10", "2023.9", False), ("3", "3.0", False), ("1.7.0", "1.7", False),
    ("0.21.3", "1", True), ("1.0+cu12", "1.0", False), ("2023.1.0rc1", "2023.1", False), ("unknown", "1", False)])
def test_that_versions_are_compared_by_their_numbers(version: str, wanted: str, older: bool) -> None:
    assert is_older(version, wanted) is older
